//! `ovsdb-serve`: the library's OVSDB server as a program.
//!
//! It serves database files of ovsdb-server's format, or databases in memory, to every client of
//! ovsdb-server: `ovn-nbctl`, `ovs-vsctl`, `ovsdb-client`, ovn-northd, ovn-controller, ovs-vswitchd.

mod source;

use std::io::{self, IsTerminal as _, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use ovsdb::ErrorChain;
use ovsdb::server::{PassiveRemote, Server, TlsServerConfig};
use source::Source;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Serves OVSDB databases.
///
/// It does not support clusters (raft), role-based access control, replication, a control socket
/// for ovs-appctl, remotes that a database lists (`db:`), and remotes that the server connects to.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// A database: a file, or FILE=SCHEMA, which creates the file if it does not exist; with
    /// --no-file a SCHEMA. A SCHEMA is a file, or the name of a schema that comes with the program:
    /// OVN_Northbound, OVN_Southbound, Open_vSwitch
    #[arg(value_name = "DATABASE", required = true)]
    databases: Vec<String>,
    /// Serve empty databases with these schemas in memory
    #[arg(long)]
    no_file: bool,
    /// Where to listen: `punix:PATH`, `ptcp:[PORT][:ADDRESS]` or `pssl:[PORT][:ADDRESS]`; may be given
    /// several times. Port 0 means any free port
    #[arg(long = "remote", value_name = "REMOTE", required = true)]
    remotes: Vec<PassiveRemote>,
    /// A PEM file with the private key, for `pssl:`
    #[arg(short = 'p', long, value_name = "FILE", requires = "certificate")]
    private_key: Option<PathBuf>,
    /// A PEM file with the certificate of the private key
    #[arg(short = 'c', long, value_name = "FILE", requires = "private_key")]
    certificate: Option<PathBuf>,
    /// A PEM file with the certificates of the authorities that sign the clients' certificates; with
    /// `none`, every client is served
    #[arg(short = 'C', long, value_name = "FILE", requires = "certificate")]
    ca_cert: Option<PathBuf>,
}

type Failure = Box<dyn std::error::Error>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .init();
    match run(&Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let error = ErrorChain::new(error.as_ref());
            let _ = writeln!(anstream::stderr(), "ovsdb-serve: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: &Arguments) -> Result<(), Failure> {
    // From now on, a signal ends the program in an orderly way.
    let (mut interrupt, mut terminate) = (
        signal(SignalKind::interrupt())?,
        signal(SignalKind::terminate())?,
    );
    let server = start(arguments)?;
    for database in server.databases() {
        tell(&format!("serving {database}"))?;
    }
    for remote in &arguments.remotes {
        let listening = server.listen(remote).await;
        let remote = listening.map_err(|error| format!("cannot listen on {remote}: {error}"))?;
        tell(&format!("listening on {remote}"))?;
    }
    ended(&mut interrupt, &mut terminate).await;
    server.close().await?;
    Ok(())
}

async fn ended(interrupt: &mut Signal, terminate: &mut Signal) {
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}

fn start(arguments: &Arguments) -> Result<Server, Failure> {
    let mut server = Server::builder();
    for database in &arguments.databases {
        server = match Source::new(database, arguments.no_file)? {
            Source::Memory { schema } => server.memory(schema),
            Source::File { path } => server.file(path),
            Source::Create { path, schema } => server.create(path, schema),
        };
    }
    if let Some(tls) = tls(arguments)? {
        server = server.tls(tls);
    }
    Ok(server.start()?)
}

fn tls(arguments: &Arguments) -> Result<Option<TlsServerConfig>, Failure> {
    let is_tls = |remote: &PassiveRemote| matches!(remote, PassiveRemote::Ssl { .. });
    let (Some(certificate), Some(key)) = (&arguments.certificate, &arguments.private_key) else {
        return match arguments.remotes.iter().find(|remote| is_tls(remote)) {
            Some(remote) => {
                Err(format!("{remote} needs --private-key, --certificate and --ca-cert").into())
            }
            None => Ok(None),
        };
    };
    let tls = TlsServerConfig::builder().certificate_files(certificate, key);
    let tls = match &arguments.ca_cert {
        Some(none) if none.as_os_str() == "none" => tls.verify_clients(false),
        Some(file) => tls.ca_file(file),
        None => return Err("--ca-cert is missing; `--ca-cert none` serves every client".into()),
    };
    Ok(Some(tls.build()?))
}

/// Prints a line and flushes it, since other programs wait for it.
fn tell(line: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}
