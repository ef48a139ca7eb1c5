//! A monitor: the tables of one replica as the session keeps them.

use std::any::TypeId;
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use ovsdb_schema::{AtomicType, BaseType, ColumnSchema, ColumnType, DatabaseSchema};

use super::plan::VERSION;
use super::shared::Shared;
use super::skew::{Skew, SkewReport};
use super::state::{Registry, State};
use super::subscription::Step;
use super::table::{ApplyError, ApplyErrorReason, Form, TableReplica};
use crate::protocol::{Clause, Json, MonitorRequests, MonitorVersion, Request, Wire};
use crate::value::json::{DecodeError, Raw, Reader};
use crate::value::{Repeats, Str, Uuid};

/// The replica of one monitor. The session owns it, and lends it to a decoding thread for long
/// messages.
///
/// It outlives connections: [`start`](Self::start) applies the first reply on each of them. Before a
/// monitor is requested on a new connection or for a new schema, the session calls
/// [`apply_schema`](Self::apply_schema); when it is requested, [`begin_request`](Self::begin_request);
/// when the connection is lost, [`Shared::set_stale`]; when the replica may differ from the server's
/// rows, [`forget`](Self::forget).
pub(crate) struct ReplicaMonitor {
    tables: Vec<TableReplica>,
    shared: Arc<Shared>,
    repeats: Repeats,
    /// Whether every table of the server's schema is added, also those that appear later.
    pub(super) all_tables: bool,
    /// Whether rows have their version: as a column in tables known at run time only, beside the
    /// columns in others.
    pub(super) row_versions: bool,
    compiled_version: Option<&'static str>,
    /// The newest monitor method that may be tried.
    newest: MonitorVersion,
    /// The monitor method of the current request, or of the next one.
    pub(crate) version: MonitorVersion,
    last_txn_id: Uuid,
    /// The request that `last_txn_id` belongs to. Resuming with any other request would miss rows.
    acknowledged: Option<MonitorRequests>,
    /// Whether the replica ever had all rows.
    started: bool,
    /// Whether the columns of rows changed, or tables were added, since the last start of the monitor.
    reshaped: bool,
    /// The skew at the last start of the monitor.
    started_skew: Arc<SkewReport>,
    /// The id of the last request.
    request: u64,
    /// Whether a message is being decoded. A monitor that is dropped then was lost to a panic.
    pub(crate) is_decoding: bool,
}

impl fmt::Debug for ReplicaMonitor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplicaMonitor")
            .field("tables", &self.tables.len())
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

impl Drop for ReplicaMonitor {
    fn drop(&mut self) {
        self.shared.end(self.is_decoding);
    }
}

impl ReplicaMonitor {
    /// A replica of these tables, with the server's schema applied.
    pub(super) fn new(
        mut tables: Vec<TableReplica>,
        types: &[Option<TypeId>],
        schema: &DatabaseSchema,
        compiled_version: Option<&'static str>,
        newest: MonitorVersion,
    ) -> Self {
        let (report, _) = fit(&mut tables, schema, compiled_version);
        let names = tables.iter().map(|table| table.table().clone()).collect();
        let state = State {
            registry: Arc::new(Registry::new(types, names)),
            tables: tables.iter().map(TableReplica::published).collect(),
            last_txn_id: Uuid::nil(),
        };
        let shared = Arc::new(Shared::new(state, report, newest, &schema.name));
        Self {
            tables,
            started_skew: shared.skew.load_full(),
            shared,
            repeats: Repeats::default(),
            all_tables: false,
            row_versions: false,
            compiled_version,
            newest,
            version: newest,
            last_txn_id: Uuid::nil(),
            acknowledged: None,
            started: false,
            reshaped: false,
            request: 0,
            is_decoding: false,
        }
    }

    pub(crate) const fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Applies the server's schema to the tables, and begins with the newest monitor method again. The
    /// rows stay as they are until [`start`](Self::start).
    pub(crate) fn apply_schema(&mut self, schema: &DatabaseSchema) {
        self.version = self.newest;
        if self.all_tables {
            let more = new_tables(&self.tables, schema);
            self.reshaped |= !more.is_empty();
            self.tables.extend(more);
        }
        let fitting = fitting(schema, self.row_versions);
        let (report, reshaped) = fit(&mut self.tables, &fitting, self.compiled_version);
        if reshaped {
            self.reshaped = true;
            // The server's next rows will have other columns than those in the replica.
            self.forget();
        }
        if report != **self.shared.skew.load() {
            report.log(&schema.name);
        }
        self.shared.skew.store(Arc::new(report));
    }

    /// Forgets the last transaction id, so that the server sends all rows again.
    pub(crate) fn forget(&mut self) {
        self.last_txn_id = Uuid::nil();
        self.acknowledged = None;
    }

    /// The monitor is requested under this id. A successful [`start`](Self::start) then makes the
    /// replica current, unless it became [stale](Shared::set_stale) again before.
    pub(crate) fn begin_request(&mut self, id: u64, now: Instant) {
        self.request = id;
        self.shared.set_stale(id, now);
    }

    /// Whether both the replica and the server have the table.
    pub(crate) fn has(&self, table: &str) -> bool {
        let mut tables = self.tables.iter();
        tables.any(|known| *known.table() == table && known.exists_on_server())
    }

    /// Changes the condition of a table, and returns the earlier one.
    pub(crate) fn set_condition(
        &mut self,
        table: &str,
        condition: Option<Vec<Clause>>,
    ) -> Option<Vec<Clause>> {
        let mut tables = self.tables.iter_mut();
        let table = tables.find(|known| *known.table() == table)?;
        table.set_condition(condition)
    }

    /// The replica has exactly the rows that its conditions select, so it can be resumed with them.
    pub(crate) fn acknowledge(&mut self) {
        self.acknowledged = Some(self.requests());
    }

    /// A change of the conditions was sent. Until it is [acknowledged](Self::acknowledge), the replica
    /// may have rows of the old or of the new conditions, so it cannot be resumed with either.
    pub(crate) fn begin_change(&mut self) {
        self.acknowledged = None;
    }

    /// A table with a condition, which the plain `monitor` method does not support.
    pub(crate) fn conditional_table(&self) -> Option<Str> {
        self.tables
            .iter()
            .find(|table| table.conditions().is_some())
            .map(|table| table.table().clone())
    }

    /// A table whose condition needs a column that the server's schema lacks, and that column.
    pub(crate) fn unmet_condition(&self) -> Option<(Str, Str)> {
        let report = self.shared.skew.load();
        report.differences.iter().find_map(|skew| match skew {
            Skew::Condition { table, column } => Some((table.clone(), column.clone())),
            _ => None,
        })
    }

    /// The request that starts the monitor.
    pub(crate) fn request(&self, database: &str, id: u64) -> Request {
        let (database, id) = (Str::from(database), Json::from(id));
        let requests = self.requests();
        let last_txn_id = self.resume_from(&requests);
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
                last_txn_id,
            },
        }
    }

    fn requests(&self) -> MonitorRequests {
        self.tables
            .iter()
            .filter(|table| table.exists_on_server())
            .map(|table| (table.table().clone(), vec![table.request()]))
            .collect()
    }

    /// The transaction from which the server can resume; nil when it must send all rows.
    fn resume_from(&self, requests: &MonitorRequests) -> Uuid {
        // Row versions belong to one run of one server. Rows that are not sent again would keep
        // outdated versions.
        let any = planted!(ResumedWithOtherCondition) && self.acknowledged.is_some();
        if any || !self.row_versions && self.acknowledged.as_ref() == Some(requests) {
            self.last_txn_id
        } else {
            Uuid::nil()
        }
    }

    /// Applies the first reply of a monitor, and publishes the differences from the replica: all
    /// rows the first time, and nothing if nothing has changed meanwhile.
    ///
    /// After an error the replica is unchanged, and has [forgotten](Self::forget) its last transaction.
    pub(crate) fn start(&mut self, result: Raw<'_>) -> Result<(), ApplyError> {
        let requests = self.requests();
        let resumed = !self.resume_from(&requests).is_nil();
        let mut reader = Reader::of(result).sharing(&mut self.repeats);
        let applied = read_start(&mut self.tables, &mut reader, self.version, resumed);
        self.settle(applied, result.text.len())?;
        self.acknowledged = Some(requests);
        self.shared.set_version(self.version);
        self.shared.set_current(self.request);
        Ok(())
    }

    /// Applies the changes of an update, in the form of `version`, and publishes the result.
    /// `last_txn_id` is the id of the update's transaction, where the update names it. `arrived` is
    /// when its last byte came, for the statistics.
    pub(crate) fn update(
        &mut self,
        version: MonitorVersion,
        last_txn_id: Option<Uuid>,
        updates: Raw<'_>,
        arrived: Instant,
    ) -> Result<(), ApplyError> {
        let mut reader = Reader::of(updates).sharing(&mut self.repeats);
        let applied = read_update(&mut self.tables, &mut reader, version)
            .map(|()| (last_txn_id.unwrap_or(self.last_txn_id), Applied::Update));
        self.settle(applied, updates.text.len())?;
        self.shared.set_lag(arrived.elapsed());
        Ok(())
    }

    /// Publishes what was applied, all tables at once; after an error, nothing.
    fn settle(
        &mut self,
        applied: Result<(Uuid, Applied), ApplyError>,
        bytes: usize,
    ) -> Result<(), ApplyError> {
        let applied = match applied {
            Ok((last_txn_id, applied)) => {
                if !(planted!(TransactionIdKept) && applied == Applied::Update) {
                    self.last_txn_id = last_txn_id;
                }
                applied
            }
            Err(error) => {
                for table in &mut self.tables {
                    table.roll_back();
                }
                self.forget();
                return Err(error);
            }
        };
        let start = applied != Applied::Update;
        let before = self.shared.state.load_full();
        let mut tables = before.tables.clone();
        let mut registry = before.registry.clone();
        if let Some(more @ [_, ..]) = self.tables.get(tables.len()..) {
            let states = more.iter().map(TableReplica::published);
            tables = tables.iter().cloned().chain(states).collect();
            registry = Arc::new(registry.with(more.iter().map(|table| table.table().clone())));
        }
        for (table, published) in self.tables.iter_mut().zip(&mut tables) {
            if let Some(state) = table.publish() {
                *published = state;
            }
        }
        let skew = self.shared.skew.load_full();
        let schema_change = start && (skew != self.started_skew || self.reshaped);
        // Counted before the streams get the state, since their readers may read the counters.
        let counters = &self.shared.counters;
        counters.transactions.add(1);
        counters.bytes.add(bytes);
        let again = applied == Applied::AllRows && self.started;
        counters.resyncs.add(usize::from(again));
        self.shared.publish(&Step {
            state: Arc::new(State {
                registry,
                tables,
                last_txn_id: self.last_txn_id,
            }),
            transactions: 1,
            resync: start && self.started,
            schema_change,
            bytes,
        });
        #[cfg(feature = "metrics")]
        counters.set_rows(self.shared.state.load().len());
        if start {
            self.started = true;
            self.started_skew = skew;
            self.reshaped = false;
        }
        Ok(())
    }
}

/// What kind of message was applied to the working tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Applied {
    /// An update.
    Update,
    /// The first reply of a monitor, with the changes since the replica's last transaction.
    Resumed,
    /// The first reply of a monitor, with all rows.
    AllRows,
}

/// Applies the first reply of a monitor to the working tables. Returns the id of the transaction that
/// the reply ends with, nil where it names none, and the kind of the reply.
fn read_start(
    tables: &mut [TableReplica],
    reader: &mut Reader<'_>,
    version: MonitorVersion,
    resumed: bool,
) -> Result<(Uuid, Applied), ApplyError> {
    if version != MonitorVersion::MonitorCondSince {
        begin_fresh(tables);
        let form = if version == MonitorVersion::Monitor {
            Form::Update
        } else {
            Form::Update2
        };
        read_tables(tables, reader, form)?;
        reader.end().map_err(malformed)?;
        return Ok((Uuid::nil(), Applied::AllRows));
    }
    let (found, last) = since_reply(reader).map_err(malformed)?;
    let applied = if found && resumed {
        Applied::Resumed
    } else {
        begin_fresh(tables);
        Applied::AllRows
    };
    if planted!(ResumedChangesLost) && applied == Applied::Resumed {
        return Ok((last, applied));
    }
    read_tables(tables, reader, Form::Update2)?;
    let end = reader.finish().and_then(|()| reader.end());
    end.map_err(malformed)?;
    Ok((last, applied))
}

fn begin_fresh(tables: &mut [TableReplica]) {
    for table in tables {
        table.begin_fresh();
    }
}

/// Applies the changes of an update to the working tables.
fn read_update(
    tables: &mut [TableReplica],
    reader: &mut Reader<'_>,
    version: MonitorVersion,
) -> Result<(), ApplyError> {
    let form = if version == MonitorVersion::Monitor {
        Form::Update
    } else {
        Form::Update2
    };
    read_tables(tables, reader, form)?;
    reader.end().map_err(malformed)
}

/// Applies the parts of a message, table by table.
fn read_tables(
    tables: &mut [TableReplica],
    reader: &mut Reader<'_>,
    form: Form,
) -> Result<(), ApplyError> {
    reader.object().map_err(malformed)?;
    while let Some(name) = reader.key().map_err(malformed)? {
        let Some(table) = tables.iter_mut().find(|table| *table.table() == *name) else {
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

/// Reads the reply to `monitor_cond_since` up to its updates: whether the server resumes from the
/// requested transaction, and the last transaction's id.
fn since_reply(reader: &mut Reader<'_>) -> Result<(bool, Uuid), DecodeError> {
    reader.array()?;
    reader.demand("a boolean: whether the server found the transaction")?;
    let found = reader.boolean()?;
    reader.demand("a transaction id")?;
    let last = Uuid::read(reader)?;
    reader.demand("updates")?;
    Ok((found, last))
}

/// The tables of a schema that are not among these, as tables known at run time only.
pub(super) fn new_tables(tables: &[TableReplica], schema: &DatabaseSchema) -> Vec<TableReplica> {
    let known = |name: &str| tables.iter().any(|table| *table.table() == name);
    let names = schema.tables.keys().filter(|name| !known(name));
    names
        .map(|name| TableReplica::named(Str::from(name)))
        .collect()
}

/// The schema that tables are fitted to. With `row_versions`, each table has the column `_version`,
/// which servers do not list in their schema.
pub(super) fn fitting(schema: &DatabaseSchema, row_versions: bool) -> Cow<'_, DatabaseSchema> {
    let mut schema = Cow::Borrowed(schema);
    if row_versions {
        for table in schema.to_mut().tables.values_mut() {
            let uuid = ColumnType::scalar(BaseType::new(AtomicType::Uuid));
            let version = ColumnSchema::new(uuid);
            table.columns.insert(VERSION.to_owned(), version);
        }
    }
    schema
}

/// Fits the tables to the server's schema. Returns how the schema differs, and whether the columns of
/// any rows changed.
fn fit(
    tables: &mut [TableReplica],
    schema: &DatabaseSchema,
    compiled_version: Option<&str>,
) -> (SkewReport, bool) {
    let mut reshaped = false;
    let mut report = SkewReport {
        server_version: schema.version.clone(),
        compiled_version: compiled_version.map(str::to_owned),
        differences: Vec::new(),
    };
    for table in tables {
        reshaped |= table.fit(schema, &mut report);
    }
    (report, reshaped)
}

/// The error for a message that is malformed outside any table.
fn malformed(error: DecodeError) -> ApplyError {
    ApplyError {
        table: Str::default(),
        row: None,
        column: None,
        reason: ApplyErrorReason::Decode(error),
    }
}
