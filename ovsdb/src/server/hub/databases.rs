//! The databases of a hub: adding, removing and converting them; and the database `_Server`, which
//! describes them to clients (ovsdb-server(5)).

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use ovsdb_schema::DatabaseSchema;

use super::{Hub, Now, elements};
use crate::protocol::OvsdbError;
use crate::server::SessionId;
use crate::server::consensus::{EntryKind, Seat};
use crate::server::engine::error::{error, syntax};
use crate::server::engine::{Caller, Database, Executed, Schema};
use crate::server::hosted::{Hosted, Journal};
use crate::value::Datum;
use crate::value::json::{Raw, write_string};

/// The name of the server's own database.
pub(crate) const SERVER: &str = "_Server";

/// The schema of the server's own database, as ovsdb-server(5) documents it.
const SERVER_SCHEMA: &str = include_str!("_server.ovsschema");

static SERVER_SCHEMA_PARSED: LazyLock<Option<Arc<Schema>>> = LazyLock::new(|| {
    let source = DatabaseSchema::parse(SERVER_SCHEMA).ok()?;
    Some(Arc::new(Schema::new(source).ok()?))
});

/// The server itself, as the sender of transactions.
struct Itself;

impl Caller for Itself {
    fn holds(&self, _: &str) -> bool {
        false
    }

    fn is_read_only(&self) -> bool {
        false
    }

    fn is_server(&self) -> bool {
        true
    }
}

/// The error for a conversion of a database that is read-only.
fn read_only_database(name: &str) -> OvsdbError {
    let details = format!("conversion is not allowed for read-only database {name}");
    error("not allowed", details)
}

impl Hub {
    pub(super) fn add_server_database(&mut self) {
        // The schema is a constant, and a test parses it.
        let Some(schema) = &*SERVER_SCHEMA_PARSED else {
            return;
        };
        let database = Database::new(schema.clone(), self.random.u64(..));
        self.databases
            .insert(SERVER.into(), Hosted::new(database, None));
        self.add_status(SERVER);
    }

    /// Serves a database. Returns false if one with this name is served already.
    pub(crate) fn add(
        &mut self,
        database: Database,
        journal: Option<Box<dyn Journal>>,
        now: Now,
    ) -> bool {
        let name: Arc<str> = database.schema().name().into();
        if self.databases.contains_key(&name) {
            return false;
        }
        self.databases
            .insert(name.clone(), Hosted::new(database, journal));
        self.add_status(&name);
        self.publish_status(now);
        true
    }

    /// Stops serving a database. Its monitors and its waiting transactions are cancelled.
    pub(crate) fn remove(&mut self, name: &str, now: Now) -> bool {
        if name == SERVER || !self.databases.contains_key(name) {
            return false;
        }
        self.cancel_monitors(name);
        self.cancel_transactions(name);
        let Some(hosted) = self.databases.remove(name) else {
            return false;
        };
        let reason = "a database was removed before a transaction was on disk";
        self.disconnect_unsynced(hosted.unsynced, reason);
        for forward in hosted.forwards.into_iter().flatten() {
            self.cancel_forward(&forward);
        }
        self.release_locks();
        let uuid = hosted.status;
        self.change_status(
            &format!(
                r#"{{"op":"delete","table":"Database","where":[["_uuid","==",["uuid","{uuid}"]]]}}"#
            ),
            now,
        );
        true
    }

    /// A database by its name.
    pub(crate) fn database(&self, name: &str) -> Option<&Database> {
        self.databases.get(name).map(|hosted| &hosted.database)
    }

    /// The last transactions of a database, the oldest first.
    pub(crate) fn commits(&self, name: &str) -> Vec<Arc<crate::server::engine::Commit>> {
        let hosted = self.databases.get(name);
        let commits = hosted
            .into_iter()
            .flat_map(|hosted| hosted.history.commits());
        commits.cloned().collect()
    }

    /// The names of the databases, without the server's own.
    pub(crate) fn names(&self) -> impl Iterator<Item = &Arc<str>> {
        self.databases.keys().filter(|name| ***name != *SERVER)
    }

    /// Adds the row of a database to `_Server`.
    fn add_status(&mut self, name: &str) {
        let Some(hosted) = self.databases.get_mut(name) else {
            return;
        };
        let uuid = crate::server::engine::parse::random_uuid(&mut self.random);
        hosted.status = uuid;
        let mut insert =
            format!(r#"{{"op":"insert","table":"Database","uuid":"{uuid}","row":{{"name":"#);
        write_string(&mut insert, name);
        insert.push_str(r#","model":"standalone","connected":true,"leader":true,"schema":"#);
        write_string(&mut insert, &hosted.database.schema().text);
        insert.push_str("}}");
        self.execute_itself(&insert);
    }

    /// Executes an operation on `_Server`, without publishing the change to clients.
    fn execute_itself(&mut self, operation: &str) -> Option<Arc<crate::server::engine::Commit>> {
        let hosted = self.databases.get_mut(SERVER)?;
        let raw = Raw {
            text: operation,
            offset: 0,
        };
        let Executed::Ready(proposal) = hosted.database.execute(&[raw], &Itself, Duration::ZERO)
        else {
            return None;
        };
        let commit = proposal.commit().cloned();
        hosted.database.commit(proposal);
        if let Some(commit) = &commit {
            hosted.history.add(commit.clone());
        }
        commit
    }

    /// Changes `_Server`, and publishes the change to the clients that monitor it.
    pub(crate) fn change_status(&mut self, operation: &str, now: Now) {
        if let Some(commit) = self.execute_itself(operation) {
            let server: Arc<str> = SERVER.into();
            self.publish(&server, &commit);
            self.retry(&server, now, true);
        }
    }

    /// Sets columns of a database's row in `_Server`.
    pub(crate) fn set_status(&mut self, name: &str, columns: &[(&str, Datum)], now: Now) {
        let Some(hosted) = self.databases.get(name) else {
            return;
        };
        let mut row = String::new();
        for (column, datum) in columns {
            row.push_str(if row.is_empty() { "\"" } else { ",\"" });
            row.push_str(column);
            row.push_str("\":");
            datum.write(&mut row);
        }
        let uuid = hosted.status;
        self.change_status(
            &format!(
                r#"{{"op":"update","table":"Database","where":[["_uuid","==",["uuid","{uuid}"]]],"row":{{{row}}}}}"#
            ),
            now,
        );
    }

    fn publish_status(&mut self, now: Now) {
        let server: Arc<str> = SERVER.into();
        let last = self
            .databases
            .get(&server)
            .and_then(|hosted| hosted.history.last());
        if let Some(commit) = last {
            self.publish(&server, &commit);
            self.retry(&server, now, true);
        }
    }

    /// Cancels the monitors of a database. Clients that are not aware of database changes are
    /// disconnected.
    pub(super) fn cancel_monitors(&mut self, name: &str) {
        let ids: Vec<SessionId> = self.sessions.keys().copied().collect();
        for id in ids {
            self.flush(id);
            let Some(session) = self.sessions.get_mut(&id) else {
                continue;
            };
            if !session.db_change_aware {
                session.close(format!("the database {name} has changed"));
                self.ready.push(id);
                continue;
            }
            let (cancelled, left) = std::mem::take(&mut session.monitors)
                .into_iter()
                .partition(|monitor| *monitor.database == *name);
            session.monitors = left;
            let cancelled: Vec<_> = cancelled;
            for monitor in cancelled {
                session.notify("monitor_canceled", &monitor.id);
                self.ready.push(id);
            }
        }
    }

    /// Cancels the waiting transactions of a database.
    fn cancel_transactions(&mut self, name: &str) {
        let waiting = self
            .databases
            .get_mut(name)
            .map(|hosted| std::mem::take(&mut hosted.waiting));
        for waiting in waiting.into_iter().flatten() {
            // Clients that are not aware of database changes are disconnected instead.
            if let Some(session) = self.sessions.get_mut(&waiting.session)
                && session.db_change_aware
            {
                session.fail_with_word(&waiting.id, "canceled");
                self.ready.push(waiting.session);
            }
        }
    }

    /// Releases the locks of sessions that are being closed, and notifies the clients that get them.
    pub(super) fn release_locks(&mut self) {
        let closing = self.sessions.iter_mut();
        let closing = closing.filter(|(_, session)| session.closing.is_some());
        let held: Vec<_> = closing
            .map(|(id, session)| (*id, std::mem::take(&mut session.locks)))
            .collect();
        for (id, locks) in held {
            for lock in locks {
                self.unlock(id, &lock);
            }
        }
    }

    /// Executes a `convert` request. The reply is sent after the notifications that the session's
    /// monitors are cancelled, and before the errors of its cancelled transactions.
    pub(super) fn convert_request(
        &mut self,
        id: SessionId,
        request: &str,
        params: Raw<'_>,
        now: Now,
    ) -> Result<Option<String>, OvsdbError> {
        let session = self.sessions.get(&id);
        let read_only = session.is_some_and(|session| session.read_only);
        let (name, _) = self.lookup("convert", params)?;
        if read_only {
            return Err(read_only_database(&name));
        }
        self.may_convert(&name)?;
        let [_, schema] = elements(params)[..] else {
            return Err(syntax(params.text, "array expected"));
        };
        self.convert(&name, schema.text, now)?;
        self.reply(id, request, "{}".into());
        self.finish_conversion(&name, now);
        Ok(None)
    }

    /// Checks that a program or a client may convert this database.
    fn may_convert(&self, name: &str) -> Result<(), OvsdbError> {
        if name == SERVER {
            return Err(read_only_database(name));
        }
        let hosted = self.databases.get(name);
        if hosted.is_some_and(|hosted| hosted.forwards.is_some()) {
            // ovsdb-server 3.1 converts the relay's copy, which then has another schema than the source.
            let details = format!("{name} is relayed; convert it at its source");
            return Err(error("not allowed", details));
        }
        Ok(())
    }

    /// Converts a database, and cancels its monitors.
    pub(super) fn convert(&mut self, name: &str, text: &str, now: Now) -> Result<(), OvsdbError> {
        let seed = self.random.u64(..);
        let Some(hosted) = self.databases.get_mut(name) else {
            return Err(error(
                "unknown database",
                format!("there is no database {name}"),
            ));
        };
        let source = DatabaseSchema::parse(text).map_err(|error| syntax(text, error))?;
        if source.name != *name {
            let details = format!(
                "new schema name ({}) does not match database name ({name})",
                source.name
            );
            return Err(error("invalid parameters", details));
        }
        let schema = Schema::new(source).map_err(|error| syntax(text, error))?;
        let converted = hosted.database.convert(Arc::new(schema), seed)?;
        let seat = hosted.seat();
        let slot = seat.as_ref().map(Seat::begin);
        if matches!(slot, Some(None)) {
            return Err(error("cluster error", "not leader"));
        }
        // Changes that slow readers were not sent yet are in the old schema.
        self.flush_all();
        let Some(hosted) = self.databases.get_mut(name) else {
            return Ok(());
        };
        hosted.replace(converted, now.date)?;
        #[cfg(simulation)]
        crate::server::simulated::replaced(self.id, hosted);
        if let Some(slot) = slot.flatten() {
            slot.append(EntryKind::FullState, &hosted.database);
            self.appended = true;
        }
        self.cancel_monitors(name);
        Ok(())
    }

    /// Cancels the waiting transactions, and publishes the new schema.
    pub(super) fn finish_conversion(&mut self, name: &str, now: Now) {
        self.cancel_transactions(name);
        self.release_locks();
        self.publish_schema(name, now);
    }

    /// Publishes the schema of a database to clients.
    pub(super) fn publish_schema(&mut self, name: &str, now: Now) {
        if let Some(database) = self.database(name) {
            let text = crate::value::Atom::String((&*database.schema().text).into());
            self.set_status(name, &[("schema", Datum::from(text))], now);
        }
    }

    /// Converts a database to another schema, as a `convert` request does.
    ///
    /// # Errors
    /// Those of [`Server::convert`](crate::server::Server::convert).
    pub(crate) fn convert_now(
        &mut self,
        name: &str,
        schema: &str,
        now: Now,
    ) -> Result<(), OvsdbError> {
        self.may_convert(name)?;
        self.convert(name, schema, now)?;
        self.finish_conversion(name, now);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_of_the_servers_own_database_parses() {
        let schema = DatabaseSchema::parse(SERVER_SCHEMA).expect("a schema");
        assert_eq!(schema.name, SERVER);
    }
}
