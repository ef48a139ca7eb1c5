//! `ovsdb-serve` in a private folder, and the programs of Open vSwitch and OVN that are its clients.

#![allow(dead_code, reason = "each test file uses a part")]

use std::io::{BufRead as _, BufReader, Lines};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};

use crate::support::Run;

/// A server that runs until this is dropped.
pub(crate) struct Serve {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    /// Its remotes.
    pub(crate) remotes: Vec<String>,
    /// The databases that it serves.
    pub(crate) databases: Vec<String>,
}

/// The program with these arguments.
pub(crate) fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ovsdb-serve"));
    command.args(arguments).stdin(Stdio::null());
    command
}

impl Serve {
    /// Starts it with these arguments, and waits until it listens on the remotes among them.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let is_remote = |argument: &&&str| argument.starts_with("--remote");
        let count = arguments.iter().filter(is_remote).count();
        let mut command = command(arguments);
        let mut child = command.stdout(Stdio::piped()).spawn().expect("it starts");
        let lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let mut serve = Self {
            child,
            lines,
            remotes: Vec::new(),
            databases: Vec::new(),
        };
        while serve.remotes.len() < count {
            let line = serve.line().expect("it listens");
            match line.split_once(" on ") {
                Some(("listening", remote)) => serve.remotes.push(remote.to_owned()),
                _ => serve
                    .databases
                    .extend(line.strip_prefix("serving ").map(str::to_owned)),
            }
        }
        serve
    }

    /// Databases in memory on a socket in this folder.
    pub(crate) fn memory(folder: &Path, schemas: &[&str]) -> Self {
        let remote = format!("--remote=punix:{}", folder.join("db.sock").display());
        Self::start(&[&["--no-file", &*remote], schemas].concat())
    }

    /// The next line that it prints.
    pub(crate) fn line(&mut self) -> Option<String> {
        self.lines.next().map(|line| line.expect("UTF-8"))
    }

    /// Its first remote.
    pub(crate) fn remote(&self) -> &str {
        &self.remotes[0]
    }

    /// Sends it a signal, and waits until it has ended.
    pub(crate) fn end(mut self, signal: &str) -> ExitStatus {
        let id = self.child.id().to_string();
        let mut kill = Command::new("kill");
        assert!(kill.args([signal, &id]).status().expect("kill").success());
        self.child.wait().expect("it ends")
    }
}

impl Drop for Serve {
    fn drop(&mut self) {
        // An error means that it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A program of Open vSwitch or OVN, with its files in this folder.
pub(crate) fn tool(folder: &Path, name: &str, arguments: &[&str]) -> Command {
    let program: PathBuf = ovsdb::testing::program(name).expect("the program");
    let mut command = Command::new(program);
    for variable in ["RUNDIR", "LOGDIR", "DBDIR", "SYSCONFDIR"] {
        command.env(format!("OVS_{variable}"), folder);
        command.env(format!("OVN_{variable}"), folder);
    }
    command.current_dir(folder).args(arguments);
    command
}

/// Runs a program of Open vSwitch or OVN to its end.
pub(crate) fn run(folder: &Path, name: &str, arguments: &[&str]) -> Run {
    let mut command = tool(folder, name, arguments);
    let output = command.stdin(Stdio::null()).output().expect("it runs");
    Run {
        status: output.status.code(),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}
