//! A replica without a connection, fed from memory: for benchmarks and fuzzing.

use std::fmt;
use std::marker::PhantomData;
use std::time::Instant;

use ovsdb_schema::DatabaseSchema;

use super::monitor::ReplicaMonitor;
use super::snapshot::Snapshot;
use super::table::ApplyError;
use super::tables::Tables;
use crate::model::{AnyDatabase, Database};
use crate::protocol::{Message, MonitorVersion, Request, UpdateHeader};
use crate::value::json::DecodeError;

/// Why a message cannot be replayed.
///
/// ```
/// # #[cfg(feature = "nb")] {
/// use ovsdb::testing::{Replay, ReplayError};
/// use ovsdb::{nb, schema};
///
/// let schema = schema::bundled("OVN_Northbound").expect("a bundled schema");
/// let schema = schema::DatabaseSchema::parse(schema).expect("a schema");
/// let mut replay = Replay::<nb::Database>::new(&schema);
/// let echo = r#"{"id":null,"method":"echo","params":[]}"#;
/// assert_eq!(replay.receive(echo), Err(ReplayError::NotAnUpdate));
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReplayError {
    /// The message is malformed.
    #[error("the message is malformed")]
    Message(#[from] DecodeError),
    /// The message contains rows that are malformed or do not fit the replica, which is unchanged.
    #[error("the message does not fit the replica")]
    Apply(#[from] ApplyError),
    /// The message is neither an update nor the first reply of `monitor_cond_since`.
    #[error("the message is neither an update nor a monitor's first reply")]
    NotAnUpdate,
}

/// A replica that is fed with recorded messages instead of by a server. A benchmark can measure
/// decoding and applying alone with it, without a socket or a task.
///
/// ```
/// use ovsdb::{nb, schema, testing::Replay};
///
/// let schema = schema::bundled("OVN_Northbound").expect("a bundled schema");
/// let mut replay = Replay::<nb::Database>::new(&schema::DatabaseSchema::parse(schema)?);
/// let (zero, row) = (ovsdb::Uuid::nil(), ovsdb::Uuid::from_u128(1));
/// replay.receive(&format!(
///     r#"{{"id":1,"error":null,"result":[false,"{zero}",
///         {{"Logical_Switch":{{"{row}":{{"initial":{{"name":"sw0"}}}}}}}}]}}"#
/// ))?;
/// assert_eq!(replay.snapshot().rows::<nb::LogicalSwitch>().len(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Replay<D> {
    monitor: ReplicaMonitor,
    database: PhantomData<fn() -> D>,
}

impl<D> fmt::Debug for Replay<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.monitor.fmt(f)
    }
}

impl Replay<AnyDatabase> {
    /// Like [`new`](Self::new), with every table of the schema, known at run time only.
    ///
    /// ```
    /// use ovsdb::{AnyDatabase, schema, testing::Replay};
    ///
    /// let schema = schema::bundled("OVN_Northbound").expect("a bundled schema");
    /// let schema = schema::DatabaseSchema::parse(schema)?;
    /// let replay = Replay::<AnyDatabase>::any_tables(&schema);
    /// let view = replay.snapshot();
    /// assert!(view.table_names().any(|table| table == "Logical_Switch"));
    /// # Ok::<(), ovsdb::schema::SchemaError>(())
    /// ```
    #[must_use]
    pub fn any_tables(schema: &DatabaseSchema) -> Self {
        let mut tables = Tables::<AnyDatabase>::default();
        tables.add_all_named();
        Self::fed(tables, schema)
    }
}

impl<D: Database> Replay<D> {
    /// An empty replica of all generated tables, for messages of a server with this schema.
    #[must_use]
    pub fn new(schema: &DatabaseSchema) -> Self {
        let mut tables = Tables::<D>::default();
        tables.add_all();
        Self::fed(tables, schema)
    }

    fn fed(tables: Tables<D>, schema: &DatabaseSchema) -> Self {
        Self {
            monitor: tables.into_monitor(schema, MonitorVersion::MonitorCondSince),
            database: PhantomData,
        }
    }

    /// The request whose reply must be [received](Self::receive) first.
    #[must_use]
    pub fn request(&self) -> Request {
        self.monitor.request(D::NAME, 1)
    }

    /// Applies the first reply or an update, given as a whole message. The monitor's id is ignored.
    ///
    /// # Errors
    /// When the message is malformed, does not fit, or is neither an update nor the first reply. The
    /// replica is then unchanged.
    pub fn receive(&mut self, message: &str) -> Result<(), ReplayError> {
        match Message::parse(message)? {
            Message::Reply {
                outcome: Ok(result),
                ..
            } => Ok(self.monitor.start(result)?),
            Message::Notification { method, params } => {
                let Some(header) = UpdateHeader::parse(&method, params)? else {
                    return Err(ReplayError::NotAnUpdate);
                };
                let (version, last) = (header.version, header.last_txn_id);
                let now = Instant::now();
                Ok(self.monitor.update(version, last, header.updates, now)?)
            }
            _ => Err(ReplayError::NotAnUpdate),
        }
    }

    /// The replica as it is now.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot<D> {
        Snapshot::new(self.monitor.shared().state.load_full())
    }
}
