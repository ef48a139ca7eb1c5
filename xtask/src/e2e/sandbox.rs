//! The sandbox: namespaces of the kernel in which the run has its own processes, mounts and networks.
//!
//! When the first process of a PID namespace ends, the kernel ends all others in it. That process
//! is itself killed when this program ends, for whatever reason. Named network namespaces and files are
//! in memory that is mounted only in the sandbox. So nothing can be left behind, not even after
//! SIGKILL.

use std::fs;
use std::process::{ExitStatus, Stdio};

use tokio::process::Command;
use tokio::signal::unix::{SignalKind, signal};

use super::footprint::{Footprint, TOKEN};
use crate::Result;
use crate::command::output;

/// The folder for temporary files in the sandbox.
const TEMPORARY: &str = "/run/tmp";

/// Runs this program again in a sandbox, with these arguments after its own, and checks that nothing is
/// left of it.
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

/// Runs this program in a sandbox until it ends, or a signal ends it.
async fn enclose(token: &str, arguments: &[&str]) -> Result {
    let mut command = Command::new("setpriv");
    // When this process ends, so does unshare, and with unshare the sandbox.
    command.args(["--pdeathsig", "KILL"]);
    command.args(["unshare", "--net", "--mount", "--pid", "--mount-proc"]);
    command.args(["--fork", "--kill-child", "--"]);
    command.arg(std::env::current_exe()?);
    command.args(std::env::args_os().skip(1));
    command.args(arguments).arg("--inside");
    command.env(TOKEN, token).env("TMPDIR", TEMPORARY);
    // The sandbox has its own process group, so that signals from the terminal reach only this process.
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
    // The error itself was reported inside the sandbox.
    Err(format!("the run failed: {status}").into())
}

/// Mounts a place for files, inside the sandbox.
pub(super) fn mount_files() -> Result {
    let mut mount = std::process::Command::new("mount");
    output(mount.args(["-t", "tmpfs", "e2e", "/run"]))?;
    fs::create_dir(TEMPORARY)?;
    Ok(())
}
