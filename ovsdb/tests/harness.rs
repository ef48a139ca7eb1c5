//! The harness works as documented, and leaves nothing behind.

mod support;

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use ovsdb::Client;
use ovsdb::testing::{
    Cluster, Cut, Difference, Direction, Drip, Dump, Proxy, Server, ServerError, ServerKind,
    SslFiles,
};
use support::inventory::{Database, Item, ItemOnly, Part};
use support::{INVENTORY, connect, inventory_server};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

#[test]
fn a_dropped_server_leaves_no_process_and_no_folder() {
    let server = inventory_server();
    let (folder, id) = (
        server.folder().to_owned(),
        server.process_id().expect("it runs"),
    );
    let process = format!("/proc/{id}");
    assert!(folder.exists() && Path::new(&process).exists());
    drop(server);
    assert!(!folder.exists() && !Path::new(&process).exists());
}

/// Starts a server and a cluster, prints where they are, and ends as `OVSDB_TEST_END` says.
#[test]
#[ignore = "started by a_server_ends_with_its_process_however_that_ends"]
fn a_process_with_servers() {
    let Ok(end) = std::env::var("OVSDB_TEST_END") else {
        return;
    };
    // A server outlives the thread that started it.
    let starting = std::thread::spawn(|| {
        let mut again = inventory_server();
        again.kill().expect("killed");
        again.start().expect("started again");
        (again, Cluster::start(INVENTORY, 1).expect("a cluster"))
    });
    let (server, cluster) = starting.join().expect("no panic");
    for server in [&server, &cluster.members()[0]] {
        server.dump("Inventory", None).expect("it serves");
        let id = server.process_id().expect("it runs");
        let line = format!("SERVER {id} {}\n", server.folder().display());
        let told = std::io::stdout().write_all(line.as_bytes());
        told.expect("the other process listens");
    }
    match &*end {
        "exit" => std::process::exit(0),
        "abort" => std::process::abort(),
        "leak" => std::mem::forget((server, cluster)),
        _ => loop {
            std::thread::park();
        },
    }
}

/// Whether the process with this id runs and has this text on its command line. A process that ended and
/// was not waited for has no command line.
fn runs_with(id: &str, text: &str) -> bool {
    let line = std::fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&line).contains(text)
}

#[test]
fn a_server_ends_with_its_process_however_that_ends() {
    for end in ["exit", "abort", "leak", "kill", "kill the group"] {
        let mut process = Command::new(std::env::current_exe().expect("this program"))
            .args(["--ignored", "--exact", "a_process_with_servers"])
            .arg("--nocapture")
            .env("OVSDB_TEST_END", end)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .expect("this program runs");
        let output = BufReader::new(process.stdout.take().expect("a pipe"));
        let mut servers: Vec<(String, String)> = Vec::new();
        for line in output.lines() {
            let line = line.expect("text");
            // The name of the test may stand before this text on the line.
            if let Some((_, server)) = line.split_once("SERVER ") {
                let (id, folder) = server.split_once(' ').expect("an id and a folder");
                servers.push((id.to_owned(), folder.to_owned()));
            }
            if servers.len() == 2 {
                break;
            }
        }
        assert_eq!(servers.len(), 2, "{end}");
        match end {
            "kill" => process.kill().expect("killed"),
            "kill the group" => {
                let group = format!("-{}", process.id());
                let kill = Command::new("kill").args(["-KILL", "--", &group]).status();
                assert!(kill.expect("kill runs").success());
            }
            _ => {}
        }
        process.wait().expect("it ends");
        let deadline = Instant::now() + Duration::from_secs(30);
        for (id, folder) in &servers {
            while runs_with(id, folder) || Path::new(folder).exists() {
                assert!(Instant::now() < deadline, "{end}: {id} in {folder}");
                std::thread::sleep(Duration::from_millis(10));
            }
        }
    }
}

#[test]
fn a_killed_server_comes_back_with_its_data() {
    let mut server = inventory_server();
    let before = server.dump("Inventory", None).expect("a dump");
    server.kill().expect("killed");
    assert!(server.dump("Inventory", None).is_err());
    // Without a process id, `kill` must not signal the process group of the test.
    let error = server.signal("CONT").expect_err("there is no process");
    assert!(matches!(error, ServerError::NotRunning), "{error}");
    server.start().expect("started");
    assert_eq!(server.dump("Inventory", None).expect("a dump"), before);
    server.signal("STOP").expect("stopped");
    server.signal("CONT").expect("continued");
    assert!(
        before.contains("\"Item table\"") && before.contains("\"Slot table\""),
        "{before}"
    );
}

#[test]
fn a_server_that_cannot_start_says_why() {
    let error = Server::builder()
        .schema("{}")
        .start()
        .expect_err("a broken schema");
    assert!(matches!(error, ServerError::Schema(_)));
    let error = Server::builder().argument("--no-such-option").start();
    match error {
        Err(ServerError::Silent { log }) => assert!(log.contains("no-such-option"), "{log}"),
        other => panic!("{other:?}"),
    }
}

fn item(name: &str) -> Item {
    Item {
        name: name.into(),
        total: i64::from(name.bytes().map(u32::from).sum::<u32>()),
        only: ItemOnly::Sole,
        ..Default::default()
    }
}

async fn add(client: &Client<Database>, name: &str) {
    let mut txn = client.transaction();
    txn.insert(item(name));
    txn.commit().await.expect("a commit");
}

#[test]
fn clusters_of_either_server_elect_hand_over_and_expel() {
    for kind in [ServerKind::Reference, ServerKind::Embedded] {
        let mut cluster = Cluster::start_kind(kind, INVENTORY, 3).expect("a cluster");
        assert_eq!(cluster.members().len(), 3);
        assert!(cluster.members().iter().all(|member| member.kind() == kind));
        assert_eq!(cluster.remotes().matches("unix:").count(), 3);
        let dump = cluster.dump().expect("a dump");

        let (before, after) = cluster.transfer_leadership().expect("another leader");
        assert_ne!(before, after);
        assert_eq!(cluster.leader().expect("a leader"), after);

        cluster.member_mut(after).kill().expect("killed");
        assert!(cluster.members()[after].dump("Inventory", None).is_err());
        let next = cluster.leader().expect("a leader");
        assert_ne!(next, after);
        cluster.restart(after).expect("it is back");
        assert_eq!(cluster.dump().expect("a dump"), dump);

        let expelled = (0..3).find(|member| *member != next).expect("another one");
        cluster.kick(expelled).expect("expelled");
        if kind == ServerKind::Embedded {
            assert!(cluster.members()[expelled].dump("Inventory", None).is_err());
            continue;
        }
        let status = || {
            cluster.members()[next]
                .appctl(&["cluster/status", "Inventory"])
                .expect("a status")
        };
        while status().matches(" at tcp:").count() > 2 {
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

#[test]
fn an_embedded_relay_refuses_options_for_tls() {
    let relay = || {
        Server::builder()
            .kind(ServerKind::Embedded)
            .relay("Inventory", "unix:/no/such/socket")
    };
    let file = || std::path::PathBuf::from("/no/such/file.pem");
    let files = SslFiles {
        private_key: file(),
        certificate: file(),
        ca_certificate: file(),
    };
    for builder in [
        relay().ssl(files),
        relay().argument("--private-key=/no/such/key.pem"),
        relay().argument("--certificate=/no/such/certificate.pem"),
        relay().argument("--ca-cert=/no/such/ca.pem"),
        relay().argument("--ssl-protocols=TLSv1.3"),
    ] {
        let error = builder.start().expect_err("refused");
        assert!(
            matches!(error, ServerError::NotEmbedded("relays with TLS")),
            "{error}"
        );
    }
}

#[tokio::test]
async fn a_relay_shows_what_its_source_has() {
    let server = inventory_server();
    let relay = Server::builder()
        .relay("Inventory", &server.remote())
        .start()
        .expect("a relay");
    relay.wait_until_connected("Inventory").expect("connected");
    let client: Client<Database> = connect(&relay).await;
    add(&client, "through the relay").await;
    let dump = |server: &Server| server.dump("Inventory", None).expect("a dump");
    assert_eq!(dump(&server), dump(&relay));
    assert!(dump(&server).contains("through the relay"));
}

#[tokio::test]
async fn a_dump_finds_every_difference() {
    let server = inventory_server();
    let client: Client<Database> = connect(&server).await;
    let cache = client.cache().all_tables().start().await.expect("a cache");
    let mut txn = client.transaction();
    let part = txn.insert(Part {
        label: "a \"label\"\n".into(),
    });
    let full = txn.insert(Item {
        ratio: 2.0.into(),
        active: true,
        weight: Some(-3),
        tags: ["b", "a"].into(),
        levels: [3, 1, 2].into(),
        notes: [("k", "v"), ("", "")].into(),
        sizes: [("one", 1)].into(),
        parts: [part].into(),
        favourite: Some(part),
        ..item("full")
    });
    txn.insert(item("plain"));
    txn.commit().await.expect("a commit");

    let dump = || -> Dump {
        let text = server.dump("Inventory", None).expect("a dump");
        text.parse().expect("understood")
    };
    let (before, whole) = (dump(), cache.snapshot());
    assert_eq!((before.len("Item"), before.is_empty()), (Some(2), false));
    assert_eq!(before.differences(&whole), (3, vec![]));

    let mut txn = client.transaction();
    txn.update(full)
        .set(Item::RATIO, 2.5)
        .set(Item::NOTES, [("k", "w")]);
    txn.delete(Item::NAME.eq("plain"));
    let new = txn.insert(item("new"));
    txn.commit().await.expect("a commit");
    let (_, found) = dump().differences(&whole);
    let changed = |name: &str| {
        found.iter().any(|difference| {
            matches!(difference, Difference::Column { row, column, .. }
                if *row == full.uuid() && *column == name)
        })
    };
    assert!(changed("ratio") && changed("notes"), "{found:?}");
    let missing = Difference::Missing {
        table: "Item".into(),
        row: new.uuid(),
    };
    assert!(found.contains(&missing), "{found:?}");
    let stale = |difference: &&Difference| matches!(difference, Difference::Stale { .. });
    assert_eq!(found.iter().filter(stale).count(), 1);
    assert_eq!(found.len(), 4);
    assert!(
        found
            .iter()
            .all(|difference| difference.to_string().contains("Item"))
    );
    assert_eq!(dump().differences(&cache.snapshot()), (3, vec![]));
}

/// A listener that echoes every byte.
async fn echo_server() -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("it works");
    let port = listener.local_addr().expect("it works").port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut read, mut write) = stream.split();
                tokio::io::copy(&mut read, &mut write).await
            });
        }
    });
    format!("tcp:127.0.0.1:{port}")
}

async fn dial(proxy: &Proxy) -> TcpStream {
    let remote = proxy.remote();
    TcpStream::connect(remote.strip_prefix("tcp:").expect("it works"))
        .await
        .expect("it works")
}

#[tokio::test]
async fn a_proxy_passes_drips_stalls_and_cuts() {
    let proxy = Proxy::start(&echo_server().await, 1)
        .await
        .expect("a proxy");
    let text: Vec<u8> = (0..200).collect();
    let mut back = vec![0; text.len()];

    let mut stream = dial(&proxy).await;
    for drip in [
        None,
        Some(Drip {
            bytes: 3,
            pause: Duration::ZERO,
        }),
    ] {
        proxy.drip(drip);
        stream.write_all(&text).await.expect("it works");
        stream.read_exact(&mut back).await.expect("it works");
        assert_eq!(back, text);
    }
    proxy.drip(None);

    proxy.stall(true);
    let mut silent = dial(&proxy).await;
    for stream in [&mut stream, &mut silent] {
        stream.write_all(&text).await.expect("it works");
        let read = tokio::time::timeout(Duration::from_millis(100), stream.read(&mut back));
        assert!(read.await.is_err(), "bytes passed");
    }
    proxy.stall(false);
    for stream in [&mut stream, &mut silent] {
        back.fill(0);
        stream.read_exact(&mut back).await.expect("it works");
        assert_eq!(back, text);
    }
    let passed = proxy.passed();
    assert_eq!(
        (passed.connections, passed.to_server, passed.to_client),
        (2, 800, 800)
    );

    proxy.cut(Cut::Close);
    assert_eq!(stream.read(&mut back).await.expect("it works"), 0);
    assert_eq!(silent.read(&mut back).await.expect("it works"), 0);
    let mut stream = dial(&proxy).await;
    stream.write_all(&text).await.expect("it works");
    stream.read_exact(&mut back).await.expect("it works");
    proxy.cut(Cut::Reset);
    let error = stream.read(&mut back).await.expect_err("a reset");
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);

    for (direction, at) in [(Direction::ToServer, 0), (Direction::ToClient, 7)] {
        proxy.cut_at(Some((direction, at)));
        let mut stream = dial(&proxy).await;
        stream.write_all(&text).await.expect("it works");
        let mut all = Vec::new();
        // It may end with a reset: the proxy leaves bytes after the cut unread.
        let _ = stream.read_to_end(&mut all).await;
        assert_eq!(all.len() as u64, at);
    }
    proxy.cut_at(None);
    proxy.refuse(true);
    let mut stream = dial(&proxy).await;
    let read = stream.read(&mut back).await;
    assert!(matches!(read, Ok(0) | Err(_)));
}
