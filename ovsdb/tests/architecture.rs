//! The invariants of ARCHITECTURE.md that can be read from the sources.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The rooms of the library, each before those that may use it.
const ROOMS: &[&str] = &[
    "error_chain",
    "stats",
    "value",
    "protocol",
    "model",
    "trie",
    "schema_check",
    "cache",
    "transport",
    "error",
    "server",
    "session",
    "client",
    "transaction",
    "testing",
];

fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// A file that is no test, and its code: without comments, and without the tests at its end.
struct Source {
    room: String,
    path: PathBuf,
    code: String,
}

fn collect(folder: &Path, room: Option<&str>, found: &mut Vec<Source>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let stem = path
            .file_stem()
            .and_then(|stem| stem.to_str())
            .expect("a name");
        if stem == "tests" {
            continue;
        }
        let room = room.unwrap_or(stem);
        if path.is_dir() {
            collect(&path, Some(room), found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).expect("a source");
            found.push(Source {
                room: room.to_owned(),
                code: code(&text),
                path,
            });
        }
    }
}

fn code(text: &str) -> String {
    let (text, _) = text
        .split_once("#[cfg(test)]\nmod tests {")
        .unwrap_or((text, ""));
    let lines = text
        .lines()
        .map(|line| line.split("//").next().unwrap_or(line));
    lines.collect::<Vec<_>>().join("\n")
}

/// All sources but the crate's root, which names every room.
fn all() -> Vec<Source> {
    let mut found = Vec::new();
    collect(&sources(), None, &mut found);
    found.retain(|source| source.room != "lib");
    assert!(found.len() > 80, "only {} sources", found.len());
    found
}

/// The identifiers that follow `prefix`.
fn names_after<'a>(code: &'a str, prefix: &str) -> BTreeSet<&'a str> {
    code.match_indices(prefix)
        .map(|(at, _)| {
            let rest = &code[at + prefix.len()..];
            let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_');
            &rest[..end.unwrap_or(rest.len())]
        })
        .collect()
}

fn place(room: &str) -> usize {
    let place = ROOMS.iter().position(|known| *known == room);
    place.unwrap_or_else(|| panic!("{room} is no room of ARCHITECTURE.md"))
}

#[test]
fn every_room_is_on_the_map() {
    let map = fs::read_to_string(sources().join("../../ARCHITECTURE.md")).expect("the map");
    let known: BTreeSet<_> = all().into_iter().map(|source| source.room).collect();
    for room in &known {
        place(room);
        assert!(
            map.contains(&format!("\n| `{room}` |")),
            "the map lacks {room}"
        );
    }
    assert_eq!(known.len(), ROOMS.len(), "{known:?}");
}

#[test]
fn rooms_point_one_way() {
    for source in all() {
        for used in names_after(&source.code, "crate::") {
            // A path of generated code, within a macro.
            if source.code.contains(&format!("$crate::{used}")) {
                continue;
            }
            assert!(
                place(used) <= place(&source.room),
                "{}: {} uses {used}, which comes after it",
                source.path.display(),
                source.room
            );
        }
    }
}

#[test]
fn the_data_model_and_the_protocol_know_no_runtime() {
    for source in all() {
        if ["value", "protocol", "model", "stats"].contains(&source.room.as_str()) {
            assert!(
                !source.code.contains("tokio"),
                "{} names tokio",
                source.path.display()
            );
        }
    }
}

#[test]
fn the_session_decides_without_a_clock_a_runtime_or_chance() {
    let machine = all().into_iter().filter(|source| {
        let stem = source.path.file_stem().and_then(|stem| stem.to_str());
        source.room == "session" && !matches!(stem, Some("driver" | "handle"))
    });
    let mut seen = 0;
    for source in machine {
        seen += 1;
        let path = source.path.display();
        let modules = names_after(&source.code, "tokio::");
        assert!(
            modules.iter().all(|module| *module == "sync"),
            "{path} uses {modules:?} of tokio"
        );
        for absent in [
            "Instant::now",
            ".elapsed()",
            "spawn",
            "fastrand::u",
            "Rng::new",
            ".await",
        ] {
            // `elapsed` is also the machine's own function of the time that it is given.
            let code = source.code.replace("self.elapsed(now)", "");
            assert!(!code.contains(absent), "{path} has {absent}");
        }
    }
    assert!(seen > 10, "only {seen} sources of the machine");
}

#[test]
fn no_crate_has_unsafe_code() {
    let manifest = fs::read_to_string(sources().join("../../Cargo.toml")).expect("the workspace");
    assert!(manifest.contains("unsafe_code = \"forbid\""));
    for member in [
        "schemas",
        "ovsdb-derive",
        "ovsdb",
        "examples",
        "benches",
        "xtask",
    ] {
        let file = sources().join("../..").join(member).join("Cargo.toml");
        let manifest = fs::read_to_string(file).expect("a manifest");
        assert!(manifest.contains("[lints]\nworkspace = true"), "{member}");
    }
}
