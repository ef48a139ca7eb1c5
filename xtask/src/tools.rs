//! The tools of other projects that the checks run: pinned, built from the package registry, kept below `target/`.

use std::path::PathBuf;

use crate::Result;
use crate::command::{cargo, command, root, run};

/// A program of the package registry, in one release of it.
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
/// Finds dependencies that no source names.
pub(crate) const MACHETE: Tool = tool("cargo-machete", "cargo-machete", "0.9.2");
/// Lists the changes of a source file that a test should find.
pub(crate) const MUTANTS: Tool = tool("cargo-mutants", "cargo-mutants", "25.3.1");
/// Finds spelling mistakes in prose and in names.
pub(crate) const TYPOS: Tool = tool("typos-cli", "typos", "1.42.3");

impl Tool {
    /// Where the program is. It is built first unless this release of it is there.
    ///
    /// # Errors
    /// When it cannot be built.
    pub(crate) fn installed(self) -> Result<PathBuf> {
        let tools = root().join("target/tools");
        let mut install = command(&cargo(), &["install", self.package, "--locked", "--quiet"]);
        install.args(["--version", self.version, "--root"]);
        // The tools run for seconds, so building them quickly counts for more than their speed.
        // One folder for all: what several are built from is built once.
        install
            .arg(&tools)
            .env("CARGO_TARGET_DIR", tools.join("build"))
            .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "0")
            .env("CARGO_PROFILE_RELEASE_LTO", "off")
            .env("CARGO_PROFILE_RELEASE_DEBUG", "0")
            .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16");
        run(&mut install)?;
        Ok(tools.join("bin").join(self.program))
    }
}
