//! The programs that the tasks run, and the Debian packages that contain them.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::Result;
use crate::command;

/// A program, or a file, and its Debian package.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RequiredProgram {
    /// The program's name, or a path that begins with `/`.
    pub(crate) program: &'static str,
    /// The package.
    pub(crate) package: &'static str,
}

const fn required(program: &'static str, package: &'static str) -> RequiredProgram {
    RequiredProgram { program, package }
}

/// Programs for a private database.
pub(crate) const DATABASE: &[RequiredProgram] = &[
    required("ovsdb-server", "openvswitch-switch"),
    required("ovsdb-tool", "openvswitch-common"),
    required("ovn-nbctl", "ovn-common"),
];

/// Further programs for the tests: the daemons, tools, the Python client of Open vSwitch, and a C++
/// compiler.
pub(crate) const DAEMONS: &[RequiredProgram] = &[
    required("ovs-vswitchd", "openvswitch-switch"),
    required("ovn-northd", "ovn-central"),
    required("ovn-controller", "ovn-host"),
    required("ip", "iproute2"),
    required("ping", "iputils-ping"),
    required("tcpdump", "tcpdump"),
    required("openssl", "openssl"),
    // The Python client of Open vSwitch, for Debian's own Python.
    required(
        "/usr/lib/python3/dist-packages/ovs/db/idl.py",
        "python3-openvswitch",
    ),
    // libFuzzer is written in C++.
    required("c++", "g++"),
];

/// Further programs for networks of namespaces.
pub(crate) const NETWORK: &[RequiredProgram] = &[
    required("ethtool", "ethtool"),
    required("ncat", "ncat"),
    required("setpriv", "util-linux"),
    required("unshare", "util-linux"),
];

/// Ensures that the programs exist, and installs their packages if it may.
///
/// # Errors
/// When a program is missing and cannot be installed.
pub(crate) fn ensure(programs: &[RequiredProgram]) -> Result {
    let mut missing: Vec<&str> = programs
        .iter()
        .filter(|required| !is_installed(required.program))
        .map(|required| required.package)
        .collect();
    missing.sort_unstable();
    missing.dedup();
    if missing.is_empty() {
        return Ok(());
    }
    let packages = missing.join(" ");
    if !is_installed("apt-get") {
        return Err(format!("programs are missing; install the Debian packages {packages}").into());
    }
    if !is_root() {
        let advice =
            format!("apt-get update && apt-get install --no-install-recommends {packages}");
        return Err(format!("packages are missing: {packages}\nrun as root: {advice}").into());
    }
    command::run(&mut apt(&["update"]))?;
    let arguments = ["install", "--yes", "--no-install-recommends"];
    command::run(apt(&arguments).args(&missing))?;
    match programs
        .iter()
        .find(|required| !is_installed(required.program))
    {
        Some(required) => Err(format!(
            "{} is installed, but lacks {}",
            required.package, required.program
        )
        .into()),
        None => Ok(()),
    }
}

fn apt(arguments: &[&str]) -> Command {
    let mut command = command::command("apt-get", arguments);
    command.env("DEBIAN_FRONTEND", "noninteractive");
    command
}

/// Whether a program is in the `PATH` or where Debian puts servers; of a path, whether the file exists.
fn is_installed(program: &str) -> bool {
    if program.starts_with('/') {
        return Path::new(program).exists();
    }
    ovsdb::testing::program(program).is_ok()
}

/// Whether this program runs as root.
pub(crate) fn is_root() -> bool {
    Command::new("id")
        .arg("-u")
        .stdin(Stdio::null())
        .output()
        .is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}
