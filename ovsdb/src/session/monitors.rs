//! The monitors of a session, through every connection that it has.

use std::collections::BTreeMap;
use std::sync::Arc;

use ovsdb_schema::DatabaseSchema;
use tokio::sync::oneshot;

use super::conditions::{self, Conditions};
use super::job::{Applied, Job};
use super::link::{Arrival, Link};
use super::pending::Waiter;
use super::server_database::SERVER_MONITOR;
use super::shown::{Shown, Unshown};
use crate::cache::{MonitorVersion, ReplicaMonitor, Shared};
use crate::error::{DisconnectReason, Disconnected, Error};
use crate::error_chain::ErrorChain;
use crate::protocol::{Clause, ErrorKind, Json, OvsdbError, Request};
use crate::value::json::Raw;

/// Who started a monitor, and waits for its rows.
pub(super) type Starter = oneshot::Sender<Result<(u64, MonitorVersion), Error>>;

struct Entry {
    /// The replica; `None` while a job has it.
    monitor: Option<Box<ReplicaMonitor>>,
    /// What the handles see of it, also while a job has it.
    shared: Arc<Shared>,
    /// The id under which this connection's server was asked for it.
    wire: Option<u64>,
    starter: Option<Starter>,
    /// Whether the server's reply is applied.
    active: bool,
    /// The schema that the monitor was last asked for by.
    schema: Option<Arc<DatabaseSchema>>,
    conditions: Conditions,
}

/// All monitors.
pub(super) struct Monitors {
    database: &'static str,
    entries: BTreeMap<u64, Entry>,
    /// Commits that replicas do not show yet.
    unshown: Unshown,
    next_key: u64,
    next_wire: u64,
}

impl Monitors {
    pub(super) fn new(database: &'static str) -> Self {
        Self {
            database,
            entries: BTreeMap::new(),
            unshown: Unshown::default(),
            next_key: 0,
            next_wire: SERVER_MONITOR + 1,
        }
    }

    /// Takes a monitor over; it is started on every connection from now on.
    pub(super) fn add(&mut self, monitor: Box<ReplicaMonitor>, starter: Starter) -> u64 {
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
        };
        self.entries.insert(key, entry);
        key
    }

    /// Asks the server for every monitor that it was not asked for, or was asked for by another
    /// schema: between two conversions in a row a monitor can be asked for by the first one's
    /// schema when the second is in force already.
    pub(super) fn start_all(
        &mut self,
        link: &mut Link,
        schema: &Arc<DatabaseSchema>,
    ) -> Result<(), DisconnectReason> {
        for entry in self.entries.values_mut() {
            let fits = entry.schema.as_ref().is_some_and(|of| **of == **schema);
            if let (Some(wire), false) = (entry.wire, fits) {
                entry.stop();
                cancel(link, wire);
            }
        }
        let keys: Vec<u64> = self.entries.keys().copied().collect();
        keys.into_iter()
            .try_for_each(|key| self.start(key, link, schema))
    }

    /// Asks the server for a monitor, unless it was asked, or a job has the replica: then the
    /// job's end will.
    pub(super) fn start(
        &mut self,
        key: u64,
        link: &mut Link,
        schema: &Arc<DatabaseSchema>,
    ) -> Result<(), DisconnectReason> {
        let Some(entry) = self.entries.get_mut(&key) else {
            return Ok(());
        };
        if entry
            .starter
            .as_ref()
            .is_some_and(oneshot::Sender::is_closed)
        {
            self.entries.remove(&key);
            return Ok(());
        }
        if entry.wire.is_none()
            && let Some(monitor) = &mut entry.monitor
        {
            monitor.refit(schema);
            entry.schema = Some(schema.clone());
            entry.conditions.restart(monitor);
            return self.ask(key, link);
        }
        Ok(())
    }

    fn ask(&mut self, key: u64, link: &mut Link) -> Result<(), DisconnectReason> {
        let Some(entry) = self.entries.get_mut(&key) else {
            return Ok(());
        };
        let Some(monitor) = &mut entry.monitor else {
            return Ok(());
        };
        let wire = self.next_wire;
        self.next_wire += 1;
        let mut request = monitor.request(self.database, wire);
        if let (Request::Monitor { .. }, Some(table)) = (&request, monitor.conditional_table())
            && entry
                .conditions
                .refused(monitor, &Error::ConditionsNotSupported(table))
        {
            request = monitor.request(self.database, wire);
        }
        if let (Request::Monitor { .. }, Some(table)) = (&request, monitor.conditional_table()) {
            return match entry.starter.take() {
                Some(starter) => {
                    let _ = starter.send(Err(Error::ConditionsNotSupported(table)));
                    self.entries.remove(&key);
                    Ok(())
                }
                None => Err(DisconnectReason::ConditionsNotSupported(table)),
            };
        }
        entry.wire = Some(wire);
        monitor.ask(wire);
        link.send_request(Waiter::Monitor { key, wire }, &request);
        Ok(())
    }

    /// Changes the condition of a table, at once or when the monitor is asked for next.
    pub(super) fn set_condition(
        &mut self,
        key: u64,
        table: &'static str,
        clauses: Vec<Clause>,
        asker: conditions::Asker,
        link: Option<&mut Link>,
    ) {
        if let Some(entry) = self.entries.get_mut(&key) {
            let version = entry.monitor.as_ref().map(|monitor| monitor.version);
            if entry.active && version == Some(MonitorVersion::Monitor) {
                let _ = asker.send(Err(Error::ConditionsNotSupported(table)));
                return;
            }
            entry.conditions.want(table, clauses, asker);
            if let Some(link) = link {
                entry.send_conditions(key, link);
            }
        }
    }

    /// The server's reply to a change of conditions. Its rows have come before it.
    pub(super) fn conditions_answered(
        &mut self,
        key: u64,
        wire: u64,
        outcome: Result<Raw<'_>, OvsdbError>,
        link: &mut Link,
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
            Err(error) => drop(entry.conditions.refused(monitor, &error.into())),
        }
        entry.send_conditions(key, link);
    }

    /// Nobody wants the monitor any more.
    pub(super) fn end(&mut self, key: u64, link: Option<&mut Link>) {
        let wire = self.entries.remove(&key).and_then(|entry| entry.wire);
        self.unshown.settle(key);
        if let (Some(link), Some(wire)) = (link, wire) {
            cancel(link, wire);
        }
    }

    /// The server has ended a monitor: its database changed its schema, or went away.
    pub(super) fn canceled(&mut self, wire: u64) {
        if let Some(entry) = self
            .entries
            .values_mut()
            .find(|entry| entry.wire == Some(wire))
        {
            entry.stop();
        }
    }

    /// The reply to a transaction has come: what its caller has to wait for, if a replica does not
    /// show it yet. A replica that is being started for the first time nobody has seen.
    pub(super) fn committed(&mut self) -> Option<Shown> {
        let entries = self.entries.iter();
        let behind = entries.filter(|(_, entry)| !entry.active && entry.starter.is_none());
        let behind = behind.map(|(key, _)| *key).collect();
        self.unshown.add(behind)
    }

    /// The connection is lost.
    pub(super) fn lost(&mut self) {
        self.unshown.release();
        for entry in self.entries.values_mut() {
            entry.stop();
        }
    }

    /// Tells everybody who waits for a monitor that it will not come.
    pub(super) fn fail(&mut self, lost: &Disconnected) {
        for entry in self.entries.values_mut() {
            if let Some(starter) = entry.starter.take() {
                let _ = starter.send(Err(lost.clone().into()));
            }
            entry.conditions.fail(lost);
        }
        self.entries.clear();
        self.unshown.release();
    }

    /// A job that had a replica has panicked: without the replica there is nothing to go on with.
    pub(super) fn drop_lent(&mut self) {
        self.entries.retain(|_, entry| entry.monitor.is_some());
    }

    /// Applies an update to the monitor it is for, if there is one.
    pub(super) fn update(
        &mut self,
        wire: u64,
        method: &'static str,
        message: &Arrival,
        params: Raw<'_>,
    ) -> Option<Applied> {
        let (key, entry) = self
            .entries
            .iter_mut()
            .find(|(_, entry)| entry.wire == Some(wire))?;
        let monitor = entry.monitor.take()?;
        let job = Job::new(*key, wire, monitor, false, message);
        Some(job.run(message, params, move |monitor, params| {
            monitor.update(method, params)
        }))
    }

    /// The server's reply to the request for a monitor.
    pub(super) fn reply(
        &mut self,
        key: u64,
        wire: u64,
        message: &Arrival,
        outcome: Result<Raw<'_>, OvsdbError>,
        link: &mut Link,
    ) -> Result<Option<Applied>, DisconnectReason> {
        let asked = |entry: &&mut Entry| entry.wire == Some(wire);
        let Some(entry) = self.entries.get_mut(&key).filter(asked) else {
            return Ok(None);
        };
        let Some(monitor) = entry.monitor.take() else {
            return Ok(None);
        };
        match outcome {
            Ok(result) => {
                let job = Job::new(key, wire, monitor, true, message);
                Ok(Some(job.run(message, result, ReplicaMonitor::start)))
            }
            Err(error) => {
                entry.monitor = Some(monitor);
                entry.wire = None;
                self.refused(key, error, link).map(|()| None)
            }
        }
    }

    /// The server does not start a monitor: in this way, or at all.
    fn refused(
        &mut self,
        key: u64,
        error: OvsdbError,
        link: &mut Link,
    ) -> Result<(), DisconnectReason> {
        let Some(entry) = self.entries.get_mut(&key) else {
            return Ok(());
        };
        let Some(monitor) = &mut entry.monitor else {
            return Ok(());
        };
        if let (Some(older), ErrorKind::UnknownMethod) = (monitor.version.older(), error.kind()) {
            monitor.version = older;
            return self.ask(key, link);
        }
        match entry.starter.take() {
            Some(starter) => {
                let _ = starter.send(Err(error.into()));
                self.entries.remove(&key);
                Ok(())
            }
            None => {
                // Perhaps for a new condition: it is gone with the next attempt.
                let told = Error::Refused(error.clone());
                entry.conditions.refused(monitor, &told);
                Err(DisconnectReason::Refused(error))
            }
        }
    }

    /// Takes a monitor back from decoding.
    pub(super) fn decoded(
        &mut self,
        job: Job,
        link: Option<&mut Link>,
        schema: &Arc<DatabaseSchema>,
    ) -> Result<(), DisconnectReason> {
        // Without an entry the monitor was ended meanwhile, and the server was told.
        let Some(entry) = self.entries.get_mut(&job.key) else {
            return Ok(());
        };
        let mut monitor = job.monitor;
        if !job.starts && job.applied.is_ok() {
            monitor.shared().set_lag(job.at.elapsed());
        }
        // Else the connection it was decoded for is gone, or the server has ended the monitor.
        let current = entry.wire == Some(job.wire);
        match job.applied {
            Ok(()) => {
                let version = monitor.version;
                if current && job.starts {
                    entry.active = true;
                    self.unshown.settle(job.key);
                    entry.conditions.acknowledged(&mut monitor);
                }
                entry.monitor = Some(monitor);
                if job.starts
                    && let Some(starter) = entry.starter.take()
                    && starter.send(Ok((job.key, version))).is_err()
                {
                    // Whoever started it is gone, and with it the guard that would end it.
                    self.end(job.key, link);
                    return Ok(());
                }
            }
            Err(error) => {
                monitor.forget();
                entry.shared.set_stale(0);
                entry.monitor = Some(monitor);
                if let Some(starter) = entry.starter.take() {
                    let _ = starter.send(Err(error.into()));
                    self.end(job.key, link);
                    return Ok(());
                }
                if job.starts {
                    // Every row anew did not help: another connection may, after a while.
                    return Err(DisconnectReason::Inconsistent(error));
                }
                tracing::warn!(
                    database = self.database,
                    error = %ErrorChain::new(&error),
                    "an update does not fit the replica, which is fetched again"
                );
                if current {
                    entry.stop();
                    if let Some(link) = link {
                        cancel(link, job.wire);
                        return self.start(job.key, link, schema);
                    }
                    return Ok(());
                }
            }
        }
        let Some(link) = link else {
            return Ok(());
        };
        if let Some(entry) = self.entries.get_mut(&job.key) {
            entry.send_conditions(job.key, link);
        }
        self.start(job.key, link, schema)
    }
}

impl Entry {
    /// Sends the change of conditions that is due, if any is.
    fn send_conditions(&mut self, key: u64, link: &mut Link) {
        let (Some(monitor), Some(wire), true) = (&self.monitor, self.wire, self.active) else {
            return;
        };
        if let Some(request) = self.conditions.next(monitor, wire) {
            link.send_request(Waiter::Conditions { key, wire }, &request);
        }
    }

    fn stop(&mut self) {
        self.wire = None;
        self.active = false;
        self.conditions.lost();
        self.shared.set_stale(0);
    }
}

fn cancel(link: &mut Link, wire: u64) {
    link.send_request(
        Waiter::Nobody,
        &Request::MonitorCancel {
            id: Json::from(wire),
        },
    );
}
