//! `ovsdb-inspect` against private servers: what it lists, follows and refuses.

mod support;

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};

use ovsdb::nb::{LogicalSwitch, LogicalSwitchPort};
use ovsdb::testing::Server;
use ovsdb::{Client, nb};
use serde_json::{Value, json};
use support::{Run, server};

fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ovsdb-inspect"));
    command.args(arguments).env_remove("CLICOLOR_FORCE");
    command
}

/// Runs the program to its end.
fn inspect(server: &Server, arguments: &[&str]) -> Run {
    let output = program(&[&[&*server.remote()], arguments].concat());
    let output = { output }.output().expect("the program");
    Run {
        status: output.status.code(),
        out: String::from_utf8(output.stdout).expect("UTF-8"),
        err: String::from_utf8(output.stderr).expect("UTF-8"),
    }
}

fn document(run: Run) -> Value {
    serde_json::from_str(&run.succeeded()).expect("a document")
}

/// The program while it follows changes.
struct Watch {
    child: Child,
    lines: std::io::Lines<BufReader<ChildStdout>>,
}

impl Watch {
    fn new(server: &Server, arguments: &[&str], force_colour: bool) -> Self {
        let mut command = program(&[&[&*server.remote()], arguments, &["--watch"]].concat());
        if force_colour {
            command.env_remove("NO_COLOR").env("CLICOLOR_FORCE", "1");
        }
        let mut child = command.stdout(Stdio::piped()).spawn().expect("the program");
        let lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        Self { child, lines }
    }

    fn line(&mut self) -> String {
        self.lines.next().expect("another line").expect("UTF-8")
    }

    fn json(&mut self) -> Value {
        serde_json::from_str(&self.line()).expect("a document")
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn client(server: &Server) -> Client<nb::Database> {
    let client = Client::builder().remotes(server.remote()).connect().await;
    client.expect("a client")
}

/// A switch with two ports, one of them of a router.
async fn fill(server: &Server) {
    let client = client(server).await;
    let mut txn = client.transaction();
    let ports = ["", "router"].map(|kind| {
        txn.insert(LogicalSwitchPort {
            name: format!("port-{kind}").into(),
            r#type: kind.into(),
            addresses: ["dynamic", "0a:58:00:00:00:01 10.0.0.1"].into(),
            ..Default::default()
        })
    });
    txn.insert(LogicalSwitch {
        name: "sw0".into(),
        ports: ports.into(),
        external_ids: [("owner", "me")].into(),
        ..Default::default()
    });
    txn.commit().await.expect("a commit");
}

#[tokio::test]
async fn databases_tables_and_rows_are_listed() {
    let server = server("bundled");
    fill(&server).await;
    let databases = inspect(&server, &[]).succeeded();
    let expected = "database        model       connected  leader\n\
                    OVN_Northbound  standalone  yes        yes\n\
                    _Server         standalone  yes        yes\n";
    assert_eq!(databases, expected);
    let described =
        |name| json!({"name": name, "model": "standalone", "connected": true, "leader": true});
    let databases = document(inspect(&server, &["--json"]));
    assert_eq!(
        databases,
        json!([described("OVN_Northbound"), described("_Server")])
    );

    let tables = inspect(&server, &["OVN_Northbound"]).succeeded();
    assert!(tables.starts_with("table "), "{tables}");
    let line = |table| tables.lines().find(|line| line.starts_with(table));
    let count = line("Logical_Switch_Port ").expect("the table");
    assert!(count.ends_with(" 2"), "{count}");
    let tables = document(inspect(&server, &["OVN_Northbound", "--json"]));
    assert_eq!(
        (&tables["Logical_Switch"], &tables["ACL"]),
        (&json!(1), &json!(0))
    );

    let ports = [
        "OVN_Northbound",
        "Logical_Switch_Port",
        "--columns",
        "name,addresses,tag",
    ];
    let rows = inspect(&server, &ports).succeeded();
    let mut lines = rows.lines();
    let heading = lines.next().expect("a heading");
    let names: Vec<_> = heading.split_whitespace().collect();
    assert_eq!(names, ["_uuid", "addresses", "name", "tag"]);
    assert!(
        lines.all(
            |line| line.contains("[0a:58:00:00:00:01 10.0.0.1, dynamic]") && line.ends_with(" []")
        ),
        "{rows}"
    );
    for (condition, found) in [
        ("type==router", 1),
        ("name != port-router", 1),
        ("addresses includes dynamic", 2),
        ("external_ids includes owner=me", 0),
        ("tag>5", 0),
    ] {
        let arguments = [&ports[..2], &["--where", condition, "--json"]].concat();
        let rows = document(inspect(&server, &arguments));
        assert_eq!(
            rows.as_array().map(Vec::len),
            Some(found),
            "{condition}: {rows}"
        );
    }
    // Without --columns, all columns are printed: maps as objects, sets as arrays.
    let rows = document(inspect(
        &server,
        &["OVN_Northbound", "Logical_Switch", "--json"],
    ));
    assert_eq!(rows[0]["name"], "sw0");
    assert_eq!(rows[0]["external_ids"], json!({"owner": "me"}));
    assert_eq!(rows[0]["ports"].as_array().map(Vec::len), Some(2));
    let uuid = rows[0]["_uuid"].as_str().expect("a uuid");
    let by_uuid = format!("_uuid=={uuid}");
    let arguments = [
        "OVN_Northbound",
        "Logical_Switch",
        "--where",
        &by_uuid,
        "--json",
    ];
    assert_eq!(document(inspect(&server, &arguments)), rows);
}

#[tokio::test]
async fn changes_are_followed() {
    let server = server("bundled");
    fill(&server).await;
    let arguments = [
        "OVN_Northbound",
        "Logical_Switch",
        "--columns",
        "name,external_ids",
    ];
    let mut coloured = Watch::new(&server, &arguments, true);
    let mut plain = Watch::new(&server, &arguments, false);
    let mut json = Watch::new(&server, &[&arguments[..], &["--json"]].concat(), false);
    let first = json.json();
    assert_eq!(
        (&first["change"], &first["new"]["name"]),
        (&json!("initial"), &json!("sw0"))
    );
    assert!(plain.line().starts_with("= Logical_Switch "));
    assert!(coloured.line().contains('\u{1b}'));

    let client = client(&server).await;
    let mut txn = client.transaction();
    txn.update(LogicalSwitch::NAME.eq("sw0"))
        .set(LogicalSwitch::NAME, "sw1");
    txn.commit().await.expect("a commit");
    let uuid = first["new"]["_uuid"].as_str().expect("a uuid");
    assert_eq!(
        plain.line(),
        format!("~ Logical_Switch {uuid} name=sw0 -> sw1")
    );
    let line = coloured.line();
    assert!(
        line.contains("\u{1b}[31msw0\u{1b}[0m -> \u{1b}[32msw1\u{1b}[0m"),
        "{line:?}"
    );
    let change = json.json();
    let row = |name| json!({"_uuid": uuid, "name": name, "external_ids": {"owner": "me"}});
    let expected = json!({"change": "modified", "table": "Logical_Switch", "old": row("sw0"), "new": row("sw1")});
    assert_eq!(change, expected);

    let mut txn = client.transaction();
    txn.delete(LogicalSwitch::NAME.eq("sw1"));
    txn.insert(LogicalSwitch::default());
    txn.commit().await.expect("a commit");
    let mut changes = [json.json(), json.json()].map(|change| change["change"].to_string());
    changes.sort();
    assert_eq!(changes, [r#""deleted""#, r#""inserted""#]);
    let marks = [plain.line(), plain.line()].map(|line| line.chars().next());
    assert!(
        marks.contains(&Some('+')) && marks.contains(&Some('-')),
        "{marks:?}"
    );
}

#[test]
fn mistakes_are_reported_with_a_suggestion() {
    let server = server("bundled");
    for (arguments, message) in [
        (
            &["OVN_Nortbound"][..],
            "the server has no database \"OVN_Nortbound\"; it has OVN_Northbound, _Server; did you mean `OVN_Northbound`?",
        ),
        (
            &["OVN_Northbound", "Logical_Swich"],
            "table \"Logical_Swich\": the database has no such table; did you mean `Logical_Switch`?",
        ),
        (
            &["OVN_Northbound", "Logical_Switch", "--columns", "name,port"],
            "column \"port\" of the table \"Logical_Switch\": the table has no such column; did you mean `ports`?",
        ),
        (
            &["OVN_Northbound", "ACL", "--where", "action==alow"],
            "column \"action\" of the table \"ACL\": the value \"alow\" is not allowed: expected one of",
        ),
        (
            &["OVN_Northbound", "ACL", "--where", "priority==high"],
            "column \"priority\" of the table \"ACL\": expected integer, found \"high\"",
        ),
        (
            &["OVN_Northbound", "ACL", "--where", "priority"],
            "the condition \"priority\" has no function: expected `column==value`",
        ),
    ] {
        let run = inspect(&server, arguments);
        assert_eq!(run.status, Some(1), "{run:?}");
        assert!(
            run.err.starts_with(&format!("ovsdb-inspect: {message}")),
            "{}",
            run.err
        );
        assert!(run.out.is_empty(), "{run:?}");
    }
    let unreachable = program(&["unix:/nowhere/at/all.sock"])
        .output()
        .expect("the program");
    let error = String::from_utf8_lossy(&unreachable.stderr).into_owned();
    assert!(error.contains("/nowhere/at/all.sock"), "{error}");
}
