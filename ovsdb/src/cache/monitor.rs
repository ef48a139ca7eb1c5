//! A monitor: the tables of one replica as the session keeps them.

use std::any::TypeId;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use ovsdb_schema::DatabaseSchema;

use super::skew::SkewReport;
use super::snapshot::State;
use super::table::{ApplyError, ApplyErrorReason, Form, TableReplica};
use crate::protocol::{Json, MonitorRequests, Request, Wire};
use crate::value::json::{DecodeError, Raw, Reader};
use crate::value::{Str, Strings, Uuid};

/// The ways to monitor, oldest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MonitorVersion {
    /// `monitor` of RFC 7047: whole tables.
    Monitor,
    /// `monitor_cond`: conditions, and changes as differences.
    MonitorCond,
    /// `monitor_cond_since`: can be resumed.
    MonitorCondSince,
}

impl MonitorVersion {
    /// The version to try when a server does not know this one.
    pub(crate) const fn older(self) -> Option<Self> {
        match self {
            Self::Monitor => None,
            Self::MonitorCond => Some(Self::Monitor),
            Self::MonitorCondSince => Some(Self::MonitorCond),
        }
    }
}

/// What the handles and the session share of a replica.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(super) state: ArcSwap<State>,
}

/// The replica behind a monitor. The session owns it, and lends it to whoever decodes.
pub(crate) struct ReplicaMonitor {
    tables: Vec<Box<dyn TableReplica>>,
    shared: Arc<Shared>,
    strings: Strings,
    /// How this monitor was, or is being, asked for.
    pub(crate) version: MonitorVersion,
    last_txn_id: Uuid,
    report: SkewReport,
}

impl fmt::Debug for ReplicaMonitor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplicaMonitor")
            .field("tables", &self.tables.len())
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

impl ReplicaMonitor {
    /// A replica of these tables, with the report of how the server's schema differs from them.
    pub(super) fn new(
        mut tables: Vec<Box<dyn TableReplica>>,
        types: &[TypeId],
        schema: &DatabaseSchema,
        compiled_version: Option<&str>,
        version: MonitorVersion,
    ) -> Self {
        let mut report = SkewReport {
            server_version: schema.version.clone(),
            compiled_version: compiled_version.map(str::to_owned),
            differences: Vec::new(),
        };
        for table in &mut tables {
            table.fit(schema, &mut report);
        }
        let registry: HashMap<_, _> = types.iter().copied().zip(0..).collect();
        let state = State {
            registry: Arc::new(registry),
            tables: tables.iter().map(|table| table.published()).collect(),
            last_txn_id: Uuid::nil(),
        };
        Self {
            tables,
            shared: Arc::new(Shared {
                state: ArcSwap::from_pointee(state),
            }),
            strings: Strings::default(),
            version,
            last_txn_id: Uuid::nil(),
            report,
        }
    }

    pub(crate) const fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    pub(crate) const fn report(&self) -> &SkewReport {
        &self.report
    }

    /// A table with a condition, which the plain `monitor` cannot honour.
    pub(crate) fn conditional_table(&self) -> Option<&'static str> {
        self.tables
            .iter()
            .find(|table| table.conditions().is_some())
            .map(|table| table.table())
    }

    /// The request that starts the monitor.
    pub(crate) fn request(&self, database: &str, id: u64) -> Request {
        let (database, id) = (Str::from(database), Json::from(id));
        let requests: MonitorRequests = self
            .tables
            .iter()
            .filter(|table| table.is_there())
            .map(|table| (Str::from(table.table()), vec![table.request()]))
            .collect();
        match self.version {
            MonitorVersion::Monitor => Request::Monitor {
                database,
                id,
                requests,
            },
            MonitorVersion::MonitorCond => Request::MonitorCond {
                database,
                id,
                requests,
            },
            MonitorVersion::MonitorCondSince => Request::MonitorCondSince {
                database,
                id,
                requests,
                last_txn_id: self.last_txn_id,
            },
        }
    }

    /// Applies the reply that started the monitor, and publishes it.
    pub(crate) fn start(&mut self, result: Raw<'_>) -> Result<(), ApplyError> {
        let mut strings = std::mem::take(&mut self.strings);
        let mut reader = Reader::of(result).sharing(&mut strings);
        let applied = self.read_start(&mut reader);
        self.strings = strings;
        self.settle(applied)
    }

    fn read_start(&mut self, reader: &mut Reader<'_>) -> Result<Uuid, ApplyError> {
        match self.version {
            MonitorVersion::Monitor => self.updates(reader, Form::Update)?,
            MonitorVersion::MonitorCond => self.updates(reader, Form::Update2)?,
            MonitorVersion::MonitorCondSince => {
                let envelope = |reader: &mut Reader<'_>| {
                    reader.array()?;
                    reader.demand("whether the transaction was found")?;
                    reader.boolean()?;
                    reader.demand("a transaction id")?;
                    let last = Uuid::read(reader)?;
                    reader.demand("updates")?;
                    Ok(last)
                };
                let last = envelope(reader).map_err(malformed)?;
                self.updates(reader, Form::Update2)?;
                reader.finish().map_err(malformed)?;
                return Ok(last);
            }
        }
        Ok(Uuid::nil())
    }

    /// Applies the parameters of an `update`, `update2` or `update3` behind the monitor's id, and
    /// publishes the result.
    pub(crate) fn update(&mut self, method: &str, params: Raw<'_>) -> Result<(), ApplyError> {
        let mut strings = std::mem::take(&mut self.strings);
        let mut reader = Reader::of(params).sharing(&mut strings);
        let applied = self.read_update(method, &mut reader);
        self.strings = strings;
        self.settle(applied)
    }

    fn read_update(&mut self, method: &str, reader: &mut Reader<'_>) -> Result<Uuid, ApplyError> {
        let mut last = self.last_txn_id;
        let mut envelope = |reader: &mut Reader<'_>| {
            reader.array()?;
            reader.demand("a monitor's id")?;
            reader.skip()?;
            if method == "update3" {
                reader.demand("a transaction id")?;
                last = Uuid::read(reader)?;
            }
            reader.demand("updates")
        };
        envelope(reader).map_err(malformed)?;
        let form = if method == "update" {
            Form::Update
        } else {
            Form::Update2
        };
        self.updates(reader, form)?;
        reader.finish().map_err(malformed)?;
        Ok(last)
    }

    fn updates(&mut self, reader: &mut Reader<'_>, form: Form) -> Result<(), ApplyError> {
        reader.object().map_err(malformed)?;
        while let Some(name) = reader.key().map_err(malformed)? {
            let table = self.tables.iter_mut().find(|table| table.table() == name);
            let Some(table) = table else {
                let reason = ApplyErrorReason::UnknownTable;
                return Err(ApplyError {
                    table: Str::from(name),
                    row: None,
                    column: None,
                    reason,
                });
            };
            table.apply(reader, form)?;
        }
        Ok(())
    }

    /// Publishes what was applied, all tables at once; or nothing of it, if it failed.
    fn settle(&mut self, applied: Result<Uuid, ApplyError>) -> Result<(), ApplyError> {
        match applied {
            Ok(last_txn_id) => self.last_txn_id = last_txn_id,
            Err(error) => {
                for table in &mut self.tables {
                    table.roll_back();
                }
                return Err(error);
            }
        }
        let before = self.shared.state.load();
        let mut tables = before.tables.clone();
        for (table, published) in self.tables.iter_mut().zip(&mut tables) {
            if let Some(state) = table.publish() {
                *published = state;
            }
        }
        self.shared.state.store(Arc::new(State {
            registry: before.registry.clone(),
            tables,
            last_txn_id: self.last_txn_id,
        }));
        Ok(())
    }
}

/// A message that was malformed outside any table.
fn malformed(error: DecodeError) -> ApplyError {
    ApplyError {
        table: Str::default(),
        row: None,
        column: None,
        reason: ApplyErrorReason::Decode(error),
    }
}
