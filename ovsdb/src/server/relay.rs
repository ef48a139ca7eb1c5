//! A relay's access to its server: applies what the source sends, and returns transactions for the
//! source.

use std::collections::BTreeSet;
use std::sync::{Arc, Weak};

use ovsdb_schema::{DatabaseSchema, SchemaError, SchemaErrorReason};

use super::driver::{Shared, now};
use super::engine::record::ForeignRow;
use super::engine::{self, Cell, Database, Schema};
pub(crate) use super::hosted::Forward;
pub(crate) use super::hub::Forwarded;
use super::hub::{Hub, SERVER};
use super::{PROBE_INTERVAL, Server};
use crate::protocol::{Limits, OvsdbError};
use crate::value::{Datum, Uuid};

/// A row as a client of the source sees it: its table, its uuid, and its columns by name; `None` for a
/// deleted row.
pub(crate) type SourceRow = (String, Uuid, Option<Vec<(String, Datum)>>);

/// A relay's server, for the task that connects it with the source.
#[derive(Debug, Clone)]
pub(crate) struct Relayed {
    shared: Weak<Shared>,
    name: Arc<str>,
}

impl Server {
    /// A server that relays a database with this schema.
    ///
    /// # Errors
    /// When the schema is that of the server's own database, or has a table with too many columns.
    pub(crate) fn relaying(source: DatabaseSchema) -> Result<(Self, Relayed), SchemaError> {
        if source.name == SERVER {
            let reason = SchemaErrorReason::ReservedId(source.name);
            return Err(SchemaError::new("name", reason));
        }
        let mut hub = Hub::new(super::hub::Quotas::new(), fastrand::u64(..));
        let name: Arc<str> = source.name.as_str().into();
        let schema = Arc::new(Schema::new(source)?);
        hub.add_relay(Database::new(schema, fastrand::u64(..)), now());
        let shared = Shared::new(hub, Default::default(), Limits::new(), PROBE_INTERVAL);
        let server = Self::new(shared, None);
        let shared = Arc::downgrade(&server.shared);
        Ok((server, Relayed { shared, name }))
    }
}

impl Relayed {
    /// Reports to clients whether the relay is connected to its source.
    pub(crate) fn set_connected(&self, connected: bool) {
        if let Some(shared) = self.shared.upgrade() {
            shared.with_hub(|hub| hub.set_relay_connected(&self.name, connected, now()));
        }
    }

    /// Applies changed rows. With `all`, these are all rows of the source, and others are deleted.
    pub(crate) fn take_over(&self, rows: Vec<SourceRow>, all: bool) -> Result<(), OvsdbError> {
        let Some(shared) = self.shared.upgrade() else {
            return Ok(());
        };
        shared.with_hub_sending(|hub| {
            let Some(database) = hub.database(&self.name) else {
                return Ok(());
            };
            let rows = foreign_rows(database, rows, all);
            hub.handle_relayed(&self.name, rows, now())
        })
    }

    /// Applies the source's new schema.
    pub(crate) fn take_schema(&self, source: DatabaseSchema) -> Result<(), OvsdbError> {
        let Some(shared) = self.shared.upgrade() else {
            return Ok(());
        };
        let schema =
            Schema::new(source).map_err(|error| engine::error::error("syntax error", error))?;
        shared.with_hub(|hub| hub.handle_relayed_schema(&self.name, &schema, now()))
    }

    /// The next transaction for the source.
    pub(crate) async fn next_forward(&self) -> Option<Forward> {
        loop {
            let shared = self.shared.upgrade()?;
            if let Some(forward) = shared.hub().poll_forward(&self.name) {
                return Some(forward);
            }
            tokio::select! {
                () = shared.forwards() => {}
                () = shared.stopped() => return None,
            }
        }
    }

    /// Reports the outcome of a transaction that was to be forwarded to the source.
    pub(crate) fn forwarded(&self, forward: Forward, outcome: Forwarded) {
        if let Some(shared) = self.shared.upgrade() {
            shared.with_hub(|hub| hub.handle_forwarded(&self.name, forward, outcome));
        }
    }
}

fn foreign_rows(database: &Database, rows: Vec<SourceRow>, all: bool) -> Vec<ForeignRow> {
    let schema = database.schema();
    let mut known = BTreeSet::new();
    let mut foreign = Vec::with_capacity(rows.len());
    for (table, uuid, columns) in rows {
        let Some(table) = schema.find(&table) else {
            continue;
        };
        let def = &schema.tables[table];
        known.insert((table, uuid));
        let cells = columns.map(|columns| {
            let columns = columns.into_iter();
            let cells = columns.filter_map(|(name, datum)| Some((def.find(&name)?, datum)));
            cells.map(|(id, datum)| (id, Cell::from(datum))).collect()
        });
        foreign.push(ForeignRow {
            table,
            uuid,
            cells,
            is_new_version: !all,
        });
    }
    if all {
        for table in 0..schema.tables.len() {
            let missing = database.state().table(table).rows().map(|row| row.uuid());
            let missing = missing.filter(|uuid| !known.contains(&(table, *uuid)));
            foreign.extend(missing.map(|uuid| ForeignRow {
                table,
                uuid,
                cells: None,
                is_new_version: false,
            }));
        }
    }
    foreign
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_that_the_source_no_longer_has_are_deleted_and_no_others() {
        let schema =
            r#"{"name":"D","tables":{"T":{"isRoot":true,"columns":{"n":{"type":"integer"}}}}}"#;
        let schema = DatabaseSchema::parse(schema).expect("a schema");
        let mut database = Database::new(Arc::new(Schema::new(schema).expect("a schema")), 1);
        let (kept, gone, new) = (Uuid::from_u128(1), Uuid::from_u128(2), Uuid::from_u128(3));
        let record = format!(r#"{{"T":{{"{kept}":{{"n":1}},"{gone}":{{"n":2}}}}}}"#);
        database.replay(&record).expect("rows");
        let rows = || {
            let columns = || Some(vec![("n".to_owned(), Datum::from(5))]);
            let row = |table: &str, uuid| (table.to_owned(), uuid, columns());
            vec![row("T", kept), row("T", new), row("Unknown", gone)]
        };
        for (all, expected) in [
            (false, vec![(kept, true), (new, true)]),
            (true, vec![(kept, true), (new, true), (gone, false)]),
        ] {
            let foreign = foreign_rows(&database, rows(), all);
            let found: Vec<_> = foreign
                .iter()
                .map(|row| (row.uuid, row.cells.is_some()))
                .collect();
            assert_eq!(found, expected, "all: {all}");
        }
    }
}
