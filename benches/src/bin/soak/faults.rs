//! The faults: the leader hands over every few seconds, and a member is killed every minute.

use std::thread::sleep;
use std::time::{Duration, Instant};

use ovsdb::testing::Cluster;
use ovsdb_benches::Result;
use ovsdb_benches::process::monotonic_ns;

use crate::Arguments;

/// How long it may take at the end until all members run again.
const LIMIT: Duration = Duration::from_secs(300);

/// The faults that were injected.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    /// When each fault began, in nanoseconds of the monotonic clock.
    pub(crate) began: Vec<u64>,
    pub(crate) transfers: usize,
    /// Transfers of the leadership that failed, for example because no other member was up to date.
    pub(crate) not_transferred: usize,
    pub(crate) kills: usize,
    /// Members whose process ended by itself.
    pub(crate) ended: usize,
    /// How long faults were injected.
    pub(crate) time: Duration,
}

impl Faults {
    /// Injects faults for the requested time, and waits until all members run again.
    pub(crate) fn cause(cluster: &mut Cluster, arguments: &Arguments) -> Result<Self> {
        let start = Instant::now();
        let seconds = Duration::from_secs_f64;
        let end = start + seconds(arguments.minutes * 60.0);
        let mut faults = Self::default();
        let mut transfer_at = start + seconds(arguments.transfer_every);
        let mut kill_at = start + seconds(arguments.kill_every / 2.0);
        let mut down: Option<(usize, Instant)> = None;
        while Instant::now() < end {
            faults.start_ended(cluster)?;
            let now = Instant::now();
            if let Some((member, until)) = down.filter(|(_, until)| *until <= now) {
                eprintln!(
                    "{:>6.1} s: member {member} starts",
                    start.elapsed().as_secs_f64()
                );
                if cluster.member_mut(member).start().is_ok() {
                    down = None;
                } else {
                    down = Some((member, until + seconds(1.0)));
                }
            } else if kill_at <= now && down.is_none() {
                // On a busy machine, an election may take longer than the time allowed for finding
                // the leader.
                let Ok(leader) = cluster.leader() else {
                    kill_at = Instant::now() + seconds(1.0);
                    continue;
                };
                faults.began.push(monotonic_ns()?);
                // Kill the leader and another member in turns.
                let member = (leader + faults.kills % 2) % cluster.members().len();
                eprintln!(
                    "{:>6.1} s: member {member} is killed",
                    start.elapsed().as_secs_f64()
                );
                cluster.member_mut(member).kill()?;
                faults.kills += 1;
                down = Some((member, Instant::now() + seconds(arguments.down)));
                kill_at += seconds(arguments.kill_every);
            } else if transfer_at <= now {
                faults.began.push(monotonic_ns()?);
                match cluster.transfer_leadership() {
                    Ok(_) => faults.transfers += 1,
                    Err(_) => faults.not_transferred += 1,
                }
                // A transfer that took longer delays the next ones.
                let next = transfer_at + seconds(arguments.transfer_every);
                transfer_at = next.max(Instant::now());
            }
            sleep(Duration::from_millis(50));
        }
        faults.time = start.elapsed();
        if let Some((member, _)) = down {
            cluster.member_mut(member).start()?;
        }
        faults.start_ended(cluster)?;
        let deadline = Instant::now() + LIMIT;
        for member in cluster.members() {
            while let Err(error) = member.wait_until_connected("OVN_Northbound") {
                if Instant::now() > deadline {
                    return Err(error.into());
                }
            }
        }
        while let Err(error) = cluster.leader() {
            if Instant::now() > deadline {
                return Err(error.into());
            }
        }
        Ok(faults)
    }

    /// Starts members again whose process ended by itself.
    fn start_ended(&mut self, cluster: &mut Cluster) -> Result {
        for member in 0..cluster.members().len() {
            let process = cluster.members()[member].process_id();
            if process.is_some_and(has_ended) {
                eprintln!("member {member} has ended by itself, and is started again");
                self.began.push(monotonic_ns()?);
                self.ended += 1;
                cluster.member_mut(member).start()?;
            }
        }
        Ok(())
    }
}

/// Whether a child process has ended: it is a zombie then.
fn has_ended(process: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    // The program's name, in parentheses, may contain any characters.
    let state = status.rsplit(") ").next();
    state.is_some_and(|rest| rest.starts_with('Z'))
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn a_process_that_has_ended_is_distinguished_from_one_that_runs() {
        let mut process = Command::new("cat")
            .stdin(Stdio::piped())
            .spawn()
            .expect("a process");
        assert!(!has_ended(process.id()));
        drop(process.stdin.take());
        while !has_ended(process.id()) {
            sleep(Duration::from_millis(5));
        }
        process.wait().expect("the process ends");
        assert!(!has_ended(process.id()), "the process was reaped");
    }
}
