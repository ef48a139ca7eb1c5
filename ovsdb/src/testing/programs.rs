//! The programs that a server needs.

use std::path::{Path, PathBuf};

/// A program that is not installed.
///
/// ```
/// let error = ovsdb::testing::program("ovn-no-such-program").expect_err("no such program");
/// assert_eq!(error.program, "ovn-no-such-program");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the program {program} is not installed; Debian has it in {package}")]
#[non_exhaustive]
pub struct MissingProgram {
    /// The program.
    pub program: String,
    /// The Debian package that has it.
    pub package: &'static str,
}

/// Where a program of Open vSwitch or OVN is: in the `PATH`, or where Debian puts servers.
///
/// # Errors
/// When it is not installed.
///
/// ```
/// let path = ovsdb::testing::program("ovsdb-server")?;
/// assert!(path.is_absolute());
/// # Ok::<(), ovsdb::testing::MissingProgram>(())
/// ```
pub fn program(name: &str) -> Result<PathBuf, MissingProgram> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path)
        .chain(["/usr/sbin", "/usr/bin"].map(|folder| Path::new(folder).to_owned()));
    let found = folders
        .map(|folder| folder.join(name))
        .find(|file| file.is_file());
    found.ok_or_else(|| MissingProgram {
        program: name.to_owned(),
        package: package(name),
    })
}

fn package(name: &str) -> &'static str {
    match name {
        "ovsdb-server" | "ovs-vswitchd" => "openvswitch-switch",
        name if name.starts_with("ovn-nb") || name.starts_with("ovn-sb") => "ovn-common",
        "ovn-northd" => "ovn-central",
        "ovn-controller" => "ovn-host",
        _ => "openvswitch-common",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_program_is_named_with_its_package() {
        assert!(program("sh").is_ok());
        let error = program("ovn-nbctl-of-nobody").expect_err("no such program");
        assert_eq!(error.package, "ovn-common");
    }
}
