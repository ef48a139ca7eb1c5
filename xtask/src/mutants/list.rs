//! The mutants that cargo-mutants finds in the library's sources.

use std::collections::HashMap;
use std::fs;
use std::process::Stdio;

use serde_json::Value;

use crate::Result;
use crate::command::{command, root};
use crate::tools::MUTANTS;

/// What a mutant changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The function returns the replacement at once.
    Function,
    /// The binary operator is replaced.
    Binary,
    /// The unary operator is removed.
    Unary,
    /// An arm of a match is removed.
    Arm,
    /// The guard of an arm is replaced by the replacement.
    Guard,
}

/// A place in a source file: line and column, counted from 1, in characters.
pub(crate) type Place = (usize, usize);

/// One change of one source file.
#[derive(Debug, Clone)]
pub(crate) struct Mutant {
    /// Its number in this list.
    pub(crate) number: usize,
    pub(crate) file: String,
    pub(crate) kind: Kind,
    pub(crate) start: Place,
    pub(crate) end: Place,
    /// The replacement.
    pub(crate) replacement: String,
    /// File, function and change. It stays the same when other parts of the file change.
    pub(crate) name: String,
    /// The line, for people.
    pub(crate) line: usize,
}

/// The mutants of the files that these globs name.
pub(crate) fn list(files: &[String]) -> Result<Vec<Mutant>> {
    let program = MUTANTS.installed()?;
    let mut arguments = vec!["mutants", "--list", "--json", "--package=ovsdb"];
    // Tests cannot run code that only the simulation has.
    arguments.extend(["--exclude", "**/simulated.rs"]);
    for file in files {
        arguments.extend(["--file", file]);
    }
    let output = command(&program.to_string_lossy(), &arguments)
        .stderr(Stdio::inherit())
        .output()?;
    if !output.status.success() {
        return Err("`cargo mutants --list` failed".into());
    }
    let listed: Vec<Value> = serde_json::from_slice(&output.stdout)?;
    let mut texts = HashMap::new();
    let mut names: HashMap<String, usize> = HashMap::new();
    let mut mutants = Vec::new();
    for entry in &listed {
        let mut mutant = read(mutants.len(), entry)
            .ok_or_else(|| format!("cargo-mutants lists a change of an unknown kind: {entry}"))?;
        let text = match texts.entry(mutant.file.clone()) {
            std::collections::hash_map::Entry::Occupied(known) => known.into_mut(),
            std::collections::hash_map::Entry::Vacant(new) => {
                new.insert(fs::read_to_string(root().join(&mutant.file))?)
            }
        };
        // Leave out faults that only the simulation plants: elsewhere `planted!` is the literal
        // `false`.
        let range = offset(text, mutant.start)..offset(text, mutant.end);
        let original = text.get(range).unwrap_or_default();
        if mutant.replacement == "false" && original.starts_with("planted!") {
            continue;
        }
        let function = entry["function"]["function_name"].as_str().unwrap_or("-");
        let what = described(&mutant, text);
        let name = format!("{} | {function} | {what}", mutant.file);
        let nth = names.entry(name.clone()).or_default();
        *nth += 1;
        mutant.name = if *nth == 1 {
            name
        } else {
            format!("{name} ({nth})")
        };
        mutants.push(mutant);
    }
    Ok(mutants)
}

fn read(number: usize, entry: &Value) -> Option<Mutant> {
    let place = |end: &str| {
        let place = &entry["span"][end];
        let number = |name: &str| usize::try_from(place[name].as_u64()?).ok();
        Some((number("line")?, number("column")?))
    };
    let kind = match entry["genre"].as_str()? {
        "FnValue" => Kind::Function,
        "BinaryOperator" => Kind::Binary,
        "UnaryOperator" => Kind::Unary,
        "MatchArm" => Kind::Arm,
        "MatchArmGuard" => Kind::Guard,
        _ => return None,
    };
    let start = place("start")?;
    Some(Mutant {
        number,
        file: entry["file"].as_str()?.to_owned(),
        kind,
        start,
        end: place("end")?,
        replacement: entry["replacement"].as_str()?.to_owned(),
        name: String::new(),
        line: start.0,
    })
}

fn described(mutant: &Mutant, text: &str) -> String {
    let range = offset(text, mutant.start)..offset(text, mutant.end);
    let original = text.get(range).unwrap_or_default();
    let original = original.split_whitespace().collect::<Vec<_>>().join(" ");
    let short: String = original.chars().take(60).collect();
    match mutant.kind {
        Kind::Function => format!("returns {}", mutant.replacement),
        Kind::Binary => format!("{short} becomes {}", mutant.replacement),
        Kind::Unary => format!("{short} is left out"),
        Kind::Arm => format!("arm `{short}` is left out"),
        Kind::Guard => format!("guard `{short}` is {}", mutant.replacement),
    }
}

/// The number of bytes before a place.
pub(crate) fn offset(text: &str, (line, column): Place) -> usize {
    let start: usize = text
        .split_inclusive('\n')
        .take(line - 1)
        .map(str::len)
        .sum();
    let rest = text.get(start..).unwrap_or_default();
    start
        + rest
            .chars()
            .take(column - 1)
            .map(char::len_utf8)
            .sum::<usize>()
}
