//! The measured clients, each a process that prints the marks it has reached.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, ChildStdout, Stdio};

use ovsdb_benches::{Kind, Result};
use serde::Deserialize;
use serde_json::Value;

/// The line that a client prints when it has reached a mark.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Mark {
    pub(crate) mark: i64,
    /// Processor time since the start of the process; for the mark 0, since the start of the
    /// connection.
    pub(crate) cpu_us: f64,
    /// For the mark 0: the time from the start of the connection to the last row.
    #[serde(default)]
    pub(crate) wall_us: f64,
    /// For the mark 0: the number of ports that it has.
    #[serde(default)]
    pub(crate) rows: usize,
    /// When the mark was reached.
    #[serde(default)]
    pub(crate) at_ns: u64,
    /// The number of changes since the previous mark. The times below are from sending a change to its
    /// arrival.
    #[serde(default)]
    pub(crate) changes: usize,
    #[serde(default)]
    pub(crate) p50_us: f64,
    #[serde(default)]
    pub(crate) p99_us: f64,
}

/// A running client.
#[derive(Debug)]
pub(crate) struct Follower {
    kind: Kind,
    process: Child,
    lines: std::io::Lines<BufReader<ChildStdout>>,
}

impl Follower {
    pub(crate) fn start(kind: Kind, remote: &str) -> Result<Self> {
        let mut command = kind.command("c-idl", "python-idl.py")?;
        let mut process = command
            .arg(remote)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("{} cannot be started: {error}", kind.name()))?;
        let out = process.stdout.take().ok_or("the client has no output")?;
        let lines = BufReader::new(out).lines();
        Ok(Self {
            kind,
            process,
            lines,
        })
    }

    pub(crate) fn process(&self) -> u32 {
        self.process.id()
    }

    fn line(&mut self) -> Result<String> {
        let ended = || format!("the client {} ended", self.kind.name());
        Ok(self.lines.next().ok_or_else(ended)??)
    }

    /// Waits until the client reports that it has reached this mark.
    pub(crate) fn wait_for(&mut self, mark: i64) -> Result<Mark> {
        let line = self.line()?;
        let reached: Mark = serde_json::from_str(&line)?;
        if reached.mark == mark {
            return Ok(reached);
        }
        Err(format!("{} printed {line}, expected mark {mark}", self.kind.name()).into())
    }

    /// The times of reading from the replica, which the client prints before it ends.
    pub(crate) fn reads(&mut self) -> Result<Value> {
        let mut line: Value = serde_json::from_str(&self.line()?)?;
        Ok(line["reads"].take())
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        // It has ended unless something failed.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
