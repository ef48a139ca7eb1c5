//! The sandbox: namespaces of the kernel in which the run has processes, mounts and networks of
//! its own.
//!
//! The first process of a process namespace takes all others with it when it ends, and is killed
//! itself when this program ends, however that happens. Named network namespaces and files are in
//! memory that only the sandbox has mounted. So nothing can be left behind, not even by SIGKILL.

use std::fs;
use std::process::{ExitStatus, Stdio};

use tokio::process::Command;
use tokio::signal::unix::{SignalKind, signal};

use super::footprint::{Footprint, TOKEN};
use crate::Result;
use crate::command::output;

/// Where temporary files are in the sandbox.
const TEMPORARY: &str = "/run/tmp";

/// Runs this program again in a sandbox, with these arguments behind its own, and sees to it that
/// nothing is left of it.
pub(super) fn run(arguments: &[&str]) -> Result {
    let before = Footprint::of_machine()?;
    let token = std::env::var(TOKEN).unwrap_or_else(|_| std::process::id().to_string());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let ended = runtime.block_on(enclose(&token, arguments));
    before.wait_until_gone(&token)?;
    ended
}

/// Runs this program in a sandbox until it ends or a signal asks for the end.
async fn enclose(token: &str, arguments: &[&str]) -> Result {
    let mut command = Command::new("setpriv");
    // When this process ends, so does unshare, and when unshare ends, so does the sandbox.
    command.args(["--pdeathsig", "KILL"]);
    command.args(["unshare", "--net", "--mount", "--pid", "--mount-proc"]);
    command.args(["--fork", "--kill-child", "--"]);
    command.arg(std::env::current_exe()?);
    command.args(std::env::args_os().skip(1));
    command.args(arguments).arg("--inside");
    command.env(TOKEN, token).env("TMPDIR", TEMPORARY);
    // A process group of its own: a signal from the terminal reaches us alone.
    command.process_group(0).stdin(Stdio::null());
    let (mut interrupt, mut terminate) = (
        signal(SignalKind::interrupt())?,
        signal(SignalKind::terminate())?,
    );
    let mut sandbox = command.kill_on_drop(true).spawn()?;
    let asked = tokio::select! {
        status = sandbox.wait() => return result(status?),
        _ = interrupt.recv() => "interrupted",
        _ = terminate.recv() => "terminated",
    };
    sandbox.kill().await?;
    Err(asked.into())
}

fn result(status: ExitStatus) -> Result {
    if status.success() {
        return Ok(());
    }
    // The error itself has been told inside.
    Err(format!("the run failed: {status}").into())
}

/// Gives the sandbox a place for its files, once inside.
pub(super) fn furnish() -> Result {
    let mut mount = std::process::Command::new("mount");
    output(mount.args(["-t", "tmpfs", "e2e", "/run"]))?;
    fs::create_dir(TEMPORARY)?;
    Ok(())
}
