//! The measured client of this library. Like the peers' clients, it prints a line of JSON each time the
//! mark, `NB_Global.nb_cfg`, changes, and ends at the mark -1.

use std::hint::black_box;
use std::io::Write as _;
use std::time::Instant;

use nix::sys::resource::{UsageWho, getrusage};
use ovsdb::cache::Change;
use ovsdb::nb::{Database, LogicalSwitchPort as Port, NbGlobal};
use ovsdb::{Cache, Client, Ref};
use ovsdb_benches::Result;
use ovsdb_benches::process::monotonic_ns;
use serde_json::{Value, json};

/// The processor time that this process has used, in microseconds.
fn cpu_us() -> Result<i64> {
    let usage = getrusage(UsageWho::RUSAGE_SELF)?;
    let (user, system) = (usage.user_time(), usage.system_time());
    let seconds = user.tv_sec() + system.tv_sec();
    Ok(seconds * 1_000_000 + user.tv_usec() + system.tv_usec())
}

fn say(line: &Value) -> Result {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    Ok(out.flush()?)
}

/// Follows all tables and columns until the mark is -1.
pub(crate) fn follow(remote: &str) -> Result {
    // One thread, as the peers have, except that the library decodes a large reply, and drops a large
    // table, on other threads.
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(follow_marks(remote))
}

async fn follow_marks(remote: &str) -> Result {
    let (start, start_cpu) = (Instant::now(), cpu_us()?);
    let client = Client::<Database>::builder()
        .remotes(remote)
        .probe_interval(None)
        .request_timeout(None)
        .connect()
        .await?;
    let cache = client.cache().all_tables().start().await?;
    let rows = cache.snapshot().rows::<Port>().len();
    let (wall, cpu) = (start.elapsed(), cpu_us()? - start_cpu);
    say(&json!({"mark": 0, "rows": rows, "wall_us": wall.as_micros() as u64, "cpu_us": cpu}))?;

    let mut ports = cache.changes::<Port>();
    let mut marks = cache.changes::<NbGlobal>();
    // Skip the batches with the existing rows.
    drop((ports.try_next(), marks.try_next()));
    let mut latencies: Vec<f64> = Vec::new();
    let note = |batch: ovsdb::cache::ChangeBatch<Port>, latencies: &mut Vec<f64>| -> Result {
        let now = monotonic_ns()?;
        for change in &batch {
            if let Change::Modified { new, .. } = change {
                let sent: u64 = new.options["iface-id-ver"].parse()?;
                latencies.push(now.saturating_sub(sent) as f64 / 1e3);
            }
        }
        Ok(())
    };
    loop {
        tokio::select! {
            biased;
            batch = ports.next() => note(batch.ok_or("the client ended")?, &mut latencies)?,
            batch = marks.next() => {
                let batch = batch.ok_or("the client ended")?;
                // Take the changes that arrived before the mark.
                while let Some(batch) = ports.try_next() {
                    note(batch, &mut latencies)?;
                }
                for change in &batch {
                    let mark = change.row().nb_cfg;
                    reached(mark, &mut latencies, &cache)?;
                    if mark == -1 {
                        return Ok(());
                    }
                }
            }
        }
    }
}

fn reached(mark: i64, latencies: &mut Vec<f64>, cache: &Cache<Database>) -> Result {
    let (cpu, now) = (cpu_us()?, monotonic_ns()?);
    latencies.sort_unstable_by(f64::total_cmp);
    let quantile = |q: f64| {
        let at = (q * latencies.len().saturating_sub(1) as f64) as usize;
        latencies.get(at).copied().unwrap_or_default()
    };
    if mark == -1 {
        say(&json!({ "reads": reads(cache)? }))?;
    }
    say(&json!({
        "mark": mark, "cpu_us": cpu, "at_ns": now, "changes": latencies.len(),
        "p50_us": quantile(0.5), "p99_us": quantile(0.99),
    }))?;
    latencies.clear();
    Ok(())
}

/// Measures reading from the replica.
fn reads(cache: &Cache<Database>) -> Result<Value> {
    let view = cache.snapshot();
    let some: Vec<(Ref<Port>, String)> = view
        .rows::<Port>()
        .step_by(7)
        .map(|port| (port.reference(), port.name.to_string()))
        .collect();
    let each =
        |start: Instant, count: usize| start.elapsed().as_nanos() as f64 / count.max(1) as f64;

    let start = Instant::now();
    let size: usize = view
        .rows::<Port>()
        .map(|port| port.name.len() + port.addresses.len())
        .sum();
    let scan = each(start, 1);
    let start = Instant::now();
    let mut found = some
        .iter()
        .filter(|(port, _)| view.get(*port).is_some())
        .count();
    let by_uuid = each(start, some.len());
    let start = Instant::now();
    found += some
        .iter()
        .filter(|(_, name)| view.get_by(Port::NAME, name.as_str()).is_some())
        .count();
    let by_index = each(start, some.len());
    if found != 2 * some.len() || size == 0 {
        return Err("a row was not found".into());
    }
    const SNAPSHOTS: usize = 1_000_000;
    let start = Instant::now();
    for _ in 0..SNAPSHOTS {
        black_box(cache.snapshot());
    }
    let snapshot = each(start, SNAPSHOTS);
    Ok(json!({
        "by_uuid_ns": by_uuid, "by_index_ns": by_index, "scan_us": scan / 1e3,
        "snapshot_ns": snapshot,
    }))
}
