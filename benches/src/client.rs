//! The compared clients, each a program.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::Result;

/// A client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, clap::ValueEnum)]
pub enum Kind {
    /// This library
    Ovsdb,
    /// The C library of Open vSwitch, from Debian's openvswitch-source
    CIdl,
    /// Python's ovs.db.idl, from Debian's python3-openvswitch
    PythonIdl,
}

impl Kind {
    /// The name, as on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ovsdb => "ovsdb",
            Self::CIdl => "c-idl",
            Self::PythonIdl => "python-idl",
        }
    }

    /// The command that starts the client: this program with `--follow`, or one of these two programs,
    /// whose sources are in the folder `peers`. For [`CIdl`](Self::CIdl), builds the C programs, and before
    /// them their library unless it was built earlier.
    ///
    /// # Errors
    /// When the C programs cannot be built, or the path of this program cannot be determined.
    pub fn command(self, c_program: &str, python_program: &str) -> Result<Command> {
        let package = Path::new(env!("CARGO_MANIFEST_DIR"));
        let schema = package.join("../schemas/files/ovn-nb.ovsschema");
        let peers = package.join("peers");
        Ok(match self {
            Self::Ovsdb => {
                let mut command = Command::new(std::env::current_exe()?);
                command.arg("--follow");
                command
            }
            Self::CIdl => {
                let folder = package.join("../target/c-idl");
                let built = Command::new(peers.join("build-c-idl"))
                    .args([&schema, &folder])
                    .stdin(Stdio::null())
                    .stdout(Stdio::null())
                    .status()?;
                if !built.success() {
                    return Err("the C client cannot be built".into());
                }
                Command::new(folder.join(c_program))
            }
            Self::PythonIdl => {
                let mut command = Command::new("/usr/bin/python3");
                command.args([&peers.join(python_program), &schema]);
                command
            }
        })
    }
}
