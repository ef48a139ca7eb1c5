//! A copy of the sources with a switch for each mutant, and the programs built from it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use super::list::Mutant;
use super::switches::{Switched, switched};
use crate::Result;
use crate::command::{cargo, command, root};

const RUNTIME: &str = include_str!("runtime.rs");

/// A build with all mutants.
#[derive(Debug)]
pub(crate) struct Build {
    /// The folder of the copy.
    pub(crate) tree: PathBuf,
    /// The programs of the library's tests.
    pub(crate) tests: Vec<PathBuf>,
    /// The simulation.
    pub(crate) simulation: PathBuf,
    /// Mutants that have no switch, or that do not compile.
    pub(crate) left_out: BTreeSet<usize>,
}

/// Copies the sources, leaves out the mutants that do not compile, and builds the tests and the simulation.
pub(crate) fn build(mutants: &[Mutant]) -> Result<Build> {
    let tree = root().join("target/mutants/tree");
    let mut switched: BTreeSet<&str> = mutants.iter().map(|mutant| mutant.file.as_str()).collect();
    switched.insert("ovsdb/src/lib.rs");
    copy(&tree, &switched)?;
    let library = tree.join("ovsdb/src");
    let number = mutants.len();
    let runtime = RUNTIME.replace("NUMBER_OF_MUTANTS", &number.to_string());
    write(&library.join("mutant_switch.rs"), &runtime)?;
    let text = fs::read_to_string(root().join("ovsdb/src/lib.rs"))?;
    write(
        &library.join("lib.rs"),
        &format!("{text}\nmod mutant_switch;\n"),
    )?;

    // Leave out mutants that did not compile the last time, without trying again.
    let known = tree.with_file_name("left-out.txt");
    let names = fs::read_to_string(&known).unwrap_or_default();
    let names: BTreeSet<&str> = names.lines().collect();
    let named = mutants
        .iter()
        .filter(|mutant| names.contains(mutant.name.as_str()));
    let mut left_out: BTreeSet<usize> = named.map(|mutant| mutant.number).collect();
    loop {
        let files = put_switches(mutants, &left_out, &tree)?;
        for file in files.values() {
            left_out.extend(&file.left_out);
        }
        let of_now = mutants
            .iter()
            .filter(|mutant| left_out.contains(&mutant.number));
        let of_now = of_now.map(|mutant| mutant.name.as_str());
        let all: BTreeSet<&str> = of_now.chain(names.iter().copied()).collect();
        fs::write(&known, all.into_iter().collect::<Vec<_>>().join("\n"))?;
        let errors = errors(&tree)?;
        if errors.is_empty() {
            break;
        }
        let before = left_out.len();
        for error in &errors {
            leave_out(error, &files, &mut left_out)?;
        }
        println!(
            "{} mutants do not compile or have no place for a switch",
            left_out.len()
        );
        if left_out.len() == before {
            return Err("the copy does not compile, and leaving out mutants does not help".into());
        }
    }
    let tests = tests(&tree)?;
    let simulation = simulation(&tree)?;
    Ok(Build {
        tree,
        tests,
        simulation,
        left_out,
    })
}

/// Copies the files that git tracks and that differ from the copy, except those that get switches.
fn copy(tree: &Path, switched: &BTreeSet<&str>) -> Result {
    let output = command("git", &["ls-files", "-z"]).output()?;
    for name in output.stdout.split(|byte| *byte == 0) {
        let name = String::from_utf8_lossy(name);
        let (from, to) = (root().join(name.as_ref()), tree.join(name.as_ref()));
        // A tracked file may have been deleted here.
        if name.is_empty() || switched.contains(name.as_ref()) || !from.is_file() {
            continue;
        }
        let content = fs::read(&from)?;
        if fs::read(&to).ok().as_ref() != Some(&content) {
            fs::create_dir_all(to.parent().unwrap_or(tree))?;
            fs::write(&to, content)?;
        }
    }
    Ok(())
}

fn write(path: &Path, text: &str) -> Result {
    if fs::read_to_string(path).ok().as_deref() != Some(text) {
        fs::create_dir_all(path.parent().unwrap_or(path))?;
        fs::write(path, text)?;
    }
    Ok(())
}

/// Writes each file of the library that has mutants, with a switch for each mutant that was not left out.
fn put_switches(
    mutants: &[Mutant],
    left_out: &BTreeSet<usize>,
    tree: &Path,
) -> Result<BTreeMap<String, Switched>> {
    let mut of_file: BTreeMap<&str, Vec<&Mutant>> = BTreeMap::new();
    for mutant in mutants {
        let of_file = of_file.entry(&mutant.file).or_default();
        if !left_out.contains(&mutant.number) {
            of_file.push(mutant);
        }
    }
    let mut files = BTreeMap::new();
    for (name, mutants) in of_file {
        let source = fs::read_to_string(root().join(name))?;
        let file = switched(&source, &mutants).map_err(|error| format!("{name}: {error}"))?;
        let text = match name {
            "ovsdb/src/lib.rs" => format!("{}\nmod mutant_switch;\n", file.text),
            _ => file.text.clone(),
        };
        write(&tree.join(name), &text)?;
        files.insert(name.to_owned(), file);
    }
    Ok(files)
}

/// A compiler error: the places that it names, the main one first, and its text.
#[derive(Debug)]
struct CompileError {
    spans: Vec<(String, Range<usize>)>,
    rendered: String,
}

fn in_tree(tree: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(cargo());
    command
        .args(arguments)
        .args(["--config", r#"profile.dev.package."*".opt-level=1"#])
        .current_dir(tree)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .env("CARGO_TARGET_DIR", root().join("target/mutants/target"))
        // Build no more than the trials need, with the same settings for all tests, so that everything is
        // built once.
        .env("CARGO_PROFILE_DEV_DEBUG", "0")
        .env("CARGO_INCREMENTAL", "0")
        .env("RUSTFLAGS", "--cap-lints=allow");
    command
}

fn messages(command: &mut Command) -> Result<(bool, Vec<Value>)> {
    let output = command.output()?;
    let lines = output.stdout.split(|byte| *byte == b'\n');
    let messages = lines.filter_map(|line| serde_json::from_slice(line).ok());
    Ok((output.status.success(), messages.collect()))
}

/// The library's compiler errors or, if there are none, those of the library in the simulation.
fn errors(tree: &Path) -> Result<Vec<CompileError>> {
    let check = "check --package=ovsdb --locked --quiet --message-format=json";
    let check: Vec<&str> = check.split(' ').collect();
    let (_, messages_of_library) = messages(in_tree(tree, &check).arg("--all-features"))?;
    let errors = errors_of(&messages_of_library);
    if !errors.is_empty() {
        return Ok(errors);
    }
    let features = ["--profile=simulation", "--features=server,tls"];
    let (_, messages) = messages(as_simulation(in_tree(tree, &check).args(features)))?;
    Ok(errors_of(&messages))
}

fn errors_of(messages: &[Value]) -> Vec<CompileError> {
    let mut errors = Vec::new();
    for message in messages {
        let message = &message["message"];
        if message["level"] == "error" {
            let mut spans = Vec::new();
            collect_spans(message, &mut spans);
            let rendered = message["rendered"].as_str().unwrap_or_default().to_owned();
            if !spans.is_empty() {
                errors.push(CompileError { spans, rendered });
            }
        }
    }
    errors
}

/// Gives a command the flags of the simulation, and a separate build folder, since the flags affect every crate.
fn as_simulation(command: &mut Command) -> &mut Command {
    let flags = "--cap-lints=allow --cfg simulation --cfg tokio_unstable";
    let target = root().join("target/mutants/simulation");
    command
        .env("CARGO_TARGET_DIR", target)
        .env("RUSTFLAGS", flags)
}

/// The places that a message names; the main place is the first.
fn collect_spans(message: &Value, spans: &mut Vec<(String, Range<usize>)>) {
    let own = message["spans"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    let number = |span: &Value, name: &str| usize::try_from(span[name].as_u64()?).ok();
    for primary in [true, false] {
        for span in own.iter().filter(|span| span["is_primary"] == primary) {
            let file = span["file_name"].as_str().unwrap_or_default().to_owned();
            if let (Some(start), Some(end)) = (number(span, "byte_start"), number(span, "byte_end"))
            {
                spans.push((file, start..end));
            }
        }
    }
    for child in message["children"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default()
    {
        collect_spans(child, spans);
    }
}

/// Leaves out the mutant whose text caused an error. If the error is in no such text, leaves out all mutants of the
/// smallest piece of code around it.
fn leave_out(
    error: &CompileError,
    files: &BTreeMap<String, Switched>,
    left_out: &mut BTreeSet<usize>,
) -> Result {
    let within = |inner: &Range<usize>, outer: &Range<usize>| {
        outer.start <= inner.start && inner.end <= outer.end
    };
    for (file, span) in &error.spans {
        let Some(file) = files.get(file) else {
            continue;
        };
        let of_own = file.own.iter().filter(|(_, range)| within(span, range));
        if let Some((mutant, _)) = of_own.min_by_key(|(_, range)| range.len()) {
            left_out.insert(*mutant);
            return Ok(());
        }
    }
    for (file, span) in &error.spans {
        let Some(file) = files.get(file) else {
            continue;
        };
        let around = file.around.iter().filter(|(_, range)| within(span, range));
        let Some((_, smallest)) = around.min_by_key(|(_, range)| range.len()) else {
            continue;
        };
        let same = file.around.iter().filter(|(_, range)| range == smallest);
        left_out.extend(same.map(|(mutant, _)| *mutant));
        return Ok(());
    }
    Err(format!("an error outside of all mutants:\n{}", error.rendered).into())
}

/// Builds the tests of the library.
fn tests(tree: &Path) -> Result<Vec<PathBuf>> {
    let arguments = "test --no-run --package=ovsdb --all-features --lib --bins --tests --locked --message-format=json";
    let arguments: Vec<&str> = arguments.split(' ').collect();
    let (built, messages) = messages(&mut in_tree(tree, &arguments))?;
    if !built {
        let errors = errors_of(&messages);
        let errors = errors.iter().map(|error| error.rendered.as_str());
        return Err(format!("the tests do not compile:\n{}", errors.collect::<String>()).into());
    }
    let programs = messages
        .iter()
        .filter(|message| message["profile"]["test"] == true);
    let programs = programs.filter_map(|message| message["executable"].as_str());
    Ok(programs.map(PathBuf::from).collect())
}

/// Builds the simulation.
fn simulation(tree: &Path) -> Result<PathBuf> {
    let build = "build --package=ovsdb-simulation --profile=simulation --locked";
    let build: Vec<&str> = build.split(' ').collect();
    let status = as_simulation(&mut in_tree(tree, &build)).status()?;
    if !status.success() {
        return Err("the simulation does not compile".into());
    }
    Ok(root().join("target/mutants/simulation/simulation/ovsdb-simulation"))
}
