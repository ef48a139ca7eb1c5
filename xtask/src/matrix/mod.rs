//! `cargo xtask matrix RELEASE...`: runs `cargo xtask test test` and `cargo xtask e2e` with the daemons
//! of other releases of Debian than the machine's.
//!
//! The packages of a release are extracted into a folder, its [`root`]. Its [`programs`] are scripts at
//! the front of the `PATH`, which run the extracted programs with the loader and the libraries of the
//! release.

mod outcome;
mod programs;
mod root;

use std::time::Instant;

use self::outcome::Outcome;
use self::programs::{Programs, Versions};
use crate::{Result, packages};

/// The options of the run.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The releases of Debian, such as bookworm, trixie or sid
    #[arg(required = true, value_parser = root::release)]
    releases: Vec<String>,
    /// The mirror of Debian to download packages from; by default, the one that the machine's apt uses
    #[arg(long, value_name = "URL")]
    mirror: Option<String>,
    /// Download and extract the packages again
    #[arg(long)]
    fresh: bool,
}

/// The result of a release.
#[derive(Debug)]
struct Row {
    release: String,
    versions: Versions,
    tests: Outcome,
    networks: Outcome,
    /// How many programs of the release were started.
    started: usize,
    seconds: u64,
}

pub(crate) fn run(arguments: &Arguments) -> Result {
    if !packages::is_root() {
        return Err("network namespaces need root: run it with sudo".into());
    }
    // Prepare all releases first, so that a missing package is reported at once, not after an hour.
    let mut all = Vec::new();
    for release in &arguments.releases {
        let folder = root::prepare(release, arguments.mirror.as_deref(), arguments.fresh)?;
        let programs = Programs::of(release, &folder)?;
        programs.select()?;
        let versions = programs.versions()?;
        println!("{release}: {versions}");
        all.push((programs, versions));
    }
    let mut rows = Vec::new();
    for (programs, versions) in all {
        let row = try_release(&programs, versions)?;
        println!("\n{}", table(std::slice::from_ref(&row)));
        rows.push(row);
    }
    let outcomes = |row: &Row| [row.tests.clone(), row.networks.clone()];
    let failed: Vec<Outcome> = rows
        .iter()
        .flat_map(outcomes)
        .filter(Outcome::failed)
        .collect();
    for outcome in &failed {
        println!("\n{}", outcome.excerpt());
    }
    println!("\n{}", table(&rows));
    if failed.is_empty() {
        return Ok(());
    }
    Err(format!("{} of {} runs failed", failed.len(), 2 * rows.len()).into())
}

/// Runs everything with the programs of a release.
///
/// # Errors
/// When something cannot be run, was run with other programs, or a program that every run uses was never started.
/// Failed tests are not an error; the row reports them.
fn try_release(programs: &Programs, versions: Versions) -> Result<Row> {
    let start = Instant::now();
    programs.select()?;
    programs.forget_starts()?;
    let tests = outcome::run(programs, "test --no-fail-fast test")?;
    let networks = outcome::run(programs, "e2e")?;
    // Before the versions, which start the programs too.
    let started = programs.starts()?;
    let now = programs.versions()?;
    if now != versions {
        return Err(format!("the programs have changed from {versions} to {now}").into());
    }
    Ok(Row {
        release: programs.release().to_owned(),
        versions,
        tests,
        networks,
        started,
        seconds: start.elapsed().as_secs(),
    })
}

/// The rows as a Markdown table.
fn table(rows: &[Row]) -> String {
    let mut table = "| Debian | Open vSwitch | OVN | test files | tests | scenarios of e2e | programs started | seconds |\n\
                     |---|---|---|---|---|---|---|---|"
        .to_owned();
    for row in rows {
        let Versions { ovs, ovn } = &row.versions;
        let cells = [
            row.release.clone(),
            ovs.clone(),
            ovn.clone(),
            row.tests.files.to_string(),
            row.tests.tests.to_string(),
            row.networks.scenarios.to_string(),
            row.started.to_string(),
            row.seconds.to_string(),
        ];
        table += &format!("\n| {} |", cells.join(" | "));
    }
    table
}
