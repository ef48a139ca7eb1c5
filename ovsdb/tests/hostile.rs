//! Peers that send what no server should, and connections that end at any byte.

mod support;

use std::time::Duration;

use ovsdb::protocol::{FrameError, Limits};
use ovsdb::testing::{Cut, Direction, Proxy, Server};
use ovsdb::{
    Cache, Client, ClientBuilder, ConnectionState, DisconnectReason, Disconnected, Error, Uuid,
};
use support::interposer::Interposer;
use support::inventory::{Database, Item, ItemOnly};
use support::peer::Peer;
use support::replica::{Fold, same_as_dump};
use support::scale::size;
use support::seed::Seed;
use support::{INVENTORY, inventory_server};
use tokio::time::timeout;

/// Longer than anything here takes, so that a test that hangs fails.
const HANG: Duration = Duration::from_secs(60);

const LIMITS: Limits = Limits::new().message_bytes(8 << 20).depth(1000);

fn builder(remotes: impl ovsdb::IntoRemotes) -> ClientBuilder<Database> {
    Client::builder()
        .remotes(remotes)
        .limits(LIMITS)
        .backoff(Duration::from_millis(1), Duration::from_millis(20))
}

fn item(name: &str) -> Item {
    Item {
        name: name.into(),
        total: name
            .bytes()
            .fold(0, |sum, byte| sum * 31 % 1_000_003 + i64::from(byte)),
        only: ItemOnly::Sole,
        ..Default::default()
    }
}

async fn insert(client: &Client<Database>, name: &str) -> Uuid {
    let mut txn = client.transaction();
    let row = txn.insert(item(name));
    let committed = timeout(HANG, txn.commit_once()).await;
    committed.expect("no hang").expect("a commit");
    row.uuid()
}

/// Waits until the connection is lost. Returns the reason.
async fn loss(client: &Client<Database>) -> Disconnected {
    let mut state = client.state();
    let lost = state.wait_for(|state| matches!(state, ConnectionState::Waiting { .. }));
    match &timeout(HANG, lost).await.expect("no hang").expect("alive") {
        ConnectionState::Waiting { lost: Some(lost) } => lost.clone(),
        other => panic!("{other:?}"),
    }
}

/// The peak memory of this process, in MiB.
fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let number = line.and_then(|line| line.split_whitespace().nth(1));
    number
        .and_then(|text| text.parse::<u64>().ok())
        .expect("kB")
        / 1024
}

/// A client with a replica, behind a proxy that injects messages.
struct World {
    server: Server,
    interposer: Interposer,
    client: Client<Database>,
    cache: Cache<Database>,
}

impl World {
    async fn new() -> Self {
        let server = inventory_server();
        let interposer = Interposer::start(server.socket(), Vec::new()).await;
        // The wait after a failure is long enough to see the reason.
        let client = builder(interposer.remote())
            .backoff(Duration::from_millis(200), Duration::from_millis(200))
            .connect()
            .await
            .expect("a client");
        let cache = client.cache().all_tables().start().await.expect("a cache");
        insert(&client, "first").await;
        Self {
            server,
            interposer,
            client,
            cache,
        }
    }

    /// The client works, on this or a later connection.
    async fn works(&self, name: &str) {
        insert(&self.client, name).await;
        timeout(HANG, self.cache.current())
            .await
            .expect("no hang")
            .expect("current");
        same_as_dump(&self.cache, &self.server).await;
    }

    /// Sends something that ends the connection. Returns the reason.
    async fn offend(&self, bytes: impl AsRef<[u8]>, times: u64) -> Disconnected {
        self.interposer.inject(bytes.as_ref(), times);
        loss(&self.client).await
    }
}

#[tokio::test]
async fn bytes_that_are_not_a_message_end_only_the_connection() {
    let world = World::new().await;
    type Check = fn(&DisconnectReason) -> bool;
    let message: Check = |reason| matches!(reason, DisconnectReason::Message(_));
    let garbage: Check =
        |reason| matches!(reason, DisconnectReason::Frame(FrameError::NotAMessage(_)));
    let cases: &[(&[u8], Check)] = &[
        (b"\0", garbage),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", garbage),
        (b"\"text\"", garbage),
        (b"1", garbage),
        (b"}", garbage),
        (b"\xef\xbb\xbf{}", garbage),
        (
            b"{\"id\":null,\"method\":\"\xff\xfe\",\"params\":[]}",
            |reason| matches!(reason, DisconnectReason::NotUtf8),
        ),
        // Surrogates, which UTF-8 does not allow.
        (b"[\"\xed\xa0\x80\"]", |reason| {
            matches!(reason, DisconnectReason::NotUtf8)
        }),
        (b"[]", message),
        (b"{}", message),
        (b"[1,2}", message),
        (b"{\"id\":1}", message),
        (b"{\"method\":7,\"params\":[],\"id\":null}", message),
        (
            b"{\"method\":\"update3\",\"params\":{},\"id\":null}",
            message,
        ),
        (b"{\"method\":\"update3\",\"id\":null}", message),
        (
            b"{\"method\":\"locked\",\"params\":[7],\"id\":null}",
            message,
        ),
        (b"{\"id\":1,\"result\":[],\"error\":null,}", message),
        (b"{\"id\":1,\"result\":[tru],\"error\":null}", message),
        (
            b"{\"method\":\"\\u0000\",\"params\":[],\"id\":null}",
            message,
        ),
    ];
    for (at, (bytes, expected)) in cases.iter().enumerate() {
        let said = String::from_utf8_lossy(bytes);
        let lost = world.offend(bytes, 1).await;
        assert!(expected(lost.reason()), "{said}: {lost:?}");
        world.works(&format!("after {at}")).await;
    }
}

#[tokio::test]
async fn endless_messages_are_given_up_within_bounds() {
    let world = World::new().await;
    let lost = world.offend(vec![b'['; 1_000_000], 1).await;
    assert!(
        matches!(
            lost.reason(),
            DisconnectReason::Frame(FrameError::TooDeep(1000))
        ),
        "{lost:?}"
    );
    world.works("after brackets").await;

    // Exactly as deep as the limit: parsing must not overflow the stack.
    let deep = [vec![b'['; 1000], vec![b']'; 1000]].concat();
    let deep = [b"{\"x\":".as_slice(), &deep[1..1999], b"}"].concat();
    let lost = world.offend(deep, 1).await;
    assert!(
        matches!(lost.reason(), DisconnectReason::Message(_)),
        "{lost:?}"
    );
    world.works("after nesting").await;

    // Four gigabytes of one number, of one string, of blanks within a message.
    for (start, filler) in [("{\"id\":", b'1'), ("[\"", b'x'), ("[", b' ')] {
        world.interposer.inject(start.as_bytes(), 1);
        let before = world.interposer.injected();
        let lost = world.offend(vec![filler; 1 << 20], 4096).await;
        assert!(
            matches!(
                lost.reason(),
                DisconnectReason::Frame(FrameError::TooLong(limit)) if *limit == LIMITS.message_bytes
            ),
            "{lost:?}"
        );
        let injected = world.interposer.injected() - before;
        assert!(injected < 64 << 20, "{injected} bytes were taken");
        world.works(&format!("after {start}")).await;
    }
    // Blanks between messages are not a message, however many they are.
    world.interposer.inject(vec![b' '; 1 << 20], 64);
    world.works("after blanks").await;
    assert!(world.client.state().get().is_connected());
    let peak = peak_memory();
    assert!(peak < 400, "{peak} MiB");
}

#[tokio::test]
async fn unsolicited_replies_and_updates_change_nothing() {
    let world = World::new().await;
    let connections = world.interposer.injected();
    let state = world.client.state();
    let row = Uuid::new_v4();
    for (at, words) in [
        r#"{"id":987654321,"result":[],"error":null}"#.to_owned(),
        r#"{"id":-1,"result":[],"error":null}"#.to_owned(),
        r#"{"id":18446744073709551616,"result":[],"error":null}"#.to_owned(),
        r#"{"id":0.5,"result":[],"error":null}"#.to_owned(),
        r#"{"id":"0","result":[],"error":null}"#.to_owned(),
        r#"{"id":[{"a":[]}],"result":null,"error":"no"}"#.to_owned(),
        r#"{"id":"echo","method":"echo","params":[{"deep":[[[]]]}]}"#.to_owned(),
        r#"{"id":null,"method":"no such news","params":[1,2]}"#.to_owned(),
        r#"{"id":null,"method":"locked","params":["a lock"]}"#.to_owned(),
        r#"{"id":null,"method":"stolen","params":["a lock"]}"#.to_owned(),
        r#"{"id":null,"method":"monitor_canceled","params":["a monitor"]}"#.to_owned(),
        format!(
            r#"{{"id":null,"method":"update2","params":[4711,{{"Item":{{"{row}":{{"delete":null}}}}}}]}}"#
        ),
        format!(
            r#"{{"id":null,"method":"update3","params":[["json",null],"{row}",{{"Item":{{}}}}]}}"#
        ),
    ]
    .iter()
    .enumerate()
    {
        world.interposer.inject(words.as_bytes(), 1);
        world.works(&format!("after {at}")).await;
    }
    world.interposer.inject(
        br#"{"id":987654321,"result":[],"error":null}"#.as_slice(),
        100_000,
    );
    world.works("after many").await;
    assert!(world.interposer.injected() > connections + 4_000_000);
    assert!(!state.has_changed(), "the connection was lost");
}

#[tokio::test]
async fn all_rows_are_fetched_after_an_update_that_does_not_fit() {
    let world = World::new().await;
    let row = insert(&world.client, "known").await;
    let mut changes = world.cache.all_changes();
    let mut fold = Fold::default();
    // The session numbers its monitors, and takes the next number for each new request. The test sends each
    // update for all numbers that may be in use.
    let stranger = Uuid::new_v4();
    for (at, updates) in [
        format!(r#"{{"Item":{{"{stranger}":{{"delete":null}}}}}}"#),
        format!(r#"{{"Item":{{"{stranger}":{{"modify":{{"total":1}}}}}}}}"#),
        format!(r#"{{"Item":{{"{row}":{{"insert":{{"name":"x"}}}}}}}}"#),
        format!(r#"{{"Item":{{"{row}":{{"modify":{{"total":"x"}}}}}}}}"#),
        format!(r#"{{"Item":{{"{row}":{{"modify":{{"total":1e400}}}}}}}}"#),
        format!(r#"{{"Item":{{"{row}":{{"modify":{{"name":"\ud800"}}}}}}}}"#),
        format!(r#"{{"Item":{{"{row}":{{"modify":{{"name":"\u0000"}}}}}}}}"#),
        format!(r#"{{"Item":{{"{row}":{{"modify":{{"tags":["set",["a",["map",[]]]]}}}}}}}}"#),
        format!(r#"{{"Item":{{"{row}":{{"modify":{{"nonsense":1}}}}}}}}"#),
        format!(r#"{{"Item":{{"{row}":{{"conjure":{{}}}}}}}}"#),
        r#"{"Item":{"not a uuid":{"delete":null}}}"#.to_owned(),
        r#"{"Nonsense":{}}"#.to_owned(),
        r#"{"Item":[]}"#.to_owned(),
        "[]".to_owned(),
        "null".to_owned(),
    ]
    .iter()
    .enumerate()
    {
        let freshness = world.cache.freshness();
        for monitor in 1..=2 * (at + 1) {
            let nil = Uuid::nil();
            let words = format!(
                r#"{{"id":null,"method":"update3","params":[{monitor},"{nil}",{updates}]}}"#
            );
            world.interposer.inject(words.as_bytes(), 1);
        }
        world.works(&format!("after {at}")).await;
        assert!(freshness.has_changed(), "{updates} was taken");
        while let Some(batch) = changes.try_next() {
            fold.take(&batch);
        }
        assert!(fold.is(&world.cache.snapshot()));
    }
    // Only changes that were made were reported.
    assert_eq!((fold.deleted, fold.modified), (0, 0));
}

#[tokio::test]
async fn a_hostile_greeting_is_a_typed_error_or_ignored() {
    let greetings: Vec<Vec<u8>> = vec![
        b"garbage".to_vec(),
        vec![b'['; 1_000_000],
        b"{\"id\":0,\"result\":\"\xff\",\"error\":null}".to_vec(),
        b"[]".to_vec(),
        [b"[".to_vec(), vec![b'1'; 9 << 20]].concat(),
        b"{\"id\":1,\"result\":7,\"error\":null}".to_vec(),
        b"{\"id\":2,\"result\":{\"name\":7},\"error\":null}".to_vec(),
        Vec::new(),
    ];
    let server = inventory_server();
    for greeting in &greetings {
        let interposer = Interposer::start(server.socket(), vec![greeting.clone()]).await;
        let connect = builder(interposer.remote()).connect_timeout(Duration::from_millis(500));
        let error = timeout(HANG, connect.connect()).await.expect("no hang");
        let said = String::from_utf8_lossy(&greeting[..greeting.len().min(50)]).into_owned();
        match error.expect_err("no server") {
            Error::Unusable { lost, .. } => assert!(
                matches!(
                    lost.reason(),
                    DisconnectReason::Frame(_)
                        | DisconnectReason::NotUtf8
                        | DisconnectReason::Message(_)
                        | DisconnectReason::Schema(_)
                ),
                "{said}: {lost:?}"
            ),
            // The server sent nothing, or a reply to only one of the client's requests.
            Error::ConnectTimeout { .. } => {
                assert!(said.is_empty() || said.contains("\"id\""), "{said}");
            }
            other => panic!("{said}: {other:?}"),
        }
    }
    let interposer = Interposer::start(server.socket(), greetings).await;
    let client = builder(interposer.remote())
        .connect_timeout(Duration::from_millis(500))
        .wait_for_server(true)
        .connect();
    let client = timeout(HANG, client).await.expect("no hang");
    let client = client.expect("a client");
    let cache = client.cache().all_tables().start().await.expect("a cache");
    insert(&client, "at last").await;
    same_as_dump(&cache, &server).await;
}

#[tokio::test]
async fn malformed_replies_to_the_first_requests_are_typed_errors() {
    for (method, answer) in [
        ("get_schema", "7"),
        ("get_schema", r#"{"name":"Inventory","tables":{"Item":7}}"#),
        ("get_schema", "null"),
        ("monitor_cond", "[]"),
        ("monitor_cond", r#"{"Database":{"x":{}}}"#),
        (
            "monitor_cond",
            r#"{"Database":{"x":{"initial":{"name":7}}}}"#,
        ),
    ] {
        let peer = Peer::new();
        let connecting = tokio::spawn(builder(peer.remote()).connect());
        let mut connection = peer.accept().await;
        for _ in 0..3 {
            let request = connection.request().await;
            if request.method == method {
                connection.reply(&request, answer).await;
                break;
            }
            match request.method.as_str() {
                "get_schema" => connection.reply(&request, INVENTORY).await,
                "monitor_cond" => connection.fail(&request, "\"unknown database\"").await,
                _ => connection.reply(&request, "{}").await,
            }
        }
        let error = timeout(HANG, connecting).await.expect("no hang");
        match error.expect("no panic").expect_err("no valid answer") {
            Error::Unusable { lost, .. } => assert!(
                matches!(
                    lost.reason(),
                    DisconnectReason::Schema(_) | DisconnectReason::Message(_)
                ),
                "{method} {answer}: {lost:?}"
            ),
            other => panic!("{method} {answer}: {other:?}"),
        }
    }
}

/// Commits transactions while the proxy cuts each new connection at the same byte, until it has cut one.
async fn until_cut(client: &Client<Database>, proxy: &Proxy, next: &mut u64) {
    let before = proxy.passed().connections;
    // The proxy ends the connection on both sides. If it ended only the client's side, the server could carry
    // out a request of the old connection late: after the client had repeated the commit, and after the row
    // that shows that commit was deleted.
    proxy.cut(Cut::Close);
    let cut = || proxy.passed().connections >= before + 2;
    let commits = async {
        while !cut() {
            let mut txn = client.transaction();
            txn.insert(item(&format!("row {next}")));
            txn.mutate(Item::NAME.eq("counter")).add(Item::COUNT, 1);
            if let Some(old) = next.checked_sub(3) {
                txn.delete(Item::NAME.eq(format!("row {old}")));
            }
            txn.commit_once().await.expect("a commit");
            *next += 1;
        }
    };
    let release = async {
        while !cut() {
            tokio::time::sleep(Duration::from_micros(500)).await;
        }
        proxy.cut_at(None);
    };
    let both = async { tokio::join!(commits, release) };
    timeout(HANG, both).await.expect("no hang");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_may_end_at_any_byte() {
    let seed = Seed::new();
    let server = inventory_server();
    let proxy = Proxy::start(&server.remote(), seed.draw()).await;
    let proxy = proxy.expect("a proxy");
    let client = builder(proxy.remote()).request_timeout(None);
    let client = client.connect().await.expect("a client");
    let cache = client.cache().all_tables().start().await.expect("a cache");
    let mut changes = cache.all_changes();
    let mut fold = Fold::default();
    insert(&client, "counter").await;
    // What is sent at the beginning of a connection, and for a transaction.
    let before = proxy.passed();
    {
        let other = builder(proxy.remote()).connect().await.expect("a client");
        let _cache = other.cache().all_tables().start().await.expect("a cache");
        insert(&other, "row").await;
    }
    let passed = proxy.passed();
    let lengths = [
        (Direction::ToServer, passed.to_server - before.to_server),
        (Direction::ToClient, passed.to_client - before.to_client),
    ];
    let (mut next, mut random) = (0, seed.random());
    let step = size(41, 1);
    for (direction, length) in lengths {
        let first = random.u64(..step as u64);
        for at in (first..length).step_by(step) {
            proxy.cut_at(Some((direction, at)));
            until_cut(&client, &proxy, &mut next).await;
            while let Some(batch) = changes.try_next() {
                fold.take(&batch);
            }
        }
    }
    cache.current().await.expect("current");
    same_as_dump(&cache, &server).await;
    let view = cache.snapshot();
    while let Some(batch) = changes.try_next() {
        fold.take(&batch);
    }
    assert!(fold.is(&view));
    let counter = view.get_by(Item::NAME, "counter").expect("the counter");
    assert_eq!(counter.count, i64::try_from(next).expect("few"));
    assert_eq!(view.rows::<Item>().len(), 5);
}
