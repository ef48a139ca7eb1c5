//! Runs a task of this program with the programs of a release, and counts the results in its output.

use std::fmt::{self, Display};
use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};

use super::programs::Programs;
use crate::Result;
use crate::command::{cargo, root};

/// How many tests, files or scenarios passed and failed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Count {
    passed: usize,
    failed: usize,
}

impl Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.passed, self.failed) {
            (passed, 0) => write!(f, "{passed} passed"),
            (passed, failed) => write!(f, "{passed} passed, {failed} failed"),
        }
    }
}

/// The result of a task.
#[derive(Debug, Clone)]
pub(super) struct Outcome {
    /// The task and its release.
    title: String,
    output: String,
    succeeded: bool,
    pub(super) files: Count,
    pub(super) tests: Count,
    pub(super) scenarios: Count,
}

/// Runs `cargo xtask` with these arguments and the programs of a release. Its output is shown, and
/// stored in the release's folder.
///
/// # Errors
/// When it cannot be run, or its output cannot be stored. Whether it failed is in the result.
pub(super) fn run(programs: &Programs, arguments: &str) -> Result<Outcome> {
    let name = arguments.split_whitespace().next().unwrap_or_default();
    let shown = format!("{}cargo xtask {arguments}", programs.assignments());
    println!("\n{}\n$ {shown}", programs.release());
    // The shell merges standard error into standard output, so that the lines stay in order.
    let mut child = Command::new("sh")
        .args(["-c", "exec \"$0\" \"$@\" 2>&1", &cargo(), "xtask"])
        .args(arguments.split_whitespace())
        .current_dir(root())
        .envs(programs.variables())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()?;
    let file = programs.file(&format!("{name}.txt"));
    let mut kept = File::create(&file)?;
    let mut pipe = BufReader::new(child.stdout.take().ok_or("no output")?);
    let (mut output, mut line) = (String::new(), Vec::new());
    while pipe.read_until(b'\n', &mut line)? > 0 {
        let text = String::from_utf8_lossy(&line);
        print!("{text}");
        kept.write_all(text.as_bytes())?;
        output += &text;
        line.clear();
    }
    let succeeded = child.wait()?.success();
    let title = format!(
        "{}: {shown} (all of it: {})",
        programs.release(),
        file.display()
    );
    Ok(Outcome::new(title, output, succeeded))
}

impl Outcome {
    fn new(title: String, output: String, succeeded: bool) -> Self {
        let (files, tests) = count_tests(&output);
        let scenarios = Count {
            passed: output.lines().filter(|line| line.starts_with(TOOK)).count(),
            // The first failure ends the run.
            failed: usize::from(!succeeded),
        };
        Self {
            title,
            output,
            succeeded,
            files,
            tests,
            scenarios,
        }
    }

    /// Whether it failed, or ran neither tests nor scenarios.
    pub(super) fn failed(&self) -> bool {
        !self.succeeded || self.files.passed + self.scenarios.passed == 0
    }

    /// The failures, with their output.
    pub(super) fn excerpt(&self) -> String {
        let failures = if self.files == Count::default() {
            after_last_scenario(&self.output).to_owned()
        } else {
            failures(&self.output)
        };
        format!("{} failed:\n{failures}", self.title)
    }
}

/// The beginning of the line that ends a scenario.
const TOOK: &str = "  took ";
/// The beginning of the line that ends a file of tests.
const RESULT: &str = "test result: ";

/// Counts the test files and their tests. The output of each file ends in a line such as
/// `test result: FAILED. 3 passed; 1 failed; ...`.
fn count_tests(output: &str) -> (Count, Count) {
    let (mut files, mut tests) = (Count::default(), Count::default());
    for result in output.lines().filter_map(|line| line.strip_prefix(RESULT)) {
        match result.starts_with("ok.") {
            true => files.passed += 1,
            false => files.failed += 1,
        }
        let of = |what: &str| {
            let mut parts = result.split(['.', ';']).map(str::trim);
            let count = parts.find_map(|part| part.strip_suffix(what)?.trim().parse().ok());
            count.unwrap_or(0)
        };
        tests.passed += of("passed");
        tests.failed += of("failed");
    }
    (files, tests)
}

/// What the tests that failed printed, and the errors of the task itself.
fn failures(output: &str) -> String {
    const ERRORS: [&str; 4] = ["error", "Caused by:", "  process didn't exit", "    `-p "];
    let (mut found, mut inside) = (String::new(), false);
    for line in output.lines() {
        inside |= line == "failures:";
        if inside || ERRORS.iter().any(|error| line.starts_with(error)) {
            found += line;
            found.push('\n');
        }
        inside &= !line.starts_with(RESULT);
    }
    // Without a test result, an error line alone does not show what failed.
    if found.contains(RESULT) {
        found
    } else {
        String::new()
    }
}

/// The output after the last scenario that passed.
fn after_last_scenario(output: &str) -> &str {
    let last = output.rmatch_indices(TOOK).next();
    last.map_or(output, |(at, _)| output.get(at..).unwrap_or(output))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAILED: &str = "\
     Running tests/tls.rs (target/debug/deps/tls-0)
running 2 tests
test one ... ok
test two ... FAILED

failures:

---- two stdout ----
it is not so

failures:
    two

test result: FAILED. 1 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.21s

error: test failed, to rerun pass `-p ovsdb --test tls`
     Running tests/waiting.rs (target/debug/deps/waiting-0)
running 1 test
test three ... ok

test result: ok. 1 passed; 0 failed; 3 ignored; 0 measured; 0 filtered out; finished in 0.01s

error: 1 target failed:
    `-p ovsdb --test tls`
";

    #[test]
    fn tests_are_counted_and_those_that_failed_are_shown() {
        let outcome = Outcome::new("trixie".into(), FAILED.into(), false);
        assert!(outcome.failed());
        assert_eq!(outcome.files.to_string(), "1 passed, 1 failed");
        assert_eq!(outcome.tests.to_string(), "2 passed, 1 failed");
        let excerpt = outcome.excerpt();
        for line in ["it is not so", "    two", "    `-p ovsdb --test tls`"] {
            assert!(excerpt.lines().any(|shown| shown == line), "{excerpt}");
        }
        assert!(!excerpt.contains("three"), "{excerpt}");
    }

    #[test]
    fn a_scenario_that_fails_is_shown_with_what_it_printed() {
        let output = "layer3\n  ok  a\n  took 3.1 s\nlayer2\nerror: layer2: not so\n--- log\nwhy\n";
        let outcome = Outcome::new("sid".into(), output.into(), false);
        assert_eq!(outcome.scenarios.to_string(), "1 passed, 1 failed");
        let excerpt = outcome.excerpt();
        assert!(excerpt.ends_with("layer2\nerror: layer2: not so\n--- log\nwhy\n"));
        assert!(!excerpt.contains("  ok  a"), "{excerpt}");
    }

    #[test]
    fn a_task_that_runs_nothing_has_failed() {
        assert!(Outcome::new("sid".into(), String::new(), true).failed());
        let passed = "layer3\n  took 3.1 s\n";
        assert!(!Outcome::new("sid".into(), passed.into(), true).failed());
    }
}
