//! Programs that must not compile, and why.
//!
//! In `types`, a comment `//~` gives the code of the error on its line or, if the macros or the library wrote it, the
//! text. No other line has an error. The compiler's own words are not compared: they change from release to release,
//! codes and lines do not.
//!
//! `messages` has mistakes that the macros find themselves; what they say is compared word for word. After a change
//! of a message, `OVSDB_WRITE_MESSAGES=1 cargo test -p ovsdb-derive --test type_errors` writes the new ones.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use serde_json::Value;

/// Where the sources of a kind are, in this package and in the one that is compiled.
const TYPES: &str = "tests/types";
const MESSAGES: &str = "tests/messages";

/// An error of the compiler or of a macro, at the first line of its primary span.
struct Error {
    file: String,
    line: u64,
    /// The code, if it has one, and the message.
    text: String,
    /// As a terminal shows it.
    shown: String,
}

#[test]
fn mistakes_do_not_compile() {
    let mut expected = BTreeMap::new();
    for program in programs(TYPES) {
        let name = format!("{TYPES}/{}", file_name(&program));
        let text = fs::read_to_string(&program).expect("a program");
        for (line, number) in text.lines().zip(1..) {
            if let Some((_, wanted)) = line.split_once("//~ ") {
                expected.insert((name.clone(), number), wanted.to_owned());
            }
        }
    }
    assert!(expected.len() > 20, "the programs are missing");
    let mut found: BTreeMap<(String, u64), Vec<&str>> = BTreeMap::new();
    for error in errors() {
        if !error.file.starts_with(MESSAGES) {
            let place = (error.file.clone(), error.line);
            found.entry(place).or_default().push(&error.text);
        }
    }
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

#[test]
fn mistakes_are_explained() {
    let write = std::env::var_os("OVSDB_WRITE_MESSAGES").is_some();
    let programs = programs(MESSAGES);
    assert!(programs.len() > 10, "the programs are missing");
    let mut wrong = Vec::new();
    for program in programs {
        let name = format!("{MESSAGES}/{}", file_name(&program));
        let of_program = errors().iter().filter(|error| error.file == name);
        let shown: String = of_program.map(|error| error.shown.as_str()).collect();
        let found = format!("{}\n", shown.trim_end());
        let kept = program.with_extension("stderr");
        if write {
            fs::write(&kept, &found).expect("the messages");
        }
        let expected = fs::read_to_string(&kept).unwrap_or_default();
        if found != expected {
            wrong.push(format!("{name}: expected\n{expected}\ngot\n{found}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn package() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn workspace() -> &'static Path {
    package().parent().expect("the workspace")
}

fn file_name(path: &Path) -> &str {
    path.file_name()
        .and_then(|name| name.to_str())
        .expect("a name")
}

/// The programs of a folder of this package.
fn programs(folder: &str) -> Vec<PathBuf> {
    let mut programs: Vec<PathBuf> = fs::read_dir(package().join(folder))
        .expect("a folder")
        .map(|entry| entry.expect("a file").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .collect();
    programs.sort_unstable();
    programs
}

/// The errors of all programs, compiled at once: their dependencies take most of the time.
fn errors() -> &'static [Error] {
    static ERRORS: OnceLock<Vec<Error>> = OnceLock::new();
    ERRORS.get_or_init(|| {
        let folder = tempfile::tempdir().expect("a folder");
        write_package(folder.path());
        compile(folder.path())
    })
}

/// Makes a package that has each program as a binary.
fn write_package(folder: &Path) {
    let mut manifest = format!(
        "[package]\nname = \"mistakes\"\nversion = \"0.0.0\"\nedition = \"2024\"\n[workspace]\n\
         [dependencies]\novsdb = {{ path = {:?}, features = [\"nb\", \"vswitch\"] }}\n",
        workspace().join("ovsdb"),
    );
    let mut binary = |name: &str, path: &str, edition: &str| {
        manifest += &format!("[[bin]]\nname = {name:?}\npath = {path:?}\nedition = {edition:?}\n");
    };
    for kind in [TYPES, MESSAGES] {
        fs::create_dir_all(folder.join(kind)).expect("a folder");
        for program in programs(kind) {
            let path = format!("{kind}/{}", file_name(&program));
            fs::copy(&program, folder.join(&path)).expect("a copy");
            binary(&path.replace(['/', '.'], "_"), &path, "2024");
        }
    }
    // One more program must compile, in each edition since 2018.
    for edition in ["2018", "2021", "2024"] {
        binary(&format!("edition_{edition}"), "editions/names.rs", edition);
    }
    copy_all(&package().join("tests/editions"), &folder.join("editions"));
    let names = workspace().join("ovsdb/tests/files/names.ovsschema");
    fs::copy(names, folder.join("editions/names.ovsschema")).expect("a copy");
    copy_all(&package().join("tests/files"), &folder.join("files"));
    fs::write(folder.join("Cargo.toml"), manifest).expect("a manifest");
    fs::copy(workspace().join("Cargo.lock"), folder.join("Cargo.lock")).expect("a lock file");
}

fn copy_all(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("a file");
        fs::copy(entry.path(), to.join(entry.file_name())).expect("a copy");
    }
}

fn compile(folder: &Path) -> Vec<Error> {
    let output = Command::new(env!("CARGO"))
        .args(["check", "--quiet", "--bins", "--keep-going", "--offline"])
        .arg("--message-format=json")
        .current_dir(folder)
        .env(
            "CARGO_TARGET_DIR",
            workspace().join("target/tests/mistakes"),
        )
        .env_remove("RUSTFLAGS")
        .output()
        .expect("cargo");
    let errors: Vec<Error> = String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| error(&serde_json::from_str(line).expect("a message of cargo")))
        .collect();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        !errors.is_empty(),
        "cargo failed before it compiled the programs: {said}"
    );
    errors
}

/// What cargo says in a message, if that is an error with a place.
fn error(message: &Value) -> Option<Error> {
    let message = &message["message"];
    if message["level"] != "error" {
        return None;
    }
    let spans = message["spans"].as_array()?;
    let mut span = spans.iter().find(|span| span["is_primary"] == true)?;
    // An error inside a macro of another crate is reported where the program calls the macro.
    while let Some(call) = span["expansion"].get("span")
        && !span["file_name"].as_str().is_some_and(is_program)
    {
        span = call;
    }
    let code = message["code"]["code"].as_str().unwrap_or_default();
    let text = message["message"].as_str().unwrap_or_default();
    Some(Error {
        file: span["file_name"].as_str().unwrap_or_default().to_owned(),
        line: span["line_start"].as_u64().unwrap_or_default(),
        text: format!("{code} {text}"),
        shown: message["rendered"].as_str().unwrap_or_default().to_owned(),
    })
}

/// Whether this is the source of one of the programs.
fn is_program(file: &str) -> bool {
    file.starts_with(TYPES) || file.starts_with(MESSAGES)
}
