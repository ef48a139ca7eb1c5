//! Programs that must not compile, and why: each line that ends in `//~` has an error of the
//! compiler with that code, or of a macro with that text, and no other line has one.
//!
//! The compiler's own words change from release to release; codes and lines do not.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// File and line, and what is said there.
type Errors = BTreeMap<(String, u64), Vec<String>>;

#[test]
fn mistakes_do_not_compile() {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = tempfile::tempdir().expect("a folder");
    let expected = write_programs(package, folder.path());
    assert!(
        expected.len() > 20,
        "the programs of tests/types are missing"
    );
    let mut found = compile(package, folder.path());
    let mut wrong = Vec::new();
    for (place, wanted) in expected {
        let errors = found.remove(&place).unwrap_or_default();
        if !errors.iter().any(|error| error.contains(&wanted)) {
            wrong.push(format!("{place:?}: expected {wanted}, got {errors:?}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(found.is_empty(), "errors that no line expects: {found:#?}");
}

/// Makes a package with each file of `tests/types` as a program; returns what its lines expect.
fn write_programs(package: &Path, folder: &Path) -> BTreeMap<(String, u64), String> {
    let workspace = package.parent().expect("the workspace");
    let manifest = format!(
        "[package]\nname = \"mistakes\"\nversion = \"0.0.0\"\nedition = \"2024\"\n[workspace]\n\
         [dependencies]\novsdb = {{ path = {:?}, features = [\"nb\", \"vswitch\"] }}\n",
        workspace.join("ovsdb"),
    );
    // One more program must compile, in each edition.
    let editions = ["2018", "2021", "2024"].map(|edition| {
        format!(
            "[[bin]]\nname = \"edition_{edition}\"\npath = \"editions/names.rs\"\nedition = \"{edition}\"\n"
        )
    });
    copy_all(&package.join("tests/editions"), &folder.join("editions"));
    let names = workspace.join("ovsdb/tests/files/names.ovsschema");
    fs::copy(names, folder.join("editions/names.ovsschema")).expect("a copy");
    fs::write(folder.join("Cargo.toml"), manifest + &editions.concat()).expect("a manifest");
    fs::copy(workspace.join("Cargo.lock"), folder.join("Cargo.lock")).expect("a lock file");
    copy_all(&package.join("tests/files"), &folder.join("files"));
    let mut expected = BTreeMap::new();
    for program in copy_all(&package.join("tests/types"), &folder.join("src/bin")) {
        let text = fs::read_to_string(&program).expect("a program");
        let name = program.file_name().expect("a name").to_string_lossy();
        for (line, number) in text.lines().zip(1..) {
            if let Some((_, wanted)) = line.split_once("//~ ") {
                expected.insert((name.to_string(), number), wanted.to_owned());
            }
        }
    }
    expected
}

fn copy_all(from: &Path, to: &Path) -> Vec<PathBuf> {
    fs::create_dir_all(to).expect("a folder");
    let copy = |entry: std::io::Result<fs::DirEntry>| {
        let entry = entry.expect("a file");
        let copy = to.join(entry.file_name());
        fs::copy(entry.path(), &copy).expect("a copy");
        copy
    };
    fs::read_dir(from).expect("a folder").map(copy).collect()
}

/// Whether this is one of the package's programs.
fn is_program(file: &str) -> bool {
    file.starts_with("src/bin/")
}

/// The errors of the package, each at the first line of its primary place.
fn compile(package: &Path, folder: &Path) -> Errors {
    let target = package
        .parent()
        .expect("the workspace")
        .join("target/tests/mistakes");
    let output = Command::new(env!("CARGO"))
        .args(["check", "--quiet", "--bins", "--keep-going", "--offline"])
        .arg("--message-format=json")
        .current_dir(folder)
        .env("CARGO_TARGET_DIR", target)
        .env_remove("RUSTFLAGS")
        .output()
        .expect("cargo");
    let mut errors = Errors::new();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let line: Value = serde_json::from_str(line).expect("a message of cargo");
        let message = &line["message"];
        if message["level"] != "error" {
            continue;
        }
        let spans = message["spans"]
            .as_array()
            .map(Vec::as_slice)
            .unwrap_or_default();
        let Some(mut span) = spans.iter().find(|span| span["is_primary"] == true) else {
            continue;
        };
        // An error inside a macro of another crate counts at the call in the program.
        while let Some(call) = span["expansion"].get("span")
            && !span["file_name"].as_str().is_some_and(is_program)
        {
            span = call;
        }
        let file = span["file_name"].as_str().unwrap_or_default();
        let name = file.rsplit('/').next().unwrap_or_default().to_owned();
        let line = span["line_start"].as_u64().unwrap_or_default();
        let code = message["code"]["code"].as_str().unwrap_or_default();
        let text = message["message"].as_str().unwrap_or_default();
        errors
            .entry((name, line))
            .or_default()
            .push(format!("{code} {text}"));
    }
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        !errors.is_empty(),
        "cargo failed before it compiled the programs: {said}"
    );
    errors
}
