//! The monitors of a session. They outlive connections.

mod refusal;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ovsdb_schema::DatabaseSchema;
use tokio::sync::oneshot;

use self::refusal::{Backoff, Refusal};
use super::Timings;
use super::command::{ConditionReply, MonitorReply};
use super::conditions::Conditions;
use super::connection::{Arrival, Connection};
use super::job::{Applied, Decoded, Kind, Loan};
use super::pending::Waiter;
use super::server_database::SERVER_MONITOR;
use super::shown::{Shown, Unshown};
use crate::cache::{ReplicaMonitor, Shared};
use crate::error::{DisconnectReason, Disconnected, Error};
use crate::error_chain::ErrorChain;
use crate::protocol::{Clause, ErrorKind, Json, MonitorVersion, OvsdbError, Request, UpdateHeader};
use crate::value::Str;
use crate::value::json::Raw;

/// A key that stands for the schema among the keys of the monitors that a conversion waits for.
const SCHEMA: u64 = u64::MAX;

struct Entry {
    /// The replica; `None` while it is lent to a job.
    monitor: Option<Box<ReplicaMonitor>>,
    /// What handles read of the replica, also while it is lent to a job.
    shared: Arc<Shared>,
    /// The monitor's id on this connection; `None` unless it was requested.
    wire: Option<u64>,
    starter: Option<MonitorReply>,
    /// Whether the server's first reply was applied.
    active: bool,
    /// The schema that the last request was made for.
    schema: Option<Arc<DatabaseSchema>>,
    conditions: Conditions,
    refusal: Refusal,
}

/// The server from which monitors are requested, its schema, and the time.
pub(super) struct Server<'a> {
    pub(super) connection: &'a mut Connection,
    pub(super) schema: &'a Arc<DatabaseSchema>,
    pub(super) now: Instant,
    /// The time since the session was started.
    pub(super) elapsed: Duration,
}

/// All monitors.
pub(super) struct Monitors {
    database: Str,
    backoff: Backoff,
    entries: BTreeMap<u64, Entry>,
    /// Commits that replicas do not show yet.
    unshown: Unshown,
    next_key: u64,
    next_wire: u64,
}

impl Monitors {
    pub(super) fn new(database: Str, timings: &Timings) -> Self {
        Self {
            database,
            backoff: Backoff {
                min: timings.min_backoff,
                max: timings.max_backoff,
            },
            entries: BTreeMap::new(),
            unshown: Unshown::default(),
            next_key: 0,
            next_wire: SERVER_MONITOR + 1,
        }
    }

    /// Adds a monitor. It is started on this connection, if one serves, and on each later one.
    pub(super) fn add(&mut self, monitor: Box<ReplicaMonitor>, starter: MonitorReply) -> u64 {
        let key = self.next_key;
        self.next_key += 1;
        let entry = Entry {
            shared: monitor.shared().clone(),
            monitor: Some(monitor),
            wire: None,
            starter: Some(starter),
            active: false,
            schema: None,
            conditions: Conditions::default(),
            refusal: Refusal::default(),
        };
        self.entries.insert(key, entry);
        key
    }

    /// The schema was converted: stops all monitors. The server has already ended those that it started
    /// before the conversion. But a request made for the earlier schema may have reached the server
    /// after the conversion; the rows of that monitor may lack columns, so they must not be shown.
    pub(super) fn converted(&mut self, server: &mut Server<'_>) {
        self.stop_all(server, |_| true);
    }

    /// Requests every monitor that was not requested on this connection, or was requested for an
    /// outdated schema; but not [costly](Refusal::is_costly) ones. Requests are outdated if the
    /// session learns of a conversion only from the schema.
    pub(super) fn start_all(&mut self, server: &mut Server<'_>) {
        let schema = server.schema.clone();
        self.stop_all(server, |entry| entry.schema.as_deref() != Some(&*schema));
        let entries = self.entries.iter();
        let together = entries.filter(|(_, entry)| !entry.refusal.is_costly());
        let keys: Vec<u64> = together.map(|(key, _)| *key).collect();
        let restarted = if planted!(MonitorNotRestarted) && keys.len() > 1 {
            keys.len() - 1
        } else {
            keys.len()
        };
        for key in keys.into_iter().take(restarted) {
            self.start(key, server);
        }
        self.unshown.settle(SCHEMA);
    }

    /// Stops those of the requested monitors that match, and has the server end them.
    fn stop_all(&mut self, server: &mut Server<'_>, matches: impl Fn(&Entry) -> bool) {
        for entry in self.entries.values_mut() {
            if let Some(wire) = entry.wire
                && matches(entry)
            {
                entry.stop(server.now);
                cancel(server.connection, wire);
            }
        }
    }

    /// Whether the server owes the first rows of a monitor, or they are being decoded.
    pub(super) fn is_owed(&self) -> bool {
        let mut entries = self.entries.values();
        entries.any(|entry| entry.wire.is_some() && !entry.active)
    }

    /// When to request a refused monitor again.
    pub(super) fn deadline(&self) -> Option<Duration> {
        // One at a time: the server may close the connection because of the request, and the loss must
        // be attributed to the right monitor.
        let mut entries = self.entries.values();
        if entries.any(|entry| entry.refusal.is_refused() && entry.wire.is_some()) {
            return None;
        }
        // A monitor that is lent to a job is requested when the job returns it.
        let entries = self.entries.values();
        let entries = entries.filter(|entry| entry.monitor.is_some());
        entries.filter_map(|entry| entry.refusal.retry_at()).min()
    }

    /// Requests a refused monitor again, if it is due.
    pub(super) fn retry(&mut self, server: &mut Server<'_>) {
        if self.deadline().is_none_or(|at| at > server.elapsed) {
            return;
        }
        let mut entries = self.entries.iter();
        let due = entries
            .find(|(_, entry)| entry.monitor.is_some() && entry.refusal.is_due(server.elapsed));
        if let Some((&key, _)) = due {
            self.start(key, server);
        }
    }

    /// Requests a monitor, unless it was requested already. One that is lent to a job is requested when
    /// the job has ended.
    pub(super) fn start(&mut self, key: u64, server: &mut Server<'_>) {
        let Some(entry) = self.entries.get_mut(&key) else {
            return;
        };
        if entry
            .starter
            .as_ref()
            .is_some_and(oneshot::Sender::is_closed)
        {
            self.entries.remove(&key);
            return;
        }
        if entry.wire.is_none()
            && let Some(monitor) = &mut entry.monitor
        {
            entry.conditions.restart(monitor);
            if !(planted!(OldSchemaRequested) && entry.schema.is_some()) {
                monitor.apply_schema(server.schema);
            }
            entry.schema = Some(server.schema.clone());
            self.request(key, server);
        }
    }

    fn request(&mut self, key: u64, server: &mut Server<'_>) {
        let Some(entry) = self.entries.get_mut(&key) else {
            return;
        };
        let Some(monitor) = &mut entry.monitor else {
            return;
        };
        let wire = self.next_wire;
        self.next_wire += 1;
        let request = monitor.request(&self.database, wire);
        let whole_tables = matches!(request, Request::Monitor { .. });
        if let Some((table, column)) = monitor.unmet_condition() {
            return self.refused(key, &Error::ConditionColumn { table, column }, server);
        }
        if let (true, Some(table)) = (whole_tables, monitor.conditional_table()) {
            return self.refused(key, &Error::ConditionsNotSupported(table), server);
        }
        entry.wire = Some(wire);
        monitor.begin_request(wire, server.now);
        if planted!(CurrentTooEarly) {
            entry.shared.set_current(wire);
        }
        let waiter = Waiter::Monitor { key, wire };
        server.connection.send_request(waiter, &request);
    }

    /// The monitor cannot be started, because of a condition that was to change or for another
    /// reason.
    fn refused(&mut self, key: u64, error: &Error, server: &mut Server<'_>) {
        let (backoff, database) = (self.backoff, self.database.clone());
        let Some(entry) = self.entries.get_mut(&key) else {
            return;
        };
        entry.wire = None;
        if let Error::ConditionColumn { table, .. } = error
            && !entry.conditions.changes(table)
        {
            entry.conditions.keep(error);
        }
        if let Some(monitor) = &mut entry.monitor
            && entry.conditions.refused(monitor, error)
        {
            // The new condition may be the reason: request the monitor with the earlier ones.
            monitor.apply_schema(server.schema);
            return self.request(key, server);
        }
        if let Some(starter) = entry.starter.take() {
            let _ = starter.send(Err(error.clone()));
            self.entries.remove(&key);
            return;
        }
        match error {
            Error::ConditionColumn { .. } | Error::ConditionsNotSupported(_) => {
                entry.refusal.refuse();
            }
            _ => entry.refusal.refuse_for_now(server.elapsed, backoff),
        }
        entry.report_refusal(&database, error, server.now);
        self.unshown.settle(key);
    }

    /// Changes the condition of a table: at once, after the change in flight, or with the next request for
    /// the monitor.
    pub(super) fn set_condition(
        &mut self,
        key: u64,
        table: Str,
        clauses: Vec<Clause>,
        reply: ConditionReply,
        server: Option<&mut Server<'_>>,
    ) {
        if let Some(entry) = self.entries.get_mut(&key) {
            let version = entry.monitor.as_ref().map(|monitor| monitor.version);
            if entry.active && version == Some(MonitorVersion::Monitor) {
                let _ = reply.send(Err(Error::ConditionsNotSupported(table)));
                return;
            }
            entry.conditions.set(table, clauses, reply);
            if let Some(server) = server {
                entry.send_conditions(key, server.connection);
                if entry.refusal.is_refused() {
                    // The replaced condition may be why the monitor was refused.
                    self.start(key, server);
                }
            }
        } else {
            // The cache still exists, but its monitor was lost to a panic.
            let lost = Disconnected::new(DisconnectReason::DecoderPanicked);
            let _ = reply.send(Err(lost.into()));
        }
    }

    /// The server's reply to a change of conditions. The rows of the new conditions came before it.
    pub(super) fn conditions_answered(
        &mut self,
        key: u64,
        wire: u64,
        outcome: Result<Raw<'_>, OvsdbError>,
        connection: &mut Connection,
    ) {
        let asked = |entry: &&mut Entry| entry.wire == Some(wire);
        let Some(entry) = self.entries.get_mut(&key).filter(asked) else {
            return;
        };
        let Some(monitor) = &mut entry.monitor else {
            return;
        };
        match outcome {
            Ok(_) => entry.conditions.acknowledged(monitor),
            Err(error) => {
                entry.conditions.refused(monitor, &error.into());
                monitor.acknowledge();
            }
        }
        entry.send_conditions(key, connection);
    }

    /// The last handle of the monitor was dropped.
    pub(super) fn end(&mut self, key: u64, connection: Option<&mut Connection>) {
        let wire = self.entries.remove(&key).and_then(|entry| entry.wire);
        self.unshown.settle(key);
        if let (Some(connection), Some(wire)) = (connection, wire) {
            cancel(connection, wire);
        }
    }

    /// The server has ended a monitor, because the schema of its database was converted or the database
    /// was removed.
    pub(super) fn canceled(&mut self, wire: u64, now: Instant) {
        if planted!(CancelIgnored) {
            return;
        }
        if let Some(entry) = self
            .entries
            .values_mut()
            .find(|entry| entry.wire == Some(wire))
        {
            entry.stop(now);
        }
    }

    /// The reply to a transaction, or to a conversion of the schema, has come. Returns what its caller
    /// must wait for, if a replica does not show the change yet. A replica that is being started for
    /// the first time has no readers, so nothing waits for it.
    pub(super) fn committed(&mut self, conversion: bool) -> Option<Shown> {
        if planted!(CommitNotShown) {
            return None;
        }
        let entries = self.entries.iter();
        let unshown = entries.filter(|(_, entry)| {
            // A refused monitor is not waited for, unless it was requested again.
            let is_coming = entry.wire.is_some() || !entry.refusal.is_refused();
            !entry.active && entry.starter.is_none() && is_coming
        });
        let unshown = unshown.map(|(key, _)| *key);
        let unshown = unshown.chain(conversion.then_some(SCHEMA)).collect();
        self.unshown.add(unshown)
    }

    /// The connection is lost. `blame` says whether a monitor may have caused that.
    pub(super) fn lost(
        &mut self,
        lost: &Disconnected,
        blame: bool,
        now: Instant,
        elapsed: Duration,
    ) {
        self.unshown.release();
        let (backoff, database) = (self.backoff, self.database.clone());
        self.entries.retain(|_, entry| {
            let asked = entry.wire.is_some() && entry.monitor.is_some() && !entry.active;
            entry.stop(now);
            if !(blame && asked && entry.refusal.lost()) {
                return true;
            }
            let error = Error::Disconnected(lost.clone());
            if let Some(starter) = entry.starter.take() {
                let _ = starter.send(Err(error));
                return false;
            }
            entry.refusal.refuse_for_now(elapsed, backoff);
            entry.report_refusal(&database, &error, now);
            true
        });
    }

    /// Tells all callers that wait for a monitor or for a condition that the session has ended.
    pub(super) fn fail(&mut self, lost: &Disconnected) {
        for entry in self.entries.values_mut() {
            entry.fail(lost);
        }
        self.entries.clear();
        self.unshown.release();
    }

    /// Decoding a message panicked or was cancelled, and the monitor is lost: ends that monitor, and tells
    /// the callers that wait for it.
    pub(super) fn discard_lent(&mut self, lost: &Disconnected) {
        self.entries.retain(|_, entry| {
            let is_lent = entry.monitor.is_none();
            if is_lent {
                entry.fail(lost);
            }
            !is_lent
        });
    }

    /// Applies an update to the monitor it is for, if there is one.
    pub(super) fn update(
        &mut self,
        wire: u64,
        message: &Arrival,
        header: &UpdateHeader<'_>,
    ) -> Option<Applied> {
        let is_dropped = |text: &str| text.contains("insert") && !text.contains("modify");
        if planted!(UpdateLost) && is_dropped(header.updates.text) {
            return None;
        }
        let (key, entry) = self
            .entries
            .iter_mut()
            .find(|(_, entry)| entry.wire == Some(wire))?;
        let monitor = entry.monitor.take()?;
        let key = *key;
        Some(Loan { key, wire, monitor }.update(message, header))
    }

    /// The server's reply to the request for a monitor.
    pub(super) fn reply(
        &mut self,
        key: u64,
        wire: u64,
        message: &Arrival,
        outcome: Result<Raw<'_>, OvsdbError>,
        server: &mut Server<'_>,
    ) -> Option<Applied> {
        let asked = |entry: &&mut Entry| entry.wire == Some(wire);
        let entry = self.entries.get_mut(&key).filter(asked)?;
        let mut monitor = entry.monitor.take()?;
        let error = match outcome {
            Ok(result) => {
                let loan = Loan { key, wire, monitor };
                return Some(loan.start(message, result));
            }
            Err(error) => error,
        };
        let older = monitor.version.older();
        let older = older.filter(|_| error.kind() == ErrorKind::UnknownMethod);
        monitor.version = older.unwrap_or(monitor.version);
        entry.monitor = Some(monitor);
        match older {
            Some(_) => self.request(key, server),
            None => self.refused(key, &error.into(), server),
        }
        None
    }

    /// Takes a monitor back after a message was applied to it or could not be.
    pub(super) fn decoded(
        &mut self,
        now: Instant,
        decoded: Decoded,
        mut server: Option<&mut Server<'_>>,
    ) {
        let Loan {
            key,
            wire,
            mut monitor,
        } = decoded.loan;
        // Without an entry, the monitor was ended meanwhile, and the server was informed.
        let Some(entry) = self.entries.get_mut(&key) else {
            return;
        };
        let starts = matches!(decoded.kind, Kind::Start);
        // False if the connection that the message came from was lost, or the monitor has been stopped
        // since.
        let current = entry.wire == Some(wire);
        match decoded.applied {
            Ok(()) => {
                if current && starts {
                    entry.active = true;
                    entry.refusal.started();
                    self.unshown.settle(key);
                    entry.conditions.acknowledged(&mut monitor);
                }
                entry.monitor = Some(monitor);
                if starts
                    && let Some(starter) = entry.starter.take()
                    && starter.send(Ok(key)).is_err()
                {
                    // The caller that started the monitor no longer waits, so no guard exists that
                    // would end it.
                    self.end(key, server.map(|server| &mut *server.connection));
                    return;
                }
            }
            Err(error) => {
                monitor.forget();
                entry.monitor = Some(monitor);
                if let Some(starter) = entry.starter.take() {
                    let _ = starter.send(Err(error.into()));
                    self.end(key, server.map(|server| &mut *server.connection));
                    return;
                }
                if current && let Some(server) = server.as_deref_mut() {
                    cancel(server.connection, wire);
                    if starts {
                        // All rows were fetched just now; fetching them again at once would give the
                        // same error.
                        return self.refused(key, &error.into(), server);
                    }
                }
                entry.shared.set_stale(0, now);
                tracing::warn!(
                    database = &*self.database,
                    error = %ErrorChain::new(&error),
                    "an update does not fit the replica; fetching all rows again"
                );
                if current {
                    entry.stop(now);
                }
            }
        }
        let Some(server) = server else {
            return;
        };
        if let Some(entry) = self.entries.get_mut(&key) {
            entry.send_conditions(key, server.connection);
        }
        self.start(key, server);
    }
}

impl Entry {
    /// Tells the callers that wait for the monitor or for a condition why it has ended.
    fn fail(&mut self, lost: &Disconnected) {
        if let Some(starter) = self.starter.take() {
            let _ = starter.send(Err(lost.clone().into()));
        }
        self.conditions.fail(lost);
    }

    /// Sends the wanted change of conditions, if any.
    fn send_conditions(&mut self, key: u64, connection: &mut Connection) {
        let (Some(monitor), Some(wire), true) = (&mut self.monitor, self.wire, self.active) else {
            return;
        };
        if monitor.version == MonitorVersion::Monitor {
            // These conditions were set before the server's reply showed that it knows only the plain
            // `monitor`.
            self.conditions.refuse_wanted();
            return;
        }
        if let Some(request) = self.conditions.next(monitor, wire) {
            // Until the server has answered, the replica may have rows of the old and of the new
            // condition.
            monitor.begin_change();
            connection.send_request(Waiter::Conditions { key, wire }, &request);
        }
    }

    fn stop(&mut self, now: Instant) {
        self.wire = None;
        self.active = false;
        self.conditions.lost();
        if !self.refusal.is_costly() && !planted!(StaleNotMarked) {
            self.shared.set_stale(0, now);
        }
    }

    /// Makes the cache report why it cannot follow the server.
    fn report_refusal(&self, database: &str, error: &Error, now: Instant) {
        if self.shared.set_refused(Arc::new(error.clone()), now) {
            tracing::warn!(
                database,
                tables = ?self.shared.tables(),
                error = %ErrorChain::new(error),
                "a cache is stale: its monitor cannot be started"
            );
        }
    }
}

fn cancel(connection: &mut Connection, wire: u64) {
    connection.send_request(
        Waiter::None,
        &Request::MonitorCancel {
            id: Json::from(wire),
        },
    );
}
