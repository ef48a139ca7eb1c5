//! The contents of a server, to compare replicas with.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use ovsdb_schema::AtomicType;

use crate::cache::{AnyRow, Snapshot, TableView};
use crate::model::{Database, Table};
use crate::value::json::{DecodeError, Reader};
use crate::value::{Atom, ColumnKind, Datum, Real, Uuid};

/// Rows by uuid, columns by name.
type Rows = BTreeMap<Uuid, BTreeMap<String, Datum>>;

/// The parsed output of `ovsdb-client --format=json --data=json dump`.
///
/// ```
/// use ovsdb::testing::{Dump, Server};
///
/// let schema = ovsdb::schema::bundled("OVN_Northbound").expect("a bundled schema");
/// let server = Server::builder().schema(schema).start()?;
/// let dump: Dump = server.dump("OVN_Northbound", None)?.parse()?;
/// assert_eq!(dump.len("Logical_Switch"), Some(0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dump {
    tables: BTreeMap<String, Rows>,
}

impl std::str::FromStr for Dump {
    type Err = DecodeError;

    fn from_str(text: &str) -> Result<Self, DecodeError> {
        let mut tables = BTreeMap::new();
        let mut reader = Reader::new(text);
        while reader.peek().is_some() {
            let (name, rows) = read_table(&mut reader)?;
            tables.insert(name, rows);
        }
        Ok(Self { tables })
    }
}

fn read_table(reader: &mut Reader<'_>) -> Result<(String, Rows), DecodeError> {
    let (mut name, mut headings, mut cells) = (String::new(), Vec::new(), Vec::new());
    reader.object()?;
    while let Some(key) = reader.key()? {
        match &*key {
            "caption" => {
                let caption = reader.string()?;
                name = caption.trim_end_matches(" table").to_owned();
            }
            "headings" => {
                reader.array()?;
                while reader.element()? {
                    headings.push(reader.string()?.into_owned());
                }
            }
            "data" => {
                reader.array()?;
                while reader.element()? {
                    let mut row = Vec::new();
                    reader.array()?;
                    while reader.element()? {
                        row.push(Datum::read(reader)?);
                    }
                    cells.push(row);
                }
            }
            _ => {
                reader.skip()?;
            }
        }
    }
    let rows = cells.into_iter().map(|row| {
        let mut row: BTreeMap<_, _> = headings.iter().cloned().zip(row).collect();
        let uuid = match row.remove("_uuid").as_ref().and_then(Datum::as_scalar) {
            Some(Atom::Uuid(uuid)) => *uuid,
            _ => Uuid::nil(),
        };
        (uuid, row)
    });
    Ok((name, rows.collect()))
}

/// A difference between a replica and the server.
///
/// ```
/// # fn example<D: ovsdb::Database>(dump: ovsdb::testing::Dump, cache: ovsdb::Cache<D>) {
/// let (tables, differences) = dump.differences(&cache.snapshot());
/// assert!(differences.is_empty(), "in {tables} tables: {differences:?}");
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Difference {
    /// The dump has no such table.
    NoTable {
        /// The table.
        table: String,
    },
    /// The replica lacks a row.
    Missing {
        /// The table.
        table: String,
        /// The row.
        row: Uuid,
    },
    /// The replica has a row that the server does not have.
    Stale {
        /// The table.
        table: String,
        /// The row.
        row: Uuid,
    },
    /// A column has another value.
    Column {
        /// The table.
        table: String,
        /// The row.
        row: Uuid,
        /// The column.
        column: String,
        /// Its value in the replica.
        replica: Datum,
        /// Its value on the server; `None` when the server has no such column.
        server: Option<Datum>,
    },
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoTable { table } => write!(f, "the server has no table {table}"),
            Self::Missing { table, row } => write!(f, "{table} {row} is missing"),
            Self::Stale { table, row } => write!(f, "{table} {row} is stale"),
            Self::Column {
                table,
                row,
                column,
                replica,
                server,
            } => write!(
                f,
                "{table} {row}: {column} is {replica:?}, but {server:?} on the server"
            ),
        }
    }
}

impl Dump {
    /// The number of rows of a table; `None` if the dump does not have the table.
    #[must_use]
    pub fn len(&self, table: &str) -> Option<usize> {
        self.tables.get(table).map(BTreeMap::len)
    }

    /// Whether there is no row in any table.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tables.values().all(BTreeMap::is_empty)
    }

    /// The differences of one table, row by row and column by column. The replica must contain the
    /// whole table.
    #[must_use]
    pub fn differences_of<T: Table>(&self, replica: TableView<'_, T>) -> Vec<Difference> {
        let rows = replica.rows().map(|row| -> &dyn AnyRow { row });
        self.compare(T::TABLE, rows.collect())
    }

    /// How many tables a replica has, and how these differ.
    #[must_use]
    pub fn differences<D: Database>(&self, view: &Snapshot<D>) -> (usize, Vec<Difference>) {
        let (mut tables, mut found) = (0, Vec::new());
        for table in view.table_names() {
            let rows = view.any_rows(table).into_iter().flatten();
            found.append(&mut self.compare(table, rows.collect()));
            tables += 1;
        }
        (tables, found)
    }

    fn compare(&self, table: &str, replica: Vec<&dyn AnyRow>) -> Vec<Difference> {
        let table = || table.to_owned();
        let Some(theirs) = self.tables.get(&table()) else {
            return vec![Difference::NoTable { table: table() }];
        };
        let mut found = Vec::new();
        let mut missing: BTreeSet<Uuid> = theirs.keys().copied().collect();
        for row in replica {
            missing.remove(&row.uuid());
            let Some(columns) = theirs.get(&row.uuid()) else {
                found.push(Difference::Stale {
                    table: table(),
                    row: row.uuid(),
                });
                continue;
            };
            for at in 0..row.columns().len() {
                let (Some(ours), Some((name, kind))) = (row.column(at), row.columns().get(at))
                else {
                    continue;
                };
                let replica = ours.to_datum();
                let server = columns.get(name);
                let server = server.map(|datum| with_reals(datum.clone(), kind));
                if server.as_ref() != Some(&replica) {
                    found.push(Difference::Column {
                        table: table(),
                        row: row.uuid(),
                        column: name.to_owned(),
                        replica,
                        server,
                    });
                }
            }
        }
        found.extend(missing.into_iter().map(|row| Difference::Missing {
            table: table(),
            row,
        }));
        found
    }
}

/// The dump was read without the types of the columns, so a real without a fraction was read as an
/// integer. Turns integers into reals where the column's type says so.
fn with_reals(datum: Datum, kind: ColumnKind) -> Datum {
    let read = |atom, atomic| match atom {
        Atom::Integer(integer) if atomic == Some(AtomicType::Real) => {
            Atom::Real(Real::from(integer as f64))
        }
        other => other,
    };
    let key = |atom| read(atom, Some(kind.key));
    match datum {
        Datum::Set(set) => Datum::Set(set.into_iter().map(key).collect()),
        Datum::Map(map) => {
            let pairs = map.into_iter();
            let pairs = pairs.map(|(name, value)| (key(name), read(value, kind.value)));
            Datum::Map(pairs.collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::{Map, Value};

    #[test]
    fn integers_are_reals_in_columns_of_reals_only() {
        let large = (1_i64 << 53) + 1;
        let integers = Datum::from(Atom::Integer(large));
        assert_eq!(with_reals(integers.clone(), i64::KIND), integers);
        let reals = Datum::from(Atom::Integer(5));
        let read = Datum::from(Atom::Real(Real::from(5.0)));
        assert_eq!(with_reals(reals, Real::KIND), read);
        let pair = |value| Datum::Map([(Atom::Integer(large), value)].into());
        let map = with_reals(pair(Atom::Integer(5)), Map::<i64, Real>::KIND);
        assert_eq!(map, pair(Atom::Real(Real::from(5.0))));
    }
}
