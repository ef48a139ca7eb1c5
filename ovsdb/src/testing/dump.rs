//! What a server holds, to compare replicas with.

use std::collections::BTreeMap;
use std::fmt;

use ovsdb_schema::AtomicType;

use crate::cache::{Snapshot, TableView};
use crate::model::{Database, Table, TableVisitor};
use crate::value::json::{DecodeError, Reader};
use crate::value::{Atom, ColumnKind, Datum, Real, Uuid};

/// Rows by uuid, columns by name.
type Rows = BTreeMap<Uuid, BTreeMap<String, Datum>>;

/// What `ovsdb-client --format=json --data=json dump` prints, understood.
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

/// One way in which a replica is not what the server holds.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Difference {
    /// The dump has no such table.
    NoTable {
        /// The table.
        table: &'static str,
    },
    /// The replica lacks a row.
    Missing {
        /// The table.
        table: &'static str,
        /// The row.
        row: Uuid,
    },
    /// The replica has a row that the server has not.
    Stale {
        /// The table.
        table: &'static str,
        /// The row.
        row: Uuid,
    },
    /// A column has another value.
    Column {
        /// The table.
        table: &'static str,
        /// The row.
        row: Uuid,
        /// The column.
        column: &'static str,
        /// Its value in the replica.
        replica: Datum,
        /// Its value on the server; `None` when it has no such column.
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
    /// The number of rows of a table, if the dump has it.
    #[must_use]
    pub fn len(&self, table: &str) -> Option<usize> {
        self.tables.get(table).map(BTreeMap::len)
    }

    /// Whether there is no row in any table.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tables.values().all(BTreeMap::is_empty)
    }

    /// How one table of a replica differs, row by row and column by column. The replica must have
    /// been asked for the whole table.
    #[must_use]
    pub fn differences_of<T: Table>(&self, replica: TableView<'_, T>) -> Vec<Difference> {
        let table = T::TABLE;
        let Some(theirs) = self.tables.get(table) else {
            return vec![Difference::NoTable { table }];
        };
        let mut found = Vec::new();
        for row in replica.rows() {
            let Some(columns) = theirs.get(&row.uuid()) else {
                let row = row.uuid();
                found.push(Difference::Stale { table, row });
                continue;
            };
            for (at, info) in T::COLUMNS.iter().enumerate() {
                let Some(ours) = row.column(at) else { continue };
                let replica = ours.to_datum();
                let server = columns.get(info.name);
                let server = server.map(|datum| with_reals(datum.clone(), info.kind));
                if server.as_ref() != Some(&replica) {
                    found.push(Difference::Column {
                        table,
                        row: row.uuid(),
                        column: info.name,
                        replica,
                        server,
                    });
                }
            }
        }
        let missing = theirs
            .keys()
            .filter(|row| replica.get(crate::value::Ref::new(**row)).is_none());
        found.extend(missing.map(|row| Difference::Missing { table, row: *row }));
        found
    }

    /// How a replica differs in the tables it has, and how many these are. Only generated tables
    /// are known here ([`Database::with_all_tables`]).
    #[must_use]
    pub fn differences<D: Database>(&self, view: &Snapshot<D>) -> (usize, Vec<Difference>) {
        struct Compare<'a, D> {
            dump: &'a Dump,
            view: &'a Snapshot<D>,
            tables: usize,
            found: Vec<Difference>,
        }
        impl<D: Database> TableVisitor<D> for Compare<'_, D> {
            fn table<T: Table<Database = D>>(&mut self) {
                if let Some(table) = self.view.try_table::<T>() {
                    self.tables += 1;
                    self.found.extend(self.dump.differences_of(table));
                }
            }
        }
        let mut compare = Compare {
            dump: self,
            view,
            tables: 0,
            found: Vec::new(),
        };
        D::with_all_tables(&mut compare);
        (compare.tables, compare.found)
    }
}

/// A real without a fraction looks like an integer where the column's type is not known; here it
/// is. Integers stay what they are: not all of them are reals.
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
