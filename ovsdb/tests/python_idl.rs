//! Python's IDL, the client that comes with Open vSwitch, works with the embedded server.

#![cfg(feature = "server")]

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Lines};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use ovsdb::server::{PassiveRemote, Server};
use ovsdb::{Str, nb};
use serde_json::{Value, json};

/// The script, which ends with the test.
struct Follower {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Drop for Follower {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Follower {
    fn start(schema: &Path, remote: &str) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/files/follow.py");
        let mut child = Command::new("/usr/bin/python3")
            .arg(script)
            .arg(schema)
            .arg(remote)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("Debian's Python with python3-openvswitch");
        let lines = BufReader::new(child.stdout.take().expect("its output")).lines();
        Self { child, lines }
    }

    /// The script's rows once the mark has this value.
    fn rows(&mut self, mark: i64) -> Value {
        for line in self.lines.by_ref() {
            let rows: Value = serde_json::from_str(&line.expect("a line")).expect("JSON");
            if rows["mark"] == mark {
                return rows;
            }
        }
        panic!("the script has ended before {mark}");
    }
}

/// The rows of this library's replica.
fn rows(view: &nb::Snapshot, mark: i64, wanted: impl Fn(&nb::LogicalSwitchPort) -> bool) -> Value {
    let mut ports = BTreeMap::new();
    for port in view
        .rows::<nb::LogicalSwitchPort>()
        .filter(|port| wanted(port))
    {
        let options: BTreeMap<_, _> = port
            .options
            .iter()
            .map(|(k, v)| (k.to_string(), v.to_string()))
            .collect();
        let addresses: Vec<_> = port.addresses.iter().map(Str::as_str).collect();
        ports.insert(
            port.name.to_string(),
            json!([port.r#type.to_string(), addresses, options]),
        );
    }
    let mut switches = BTreeMap::new();
    for switch in view.rows::<nb::LogicalSwitch>() {
        let mut names: Vec<_> = view
            .get_all(&switch.ports)
            .filter(|port| wanted(port))
            .map(|port| port.name.to_string())
            .collect();
        names.sort();
        switches.insert(switch.name.to_string(), names);
    }
    json!({ "mark": mark, "ports": ports, "switches": switches })
}

async fn serve(file: &Path, schema: &str, socket: &Path) -> (Server, nb::Client) {
    let server = Server::builder()
        .create(file, schema)
        .start()
        .expect("a server");
    let remote = PassiveRemote::Unix {
        path: socket.to_owned(),
    };
    server.listen(&remote).await.expect("a socket");
    let client = nb::Client::builder()
        .server(&server)
        .connect()
        .await
        .expect("a client");
    (server, client)
}

/// Adds a switch with two ports, adds an address to an existing port, and sets the mark.
async fn change(client: &nb::Client, mark: i64) {
    let cache = client.cache().all_tables().start().await.expect("a cache");
    let view = cache.snapshot();
    let mut transaction = client.transaction();
    let port = |name: String, kind: &str| nb::LogicalSwitchPort {
        name: name.into(),
        r#type: kind.into(),
        addresses: [format!("0a:00:00:00:00:{mark:02x}")].into(),
        options: [("mark", mark.to_string())].into(),
        ..Default::default()
    };
    let first = transaction.insert(port(format!("p{mark}"), ""));
    let second = transaction.insert(port(format!("r{mark}"), "router"));
    transaction.insert(nb::LogicalSwitch {
        name: format!("sw{mark}").into(),
        ports: [first, second].into(),
        ..Default::default()
    });
    if let Some(old) = view
        .rows::<nb::LogicalSwitchPort>()
        .min_by_key(|port| port.name.clone())
    {
        transaction
            .mutate(old)
            .insert(nb::LogicalSwitchPort::ADDRESSES, ["dynamic"]);
    }
    match view.rows::<nb::NbGlobal>().next() {
        Some(global) => drop(transaction.update(global).set(nb::NbGlobal::NB_CFG, mark)),
        None => drop(transaction.insert(nb::NbGlobal {
            nb_cfg: mark,
            ..Default::default()
        })),
    }
    transaction.commit().await.expect("committed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn python_s_idl_has_the_same_rows_through_restarts() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    let schema = ovsdb::schema::bundled("OVN_Northbound").expect("a bundled schema");
    std::fs::write(path("nb.ovsschema"), schema).expect("a schema file");
    let (mut server, mut client) = serve(&path("nb.db"), schema, &path("nb.sock")).await;
    let remote = format!("unix:{}", path("nb.sock").display());
    let mut follower = Follower::start(&path("nb.ovsschema"), &remote);
    for mark in 1..=5 {
        change(&client, mark).await;
        let cache = client.cache().all_tables().start().await.expect("a cache");
        // After mark 3, the script monitors only the ports of one type.
        let wanted = |port: &nb::LogicalSwitchPort| mark <= 3 || port.r#type == "router";
        let expected = rows(&cache.snapshot(), mark, wanted);
        let found = tokio::task::block_in_place(|| follower.rows(mark));
        assert_eq!(found, expected, "after {mark}");
        if mark == 1 || mark == 4 {
            drop((client, server));
            (server, client) = serve(&path("nb.db"), schema, &path("nb.sock")).await;
        }
    }
    change(&client, -1).await;
    let status = tokio::task::block_in_place(|| follower.child.wait());
    assert!(status.is_ok_and(|status| status.success()));
    drop(server);
}
