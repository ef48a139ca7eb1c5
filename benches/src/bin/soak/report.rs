//! The report of a run.

use ovsdb_benches::{Kind, median, number};

use crate::faults::Faults;
use crate::final_check::Writes;
use crate::followers::Followed;
use crate::heartbeats::Committed;

/// The results of a run.
#[derive(Debug)]
pub(crate) struct Report {
    faults: Faults,
    heartbeats: Committed,
    followed: Vec<Followed>,
    writes: Writes,
}

impl Report {
    pub(crate) const fn new(
        faults: Faults,
        heartbeats: Committed,
        followed: Vec<Followed>,
        writes: Writes,
    ) -> Self {
        Self {
            faults,
            heartbeats,
            followed,
            writes,
        }
    }

    /// Whether nothing was duplicated, lost or present although it was refused, and no row of a cache of
    /// this library differs.
    pub(crate) fn is_right(&self) -> bool {
        let mut caches = self.followed.iter().filter(|one| one.kind == Kind::Ovsdb);
        self.writes.wrong.nothing() && caches.all(|one| one.end.differ == 0)
    }

    pub(crate) fn print(&self) {
        let Faults {
            transfers,
            not_transferred,
            kills,
            ended,
            time,
            ..
        } = &self.faults;
        println!(
            "{:.1} minutes: {transfers} transfers of the leadership ({not_transferred} more failed), {kills} members killed, {ended} ended by themselves",
            time.as_secs_f64() / 60.0
        );
        let Writes { ledger, wrong } = &self.writes;
        println!(
            "transactions: {} committed, {} refused or not sent, {} of unknown outcome; rows checked: {}; increments of the shared counter: {}",
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
            "\ncaches of this library together: stale {} s (median of {} values, one for each fault and cache), {} s (worst)",
            number(median(all.iter().copied())),
            all.len(),
            number(worst)
        );
    }

    fn print_row(&self, followed: &Followed, stale: &[f64]) {
        let worst = stale.iter().copied().fold(0.0, f64::max);
        // The first and the last tenth of the run. The first begins when all clients have the
        // initial rows.
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

    /// For each fault, the longest time, in seconds, from a commit until the client showed it, of the heartbeats
    /// that were committed between this fault and the next one.
    fn stale(&self, followed: &Followed) -> Vec<f64> {
        let mut stale = vec![0.0_f64; self.faults.began.len()];
        // For a heartbeat that the client never saw, the time counts until the end.
        let end = self.heartbeats.iter().flatten().flatten();
        let end = end.chain(followed.seen.iter().flatten()).copied().max();
        for (committed, seen) in self.heartbeats.iter().zip(&followed.seen) {
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
                let seen = seen.get(number).copied().or(end).unwrap_or_default();
                let lag = seen.saturating_sub(committed) as f64 / 1e9;
                stale[fault] = stale[fault].max(lag);
            }
        }
        stale
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::followers::End;
    use crate::ledger::{Ledger, Wrong};

    #[test]
    fn the_longest_wait_after_each_fault_counts() {
        let at = |milliseconds: u64| milliseconds * 1_000_000;
        let followed = |seen: &[u64], differ| Followed {
            kind: Kind::Ovsdb,
            seen: vec![seen.iter().copied().map(at).collect()],
            memory: Vec::new(),
            end: End {
                compared: 1,
                differ,
                connections: 1,
                resyncs: None,
            },
        };
        let commits = [
            Some(900),
            Some(1100),
            None,
            Some(1300),
            Some(2500),
            Some(4000),
        ];
        let report = Report::new(
            Faults {
                began: [1000, 2000, 3000].map(at).into(),
                ..Faults::default()
            },
            vec![commits.map(|commit| commit.map(at)).into()],
            vec![followed(&[990], 0), followed(&[990], 1)],
            Writes {
                ledger: Ledger::default(),
                wrong: Wrong::default(),
            },
        );
        // A heartbeat also counts as the earlier ones that were skipped. A heartbeat may be seen before its
        // commit is known.
        let seen = followed(&[990, 1700, 1700, 1700, 2499, 4250], 0);
        assert_eq!(report.stale(&seen), [0.6, 0.0, 0.25]);
        assert_eq!(report.stale(&followed(&[990, 1101], 0)), [2.7, 1.5, 0.0]);
        assert!(!report.is_right(), "a row of a cache differs");
    }
}
