//! The measured servers, each a process that serves a file on a unix socket.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use ovsdb::server::{PassiveRemote, Server};
use ovsdb_benches::{Connection, Result, process};

/// How long a server may take to start and reply.
const START: Duration = Duration::from_secs(120);

/// A server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Kind {
    /// This library's
    Ovsdb,
    /// Open vSwitch's
    OvsdbServer,
}

impl Kind {
    /// The name, as on the command line.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Ovsdb => "ovsdb",
            Self::OvsdbServer => "ovsdb-server",
        }
    }
}

/// Serves the file on the socket until the process is killed. One thread serves, as in ovsdb-server; the
/// file is synced and compacted on other threads.
pub(crate) fn serve(file: &Path, socket: &Path) -> Result {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(async {
            let server = Server::builder()
                .file(file)
                .probe_interval(Duration::ZERO)
                .start()?;
            let path = socket.to_owned();
            server.listen(&PassiveRemote::Unix { path }).await?;
            std::future::pending().await
        })
}

/// A running server.
#[derive(Debug)]
pub(crate) struct Running {
    process: Child,
    socket: PathBuf,
    /// The time from the start of the process until the server replied.
    pub(crate) start_wall_s: f64,
    pub(crate) start_cpu_s: f64,
}

impl Running {
    /// Starts a server of the file, and waits until it replies on the socket.
    pub(crate) fn start(kind: Kind, file: &Path, socket: &Path) -> Result<Self> {
        let mut command = match kind {
            Kind::Ovsdb => {
                let mut command = Command::new(std::env::current_exe()?);
                command.arg("--serve").arg(file).arg("--socket").arg(socket);
                command
            }
            Kind::OvsdbServer => {
                let mut command = Command::new("ovsdb-server");
                command
                    .arg(file)
                    .arg(format!("--remote=punix:{}", socket.display()))
                    .args(["--unixctl=none", "--no-self-confinement", "-vconsole:off"]);
                command
            }
        };
        let start = Instant::now();
        let process = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .map_err(|error| format!("{} cannot be started: {error}", kind.name()))?;
        let mut running = Self {
            process,
            socket: socket.to_owned(),
            start_wall_s: 0.0,
            start_cpu_s: 0.0,
        };
        while !running.replies() {
            if start.elapsed() > START || running.process.try_wait()?.is_some() {
                return Err(format!("{} does not serve {}", kind.name(), file.display()).into());
            }
            sleep(Duration::from_millis(1));
        }
        running.start_wall_s = start.elapsed().as_secs_f64();
        running.start_cpu_s = running.cpu_us()? / 1e6;
        Ok(running)
    }

    fn replies(&self) -> bool {
        let connection = Connection::new(&self.socket);
        connection.is_ok_and(|mut connection| {
            let reply = connection.call("list_dbs", "[]");
            reply.is_ok_and(|reply| reply.contains("OVN_Northbound"))
        })
    }

    /// A connection to the server.
    pub(crate) fn connect(&self) -> Result<Connection> {
        Connection::new(&self.socket)
    }

    /// The remote of the server.
    pub(crate) fn remote(&self) -> String {
        format!("unix:{}", self.socket.display())
    }

    /// The processor time that the server has used, in microseconds.
    pub(crate) fn cpu_us(&self) -> Result<f64> {
        Ok(process::cpu_us(self.process.id())? as f64)
    }

    /// The resident memory of the server now, in bytes.
    pub(crate) fn memory(&self) -> Result<f64> {
        Ok(process::memory(self.process.id(), "VmRSS")? as f64)
    }

    /// The peak memory of the server, in bytes.
    pub(crate) fn peak_memory(&self) -> Result<f64> {
        Ok(process::memory(self.process.id(), "VmHWM")? as f64)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        // A killed server does not remove its socket.
        let _ = std::fs::remove_file(&self.socket);
    }
}
