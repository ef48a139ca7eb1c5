//! Shared by the tests of the program: a private server, and running the program with it.
#![allow(dead_code, reason = "each test file uses a part")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use ovsdb::testing::Server;
use serde_json::Value;

/// The schemas that the tests run with: an older OVN's, and the one from which the types are generated.
pub(crate) const SCHEMAS: [&str; 2] = ["ovn-23.03", "bundled"];

/// The text of a northbound schema.
pub(crate) fn schema(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../schemas");
    let file = match name {
        "bundled" => folder.join("files/ovn-nb.ovsschema"),
        version => folder
            .join("tests/files")
            .join(version)
            .join("ovn-nb.ovsschema"),
    };
    fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// A server with an empty northbound database.
pub(crate) fn server(schema_name: &str) -> Server {
    let server = Server::builder().schema(schema(schema_name)).start();
    server.expect("a server")
}

/// The folder of the sample manifests, or a file in it.
pub(crate) fn manifest(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("manifests")
        .join(file)
}

/// The path of a manifest in the folder of the tests' files.
pub(crate) fn file(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/files/manifests");
    folder.join(name).display().to_string()
}

/// How the program ended, and what it printed.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) status: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Run {
    /// Checks that the program succeeded.
    pub(crate) fn succeeded(self) -> String {
        assert_eq!(self.status, Some(0), "{self:?}");
        self.out
    }
}

/// Runs the program.
pub(crate) fn multihoming(arguments: &[&str]) -> Run {
    multihoming_in(&[], arguments)
}

/// Runs the program with these environment variables.
pub(crate) fn multihoming_in(environment: &[(&str, &str)], arguments: &[&str]) -> Run {
    let output = Command::new(env!("CARGO_BIN_EXE_multihoming"))
        .args(arguments)
        .env_remove("OVN_NB_DB")
        .env_remove("OVN_NBCTL_OPTIONS")
        .envs(environment.iter().copied())
        .stdin(Stdio::null())
        .output()
        .expect("the program runs");
    Run {
        status: output.status.code(),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Runs a command of the program on a server's database.
pub(crate) fn on(server: &Server, command: &str, arguments: &[&str]) -> Run {
    let remote = server.remote();
    let mut all = vec![command, "--nb", &remote];
    all.extend(arguments);
    multihoming(&all)
}

/// Writes a manifest into the server's folder.
pub(crate) fn write(server: &Server, name: &str, text: &str) -> String {
    let path = server.folder().join(name);
    fs::write(&path, text).expect("a file");
    path.display().to_string()
}

/// The rows of a table as `ovsdb-client dump` has them, each an object of its columns.
pub(crate) fn rows(server: &Server, table: &str) -> Vec<serde_json::Map<String, Value>> {
    let text = server.dump("OVN_Northbound", Some(table)).expect("a dump");
    let table: Value = serde_json::from_str(&text).expect("JSON");
    let headings = table["headings"].as_array().expect("headings");
    let rows = table["data"].as_array().expect("rows").iter().map(|row| {
        let cells = row.as_array().expect("a row");
        let named = headings.iter().zip(cells);
        named
            .map(|(name, cell)| (name.as_str().expect("a name").to_owned(), cell.clone()))
            .collect()
    });
    rows.collect()
}

/// The names of a table's rows, sorted.
pub(crate) fn names(server: &Server, table: &str) -> Vec<String> {
    let rows = rows(server, table);
    let mut names: Vec<String> = rows
        .iter()
        .map(|row| row["name"].as_str().expect("a name").to_owned())
        .collect();
    names.sort();
    names
}

/// The row with this name.
pub(crate) fn row(server: &Server, table: &str, name: &str) -> serde_json::Map<String, Value> {
    let mut rows = rows(server, table)
        .into_iter()
        .filter(|row| row["name"] == name);
    let row = rows.next().unwrap_or_else(|| panic!("no {table} {name}"));
    assert!(rows.next().is_none(), "several {table} {name}");
    row
}

/// A map column as an object.
pub(crate) fn map(cell: &Value) -> Value {
    let pairs = cell[1].as_array().expect("the pairs of a map").iter();
    let pairs = pairs.map(|pair| (pair[0].as_str().expect("a key").to_owned(), pair[1].clone()));
    Value::Object(pairs.collect())
}

/// Everything in the database.
pub(crate) fn everything(server: &Server) -> String {
    server.dump("OVN_Northbound", None).expect("a dump")
}

/// The database's file, to which the server appends every transaction that changes anything.
pub(crate) fn history(server: &Server) -> Vec<u8> {
    fs::read(server.folder().join("OVN_Northbound.db")).expect("the database's file")
}

/// Runs ovn-nbctl on the server, as a person would to change something by hand.
pub(crate) fn nbctl(server: &Server, arguments: &[&str]) {
    let program = ovsdb::testing::program("ovn-nbctl").expect("ovn-nbctl");
    let output = Command::new(program)
        .arg(format!("--db={}", server.remote()))
        .arg("--no-leader-only")
        .args(arguments)
        .output()
        .expect("ovn-nbctl runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}
