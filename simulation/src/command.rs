//! The commands: run many seeds, print the story of one seed, and look for each planted fault.

use std::collections::BTreeMap;
use std::process::{Command, ExitCode};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use clap::Parser;
use ovsdb::simulated::{Planted, plant};

use crate::scenario::Scenario;
use crate::shrink::shrink;
use crate::world::{Counts, Report, run as run_scenario};

/// How many seeds are run in another process as well.
const SEEDS_IN_OTHER_PROCESS: u64 = 20;
/// No seed.
const IDLE: u64 = u64::MAX;
/// A run that takes longer is taken for an endless loop.
const LONGEST_RUN: Duration = Duration::from_secs(100);
/// One in this many seeds is run twice, and both runs must have the same trace.
const REPEAT_EVERY: u64 = 50;

/// Runs clients and servers on a simulated network
#[derive(Debug, Clone, Parser)]
#[command(name = "cargo xtask simulate")]
struct Arguments {
    /// How many seeds to run
    #[arg(long, default_value_t = 2000)]
    seeds: u64,
    /// The first seed to run
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Run this seed only, and print its story
    #[arg(long)]
    seed: Option<u64>,
    /// Run only these steps of the seed, counted from 0
    #[arg(long, value_delimiter = ',')]
    keep: Option<Vec<usize>>,
    /// Print everything that happens in the run of the seed, not only its scenario
    #[arg(long)]
    trace: bool,
    /// Also print every message that clients and servers exchange
    #[arg(long)]
    wire: bool,
    /// Do not shrink the scenario when the seed violates a claim
    #[arg(long)]
    whole: bool,
    /// Plant this fault, named as in simulation/README.md
    #[arg(long)]
    plant: Option<String>,
    /// Plant each fault in turn, and print after how many seeds it is found
    #[arg(long)]
    planted: bool,
    /// Print only a hash over the traces of the seeds
    #[arg(long)]
    hash: bool,
    /// How many threads run seeds; by default, one for each processor
    #[arg(long)]
    threads: Option<usize>,
}

/// Runs the command of the command line.
pub(crate) fn run() -> ExitCode {
    let arguments = Arguments::parse();
    let fault = match arguments.plant.as_deref().map(fault).transpose() {
        Ok(fault) => fault,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    if let Some(seed) = arguments.seed {
        return story(seed, fault, &arguments);
    }
    if arguments.planted {
        return table(&arguments);
    }
    let begun = Instant::now();
    let outcome = search(fault, &arguments, usize::MAX);
    let Outcome {
        ran,
        hash,
        counts,
        failures,
    } = &outcome;
    if arguments.hash {
        println!("{hash:016x}");
        return ExitCode::SUCCESS;
    }
    println!(
        "{ran} seeds in {:.1} s: {} events, {} pieces of work ({} of unknown outcome), {} states of servers, {:.1} hours of virtual time",
        begun.elapsed().as_secs_f64(),
        counts.steps,
        counts.works,
        counts.unknown,
        counts.states,
        counts.virtual_ms as f64 / 3_600_000.0,
    );
    let mut claims: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
    for (seed, claim) in failures {
        claims.entry(claim).or_default().push(*seed);
    }
    for (claim, seeds) in &claims {
        let some: Vec<_> = seeds.iter().take(10).collect();
        println!("violated {} times: {claim}; seeds {some:?}", seeds.len());
    }
    if let Some((seed, _)) = failures.iter().min() {
        println!();
        story(*seed, fault, &arguments);
        return ExitCode::FAILURE;
    }
    match is_reproduced(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Checks that another process, with other addresses and other hash seeds, produces the same traces.
fn is_reproduced(arguments: &Arguments) -> Result<(), String> {
    let mut arguments = arguments.clone();
    arguments.seeds = arguments.seeds.min(SEEDS_IN_OTHER_PROCESS);
    let own = format!("{:016x}", search(None, &arguments, usize::MAX).hash);
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let seeds = ["--hash", "--seeds", &arguments.seeds.to_string()].map(str::to_owned);
    let from = ["--from", &arguments.from.to_string()].map(str::to_owned);
    let other = Command::new(program).args(seeds).args(from).output();
    let other = other.map_err(|error| error.to_string())?;
    let other = String::from_utf8_lossy(&other.stdout).trim().to_owned();
    if other != own {
        return Err(format!(
            "another process has different traces: hash {other}, here {own}"
        ));
    }
    Ok(())
}

fn fault(name: &str) -> Result<Planted, String> {
    let mut all = Planted::ALL.iter();
    let found = all.find(|fault| format!("{fault:?}") == name);
    found
        .copied()
        .ok_or_else(|| format!("there is no fault {name}; simulation/README.md lists the faults"))
}

/// What many seeds have shown.
#[derive(Debug, Default)]
struct Outcome {
    ran: u64,
    /// A hash over the traces that does not depend on the order in which the seeds ran.
    hash: u64,
    counts: Counts,
    /// The seeds that failed, each with the claim that it violates.
    failures: Vec<(u64, &'static str)>,
}

/// Runs one seed; some seeds run twice.
fn check(seed: u64) -> Report {
    let scenario = Scenario::of(seed);
    let mut report = run_scenario(&scenario, false);
    if seed.is_multiple_of(REPEAT_EVERY) && report.violation.is_none() {
        let again = run_scenario(&scenario, false);
        if again.hash != report.hash {
            report.violation = Some(crate::verdict::Violation {
                claim: "a seed always gives the same run",
                seen: format!("{:x} and {:x}", report.hash, again.hash),
            });
        }
    }
    report
}

/// Reports a panic as a violation of the run in this thread.
fn report_panics() {
    std::panic::set_hook(Box::new(|panic| {
        crate::verdict::violated("nothing panics", panic.to_string());
    }));
}

/// Ends the program when a run takes too long: it loops without letting virtual time advance.
fn watch(current: Weak<AtomicU64>) {
    std::thread::spawn(move || {
        let mut seen = (IDLE, Instant::now());
        while let Some(current) = current.upgrade() {
            let seed = current.load(Ordering::Relaxed);
            if seed != seen.0 {
                seen = (seed, Instant::now());
            }
            if seed != IDLE && seen.1.elapsed() > LONGEST_RUN {
                eprintln!("violated: a run ends: seed {seed} loops without end");
                std::process::exit(1);
            }
            drop(current);
            std::thread::sleep(Duration::from_millis(200));
        }
    });
}

/// Runs the seeds, and stops early once the number of failed seeds reaches `most`.
fn search(fault: Option<Planted>, arguments: &Arguments, most: usize) -> Outcome {
    let threads = arguments
        .threads
        .unwrap_or_else(|| std::thread::available_parallelism().map_or(1, std::num::NonZero::get));
    let (next, stop) = (AtomicU64::new(arguments.from), AtomicBool::new(false));
    let end = arguments.from + arguments.seeds;
    let outcome = Mutex::new(Outcome::default());
    report_panics();
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let current = Arc::new(AtomicU64::new(IDLE));
                watch(Arc::downgrade(&current));
                plant(fault);
                while !stop.load(Ordering::Relaxed) {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= end {
                        break;
                    }
                    current.store(seed, Ordering::Relaxed);
                    let report = check(seed);
                    current.store(IDLE, Ordering::Relaxed);
                    let Ok(mut outcome) = outcome.lock() else {
                        break;
                    };
                    outcome.ran += 1;
                    outcome.hash ^= report.hash.rotate_left((seed % 64) as u32);
                    outcome.counts.steps += report.counts.steps;
                    outcome.counts.works += report.counts.works;
                    outcome.counts.unknown += report.counts.unknown;
                    outcome.counts.states += report.counts.states;
                    outcome.counts.virtual_ms += report.counts.virtual_ms;
                    if let Some(violation) = report.violation {
                        outcome.failures.push((seed, violation.claim));
                        stop.fetch_or(outcome.failures.len() >= most, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    outcome.into_inner().unwrap_or_default()
}

/// Prints what happens with a seed; if it violates a claim, with as few steps as possible.
fn story(seed: u64, fault: Option<Planted>, arguments: &Arguments) -> ExitCode {
    plant(fault);
    report_panics();
    if arguments.wire {
        let messages = tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE);
        messages.without_time().with_ansi(false).init();
    }
    let whole = Scenario::of(seed);
    let all: Vec<usize> = (0..whole.steps.len()).collect();
    let mut kept = arguments.keep.clone().unwrap_or(all);
    let mut scenario = whole.keeping(&kept);
    let mut report = run_scenario(&scenario, true);
    if let Some(violation) = report.violation.clone()
        && !arguments.whole
        && arguments.keep.is_none()
    {
        (kept, report) = shrink(&whole, &violation);
        scenario = whole.keeping(&kept);
    }
    print!("{scenario}");
    if arguments.trace || report.violation.is_some() {
        println!("What happens, in seconds of virtual time:");
        for line in &report.lines {
            println!("{line}");
        }
    }
    println!("hash {:016x}", report.hash);
    let Some(violation) = &report.violation else {
        println!("no claim is violated");
        return ExitCode::SUCCESS;
    };
    println!("\nviolated: {}\n  {}", violation.claim, violation.seen);
    let kept: Vec<String> = kept.iter().map(ToString::to_string).collect();
    let planted = fault.map_or_else(String::new, |fault| format!(" --plant {fault:?}"));
    println!(
        "reproduce: cargo xtask simulate -- --seed {seed} --keep {}{planted}",
        kept.join(",")
    );
    ExitCode::FAILURE
}

/// Plants each fault in turn, and prints after how many seeds it is found.
fn table(arguments: &Arguments) -> ExitCode {
    println!("| fault | what is wrong | seeds until it is found | claim that it violates |");
    println!("|---|---|---|---|");
    let mut missed = 0;
    for fault in Planted::ALL {
        let outcome = search(Some(*fault), arguments, 1);
        let first = outcome.failures.iter().min();
        let found = match first {
            Some((seed, claim)) => format!("{} | {claim}", seed + 1 - arguments.from),
            None => {
                missed += 1;
                format!("none of {} | ", outcome.ran)
            }
        };
        println!("| `{fault:?}` | {} | {found} |", fault.what());
    }
    println!("\n{} faults, {missed} not found", Planted::ALL.len());
    if missed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
