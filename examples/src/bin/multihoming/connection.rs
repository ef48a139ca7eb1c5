//! The options for the address of a database and for connecting to it, and the environment variables
//! that replace them. Except `--server-name`, the options for TLS and for the leader have the names that
//! `ovn-nbctl` uses.

use std::fmt;
use std::path::PathBuf;

use clap::Args;
use multihoming::connection::Connection;
use ovsdb::server::{Server, ServerError};
use ovsdb::{ErrorChain, Remote, RemoteError, TlsConfig, TlsError, TlsPart, parse_remotes};

use crate::environment::{NBCTL_OPTIONS, NbctlOptions};

/// The heading in the help.
const HEADING: &str = "Connection options";

/// The address of the northbound database.
#[derive(Debug, Args)]
pub(crate) struct NorthboundDatabase {
    /// The northbound database's servers: `unix:PATH`, `tcp:HOST:PORT` or `ssl:HOST:PORT`,
    /// separated by commas; or `memory:`, or `file:PATH`
    ///
    /// `memory:` is an empty database within this program, lost when the program ends. `file:PATH` is a
    /// database file, which this program serves to itself; it is created if it does not exist.
    ///
    /// The default is that of ovn-nbctl: --db in the environment variable OVN_NBCTL_OPTIONS,
    /// otherwise the variable OVN_NB_DB, otherwise unix:$OVN_RUNDIR/ovnnb_db.sock. OVN_RUNDIR is
    /// /var/run/ovn unless it is set. OVN_NBCTL_OPTIONS is also read for the key, the certificates,
    /// --leader-only and --no-leader-only; the command line overrides it.
    #[arg(long = "nb", value_name = "REMOTES", help_heading = HEADING)]
    northbound: Option<String>,
    #[command(flatten)]
    access: Access,
}

/// The address of the southbound database, which says which chassis are late.
#[derive(Debug, Args)]
pub(crate) struct SouthboundDatabase {
    /// The southbound database's servers. When the time for --wait hypervisors is over, the program
    /// reads from them which chassis are late
    ///
    /// The default is the variable OVN_SB_DB, otherwise
    /// unix:$OVN_RUNDIR/ovnsb_db.sock. The key and the certificates are those for --nb.
    #[arg(long = "sb", value_name = "REMOTES", help_heading = HEADING)]
    southbound: Option<String>,
}

/// The address of a node's database.
#[derive(Debug, Args)]
pub(crate) struct SwitchDatabase {
    /// The node's ovsdb-server: `unix:PATH`, `tcp:HOST:PORT` or `ssl:HOST:PORT`
    ///
    /// The default is that of ovs-vsctl: unix:$OVS_RUNDIR/db.sock. OVS_RUNDIR is
    /// /var/run/openvswitch unless it is set.
    #[arg(long = "ovs", value_name = "REMOTES", help_heading = HEADING)]
    switch: Option<String>,
    #[command(flatten)]
    access: Access,
}

/// How servers are reached.
#[derive(Debug, Clone, Args)]
struct Access {
    /// A PEM file with the private key for `ssl:` remotes; needs --certificate
    #[arg(short = 'p', long, value_name = "FILE", help_heading = HEADING)]
    private_key: Option<PathBuf>,
    /// A PEM file with the certificate for the private key
    #[arg(short = 'c', long, value_name = "FILE", help_heading = HEADING)]
    certificate: Option<PathBuf>,
    /// A PEM file with the certificate of the authority that signed the servers' certificates;
    /// `ssl:` remotes need it
    #[arg(short = 'C', long, value_name = "FILE", help_heading = HEADING)]
    ca_cert: Option<PathBuf>,
    /// Require that the servers' certificates are for this name. Without it, every certificate that
    /// the authority signed is accepted, as by OVN's tools
    #[arg(long, value_name = "NAME", help_heading = HEADING)]
    server_name: Option<String>,
    /// Use only the leader of a clustered database (the default)
    #[arg(long, help_heading = HEADING, overrides_with = "no_leader_only")]
    leader_only: bool,
    /// Use any member of a clustered database: its data may be older than the leader's
    #[arg(long, help_heading = HEADING, overrides_with = "leader_only")]
    no_leader_only: bool,
}

/// An option, or a variable that replaces one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// An option of the command line.
    Option(&'static str),
    /// An option in [`NBCTL_OPTIONS`].
    Variable(&'static str),
    /// A variable that holds remotes, or the folder of a server's socket.
    Remotes(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Option(option) => f.write_str(option),
            Self::Variable(option) => write!(f, "{option} in {NBCTL_OPTIONS}"),
            Self::Remotes(variable) => f.write_str(variable),
        }
    }
}

/// A connection option that is wrong, or names a file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OptionError {
    /// A remote is malformed.
    #[error("{origin}: {error}")]
    Remote { origin: Origin, error: RemoteError },
    /// A database that this program serves to itself cannot be served.
    #[error("{origin}: {error}")]
    Server { origin: Origin, error: ServerError },
    /// An option in a variable lacks its value.
    #[error("{0}: the option needs a value")]
    NoValue(Origin),
    /// An option requires another one.
    #[error("{0} also needs {1}")]
    Needs(Origin, &'static str),
    /// An `ssl:` remote without an authority.
    #[error(
        "the remote {0} needs --ca-cert, a file with the certificate of the authority that \
         signed the server's certificate"
    )]
    NoAuthority(Remote),
    /// `none` instead of an authority: Open vSwitch's programs then trust every server.
    #[error("{0}: \"none\" would trust any server, which this program never does")]
    TrustAnyone(Origin),
    /// A file, or the name of the server, cannot be used.
    #[error("{origin}: {}", ErrorChain::new(.error))]
    Tls { origin: Origin, error: TlsError },
    /// Waiting for OVN with a database that OVN cannot reach.
    #[error("--wait needs a server that ovn-northd uses, but {0} names a database in this program")]
    NothingToWaitFor(Origin),
    /// The option contradicts the command.
    #[error(
        "--no-leader-only cannot be used with run: every server of a cluster has locks of its own, \
         so controllers exclude each other only when all of them ask the leader"
    )]
    LeaderNeeded,
}

/// A value, and the option or variable that gave it.
#[derive(Debug, Clone)]
struct Given<T> {
    value: T,
    origin: Origin,
}

impl<T> Given<T> {
    /// The value of the command line, or else that of the variable.
    fn find(option: &'static str, line: Option<T>, variable: Option<T>) -> Option<Self> {
        let line = line.map(|value| (value, Origin::Option(option)));
        let variable = variable.map(|value| (value, Origin::Variable(option)));
        let (value, origin) = line.or(variable)?;
        Some(Self { value, origin })
    }
}

impl NorthboundDatabase {
    /// The connection that the options and the environment describe.
    pub(crate) fn connection(&self) -> Result<Connection, OptionError> {
        let mut options = NbctlOptions::from_environment()?;
        let remotes = self.remotes(&mut options);
        if let Some(server) = embedded(&remotes) {
            return server.map(Connection::embedded);
        }
        self.access.connection(&remotes, &options)
    }

    fn remotes(&self, options: &mut NbctlOptions) -> Given<String> {
        let given = Given::find("--nb", self.northbound.clone(), None);
        given
            .or_else(|| Given::find("--db", None, options.db.take()))
            .or_else(|| from_variable("OVN_NB_DB"))
            .unwrap_or_else(|| in_run_directory("OVN_RUNDIR", "/var/run/ovn", "ovnnb_db.sock"))
    }

    /// The connection to the southbound database that belongs to this northbound one and is used by the
    /// same ovn-northd.
    pub(crate) fn southbound(
        &self,
        southbound: &SouthboundDatabase,
    ) -> Result<Connection, OptionError> {
        let mut options = NbctlOptions::from_environment()?;
        let remotes = self.remotes(&mut options);
        if is_embedded(&remotes.value) {
            return Err(OptionError::NothingToWaitFor(remotes.origin));
        }
        let remotes = Given::find("--sb", southbound.southbound.clone(), None)
            .or_else(|| from_variable("OVN_SB_DB"))
            .unwrap_or_else(|| in_run_directory("OVN_RUNDIR", "/var/run/ovn", "ovnsb_db.sock"));
        self.access.connection(&remotes, &options)
    }

    /// As [`connection`](Self::connection), but always to the leader.
    pub(crate) fn leader(&self) -> Result<Connection, OptionError> {
        if self.access.no_leader_only {
            return Err(OptionError::LeaderNeeded);
        }
        Ok(self.connection()?.leader_only(true))
    }
}

impl SwitchDatabase {
    /// The connection that the options and the environment describe.
    pub(crate) fn connection(&self) -> Result<Connection, OptionError> {
        let remotes = Given::find("--ovs", self.switch.clone(), None)
            .unwrap_or_else(|| in_run_directory("OVS_RUNDIR", "/var/run/openvswitch", "db.sock"));
        self.access.connection(&remotes, &NbctlOptions::default())
    }
}

impl Access {
    fn connection(
        &self,
        remotes: &Given<String>,
        options: &NbctlOptions,
    ) -> Result<Connection, OptionError> {
        let parsed = parse_remotes(&remotes.value).map_err(|error| OptionError::Remote {
            origin: remotes.origin,
            error,
        })?;
        let leader_only = match (self.leader_only, self.no_leader_only) {
            (true, _) => true,
            (_, true) => false,
            _ => options.leader_only.unwrap_or(true),
        };
        let connection = Connection::new(remotes.value.clone()).leader_only(leader_only);
        let encrypted = parsed
            .into_iter()
            .find(|remote| matches!(remote, Remote::Ssl { .. }));
        match encrypted {
            Some(remote) => Ok(connection.tls(self.tls(remote, options)?)),
            None => Ok(connection),
        }
    }

    fn tls(&self, remote: Remote, options: &NbctlOptions) -> Result<TlsConfig, OptionError> {
        let find = |option, line: &Option<PathBuf>, variable: &Option<PathBuf>| {
            Given::find(option, line.clone(), variable.clone())
        };
        let key = find("--private-key", &self.private_key, &options.private_key);
        let certificate = find("--certificate", &self.certificate, &options.certificate);
        let authority = find("--ca-cert", &self.ca_cert, &options.ca_cert);
        let authority = authority.ok_or(OptionError::NoAuthority(remote))?;
        if authority.value.as_os_str() == "none" {
            return Err(OptionError::TrustAnyone(authority.origin));
        }
        let mut builder = TlsConfig::builder()
            .ca_file(&authority.value)
            .verify_name(self.server_name.is_some());
        if let Some(name) = &self.server_name {
            builder = builder.server_name(name);
        }
        match (&key, &certificate) {
            (Some(key), Some(certificate)) => {
                builder = builder.client_files(&certificate.value, &key.value);
            }
            (Some(key), None) => return Err(OptionError::Needs(key.origin, "--certificate")),
            (None, Some(certificate)) => {
                return Err(OptionError::Needs(certificate.origin, "--private-key"));
            }
            (None, None) => {}
        }
        builder.build().map_err(|error| {
            let given = match part(&error) {
                Some(TlsPart::PrivateKey) => key.as_ref(),
                Some(TlsPart::Certificate) => certificate.as_ref(),
                Some(TlsPart::CaCertificates) => Some(&authority),
                None => None,
            };
            let origin = given.map_or(Origin::Option("--server-name"), |given| given.origin);
            OptionError::Tls { origin, error }
        })
    }
}

/// The part that an error concerns; `None` if it concerns the server's name.
fn part(error: &TlsError) -> Option<TlsPart> {
    match error {
        TlsError::Read { material, .. }
        | TlsError::Pem { material, .. }
        | TlsError::Unusable { material, .. } => Some(material.part),
        TlsError::KeyMismatch { .. } => Some(TlsPart::PrivateKey),
        TlsError::BadServerName(_) => None,
        _ => Some(TlsPart::CaCertificates),
    }
}

/// Whether these remotes name a database within this program.
fn is_embedded(remotes: &str) -> bool {
    matches!(remotes.split_once(':'), Some(("memory" | "file", _)))
}

/// The server of a database in memory or in a file, if these remotes name one.
fn embedded(remotes: &Given<String>) -> Option<Result<Server, OptionError>> {
    let schema = ovsdb::schema::bundled("OVN_Northbound").unwrap_or_default();
    let server = match remotes.value.split_once(':')? {
        ("memory", "") => Server::memory(schema),
        ("file", path) if !path.is_empty() => Server::builder().create(path, schema).start(),
        _ => return None,
    };
    let origin = remotes.origin;
    Some(server.map_err(|error| OptionError::Server { origin, error }))
}

fn from_variable(variable: &'static str) -> Option<Given<String>> {
    let value = std::env::var(variable).ok()?;
    Some(Given {
        value,
        origin: Origin::Remotes(variable),
    })
}

/// The socket of a server on this machine.
fn in_run_directory(variable: &'static str, directory: &str, socket: &str) -> Given<String> {
    let directory = std::env::var(variable).unwrap_or_else(|_| directory.to_owned());
    Given {
        value: format!("unix:{directory}/{socket}"),
        origin: Origin::Remotes(variable),
    }
}
