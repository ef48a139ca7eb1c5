//! Snapshots of typed rows without a replica, for tests of code that reads snapshots.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

use ovsdb_schema::DatabaseSchema;

use super::index::{Index, Key, OrderedIndex};
use super::replay::ReplayError;
use super::snapshot::Snapshot;
use super::tables::Tables;
use crate::model::{Database, Row, Table};
use crate::protocol::{Message, MonitorVersion};
use crate::value::json::write_string;
use crate::value::{ColumnKind, Ref, Uuid};

/// Makes a [`Snapshot`] of typed rows, without a server, a client or a runtime.
///
/// The snapshot has the tables of the inserted rows. As in a cache, code that reads a table without rows needs
/// [`table`](Self::table), a look-up by an [`Index`] needs [`index`](Self::index), and [`Snapshot::referrers`] needs
/// [`index_references_to`](Self::index_references_to). These methods borrow the builder, so keep it in a variable.
///
/// ```
/// # #[cfg(feature = "nb")] {
/// use ovsdb::cache::Index;
/// use ovsdb::nb::{self, LogicalSwitch, LogicalSwitchPort};
/// use ovsdb::testing::SnapshotBuilder;
///
/// /// The function under test, which reads only a snapshot.
/// fn ports_of(view: &nb::Snapshot, by_name: &Index<LogicalSwitch, ovsdb::Str>, name: &str) -> usize {
///     view.get_by(by_name, name).map_or(0, |switch| switch.ports.len())
/// }
///
/// let by_name = Index::column(LogicalSwitch::NAME);
/// let mut rows = SnapshotBuilder::<nb::Database>::new();
/// rows.index(&by_name);
/// let port = rows.insert(LogicalSwitchPort { name: "p1".into(), ..Default::default() });
/// rows.insert(LogicalSwitch { name: "sw0".into(), ports: [port].into(), ..Default::default() });
/// let view = rows.build()?;
///
/// assert_eq!(ports_of(&view, &by_name, "sw0"), 1);
/// assert_eq!(ports_of(&view, &by_name, "sw1"), 0);
/// assert_eq!(view.get(port).expect("inserted").name, "p1");
/// # }
/// # Ok::<(), ovsdb::testing::ReplayError>(())
/// ```
#[must_use = "a builder makes nothing until `build` is called"]
pub struct SnapshotBuilder<D> {
    tables: Tables<D>,
    /// The rows, by table, in the JSON of a monitor's first reply.
    rows: BTreeMap<&'static str, String>,
    /// The columns, by table, in the JSON of a schema.
    columns: BTreeMap<&'static str, String>,
    last: u128,
}

impl<D> fmt::Debug for SnapshotBuilder<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.rows.fmt(f)
    }
}

impl<D: Database> Default for SnapshotBuilder<D> {
    fn default() -> Self {
        Self::new()
    }
}

impl<D: Database> SnapshotBuilder<D> {
    /// A builder without tables.
    pub fn new() -> Self {
        Self {
            tables: Tables::default(),
            rows: BTreeMap::new(),
            columns: BTreeMap::new(),
            last: 0,
        }
    }

    /// Adds a table, which may stay empty.
    pub fn table<T: Table<Database = D>>(&mut self) -> &mut Self {
        if !self.columns.contains_key(T::TABLE) {
            self.tables.select::<T>(None);
            self.columns.insert(T::TABLE, columns::<T>());
        }
        self
    }

    /// Adds an index, and the table that it belongs to.
    pub fn index<T: Table<Database = D>, K: Key>(&mut self, index: &Index<T, K>) -> &mut Self {
        self.table::<T>();
        self.tables.index(index);
        self
    }

    /// Adds an ordered index, and the table that it belongs to.
    pub fn ordered_index<T: Table<Database = D>, K: Key>(
        &mut self,
        index: &OrderedIndex<T, K>,
    ) -> &mut Self {
        self.table::<T>();
        self.tables.ordered_index(index);
        self
    }

    /// Indexes the references to a table, for [`Snapshot::referrers`].
    pub fn index_references_to<T: Table<Database = D>>(&mut self) -> &mut Self {
        self.tables.index_references_to::<T>();
        self
    }

    /// Adds a row, and returns a reference to it for other rows. The first row that is added in this way
    /// gets the uuid 1, the second one 2, and so on.
    pub fn insert<T: Table<Database = D>>(&mut self, columns: T) -> Ref<T> {
        self.last += 1;
        let row = Row::new(Uuid::from_u128(self.last), columns);
        let reference = row.reference();
        self.row(&row);
        reference
    }

    /// Adds a row with the uuid that it has.
    pub fn row<T: Table<Database = D>>(&mut self, row: &Row<T>) -> &mut Self {
        self.table::<T>();
        let rows = self.rows.entry(T::TABLE).or_default();
        if !rows.is_empty() {
            rows.push(',');
        }
        let _ = write!(rows, "\"{}\":{{\"initial\":{{", row.uuid());
        for (at, column) in T::COLUMNS.iter().enumerate() {
            if let Some(value) = row.columns().column(at) {
                rows.push_str(if at > 0 { "," } else { "" });
                write_string(rows, column.name);
                rows.push(':');
                value.to_datum().write(rows);
            }
        }
        rows.push_str("}}");
        self
    }

    /// Makes the snapshot.
    ///
    /// # Errors
    /// When two rows of a table have the same uuid; when a table is added as two structs, and a row has a
    /// column that the first struct lacks, or a value that does not fit the first struct's column; or when
    /// a value cannot be read back from its JSON, such as a string with a NUL.
    pub fn build(self) -> Result<Snapshot<D>, ReplayError> {
        let mut schema = String::from("{\"name\":");
        write_string(&mut schema, D::NAME);
        schema.push_str(",\"tables\":");
        write_members(&mut schema, &self.columns, "{\"columns\":{", "}}");
        schema.push('}');
        // The text above is a valid schema.
        let schema = DatabaseSchema::parse_lenient(&schema)
            .unwrap_or_else(|_| DatabaseSchema::empty(D::NAME));
        let mut reply = format!(
            "{{\"id\":1,\"error\":null,\"result\":[false,\"{}\",",
            Uuid::nil()
        );
        write_members(&mut reply, &self.rows, "{", "}");
        reply.push_str("]}");
        let mut monitor = self
            .tables
            .into_monitor(&schema, MonitorVersion::MonitorCondSince);
        match Message::parse(&reply)? {
            Message::Reply {
                outcome: Ok(result),
                ..
            } => monitor.start(result)?,
            _ => return Err(ReplayError::NotAnUpdate),
        }
        Ok(Snapshot::new(monitor.shared().state.load_full()))
    }
}

fn write_members(out: &mut String, members: &BTreeMap<&str, String>, begin: &str, end: &str) {
    out.push('{');
    for (at, (name, text)) in members.iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        write_string(out, name);
        for part in [":", begin, text, end] {
            out.push_str(part);
        }
    }
    out.push('}');
}

/// The columns of a table in the JSON of a schema. Only the shapes of their types matter.
fn columns<T: Table>() -> String {
    let mut out = String::new();
    for (at, column) in T::COLUMNS.iter().enumerate() {
        let ColumnKind {
            key,
            value,
            scalar,
            single,
            ..
        } = column.kind;
        out.push_str(if at > 0 { "," } else { "" });
        write_string(&mut out, column.name);
        let _ = write!(out, ":{{\"type\":{{\"key\":\"{key}\"");
        if let Some(value) = value {
            let _ = write!(out, ",\"value\":\"{value}\"");
        }
        let _ = write!(out, ",\"min\":{}", u8::from(scalar));
        let most = if scalar || single {
            "1"
        } else {
            "\"unlimited\""
        };
        let _ = write!(out, ",\"max\":{most}}}}}");
    }
    out
}
