//! Database files: ovsdb-server and `ovsdb-tool` open the embedded server's files, and the other way
//! round, with equal contents. Damage is refused, or cut off and reported.

#![cfg(feature = "server")]
#![allow(clippy::unwrap_used, missing_docs)]

#[path = "support/capture.rs"]
#[allow(dead_code, unreachable_pub)]
mod capture;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use ovsdb::server::{FileErrorReason, PassiveRemote, Server, ServerError};
use ovsdb::testing::{self, Dump};
use tracing::Level;

/// Columns for every kind of record: sets and maps, which ovsdb-server stores as differences; an
/// ephemeral column; strong and weak references; an index.
const SCHEMA: &str = r#"{
  "name": "Files", "version": "1.2.3", "cksum": "123 456",
  "tables": {
    "Item": {"isRoot": true, "indexes": [["name"]], "columns": {
      "name": {"type": "string"},
      "kind": {"type": {"key": {"type": "string", "enum": ["set", ["big", "small"]]}, "min": 0}},
      "numbers": {"type": {"key": {"type": "integer", "minInteger": 0}, "min": 0, "max": "unlimited"}},
      "notes": {"type": {"key": "string", "value": "string", "min": 0, "max": "unlimited"}},
      "weight": {"type": "real"},
      "seen": {"type": "integer", "ephemeral": true},
      "parts": {"type": {"key": {"type": "uuid", "refTable": "Part"}, "min": 0, "max": 5}},
      "friends": {"type": {"key": {"type": "uuid", "refTable": "Item", "refType": "weak"}, "min": 0,
                           "max": "unlimited"}}}},
    "Part": {"columns": {"size": {"type": "integer", "mutable": false}, "on": {"type": "boolean"}}}}}"#;

/// A later version of the schema, in which `color` replaces `weight`.
fn later_schema() -> String {
    SCHEMA
        .replace(
            r#""weight": {"type": "real"},"#,
            r#""color": {"type": "string"},"#,
        )
        .replace("1.2.3", "1.3.0")
}

const FIRST: &[&str] = &[
    r#"["Files",
      {"op":"insert","table":"Part","row":{"size":3},"uuid-name":"p"},
      {"op":"insert","table":"Item","uuid-name":"i","row":{"name":"one","kind":"big","numbers":["set",[1,2,3]],
       "notes":["map",[["a","b"],["c","d"]]],"weight":1.5,"seen":7,"parts":["named-uuid","p"]}},
      {"op":"insert","table":"Item","row":{"name":"two \u00e9\" \n","friends":["set",[["named-uuid","i"]]]}},
      {"op":"comment","comment":"made by a test"},{"op":"commit","durable":true}]"#,
    r#"["Files",{"op":"mutate","table":"Item","where":[["name","==","one"]],"mutations":[
      ["numbers","insert",["set",[4,5]]],["numbers","delete",2],["notes","insert",["map",[["e","f"]]]],
      ["notes","delete",["set",["a"]]],["weight","*=",3]]}]"#,
    r#"["Files",{"op":"insert","table":"Item","row":{"name":"gone"}},
      {"op":"update","table":"Item","where":[["name","==","one"]],"row":{"notes":["map",[["c","other"]]],
       "kind":["set",[]],"seen":8}}]"#,
    r#"["Files",{"op":"delete","table":"Item","where":[["name","==","gone"]]}]"#,
    r#"["Files",{"op":"update","table":"Item","where":[],"row":{"seen":9}}]"#,
];

const LATER: &[&str] = &[
    r#"["Files",{"op":"insert","table":"Item","row":{"name":"three","color":"red","numbers":["set",[]]}},
      {"op":"comment","comment":"after the conversion"}]"#,
    r#"["Files",{"op":"mutate","table":"Item","where":[],"mutations":[["numbers","insert",["set",[1,9]]]]}]"#,
    r#"["Files",{"op":"update","table":"Item","where":[["name","==","one"]],"row":{"parts":["set",[]]}}]"#,
];

fn run<'a>(program: &str, arguments: impl IntoIterator<Item = &'a str>) -> Output {
    let program = testing::program(program).unwrap();
    Command::new(program).args(arguments).output().unwrap()
}

/// The output of a program that must succeed.
fn output<'a>(program: &str, arguments: impl IntoIterator<Item = &'a str>) -> String {
    let output = run(program, arguments);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

fn transact(remote: &str, transactions: &[&str]) {
    for transaction in transactions {
        let results = output(
            "ovsdb-client",
            ["--timeout=60", "transact", remote, transaction],
        );
        assert!(!results.contains("error"), "{transaction}: {results}");
    }
}

fn dump(remote: &str) -> Dump {
    let arguments = [
        "--timeout=60",
        "--format=json",
        "--data=json",
        "dump",
        remote,
        "Files",
    ];
    output("ovsdb-client", arguments).parse().unwrap()
}

/// Listens in a folder. The programs that a test runs block its thread, so the server needs another one.
async fn listen(server: &Server, folder: &Path) -> String {
    let path = folder.join("embedded.sock");
    server
        .listen(&PassiveRemote::Unix { path })
        .await
        .unwrap()
        .to_string()
}

/// The contents of a file as ovsdb-server reads it, on a copy.
fn dump_by_reference(file: &Path) -> Dump {
    let mut server = testing::Server::builder().schema(SCHEMA).start().unwrap();
    server.kill().unwrap();
    fs::copy(file, server.folder().join("Files.db")).unwrap();
    server.start().unwrap();
    dump(&server.remote())
}

/// The contents of a copy of a file as the embedded server reads it.
async fn dump_by_ours(file: &Path) -> Dump {
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("copy.db");
    fs::copy(file, &copy).unwrap();
    let server = Server::file(copy).unwrap();
    dump(&listen(&server, folder.path()).await)
}

fn reason(path: &Path) -> FileErrorReason {
    match Server::file(path) {
        Err(ServerError::File(error)) => error.reason,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_ovsdb_server_wrote_opens_with_equal_content() {
    let mut reference = testing::Server::builder().schema(SCHEMA).start().unwrap();
    let file = reference.folder().join("Files.db");
    transact(&reference.remote(), FIRST);
    let text = fs::read_to_string(&file).unwrap();
    assert!(
        text.contains("_is_diff") && text.contains("made by a test"),
        "{text}"
    );
    let equal = async || assert_eq!(dump_by_ours(&file).await, dump_by_reference(&file));
    equal().await;

    reference.appctl(&["ovsdb-server/compact"]).unwrap();
    equal().await;
    transact(&reference.remote(), &[FIRST[1]]);
    equal().await;

    let schema = reference.folder().join("later.ovsschema");
    fs::write(&schema, later_schema()).unwrap();
    let schema = schema.to_str().unwrap();
    output(
        "ovsdb-client",
        ["--timeout=60", "convert", &reference.remote(), schema],
    );
    equal().await;
    transact(&reference.remote(), LATER);
    equal().await;

    // The tools change the file while no server serves it.
    reference.kill().unwrap();
    let path = file.to_str().unwrap();
    output("ovsdb-tool", ["transact", path, LATER[1]]);
    equal().await;
    output("ovsdb-tool", ["compact", path]);
    equal().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_embedded_server_wrote_opens_in_ovsdb_server_and_the_tools() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ours.db");
    let server = Server::builder().create(&file, SCHEMA).start().unwrap();
    let remote = listen(&server, folder.path()).await;
    transact(&remote, FIRST);
    let equal = async || {
        let theirs = dump_by_reference(&file);
        assert_eq!(dump_by_ours(&file).await, theirs);
        theirs
    };
    equal().await;
    let records = || {
        let contents = fs::read(&file).unwrap();
        let contents = String::from_utf8(contents).unwrap();
        contents.matches("OVSDB JSON ").count()
    };
    assert!(records() > 2);
    // Of two compactions at the same time, one waits for the other.
    let (first, second) = tokio::join!(server.compact("Files"), server.compact("Files"));
    first.and(second).unwrap();
    assert_eq!(records(), 2, "the schema, and the rows");
    equal().await;
    transact(&remote, &[FIRST[1]]);
    equal().await;
    server.convert("Files", &later_schema()).unwrap();
    equal().await;
    transact(&remote, LATER);
    // The file has no values of ephemeral columns. Once they are the default, it equals what the server has.
    transact(
        &remote,
        &[r#"["Files",{"op":"update","table":"Item","where":[],"row":{"seen":0}}]"#],
    );
    assert_eq!(equal().await, dump(&remote));
    drop(server);

    let path = file.to_str().unwrap();
    assert_eq!(output("ovsdb-tool", ["db-name", path]), "Files\n");
    assert_eq!(output("ovsdb-tool", ["db-version", path]), "1.3.0\n");
    assert_eq!(output("ovsdb-tool", ["db-cksum", path]), "123 456\n");
    assert_eq!(output("ovsdb-tool", ["db-is-standalone", path]), "");
    assert!(!run("ovsdb-tool", ["check-cluster", path]).status.success());
    let log = output("ovsdb-tool", ["-mm", "show-log", path]);
    assert!(
        log.contains("record 1:") && log.contains("\"after the conversion\""),
        "{log}"
    );
    let select = r#"["Files",{"op":"select","table":"Item","where":[["name","==","three"]],"columns":["color"]}]"#;
    assert_eq!(
        output("ovsdb-tool", ["query", path, select]).trim(),
        r#"[{"rows":[{"color":"red"}]}]"#
    );
    let before = equal().await;
    output("ovsdb-tool", ["compact", path]);
    assert_eq!(equal().await, before);
    output("ovsdb-tool", ["transact", path, LATER[1]]);
    equal().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_schema_is_the_same_in_the_file_the_reply_and_the_servers_own_database() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ours.db");
    let server = Server::builder().create(&file, SCHEMA).start().unwrap();
    let remote = listen(&server, folder.path()).await;
    let reference = testing::Server::builder().schema(SCHEMA).start().unwrap();
    let query = r#"["_Server",{"op":"select","table":"Database","where":[["name","==","Files"]],"columns":["schema"]}]"#;
    let held = |remote: &str| {
        let reply = output(
            "ovsdb-client",
            ["--timeout=60", "get-schema", remote, "Files"],
        );
        let reply: serde_json::Value = serde_json::from_str(&reply).unwrap();
        let results = output("ovsdb-client", ["--timeout=60", "transact", remote, query]);
        let results: serde_json::Value = serde_json::from_str(&results).unwrap();
        let schema = results[0]["rows"][0]["schema"].as_str().unwrap();
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(schema).unwrap(),
            reply
        );
        ovsdb::schema::DatabaseSchema::parse(&reply.to_string()).unwrap()
    };
    let in_file = |path: &Path| {
        let text = fs::read_to_string(path).unwrap();
        ovsdb::schema::DatabaseSchema::parse(text.lines().nth(1).unwrap()).unwrap()
    };
    let expected = ovsdb::schema::DatabaseSchema::parse(SCHEMA).unwrap();
    assert_eq!(held(&reference.remote()), expected);
    assert_eq!(held(&remote), expected);
    assert_eq!(in_file(&file), expected);
    assert_eq!(in_file(&reference.folder().join("Files.db")), expected);

    server.convert("Files", &later_schema()).unwrap();
    let expected = ovsdb::schema::DatabaseSchema::parse(&later_schema()).unwrap();
    assert_eq!(held(&remote), expected);
    assert_eq!(in_file(&file), expected);
}

/// A file of the embedded server with some records, and the offset of each.
async fn records(folder: &Path) -> (Vec<u8>, Vec<usize>) {
    let file = folder.join("whole.db");
    let server = Server::builder().create(&file, SCHEMA).start().unwrap();
    transact(&listen(&server, folder).await, FIRST);
    drop(server);
    let whole = fs::read(&file).unwrap();
    let begins = |at: &usize| whole[*at..].starts_with(b"OVSDB JSON ");
    let starts = (0..whole.len()).filter(begins).collect();
    (whole, starts)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_that_was_not_written_to_its_end_is_cut_off_with_a_warning() {
    let folder = tempfile::tempdir().unwrap();
    let (whole, starts) = records(folder.path()).await;
    let last = *starts.last().unwrap();
    let path = folder.path().join("torn.db");
    for end in last + 1..whole.len() {
        fs::write(&path, &whole[..end]).unwrap();
        let (log, _guard) = capture::Log::capture();
        drop(Server::file(&path).unwrap());
        let warnings = log.at_least(Level::WARN);
        assert_eq!(warnings.len(), 1, "{end}: {warnings:?}");
        assert!(
            warnings[0]
                .message()
                .contains("cut off an incomplete record"),
            "{warnings:?}"
        );
        assert_eq!(warnings[0]["bytes"], (end - last).to_string());
        assert_eq!(fs::read(&path).unwrap(), whole[..last], "{end}");
    }
    // Power may fail after the length was written, and before the contents were.
    let mut zeroed = whole.clone();
    zeroed[last + 20..].fill(0);
    fs::write(&path, &zeroed).unwrap();
    drop(Server::file(&path).unwrap());
    assert_eq!(fs::read(&path).unwrap(), whole[..last]);
    // After a file was cut off, it continues correctly.
    let server = Server::file(&path).unwrap();
    transact(&listen(&server, folder.path()).await, &[FIRST[3]]);
    drop(server);
    assert_eq!(dump_by_ours(&path).await, dump_by_reference(&path));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damage_before_intact_records_is_an_error_that_names_the_record() {
    let folder = tempfile::tempdir().unwrap();
    let (whole, starts) = records(folder.path()).await;
    let path = folder.path().join("damaged.db");
    for record in 1..starts.len() - 1 {
        let step = if record == 2 { 1 } else { 17 };
        for at in (starts[record]..starts[record + 1]).step_by(step) {
            let mut damaged = whole.clone();
            damaged[at] ^= 1;
            fs::write(&path, &damaged).unwrap();
            match reason(&path) {
                FileErrorReason::Damaged {
                    record: named,
                    offset,
                    ..
                } => {
                    assert_eq!(
                        (named, offset),
                        (record, starts[record] as u64),
                        "byte {at}"
                    );
                }
                other => panic!("byte {at}: {other}"),
            }
            assert_eq!(fs::read(&path).unwrap(), damaged, "nothing is cut off");
        }
    }
    // A complete record that does not fit the database.
    let mut wrong = whole[..starts[2]].to_vec();
    wrong.extend_from_slice(&whole[starts[4]..]);
    fs::write(&path, &wrong).unwrap();
    match reason(&path) {
        FileErrorReason::Record { record: 2, error } => {
            assert!(error.to_string().contains("does not exist"), "{error}");
        }
        other => panic!("{other}"),
    }
}

#[test]
fn clustered_files_and_other_files_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let schema = folder.path().join("schema");
    fs::write(&schema, SCHEMA).unwrap();
    let file = folder.path().join("cluster.db");
    let arguments = [
        file.to_str().unwrap(),
        schema.to_str().unwrap(),
        "unix:raft",
    ];
    output(
        "ovsdb-tool",
        ["create-cluster"].into_iter().chain(arguments),
    );
    assert!(matches!(reason(&file), FileErrorReason::Clustered));
    for contents in ["", "hello\n", "OVSDB JSONS 3 0\n"] {
        fs::write(&file, contents).unwrap();
        assert!(
            matches!(reason(&file), FileErrorReason::NotADatabase),
            "{contents:?}"
        );
        assert_eq!(fs::read_to_string(&file).unwrap(), contents);
    }
    assert!(matches!(
        reason(&folder.path().join("none")),
        FileErrorReason::Io(_)
    ));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_opener_gets_an_error_while_the_database_is_served() {
    let mut reference = testing::Server::builder().schema(SCHEMA).start().unwrap();
    let file = reference.folder().join("Files.db");
    assert!(matches!(reason(&file), FileErrorReason::Locked));
    reference.kill().unwrap();

    let server = Server::file(&file).unwrap();
    assert!(matches!(reason(&file), FileErrorReason::Locked));
    let link = reference.folder().join("link.db");
    std::os::unix::fs::symlink(&file, &link).unwrap();
    assert!(matches!(reason(&link), FileErrorReason::Locked));
    // Refusing this process again must not have released the lock for others.
    let tool = run("ovsdb-tool", ["compact", file.to_str().unwrap()]);
    assert!(!tool.status.success());
    let error = String::from_utf8_lossy(&tool.stderr).into_owned();
    assert!(error.contains("lock"), "{error}");
    assert!(reference.start().is_err());
    assert!(
        reference.log().contains("failed to lock"),
        "{}",
        reference.log()
    );
    reference.kill().unwrap();

    // A database that is no longer served is not locked, even while tasks of its server still run.
    assert!(server.remove("Files"));
    let mut server = Server::file(&link).unwrap();
    for _ in 0..20 {
        let remote = server.remote();
        let client = ovsdb::Client::<ovsdb::nb::Database>::builder()
            .remotes(remote)
            .connect();
        let _client = client.await;
        drop(server);
        server = Server::file(&link).unwrap();
    }
    // A compaction preserves the link, and with it the lock.
    server.compact("Files").await.unwrap();
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert!(matches!(reason(&file), FileErrorReason::Locked));
    drop(server);
    reference.start().unwrap();
}

#[test]
fn no_file_is_created_for_a_broken_schema() {
    let folder = tempfile::tempdir().unwrap();
    let path: PathBuf = folder.path().join("new.db");
    let made = Server::builder().create(&path, "{}").start();
    assert!(matches!(made, Err(ServerError::File(_))), "{made:?}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    drop(Server::builder().create(&path, SCHEMA).start().unwrap());
    drop(Server::builder().create(&path, "{}").start().unwrap());
}

/// A schema whose table has this many columns.
fn wide(columns: usize) -> String {
    let columns = (0..columns).map(|number| format!(r#""c{number}":{{"type":"integer"}}"#));
    let columns = columns.collect::<Vec<_>>().join(",");
    format!(r#"{{"name":"Files","tables":{{"Wide":{{"isRoot":true,"columns":{{{columns}}}}}}}}}"#)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_with_more_columns_than_the_server_can_number_is_refused_everywhere() {
    const LIMIT: usize = 65_534;
    let widest = wide(LIMIT);
    let server = Server::memory(&*widest).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let remote = listen(&server, folder.path()).await;
    let last = format!(
        r#"["Files",{{"op":"insert","table":"Wide","row":{{"c{}":7}}}}]"#,
        LIMIT - 1
    );
    transact(&remote, &[&last]);
    let select =
        r#"["Files",{"op":"select","table":"Wide","where":[],"columns":["_uuid","c65533"]}]"#;
    let row = output("ovsdb-client", ["transact", &remote, select]);
    assert!(row.contains(r#""c65533":7"#), "{row}");

    let path = folder.path().join("wide.db");
    for columns in [LIMIT + 1, LIMIT + 2] {
        let schema = wide(columns);
        let refused = |error: &str| {
            let expected = format!(
                "tables.Wide.columns: the table has {columns} columns, and the embedded server serves at \
                 most {LIMIT}"
            );
            assert!(error.contains(&expected), "{error}");
        };
        let error = Server::memory(&*schema).unwrap_err();
        assert!(matches!(error, ServerError::Schema(_)), "{error:?}");
        refused(&error.to_string());
        if columns == LIMIT + 1 {
            continue;
        }
        let error = Server::cluster(&*schema, 3).unwrap_err();
        assert!(matches!(error, ServerError::Schema(_)), "{error:?}");
        refused(&error.to_string());
        let error = Server::builder().create(&path, &*schema).start();
        refused(&error.unwrap_err().to_string());
        assert!(!path.exists());
        refused(&server.convert("Files", &schema).unwrap_err().to_string());
        let file = folder.path().join("schema");
        fs::write(&file, &schema).unwrap();
        let converted = run(
            "ovsdb-client",
            ["--timeout=60", "convert", &remote, file.to_str().unwrap()],
        );
        refused(&String::from_utf8_lossy(&converted.stderr).replace("\\\"", "\""));

        let source = testing::Server::builder().schema(schema).start().unwrap();
        let copy = folder.path().join("copy.db");
        fs::copy(source.folder().join("Files.db"), &copy).unwrap();
        let FileErrorReason::Schema(error) = reason(&copy) else {
            panic!("another reason");
        };
        refused(&error.to_string());
        let Err(ovsdb::Error::Schema(error)) = Server::relay("Files", source.remote()).await else {
            panic!("the schema was not refused");
        };
        refused(&error.to_string());
    }
}

/// ovsdb-server accepts a schema with an ephemeral column that must hold a reference, and at its next start drops
/// the first row and everything after it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_file_is_created_for_a_schema_whose_rows_it_would_lose() {
    let optional = r#"{"name": "Files", "version": "1.0.0", "tables": {
      "Item": {"isRoot": true, "columns": {"part": {"ephemeral": true, "type":
        {"key": {"type": "uuid", "refTable": "Part"}, "min": 0}}}},
      "Part": {"isRoot": true, "columns": {"size": {"type": "integer"}}}}}"#;
    let strong = optional.replace(r#""min": 0"#, r#""min": 1"#);
    let weak = strong.replace(r#""Part"}"#, r#""Part", "refType": "weak"}"#);
    let value = strong.replace(
        r#""key": {"type""#,
        r#""key": "string", "max": 2, "value": {"type""#,
    );
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("new.db");
    for schema in [&strong, &weak, &value] {
        drop(Server::memory(schema).unwrap());
        let made = Server::builder().create(&path, schema).start();
        let Err(ServerError::File(error)) = made else {
            panic!("{made:?}");
        };
        let FileErrorReason::EphemeralReference { table, column } = &error.reason else {
            panic!("{error}");
        };
        assert_eq!((&**table, &**column), ("Item", "part"));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);

        let schema_file = folder.path().join("schema");
        let theirs = folder.path().join("theirs.db");
        fs::write(&schema_file, schema).unwrap();
        let files = [theirs.to_str().unwrap(), schema_file.to_str().unwrap()];
        output("ovsdb-tool", ["create"].into_iter().chain(files));
        assert!(matches!(
            reason(&theirs),
            FileErrorReason::EphemeralReference { .. }
        ));
        for file in fs::read_dir(folder.path()).unwrap() {
            fs::remove_file(file.unwrap().path()).unwrap();
        }
    }
    let server = Server::builder().create(&path, optional).start().unwrap();
    let contents = fs::read(&path).unwrap();
    let error = server.convert("Files", &strong).unwrap_err();
    assert_eq!(error.error, "constraint violation");
    assert!(error.to_string().contains("Item column part"), "{error}");
    assert_eq!(fs::read(&path).unwrap(), contents);
}
