//! The table.

use ovsdb_benches::{median, number};

use crate::beats::Committed;
use crate::faults::Faults;
use crate::final_check::Writes;
use crate::followers::{Followed, Kind};

/// What a run has shown.
#[derive(Debug)]
pub(crate) struct Report {
    faults: Faults,
    beats: Committed,
    followed: Vec<Followed>,
    writes: Writes,
}

impl Report {
    pub(crate) const fn new(
        faults: Faults,
        beats: Committed,
        followed: Vec<Followed>,
        writes: Writes,
    ) -> Self {
        Self {
            faults,
            beats,
            followed,
            writes,
        }
    }

    /// Whether nothing was duplicated or lost, and no row of a cache of this library differs.
    pub(crate) fn is_right(&self) -> bool {
        let mut caches = self.followed.iter().filter(|one| one.kind == Kind::Ovsdb);
        self.writes.wrong.nothing() && caches.all(|one| one.end.differ == 0)
    }

    pub(crate) fn print(&self) {
        let Faults {
            transfers,
            not_transferred,
            kills,
            time,
            ..
        } = &self.faults;
        println!(
            "{:.1} minutes: {transfers} transfers of the leadership ({not_transferred} did not come about), {kills} members killed",
            time.as_secs_f64() / 60.0
        );
        let Writes { ledger, wrong } = &self.writes;
        println!(
            "transactions: {} committed, {} refused or not sent, {} of unknown outcome; rows looked for: {}; increments of the shared counter: {}",
            ledger.committed, ledger.refused, ledger.unknown, ledger.checked, ledger.increments
        );
        println!(
            "duplicates: {}; lost commits: {}; refused, but present: {}\n",
            wrong.duplicates, wrong.lost, wrong.refused_but_present
        );
        println!(
            "| client | rows | rows that differ | stale, median s | stale, worst s | reconnects | resyncs | RSS at start, MB | at end, MB | change |"
        );
        println!("|---|---|---|---|---|---|---|---|---|---|");
        let mut all = Vec::new();
        for followed in &self.followed {
            let stale = self.stale(followed);
            self.print_row(followed, &stale);
            if followed.kind == Kind::Ovsdb {
                all.extend(stale);
            }
        }
        let worst = all.iter().copied().fold(0.0, f64::max);
        println!(
            "\ncaches of this library together: stale {} s (median of {} faults), {} s (worst)",
            number(median(all.iter().copied())),
            all.len(),
            number(worst)
        );
    }

    fn print_row(&self, followed: &Followed, stale: &[f64]) {
        let worst = stale.iter().copied().fold(0.0, f64::max);
        // A tenth of the run each: the first is after the initial rows have come.
        let tenth = followed.memory.len().div_ceil(10);
        let megabytes = |samples: &[u64]| median(samples.iter().map(|size| *size as f64 / 1e6));
        let start = megabytes(&followed.memory[..tenth]);
        let end = megabytes(&followed.memory[followed.memory.len() - tenth..]);
        let resyncs = followed.end.resyncs;
        println!(
            "| {} | {} | {} | {} | {} | {} | {} | {start:.1} | {end:.1} | {:+.1} % |",
            followed.kind.name(),
            followed.end.compared,
            followed.end.differ,
            number(median(stale.iter().copied())),
            number(worst),
            followed.end.connections.saturating_sub(1),
            resyncs.map_or_else(|| "-".to_owned(), |resyncs| resyncs.to_string()),
            (end / start - 1.0) * 100.0,
        );
    }

    /// For each fault, the longest time, in seconds, from a commit before the next fault until the client showed it.
    fn stale(&self, followed: &Followed) -> Vec<f64> {
        let mut stale = vec![0.0_f64; self.faults.began.len()];
        let last = followed.seen.iter().flatten().copied().max();
        for (committed, seen) in self.beats.iter().zip(&followed.seen) {
            for (number, committed) in committed.iter().enumerate() {
                let Some(committed) = *committed else {
                    continue;
                };
                let fault = self
                    .faults
                    .began
                    .partition_point(|began| *began <= committed);
                let Some(fault) = fault.checked_sub(1) else {
                    continue;
                };
                let seen = seen.get(number).copied().or(last).unwrap_or(u64::MAX);
                let lag = seen.saturating_sub(committed) as f64 / 1e9;
                stale[fault] = stale[fault].max(lag);
            }
        }
        stale
    }
}
