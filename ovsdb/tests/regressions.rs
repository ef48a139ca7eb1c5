//! Faults of other OVSDB clients that made users abandon these clients, one in each test. Most tests use a
//! peer that follows a script, since real servers rarely show the faults.

mod support;

use std::net::Ipv4Addr;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ovsdb::protocol::{Json, Wire};
use ovsdb::testing::Server;
use ovsdb::{Client, CommitError, DisconnectReason, Error, MonitorVersion, Uuid};
use support::inventory::{Database, Item, ItemOnly};
use support::peer::{Connection, Peer};
use support::{INVENTORY, connect, inventory_server};
use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

/// Longer than anything here takes, so that a test that hangs fails.
const HANG: Duration = Duration::from_secs(20);

/// A client of a scripted peer, and the peer's end of the connection.
async fn scripted(peer: &Peer) -> (Client<Database>, Connection) {
    let remote = peer.remote();
    let client = tokio::spawn(async move {
        Client::<Database>::builder()
            .remotes(remote)
            .connect()
            .await
            .expect("a client")
    });
    let mut connection = peer.accept().await;
    connection.give_schema(INVENTORY).await;
    (client.await.expect("a client"), connection)
}

async fn echo(client: &Client<Database>, text: &str) -> Result<Json, Error> {
    let params = Json::from_json(text).expect("json");
    timeout(HANG, client.echo(params)).await.expect("no hang")
}

#[tokio::test]
async fn the_servers_keepalive_is_answered_and_the_connection_lives_on() {
    let peer = Peer::new();
    let (idle, mut connection) = scripted(&peer).await;
    for _ in 0..3 {
        connection
            .send(r#"{"method":"echo","params":[],"id":"echo"}"#)
            .await;
        let answer = connection.text().await.expect("an answer");
        assert_eq!(answer, r#"{"error":null,"id":"echo","result":[]}"#);
    }
    let call = tokio::spawn(async move { echo(&idle, "[1]").await });
    let request = connection.request().await;
    connection.reply(&request, "[1]").await;
    assert_eq!(
        call.await.expect("no panic").expect("an answer").as_str(),
        "[1]"
    );
}

/// Forwards connections to a port, and counts them.
async fn forwarder(port: u16) -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .await
        .expect("a port");
    let own = listener.local_addr().expect("an address").port();
    let count = Arc::new(AtomicUsize::new(0));
    let counted = count.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::Relaxed);
            tokio::spawn(async move {
                let mut server = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
                tokio::io::copy_bidirectional(&mut stream, &mut server).await
            });
        }
    });
    (own, count)
}

#[tokio::test]
async fn an_idle_connection_outlives_the_probes_of_a_real_server() {
    if support::embedded_server_lacks("remotes in a database") {
        return;
    }
    use ovsdb::nb::{Connection, Database, NbGlobal};
    // The probe interval of a TCP port is set in the database; one second is the shortest.
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .await
        .expect("a port");
    let port = free.local_addr().expect("an address").port();
    drop(free);
    let server = Server::builder()
        .schema(ovsdb::schema::bundled("OVN_Northbound").expect("a bundled schema"))
        .argument("--remote=db:OVN_Northbound,NB_Global,connections")
        .start()
        .expect("a server");
    let local = connect::<Database>(&server).await;
    let mut txn = local.transaction();
    let connection = txn.insert(Connection {
        target: format!("ptcp:{port}:127.0.0.1").into(),
        inactivity_probe: Some(1000),
        ..Default::default()
    });
    txn.insert(NbGlobal {
        connections: [connection].into(),
        ..Default::default()
    });
    txn.commit().await.expect("a commit");
    let mut silent = loop {
        match TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await {
            Ok(stream) => break stream,
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    };

    let (forwarded, connections) = forwarder(port).await;
    let client = Client::<Database>::builder()
        .remotes(format!("tcp:127.0.0.1:{forwarded}"))
        .connect()
        .await
        .expect("a client");
    // A client that does not answer the probe is disconnected.
    let mut heard = String::new();
    let end = silent.read_to_string(&mut heard);
    timeout(HANG, end)
        .await
        .expect("no hang")
        .expect("the end of the stream");
    assert!(heard.contains(r#""method":"echo""#), "{heard}");
    // Three more probe intervals pass on the same connection.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let mut txn = client.transaction();
    txn.insert(ovsdb::nb::LogicalSwitch::default());
    txn.commit().await.expect("a commit after idle time");
    assert_eq!(connections.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn calls_fail_and_monitors_are_repeated_when_the_connection_ends() {
    let peer = Peer::new();
    let (client, mut connection) = scripted(&peer).await;
    let calls: Vec<_> = (0..20)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move { echo(&client, "[]").await })
        })
        .collect();
    let writer = client.clone();
    let commit = tokio::spawn(async move {
        let mut txn = writer.transaction();
        txn.insert(Item {
            only: ItemOnly::Sole,
            ..Default::default()
        });
        timeout(HANG, txn.commit()).await.expect("no hang")
    });
    let watcher = client.clone();
    let monitor = tokio::spawn(async move { watcher.cache().table::<Item>().start().await });
    for _ in 0..22 {
        connection.request().await;
    }
    drop(connection);
    for call in calls {
        let error = call.await.expect("no panic").expect_err("no answer");
        let Error::Disconnected(lost) = error else {
            panic!("{error}")
        };
        assert!(matches!(lost.reason(), DisconnectReason::ByServer));
    }
    // What was sent may have been carried out.
    assert!(matches!(
        commit.await.expect("no panic"),
        Err(CommitError::Unknown(_))
    ));
    // Later requests wait for the next connection, and so do the requests that the client repeats by itself.
    let mut txn = client.transaction();
    let _ = txn.comment("too late");
    txn.timeout(Some(Duration::from_millis(50)));
    assert!(matches!(
        timeout(HANG, txn.commit()).await,
        Ok(Err(CommitError::NotSent(lost))) if matches!(lost.reason(), DisconnectReason::TimedOut)
    ));
    let later = tokio::spawn(async move { echo(&client, "[7]").await });
    let mut connection = peer.accept().await;
    connection.give_schema(INVENTORY).await;
    let request = connection.request().await;
    assert_eq!(request.method, "monitor_cond_since");
    let reply = format!(r#"[false,"{}",{{}}]"#, Uuid::nil());
    connection.reply(&request, &reply).await;
    let request = connection.request().await;
    assert_eq!(
        (request.method.as_str(), request.params.as_str()),
        ("echo", "[7]")
    );
    connection.reply(&request, "[7]").await;
    assert!(monitor.await.expect("no panic").is_ok());
    assert!(later.await.expect("no panic").is_ok());
}

/// A long reply with everything that is difficult for framing.
fn tricky(id: &str) -> String {
    format!(
        r#"{{"id":{id},"result":["\"","\\","\\\"","}}]{{[","é€😀",{{"a":[[]]}}],"error":null}}"#
    )
}

#[tokio::test]
async fn messages_arrive_whole_wherever_they_are_cut() {
    let peer = Peer::new();
    let (client, mut connection) = scripted(&peer).await;
    let length = tricky("100").len();
    for cut in 0..=length {
        let caller = client.clone();
        let call = tokio::spawn(async move { echo(&caller, "[0]").await });
        let request = connection.request().await;
        let reply = tricky(&request.id).into_bytes();
        let (first, second) = reply.split_at(cut.min(reply.len()));
        for part in [first, second] {
            tokio::io::AsyncWriteExt::write_all(&mut connection.stream, part)
                .await
                .expect("sent");
            tokio::task::yield_now().await;
        }
        let answer = call.await.expect("no panic").expect("an answer");
        assert!(
            answer.as_str().starts_with(r#"["\"","\\","\\\""#),
            "cut at {cut}"
        );
    }
}

#[tokio::test]
async fn several_messages_in_one_read_are_all_handled() {
    let peer = Peer::new();
    let (client, mut connection) = scripted(&peer).await;
    let calls: Vec<_> = (0..10)
        .map(|number| {
            let client = client.clone();
            tokio::spawn(async move { echo(&client, &format!("[{number}]")).await })
        })
        .collect();
    let mut requests = Vec::new();
    for _ in 0..10 {
        requests.push(connection.request().await);
    }
    let mut burst = String::new();
    for request in requests.iter().rev() {
        burst += r#"{"method":"echo","params":[],"id":0}"#;
        ovsdb::protocol::write_reply(&mut burst, &request.id, &request.params);
    }
    connection.send(&burst).await;
    for (number, call) in calls.into_iter().enumerate() {
        let answer = call.await.expect("no panic").expect("an answer");
        assert_eq!(answer.as_str(), format!("[{number}]"));
    }
}

#[tokio::test]
async fn requests_have_no_jsonrpc_member_and_params_are_an_array() {
    // Several methods on one connection: a "jsonrpc" member, or parameters that are not an array, would make
    // the server close the connection.
    let server = inventory_server();
    let client: Client<Database> = connect(&server).await;
    let cache = client.cache().all_tables().start().await.expect("a cache");
    client.list_dbs().await.expect("names");
    client.get_server_id().await.expect("an id");
    drop(client.lock("l").await.expect("a lock"));
    drop(cache);
    assert_eq!(echo(&client, "[]").await.expect("an echo").as_str(), "[]");
    let peer = Peer::new();
    let (client, mut connection) = scripted(&peer).await;
    tokio::spawn(async move { client.list_dbs().await });
    let text = connection.text().await.expect("a request");
    assert!(
        !text.contains("jsonrpc") && text.ends_with(r#""params":[]}"#),
        "{text}"
    );
}

#[tokio::test]
async fn enums_of_one_value_are_typed() {
    use ovsdb::nb::{MeterBand, MeterBandAction};
    let server = support::bundled_server("OVN_Northbound");
    let client = connect::<ovsdb::nb::Database>(&server).await;
    let mut txn = client.transaction();
    let band = MeterBand {
        action: MeterBandAction::Drop,
        rate: 25,
        ..Default::default()
    };
    let band = txn.insert(band);
    txn.insert(ovsdb::nb::Meter {
        name: "m".into(),
        unit: ovsdb::nb::MeterUnit::Pktps,
        bands: [band].into(),
        ..Default::default()
    });
    txn.commit().await.expect("a commit");
    let cache = client.cache().all_tables().start().await.expect("a cache");
    let action = cache.snapshot().get(band).map(|band| band.action.clone());
    assert_eq!(action, Some(MeterBandAction::Drop));
}

#[tokio::test]
async fn columns_that_the_server_omits_are_at_their_default() {
    let peer = Peer::new();
    let (client, mut connection) = scripted(&peer).await;
    let start = tokio::spawn(async move { client.cache().table::<Item>().start().await });
    let request = connection.request().await;
    assert_eq!(request.method, "monitor_cond_since");
    let uuid = Uuid::from_u128(1);
    let zero = Uuid::nil();
    let reply = format!(r#"[false,"{zero}",{{"Item":{{"{uuid}":{{"initial":{{"name":"n"}}}}}}}}]"#);
    connection.reply(&request, &reply).await;
    let cache = start.await.expect("no panic").expect("a cache");
    let view = cache.snapshot();
    let row = view.get_by(Item::NAME, "n").expect("the row");
    assert_eq!(
        Item::clone(row),
        Item {
            name: "n".into(),
            ..Default::default()
        }
    );
}

#[tokio::test]
async fn older_servers_are_monitored_by_a_method_that_they_have() {
    for (known, version) in [
        ("monitor_cond", MonitorVersion::MonitorCond),
        ("monitor", MonitorVersion::Monitor),
    ] {
        let peer = Peer::new();
        let (client, mut connection) = scripted(&peer).await;
        let start = tokio::spawn(async move { client.cache().table::<Item>().start().await });
        let request = loop {
            let request = connection.request().await;
            if request.method == known {
                break request;
            }
            connection.fail(&request, "\"unknown method\"").await;
        };
        let uuid = Uuid::from_u128(1);
        let kind = if known == "monitor" { "new" } else { "initial" };
        let reply = format!(r#"{{"Item":{{"{uuid}":{{"{kind}":{{"name":"n"}}}}}}}}"#);
        connection.reply(&request, &reply).await;
        let cache = start.await.expect("no panic").expect("a cache");
        assert_eq!(cache.monitor_version(), version);
        assert!(cache.snapshot().get_by(Item::NAME, "n").is_some());
    }
}

#[tokio::test]
async fn an_update_that_does_not_fit_is_never_ignored() {
    let zero = Uuid::nil();
    for update in [
        // Modifying and deleting unknown rows, and inserting a known one.
        r#"{"Item":{"00000000-0000-0000-0000-000000000009":{"modify":{"name":"m"}}}}"#,
        r#"{"Item":{"00000000-0000-0000-0000-000000000009":{"delete":null}}}"#,
        r#"{"Item":{"00000000-0000-0000-0000-000000000001":{"insert":{"name":"m"}}}}"#,
        // A value of another type, an unknown column, an unknown table, no uuid, and no object.
        r#"{"Item":{"00000000-0000-0000-0000-000000000001":{"modify":{"name":5}}}}"#,
        r#"{"Item":{"00000000-0000-0000-0000-000000000001":{"modify":{"nothing":5}}}}"#,
        r#"{"Nothing":{"00000000-0000-0000-0000-000000000001":{"delete":null}}}"#,
        r#"{"Item":{"no uuid":{"delete":null}}}"#,
        "[]",
    ] {
        let peer = Peer::new();
        let (client, mut connection) = scripted(&peer).await;
        let caller = client.clone();
        let start = tokio::spawn(async move { caller.cache().table::<Item>().start().await });
        let request = connection.request().await;
        let row = r#"{"00000000-0000-0000-0000-000000000001":{"initial":{"name":"n"}}}"#;
        connection
            .reply(&request, &format!(r#"[false,"{zero}",{{"Item":{row}}}]"#))
            .await;
        let cache = start.await.expect("no panic").expect("a cache");

        // If the update is of `Item`, one half of it would fit.
        let good = r#""00000000-0000-0000-0000-000000000002":{"insert":{"name":"half"}},"#;
        let update = update.replace(r#"{"Item":{"#, &format!(r#"{{"Item":{{{good}"#));
        let update = format!(r#"{{"id":null,"method":"update3","params":[1,"{zero}",{update}]}}"#);
        connection.send(&update).await;
        // The monitor is cancelled and requested again, with all rows, on the same connection.
        let end = connection.request().await;
        assert_eq!(
            (end.method.as_str(), end.params.as_str()),
            ("monitor_cancel", "[1]")
        );
        connection.reply(&end, "{}").await;
        let again = connection.request().await;
        assert_eq!(again.method, "monitor_cond_since");
        assert!(
            again.params.ends_with(&format!(r#","{zero}"]"#)),
            "{again:?}"
        );
        // Nothing of the update is visible, but the replica reports that it is stale.
        let view = cache.snapshot();
        assert_eq!(view.rows::<Item>().len(), 1, "{update}");
        assert!(view.get_by(Item::NAME, "half").is_none());
        assert!(!cache.is_current());
        let row = r#"{"00000000-0000-0000-0000-000000000003":{"initial":{"name":"new"}}}"#;
        connection
            .reply(&again, &format!(r#"[false,"{zero}",{{"Item":{row}}}]"#))
            .await;
        let call = tokio::spawn(async move { echo(&client, "[]").await });
        let request = connection.request().await;
        connection.reply(&request, "[]").await;
        call.await.expect("no panic").expect("an answer");
        let view = cache.snapshot();
        assert_eq!(view.rows::<Item>().len(), 1);
        assert!(view.get_by(Item::NAME, "new").is_some() && cache.is_current());
    }
}

#[tokio::test]
async fn subscribers_process_an_update_before_the_next_is_applied() {
    // A short first update, and one so long that it is decoded on another thread while the others wait.
    for first in [1, 10_000] {
        follow_one_by_one(first).await;
    }
}

/// Sends many updates at once, the first one with this many rows, the others with one each.
async fn follow_one_by_one(first: usize) {
    let zero = Uuid::nil();
    let peer = Peer::new();
    let (client, mut connection) = scripted(&peer).await;
    let start = tokio::spawn(async move { client.cache().table::<Item>().start().await });
    let request = connection.request().await;
    let reply = format!(r#"[false,"{zero}",{{}}]"#);
    connection.reply(&request, &reply).await;
    let cache = start.await.expect("no panic").expect("a cache");
    let mut changes = cache.changes::<Item>();
    assert!(changes.next().await.expect("the start").kind().is_start());

    const UPDATES: usize = 50;
    let insert = |numbers: Range<usize>| {
        let rows = numbers.map(|number| {
            let row = Uuid::from_u128(number as u128 + 1);
            format!(r#""{row}":{{"insert":{{"name":"n"}}}}"#)
        });
        let rows = rows.collect::<Vec<_>>().join(",");
        format!(r#"{{"id":null,"method":"update3","params":[1,"{zero}",{{"Item":{{{rows}}}}}]}}"#)
    };
    let single = (first..first + UPDATES).map(|number| insert(number..number + 1));
    let updates = insert(0..first) + &single.collect::<String>();
    let send = async {
        connection.send(&updates).await;
        connection
    };
    let follow = async {
        for number in first..=first + UPDATES {
            let batch = timeout(HANG, changes.next()).await.expect("in time");
            let seen = batch.expect("a batch").snapshot().len();
            let published = cache.snapshot().len();
            assert_eq!((seen, published), (number, number));
        }
    };
    tokio::join!(send, follow);
}

#[tokio::test]
async fn garbage_is_an_error_and_not_a_panic() {
    for garbage in [
        "garbage".to_owned(),
        "{\"id\":1,\"result\":[}".to_owned() + "]}",
        "[]".to_owned(),
        "{}".to_owned(),
        "[".repeat(1_000_000),
        "{\"id\":1,\"result\":\"\u{1}\"}".to_owned(),
        r#"{"method":"update3","params":{},"id":null}"#.to_owned(),
        r#"{"method":"update3","params":[],"id":null}"#.to_owned(),
    ] {
        let peer = Peer::new();
        let (client, mut connection) = scripted(&peer).await;
        let call = tokio::spawn(async move { echo(&client, "[]").await });
        connection.request().await;
        // The client may hang up before it has read all of it.
        let sent = tokio::io::AsyncWriteExt::write_all(&mut connection.stream, garbage.as_bytes());
        let _ = sent.await;
        let error = call.await.expect("no panic").expect_err("the session ends");
        let Error::Disconnected(lost) = error else {
            panic!("{error}")
        };
        let reason = lost.reason();
        assert!(
            matches!(
                reason,
                DisconnectReason::Frame(_) | DisconnectReason::Message(_)
            ),
            "{reason:?}"
        );
    }
    let peer = Peer::new();
    let (client, mut connection) = scripted(&peer).await;
    let call = tokio::spawn(async move { echo(&client, "[]").await });
    connection.request().await;
    let bytes = b"{\"id\":1,\"result\":\"\xff\xfe\"}";
    tokio::io::AsyncWriteExt::write_all(&mut connection.stream, bytes)
        .await
        .expect("sent");
    let error = call.await.expect("no panic").expect_err("the session ends");
    let Error::Disconnected(lost) = error else {
        panic!("{error}")
    };
    assert!(matches!(lost.reason(), DisconnectReason::NotUtf8));
}

#[tokio::test]
async fn replies_to_unknown_requests_are_ignored() {
    let peer = Peer::new();
    let (client, mut connection) = scripted(&peer).await;
    connection
        .send(r#"{"id":4711,"result":[],"error":null}{"id":"x","result":[]}"#)
        .await;
    connection
        .send(r#"{"id":null,"error":"unknown method","result":null}"#)
        .await;
    let call = tokio::spawn(async move { echo(&client, "[]").await });
    let request = connection.request().await;
    connection.reply(&request, "[]").await;
    assert!(call.await.expect("no panic").is_ok());
}

#[tokio::test]
async fn a_dropped_client_ends_its_connection() {
    let peer = Peer::new();
    let (client, mut connection) = scripted(&peer).await;
    let caller = client.clone();
    let start = tokio::spawn(async move { caller.cache().table::<Item>().start().await });
    let request = connection.request().await;
    let reply = format!(r#"[false,"{}",{{}}]"#, Uuid::nil());
    connection.reply(&request, &reply).await;
    let cache = start.await.expect("no panic").expect("a cache");
    drop(cache);
    assert_eq!(connection.request().await.method, "monitor_cancel");
    drop(client);
    assert_eq!(connection.text().await, None);

    let (client, mut connection) = scripted(&peer).await;
    client.close().await;
    assert_eq!(connection.text().await, None);
}

/// The client closes the connection at once, although its next attempt is far away.
#[tokio::test]
async fn a_connection_that_is_given_up_is_closed() {
    let peer = Peer::new();
    let hour = Duration::from_secs(3600);
    let client = Client::<Database>::builder().remotes(peer.remote());
    let client = tokio::spawn(client.backoff(hour, hour).connect());
    let mut connection = peer.accept().await;
    connection.give_schema(INVENTORY).await;
    let client = client.await.expect("no panic").expect("a client");
    connection.send("garbage").await;
    assert_eq!(connection.text().await, None);
    assert!(!client.state().get().is_connected());
}

#[tokio::test]
async fn an_abandoned_call_does_no_harm() {
    let server = inventory_server();
    let client: Client<Database> = connect(&server).await;
    for _ in 0..100 {
        drop(timeout(Duration::ZERO, client.list_dbs()).await);
        let start = client.cache().table::<Item>().start();
        drop(timeout(Duration::ZERO, start).await);
    }
    assert_eq!(echo(&client, "[]").await.expect("an echo").as_str(), "[]");
}

#[tokio::test]
async fn an_address_without_a_listener_is_an_error() {
    let error = Client::<Database>::builder()
        .remotes("unix:/nonexistent/socket,tcp:127.0.0.1:1")
        .connect()
        .await
        .expect_err("no server listens");
    assert!(matches!(error, Error::Connect { .. }), "{error}");
    let error = Client::<Database>::builder()
        .remotes("nonsense")
        .connect()
        .await;
    assert!(matches!(error, Err(Error::Remote(_))));
    // A server that accepts connections, and sends nothing.
    let peer = Peer::new();
    let error = Client::<Database>::builder()
        .remotes(peer.remote())
        .connect_timeout(Duration::from_millis(50))
        .connect()
        .await
        .expect_err("no answer");
    assert!(matches!(error, Error::ConnectTimeout { .. }), "{error}");
}
