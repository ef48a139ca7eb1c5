//! Why daemons have not confirmed a request.

use std::fmt;
use std::time::Duration;

#[cfg(feature = "sb")]
use super::chassis::LaggingChassis;
use crate::error::Error;
use crate::session::ConnectionState;
use crate::transaction::CommitError;

/// Why daemons have not confirmed a request.
///
/// ```
/// # #[cfg(feature = "nb")]
/// # async fn example(client: ovsdb::nb::Client) -> Result<(), ovsdb::progress::ProgressError> {
/// use ovsdb::nb::{self, Stage};
/// use ovsdb::progress::{Daemon, ProgressError};
///
/// match nb::realized(&client, Stage::Hypervisors).await {
///     Err(ProgressError::TimedOut(behind)) if behind.daemon == Daemon::Northd => {
///         println!("is ovn-northd running? {behind}");
///     }
///     Err(ProgressError::TimedOut(behind)) => println!("{behind}"),
///     other => println!("{:?}", other?.hypervisors),
/// }
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ProgressError {
    /// The time limit passed. The daemons may still confirm the request.
    #[error(transparent)]
    TimedOut(Box<Behind>),
    /// The request was refused, could not be sent, or got no valid reply.
    #[error("cannot ask the daemons to confirm what they have done")]
    Request(#[source] CommitError),
    /// The row in which the daemons confirm requests cannot be replicated.
    #[error("cannot follow what the daemons confirm")]
    Replica(#[source] Error),
    /// The chassis are configured not to report what they have applied, by
    /// `NB_Global.options:enable_chassis_nb_cfg_update`.
    #[error(
        "the chassis do not report what they have done, since NB_Global.options:enable_chassis_nb_cfg_update is \"false\""
    )]
    NotReported,
}

/// The daemons that apply what a database says.
///
/// ```
/// use ovsdb::progress::Daemon;
///
/// assert_eq!(Daemon::Northd.to_string(), "ovn-northd");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Daemon {
    /// ovn-northd, which writes the southbound database.
    Northd,
    /// The ovn-controllers, each of which translates the southbound database to flows on its chassis.
    Controllers,
    /// ovs-vswitchd.
    Vswitchd,
}

impl Daemon {
    /// The column that the client increases, and the one that shows what the daemon has confirmed.
    const fn columns(self) -> (&'static str, &'static str) {
        match self {
            Self::Northd => ("nb_cfg", "sb_cfg"),
            Self::Controllers => ("nb_cfg", "hv_cfg"),
            Self::Vswitchd => ("next_cfg", "cur_cfg"),
        }
    }
}

impl fmt::Display for Daemon {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Northd => "ovn-northd",
            Self::Controllers => "ovn-controller",
            Self::Vswitchd => "ovs-vswitchd",
        })
    }
}

/// The state when the time limit passed.
///
/// ```
/// # #[cfg(feature = "sb")]
/// # fn example(behind: &ovsdb::progress::Behind) {
/// for chassis in behind.chassis.iter().flatten() {
///     println!("{} is at {}", chassis.name, chassis.nb_cfg);
/// }
/// # }
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Behind {
    /// The daemon that has not confirmed the request; if several are waited for in turn, the first that
    /// has not.
    pub daemon: Daemon,
    /// The time limit.
    pub limit: Duration,
    /// The number of the request; `None` if its commit did not return in time.
    pub requested: Option<i64>,
    /// The last number that was confirmed; `None` if it is not known. If several daemons confirm
    /// requests, it is the smallest number.
    pub confirmed: Option<i64>,
    /// The state of the connection when the time limit passed. Without a connection, nothing is known
    /// about the daemons.
    pub connection: ConnectionState,
    /// The chassis that have not confirmed the request; `None` if the southbound database was not
    /// asked, or the query failed.
    #[cfg(feature = "sb")]
    pub chassis: Option<Vec<LaggingChassis>>,
}

impl fmt::Display for Behind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { daemon, limit, .. } = self;
        let (request, answer) = daemon.columns();
        match (self.requested, self.confirmed) {
            (None, _) => write!(
                f,
                "the server did not confirm within {limit:?} that {request} was increased"
            )?,
            (Some(requested), Some(confirmed)) => write!(
                f,
                "{daemon} did not confirm {request} {requested} within {limit:?}: {answer} is {confirmed}"
            )?,
            (Some(requested), None) => write!(
                f,
                "{daemon} did not confirm {request} {requested} within {limit:?}"
            )?,
        }
        if !self.connection.is_connected() {
            write!(f, "; the connection is {}", self.connection)?;
        }
        #[cfg(feature = "sb")]
        if let Some(chassis) = &self.chassis
            && self.requested.is_some()
        {
            for (at, chassis) in chassis.iter().enumerate() {
                let before = if at == 0 { "; behind: " } else { ", " };
                write!(f, "{before}{chassis}")?;
            }
        }
        Ok(())
    }
}

impl std::error::Error for Behind {}
