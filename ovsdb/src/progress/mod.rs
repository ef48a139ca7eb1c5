//! Waiting until daemons have applied what a database says.
//!
//! The databases have sequence numbers for this. After its changes, a client makes a request by
//! increasing a number in the database's global row. A daemon copies the number into a column of its
//! own once it has applied everything that was committed before the request. ovn-nb(5), `NB_Global`, and
//! ovs-vswitchd.conf.db(5), `Open_vSwitch`, define the columns.
//!
//! `nb::realized` waits for OVN, and `vswitch::configured` for Open vSwitch; this module has their
//! errors. Callers that wait at the same time with clones of one client share a request: it serves
//! every call made before it was sent.

#[cfg(feature = "sb")]
pub(crate) mod chassis;
#[cfg(any(feature = "nb", feature = "vswitch"))]
mod error;
#[cfg(feature = "nb")]
pub(crate) mod northbound;
#[cfg(any(feature = "nb", feature = "vswitch"))]
mod request;
#[cfg(any(feature = "nb", feature = "vswitch"))]
mod stages;
#[cfg(feature = "vswitch")]
pub(crate) mod switch;

#[cfg(any(feature = "nb", feature = "sb"))]
use std::time::{Duration, SystemTime};

#[cfg(feature = "sb")]
pub use self::chassis::LaggingChassis;
#[cfg(any(feature = "nb", feature = "vswitch"))]
pub use self::error::{Behind, Daemon, ProgressError};

/// The time in a column that holds milliseconds since the epoch; `None` if the column is 0.
#[cfg(any(feature = "nb", feature = "sb"))]
fn time(milliseconds: i64) -> Option<SystemTime> {
    let milliseconds = u64::try_from(milliseconds).ok().filter(|time| *time > 0)?;
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(milliseconds))
}
