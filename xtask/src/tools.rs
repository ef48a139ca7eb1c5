//! The tools of other projects that the tasks run. Each is pinned to one release, built from the package registry, and
//! kept in `target/tools`.

use std::path::PathBuf;
use std::process::Command;
use std::thread;

use crate::Result;
use crate::command::{cargo, command, output, root, run};

/// One release of a program in the package registry.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tool {
    package: &'static str,
    program: &'static str,
    version: &'static str,
}

const fn tool(package: &'static str, program: &'static str, version: &'static str) -> Tool {
    Tool {
        package,
        program,
        version,
    }
}

/// Builds and runs fuzz targets.
pub(crate) const FUZZ: Tool = tool("cargo-fuzz", "cargo-fuzz", "0.13.2");
/// Finds dependencies that no source file uses.
pub(crate) const MACHETE: Tool = tool("cargo-machete", "cargo-machete", "0.9.2");
/// Checks the licences, sources and releases of all dependencies.
pub(crate) const DENY: Tool = tool("cargo-deny", "cargo-deny", "0.20.2");
/// Runs cargo for each set of features.
pub(crate) const HACK: Tool = tool("cargo-hack", "cargo-hack", "0.6.46");
/// Lists the small changes of a source file that a test should find.
pub(crate) const MUTANTS: Tool = tool("cargo-mutants", "cargo-mutants", "25.3.1");
/// Finds changes of public items that break programs which use them.
pub(crate) const SEMVER: Tool = tool("cargo-semver-checks", "cargo-semver-checks", "0.51.0");
/// Finds spelling mistakes in prose and in names.
pub(crate) const TYPOS: Tool = tool("typos-cli", "typos", "1.42.3");

impl Tool {
    /// The path of the program. Builds it first, unless this release is installed.
    ///
    /// # Errors
    /// When it cannot be built.
    pub(crate) fn installed(self) -> Result<PathBuf> {
        run(&mut self.install())?;
        Ok(folder().join("bin").join(self.program))
    }

    /// The command that installs this release. It does nothing if the release is installed.
    fn install(self) -> Command {
        let mut install = command(&cargo(), &["install", self.package, "--locked", "--quiet"]);
        install.args(["--version", self.version, "--root"]);
        // The tools run for seconds, so a fast build matters more than fast tools.
        install
            .arg(folder())
            .env(
                "CARGO_TARGET_DIR",
                folder().join("build").join(self.package),
            )
            .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "0")
            .env("CARGO_PROFILE_RELEASE_LTO", "off")
            .env("CARGO_PROFILE_RELEASE_DEBUG", "0")
            .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16");
        install
    }
}

fn folder() -> PathBuf {
    root().join("target/tools")
}

/// Installs several tools at the same time, since no single build keeps all processors busy.
///
/// # Errors
/// When one cannot be built.
pub(crate) fn install_all(tools: &[Tool]) -> Result {
    thread::scope(|scope| {
        let installing: Vec<_> = tools
            .iter()
            .map(|tool| {
                scope.spawn(|| output(&mut tool.install()).map_err(|error| error.to_string()))
            })
            .collect();
        for installed in installing {
            installed.join().map_err(|_| "a thread panicked")??;
        }
        Ok(())
    })
}
