//! Runs tests with mutants.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::build::Build;
use crate::Result;

/// Tests that take longer are left out.
const LONGEST: Duration = Duration::from_secs(15);
/// A run may take three times as long as without a mutant, plus this time.
const EXTRA_TIME: Duration = Duration::from_secs(5);
/// The memory limit of a trial, since a mutant may allocate without end.
const MEMORY: &str = "--as=12000000000";
/// The length of the hash that cargo appends to the name of a test program.
const HASH: usize = 16;
/// How many tests of one program run in one process at most.
const FEW: usize = 30;

/// One test, or one run of the simulation.
#[derive(Debug)]
pub(crate) struct Test {
    program: PathBuf,
    /// The arguments by which the program runs it.
    arguments: Vec<String>,
    /// Whether it can run in one process with other tests of the same program.
    together: bool,
    seconds: f64,
    /// The mutants that it reaches.
    reached: BTreeSet<usize>,
}

/// The result for a mutant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// A test of the program with this name failed.
    Failed(String),
    /// A test of the program with this name did not end in time.
    NoEnd(String),
    /// No test that was run failed.
    Survived,
    /// No test reaches it.
    NotReached,
}

impl Outcome {
    /// Whether no test noticed the mutant.
    pub(crate) fn is_survival(&self) -> bool {
        matches!(self, Self::Survived | Self::NotReached)
    }
}

/// Runs each test separately, without a mutant, to find which mutants it reaches.
pub(crate) fn survey(build: &Build, workers: usize) -> Result<Vec<Test>> {
    let mut tests = Vec::new();
    for seeds in ["150", "2000"] {
        let arguments = ["--whole", "--threads=1", "--seeds", seeds].map(str::to_owned);
        tests.push(Test {
            program: build.simulation.clone(),
            arguments: arguments.to_vec(),
            together: false,
            seconds: 0.0,
            reached: BTreeSet::new(),
        });
    }
    for program in &build.tests {
        let output = Command::new(program)
            .args(["--list", "--format=terse"])
            .current_dir(build.tree.join("ovsdb"))
            .output()?;
        for line in String::from_utf8_lossy(&output.stdout).lines() {
            if let Some(name) = line.strip_suffix(": test") {
                tests.push(Test {
                    program: program.clone(),
                    arguments: vec![name.to_owned()],
                    together: true,
                    seconds: 0.0,
                    reached: BTreeSet::new(),
                });
            }
        }
    }
    let total = tests.len();
    let surveyed = in_parallel(workers, tests, |worker, mut test| {
        let folder = worker_folder(build, worker)?;
        let record = folder.join("record");
        let _ = fs::remove_file(&record);
        let begun = Instant::now();
        let environment = [("OVSDB_MUTANT_RECORD", record.to_string_lossy().into_owned())];
        let group = Group::of(std::slice::from_ref(&&test));
        let ended = run(build, &folder, &group, &environment, LONGEST)?;
        test.seconds = begun.elapsed().as_secs_f64();
        let reached = fs::read_to_string(&record).unwrap_or_default();
        test.reached = reached
            .lines()
            .filter_map(|line| line.parse().ok())
            .collect();
        Ok(ended.is_some_and(|status| status.success()).then_some(test))
    })?;
    let tests: Vec<Test> = surveyed.into_iter().flatten().collect();
    println!(
        "{total} tests, of which {} pass within {} s each",
        tests.len(),
        LONGEST.as_secs()
    );
    Ok(tests)
}

/// Tests of one program that run in one process.
struct Group<'a> {
    program: &'a Path,
    arguments: Vec<String>,
    seconds: f64,
}

impl<'a> Group<'a> {
    fn of(tests: &[&'a Test]) -> Self {
        let program = tests.first().map_or(Path::new(""), |test| &test.program);
        let together = tests.first().is_some_and(|test| test.together);
        let mut arguments: Vec<String> = Vec::new();
        if together {
            arguments.extend(["--exact", "--test-threads=4"].map(str::to_owned));
        }
        arguments.extend(tests.iter().flat_map(|test| test.arguments.iter().cloned()));
        let seconds = tests.iter().map(|test| test.seconds).sum();
        Group {
            program,
            arguments,
            seconds,
        }
    }

    fn name(&self) -> String {
        let program = self
            .program
            .file_name()
            .unwrap_or_default()
            .to_string_lossy();
        program
            .rsplit_once('-')
            .filter(|(_, hash)| hash.len() == HASH)
            .map_or(program.as_ref(), |(name, _)| name)
            .to_owned()
    }
}

/// How many mutants each test program has found. Programs that found many run before others that take as long, so
/// that fewer mutants survive only because the time budget is used up.
#[derive(Debug, Default)]
pub(crate) struct Finders(Mutex<HashMap<String, u32>>);

impl Finders {
    fn found_by(&self, program: &str) {
        if let Ok(mut found) = self.0.lock() {
            *found.entry(program.to_owned()).or_default() += 1;
        }
    }

    /// The seconds that a group takes, divided by one more than the number of mutants that its program has found.
    /// Groups with the lowest price run first.
    fn price(&self, group: &Group<'_>) -> f64 {
        let found = self.0.lock();
        let found = found.map_or(0, |found| found.get(&group.name()).copied().unwrap_or(0));
        group.seconds / f64::from(1 + found)
    }
}

/// Runs the tests that reach a mutant until one fails or the time budget is used up.
pub(crate) fn trial(
    build: &Build,
    worker: usize,
    mutant: usize,
    (tests, finders): (&[Test], &Finders),
    budget: f64,
) -> Result<Outcome> {
    let mut reaching: Vec<&Test> = tests
        .iter()
        .filter(|test| test.reached.contains(&mutant))
        .collect();
    if reaching.is_empty() {
        return Ok(Outcome::NotReached);
    }
    reaching.sort_by_key(|test| test.reached.len());
    let folder = worker_folder(build, worker)?;
    let environment = [("OVSDB_MUTANT", mutant.to_string())];
    let mut spent = 0.0;
    for group in groups(&reaching, finders) {
        if spent > 0.0 && spent + group.seconds > budget {
            continue;
        }
        spent += group.seconds;
        let limit = EXTRA_TIME + Duration::from_secs_f64(3.0 * group.seconds);
        match run(build, &folder, &group, &environment, limit)? {
            None => return Ok(Outcome::NoEnd(group.name())),
            Some(status) if !status.success() => {
                finders.found_by(&group.name());
                return Ok(Outcome::Failed(group.name()));
            }
            Some(_) => {}
        }
    }
    Ok(Outcome::Survived)
}

/// The order in which the tests run: a few quick ones of each test program and the runs of the simulation first,
/// then the others. Among the tests of a program, those that reach few other mutants come first.
fn groups<'a>(reaching: &[&'a Test], finders: &Finders) -> Vec<Group<'a>> {
    let mut of_program: BTreeMap<(bool, &Path), Vec<&Test>> = BTreeMap::new();
    for test in reaching {
        of_program
            .entry((!test.together, &test.program))
            .or_default()
            .push(test);
    }
    let mut first = Vec::new();
    let mut rest = Vec::new();
    for ((alone, _), tests) in &of_program {
        if *alone {
            for test in tests {
                first.push(Group::of(&[*test]));
            }
            continue;
        }
        let mut few: Vec<&Test> = Vec::new();
        let mut many: Vec<&Test> = Vec::new();
        let mut seconds = 0.0;
        for test in tests {
            if few.len() < FEW && (few.is_empty() || seconds + test.seconds < 3.0) {
                seconds += test.seconds;
                few.push(test);
            } else {
                many.push(test);
            }
        }
        first.push(Group::of(&few));
        for some in many.chunks(FEW) {
            rest.push(Group::of(some));
        }
    }
    // Compute each price once: other trials may change the prices during the sort.
    let sorted = |groups: Vec<Group<'a>>| {
        let priced = groups
            .into_iter()
            .map(|group| (finders.price(&group), group));
        let mut priced: Vec<_> = priced.collect();
        priced.sort_by(|(one, _), (other, _)| one.total_cmp(other));
        priced.into_iter().map(|(_, group)| group)
    };
    sorted(first).chain(sorted(rest)).collect()
}

fn worker_folder(build: &Build, worker: usize) -> Result<PathBuf> {
    let folder = build.tree.with_file_name(format!("worker-{worker}"));
    fs::create_dir_all(folder.join("tmp"))?;
    Ok(folder)
}

/// Runs a group of tests. Returns `None` if it did not end in time.
fn run(
    build: &Build,
    folder: &Path,
    group: &Group<'_>,
    environment: &[(&str, String)],
    limit: Duration,
) -> Result<Option<ExitStatus>> {
    let temporary = folder.join("tmp");
    let mut child = Command::new("prlimit")
        .arg(MEMORY)
        .arg(group.program)
        .args(&group.arguments)
        .current_dir(build.tree.join("ovsdb"))
        .env("CARGO_MANIFEST_DIR", build.tree.join("ovsdb"))
        .env("TMPDIR", &temporary)
        .env("RUST_BACKTRACE", "0")
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()?;
    let group_of_processes = format!("-{}", child.id());
    let end = Instant::now() + limit;
    let mut pause = Duration::from_millis(1);
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break Some(status);
        }
        if Instant::now() > end {
            break None;
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    };
    // Kill the processes that the tests started, and the tests themselves if they did not end.
    let _ = Command::new("kill")
        .args(["-KILL", "--", &group_of_processes])
        .stderr(Stdio::null())
        .status();
    if status.is_none() {
        child.wait()?;
    }
    if status.is_none_or(|status| !status.success()) {
        // A killed test leaves its temporary folders.
        let _ = fs::remove_dir_all(&temporary);
        fs::create_dir_all(&temporary)?;
    }
    Ok(status)
}

/// Calls a function for each of these on this many threads. Returns the results in the order of the input.
pub(crate) fn in_parallel<T: Send, R: Send>(
    workers: usize,
    work: Vec<T>,
    each: impl Fn(usize, T) -> Result<R> + Sync,
) -> Result<Vec<R>> {
    let number = work.len();
    let work = Mutex::new(work.into_iter().enumerate());
    let done = Mutex::new(BTreeMap::new());
    let fault = Mutex::new(None);
    std::thread::scope(|scope| {
        for worker in 0..workers {
            let (work, done, fault, each) = (&work, &done, &fault, &each);
            scope.spawn(move || {
                loop {
                    let next = work.lock().ok().and_then(|mut work| work.next());
                    let Some((index, next)) = next else { return };
                    match each(worker, next) {
                        Ok(result) => {
                            if let Ok(mut done) = done.lock() {
                                done.insert(index, result);
                            }
                        }
                        Err(error) => {
                            if let Ok(mut fault) = fault.lock() {
                                *fault = Some(error.to_string());
                            }
                            return;
                        }
                    }
                }
            });
        }
    });
    if let Some(fault) = fault.into_inner().unwrap_or_default() {
        return Err(fault.into());
    }
    let done = done.into_inner().map_err(|_| "a worker panicked")?;
    if done.len() != number {
        return Err("a worker ended early".into());
    }
    Ok(done.into_values().collect())
}
