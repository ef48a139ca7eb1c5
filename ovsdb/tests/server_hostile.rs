//! Clients of the embedded server that send what no client should: each gets a typed error, is
//! disconnected, or is ignored, and no other client notices.

#![cfg(feature = "server")]
#![allow(clippy::unwrap_used, missing_docs)]

use std::time::Duration;

use ovsdb::Remote;
use ovsdb::protocol::Limits;
use ovsdb::server::{Server, ServerBuilder};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::time::timeout;

/// Longer than anything here takes, so that a test that hangs fails.
const HANG: Duration = Duration::from_secs(60);

const SCHEMA: &str = r#"{"name":"D","tables":{"T":{"isRoot":true,"columns":{"n":{"type":"integer"},
    "s":{"type":{"key":"string","min":0,"max":"unlimited"}}}}}}"#;

fn builder() -> ServerBuilder {
    let limits = Limits::new().message_bytes(1 << 20).depth(100);
    Server::builder()
        .memory(SCHEMA)
        .limits(limits)
        .max_monitors(100)
        .max_sessions(50)
}

fn connect(server: &Server) -> DuplexStream {
    match server.remote() {
        Remote::Memory(remote) => remote.connect().unwrap(),
        other => panic!("{other}"),
    }
}

/// The server's replies until it closes the connection.
async fn until_closed(mut stream: DuplexStream, bytes: &[u8]) -> String {
    // It may close before it has read everything.
    let _ = timeout(HANG, stream.write_all(bytes))
        .await
        .expect("no hang");
    let mut answer = Vec::new();
    timeout(HANG, stream.read_to_end(&mut answer))
        .await
        .expect("the connection is closed")
        .unwrap();
    String::from_utf8(answer).unwrap()
}

/// The server's replies up to the reply to a last `echo`.
async fn answers(stream: &mut DuplexStream, bytes: &[u8]) -> String {
    const LAST: &str = r#"{"id":"last","method":"echo","params":[]}"#;
    let (mut read, mut write) = tokio::io::split(stream);
    let send = async {
        write.write_all(bytes).await.unwrap();
        write.write_all(LAST.as_bytes()).await.unwrap();
    };
    let receive = async {
        let mut answer = Vec::new();
        while !answer.windows(6).any(|part| part == b"\"last\"") {
            let count = read.read_buf(&mut answer).await.unwrap();
            assert_ne!(count, 0, "closed after {}", String::from_utf8_lossy(bytes));
        }
        String::from_utf8(answer).unwrap()
    };
    let both = timeout(HANG, async { tokio::join!(send, receive) });
    both.await.expect("no hang").1
}

/// The peak memory of this process, in MiB.
fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmHWM:"))
        .unwrap();
    line.split_whitespace()
        .nth(1)
        .unwrap()
        .parse::<u64>()
        .unwrap()
        / 1024
}

#[tokio::test]
async fn input_that_is_not_a_message_ends_the_connection() {
    let server = builder().start().unwrap();
    let mut neighbour = connect(&server);
    let deep = format!(
        "{{\"id\":1,\"method\":\"echo\",\"params\":{}",
        "[".repeat(5000)
    );
    let long = format!(
        "{{\"id\":1,\"method\":\"echo\",\"params\":[\"{}\"]}}",
        "x".repeat(2 << 20)
    );
    let inputs: &[&[u8]] = &[
        b"hello",
        b"\0\0\0\0",
        b"}",
        b"]",
        b"{]",
        // A member that RFC 7047 does not define; ovsdb-server disconnects such clients too.
        br#"{"jsonrpc":"2.0","id":1,"method":"echo","params":[]}"#,
        br#"{"id":1,"method":"echo","params":["\ud800"]}"#,
        br#"{"id":1,"method":"echo","params":{}}"#,
        br#"{"id":1,"method":"echo","params":[1e999]}"#,
        b"{\"id\":1,\"method\":\"echo\",\"params\":[}]",
        b"[]",
        b"{}",
        b"{\"id\":1}",
        b"{\"id\":1,\"method\":7,\"params\":[]}",
        b"{\"id\":1,\"method\":\"echo\",\"params\":[],\"method\":}",
        b"{\"id\":1,\"method\":\"\xff\xfe\",\"params\":[]}",
        b"{\"id\":1,\"method\":\"echo\",\"params\":[\"\xc3\"]}",
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        deep.as_bytes(),
        long.as_bytes(),
    ];
    for input in inputs {
        let shown = String::from_utf8_lossy(&input[..input.len().min(60)]);
        let answer = until_closed(connect(&server), input).await;

        assert!(!answer.contains("result"), "{shown}: {answer}");
        answers(&mut neighbour, b"").await;
    }
}

#[tokio::test]
async fn bad_requests_get_named_errors() {
    let server = builder().start().unwrap();
    let mut stream = connect(&server);
    for (params, error) in [
        (r#""transact","params":[]"#, "syntax error"),
        (r#""transact","params":[7]"#, "syntax error"),
        (r#""transact","params":["Nowhere"]"#, "unknown database"),
        (r#""transact","params":["D",7]"#, "syntax error"),
        (r#""monitor","params":["D"]"#, "syntax error"),
        (r#""monitor","params":["D",1,[]]"#, "syntax error"),
        (
            r#""monitor_cond_since","params":["D",1,{},7]"#,
            "syntax error",
        ),
        (r#""monitor_cancel","params":[]"#, "invalid parameters"),
        (
            r#""monitor_cond_change","params":[1,1,{}]"#,
            "unknown monitor",
        ),
        (r#""lock","params":["not an id"]"#, "syntax error"),
        (r#""unlock","params":["l"]"#, "syntax error"),
        (r#""convert","params":["D",{}]"#, "error"),
        (r#""set_db_change_aware","params":[0]"#, "syntax error"),
        (r#""no such method","params":[]"#, "unknown method"),
    ] {
        let request = format!("{{\"id\":1,\"method\":{params}}}");
        let mut stream = connect(&server);
        let answer = answers(&mut stream, request.as_bytes()).await;
        assert!(answer.contains(error), "{request}: {answer}");
    }
    // Replies that were not requested, and unknown notifications.
    let noise = br#"{"id":9,"result":{},"error":null}{"id":null,"method":"what","params":[]}"#;
    let answer = answers(&mut stream, noise).await;
    assert!(!answer.contains('9'), "{answer}");
}

#[tokio::test]
async fn monitors_locks_and_sessions_are_limited() {
    let server = builder().start().unwrap();
    let mut stream = connect(&server);
    let many = |method: &str, params: &dyn Fn(usize) -> String| -> String {
        (0..300)
            .map(|n| {
                format!(
                    "{{\"id\":{n},\"method\":\"{method}\",\"params\":{}}}",
                    params(n)
                )
            })
            .collect()
    };
    let monitors = many("monitor", &|n| format!(r#"["D",{n},{{"T":{{}}}}]"#));
    let answer = answers(&mut stream, monitors.as_bytes()).await;
    assert_eq!(answer.matches("resources exhausted").count(), 200);
    let locks = many("lock", &|n| format!(r#"["lock{n}"]"#));
    let answer = answers(&mut stream, locks.as_bytes()).await;
    assert_eq!(answer.matches("resources exhausted").count(), 200);
    let waits = many("transact", &|_| {
        r#"["D",{"op":"wait","table":"T","where":[],"columns":["n"],"until":"==","rows":[{"n":5}]}]"#
            .into()
    });
    let answer = answers(&mut stream, waits.as_bytes()).await;
    assert_eq!(answer.matches("resources exhausted").count(), 200);

    let mut others = Vec::new();
    for _ in 1..50 {
        let mut other = connect(&server);
        answers(&mut other, b"").await;
        others.push(other);
    }
    assert_eq!(until_closed(connect(&server), b"").await, "");
    // When a client disconnects, there is room for another, as soon as the server notices.
    drop(others.pop());
    let again = async {
        loop {
            let mut other = connect(&server);
            let request = br#"{"id":1,"method":"echo","params":[]}"#;
            if other.write_all(request).await.is_ok()
                && other.read(&mut [0; 9]).await.unwrap_or(0) > 0
            {
                return;
            }
        }
    };
    timeout(HANG, again).await.expect("room for another client");
}

#[tokio::test]
async fn a_client_that_never_reads_costs_bounded_memory() {
    let server = builder().start().unwrap();
    let mut neighbour = connect(&server);
    let text = "x".repeat(100_000);
    let insert = format!(
        r#"{{"id":1,"method":"transact","params":["D",{{"op":"insert","table":"T","row":{{"s":"{text}"}}}}]}}"#
    );
    answers(&mut neighbour, insert.as_bytes()).await;
    let before = peak_memory();
    // Each request is short, and its reply has 100,000 bytes.
    let requests =
        r#"{"id":1,"method":"transact","params":["D",{"op":"select","table":"T","where":[]}]}"#
            .repeat(1000);
    let mut greedy = Vec::new();
    for _ in 0..10 {
        let mut stream = connect(&server);
        let mut rest = requests.as_bytes();
        // Until the server stops reading.
        while !rest.is_empty()
            && let Ok(sent) = timeout(Duration::from_millis(200), stream.write(rest)).await
        {
            rest = &rest[sent.unwrap()..];
        }
        greedy.push(stream);
    }
    answers(&mut neighbour, b"").await;
    let more = peak_memory() - before;
    assert!(more < 100, "{more} MiB; all replies are 1,000 MB");
    // A client that reads gets everything.
    let mut stream = greedy.pop().unwrap();
    let mut received = 0;
    let mut buffer = vec![0; 1 << 20];
    while received < 1000 * text.len() {
        let read = timeout(HANG, stream.read(&mut buffer))
            .await
            .expect("no hang")
            .unwrap();
        assert_ne!(read, 0);
        received += read;
    }
}

#[tokio::test]
async fn a_client_that_is_silent_and_does_not_read_is_disconnected() {
    let interval = Duration::from_millis(100);
    let server = builder()
        .probe_interval(interval)
        .max_sessions(1)
        .start()
        .unwrap();
    let remote = server
        .listen(&"ptcp:0:127.0.0.1".parse().unwrap())
        .await
        .unwrap();
    let address = remote.to_string().replace("tcp:", "");
    let silent = tokio::net::TcpStream::connect(&address).await.unwrap();
    let requests = r#"{"id":1,"method":"get_schema","params":["D"]}"#.repeat(100_000);
    let (_read, mut write) = silent.into_split();
    let _ = timeout(
        Duration::from_millis(200),
        write.write_all(requests.as_bytes()),
    )
    .await;
    // There is room for only one client.
    let again = async {
        loop {
            let mut other = connect(&server);
            let request = br#"{"id":1,"method":"echo","params":[]}"#;
            if other.write_all(request).await.is_ok()
                && other.read(&mut [0; 9]).await.unwrap_or(0) > 0
            {
                return;
            }
            tokio::time::sleep(interval).await;
        }
    };
    timeout(HANG, again)
        .await
        .expect("the first client was disconnected");
}
