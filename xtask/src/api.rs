//! `cargo xtask api`: compares the public items with those of an earlier revision.

use crate::Result;
use crate::command::{command, output, run};
use crate::tools::SEMVER;

/// The packages whose items are compared. The macros' package has no items that can be compared.
const PACKAGES: [&str; 2] = ["ovsdb", "ovsdb-schema"];

/// The options of the comparison.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The revision to compare with: a tag, a branch or a commit
    #[arg(long, value_name = "REVISION")]
    baseline: String,
}

/// Compares the public items with those of the baseline, with all features.
///
/// # Errors
/// When a change breaks programs that use the library, and the version in `Cargo.toml` was not raised accordingly; or
/// when the comparison cannot be run.
pub(crate) fn compare(arguments: &Arguments) -> Result {
    compare_with(&arguments.baseline)
}

/// Compares the public items with those of the last release that this revision is based on. If there is none, or git
/// cannot list the tags (as outside a repository), it prints that and compares nothing.
///
/// # Errors
/// As [`compare`].
pub(crate) fn compare_with_release() -> Result {
    match last_release() {
        Ok(release) => compare_with(&release),
        Err(reason) => {
            println!("\nno release to compare the public items with: {reason}");
            Ok(())
        }
    }
}

/// The tag of the last release that this revision is based on.
///
/// # Errors
/// When there is none, or git cannot list the tags, as outside a repository.
pub(crate) fn last_release() -> Result<String> {
    let mut tags = command("git", &["tag", "--list", "v*", "--merged", "HEAD"]);
    let tags = output(tags.arg("--sort=-version:refname"))?;
    let release = tags.lines().next();
    Ok(release
        .ok_or("there is no tag that begins with v")?
        .to_owned())
}

fn compare_with(baseline: &str) -> Result {
    let program = SEMVER.installed()?;
    let mut check = command(
        &program.to_string_lossy(),
        &["semver-checks", "--all-features"],
    );
    check.args(["--baseline-rev", baseline]);
    for package in PACKAGES {
        check.args(["--package", package]);
    }
    run(&mut check)
}
