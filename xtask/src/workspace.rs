//! Checks of the project as a whole: dependencies, sets of features, spelling.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::Result;
use crate::command::{cargo, command, output, root, run, run_cargo};
use crate::tools::{DENY, HACK, MACHETE, TYPOS, Tool};

/// The packages that other projects depend on.
const LIBRARY: [&str; 3] = ["ovsdb", "ovsdb-derive", "ovsdb-schema"];

/// Checks that no word is misspelt.
pub(crate) fn spelling() -> Result {
    with(TYPOS, "")
}

/// Checks that each dependency is used, that its licence and source are allowed, and that only one release of it is
/// built; `deny.toml` lists the exceptions. Advisories are not checked, since that needs a network.
pub(crate) fn dependencies() -> Result {
    with(MACHETE, "--skip-target-dir .")?;
    dev_dependencies_are_used()?;
    with(DENY, "--locked check bans licenses sources")
}

/// Checks the dev-dependencies, which cargo-machete leaves out. Its list of exceptions in a manifest counts here too.
fn dev_dependencies_are_used() -> Result {
    let arguments = ["metadata", "--no-deps", "--locked", "--format-version=1"];
    let metadata: Value = serde_json::from_str(&output(&mut command(&cargo(), &arguments))?)?;
    for package in metadata["packages"].as_array().into_iter().flatten() {
        let manifest = Path::new(package["manifest_path"].as_str().unwrap_or_default());
        let mut sources = String::new();
        read(manifest.parent().unwrap_or(manifest), &mut sources)?;
        let ignored = &package["metadata"]["cargo-machete"]["ignored"];
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            let name = dependency["name"].as_str().unwrap_or_default();
            if ignored
                .as_array()
                .is_some_and(|ignored| ignored.contains(&dependency["name"]))
            {
                continue;
            }
            if dependency["kind"] == "dev" && !sources.contains(&name.replace('-', "_")) {
                let manifest = manifest.display();
                return Err(format!("{manifest}: the dev-dependency {name} is unused").into());
            }
        }
    }
    Ok(())
}

/// Appends the Rust sources of a folder, and those elsewhere that its modules include by `#[path]`.
fn read(folder: &Path, sources: &mut String) -> Result {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() && !path.ends_with("target") {
            read(&path, sources)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let source = fs::read_to_string(&path)?;
            let elsewhere = source.lines().filter_map(|line| {
                let named = line.trim().strip_prefix("#[path = \"")?;
                named.strip_suffix("\"]")
            });
            for named in elsewhere.filter(|named| named.starts_with("..")) {
                *sources += &fs::read_to_string(folder.join(named))?;
            }
            *sources += &source;
        }
    }
    Ok(())
}

/// Checks that the library compiles without a warning with no feature, with each alone (the generated tables count as
/// one), and with `server` and `tls`, which interact. The step `lint` compiles it with all.
pub(crate) fn features() -> Result {
    let clippy = "clippy --package ovsdb --lib --locked";
    let sets = "--feature-powerset --depth 1 --group-features nb,sb,vswitch";
    let others = "--exclude-features default --exclude-all-features";
    with(
        HACK,
        &format!("hack {clippy} {sets} {others} -- -D warnings"),
    )?;
    let set = "--no-default-features --features server,tls";
    run_cargo(&format!("{clippy} {set} -- -D warnings"))
}

/// Checks that the library compiles with the lowest release of each dependency that its manifests allow. This is done
/// in a copy of the workspace, so that `Cargo.lock` stays as it is.
pub(crate) fn lowest_versions() -> Result {
    let folder = root().join("target/lowest");
    let copied = folder.join("workspace");
    if copied.exists() {
        fs::remove_dir_all(&copied)?;
    }
    copy(&root(), &copied)?;
    let mut update = command(
        &cargo(),
        &["update", "--quiet", "-Z", "direct-minimal-versions"],
    );
    run(update.env("RUSTC_BOOTSTRAP", "1").current_dir(&copied))?;
    let mut check = command(&cargo(), &["check", "--lib", "--all-features", "--locked"]);
    for package in LIBRARY {
        check.args(["--package", package]);
    }
    run(check
        .current_dir(&copied)
        .env("CARGO_TARGET_DIR", folder.join("build")))
}

/// Copies the workspace, without `target` and `.git`.
fn copy(from: &Path, to: &Path) -> Result {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (name, kind) = (entry.file_name(), entry.file_type()?);
        if kind.is_dir() && name != "target" && name != ".git" {
            copy(&entry.path(), &to.join(name))?;
        } else if kind.is_file() {
            fs::copy(entry.path(), to.join(name))?;
        }
    }
    Ok(())
}

/// Runs a tool with these arguments, separated by blanks.
fn with(tool: Tool, arguments: &str) -> Result {
    let program = tool.installed()?;
    let arguments: Vec<&str> = arguments.split_whitespace().collect();
    run(&mut command(&program.to_string_lossy(), &arguments))
}
