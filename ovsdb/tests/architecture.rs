//! The invariants of ARCHITECTURE.md that can be checked by reading the sources.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The rooms of the library; each comes before the rooms that may use it.
const ROOMS: &[&str] = &[
    "error_chain",
    "stats",
    "simulated",
    "value",
    "protocol",
    "model",
    "trie",
    "schema_cache",
    "schema_check",
    "cache",
    "transport",
    "error",
    "server",
    "session",
    "client",
    "relay",
    "transaction",
    "progress",
    "desired",
    "reconcile",
    "testing",
];

fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// A file that is not a test, and its code without comments and without the tests at its end.
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

/// All sources but the crate's root, which names every room, and the guide, which is documentation only.
fn all() -> Vec<Source> {
    let mut found = Vec::new();
    collect(&sources(), None, &mut found);
    found.retain(|source| source.room != "lib" && source.room != "guide");
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
            assert!(!source.code.contains(absent), "{path} has {absent}");
        }
    }
    assert!(seen > 10, "only {seen} sources of the machine");
}

/// Files of a room that use each other; the module comment of the last one in each group says why.
const MUTUAL: &[&[&str]] = &[
    &["server::driver", "server::storage"],
    &["value::column", "value::prefetch"],
    &["value::atom", "value::json::reader", "value::repeats"],
];

/// A file as a module: `cache::index::hash`.
fn module(source: &Source) -> String {
    let path = source.path.with_extension("");
    let path = path.strip_prefix(sources()).expect("a source");
    let parts = path.iter().map(|part| part.to_str().expect("a name"));
    parts
        .filter(|part| *part != "mod")
        .collect::<Vec<_>>()
        .join("::")
}

/// The paths of `use` items, without their groups: `super::{a::B, c}` is `super::a::B` and `super::c`.
fn ungrouped(tree: &str, prefix: &str, paths: &mut Vec<String>) {
    let Some((head, group)) = tree.split_once('{') else {
        let path = tree.split(" as ").next().unwrap_or(tree).trim();
        if !path.is_empty() {
            paths.push(format!("{prefix}{path}"));
        }
        return;
    };
    let prefix = format!("{prefix}{}", head.trim());
    let group = group.trim_end().strip_suffix('}').unwrap_or(group);
    let (mut depth, mut start) = (0, 0);
    for (at, byte) in group.bytes().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' => depth -= 1,
            b',' if depth == 0 => {
                ungrouped(&group[start..at], &prefix, paths);
                start = at + 1;
            }
            _ => {}
        }
    }
    ungrouped(&group[start..], &prefix, paths);
}

/// The paths of a file's `use` lines from the crate's root on; `public` picks those that are exported.
fn uses(module: &str, code: &str, public: bool) -> Vec<String> {
    let mut found = Vec::new();
    for statement in code.split(';') {
        let Some((before, tree)) = statement.rsplit_once("use ") else {
            continue;
        };
        let exported = before
            .rsplit('\n')
            .next()
            .is_some_and(|line| line.contains("pub"));
        if exported == public {
            ungrouped(tree, "", &mut found);
        }
    }
    let from_root = found.into_iter().filter_map(|path| {
        let mut base: Vec<_> = module.split("::").collect();
        let mut parts = path.split("::").map(str::trim).peekable();
        match *parts.peek()? {
            "crate" => base.clear(),
            "self" | "super" => {}
            _ => return None,
        }
        for part in parts {
            match part {
                "crate" | "self" => {}
                "super" => drop(base.pop()),
                part => base.push(part),
            }
        }
        Some(base.join("::"))
    });
    from_root.collect()
}

/// The file in which `path` is, through the exports of the modules above it.
fn file_of(path: &str, exports: &BTreeMap<String, Vec<String>>) -> Option<String> {
    let mut path = path.to_owned();
    // An export may be of an export.
    for _ in 0..5 {
        let parts: Vec<_> = path.split("::").collect();
        let file = (1..=parts.len())
            .rev()
            .map(|count| parts[..count].join("::"))
            .find(|file| exports.contains_key(file))?;
        let Some(item) = parts.get(file.split("::").count()) else {
            return Some(file);
        };
        let ending = format!("::{item}");
        match exports[&file]
            .iter()
            .find(|export| export.ends_with(&ending))
        {
            Some(export) if *export != path => path.clone_from(export),
            _ => return Some(file),
        }
    }
    None
}

/// What a module uses of its own parts is not counted, since it consists of them.
#[test]
fn files_of_a_room_do_not_use_each_other() {
    let sources = all();
    let exports: BTreeMap<String, Vec<String>> = sources
        .iter()
        .map(|source| {
            let module = module(source);
            let exports = uses(&module, &source.code, true);
            (module, exports)
        })
        .collect();
    let mut reach: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for source in &sources {
        let user = module(source);
        let part = format!("{user}::");
        let used = uses(&user, &source.code, false);
        let used = used.iter().filter_map(|path| file_of(path, &exports));
        let used = used.filter(|file| *file != user && !file.starts_with(&part));
        reach.insert(user.clone(), used.collect());
    }
    assert!(reach.values().map(BTreeSet::len).sum::<usize>() > 300);
    loop {
        let before: usize = reach.values().map(BTreeSet::len).sum();
        for user in exports.keys() {
            let farther: Vec<_> = reach[user]
                .iter()
                .flat_map(|used| reach[used].iter().cloned())
                .collect();
            reach.get_mut(user).expect("a file").extend(farther);
        }
        if reach.values().map(BTreeSet::len).sum::<usize>() == before {
            break;
        }
    }
    let mut circles: BTreeSet<Vec<&str>> = BTreeSet::new();
    for user in exports.keys().filter(|user| reach[*user].contains(*user)) {
        let others = reach[user]
            .iter()
            .filter(|used| reach[*used].contains(user));
        circles.insert(others.map(String::as_str).collect());
    }
    let defended: BTreeSet<_> = MUTUAL.iter().map(|circle| circle.to_vec()).collect();
    assert_eq!(circles, defended);
}

#[test]
fn the_server_decides_without_a_runtime_files_or_a_clock() {
    let mut seen = 0;
    for source in all() {
        let module = module(&source);
        let outside = ["driver", "storage", "listen", "file", "relay", "cluster"]
            .map(|part| format!("server::{part}"));
        if source.room != "server"
            || module == "server"
            || outside.iter().any(|part| module.starts_with(&**part))
        {
            continue;
        }
        seen += 1;
        for absent in [
            "tokio",
            "std::fs",
            "std::net",
            "Instant::now",
            "SystemTime",
            ".elapsed()",
            ".await",
            "Rng::new",
            "fastrand::u",
        ] {
            assert!(!source.code.contains(absent), "{module} has {absent}");
        }
    }
    assert!(seen > 15, "only {seen} sources of the server's machine");
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
        "examples/operations",
        "benches",
        "simulation",
        "xtask",
    ] {
        let file = sources().join("../..").join(member).join("Cargo.toml");
        let manifest = fs::read_to_string(file).expect("a manifest");
        assert!(manifest.contains("[lints]\nworkspace = true"), "{member}");
    }
}
