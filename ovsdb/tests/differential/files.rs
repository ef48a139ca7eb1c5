//! The files of both servers after the same steps: each server opens both, with equal content.

use std::fs;
use std::path::Path;
use std::process::Command;

use ovsdb::server::{PassiveRemote, Server};
use ovsdb::testing::{self, Dump};

use super::draw::{self, Drawn};
use super::pair::Pair;
use super::scale::{Seed, size};

fn parsed(text: &str) -> Result<Dump, String> {
    text.parse().map_err(|error| format!("{error}: {text}"))
}

fn dump(remote: &str) -> Result<Dump, String> {
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
    parsed(&String::from_utf8_lossy(&output.stdout))
}

/// What ovsdb-server has of a file.
fn dump_by_reference(server: &mut testing::Server, file: &Path) -> Result<Dump, String> {
    let text = |error: testing::ServerError| error.to_string();
    server.kill().map_err(text)?;
    let own = server.folder().join("D.db");
    if own != *file {
        fs::copy(file, own).map_err(|error| error.to_string())?;
    }
    server.start().map_err(text)?;
    parsed(&server.dump("D", None).map_err(text)?)
}

/// What the embedded server has of a copy of a file.
async fn dump_by_ours(file: &Path) -> Result<Dump, String> {
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
        // When a transaction waits, and then for the disk, its reply comes at any time.
        if step.may_wait() && step.message().contains("\"durable\":true") {
            continue;
        }
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
    reference.kill().map_err(|error| error.to_string())?;
    let theirs = folder.path().join("theirs.db");
    fs::copy(reference.folder().join("D.db"), &theirs).map_err(|error| error.to_string())?;
    for file in [theirs, file] {
        let by_reference = dump_by_reference(&mut reference, &file)?;
        let by_ours = dump_by_ours(&file).await?;
        if by_reference != by_ours {
            return Err(format!(
                "{} has in ovsdb-server\n{by_reference:?}\nand in the embedded server\n{by_ours:?}",
                file.display()
            ));
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_servers_open_the_files_of_both() {
    let seed = Seed::new();
    for database in 0..size(10, 2_000) {
        let mut random = seed.random();
        let drawn = draw::draw(&mut random, super::STEPS);
        if let Err(difference) = compare(&drawn, &mut random).await {
            panic!(
                "database {database}: {difference}\nof this schema:\n{}",
                drawn.schema
            );
        }
    }
}
