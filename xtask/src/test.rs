//! `cargo xtask test`: every check that a change must pass, as in continuous integration.

use std::time::Instant;

use clap::ValueEnum as _;

use crate::command::{cargo, command, run, run_cargo};
use crate::tools::{self, DENY, FUZZ, HACK, MACHETE, TYPOS, Tool};
use crate::{Result, fuzz, house, packages, simulate};

/// The options of the checks.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The steps to run; all of them when none is named
    #[arg(value_enum)]
    steps: Vec<Step>,
    /// How long each fuzz target runs, in seconds; below 60 without `manifests`
    #[arg(long, default_value_t = 5)]
    fuzz_seconds: u32,
    /// Runs all tests though some fail
    #[arg(long)]
    no_fail_fast: bool,
}

/// A step, in the order in which all of them run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Step {
    /// rustfmt changes nothing
    Format,
    /// clippy has nothing to say, of any target with any feature
    Lint,
    /// No word is misspelt
    Spelling,
    /// Each dependency is used, of an allowed licence and source, and in one release
    Dependencies,
    /// The library compiles with the lowest releases of its dependencies that the manifests allow
    LowestVersions,
    /// The library compiles without a warning with no feature, with each alone, and with some that meet
    Features,
    /// The documentation builds without a warning, without features and with all
    Document,
    /// Each fuzz target runs for a while from its corpus
    Fuzz,
    /// Clients and servers on a simulated network, 2,000 seeds
    Simulation,
    /// Every test, every benchmark once, every example of the documentation
    Test,
    /// The tests of the client once more, on the embedded server
    Embedded,
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
        // Of a single step, what its tests printed stays the end.
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

/// The tools that a step runs.
fn tools_of(step: Step) -> &'static [Tool] {
    match step {
        Step::Spelling => &[TYPOS],
        Step::Dependencies => &[DENY, MACHETE],
        Step::Features => &[HACK],
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
        Step::Spelling => house::spelling(),
        Step::Dependencies => house::dependencies(),
        Step::LowestVersions => house::lowest_versions(),
        Step::Features => house::features(),
        Step::Document => document(),
        Step::Simulation => {
            simulate::lint()?;
            simulate::simulate_with(&["--seeds", "2000"])
        }
        Step::Fuzz => fuzz::smoke(arguments.fuzz_seconds),
        Step::Test => run_tests(arguments.no_fail_fast),
        Step::Embedded => test_on_embedded_server(),
    }
}

/// All tests and all examples of the documentation, those also after a test that fails if so asked.
fn run_tests(no_fail_fast: bool) -> Result {
    let go_on = if no_fail_fast { " --no-fail-fast" } else { "" };
    let run = |what| {
        run_cargo(&format!(
            "test --workspace {what} --all-features --locked{go_on}"
        ))
    };
    // A benchmark that cargo test runs does each of its measurements once.
    let tests = run("--all-targets");
    if tests.is_err() && !no_fail_fast {
        return tests;
    }
    let examples = run("--doc");
    tests.and(examples)
}

/// The tests whose servers may as well be the embedded one. A test among them that needs more than it
/// has says so on the terminal. `operations` is of the package `ovsdb-operations`, the rest of `ovsdb`.
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
    // Of the whole workspace, as in the step `test`: of fewer packages, their dependencies would have fewer features, and
    // everything would be built once more. So no other package has a test file of one of these names.
    let mut arguments = vec!["test", "--workspace", "--all-features", "--locked"];
    for test in ON_EMBEDDED_SERVER {
        arguments.extend(["--test", test]);
    }
    run(command(&cargo(), &arguments).env("OVSDB_TEST_SERVER", "embedded"))
}

/// Without features and with all: a link to what a feature adds breaks when it is off.
fn document() -> Result {
    for what in [
        "--package ovsdb --no-default-features",
        "--workspace --all-features",
    ] {
        let arguments = format!("doc {what} --no-deps --locked");
        let arguments: Vec<&str> = arguments.split_whitespace().collect();
        run(command(&cargo(), &arguments).env("RUSTDOCFLAGS", "-D warnings"))?;
    }
    Ok(())
}
