//! Why daemons are not known to have carried out what a database says.

use std::fmt;
use std::time::Duration;

#[cfg(feature = "sb")]
use super::chassis::LaggingChassis;
use crate::error::Error;
use crate::session::ConnectionState;
use crate::transaction::CommitError;

/// Why daemons are not known to have carried out what a database says.
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
    /// The time was over. What was waited for may still happen.
    #[error(transparent)]
    TimedOut(Box<Behind>),
    /// The request to the daemons was refused, or cannot be sent any more.
    #[error("cannot ask the daemons to confirm what they have done")]
    Request(#[source] CommitError),
    /// The row with the daemons' answers cannot be followed.
    #[error("cannot follow what the daemons confirm")]
    Replica(#[source] Error),
    /// The chassis were told not to report what they have done, by
    /// `NB_Global.options:enable_chassis_nb_cfg_update`.
    #[error(
        "the chassis do not report what they have done, since NB_Global.options:enable_chassis_nb_cfg_update is \"false\""
    )]
    NotReported,
}

/// The programs that carry out what a database says.
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
    /// The ovn-controllers, each of which makes flows of it on its chassis.
    Controllers,
    /// ovs-vswitchd.
    Vswitchd,
}

impl Daemon {
    /// The column that a client increases, and the one in which the daemon confirms it.
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

/// What was missing when the time was over.
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
    /// Which daemon has not confirmed the request: of several that are waited for in turn, the first.
    pub daemon: Daemon,
    /// The time limit.
    pub limit: Duration,
    /// The number of the request; `None` when it could not be made.
    pub requested: Option<i64>,
    /// The number that was confirmed last; `None` when that is not known. Of several daemons it is the
    /// smallest.
    pub confirmed: Option<i64>,
    /// The connection to the database when the time was over. Without one, nothing is known of the daemons.
    pub connection: ConnectionState,
    /// The chassis that have not confirmed the request; `None` when the southbound database was not asked, or
    /// did not answer.
    #[cfg(feature = "sb")]
    pub chassis: Option<Vec<LaggingChassis>>,
}

impl fmt::Display for Behind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { daemon, limit, .. } = self;
        let (request, answer) = daemon.columns();
        match (self.requested, self.confirmed) {
            (None, _) => write!(f, "{request} could not be increased within {limit:?}")?,
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
