//! The files of both servers after the same steps: each server opens both files, with equal contents.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use ovsdb::server::{PassiveRemote, Server};
use ovsdb::testing;
use serde_json::Value;

use super::draw::{self, Drawn};
use super::pair::Pair;
use super::scale::size;
use super::seed::Seed;

/// The columns of a dump, by table, row and name.
type Columns = BTreeMap<(String, String, String), String>;

fn columns(text: &str) -> Result<Columns, String> {
    let mut columns = Columns::new();
    for table in serde_json::Deserializer::from_str(text).into_iter() {
        let table: Value = table.map_err(|error| format!("{error}: {text}"))?;
        let headings = table["headings"].as_array().ok_or("no headings")?;
        for row in table["data"].as_array().into_iter().flatten() {
            for (heading, value) in headings.iter().zip(row.as_array().into_iter().flatten()) {
                let key = (
                    table["caption"].to_string(),
                    row[0].to_string(),
                    heading.to_string(),
                );
                columns.insert(key, plain(value).to_string());
            }
        }
    }
    Ok(columns)
}

/// The value with all numbers written in the same way.
fn plain(value: &Value) -> Value {
    match value {
        Value::Number(number) => (number.as_f64().unwrap_or_default() + 0.0).into(),
        Value::Array(elements) => elements.iter().map(plain).collect(),
        other => other.clone(),
    }
}

fn dump(remote: &str) -> Result<Columns, String> {
    let arguments = [
        "--timeout=60",
        "--format=json",
        "--data=json",
        "dump",
        remote,
        "D",
    ];
    let program = testing::program("ovsdb-client").map_err(|error| error.to_string())?;
    let output = Command::new(program).args(arguments).output();
    let output = output.map_err(|error| error.to_string())?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    columns(&String::from_utf8_lossy(&output.stdout))
}

/// The contents of a file as ovsdb-server reads them.
fn dump_by_reference(server: &mut testing::Server, file: &Path) -> Result<Columns, String> {
    let text = |error: testing::ServerError| error.to_string();
    server.kill().map_err(text)?;
    let own = server.folder().join("D.db");
    if own != *file {
        fs::copy(file, own).map_err(|error| error.to_string())?;
    }
    server.start().map_err(text)?;
    dump(&server.remote())
}

/// The contents of a copy of a file as the embedded server reads them.
async fn dump_by_ours(file: &Path) -> Result<Columns, String> {
    let copy = file.with_extension("copy");
    fs::copy(file, &copy).map_err(|error| error.to_string())?;
    let server = Server::file(&copy).map_err(|error| error.to_string())?;
    let path = file.with_extension("sock");
    let remote = server.listen(&PassiveRemote::Unix { path }).await;
    dump(&remote.map_err(|error| error.to_string())?.to_string())
}

async fn compare(drawn: &Drawn, compactions: &mut fastrand::Rng) -> Result<(), String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let file = folder.path().join("ours.db");
    let ours = Server::builder().create(&file, &*drawn.schema).start();
    let ours = ours.map_err(|error| error.to_string())?;
    let mut pair = Pair::with(&drawn.schema, ours).await?;
    for (number, step) in drawn.steps.iter().enumerate() {
        // A reply that waits for the disk comes after replies to later requests.
        let step = &step.for_files();
        let done = pair.step(step).await;
        if !done.map_err(|difference| format!("step {number}, {step}: {difference}"))? {
            return Ok(());
        }
        if compactions.usize(..30) == 0 {
            let (reference, ours) = pair.servers();
            let compacted = reference.appctl(&["ovsdb-server/compact"]);
            compacted.map_err(|error| error.to_string())?;
            ours.compact("D").await.map_err(|error| error.to_string())?;
        }
    }
    let (mut reference, ours) = pair.into_servers();
    drop(ours);
    let live = dump(&reference.remote())?;
    reference.kill().map_err(|error| error.to_string())?;
    let theirs = folder.path().join("theirs.db");
    fs::copy(reference.folder().join("D.db"), &theirs).map_err(|error| error.to_string())?;
    for file in [theirs, file] {
        let by_reference = dump_by_reference(&mut reference, &file)?;
        let by_ours = dump_by_ours(&file).await?;
        let rows = |columns: &Columns| -> Vec<_> { columns.keys().cloned().collect() };
        // When ovsdb-server 3.1 opens a file and applies a difference to a default, it loses the elements of
        // the default. If they are references, or required, it drops that record and all after it. What it
        // had before it was stopped (`live`) is correct.
        if by_ours == live {
            continue;
        }
        if rows(&by_reference) != rows(&by_ours) {
            return Err(format!(
                "{}: {by_reference:?}\nand\n{by_ours:?}",
                file.display()
            ));
        }
        for (column, theirs) in &by_reference {
            let ours = &by_ours[column];
            if ours != theirs && live.get(column) != Some(ours) {
                return Err(format!(
                    "{}: {column:?} is {theirs} in ovsdb-server and {ours} in the embedded server",
                    file.display()
                ));
            }
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_servers_open_the_files_of_both() {
    let seed = Seed::new();
    for database in 0..size(10, 2_000) {
        let mut random = seed.random();
        let mut drawn = draw::draw(&mut random, super::STEPS);
        // An ephemeral reference that must not be empty refers to no row after a restart.
        drawn.schema = drawn.schema.replace(",\"ephemeral\":true", "");
        if let Err(difference) = compare(&drawn, &mut random).await {
            panic!(
                "database {database}: {difference}\nof this schema:\n{}",
                drawn.schema
            );
        }
    }
}
