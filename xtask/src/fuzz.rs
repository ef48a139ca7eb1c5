//! Runs the fuzz targets.

use std::fs;
use std::process::Command;
use std::sync::Mutex;
use std::thread;

use crate::Result;
use crate::command::{all_output, command, root, run};
use crate::tools::FUZZ;

/// The target of `multihoming`, and the feature that it needs. Building it takes minutes, so short runs
/// skip it; that program's tests replay its corpus.
const MANIFESTS: &str = "manifests";

/// Runs of fewer seconds count as short.
const SHORT: u32 = 60;

/// Runs each target for this many seconds, except [`MANIFESTS`] in a short run. A target begins with its committed
/// corpus and the inputs that earlier runs kept. It has one thread, so as many targets run at the same time as there
/// are processors.
///
/// # Errors
/// When cargo-fuzz or a target cannot be built or run, or a target finds an input that breaks it.
pub(crate) fn smoke(seconds: u32) -> Result {
    let cargo_fuzz = FUZZ.installed()?.to_string_lossy().into_owned();
    let mut targets = targets()?;
    let mut features = "--features=".to_owned();
    if seconds < SHORT {
        targets.retain(|target| target != MANIFESTS);
    } else {
        features += MANIFESTS;
    }
    let fuzz = |subcommand| bootstrapped(&cargo_fuzz, &["fuzz", subcommand, &features]);
    // Build all targets first: the last step of each target's build uses one thread, so the last steps of
    // several targets run at the same time.
    run(&mut fuzz("build"))?;
    let targets = Mutex::new(targets.into_iter());
    let next = || targets.lock().ok()?.next();
    // `Result`'s error cannot be sent between threads.
    let work = || {
        while let Some(target) = next() {
            fuzz_target(&target, fuzz("run"), seconds).map_err(|error| error.to_string())?;
        }
        Ok::<_, String>(())
    };
    thread::scope(|scope| {
        let workers = thread::available_parallelism().map_or(1, usize::from);
        let workers: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        for worker in workers {
            worker.join().map_err(|_| "a thread panicked")??;
        }
        Ok(())
    })
}

/// Runs one target. Its output is shown only if it fails.
fn fuzz_target(target: &str, mut command: Command, seconds: u32) -> Result {
    // New inputs that a run keeps go to a separate folder, so that the corpus is not changed.
    let found = root().join("fuzz/target/found").join(target);
    fs::create_dir_all(&found)?;
    command.arg(target).arg(found);
    command.arg(format!("fuzz/corpus/{target}"));
    command.args(["--", "-timeout=10"]);
    command.arg(format!("-max_total_time={seconds}"));
    if target == MANIFESTS {
        // The databases of this target live until the process ends. Of a buffer of theirs that was read to its end, only
        // a pointer past its end is left, so LeakSanitizer reports the buffer as lost.
        command.env("ASAN_OPTIONS", "detect_leaks=0");
    }
    let printed = all_output(&mut command)?;
    let done = printed.lines().rfind(|line| line.starts_with("Done "));
    println!("{target}: {}", done.unwrap_or("no runs"));
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

/// A command with `RUSTC_BOOTSTRAP=1`, which sanitizers need on the stable toolchain.
fn bootstrapped(program: &str, arguments: &[&str]) -> Command {
    let mut command = command(program, arguments);
    command.env("RUSTC_BOOTSTRAP", "1");
    command
}
