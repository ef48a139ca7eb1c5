//! The server of this library, on its own thread, in place of an ovsdb-server process.

use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;

use tokio::sync::mpsc as tasks;

use super::kind::ServerError;
use crate::server::{Cluster, Fault, PassiveRemote, Server, ServerBuilder};

/// What the server serves, and where it listens.
pub(super) struct Plan {
    /// The database files, with the schemas of those to be created.
    pub(super) databases: Vec<(PathBuf, String)>,
    /// The name of the database to relay, and the source's remotes; then there are no files.
    pub(super) relay: Option<(String, String)>,
    pub(super) socket: PathBuf,
    /// The options of ovsdb-server.
    pub(super) arguments: Vec<String>,
}

/// The options of ovsdb-server that the embedded server supports.
#[derive(Default)]
pub(super) struct Options {
    remotes: Vec<PassiveRemote>,
    private_key: Option<PathBuf>,
    certificate: Option<PathBuf>,
    ca_certificate: Option<PathBuf>,
    ssl_protocols: Option<String>,
}

impl Options {
    pub(super) fn parse(arguments: &[String]) -> Result<Self, ServerError> {
        let mut options = Self::default();
        for argument in arguments {
            let (name, value) = argument.split_once('=').unwrap_or((argument, ""));
            match name {
                "--remote" => options.remotes.push(value.parse().map_err(failed)?),
                "--private-key" => options.private_key = Some(value.into()),
                "--certificate" => options.certificate = Some(value.into()),
                "--ca-cert" => options.ca_certificate = Some(value.into()),
                "--ssl-protocols" => options.ssl_protocols = Some(value.into()),
                _ => return Err(ServerError::NotEmbedded("such option")),
            }
        }
        Ok(options)
    }

    /// Whether there are options for TLS.
    pub(super) const fn has_tls(&self) -> bool {
        let files = self.private_key.is_some() || self.certificate.is_some();
        files || self.ca_certificate.is_some() || self.ssl_protocols.is_some()
    }
}

/// A request to stop the thread. The thread confirms on the first channel that it has stopped, then waits
/// for a message on the second one. If the second channel is closed, the server ends.
type Pause = (mpsc::Sender<()>, mpsc::Receiver<()>);

/// A running server, which ends when it is dropped.
#[derive(Debug)]
pub(super) struct Embedded {
    /// The thread ends when this is dropped.
    pauses: Option<tasks::UnboundedSender<Pause>>,
    /// Lets a stopped thread continue.
    paused: Mutex<Option<mpsc::Sender<()>>>,
    /// In a mutex, which makes the server unwind-safe, so that a test may use it within `catch_unwind`.
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Embedded {
    /// Starts the server, and waits until it listens.
    pub(super) fn start(plan: Plan) -> Result<Self, ServerError> {
        let (pauses, commands) = tasks::unbounded_channel();
        let (ready, started) = mpsc::channel();
        let thread = std::thread::Builder::new().name("ovsdb-server".into());
        let thread = thread.spawn(move || run(plan, &ready, commands))?;
        let started = started.recv();
        let embedded = Self {
            pauses: Some(pauses),
            paused: Mutex::default(),
            thread: Mutex::new(Some(thread)),
        };
        match started {
            Ok(Ok(())) => Ok(embedded),
            Ok(Err(error)) => Err(error),
            Err(mpsc::RecvError) => Err(failed("the thread of the server has panicked")),
        }
    }

    /// Stops the whole server, like SIGSTOP, or lets it continue.
    pub(super) fn pause(&self, pause: bool) {
        let mut paused = self.paused.lock().unwrap_or_else(PoisonError::into_inner);
        if !pause {
            if let Some(resume) = paused.take() {
                // An error means that the server has ended.
                let _ = resume.send(());
            }
            return;
        }
        if paused.is_some() {
            return;
        }
        let (resume, resumed) = mpsc::channel();
        let (stopping, stopped) = mpsc::channel();
        let pauses = self.pauses.as_ref();
        if pauses.is_some_and(|pauses| pauses.send((stopping, resumed)).is_ok()) {
            // An error means that the server has ended.
            let _ = stopped.recv();
            *paused = Some(resume);
        }
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        self.pauses = None;
        // Like a killed process, a stopped server must not answer anything before it ends.
        let paused = self.paused.get_mut();
        *paused.unwrap_or_else(PoisonError::into_inner) = None;
        let thread = self.thread.get_mut();
        if let Some(thread) = thread.unwrap_or_else(PoisonError::into_inner).take() {
            // If the server panicked, its thread has reported that.
            let _ = thread.join();
        }
    }
}

fn failed(message: impl ToString) -> ServerError {
    ServerError::Failed {
        program: "the embedded server".into(),
        message: message.to_string(),
    }
}

#[cfg(feature = "tls")]
fn with_tls(builder: ServerBuilder, options: &Options) -> Result<ServerBuilder, ServerError> {
    use tokio_rustls::rustls::version::{TLS12, TLS13};

    let (Some(certificate), Some(private_key)) = (&options.certificate, &options.private_key)
    else {
        return Ok(builder);
    };
    let mut tls = crate::server::TlsServerConfig::builder()
        .certificate_files(certificate, private_key)
        .verify_clients(options.ca_certificate.is_some());
    if let Some(file) = &options.ca_certificate {
        tls = tls.ca_file(file);
    }
    if let Some(protocols) = &options.ssl_protocols {
        let versions = protocols.split([',', ' ']).map(|name| match name {
            "TLSv1.2" => Ok(&TLS12),
            "TLSv1.3" => Ok(&TLS13),
            _ => Err(ServerError::NotEmbedded("such version of TLS")),
        });
        tls = tls.protocol_versions(versions.collect::<Result<Vec<_>, _>>()?);
    }
    Ok(builder.tls(tls.build().map_err(failed)?))
}

#[cfg(not(feature = "tls"))]
fn with_tls(builder: ServerBuilder, options: &Options) -> Result<ServerBuilder, ServerError> {
    let Options {
        private_key: None,
        certificate: None,
        ca_certificate: None,
        ssl_protocols: None,
        ..
    } = options
    else {
        return Err(ServerError::NotEmbedded("TLS without the feature `tls`"));
    };
    Ok(builder)
}

async fn serve(plan: Plan) -> Result<Server, ServerError> {
    let options = Options::parse(&plan.arguments)?;
    let mut builder = Server::builder();
    for (path, schema) in plan.databases {
        builder = builder.create(path, schema);
    }
    let server = match plan.relay {
        Some((database, remotes)) => Server::relay(database, remotes).await.map_err(failed)?,
        None => with_tls(builder, &options)?.start().map_err(failed)?,
    };
    let socket = PassiveRemote::Unix { path: plan.socket };
    for remote in [socket].iter().chain(&options.remotes) {
        server.listen(remote).await?;
    }
    Ok(server)
}

fn run(
    plan: Plan,
    ready: &mpsc::Sender<Result<(), ServerError>>,
    mut commands: tasks::UnboundedReceiver<Pause>,
) {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let ended = runtime
        .enable_all()
        .build()
        .map_err(ServerError::Io)
        .and_then(|runtime| {
            runtime.block_on(async {
                let _server = serve(plan).await?;
                let _ = ready.send(Ok(()));
                while let Some((stopping, resumed)) = commands.recv().await {
                    let _ = stopping.send(());
                    // Blocks the thread, so that nothing of the server runs meanwhile.
                    if resumed.recv().is_err() {
                        break;
                    }
                }
                Ok(())
            })
        });
    if ended.is_err() {
        let _ = ready.send(ended);
    }
}

/// A cluster of servers of this library. Its listeners run on a thread that ends when this is dropped.
#[derive(Debug)]
pub(super) struct EmbeddedCluster {
    /// The cluster's methods change its state under locks, and a panic leaves no change half made.
    pub(super) cluster: AssertUnwindSafe<Arc<Cluster>>,
    /// The thread ends when this is dropped.
    running: Option<tasks::UnboundedSender<()>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl EmbeddedCluster {
    /// Starts a member for each of these sockets, and waits until all listen.
    pub(super) fn start(schema: &str, sockets: Vec<PathBuf>) -> Result<Self, ServerError> {
        let cluster = Cluster::memory(schema, sockets.len()).map_err(failed)?;
        let cluster = Arc::new(cluster);
        let (running, mut ended) = tasks::unbounded_channel::<()>();
        let (ready, started) = mpsc::channel();
        let listening = cluster.clone();
        let thread = std::thread::Builder::new().name("ovsdb-cluster".into());
        let thread = thread.spawn(move || {
            let mut runtime = tokio::runtime::Builder::new_current_thread();
            let ended = runtime.enable_all().build().and_then(|runtime| {
                runtime.block_on(async {
                    for (server, path) in listening.members().iter().zip(sockets) {
                        server.listen(&PassiveRemote::Unix { path }).await?;
                    }
                    let _ = ready.send(Ok(()));
                    ended.recv().await;
                    Ok(())
                })
            });
            if ended.is_err() {
                let _ = ready.send(ended);
            }
        })?;
        let embedded = Self {
            cluster: AssertUnwindSafe(cluster),
            running: Some(running),
            thread: Mutex::new(Some(thread)),
        };
        match started.recv() {
            Ok(started) => started?,
            Err(mpsc::RecvError) => {
                return Err(failed("the thread of the cluster has panicked"));
            }
        }
        Ok(embedded)
    }
}

impl Drop for EmbeddedCluster {
    fn drop(&mut self) {
        self.running = None;
        let thread = self.thread.get_mut();
        if let Some(thread) = thread.unwrap_or_else(PoisonError::into_inner).take() {
            // If the thread panicked, it has reported that.
            let _ = thread.join();
        }
    }
}

/// A member of a cluster, which can be killed, restarted, stopped and continued.
#[derive(Debug)]
pub(super) struct EmbeddedMember {
    pub(super) cluster: Arc<EmbeddedCluster>,
    pub(super) number: usize,
    killed: Mutex<Option<Fault>>,
    paused: Mutex<Option<Fault>>,
}

impl EmbeddedMember {
    pub(super) fn new(cluster: Arc<EmbeddedCluster>, number: usize) -> Self {
        Self {
            cluster,
            number,
            killed: Mutex::default(),
            paused: Mutex::default(),
        }
    }

    /// Kills the member, or restarts it.
    pub(super) fn set_killed(&self, kill: bool) {
        set(&self.paused, false, || {
            self.cluster.cluster.hang(self.number)
        });
        set(&self.killed, kill, || {
            self.cluster.cluster.stop(self.number)
        });
    }

    /// Stops the member, like SIGSTOP, or lets it continue.
    pub(super) fn set_paused(&self, pause: bool) {
        set(&self.paused, pause, || {
            self.cluster.cluster.hang(self.number)
        });
    }
}

/// Begins or ends a fault, unless it is in the wanted state already.
fn set(fault: &Mutex<Option<Fault>>, wanted: bool, begin: impl FnOnce() -> Fault) {
    let mut fault = fault.lock().unwrap_or_else(PoisonError::into_inner);
    if wanted {
        fault.get_or_insert_with(begin);
    } else {
        *fault = None;
    }
}
