//! Monitors: starting them, publishing changes to them, changing their conditions.

use std::sync::Arc;

use bytes::Bytes;

use super::{Hub, QUEUED, elements, exhausted};
use crate::protocol::{MonitorVersion, OvsdbError, Wire};
use crate::server::SessionId;
use crate::server::engine::Commit;
use crate::server::engine::error::syntax;
use crate::server::monitor::{Monitor, Pending, Selection, update};
use crate::server::outgoing::Outgoing;
use crate::value::Uuid;
use crate::value::json::Raw;

/// An update's text up to this length is copied into a message that several sessions share.
const COPIED: usize = 64 * 1024;

/// The text of an update, shared by all monitors with the same selection. Monitors of the method `monitor`
/// have a text of their own.
struct UpdateText {
    selection: Arc<Selection>,
    first_version: bool,
    text: Option<Bytes>,
}

/// The message of an update. Clients running the same program choose the same monitor ids, so
/// most messages equal the previous one.
struct UpdateMessage {
    /// The index of its text.
    at: usize,
    version: MonitorVersion,
    monitor: Arc<str>,
    /// Set once the message was sent to a second session.
    message: Option<Bytes>,
}

impl Hub {
    pub(super) fn monitor(
        &mut self,
        id: SessionId,
        params: Raw<'_>,
        method: &str,
        version: MonitorVersion,
    ) -> Result<Option<String>, OvsdbError> {
        self.flush(id);
        let (database, hosted) = self.lookup(method, params)?;
        let all = elements(params);
        let (monitor_id, requests, since) = match (version, &all[..]) {
            (MonitorVersion::MonitorCondSince, [_, id, requests, since]) => {
                (*id, *requests, Some(*since))
            }
            (MonitorVersion::MonitorCond, [_, id, requests])
            | (MonitorVersion::Monitor, [_, id, requests, ..]) => (*id, *requests, None),
            _ => return Err(syntax(params.text, "invalid parameters")),
        };
        let schema = hosted.database.schema().clone();
        let selection = Selection::read(requests, &schema, version != MonitorVersion::Monitor);
        // Checked in ovsdb-server's order: the requests must be an object, the id must be new, then the
        // requests must be valid.
        if !requests.text.starts_with('{') {
            return Err(syntax(requests.text, "monitor-requests must be object"));
        }
        let session = self.sessions.get(&id);
        if session.is_some_and(|session| session.monitor(monitor_id.text).is_some()) {
            return Err(syntax(monitor_id.text, "duplicate monitor ID"));
        }
        let quota = self.quotas.monitors;
        if session.is_some_and(|session| session.monitors.len() >= quota) {
            return Err(exhausted(quota, "monitors"));
        }
        let selection = selection?;
        let since = since.map(last_transaction).transpose()?;

        let (_, hosted) = self.lookup(method, params)?;
        let selection = hosted.share(selection);
        let missed = since
            .filter(|since| !since.is_nil())
            .and_then(|since| hosted.history.since(since));
        let found = missed.is_some();
        let state = hosted.database.state();
        let last = hosted.database.last_transaction();
        let is_resumable = version == MonitorVersion::MonitorCondSince;
        // The reply may be long, so it is written in place.
        let mut reply = String::new();
        if is_resumable {
            reply = format!("[{found},\"{last}\",");
        }
        match missed {
            Some(missed) => {
                let changes =
                    update::changes(&selection, version, &schema, missed.changes(), missed.len());
                reply.push_str(changes.as_deref().unwrap_or("{}"));
            }
            None => update::initial(&mut reply, &selection, version, state),
        }
        if is_resumable {
            reply.push(']');
        }
        let Some(session) = self.sessions.get_mut(&id) else {
            return Ok(None);
        };
        session.monitors.push(Monitor {
            id: monitor_id.text.into(),
            database,
            version,
            selection,
            pending: Pending::default(),
        });
        Ok(Some(reply))
    }

    pub(super) fn change_conditions(
        &mut self,
        id: SessionId,
        params: Raw<'_>,
    ) -> Result<Option<String>, OvsdbError> {
        self.flush(id);
        let [monitor_id, new_id, requests] = elements(params)[..] else {
            return Err(syntax(params.text, "invalid parameters"));
        };
        let Some(session) = self.sessions.get_mut(&id) else {
            return Ok(None);
        };
        let Some(at) = session.monitor(monitor_id.text) else {
            return Err(syntax(monitor_id.text, "unknown monitor session"));
        };
        if monitor_id.text != new_id.text && session.monitor(new_id.text).is_some() {
            return Err(syntax(new_id.text, "duplicate monitor ID"));
        }
        let monitor = &mut session.monitors[at];
        let Some(hosted) = self.databases.get_mut(&monitor.database) else {
            return Err(OvsdbError::new("unknown database"));
        };
        let schema = hosted.database.schema().clone();
        let conditional = monitor.version != MonitorVersion::Monitor;
        let changed = monitor
            .selection
            .with_conditions(requests, &schema, conditional)?;
        monitor.id = new_id.text.into();
        if conditional {
            let changed = hosted.share(changed);
            let state = hosted.database.state();
            let text =
                update::condition_change(&monitor.selection, &changed, monitor.version, state);
            monitor.selection = changed;
            if let Some(text) = text.filter(|_| !planted!(ServerConditionRowsLost)) {
                let last = hosted.database.last_transaction();
                write_update(&mut session.outgoing, monitor, last, &text.into());
            }
        }
        Ok(Some("{}".into()))
    }

    /// Publishes a transaction's changes to every monitor of a database.
    pub(super) fn publish(&mut self, database: &Arc<str>, commit: &Arc<Commit>) {
        let Some(hosted) = self.databases.get(database) else {
            return;
        };
        #[cfg(simulation)]
        crate::server::simulated::committed(self.id, hosted, commit);
        let schema = hosted.database.schema();
        let mut texts: Vec<UpdateText> = Vec::new();
        let mut last: Option<UpdateMessage> = None;
        let count = commit.row_count();
        for (id, session) in &mut self.sessions {
            for monitor in &mut session.monitors {
                if monitor.database != *database {
                    continue;
                }
                if !monitor.pending.is_empty() || session.outgoing.unsent() > QUEUED {
                    monitor.pending.add(commit);
                    continue;
                }
                let first_version = monitor.version == MonitorVersion::Monitor;
                let known = texts.iter().position(|known| {
                    known.first_version == first_version
                        && Arc::ptr_eq(&known.selection, &monitor.selection)
                });
                let at = known.unwrap_or_else(|| {
                    let changes = commit.tables.iter();
                    let changes =
                        changes.flat_map(|(table, rows)| rows.iter().map(|row| (*table, row)));
                    let text = update::changes(
                        &monitor.selection,
                        monitor.version,
                        schema,
                        changes,
                        count,
                    );
                    texts.push(UpdateText {
                        selection: monitor.selection.clone(),
                        first_version,
                        text: text.map(Bytes::from),
                    });
                    texts.len() - 1
                });
                let Some(text) = &texts[at].text else {
                    continue;
                };
                match &mut last {
                    Some(last)
                        if text.len() <= COPIED
                            && last.at == at
                            && last.version == monitor.version
                            && last.monitor == monitor.id =>
                    {
                        let message = last.message.get_or_insert_with(|| {
                            let mut message = Outgoing::default();
                            write_update(&mut message, monitor, commit.id, text);
                            message.into_bytes()
                        });
                        session.outgoing.share(message);
                    }
                    _ => {
                        write_update(&mut session.outgoing, monitor, commit.id, text);
                        last = Some(UpdateMessage {
                            at,
                            version: monitor.version,
                            monitor: monitor.id.clone(),
                            message: None,
                        });
                    }
                }
                self.ready.push(*id);
            }
        }
    }

    /// Sends to all sessions the changes that were merged.
    pub(super) fn flush_all(&mut self) {
        let ids: Vec<SessionId> = self.sessions.keys().copied().collect();
        for id in ids {
            self.flush(id);
        }
    }

    /// Sends to a session the changes that were merged.
    pub(super) fn flush(&mut self, id: SessionId) {
        let Some(session) = self.sessions.get_mut(&id) else {
            return;
        };
        for monitor in &mut session.monitors {
            if monitor.pending.is_empty() {
                continue;
            }
            let pending = std::mem::take(&mut monitor.pending);
            if planted!(ServerDropsPending) {
                continue;
            }
            let Some(hosted) = self.databases.get(&monitor.database) else {
                continue;
            };
            let (selection, schema) = (&monitor.selection, hosted.database.schema());
            let text = update::changes(
                selection,
                monitor.version,
                schema,
                pending.changes(),
                pending.len(),
            );
            if let Some(text) = text {
                let last = hosted.database.last_transaction();
                write_update(&mut session.outgoing, monitor, last, &text.into());
                self.ready.push(id);
            }
        }
    }
}

/// Reads the id of the transaction after which a monitor is to be resumed.
fn last_transaction(raw: Raw<'_>) -> Result<Uuid, OvsdbError> {
    if !raw.text.starts_with('"') {
        return Err(syntax(raw.text, "last-txn-id must be string"));
    }
    Uuid::from_json(raw.text).map_err(|_| syntax(raw.text, "last-txn-id must be UUID format."))
}

/// Sends an update to a monitor.
fn write_update(outgoing: &mut Outgoing, monitor: &Monitor, last: Uuid, text: &Bytes) {
    let method = match monitor.version {
        MonitorVersion::Monitor => "update",
        MonitorVersion::MonitorCond => "update2",
        MonitorVersion::MonitorCondSince => "update3",
    };
    outgoing.write(|out| {
        for part in [
            "{\"id\":null,\"method\":\"",
            method,
            "\",\"params\":[",
            &monitor.id,
        ] {
            out.push_str(part);
        }
        if monitor.version == MonitorVersion::MonitorCondSince {
            out.push(',');
            last.write(out);
        }
        out.push(',');
    });
    outgoing.share(text);
    outgoing.write(|out| out.push_str("]}"));
}
