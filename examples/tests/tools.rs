//! Debian's tools of Open vSwitch and OVN as clients of `ovsdb-serve`, and on its files.

#[path = "support/serve.rs"]
mod serve;
mod support;

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use serde_json::{Value, json};
use serve::{Serve, run, tool};
use support::schema;

const SMALL: &str = r#"{"name": "Small", "version": "1.0.0", "tables": {"Item": {"isRoot": true,
    "columns": {"name": {"type": "string"}, "size": {"type": "integer"}}, "indexes": [["name"]]}}}"#;

/// A server of one database, and the folder of its clients.
struct World {
    folder: tempfile::TempDir,
    server: Serve,
}

impl World {
    /// A server of a database with this schema.
    fn new(schema: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path();
        fs::write(path.join("schema"), schema).expect("written");
        let remote = format!("--remote=punix:{}", path.join("db.sock").display());
        let database = format!("{0}/db={0}/schema", path.display());
        let server = Serve::start(&[&database, &remote]);
        Self { folder, server }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    /// What `ovsdb-client` prints, with the server's remote after its command.
    fn client(&self, arguments: &[&str]) -> String {
        run(self.path(), "ovsdb-client", &self.on_server(arguments)).succeeded()
    }

    /// The arguments of `ovsdb-client` with the server's remote after the command.
    fn on_server<'a>(&'a self, arguments: &[&'a str]) -> Vec<&'a str> {
        let (command, rest) = arguments.split_first().expect("a command");
        let options = [
            "--timeout=60",
            "--no-leader-only",
            "--format=csv",
            "--no-headings",
        ];
        let mut whole = [&options[..], &[*command, self.server.remote()]].concat();
        whole.extend(rest);
        whole
    }

    /// What a tool with the option `--db` prints.
    fn tool(&self, name: &str, arguments: &[&str]) -> String {
        let db = format!("--db={}", self.server.remote());
        let whole = [&["--timeout=60", &*db], arguments].concat();
        run(self.path(), name, &whole).succeeded()
    }

    fn transact(&self, operations: &Value) -> Value {
        let printed = self.client(&["transact", &operations.to_string()]);
        serde_json::from_str(&printed).expect("JSON")
    }

    fn insert(&self, name: &str) {
        let row = json!({"name": name, "size": 1});
        let results =
            self.transact(&json!(["Small", {"op": "insert", "table": "Item", "row": row}]));
        assert!(results[0]["uuid"].is_array(), "{results}");
    }

    /// The values of the column `name` in a dump, sorted.
    fn names(&self) -> Vec<String> {
        let dump = self.client(&["dump", "Small", "Item", "name"]);
        let names = dump
            .lines()
            .filter(|line| !line.is_empty() && !line.ends_with("table"));
        let mut names: Vec<_> = names.map(str::to_owned).collect();
        names.sort();
        names
    }
}

/// A program of which the output is read while it runs.
struct Running {
    child: Child,
    out: BufReader<ChildStdout>,
}

impl Running {
    fn start(world: &World, arguments: &[&str]) -> Self {
        Self::spawn(&mut tool(
            world.path(),
            "ovsdb-client",
            &world.on_server(arguments),
        ))
    }

    fn spawn(command: &mut Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("it starts");
        let out = BufReader::new(child.stdout.take().expect("a pipe"));
        Self { child, out }
    }

    /// The next line that is not empty; blanks at its end do not matter.
    fn line(&mut self) -> String {
        loop {
            let mut line = String::new();
            assert_ne!(
                self.out.read_line(&mut line).expect("UTF-8"),
                0,
                "it has ended"
            );
            if !line.trim().is_empty() {
                return line.trim_end().to_owned();
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn ovsdb_client_lists_databases_and_schemas() {
    let world = World::new(SMALL);
    assert_eq!(world.client(&["list-dbs"]), "Small\n_Server\n");
    assert_eq!(world.client(&["get-schema-version", "Small"]), "1.0.0\n");
    let schema: Value =
        serde_json::from_str(&world.client(&["get-schema", "Small"])).expect("JSON");
    let given: Value = serde_json::from_str(SMALL).expect("JSON");
    // ovsdb-client says `isRoot` only where some tables are roots and others are not.
    let item = |schema: &Value| schema["tables"]["Item"]["columns"].clone();
    assert_eq!(item(&schema), item(&given));
    assert!(world.client(&["list-tables", "Small"]).contains("Item"));
    assert!(
        world
            .client(&["list-columns", "Small", "Item"])
            .contains("size")
    );
    world.client(&["wait", "Small", "connected"]);
    let unknown = run(
        world.path(),
        "ovsdb-client",
        &world.on_server(&["transact", r#"["Large"]"#]),
    );
    assert_ne!(unknown.status, Some(0));
    assert!(unknown.err.contains("unknown database"), "{unknown:?}");
}

#[test]
fn ovsdb_client_transacts_and_queries() {
    let world = World::new(SMALL);
    world.insert("a");
    let query =
        json!(["Small", {"op": "insert", "table": "Item", "row": {"name": "b"}}]).to_string();
    world.client(&["query", &query]);
    assert_eq!(world.names(), ["a"], "a query changes nothing");
    let twice =
        world.transact(&json!(["Small", {"op": "insert", "table": "Item", "row": {"name": "a"}}]));
    assert_eq!(twice[1]["error"], "constraint violation", "{twice}");
    let dump = world.client(&["dump", "Small"]);
    assert!(
        dump.contains("Item table") && dump.contains(",a,1"),
        "{dump}"
    );
}

#[test]
fn ovsdb_client_monitors_each_change_with_every_version() {
    let world = World::new(SMALL);
    world.insert("a");
    let condition = r#"[["size","==",1]]"#;
    for (number, arguments) in [
        &["monitor", "Small", "Item", "name,size"][..],
        &["monitor-cond", "Small", condition, "Item", "name,size"],
        &[
            "monitor-cond-since",
            "Small",
            condition,
            "Item",
            "name,size",
        ],
    ]
    .into_iter()
    .enumerate()
    {
        let mut monitor = Running::start(&world, arguments);
        let mut until = |part: &str| loop {
            if monitor.line().contains(part) {
                break;
            }
        };
        until("initial");
        let name = format!("new{number}");
        world.insert(&name);
        until(&format!("insert,{name}"));
        let delete = json!({"op": "delete", "table": "Item", "where": [["name", "==", name]]});
        world.transact(&json!(["Small", delete]));
        until(",delete,");
    }
}

#[test]
fn ovsdb_client_locks_and_steals() {
    let world = World::new(SMALL);
    let mut first = Running::start(&world, &["lock", "chassis"]);
    assert_eq!(first.line(), r#"{"locked":true}"#);
    let mut second = Running::start(&world, &["lock", "chassis"]);
    assert_eq!(second.line(), r#"{"locked":false}"#);
    let mut thief = Running::start(&world, &["steal", "chassis"]);
    assert_eq!(thief.line(), r#"{"locked":true}"#);
    assert_eq!(first.line(), "stolen");
    assert_eq!(first.line(), r#"["chassis"]"#);
    // When a client ends, the next one gets its lock.
    drop(thief);
    drop(first);
    assert_eq!(second.line(), "locked");
}

#[test]
fn ovsdb_client_backs_up_restores_and_converts() {
    let world = World::new(SMALL);
    world.insert("a");
    let backup = world.client(&["backup", "Small"]);
    let file = world.path().join("backup");
    fs::write(&file, &backup).expect("written");
    world.insert("b");
    let mut restore = tool(
        world.path(),
        "ovsdb-client",
        &world.on_server(&["restore", "Small"]),
    );
    let restored = restore
        .stdin(fs::File::open(&file).expect("the backup"))
        .output();
    assert!(restored.expect("it runs").status.success());
    assert_eq!(world.names(), ["a"]);
    // The backup is a database file for ovsdb-tool.
    run(world.path(), "ovsdb-tool", &["db-name", "backup"]).succeeded();

    let schema = |text: &str| fs::write(world.path().join("next"), text).expect("written");
    let needs = || world.client(&["needs-conversion", "next"]);
    schema(SMALL);
    assert_eq!(needs(), "no\n");
    schema(&SMALL.replace("1.0.0", "1.1.0").replace(
        r#""size": {"type": "integer"}"#,
        r#""colour": {"type": "string"}"#,
    ));
    assert_eq!(needs(), "yes\n");
    let mut monitor = Running::start(&world, &["monitor", "Small", "Item", "name"]);
    while !monitor.line().contains("initial") {}
    world.client(&["convert", "next"]);
    assert_eq!(world.client(&["get-schema-version", "Small"]), "1.1.0\n");
    assert_eq!(world.names(), ["a"]);
    assert_eq!(
        run(world.path(), "ovsdb-tool", &["db-version", "db"]).succeeded(),
        "1.1.0\n"
    );
    // A schema that the rows do not fit leaves everything as it is.
    schema(&SMALL.replace(
        r#""name": {"type": "string"}"#,
        r#""name": {"type": "integer"}"#,
    ));
    let refused = run(
        world.path(),
        "ovsdb-client",
        &world.on_server(&["convert", "next"]),
    );
    assert_ne!(refused.status, Some(0), "{refused:?}");
    assert_eq!(world.client(&["get-schema-version", "Small"]), "1.1.0\n");
}

#[test]
fn ovn_nbctl_writes_and_finds() {
    let world = World::new(&schema("ovn-23.03"));
    let nbctl = |arguments: &[&str]| world.tool("ovn-nbctl", arguments);
    nbctl(&["init"]);
    nbctl(&[
        "ls-add",
        "sw0",
        "--",
        "lsp-add",
        "sw0",
        "p0",
        "--",
        "lsp-set-addresses",
        "p0",
        "0a:00:00:00:00:01 10.0.0.1",
    ]);
    nbctl(&[
        "lr-add",
        "r0",
        "--",
        "lrp-add",
        "r0",
        "rp0",
        "0a:00:00:00:00:02",
        "10.0.0.254/24",
    ]);
    nbctl(&[
        "acl-add",
        "sw0",
        "to-lport",
        "1000",
        "ip4",
        "drop",
        "--",
        "lb-add",
        "lb0",
        "10.0.0.9:80",
        "10.0.0.1:80",
    ]);
    let found = nbctl(&[
        "--bare",
        "--columns=name",
        "find",
        "logical_switch_port",
        "addresses{>=}\"0a:00:00:00:00:01 10.0.0.1\"",
    ]);
    assert_eq!(found, "p0\n");
    let get = |column: &str| nbctl(&["get", "logical_switch_port", "p0", column]);
    nbctl(&[
        "set",
        "logical_switch_port",
        "p0",
        "external_ids:a=b",
        "external_ids:c=d",
        "enabled=true",
    ]);
    assert_eq!(get("external_ids"), "{a=b, c=d}\n");
    nbctl(&["add", "logical_switch_port", "p0", "options", "x=y"]);
    nbctl(&["remove", "logical_switch_port", "p0", "external_ids", "a"]);
    assert_eq!(get("external_ids"), "{c=d}\n");
    assert_eq!(get("options"), "{x=y}\n");
    nbctl(&["clear", "logical_switch_port", "p0", "addresses"]);
    assert_eq!(get("addresses"), "[]\n");
    nbctl(&["--wait=none", "ls-add", "sw1"]);
    assert_eq!(nbctl(&["ls-list"]).lines().count(), 2);
    let show = nbctl(&["show"]);
    assert!(
        show.contains("port p0") && show.contains("router r0") || show.contains("(r0)"),
        "{show}"
    );
    let again = run(
        world.path(),
        "ovn-nbctl",
        &[
            &*format!("--db={}", world.server.remote()),
            "lsp-add",
            "sw1",
            "p0",
        ],
    );
    assert!(again.err.contains("already exists"), "{again:?}");
    nbctl(&["ls-del", "sw0"]);
    assert_eq!(nbctl(&["lsp-list", "sw1"]), "");
}

/// A program that has detached itself, until this is dropped.
struct Detached<'a> {
    folder: &'a Path,
    control: String,
}

impl Drop for Detached<'_> {
    fn drop(&mut self) {
        run(self.folder, "ovn-appctl", &["-t", &self.control, "exit"]);
    }
}

#[test]
fn ovn_nbctl_runs_as_a_daemon() {
    let world = World::new(&schema("ovn-23.03"));
    let path = world.path();
    let control = path.join("nbctl.ctl");
    let options = [
        format!("--db={}", world.server.remote()),
        format!("--unixctl={}", control.display()),
        format!("--pidfile={}", path.join("nbctl.pid").display()),
        format!("--log-file={}", path.join("nbctl.log").display()),
    ];
    let options = options.each_ref().map(|option| &**option);
    let detach = [&["--detach"][..], &options].concat();
    run(path, "ovn-nbctl", &detach).succeeded();
    let _daemon = Detached {
        folder: path,
        control: control.display().to_string(),
    };
    let asked = |arguments: &[&str]| {
        let mut command = tool(path, "ovn-nbctl", arguments);
        let output = command
            .env("OVN_NB_DAEMON", &control)
            .output()
            .expect("it runs");
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).expect("UTF-8")
    };
    for number in 0..3 {
        asked(&["ls-add", &format!("sw{number}")]);
    }
    assert_eq!(asked(&["ls-list"]).lines().count(), 3);
    // The daemon sees what other clients write.
    world.tool("ovn-nbctl", &["ls-del", "sw0"]);
    while asked(&["ls-list"]).lines().count() != 2 {}
}

#[test]
fn ovn_sbctl_writes_and_finds() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Serve::memory(folder.path(), &["OVN_Southbound"]);
    let world = World { folder, server };
    let sbctl = |arguments: &[&str]| world.tool("ovn-sbctl", arguments);
    sbctl(&["init"]);
    sbctl(&["chassis-add", "c0", "geneve", "192.0.2.1"]);
    sbctl(&[
        "set",
        "chassis",
        "c0",
        "external_ids:a=b",
        "--",
        "add",
        "chassis",
        "c0",
        "other_config",
        "x=y",
    ]);
    assert_eq!(
        sbctl(&[
            "--bare",
            "--columns=name",
            "find",
            "chassis",
            "external_ids:a=b"
        ]),
        "c0\n"
    );
    sbctl(&[
        "remove",
        "chassis",
        "c0",
        "external_ids",
        "a",
        "--",
        "clear",
        "chassis",
        "c0",
        "other_config",
    ]);
    assert_eq!(
        sbctl(&["get", "chassis", "c0", "external_ids", "other_config"]),
        "{}\n{}\n"
    );
    assert!(sbctl(&["show"]).contains("192.0.2.1"));
    sbctl(&["chassis-del", "c0"]);
    assert_eq!(sbctl(&["--bare", "list", "encap"]), "");
}

#[test]
fn ovs_vsctl_configures_bridges() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Serve::memory(folder.path(), &["Open_vSwitch"]);
    let world = World { folder, server };
    let vsctl = |arguments: &[&str]| world.tool("ovs-vsctl", &[&["--no-wait"], arguments].concat());
    vsctl(&["init"]);
    vsctl(&[
        "add-br",
        "br0",
        "--",
        "add-port",
        "br0",
        "p0",
        "tag=7",
        "--",
        "set",
        "interface",
        "p0",
        "type=internal",
    ]);
    vsctl(&[
        "--",
        "--id=@q",
        "create",
        "queue",
        "other_config:max-rate=1000",
        "--",
        "--id=@qos",
        "create",
        "qos",
        "type=linux-htb",
        "queues:0=@q",
        "--",
        "set",
        "port",
        "p0",
        "qos=@qos",
    ]);
    assert_eq!(vsctl(&["list-ports", "br0"]), "p0\n");
    assert_eq!(vsctl(&["get", "port", "p0", "tag"]), "7\n");
    assert_eq!(vsctl(&["port-to-br", "p0"]), "br0\n");
    let wrong = run(
        world.path(),
        "ovs-vsctl",
        &[
            "--no-wait",
            &*format!("--db={}", world.server.remote()),
            "set",
            "port",
            "p0",
            "tag=4096",
        ],
    );
    assert!(wrong.err.contains("4096"), "{wrong:?}");
    vsctl(&["--if-exists", "del-br", "br0"]);
    assert_eq!(vsctl(&["list-br"]), "");
    assert_eq!(vsctl(&["--bare", "list", "interface"]), "");
}

#[test]
fn ovsdb_tool_reads_the_files() {
    let world = World::new(SMALL);
    for name in ["a", "b"] {
        world.insert(name);
    }
    world.transact(&json!(["Small", {"op": "comment", "comment": "a farewell"},
        {"op": "delete", "table": "Item", "where": [["name", "==", "a"]]}]));
    let path = world.path();
    let tool = |arguments: &[&str]| run(path, "ovsdb-tool", arguments).succeeded();
    assert_eq!(tool(&["db-name", "db"]), "Small\n");
    assert_eq!(tool(&["db-version", "db"]), "1.0.0\n");
    assert_eq!(tool(&["schema-version", "schema"]), "1.0.0\n");
    assert_eq!(tool(&["needs-conversion", "db", "schema"]), "no\n");
    tool(&["db-is-standalone", "db"]);
    assert_ne!(
        run(path, "ovsdb-tool", &["db-is-clustered", "db"]).status,
        Some(0)
    );
    let log = tool(&["-m", "show-log", "db"]);
    for part in [
        "\"Small\" schema",
        "table Item insert row \"b\"",
        "a farewell",
        "delete row",
    ] {
        assert!(log.contains(part), "{part}: {log}");
    }
    let select =
        json!(["Small", {"op": "select", "table": "Item", "where": [], "columns": ["name"]}])
            .to_string();
    assert_eq!(
        tool(&["query", "db", &select]).trim(),
        r#"[{"rows":[{"name":"b"}]}]"#
    );
    // ovsdb-tool reads the file from end to end to compact it.
    fs::copy(path.join("db"), path.join("copy")).expect("copied");
    tool(&["compact", "copy"]);
    assert_eq!(
        tool(&["query", "copy", &select]).trim(),
        r#"[{"rows":[{"name":"b"}]}]"#
    );
    // The file can become the first member of a cluster.
    tool(&["create-cluster", "raft", "db", "tcp:127.0.0.1:6643"]);
    tool(&["db-is-clustered", "raft"]);
    // While the file is served, no other process may write to it.
    let locked = run(path, "ovsdb-tool", &["compact", "db"]);
    assert_ne!(locked.status, Some(0), "{locked:?}");
}
