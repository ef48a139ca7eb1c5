//! A machine's databases, on ovsdb-server or on the library's own server.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::ValueEnum;
use ovsdb::testing::{Server, program, schema_file};

use super::process::Process;
use super::wait::eventually;
use crate::Result;
use crate::command::output;

/// What serves the databases.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Kind {
    /// ovsdb-server.
    #[default]
    Ovsdb,
    /// `ovsdb-serve`, the library's server as a program.
    Embedded,
}

/// The databases of a machine, in their own folder.
#[derive(Debug)]
pub(super) enum Databases {
    Ovsdb(Server),
    Embedded {
        _process: Process,
        remote: String,
        folder: Folder,
    },
}

/// The file with the schema of a database, from the daemons' release.
pub(super) fn schema(database: &str) -> Result<PathBuf> {
    schema_file(database).ok_or_else(|| format!("no file has the schema of {database}").into())
}

/// A folder that is removed when it is dropped.
#[derive(Debug)]
pub(super) struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Result<Self> {
        let path = std::env::temp_dir().join(format!("{name}-databases"));
        fs::create_dir(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // The sandbox removes what is left.
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl Databases {
    /// Serves empty databases with the schemas in these files, for this machine.
    pub(super) fn start(kind: Kind, machine: &str, schemas: &[PathBuf]) -> Result<Self> {
        match kind {
            Kind::Ovsdb => {
                let mut server = Server::builder();
                for schema in schemas {
                    server = server.schema(fs::read_to_string(schema)?);
                }
                Ok(Self::Ovsdb(server.start()?))
            }
            Kind::Embedded => Self::embedded(machine, schemas),
        }
    }

    fn embedded(machine: &str, schemas: &[PathBuf]) -> Result<Self> {
        let folder = Folder::new(machine)?;
        let remote = format!("unix:{}", folder.0.join("db.sock").display());
        // The program in the same folder as this one, built by the same cargo.
        let mut command = Command::new(std::env::current_exe()?.with_file_name("ovsdb-serve"));
        command.arg(format!("--remote=p{remote}"));
        for (number, schema) in schemas.iter().enumerate() {
            let file = folder.0.join(format!("{number}.db"));
            command.arg(format!("{}={}", file.display(), schema.display()));
        }
        let process = Process::start(&mut command, &folder.0, "ovsdb-serve")?;
        let listens = || Ok(process.printed().contains("listening on").then_some(()));
        eventually(&format!("ovsdb-serve of {machine}"), listens)?;
        Ok(Self::Embedded {
            _process: process,
            remote,
            folder,
        })
    }

    /// The remote of the databases.
    pub(super) fn remote(&self) -> String {
        match self {
            Self::Ovsdb(server) => server.remote(),
            Self::Embedded { remote, .. } => remote.clone(),
        }
    }

    /// The folder with the databases' files and the files of the machine's daemons.
    pub(super) fn folder(&self) -> &Path {
        match self {
            Self::Ovsdb(server) => server.folder(),
            Self::Embedded { folder, .. } => &folder.0,
        }
    }

    /// What `ovsdb-client --format=json --data=json dump` prints of a table.
    pub(super) fn dump(&self, database: &str, table: &str) -> Result<String> {
        match self {
            Self::Ovsdb(server) => Ok(server.dump(database, Some(table))?),
            Self::Embedded { remote, .. } => {
                let mut client = Command::new(program("ovsdb-client")?);
                client.args(["--timeout=60", "--format=json", "--data=json", "dump"]);
                output(client.args([remote, database, table]))
            }
        }
    }
}
