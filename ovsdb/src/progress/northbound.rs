//! Waiting until OVN has applied its northbound database.

use std::fmt;
use std::future::IntoFuture;
use std::pin::Pin;
use std::time::{Duration, SystemTime};

use super::error::{Daemon, ProgressError};
use super::request::Counters;
use super::stages::{Reached, wait};
use super::time;
use crate::client::Client;
#[cfg(feature = "sb")]
use crate::error_chain::ErrorChain;
use crate::model::{Column, Mutable};
use crate::value::{Map, Str};

/// The columns of `NB_Global` that are used here.
#[derive(Debug, Clone, PartialEq, Default, ovsdb::Table)]
#[ovsdb(database = ovsdb::nb::Database, table = "NB_Global", schema = "OVN_Northbound")]
struct Global {
    nb_cfg: i64,
    nb_cfg_timestamp: i64,
    sb_cfg: i64,
    sb_cfg_timestamp: i64,
    hv_cfg: i64,
    hv_cfg_timestamp: i64,
    options: Map<Str, Str>,
}

impl Counters for Global {
    const REQUESTED: Column<Self, i64, Mutable> = Self::NB_CFG;

    fn confirmed(&self, daemon: Daemon) -> i64 {
        match daemon {
            // Without any chassis, ovn-northd sets `hv_cfg` even before it has written anything.
            Daemon::Controllers => self.hv_cfg.min(self.sb_cfg),
            _ => self.sb_cfg,
        }
    }

    fn obstacle(&self, daemon: Daemon) -> Option<ProgressError> {
        let reports = self.options.get("enable_chassis_nb_cfg_update");
        let never = daemon == Daemon::Controllers && reports.is_some_and(|text| *text == *"false");
        never.then_some(ProgressError::NotReported)
    }
}

/// How far a change of the northbound database must have been applied; [`realized`] waits for it.
///
/// ```
/// use ovsdb::nb::Stage;
///
/// assert_eq!(Stage::Hypervisors.to_string(), "hypervisors");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Stage {
    /// ovn-northd has written it to the southbound database: `ovn-nbctl --wait=sb`.
    Northd,
    /// In addition, the ovn-controller of every chassis in this availability zone has installed its flows:
    /// `ovn-nbctl --wait=hv`. A chassis that is down delays this.
    Hypervisors,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Northd => "northd",
            Self::Hypervisors => "hypervisors",
        })
    }
}

/// The progress of OVN; [`realized`] returns it.
///
/// ```
/// # fn example(realized: ovsdb::nb::Realized) {
/// println!("ovn-northd took {:?}", realized.northd);
/// if let Some(hypervisors) = realized.hypervisors {
///     println!("the slowest chassis was done after {hypervisors:?}");
/// }
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Realized {
    /// The number of the request, in `NB_Global.nb_cfg`.
    pub nb_cfg: i64,
    /// The time from the request until the client saw ovn-northd confirm it.
    pub northd: Duration,
    /// The time from the request until the client saw that all chassis had confirmed it; `None` if it
    /// did not wait for them.
    pub hypervisors: Option<Duration>,
    /// When ovn-northd began to process this request or a newer one, by its own clock; `None` if the
    /// server's schema lacks the column.
    pub northd_began: Option<SystemTime>,
    /// When ovn-northd had written the southbound database, by its own clock; `None` if the
    /// server's schema lacks the column.
    pub northd_ended: Option<SystemTime>,
    /// When the slowest chassis was done, by its own clock; `None` if the server's schema lacks the
    /// column, there is no chassis, or the client did not wait for the chassis.
    pub hypervisors_ended: Option<SystemTime>,
}

/// Waits until OVN has applied everything that was committed to the northbound database before the
/// call, by this client or any other.
///
/// It increases `NB_Global.nb_cfg` and waits until `sb_cfg`, and for [`Stage::Hypervisors`] also
/// `hv_cfg`, have reached it (ovn-nb(5)). Calls at the same time, with clones of one client, share
/// the increase and the replica of that row: a thousand such calls cost OVN one round or two.
///
/// The time limit is the client's [request timeout](crate::ClientBuilder::request_timeout), or
/// [`timeout`](Realize::timeout). The connection may be lost and made again meanwhile. If the number
/// decreases, because the database was restored or replaced, another request is made.
///
/// ```
/// # #[cfg(all(feature = "nb", feature = "server"))] #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let schema = ovsdb::schema::bundled("OVN_Northbound").expect("a bundled schema");
/// # let server = ovsdb::server::Server::memory(schema)?;
/// # let client = ovsdb::nb::Client::builder().server(&server).connect().await?;
/// # let cache = client.cache().table::<nb::NbGlobal>().start().await?;
/// # let northd = client.clone();
/// # tokio::spawn(async move {
/// #     let asked = cache.wait_until(None, |view| view.rows::<nb::NbGlobal>().next().map(|row| row.nb_cfg));
/// #     let asked = asked.await.expect("a request");
/// #     let mut txn = northd.transaction();
/// #     let every = ovsdb::model::AllOf::<nb::NbGlobal>::all();
/// #     txn.update(every).set(nb::NbGlobal::SB_CFG, asked).set(nb::NbGlobal::HV_CFG, asked);
/// #     txn.commit().await
/// # });
/// use std::time::Duration;
///
/// use ovsdb::nb::{self, Stage};
///
/// let mut txn = client.transaction();
/// txn.insert(nb::LogicalSwitch { name: "sw0".into(), ..Default::default() });
/// txn.commit().await?;
/// let realized = nb::realized(&client, Stage::Hypervisors).timeout(Duration::from_secs(30)).await?;
/// println!("sw0 is on all chassis after {:?}", realized.hypervisors);
/// # Ok(()) }
/// # #[cfg(not(all(feature = "nb", feature = "server")))] fn main() {}
/// ```
///
/// # Errors
/// [`ProgressError::TimedOut`] when the time limit passed; the error names the daemon, and, on request, the
/// late chassis (`Realize::southbound`, with the feature `sb`). [`ProgressError::NotReported`], for
/// [`Stage::Hypervisors`] and as soon as ovn-northd has confirmed the request, when the chassis are configured
/// not to report. [`ProgressError::Request`] when the request cannot be sent or is refused, or its reply is
/// malformed, and [`ProgressError::Replica`] when the row cannot be replicated; one of the two also when the
/// client is closed.
pub fn realized(client: &Client<ovsdb::nb::Database>, stage: Stage) -> Realize {
    Realize {
        stage,
        limit: client.request_timeout(),
        client: client.clone(),
        #[cfg(feature = "sb")]
        southbound: None,
    }
}

/// What [`realized`] waits for, and for how long; `.await` it.
///
/// ```
/// # #[cfg(all(feature = "nb", feature = "sb"))]
/// # async fn example(
/// #     client: ovsdb::nb::Client, southbound: ovsdb::sb::Client
/// # ) -> Result<(), ovsdb::progress::ProgressError> {
/// use std::time::Duration;
///
/// use ovsdb::nb::{self, Stage};
///
/// let realized = nb::realized(&client, Stage::Hypervisors)
///     .timeout(Duration::from_secs(30))
///     .southbound(&southbound)
///     .await?;
/// # let _ = realized; Ok(()) }
/// ```
#[derive(Debug, Clone)]
#[must_use = "a wait does nothing unless it is awaited"]
pub struct Realize {
    client: Client<ovsdb::nb::Database>,
    stage: Stage,
    limit: Option<Duration>,
    #[cfg(feature = "sb")]
    southbound: Option<Client<ovsdb::sb::Database>>,
}

impl Realize {
    /// The time limit, including the wait for a connection; `None` for no limit.
    pub fn timeout(mut self, limit: impl Into<Option<Duration>>) -> Self {
        self.limit = limit.into();
        self
    }

    /// When chassis are late, asks the southbound database which ones. The error then [names
    /// them](super::Behind::chassis). This takes up to five seconds more.
    #[cfg(feature = "sb")]
    pub fn southbound(mut self, client: &Client<ovsdb::sb::Database>) -> Self {
        self.southbound = Some(client.clone());
        self
    }

    async fn run(self) -> Result<Realized, ProgressError> {
        let stages: &[_] = match self.stage {
            Stage::Northd => &[Daemon::Northd],
            Stage::Hypervisors => &[Daemon::Northd, Daemon::Controllers],
        };
        match wait::<Global>(&self.client, stages, self.limit).await {
            Ok(reached) => Ok(Realized::from(&reached)),
            Err(error) => Err(self.explained(error).await),
        }
    }

    /// The error, with the late chassis added if the southbound database tells them.
    #[cfg(feature = "sb")]
    async fn explained(&self, error: ProgressError) -> ProgressError {
        /// The time allowed for the southbound database.
        const LIMIT: Duration = Duration::from_secs(5);
        let (ProgressError::TimedOut(mut behind), Some(southbound)) =
            (error.clone(), &self.southbound)
        else {
            return error;
        };
        let (Daemon::Controllers, Some(number)) = (behind.daemon, behind.requested) else {
            return error;
        };
        match super::chassis::lagging_within(southbound, number, Some(LIMIT)).await {
            Ok(chassis) => behind.chassis = Some(chassis),
            Err(error) => {
                let (database, error) = (southbound.database(), ErrorChain::new(&error));
                tracing::warn!(database, %error, "cannot tell which chassis are late");
            }
        }
        ProgressError::TimedOut(behind)
    }

    #[cfg(not(feature = "sb"))]
    async fn explained(&self, error: ProgressError) -> ProgressError {
        error
    }
}

impl IntoFuture for Realize {
    type Output = Result<Realized, ProgressError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

impl From<&Reached<Global>> for Realized {
    fn from(reached: &Reached<Global>) -> Self {
        let (stages, row) = (&reached.stages, &reached.counters);
        let hypervisors = stages.get(1).copied();
        Self {
            nb_cfg: reached.request.number,
            northd: stages.first().copied().unwrap_or_default(),
            hypervisors,
            northd_began: time(row.nb_cfg_timestamp),
            northd_ended: time(row.sb_cfg_timestamp),
            hypervisors_ended: hypervisors.and_then(|_| time(row.hv_cfg_timestamp)),
        }
    }
}
