//! Every public type is shown by an example, in its own documentation or in that of another item.

use std::fs;
use std::path::{Path, PathBuf};

/// Types that the example of another item shows.
const SHOWN_ELSEWHERE: &[&str] = &[
    "Duplicate",    // Refusal::duplicate
    "DuplicateRow", // Refusal::duplicate
    "UniqueKey",    // UniqueIndex
    "UpdateHeader", // UpdateHeader::parse
];

/// The file of the types that only generated code names.
const HIDDEN: &str = "src/model/check.rs";

fn sources(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// The name of the type that a line declares.
fn declared(line: &str) -> Option<&str> {
    let rest = line.strip_prefix("pub ")?;
    let kinds = ["struct ", "enum ", "trait "];
    let rest = kinds.iter().find_map(|kind| rest.strip_prefix(kind))?;
    rest.split(|c: char| !c.is_alphanumeric() && c != '_')
        .next()
}

#[test]
fn every_public_type_has_an_example() {
    let mut files = Vec::new();
    sources(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("src"),
        &mut files,
    );
    let (mut types, mut without) = (0, Vec::new());
    for file in files.iter().filter(|file| !file.ends_with(HIDDEN)) {
        let text = fs::read_to_string(file).expect("a source");
        // Comments and attributes before the line.
        let mut before = String::new();
        for line in text.lines() {
            if let Some(name) = declared(line) {
                let hidden = before.contains("#[doc(hidden)]") || before.contains("unnameable");
                if !hidden {
                    types += 1;
                    if !before.contains("```") && !SHOWN_ELSEWHERE.contains(&name) {
                        without.push(format!("{}: {name}", file.display()));
                    }
                }
            }
            if line.is_empty() || line.starts_with('}') || line.ends_with(';') {
                before.clear();
            } else {
                before.push_str(line);
            }
        }
    }
    assert!(types > 100, "{types} types found");
    assert!(without.is_empty(), "without an example: {without:#?}");
}
