//! Programs: short ones whose output is wanted, and daemons that end with their guard.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::Result;

/// Runs a program; gives what it printed.
///
/// # Errors
/// When it cannot be run or fails; the error has the command and what it printed.
pub(super) fn output(command: &mut Command) -> Result<String> {
    let (succeeded, text) = attempt(command)?;
    if succeeded {
        return Ok(text);
    }
    Err(format!("{command:?} failed: {}", text.trim()).into())
}

/// Runs a program that may fail; gives whether it succeeded, and what it printed.
///
/// # Errors
/// When it cannot be run.
pub(super) fn attempt(command: &mut Command) -> Result<(bool, String)> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("{command:?} cannot be run: {error}"))?;
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        text.push_str(&String::from_utf8_lossy(&output.stderr));
    }
    Ok((output.status.success(), text))
}

/// A program that runs until it is dropped.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts a program. What it prints goes to the file `NAME.log` of the folder.
    pub(super) fn start(command: &mut Command, folder: &Path, name: &str) -> Result<Self> {
        let log = folder.join(format!("{name}.log"));
        let file = File::create(&log)?;
        let child = command
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()
            .map_err(|error| format!("{command:?} cannot be run: {error}"))?;
        Ok(Self { child, log })
    }

    /// What it has printed.
    pub(super) fn printed(&self) -> String {
        let bytes = fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Ok(Some(status)) = self.child.try_wait() {
            let (log, printed) = (self.log.display(), self.printed());
            println!("{log}: the program has ended by itself ({status}):\n{printed}");
        }
        // An error means that it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
