//! The programs that the tests and the demo run, and the Debian packages that contain them.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::Result;
use crate::command;

/// A program, or a file, and its Debian package.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Need {
    /// The program's name, or a path that begins with `/`.
    pub(crate) program: &'static str,
    /// The package.
    pub(crate) package: &'static str,
}

const fn need(program: &'static str, package: &'static str) -> Need {
    Need { program, package }
}

/// Programs for a private database.
pub(crate) const DATABASE: &[Need] = &[
    need("ovsdb-server", "openvswitch-switch"),
    need("ovsdb-tool", "openvswitch-common"),
    need("ovn-nbctl", "ovn-common"),
];

/// Further programs for the tests: the daemons, and tools that inspect their network.
pub(crate) const DAEMONS: &[Need] = &[
    need("ovs-vswitchd", "openvswitch-switch"),
    need("ovn-northd", "ovn-central"),
    need("ovn-controller", "ovn-host"),
    need("ip", "iproute2"),
    need("ping", "iputils-ping"),
    need("tcpdump", "tcpdump"),
    need("openssl", "openssl"),
    // The Python client of Open vSwitch, for Debian's own Python.
    need(
        "/usr/lib/python3/dist-packages/ovs/db/idl.py",
        "python3-openvswitch",
    ),
    // libFuzzer is written in C++.
    need("c++", "g++"),
];

/// Further programs for networks of namespaces.
pub(crate) const NETWORK: &[Need] = &[
    need("ethtool", "ethtool"),
    need("ncat", "ncat"),
    need("setpriv", "util-linux"),
    need("unshare", "util-linux"),
];

/// Ensures that the programs exist, and installs their packages if it may.
///
/// # Errors
/// When a program is missing and cannot be installed. The error names the packages.
pub(crate) fn ensure(needs: &[Need]) -> Result {
    let mut missing: Vec<&str> = needs
        .iter()
        .filter(|need| !is_installed(need.program))
        .map(|need| need.package)
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
    match needs.iter().find(|need| !is_installed(need.program)) {
        Some(need) => {
            Err(format!("{} is installed, but lacks {}", need.package, need.program).into())
        }
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
