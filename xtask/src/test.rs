//! `cargo xtask test`: the checks that a change must pass, except the networks (`cargo xtask e2e`).

use std::time::Instant;

use clap::ValueEnum as _;

use crate::command::{cargo, cargo_command, command, run, run_cargo};
use crate::tools::{self, DENY, FUZZ, HACK, MACHETE, SEMVER, TYPOS, Tool};
use crate::{Result, api, fuzz, packages, simulate, workspace};

/// The options of the checks.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The steps to run; without a step, all of them
    #[arg(value_enum)]
    steps: Vec<Step>,
    /// How many seconds each fuzz target runs; with fewer than 60, the target `manifests` is left out
    #[arg(long, default_value_t = 5)]
    fuzz_seconds: u32,
    /// Run the remaining tests after a failure
    #[arg(long)]
    no_fail_fast: bool,
}

/// A step, in the order in which all of them run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Step {
    /// rustfmt changes nothing
    Format,
    /// clippy reports nothing for any target, with all features
    Lint,
    /// No word is misspelt
    Spelling,
    /// Each dependency is used, has an allowed licence and source, and is built in one release
    Dependencies,
    /// The library compiles with the lowest releases of its dependencies that the manifests allow
    LowestVersions,
    /// The library compiles without a warning with no feature, with each alone, and with `server` and `tls`
    Features,
    /// No change of the public items since the last release breaks programs, unless the version allows it
    Api,
    /// The documentation builds without a warning, without features and with all
    Document,
    /// Each fuzz target (`manifests` only in long runs) runs for a while, beginning with its corpus, and finds nothing
    Fuzz,
    /// clippy reports nothing for the simulation, and 2,000 seeds of clients and servers in it violate no claim
    Simulation,
    /// Every test and every example of the documentation passes, and every benchmark runs once
    Test,
    /// The tests of the client pass on the embedded server too
    Embedded,
    /// After two minutes of the soak, nothing is lost, duplicated or different
    Soak,
}

pub(crate) fn run_checks(arguments: &Arguments) -> Result {
    packages::ensure(packages::DATABASE)?;
    packages::ensure(packages::DAEMONS)?;
    let steps = match arguments.steps.as_slice() {
        [] => Step::value_variants(),
        steps => steps,
    };
    let start = Instant::now();
    let tools: Vec<Tool> = steps
        .iter()
        .flat_map(|step| tools_of(*step))
        .copied()
        .collect();
    tools::install_all(&tools)?;
    if !tools.is_empty() {
        print_time("tools", start);
    }
    for step in steps {
        let start = Instant::now();
        run_step(*step, arguments)?;
        // For a single step, leave the output of its tests as the last lines.
        if steps.len() > 1 {
            let name = step.to_possible_value().ok_or("a hidden step")?;
            print_time(name.get_name(), start);
        }
    }
    Ok(())
}

fn print_time(what: &str, start: Instant) {
    println!("\n{what}: {} s", start.elapsed().as_secs());
}

/// The tools that a step runs. The step `api` runs one only if there is a release to compare with.
fn tools_of(step: Step) -> &'static [Tool] {
    match step {
        Step::Spelling => &[TYPOS],
        Step::Dependencies => &[DENY, MACHETE],
        Step::Features => &[HACK],
        Step::Api if api::last_release().is_ok() => &[SEMVER],
        Step::Fuzz => &[FUZZ],
        _ => &[],
    }
}

fn run_step(step: Step, arguments: &Arguments) -> Result {
    match step {
        Step::Format => {
            run_cargo("fmt --all --check")?;
            run_cargo("fmt --manifest-path fuzz/Cargo.toml --check")
        }
        Step::Lint => {
            run_cargo("clippy --workspace --all-targets --all-features --locked -- -D warnings")
        }
        Step::Spelling => workspace::spelling(),
        Step::Dependencies => workspace::dependencies(),
        Step::LowestVersions => workspace::lowest_versions(),
        Step::Features => workspace::features(),
        Step::Api => api::compare_with_release(),
        Step::Document => document(),
        Step::Simulation => {
            simulate::lint()?;
            simulate::simulate_with(&["--seeds", "2000"])
        }
        Step::Fuzz => fuzz::smoke(arguments.fuzz_seconds),
        Step::Test => run_tests(arguments.no_fail_fast),
        Step::Embedded => test_on_embedded_server(),
        Step::Soak => soak(),
    }
}

/// Runs all tests, then all examples of the documentation. With `no_fail_fast`, the rest runs even after a failure.
fn run_tests(no_fail_fast: bool) -> Result {
    let go_on = if no_fail_fast { " --no-fail-fast" } else { "" };
    let run = |what| {
        run_cargo(&format!(
            "test --workspace {what} --all-features --locked{go_on}"
        ))
    };
    // cargo test also runs the benchmarks, each measurement once.
    let tests = run("--all-targets");
    if tests.is_err() && !no_fail_fast {
        return tests;
    }
    let examples = run("--doc");
    tests.and(examples)
}

/// The test files that also run on the embedded server. A test in them that needs what this server lacks
/// prints that and passes. `operations` is in the package `ovsdb-operations`, the others are in `ovsdb`.
const ON_EMBEDDED_SERVER: &[&str] = &[
    "allocations",
    "any_tables",
    "apply",
    "building",
    "changes",
    "chaos",
    "cluster",
    "column_shapes",
    "conditions",
    "conversion",
    "defaults",
    "desired",
    "desired_conflicts",
    "guards",
    "half_closed",
    "hostile",
    "in_flight",
    "invalid_values",
    "logs",
    "lookups",
    "merging",
    "mistakes",
    "monitors",
    "names",
    "operations",
    "own_writes",
    "panics",
    "ranges",
    "read_your_writes",
    "reconcile",
    "reconnect",
    "regressions",
    "relay",
    "row_versions",
    "session",
    "snapshots",
    "spans",
    "standing_by",
    "starting",
    "stats",
    "tls",
    "transactions",
    "waiting",
    "written_by_hand",
];

fn test_on_embedded_server() -> Result {
    // Build the whole workspace, as the step `test` does: with fewer packages, dependencies would have fewer features, and
    // everything would be built once more. So no other package may have a test file with one of these names.
    let mut arguments = vec!["test", "--workspace", "--all-features", "--locked"];
    for test in ON_EMBEDDED_SERVER {
        arguments.extend(["--test", test]);
    }
    run(command(&cargo(), &arguments).env("OVSDB_TEST_SERVER", "embedded"))
}

/// Runs the soak for two minutes. The whole workspace is built for the same reason as in `test_on_embedded_server`.
fn soak() -> Result {
    let arguments = "test --workspace --all-features --locked --test soak -- --nocapture";
    run(cargo_command(arguments).env("OVSDB_TEST_SCALE", "full"))
}

/// Builds the documentation without features and with all: a link to an item of a feature breaks when the feature
/// is off.
fn document() -> Result {
    for what in [
        "--package ovsdb --no-default-features",
        "--workspace --all-features",
    ] {
        let arguments = format!("doc {what} --no-deps --locked");
        run(cargo_command(&arguments).env("RUSTDOCFLAGS", "-D warnings"))?;
    }
    Ok(())
}
