//! Checks that nothing is left, however a run ends.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use super::footprint::{Footprint, TOKEN, processes};
use super::lab::Lab;
use super::wait::check as is;
use crate::Result;
use crate::command::output;

/// The line by which a run reports that its cluster is up.
const READY: &str = "the cluster is up";

/// Tells [`check`] that the cluster is up.
pub(super) fn ready(lab: &Lab) {
    assert_eq!(lab.cluster.nodes.len(), 3);
    println!("{READY}");
}

/// Ends runs in several ways, and checks that nothing is left of them.
pub(super) fn check() -> Result {
    println!("cleanup");
    for (end, signal) in [
        ("failure", None),
        ("panic", None),
        ("hang", Some("INT")),
        ("hang", Some("KILL")),
    ] {
        let before = Footprint::of_machine()?;
        let token = format!("{}-{end}-{}", std::process::id(), signal.unwrap_or("none"));
        let mut run = Command::new(std::env::current_exe()?)
            .args(["e2e", "--end", end])
            .env(TOKEN, &token)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let said = BufReader::new(run.stdout.take().ok_or("no output")?).lines();
        let up = said
            .map_while(std::io::Result::ok)
            .any(|line| line == READY);
        let running = processes(&token)?.len();
        if let Some(signal) = signal {
            output(Command::new("kill").args(["-s", signal, &run.id().to_string()]))?;
        }
        let status = run.wait()?;
        let gone = before.wait_until_gone(&token);
        let how = signal.map_or_else(|| end.to_owned(), |signal| format!("SIG{signal}"));
        // The check proves something only if the cluster was up and the run did not simply succeed.
        let proved = up && !status.success() && (signal.is_none() || running > 10);
        let seen = format!("up: {up}, {running} processes, {status}");
        is(
            &format!("a cluster was up when its run ended by {how}"),
            proved,
            seen,
        )?;
        gone?;
        println!("  ok  nothing is left of it");
    }
    Ok(())
}
