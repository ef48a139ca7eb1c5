//! A proxy that disturbs connections.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use crate::transport::{Remote, connect};

/// The direction of bytes.
///
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// # let proxy = ovsdb::testing::Proxy::start("unix:/nowhere/db.sock", 7).await?;
/// use ovsdb::testing::Direction;
///
/// // The next connection ends in the middle of the server's first messages.
/// proxy.cut_at(Some((Direction::ToClient, 100)));
/// # Ok::<(), std::io::Error>(()) }).unwrap();
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the client to the server.
    ToServer,
    /// From the server to the client.
    ToClient,
}

/// How a connection ends.
///
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// # let proxy = ovsdb::testing::Proxy::start("unix:/nowhere/db.sock", 7).await?;
/// proxy.cut(ovsdb::testing::Cut::Close);
/// # Ok::<(), std::io::Error>(()) }).unwrap();
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// By closing the stream, as when a process ends.
    Close,
    /// By a reset, as from a machine that no longer knows the connection.
    Reset,
}

/// Forwards bytes in pieces of up to `bytes`, with a pause after each.
///
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// # let proxy = ovsdb::testing::Proxy::start("unix:/nowhere/db.sock", 7).await?;
/// use std::time::Duration;
///
/// use ovsdb::testing::Drip;
///
/// proxy.drip(Some(Drip { bytes: 10, pause: Duration::from_millis(1) }));
/// # Ok::<(), std::io::Error>(()) }).unwrap();
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drip {
    /// The largest piece, at least one byte; the sizes are drawn from the proxy's seed.
    pub bytes: usize,
    /// The pause.
    pub pause: Duration,
}

/// What the proxy has forwarded since its start.
///
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// # let proxy = ovsdb::testing::Proxy::start("unix:/nowhere/db.sock", 7).await?;
/// let passed = proxy.passed();
/// println!("{} bytes by {} connections", passed.to_client, passed.connections);
/// # assert_eq!(passed.connections, 0);
/// # Ok::<(), std::io::Error>(()) }).unwrap();
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Passed {
    /// Connections of clients, including those that were refused.
    pub connections: u64,
    /// Bytes to the server.
    pub to_server: u64,
    /// Bytes to clients.
    pub to_client: u64,
}

/// How connections are disturbed now.
#[derive(Debug, Clone, Copy, Default)]
struct Plan {
    refuse: bool,
    stall: bool,
    drip: Option<Drip>,
    /// How many times all connections were cut; `reset` is whether the last time was by a reset.
    cuts: u64,
    reset: bool,
    /// Where each new connection is cut.
    cut_at: Option<(Direction, u64)>,
}

#[derive(Debug, Default)]
struct Counters {
    connections: AtomicU64,
    to_server: AtomicU64,
    to_client: AtomicU64,
}

/// A proxy on a TCP port of the loopback interface, in front of a server with a `tcp:` or `unix:` remote.
/// By default it forwards every byte. When it is dropped, it ends together with its connections.
///
/// ```
/// use ovsdb::testing::{Cut, Proxy, Server};
/// use ovsdb::nb;
///
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// let schema = ovsdb::schema::bundled("OVN_Northbound").expect("a bundled schema");
/// let server = Server::builder().schema(schema).start()?;
/// let proxy = Proxy::start(&server.remote(), 7).await?;
/// let client = nb::Client::builder().remotes(proxy.remote()).connect().await?;
/// proxy.cut(Cut::Reset);
/// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
/// ```
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    plan: watch::Sender<Plan>,
    counters: Arc<Counters>,
    task: JoinHandle<()>,
}

impl Proxy {
    /// Starts a proxy in front of the server at `target`; `seed` determines its random choices.
    ///
    /// # Errors
    /// When `target` is not a remote, or no port is free.
    pub async fn start(target: &str, seed: u64) -> io::Result<Self> {
        let target: Remote = target.parse().map_err(io::Error::other)?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let (plan, watched) = watch::channel(Plan::default());
        let counters = Arc::new(Counters::default());
        let task = accept(listener, target, watched, counters.clone(), seed);
        Ok(Self {
            address,
            plan,
            counters,
            task: tokio::spawn(task),
        })
    }

    /// The remote for clients.
    #[must_use]
    pub fn remote(&self) -> String {
        format!("tcp:{}", self.address)
    }

    /// Ends all connections.
    pub fn cut(&self, how: Cut) {
        self.plan.send_modify(|plan| {
            plan.cuts += 1;
            plan.reset = how == Cut::Reset;
        });
    }

    /// Cuts each new connection after exactly this many bytes were forwarded in this direction; `None`
    /// stops this.
    pub fn cut_at(&self, at: Option<(Direction, u64)>) {
        self.plan.send_modify(|plan| plan.cut_at = at);
    }

    /// Closes new connections at once, while `refuse` is true.
    pub fn refuse(&self, refuse: bool) {
        self.plan.send_modify(|plan| plan.refuse = refuse);
    }

    /// Forwards nothing while `stall` is true. Connections stay open and new ones are accepted, as when
    /// the server's process is stopped (`SIGSTOP`).
    pub fn stall(&self, stall: bool) {
        self.plan.send_modify(|plan| plan.stall = stall);
    }

    /// Forwards bytes slowly, in pieces; `None` stops this.
    pub fn drip(&self, drip: Option<Drip>) {
        self.plan.send_modify(|plan| plan.drip = drip);
    }

    /// What was forwarded.
    #[must_use]
    pub fn passed(&self) -> Passed {
        Passed {
            connections: self.counters.connections.load(Ordering::Relaxed),
            to_server: self.counters.to_server.load(Ordering::Relaxed),
            to_client: self.counters.to_client.load(Ordering::Relaxed),
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(
    listener: TcpListener,
    target: Remote,
    plan: watch::Receiver<Plan>,
    counters: Arc<Counters>,
    seed: u64,
) {
    let mut random = fastrand::Rng::with_seed(seed);
    // Dropped with this task, which ends the connections.
    let mut connections = JoinSet::new();
    loop {
        let Ok((client, _)) = listener.accept().await else {
            continue;
        };
        counters.connections.fetch_add(1, Ordering::Relaxed);
        while connections.try_join_next().is_some() {}
        let start = *plan.borrow();
        if start.refuse {
            continue;
        }
        connections.spawn(serve(
            client,
            target.clone(),
            (start, plan.clone()),
            counters.clone(),
            random.fork(),
        ));
    }
}

/// Serves one client until both sides have closed the connection, it fails, or it is cut.
async fn serve(
    mut client: TcpStream,
    target: Remote,
    (start, mut plan): (Plan, watch::Receiver<Plan>),
    counters: Arc<Counters>,
    mut random: fastrand::Rng,
) {
    // An error means that the connection has ended, as the client will see.
    let _ = client.set_nodelay(true);
    let Ok((from_server, to_server)) = connect(&target, None).await else {
        return;
    };
    let cut_at = |direction| match start.cut_at {
        Some((at, bytes)) if at == direction => Some(bytes),
        _ => None,
    };
    let (from_client, to_client) = client.split();
    let up = Pump {
        plan: plan.clone(),
        passed: &counters.to_server,
        cut_at: cut_at(Direction::ToServer),
        random: random.fork(),
    };
    let down = Pump {
        plan: plan.clone(),
        passed: &counters.to_client,
        cut_at: cut_at(Direction::ToClient),
        random,
    };
    let pumps = async {
        tokio::try_join!(
            up.run(from_client, to_server),
            down.run(from_server, to_client)
        )
    };
    let reset = tokio::select! {
        _ = pumps => false,
        cut = plan.wait_for(|plan| plan.cuts > start.cuts) => cut.is_ok_and(|plan| plan.reset),
    };
    if reset {
        let _ = client.set_zero_linger();
    }
}

/// One direction of a connection.
struct Pump<'a> {
    plan: watch::Receiver<Plan>,
    passed: &'a AtomicU64,
    cut_at: Option<u64>,
    random: fastrand::Rng,
}

impl Pump<'_> {
    async fn run(
        mut self,
        mut from: impl AsyncRead + Unpin,
        mut to: impl AsyncWrite + Unpin,
    ) -> io::Result<()> {
        let mut buffer = vec![0; 64 * 1024];
        let mut left = self.cut_at;
        loop {
            let plan = self.stall_ended().await?;
            let mut limit = match plan.drip {
                Some(drip) => self.random.usize(1..=drip.bytes.max(1)),
                None => buffer.len(),
            };
            if let Some(left) = left {
                limit = limit.min(usize::try_from(left).unwrap_or(usize::MAX));
                if limit == 0 {
                    return Err(io::ErrorKind::ConnectionAborted.into());
                }
            }
            let limit = limit.min(buffer.len());
            let count = tokio::select! {
                biased;
                changed = self.plan.changed() => {
                    changed.map_err(io::Error::other)?;
                    continue;
                }
                read = from.read(&mut buffer[..limit]) => read?,
            };
            if count == 0 {
                return to.shutdown().await;
            }
            // Bytes that were read before a stall began wait, too.
            self.stall_ended().await?;
            to.write_all(&buffer[..count]).await?;
            self.passed.fetch_add(count as u64, Ordering::Relaxed);
            left = left.map(|left| left - count as u64);
            if let Some(drip) = plan.drip {
                tokio::time::sleep(drip.pause).await;
            }
        }
    }

    /// Waits until bytes may be forwarded, and returns the plan.
    async fn stall_ended(&mut self) -> io::Result<Plan> {
        let plan = self.plan.wait_for(|plan| !plan.stall).await;
        plan.map(|plan| *plan).map_err(io::Error::other)
    }
}
