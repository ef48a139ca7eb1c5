//! Decodes and applies a recorded reply from memory, without a socket or a server.

use std::path::Path;
use std::time::Instant;

use ovsdb::nb::{Database, LogicalSwitchPort};
use ovsdb::protocol::{Framer, Limits};
use ovsdb::schema::{DatabaseSchema, bundled};
use ovsdb::testing::Replay;
use ovsdb_benches::{Result, median};
use serde::de::IgnoredAny;
use serde_json::json;

/// Replays the file.
pub(crate) fn replay_file(file: &Path, runs: usize, as_json: bool) -> Result {
    replay(&std::fs::read_to_string(file)?, runs, as_json)
}

/// Alternately replays the reply, and discards it by serde_json.
pub(crate) fn replay(reply: &str, runs: usize, as_json: bool) -> Result {
    let schema = DatabaseSchema::parse(bundled("OVN_Northbound").ok_or("no northbound schema")?)?;
    let (mut framing, mut apply, mut ignore, mut rows) = (vec![], vec![], vec![], 0);
    for _ in 0..runs.max(1) {
        let start = Instant::now();
        let found = Framer::new(Limits::default()).find(reply.as_bytes())?;
        framing.push(start.elapsed().as_secs_f64());
        if found.is_none_or(|range| range.len() != reply.trim().len()) {
            return Err("the recorded reply is not one message".into());
        }
        let mut replay = Replay::<Database>::new(&schema);
        let start = Instant::now();
        replay.receive(reply)?;
        apply.push(start.elapsed().as_secs_f64());
        rows = replay.snapshot().rows::<LogicalSwitchPort>().len();
        drop(replay);
        let start = Instant::now();
        serde_json::from_str::<IgnoredAny>(reply)?;
        ignore.push(start.elapsed().as_secs_f64());
    }
    let speed = |seconds: Vec<f64>| reply.len() as f64 / 1e6 / median(seconds);
    let (framing, apply, ignore) = (speed(framing), speed(apply), speed(ignore));
    let share = apply / ignore;
    if as_json {
        println!(
            "{}",
            json!({
                "bytes": reply.len(), "rows": rows, "framing_mb_per_s": framing,
                "decode_and_apply_mb_per_s": apply, "ignored_any_mb_per_s": ignore,
                "share": share,
            })
        );
    } else {
        println!(
            "{rows} ports, {} bytes; medians of {runs} runs",
            reply.len()
        );
        println!("find the end of the message     {framing:6.0} MB/s");
        println!("decode and apply                {apply:6.0} MB/s");
        println!("serde_json IgnoredAny           {ignore:6.0} MB/s");
        println!("decode and apply / IgnoredAny   {share:6.2}");
    }
    Ok(())
}
