//! Waiting until ovs-vswitchd has applied its database.

use std::future::IntoFuture;
use std::pin::Pin;
use std::time::Duration;

use super::error::{Daemon, ProgressError};
use super::request::Counters;
use super::stages::wait;
use crate::client::Client;
use crate::model::{Column, Mutable};

/// The columns of `Open_vSwitch` that are used here.
#[derive(Debug, Clone, PartialEq, Default, ovsdb::Table)]
#[ovsdb(database = ovsdb::vswitch::Database, table = "Open_vSwitch", schema = "Open_vSwitch")]
struct Global {
    next_cfg: i64,
    cur_cfg: i64,
}

impl Counters for Global {
    const REQUESTED: Column<Self, i64, Mutable> = Self::NEXT_CFG;

    fn confirmed(&self, _daemon: Daemon) -> i64 {
        self.cur_cfg
    }
}

/// The progress of ovs-vswitchd; [`configured`] returns it.
///
/// ```
/// # fn example(configured: ovsdb::vswitch::Configured) {
/// println!("next_cfg {} took {:?}", configured.next_cfg, configured.elapsed);
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Configured {
    /// The number of the request, in `Open_vSwitch.next_cfg`.
    pub next_cfg: i64,
    /// The time from the request until the client saw ovs-vswitchd confirm it.
    pub elapsed: Duration,
}

/// Waits until ovs-vswitchd has applied everything that was committed to its database before the call,
/// by this client or any other, as `ovs-vsctl` does without `--no-wait`.
///
/// It increases `Open_vSwitch.next_cfg` and waits until `cur_cfg` has reached it
/// (ovs-vswitchd.conf.db(5)). Calls at the same time, with clones of one client, share the increase.
/// ovs-vswitchd has then tried to apply everything. It reports failures elsewhere: those of an
/// interface in `Interface.error`.
///
/// The time limit is the client's [request timeout](crate::ClientBuilder::request_timeout), or
/// [`timeout`](Configure::timeout). The connection may be lost and made again meanwhile, and
/// ovs-vswitchd may restart.
///
/// ```
/// # #[cfg(all(feature = "vswitch", feature = "server"))] #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let schema = ovsdb::schema::bundled("Open_vSwitch").expect("a bundled schema");
/// # let server = ovsdb::server::Server::memory(schema)?;
/// # let client = vswitch::Client::builder().server(&server).connect().await?;
/// # let root = client.cache().table::<vswitch::OpenVSwitch>().start().await?;
/// # let vswitchd = client.clone();
/// # tokio::spawn(async move {
/// #     let asked = root.wait_until(None, |view| view.rows::<vswitch::OpenVSwitch>().next().map(|row| row.next_cfg));
/// #     let asked = asked.await.expect("a request");
/// #     let mut txn = vswitchd.transaction();
/// #     let every = ovsdb::model::AllOf::<vswitch::OpenVSwitch>::all();
/// #     txn.update(every).set(vswitch::OpenVSwitch::CUR_CFG, asked);
/// #     txn.commit().await
/// # });
/// use ovsdb::vswitch::{self, Interface};
///
/// let cache = client.cache().table::<Interface>().start().await?;
/// // ... add ports to bridges, then:
/// vswitch::configured(&client).await?;
/// for interface in cache.snapshot().rows::<Interface>() {
///     if let Some(error) = &interface.error {
///         println!("{}: {error}", interface.name);
///     }
/// }
/// # Ok(()) }
/// # #[cfg(not(all(feature = "vswitch", feature = "server")))] fn main() {}
/// ```
///
/// # Errors
/// [`ProgressError::TimedOut`] when the time limit passed. [`ProgressError::Request`] when the request
/// cannot be sent or is refused, or its reply is malformed, and [`ProgressError::Replica`] when the row
/// cannot be replicated; one of the two also when the client is closed.
pub fn configured(client: &Client<ovsdb::vswitch::Database>) -> Configure {
    Configure {
        limit: client.request_timeout(),
        client: client.clone(),
    }
}

/// How long [`configured`] waits; `.await` it.
///
/// ```
/// # #[cfg(feature = "vswitch")]
/// # async fn example(client: ovsdb::vswitch::Client) -> Result<(), ovsdb::progress::ProgressError> {
/// use std::time::Duration;
///
/// ovsdb::vswitch::configured(&client).timeout(Duration::from_secs(10)).await?;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
#[must_use = "a wait does nothing unless it is awaited"]
pub struct Configure {
    client: Client<ovsdb::vswitch::Database>,
    limit: Option<Duration>,
}

impl Configure {
    /// The time limit, including the wait for a connection; `None` for no limit.
    pub fn timeout(mut self, limit: impl Into<Option<Duration>>) -> Self {
        self.limit = limit.into();
        self
    }

    async fn run(self) -> Result<Configured, ProgressError> {
        let reached = wait::<Global>(&self.client, &[Daemon::Vswitchd], self.limit).await?;
        Ok(Configured {
            next_cfg: reached.request.number,
            elapsed: reached.stages.first().copied().unwrap_or_default(),
        })
    }
}

impl IntoFuture for Configure {
    type Output = Result<Configured, ProgressError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}
