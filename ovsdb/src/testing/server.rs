//! One server: an ovsdb-server process, or the server of this library.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use ovsdb_schema::DatabaseSchema;
use tempfile::TempDir;

use super::embedded::{Embedded, EmbeddedMember, Options, Plan};
use super::kind::{ServerError, ServerKind, SslFiles};
use super::programs::program;
use super::watchdog::Watchdog;

/// How long a server may take to start: machines that compile at the same time are slow.
const START: Duration = Duration::from_secs(30);
/// How long to wait for the reply to an `echo` before it is sent again.
const ANSWER: Duration = Duration::from_secs(2);
const ECHO: &[u8] = br#"{"method":"echo","params":[],"id":0}"#;

/// Configures what a server serves; [`Server::builder`] makes one.
///
/// ```
/// use ovsdb::testing::Server;
///
/// let schema = ovsdb::schema::bundled("OVN_Northbound").expect("a bundled schema");
/// let server = Server::builder().schema(schema).tcp(true).start()?;
/// assert!(server.tcp_remote().expect("a TCP port").starts_with("tcp:127.0.0.1:"));
/// # Ok::<(), ovsdb::testing::ServerError>(())
/// ```
#[derive(Debug, Default)]
#[must_use = "a server is not started until `start` is called"]
pub struct ServerBuilder {
    kind: Option<ServerKind>,
    databases: Vec<Source>,
    tcp: bool,
    ssl: Option<SslFiles>,
    arguments: Vec<String>,
}

/// How a database is created.
#[derive(Debug)]
pub(super) enum Source {
    /// The text of its schema.
    Standalone(String),
    /// The first member of a cluster: the text of its schema, and its address.
    Founder { schema: String, address: String },
    /// A further member: the name of the database, its own address, and the first member's address.
    Joiner {
        name: String,
        address: String,
        founder: String,
    },
    /// A relay: the name of the database, and the source's remotes.
    Relay { name: String, remotes: String },
}

impl Source {
    /// Creates the database in `folder`. Returns the argument by which the server serves it.
    fn create(&self, folder: &Path) -> Result<PathBuf, ServerError> {
        let with_schema = |text: &str, command: &str, address: Option<&String>| {
            let name = DatabaseSchema::parse(text)?.name;
            let schema = folder.join(format!("{name}.ovsschema"));
            let database = folder.join(format!("{name}.db"));
            fs::write(&schema, text)?;
            let arguments = [Path::new(command), &database, &schema];
            let address = address.map(Path::new);
            run("ovsdb-tool", arguments.into_iter().chain(address))?;
            Ok(database)
        };
        match self {
            Self::Standalone(text) => with_schema(text, "create", None),
            Self::Founder { schema, address } => {
                with_schema(schema, "create-cluster", Some(address))
            }
            Self::Joiner {
                name,
                address,
                founder,
            } => {
                let database = folder.join(format!("{name}.db"));
                let file = database.display().to_string();
                run(
                    "ovsdb-tool",
                    ["join-cluster", &file, name, address, founder],
                )?;
                Ok(database)
            }
            Self::Relay { name, remotes } => Ok(format!("relay:{name}:{remotes}").into()),
        }
    }
}

impl ServerBuilder {
    /// Selects the kind of server. By default the environment does: [`ServerKind::from_environment`].
    pub const fn kind(mut self, kind: ServerKind) -> Self {
        self.kind = Some(kind);
        self
    }

    /// Adds an empty database with this schema, given as the text of a schema file.
    pub fn schema(self, text: impl Into<String>) -> Self {
        self.database(Source::Standalone(text.into()))
    }

    /// Relays a database of the servers at `remotes`, separated by commas (ovsdb(7), "Relay
    /// Service Model").
    pub fn relay(self, database: &str, remotes: &str) -> Self {
        self.database(Source::Relay {
            name: database.to_owned(),
            remotes: remotes.to_owned(),
        })
    }

    pub(super) fn database(mut self, source: Source) -> Self {
        self.databases.push(source);
        self
    }

    /// Also listens on a TCP port of the loopback interface.
    pub const fn tcp(mut self, tcp: bool) -> Self {
        self.tcp = tcp;
        self
    }

    /// Also listens for TLS on a port of the loopback interface.
    pub fn ssl(mut self, files: SslFiles) -> Self {
        self.ssl = Some(files);
        self
    }

    /// Adds an argument to the server's command line.
    pub fn argument(mut self, argument: impl Into<String>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// What an embedded server serves. It creates its files itself.
    fn embedded(&self, folder: &Path) -> Result<Databases, ServerError> {
        let options = Options::parse(&self.arguments)?;
        if let [Source::Relay { name, remotes }] = &self.databases[..] {
            if self.ssl.is_some() || options.has_tls() {
                return Err(ServerError::NotEmbedded("relays with TLS"));
            }
            return Ok(Databases::EmbeddedRelay(name.clone(), remotes.clone()));
        }
        let databases = self.databases.iter().map(|source| match source {
            Source::Standalone(text) => {
                let name = DatabaseSchema::parse(text)?.name;
                Ok((folder.join(format!("{name}.db")), text.clone()))
            }
            Source::Founder { .. } | Source::Joiner { .. } => {
                Err(ServerError::NotEmbedded("clusters on several machines"))
            }
            Source::Relay { .. } => Err(ServerError::NotEmbedded("relays beside other databases")),
        });
        databases.collect::<Result<_, _>>().map(Databases::Embedded)
    }

    /// Creates the databases, starts the server, and waits until it answers.
    ///
    /// # Errors
    /// When a program is missing or fails, a schema is malformed, a file cannot be created, or no port is
    /// free; when the server ends, or does not answer in time; when the embedded server cannot be started,
    /// or does not support what was requested; when `OVSDB_TEST_SERVER` has an unknown value.
    pub fn start(self) -> Result<Server, ServerError> {
        let kind = self.kind.map_or_else(ServerKind::from_environment, Ok)?;
        let folder = tempfile::Builder::new().prefix("ovsdb-test-").tempdir()?;
        let watchdog = Watchdog::start(folder.path())?;
        let databases = match kind {
            ServerKind::Reference => {
                let databases = self.databases.iter();
                let databases = databases.map(|source| source.create(folder.path()));
                Databases::Reference(databases.collect::<Result<_, _>>()?)
            }
            ServerKind::Embedded => self.embedded(folder.path())?,
        };
        let tcp_port = if self.tcp { Some(free_port()?) } else { None };
        let mut arguments = self.arguments;
        arguments.extend(tcp_port.map(|port| format!("--remote=ptcp:{port}:127.0.0.1")));
        let mut ssl_port = None;
        if let Some(files) = &self.ssl {
            let port = free_port()?;
            ssl_port = Some(port);
            arguments.extend([
                format!("--remote=pssl:{port}:127.0.0.1"),
                format!("--private-key={}", files.private_key.display()),
                format!("--certificate={}", files.certificate.display()),
                format!("--ca-cert={}", files.ca_certificate.display()),
            ]);
        }
        let mut server = Server {
            _watchdog: watchdog,
            folder,
            databases,
            arguments,
            tcp_port,
            ssl_port,
            running: None,
        };
        server.start()?;
        Ok(server)
    }
}

/// A port that is free now; ovsdb-server cannot report a port that it chose itself. It is below the
/// range from which the kernel takes ports for connections, so that none of them takes it while the
/// server is down.
pub(super) fn free_port() -> io::Result<u16> {
    let mut last = io::ErrorKind::AddrNotAvailable.into();
    for _ in 0..100 {
        match TcpListener::bind((Ipv4Addr::LOCALHOST, fastrand::u16(10_000..32_000))) {
            Ok(listener) => return listener.local_addr().map(|address| address.port()),
            Err(error) => last = error,
        }
    }
    Err(last)
}

pub(super) fn run<A: AsRef<std::ffi::OsStr>>(
    name: &str,
    arguments: impl IntoIterator<Item = A>,
) -> Result<Output, ServerError> {
    let output = Command::new(program(name)?)
        .args(arguments)
        .stdin(Stdio::null())
        .output()?;
    if output.status.success() {
        return Ok(output);
    }
    let message = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(ServerError::Failed {
        program: name.to_owned(),
        message,
    })
}

/// What a server serves.
#[derive(Debug)]
enum Databases {
    /// The arguments of ovsdb-server.
    Reference(Vec<PathBuf>),
    /// The files, and their schemas.
    Embedded(Vec<(PathBuf, String)>),
    /// The name of the database, and the source's remotes.
    EmbeddedRelay(String, String),
    /// The databases of a cluster.
    Member(EmbeddedMember),
}

/// The running server itself.
#[derive(Debug)]
enum Running {
    Process(Child),
    Embedded(Embedded),
    Member,
}

/// A running server, which ends when it is dropped or when this process ends, however that ends:
/// killed, aborted, by `exit`, or with the value leaked. Its folder is then removed. It is an
/// ovsdb-server unless [another kind](ServerKind) was selected.
///
/// ```
/// use ovsdb::testing::Server;
///
/// let schema = ovsdb::schema::bundled("OVN_Northbound").expect("a bundled schema");
/// let server = Server::builder().schema(schema).start()?;
/// assert!(server.remote().starts_with("unix:"));
/// # Ok::<(), ovsdb::testing::ServerError>(())
/// ```
#[derive(Debug)]
#[must_use = "the server ends when this is dropped"]
pub struct Server {
    folder: TempDir,
    databases: Databases,
    arguments: Vec<String>,
    tcp_port: Option<u16>,
    ssl_port: Option<u16>,
    running: Option<Running>,
    /// Dropped last, since there is something to clean up until the folder is removed.
    _watchdog: Watchdog,
}

impl Server {
    /// A builder of a server.
    pub fn builder() -> ServerBuilder {
        ServerBuilder::default()
    }

    /// A server with an empty folder, for the socket of a member of an embedded cluster.
    pub(super) fn of_member() -> Result<Self, ServerError> {
        let folder = tempfile::Builder::new().prefix("ovsdb-test-").tempdir()?;
        Ok(Self {
            _watchdog: Watchdog::start(folder.path())?,
            folder,
            databases: Databases::Embedded(Vec::new()),
            arguments: Vec::new(),
            tcp_port: None,
            ssl_port: None,
            running: None,
        })
    }

    /// Makes this server the member of a cluster that listens on its socket.
    pub(super) fn join(&mut self, member: EmbeddedMember) {
        self.databases = Databases::Member(member);
        self.running = Some(Running::Member);
    }

    /// The kind of the server.
    #[must_use]
    pub const fn kind(&self) -> ServerKind {
        match self.databases {
            Databases::Reference(_) => ServerKind::Reference,
            Databases::Embedded(_) | Databases::EmbeddedRelay(..) | Databases::Member(_) => {
                ServerKind::Embedded
            }
        }
    }

    /// The server's folder: its socket, databases and log.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The socket's path.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.folder().join("db.sock")
    }

    /// The remote of its unix socket.
    #[must_use]
    pub fn remote(&self) -> String {
        format!("unix:{}", self.socket().display())
    }

    /// The remote of the TCP port, if [`ServerBuilder::tcp`] requested one.
    #[must_use]
    pub fn tcp_remote(&self) -> Option<String> {
        self.tcp_port.map(|port| format!("tcp:127.0.0.1:{port}"))
    }

    /// The remote of the TLS port, if [`ServerBuilder::ssl`] was called.
    #[must_use]
    pub fn ssl_remote(&self) -> Option<String> {
        self.ssl_port.map(|port| format!("ssl:127.0.0.1:{port}"))
    }

    /// The server's process id, until it is [killed](Self::kill). The embedded server has none of its own.
    #[must_use]
    pub fn process_id(&self) -> Option<u32> {
        match &self.running {
            Some(Running::Process(process)) => Some(process.id()),
            Some(Running::Embedded(_) | Running::Member) | None => None,
        }
    }

    /// The server's log; empty for the embedded server.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder().join("server.log")).unwrap_or_default()
    }

    /// Starts the server again after [`kill`](Self::kill), with its data.
    ///
    /// # Errors
    /// When it cannot be started, ends, or does not answer in time.
    pub fn start(&mut self) -> Result<(), ServerError> {
        self.kill()?;
        if let Databases::Member(member) = &self.databases {
            // The socket of a killed member stays; connections to it are closed at once.
            member.set_killed(false);
            self.running = Some(Running::Member);
            return Ok(());
        }
        let _ = fs::remove_file(self.socket());
        let (databases, relay) = match &self.databases {
            Databases::Reference(databases) => return self.start_process(databases.clone()),
            Databases::Embedded(databases) => (databases.clone(), None),
            Databases::EmbeddedRelay(name, remotes) => {
                (Vec::new(), Some((name.clone(), remotes.clone())))
            }
            Databases::Member(_) => return Ok(()),
        };
        let embedded = Embedded::start(Plan {
            databases,
            relay,
            socket: self.socket(),
            arguments: self.arguments.clone(),
        })?;
        self.running = Some(Running::Embedded(embedded));
        Ok(())
    }

    fn start_process(&mut self, databases: Vec<PathBuf>) -> Result<(), ServerError> {
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.folder().join("server.log"))?;
        let mut command = Command::new(program("ovsdb-server")?);
        command
            .arg("--no-chdir")
            .arg(format!(
                "--unixctl={}",
                self.folder().join("ctl.sock").display()
            ))
            .arg(format!("--remote=punix:{}", self.socket().display()));
        let process = command
            .args(&self.arguments)
            .args(databases)
            .env("OVS_RUNDIR", self.folder())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()?;
        self.running = Some(Running::Process(process));
        self.wait_until_it_answers()
    }

    fn wait_until_it_answers(&mut self) -> Result<(), ServerError> {
        let deadline = Instant::now() + START;
        while !self.answers() {
            let ended = match &mut self.running {
                Some(Running::Process(process)) => process.try_wait()?.is_some(),
                Some(Running::Embedded(_) | Running::Member) | None => true,
            };
            if ended || Instant::now() > deadline {
                let log = self.log();
                let start = log.len().saturating_sub(2000);
                return Err(ServerError::Silent {
                    log: log.get(start..).unwrap_or(&log).into(),
                });
            }
            sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    /// Whether the server listens, and answers an `echo`. Some releases listen before they open their
    /// databases, and end if they cannot.
    fn answers(&self) -> bool {
        let Ok(mut stream) = UnixStream::connect(self.socket()) else {
            return false;
        };
        let mut ports = self.tcp_port.iter().chain(&self.ssl_port);
        stream.set_read_timeout(Some(ANSWER)).is_ok()
            && stream.write_all(ECHO).is_ok()
            && matches!(stream.read(&mut [0; 64]), Ok(1..))
            && ports.all(|port| TcpStream::connect((Ipv4Addr::LOCALHOST, *port)).is_ok())
    }

    /// Ends the server at once, like kill -9. Its data stay.
    ///
    /// # Errors
    /// When the process cannot be waited for.
    pub fn kill(&mut self) -> Result<(), ServerError> {
        if let Databases::Member(member) = &self.databases {
            member.set_killed(true);
        }
        if let Some(Running::Process(mut process)) = self.running.take() {
            // An error means that the process has ended already.
            let _ = process.kill();
            process.wait()?;
        }
        Ok(())
    }

    /// Sends the server a signal by name, such as `STOP`, `CONT` or `TERM`.
    ///
    /// The embedded server supports only `STOP` and `CONT`.
    ///
    /// # Errors
    /// When the server was [killed](Self::kill), or does not support the signal; for ovsdb-server also when
    /// the program `kill` fails, or is not installed.
    pub fn signal(&self, name: &str) -> Result<(), ServerError> {
        let pause = name == "STOP";
        if self.kind() == ServerKind::Embedded && !pause && name != "CONT" {
            return Err(ServerError::NotEmbedded("such signal"));
        }
        match (&self.running, &self.databases) {
            (Some(Running::Embedded(embedded)), _) => {
                embedded.pause(pause);
                Ok(())
            }
            (Some(Running::Member), Databases::Member(member)) => {
                member.set_paused(pause);
                Ok(())
            }
            (Some(Running::Process(process)), _) => {
                let id = process.id().to_string();
                run("kill", [format!("-{name}"), id]).map(drop)
            }
            _ => Err(ServerError::NotRunning),
        }
    }

    /// Executes a command of ovs-appctl(8) on the server, such as `cluster/status OVN_Northbound`.
    /// Returns its output.
    ///
    /// # Errors
    /// When the server does not run, refuses the command, does not answer within 10 seconds, or is an
    /// embedded one; when ovs-appctl is not installed.
    pub fn appctl(&self, command: &[&str]) -> Result<String, ServerError> {
        if self.kind() == ServerKind::Embedded {
            return Err(ServerError::NotEmbedded("control socket"));
        }
        let target = self.folder().join("ctl.sock").display().to_string();
        let options = ["--timeout=10", "--target", &target];
        let output = run("ovs-appctl", options.iter().chain(command))?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// A database, or one of its tables, as JSON, as `ovsdb-client dump` prints it.
    ///
    /// # Errors
    /// When ovsdb-client fails, or is not installed.
    pub fn dump(&self, database: &str, table: Option<&str>) -> Result<String, ServerError> {
        let remote = self.remote();
        let arguments = [
            "--timeout=60",
            "--no-leader-only",
            "--format=json",
            "--data=json",
            "dump",
            &remote,
            database,
        ];
        let output = run("ovsdb-client", arguments.into_iter().chain(table))?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Waits until the server can serve the database: a member of a cluster has joined, or a relay has
    /// its rows.
    ///
    /// # Errors
    /// When that takes longer than 30 seconds; when ovsdb-client fails, or is not installed.
    pub fn wait_until_connected(&self, database: &str) -> Result<(), ServerError> {
        let remote = self.remote();
        let arguments = ["--timeout=30", "wait", &remote, database, "connected"];
        run("ovsdb-client", arguments).map(drop)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // An error means that the process could not be waited for, and cannot be reported here.
        let _ = self.kill();
    }
}
