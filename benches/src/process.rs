//! Facts about a running process, from Linux.

use std::fs;
use std::process::Command;
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

use crate::Result;

/// The time of the monotonic clock, which all processes share, in nanoseconds.
///
/// # Errors
/// Never on Linux.
pub fn monotonic_ns() -> Result<u64> {
    let now = Duration::from(clock_gettime(ClockId::CLOCK_MONOTONIC)?);
    Ok(u64::try_from(now.as_nanos())?)
}

/// A size from `/proc/PID/status`, in bytes: `VmHWM` is the peak of the process's resident memory, `VmRSS`
/// its resident memory now.
///
/// # Errors
/// When there is no such process, or it has no such entry.
pub fn memory(process: u32, name: &str) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let kilobytes = status
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
        .and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok())
        .ok_or_else(|| format!("process {process} has no {name}"))?;
    Ok(kilobytes * 1024)
}

/// The time that the threads of the process have run, in microseconds. Threads that have ended do not count.
///
/// # Errors
/// When there is no such process.
pub fn cpu_us(process: u32) -> Result<u64> {
    let mut nanoseconds = 0;
    for thread in fs::read_dir(format!("/proc/{process}/task"))? {
        // A thread may have ended since the folder was read.
        let statistics = fs::read_to_string(thread?.path().join("schedstat")).unwrap_or_default();
        let running = statistics.split(' ').next().unwrap_or_default();
        nanoseconds += running.parse::<u64>().unwrap_or_default();
    }
    Ok(nanoseconds / 1000)
}

/// The machine and the date, on one line.
///
/// # Errors
/// When Linux does not provide them, or the program `date` cannot be run.
pub fn machine() -> Result<String> {
    let processors = fs::read_to_string("/proc/cpuinfo")?;
    let models: Vec<&str> = processors
        .lines()
        .filter(|line| line.starts_with("model name"))
        .filter_map(|line| Some(line.split_once(": ")?.1))
        .collect();
    let model = models.first().unwrap_or(&"an unknown processor");
    let load = fs::read_to_string("/proc/loadavg")?;
    let load = load.split(' ').next().unwrap_or_default();
    let date = Command::new("date").args(["-u", "+%Y-%m-%d"]).output()?;
    let date = String::from_utf8_lossy(&date.stdout);
    let date = date.trim();
    Ok(format!(
        "{date}, {} x {model}, load average {load}",
        models.len()
    ))
}
