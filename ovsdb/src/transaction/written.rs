//! Reading back what was written to a transaction, with the tables' types, for assertions in unit
//! tests.

use std::collections::HashMap;
use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use super::Transaction;
use crate::model::{AllOf, Collection, Column, Database, Mutability, Ordered, Row, Table};
use crate::protocol::{Columns, Mutation, Mutator, Operation, Until, Wire as _};
use crate::value::{Datum, Set, Uuid, Value, read_datum};

/// An operation on a table, with the table's types; [`Transaction::operations_on`] lists them.
///
/// Columns that the struct `T` lacks are left out of inserted, updated and compared rows.
/// [`Transaction::operations`] has everything.
///
/// ```
/// # #[cfg(feature = "nb")] {
/// use ovsdb::nb::{LogicalSwitchPort as Port, Transaction};
/// use ovsdb::transaction::TableOperation;
///
/// let mut txn = Transaction::detached();
/// txn.wait(Port::NAME.eq("p1")).comparing(Port::TYPE).until([Port::default()]);
/// txn.update(Port::NAME.eq("p1")).set(Port::TAG, Some(7));
/// txn.delete(Port::NAME.eq("p2"));
///
/// let [
///     TableOperation::Wait { expected, .. },
///     TableOperation::Update { rows, columns },
///     TableOperation::Delete { rows: deleted },
/// ] = &txn.operations_on::<Port>()[..]
/// else {
///     panic!("other operations expected: {txn:?}");
/// };
/// assert_eq!(expected[0].get(Port::TYPE), Some(&"".into()));
/// assert_eq!(*rows, Port::NAME.eq("p1"));
/// assert_eq!(columns.get(Port::TAG), Some(&Some(7)));
/// assert_eq!(*deleted, Port::NAME.eq("p2"));
/// # }
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum TableOperation<T: Table> {
    /// Inserts a row. Its uuid is the one that the transaction uses to refer to it. Columns that were
    /// not sent have the defaults of the schema or, for a transaction without a schema, of the struct.
    Insert(Row<T>),
    /// Sets columns of rows.
    Update {
        /// Which rows.
        rows: AllOf<T>,
        /// The columns that are set, with their new values.
        columns: GivenColumns<T>,
    },
    /// Changes columns of rows.
    Mutate {
        /// Which rows.
        rows: AllOf<T>,
        /// The changes, in order.
        mutations: Mutations<T>,
    },
    /// Deletes rows.
    Delete {
        /// Which rows.
        rows: AllOf<T>,
    },
    /// Reads rows.
    Select {
        /// Which rows.
        rows: AllOf<T>,
    },
    /// Waits until rows are, or are not, as given.
    Wait {
        /// Which rows.
        rows: AllOf<T>,
        /// Whether it waits until the rows equal the expected ones, or until they differ.
        until: Until,
        /// The rows to compare with, each with the columns that are compared.
        expected: Vec<GivenColumns<T>>,
        /// The time limit: `None` for none, zero for not waiting at all.
        timeout: Option<Duration>,
    },
}

/// Some columns of a row: those that an operation sets or compares.
///
/// ```
/// # #[cfg(feature = "nb")] {
/// use ovsdb::nb::{LogicalSwitchPort as Port, Transaction};
/// use ovsdb::transaction::TableOperation;
///
/// let mut txn = Transaction::detached();
/// txn.update(Port::NAME.eq("p1")).set(Port::TYPE, "router");
/// let [TableOperation::Update { columns, .. }] = &txn.operations_on::<Port>()[..] else {
///     panic!("an update expected: {txn:?}");
/// };
/// assert_eq!(columns.get(Port::TYPE), Some(&"router".into()));
/// assert_eq!(columns.get(Port::TAG), None, "it stays as it is");
/// assert_eq!(columns.names(), ["type"]);
/// # }
/// ```
#[derive(Clone, PartialEq)]
pub struct GivenColumns<T> {
    columns: T,
    /// The indexes of the given columns, sorted.
    given: Vec<usize>,
}

impl<T: Table> GivenColumns<T> {
    fn read(given: &Columns) -> Self {
        let mut read = Self {
            columns: T::default(),
            given: Vec::new(),
        };
        for (index, column) in T::COLUMNS.iter().enumerate() {
            if let Some(datum) = given.get(column.name)
                && let Some(value) = read.columns.column_mut(index)
                && read_datum(value, datum)
            {
                read.given.push(index);
            }
        }
        read
    }

    /// The value given for a column; `None` if none was given.
    #[must_use]
    pub fn get<V: Value, M: Mutability>(&self, column: Column<T, V, M>) -> Option<&V> {
        let given = self.given.contains(&column.index());
        given.then(|| column.get(&self.columns))
    }

    /// The names of the given columns.
    #[must_use]
    pub fn names(&self) -> Vec<&'static str> {
        let names = self.given.iter().filter_map(|index| T::COLUMNS.get(*index));
        names.map(|column| column.name).collect()
    }
}

impl<T: Table> fmt::Debug for GivenColumns<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let values = self.given.iter().filter_map(|index| {
            let name = T::COLUMNS.get(*index)?.name;
            Some((name, self.columns.column(*index)?))
        });
        f.debug_map().entries(values).finish()
    }
}

/// The changes of a `mutate` operation, in order (RFC 7047 section 5.1, `<mutation>`).
///
/// ```
/// # #[cfg(feature = "nb")] {
/// use ovsdb::nb::{LogicalSwitchPort as Port, Transaction};
/// use ovsdb::protocol::Mutator;
/// use ovsdb::transaction::TableOperation;
///
/// let mut txn = Transaction::detached();
/// txn.mutate(Port::NAME.eq("p1"))
///     .insert(Port::EXTERNAL_IDS, [("owner", "me")])
///     .delete_keys(Port::OPTIONS, ["requested-chassis"])
///     .add(Port::TAG, 1);
/// let [TableOperation::Mutate { mutations, .. }] = &txn.operations_on::<Port>()[..] else {
///     panic!("a mutation expected: {txn:?}");
/// };
/// assert_eq!(mutations.inserted(Port::EXTERNAL_IDS), [("owner", "me")].into());
/// assert_eq!(mutations.deleted_keys(Port::OPTIONS), ["requested-chassis"].into());
/// assert_eq!(mutations.numbers(Port::TAG, Mutator::Add), [1]);
/// assert!(mutations.inserted(Port::ADDRESSES).is_empty());
/// # }
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Mutations<T> {
    list: Vec<Mutation>,
    table: PhantomData<fn() -> T>,
}

impl<T: Table> Mutations<T> {
    /// The changes, with the names of the columns.
    #[must_use]
    pub fn as_slice(&self) -> &[Mutation] {
        &self.list
    }

    /// The arguments of the changes of a column with one mutator.
    fn arguments(&self, column: &'static str, mutator: Mutator) -> impl Iterator<Item = &Datum> {
        let own =
            move |mutation: &&Mutation| mutation.column == column && mutation.mutator == mutator;
        self.list
            .iter()
            .filter(own)
            .map(|mutation| &mutation.argument)
    }

    /// The elements that are added to a set, or the pairs that are added to a map; empty if none are.
    #[must_use]
    pub fn inserted<V: Collection, M: Mutability>(&self, column: Column<T, V, M>) -> V {
        together(self.arguments(column.name(), Mutator::Insert))
    }

    /// The elements that are removed from a set, or the exact pairs that are removed from a map; empty
    /// if none are.
    #[must_use]
    pub fn deleted<V: Collection, M: Mutability>(&self, column: Column<T, V, M>) -> V {
        let is_map = V::KIND.value.is_some();
        let deleted = self.arguments(column.name(), Mutator::Delete);
        together(deleted.filter(|datum| matches!(datum, Datum::Map(_)) == is_map))
    }

    /// The keys whose pairs are removed from a map, whatever their values; for a set, the same as
    /// [`deleted`](Self::deleted).
    #[must_use]
    pub fn deleted_keys<V: Collection, M: Mutability>(
        &self,
        column: Column<T, V, M>,
    ) -> Set<V::Key> {
        let deleted = self.arguments(column.name(), Mutator::Delete);
        together(deleted.filter(|datum| matches!(datum, Datum::Set(_))))
    }

    /// The numbers by which a column is changed with this mutator, in order.
    #[must_use]
    pub fn numbers<V: Ordered, M: Mutability>(
        &self,
        column: Column<T, V, M>,
        mutator: Mutator,
    ) -> Vec<V::Number> {
        let arguments = self.arguments(column.name(), mutator);
        let read = |datum: &Datum| {
            let mut number = V::Number::default();
            read_datum(&mut number, datum).then_some(number)
        };
        arguments.filter_map(read).collect()
    }
}

impl<T> fmt::Debug for Mutations<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.list.to_json())
    }
}

/// All these elements or pairs together. A key keeps its first value, as on a server.
fn together<'a, V: Value>(parts: impl Iterator<Item = &'a Datum>) -> V {
    let mut all: Option<Datum> = None;
    for part in parts {
        match (&mut all, part) {
            (None, part) => all = Some(part.clone()),
            (Some(Datum::Set(all)), Datum::Set(more)) => all.extend(more.iter().cloned()),
            (Some(Datum::Map(all)), Datum::Map(more)) => {
                let new = more.iter().filter(|(key, _)| !all.contains_key(*key));
                let new: Vec<_> = new.map(|(k, v)| (k.clone(), v.clone())).collect();
                all.extend(new);
            }
            _ => {}
        }
    }
    let mut value = V::default();
    if let Some(all) = all {
        read_datum(&mut value, &all);
    }
    value
}

impl<D: Database> Transaction<D> {
    /// The rows of a table that the transaction inserts, in order, with the uuids that it uses to refer
    /// to them. Columns that were not sent have the defaults of the schema or, for a transaction
    /// without a schema, of the struct.
    ///
    /// ```
    /// # #[cfg(feature = "nb")] {
    /// use ovsdb::nb::{LogicalSwitch, Transaction};
    ///
    /// let mut txn = Transaction::detached();
    /// let switch = txn.insert(LogicalSwitch { name: "sw0".into(), ..Default::default() });
    /// let inserted = txn.inserted::<LogicalSwitch>();
    /// assert_eq!(inserted[0].name, "sw0");
    /// assert_eq!(inserted[0].reference(), switch);
    /// # }
    /// ```
    #[must_use]
    pub fn inserted<T: Table<Database = D>>(&self) -> Vec<Row<T>> {
        let operations = self.operations_on::<T>().into_iter();
        let rows = operations.filter_map(|operation| match operation {
            TableOperation::Insert(row) => Some(row),
            _ => None,
        });
        rows.collect()
    }

    /// The operations on a table, in order, with the table's types; [`TableOperation`] has an example.
    /// [`operations`](Self::operations) shows their order among those on other tables.
    #[must_use]
    pub fn operations_on<T: Table<Database = D>>(&self) -> Vec<TableOperation<T>> {
        let places = self.inserted.iter().map(|(uuid, place)| (*place, *uuid));
        let uuids: HashMap<usize, Uuid> = places.collect();
        let operations = self.operations.iter().enumerate();
        let own = operations.filter(|(_, operation)| {
            let table = operation.table();
            table.is_some_and(|table| table == T::TABLE)
        });
        own.filter_map(|(place, operation)| {
            self.table_operation(uuids.get(&place).copied(), operation)
        })
        .collect()
    }

    fn table_operation<T: Table<Database = D>>(
        &self,
        row: Option<Uuid>,
        operation: &Operation,
    ) -> Option<TableOperation<T>> {
        let rows = |clauses: &[_]| AllOf::from_clauses(clauses.to_vec());
        Some(match operation {
            Operation::Insert {
                row: columns, uuid, ..
            } => {
                let uuid = row.or(*uuid).unwrap_or_default();
                TableOperation::Insert(Row::new(uuid, self.inserted_columns(columns)))
            }
            Operation::Select { conditions, .. } => TableOperation::Select {
                rows: rows(conditions),
            },
            Operation::Update {
                conditions, row, ..
            } => TableOperation::Update {
                rows: rows(conditions),
                columns: GivenColumns::read(row),
            },
            Operation::Mutate {
                conditions,
                mutations,
                ..
            } => TableOperation::Mutate {
                rows: rows(conditions),
                mutations: Mutations {
                    list: mutations.clone(),
                    table: PhantomData,
                },
            },
            Operation::Delete { conditions, .. } => TableOperation::Delete {
                rows: rows(conditions),
            },
            Operation::Wait {
                timeout,
                conditions,
                until,
                rows: expected,
                ..
            } => TableOperation::Wait {
                rows: rows(conditions),
                until: *until,
                expected: expected.iter().map(GivenColumns::read).collect(),
                timeout: timeout.map(Duration::from_millis),
            },
            _ => return None,
        })
    }

    /// All columns of a row that is inserted with these.
    fn inserted_columns<T: Table<Database = D>>(&self, given: &Columns) -> T {
        let schema = self.origin.schema();
        let known = schema
            .as_ref()
            .and_then(|schema| schema.tables.get(T::TABLE));
        let mut columns = T::default();
        for (index, column) in T::COLUMNS.iter().enumerate() {
            let default = || {
                let known = known?.columns.get(column.name)?;
                Some(Datum::default_of(&known.kind))
            };
            let datum = given.get(column.name).cloned().or_else(default);
            if let (Some(datum), Some(value)) = (datum, columns.column_mut(index)) {
                read_datum(value, &datum);
            }
        }
        columns
    }
}
