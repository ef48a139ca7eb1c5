//! `cargo xtask mutants`: changes the library in thousands of small ways, one at a time, and checks
//! that a test fails each time.
//!
//! cargo-mutants lists the possible changes. It would build the library and its tests again for each of
//! them, which takes two days on two processors. Here one build contains all changes, and a
//! switch turns each one on. A first run of each test records which switches it reaches.

mod build;
mod list;
mod switches;
mod trial;

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::num::NonZero;
use std::path::Path;
use std::sync::Mutex;

use crate::Result;
use crate::command::root;
use crate::packages;
use list::Mutant;
use trial::Outcome;

/// The parts of the library that are changed by default.
const PARTS: [&str; 5] = ["session", "cache", "transaction", "value", "server"];
/// Mutants that survive for a known reason.
const ACCEPTED: &str = include_str!("../../mutants-accepted.txt");

/// What to change, and how long to try.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Which folders of `ovsdb/src` to change; by default session, cache, transaction, value and server
    parts: Vec<String>,
    /// How many mutants are tried at the same time
    #[arg(long, default_value_t = 2)]
    workers: usize,
    /// How many seconds of tests are run for one mutant at most
    #[arg(long, default_value_t = 60.0)]
    budget: f64,
    /// Try only the mutants that survived the last run
    #[arg(long)]
    survivors: bool,
    /// Go on with a run that was ended early: try the mutants that have no result yet
    #[arg(long, conflicts_with = "survivors")]
    resume: bool,
    /// Try only every n-th mutant
    #[arg(long, default_value = "1")]
    every: NonZero<usize>,
}

pub(crate) fn mutants(arguments: &Arguments) -> Result {
    packages::ensure(packages::DATABASE)?;
    let all = PARTS.map(str::to_owned).to_vec();
    let parts = if arguments.parts.is_empty() {
        &all
    } else {
        &arguments.parts
    };
    let mut files = Vec::new();
    for part in parts {
        files.extend([
            format!("ovsdb/src/{part}/**"),
            format!("ovsdb/src/{part}.rs"),
        ]);
    }
    let mutants = list::list(&files)?;
    println!("{} mutants", mutants.len());
    let build = build::build(&mutants)?;
    let tests = trial::survey(&build, arguments.workers)?;

    let results = root().join("target/mutants/results.txt");
    let earlier = read_results(&results);
    let survived = |mutant: &Mutant| earlier.get(&mutant.name).is_some_and(Outcome::is_survival);
    let mut chosen: Vec<&Mutant> = mutants
        .iter()
        .filter(|mutant| !build.left_out.contains(&mutant.number))
        .filter(|mutant| mutant.number % arguments.every.get() == 0)
        .filter(|mutant| !arguments.survivors || survived(mutant))
        .collect();
    // Shuffle them, so that a run that is ended early has tried a fair sample of all files.
    chosen.sort_by_key(|mutant| mutant.number.wrapping_mul(7919) % 10_007);
    let mut open = fs::OpenOptions::new();
    open.create(true).append(arguments.resume).write(true);
    let file = Mutex::new(open.truncate(!arguments.resume).open(&results)?);
    let (known, untried): (Vec<&Mutant>, Vec<&Mutant>) = chosen
        .into_iter()
        .partition(|mutant| arguments.resume && earlier.contains_key(&mutant.name));
    let number = untried.len();
    let finders = trial::Finders::default();
    let outcomes = trial::in_parallel(
        arguments.workers,
        untried.iter().enumerate().collect(),
        |worker, (index, mutant)| {
            let outcome = trial::trial(
                &build,
                worker,
                mutant.number,
                (&tests, &finders),
                arguments.budget,
            )?;
            let line = line(mutant, &outcome);
            if let Ok(mut file) = file.lock() {
                file.write_all(line.as_bytes())?;
            }
            if index % 100 == 99 {
                println!("{} of {number}", index + 1);
            }
            Ok(outcome)
        },
    )?;
    let known = known
        .into_iter()
        .filter_map(|mutant| Some((mutant, earlier.get(&mutant.name)?)));
    let outcomes: Vec<_> = known.chain(untried.into_iter().zip(&outcomes)).collect();
    report(&outcomes, build.left_out.len())
}

fn line(mutant: &Mutant, outcome: &Outcome) -> String {
    let outcome = match outcome {
        Outcome::Failed(test) => format!("found by {test}"),
        Outcome::NoEnd(test) => format!("{test} did not end"),
        Outcome::Survived => "SURVIVED".to_owned(),
        Outcome::NotReached => "NOT REACHED".to_owned(),
    };
    format!("{outcome} | {} | line {}\n", mutant.name, mutant.line)
}

/// Parses an outcome in the form in which [`line()`] writes it.
fn read_outcome(text: &str) -> Option<Outcome> {
    Some(match text {
        "SURVIVED" => Outcome::Survived,
        "NOT REACHED" => Outcome::NotReached,
        _ => match text.strip_prefix("found by ") {
            Some(test) => Outcome::Failed(test.to_owned()),
            None => Outcome::NoEnd(text.strip_suffix(" did not end")?.to_owned()),
        },
    })
}

/// The outcomes of an earlier run, by the names of the mutants.
fn read_results(results: &Path) -> BTreeMap<String, Outcome> {
    let text = fs::read_to_string(results).unwrap_or_default();
    let outcomes = text.lines().filter_map(|line| {
        let (outcome, rest) = line.split_once(" | ")?;
        let (name, _) = rest.rsplit_once(" | ")?;
        Some((name.to_owned(), read_outcome(outcome)?))
    });
    outcomes.collect()
}

/// Prints the survivors that are not accepted, and the table of how many were found and how many survived.
fn report(outcomes: &[(&Mutant, &Outcome)], left_out: usize) -> Result {
    let accepted: Vec<&str> = ACCEPTED
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| Some(line.rsplit_once(" | ")?.0))
        .collect();
    let is_accepted = |name: &str| accepted.iter().any(|accepted| is_meant(accepted, name));
    let mut table: BTreeMap<&str, [usize; 5]> = BTreeMap::new();
    for (mutant, outcome) in outcomes {
        let part = mutant.file.split('/').nth(2).unwrap_or_default();
        let counts = table.entry(part).or_default();
        let column = match outcome {
            Outcome::Failed(_) => 0,
            Outcome::NoEnd(_) => 1,
            _ if is_accepted(&mutant.name) => 2,
            Outcome::Survived => 3,
            Outcome::NotReached => 4,
        };
        if let Some(count) = counts.get_mut(column) {
            *count += 1;
        }
        if column > 2 {
            print!("{}", line(mutant, outcome));
        }
    }
    println!(
        "\n| part | mutants | found | no end | survive for a reason | survive | not reached | share |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    let mut all = [0; 5];
    for (part, counts) in &table {
        print_row(part, counts);
        for (sum, count) in all.iter_mut().zip(counts) {
            *sum += count;
        }
    }
    print_row("all", &all);
    println!("\n{left_out} other mutants do not compile, or have no place for a switch.");
    Ok(())
}

/// Whether a line of the accepted mutants matches this name. Each part of the line may be `*`.
fn is_meant(accepted: &str, name: &str) -> bool {
    let (mut accepted, mut name) = (accepted.splitn(3, " | "), name.splitn(3, " | "));
    let mut same =
        || matches!((accepted.next(), name.next()), (Some(a), Some(b)) if a == "*" || a == b);
    same() && same() && same()
}

fn print_row(part: &str, counts: &[usize; 5]) {
    let total: usize = counts.iter().sum();
    let [found, no_end, accepted, survived, not_reached] = counts;
    let missed = f64::from(u32::try_from(survived + not_reached).unwrap_or(u32::MAX));
    let share = 100.0 * missed / f64::from(u32::try_from(total.max(1)).unwrap_or(u32::MAX));
    println!(
        "| {part} | {total} | {found} | {no_end} | {accepted} | {survived} | {not_reached} | {share:.1} % |"
    );
}
