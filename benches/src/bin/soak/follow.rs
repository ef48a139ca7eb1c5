//! A cache under test, in a separate process: it prints a line of JSON each time that it shows a change of the row
//! with the heartbeats.
//! A line on its input names a file with a dump, with which it compares its rows.

use std::collections::BTreeSet;
use std::io::{BufRead as _, Write as _};
use std::time::Duration;

use ovsdb::nb::{Database, NbGlobal};
use ovsdb::testing::{Difference, Dump};
use ovsdb::{Cache, Client, Uuid};
use ovsdb_benches::Result;
use ovsdb_benches::process::monotonic_ns;
use serde_json::{Map, Value, json};

/// How many differences are printed.
const SHOWN: usize = 10;

fn say(line: &Value) -> Result {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    Ok(out.flush()?)
}

pub(crate) fn follow(remotes: &str) -> Result {
    // One thread, as the peers have, except that the library decodes a large reply, and drops a large
    // table, on other threads.
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(follow_heartbeats(remotes))
}

async fn follow_heartbeats(remotes: &str) -> Result {
    let client = Client::<Database>::builder()
        .remotes(remotes)
        .leader_only(true)
        .connect()
        .await?;
    let cache = client.cache().all_tables().start().await?;
    say(&json!({ "rows": cache.snapshot().len() }))?;
    let (send, mut input) = tokio::sync::mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for line in std::io::stdin()
            .lock()
            .lines()
            .map_while(std::result::Result::ok)
        {
            if send.send(line).is_err() {
                return;
            }
        }
    });
    let mut marks = cache.changes::<NbGlobal>();
    loop {
        tokio::select! {
            batch = marks.next() => {
                drop(batch.ok_or("the client ended")?);
                let now = monotonic_ns()?;
                let view = cache.snapshot();
                let global = view.rows::<NbGlobal>().next().ok_or("NB_Global has no row")?;
                let heartbeats = global.external_ids.iter();
                let heartbeats = heartbeats.map(|(key, heartbeat)| (key.to_string(), json!(heartbeat.as_str())));
                say(&json!({"heartbeats": heartbeats.collect::<Map<_, _>>(), "at_ns": now}))?;
            }
            dump = input.recv() => {
                let Some(dump) = dump else { return Ok(()) };
                compare(&client, &cache, &dump).await?;
            }
        }
    }
}

async fn compare(client: &Client<Database>, cache: &Cache<Database>, dump: &str) -> Result {
    let dump: Dump = std::fs::read_to_string(dump)?.parse()?;
    let current = tokio::time::timeout(Duration::from_secs(60), cache.current());
    current.await.map_err(|_| "the cache is not current")??;
    let view = cache.snapshot();
    let (_, differences) = dump.differences(&view);
    for difference in differences.iter().take(SHOWN) {
        eprintln!("{difference}");
    }
    // Count rows, not columns, as the peers do.
    let rows = differences.iter().map(|difference| match difference {
        Difference::Missing { row, .. }
        | Difference::Stale { row, .. }
        | Difference::Column { row, .. } => *row,
        _ => Uuid::nil(),
    });
    let rows: BTreeSet<Uuid> = rows.collect();
    let connections = client.stats().connections;
    say(&json!({
        "compared": view.len(), "differ": rows.len(), "connections": connections,
        "resyncs": cache.stats().resyncs,
    }))
}
