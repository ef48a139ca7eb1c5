//! Runs the fuzz targets.

use std::fs;
use std::process::Command;

use crate::Result;
use crate::command::{command, root, run};
use crate::tools::FUZZ;

/// The target of `multihoming`, and the feature that it needs. Building it takes minutes, so short runs
/// skip it; that program's tests replay its corpus.
const MANIFESTS: &str = "manifests";

/// Runs of fewer seconds are short.
const SHORT: u32 = 60;

/// Runs every target for this many seconds, beginning with its committed corpus.
///
/// # Errors
/// When a target cannot be built, or finds an input that breaks it.
pub(crate) fn smoke(seconds: u32) -> Result {
    let cargo_fuzz = FUZZ.installed()?;
    for target in targets()? {
        let features = if target != MANIFESTS {
            ""
        } else if seconds < SHORT {
            continue;
        } else {
            MANIFESTS
        };
        // New inputs that a run keeps go to a separate folder, so that the corpus is not changed.
        let found = root().join("fuzz/target/found").join(&target);
        fs::create_dir_all(&found)?;
        let found = found.to_string_lossy();
        let corpus = format!("fuzz/corpus/{target}");
        let time = format!("-max_total_time={seconds}");
        let features = format!("--features={features}");
        let arguments = [
            "fuzz", "run", &features, &target, &found, &corpus, "--", &time,
        ];
        run(bootstrapped(&cargo_fuzz.to_string_lossy(), &arguments).arg("-timeout=10"))?;
    }
    Ok(())
}

/// The targets' names, from the files in their folder.
fn targets() -> Result<Vec<String>> {
    let mut targets: Vec<String> = fs::read_dir(root().join("fuzz/fuzz_targets"))?
        .filter_map(|entry| entry.ok()?.path().file_stem()?.to_str().map(String::from))
        .collect();
    targets.sort_unstable();
    Ok(targets)
}

/// Sanitizers need this switch on the stable toolchain.
fn bootstrapped(program: &str, arguments: &[&str]) -> Command {
    let mut command = command(program, arguments);
    command.env("RUSTC_BOOTSTRAP", "1");
    command
}
