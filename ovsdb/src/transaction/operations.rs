//! The operations that take more than one call to describe, and the handles of their results.

use std::marker::PhantomData;
use std::time::Duration;

use super::Transaction;
use super::outcome::OperationIndex;
use crate::model::{Changeable, Collection, Column, Database, Mutability, Ordered, PartsOf, Table};
use crate::protocol::{Columns, Mutation, Mutator, Operation, Until};
use crate::value::{Atomic, ColumnValue, Datum, Map, Set, Str, Value};

/// An operation that is described by further calls. It becomes part of the transaction with the
/// first call that makes it complete.
#[derive(Debug)]
enum Draft {
    Incomplete(Operation),
    Complete(OperationIndex),
}

/// Declares the handle of an operation that is described by further calls.
macro_rules! handle {
    ($(#[$meta:meta])* $name:ident) => {
        $(#[$meta])*
        #[derive(Debug)]
        pub struct $name<'t, D, T> {
            transaction: &'t mut Transaction<D>,
            draft: Draft,
            table: PhantomData<fn() -> T>,
        }

        impl<'t, D: Database, T: Table<Database = D>> $name<'t, D, T> {
            pub(super) const fn new(
                transaction: &'t mut Transaction<D>,
                operation: Operation,
            ) -> Self {
                let draft = Draft::Incomplete(operation);
                Self { transaction, draft, table: PhantomData }
            }

            /// The operation, as far as it is described.
            fn operation(&mut self) -> Option<&mut Operation> {
                match &mut self.draft {
                    Draft::Incomplete(operation) => Some(operation),
                    Draft::Complete(index) => self.transaction.operations.get_mut(index.0),
                }
            }

            /// Makes the operation part of the transaction, unless it is.
            fn complete(&mut self) -> OperationIndex {
                match &mut self.draft {
                    Draft::Incomplete(operation) => {
                        // The value that replaces it is never read.
                        let operation = std::mem::replace(operation, Operation::Abort);
                        let index = self.transaction.operation(operation);
                        self.draft = Draft::Complete(index);
                        index
                    }
                    Draft::Complete(index) => *index,
                }
            }
        }
    };
}

/// Declares the further methods of handles of operations that touch rows.
macro_rules! index {
    ($name:ident) => {
        impl<D: Database, T: Table<Database = D>> $name<'_, D, T> {
            /// The operation's place in the transaction. As long as it changes nothing it is not part
            /// of it, and its place is one for which [`Outcome::count`](super::Outcome::count) is 0.
            #[must_use]
            pub const fn index(&self) -> OperationIndex {
                match &self.draft {
                    Draft::Incomplete(_) => OperationIndex(usize::MAX),
                    Draft::Complete(index) => *index,
                }
            }
        }
    };
}

handle!(
    /// An `update` operation (RFC 7047 section 5.2.3): the new values of columns. One that sets no
    /// column is not sent.
    ///
    /// ```
    /// # #[cfg(all(feature = "nb", feature = "server"))] #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let schema = ovsdb::schema::bundled("OVN_Northbound").expect("a bundled schema");
    /// # let server = ovsdb::server::Server::memory(schema)?;
    /// # let mut rows = ovsdb::nb::Transaction::detached();
    /// # let port = rows.insert(ovsdb::nb::LogicalSwitchPort { name: "p1".into(), ..Default::default() });
    /// # rows.insert(ovsdb::nb::LogicalSwitch { name: "sw0".into(), ports: [port].into(), ..Default::default() });
    /// # rows.commit_on(&server)?;
    /// # let client = ovsdb::nb::Client::builder().server(&server).connect().await?;
    /// use ovsdb::nb::LogicalSwitchPort as Port;
    ///
    /// let mut txn = client.transaction();
    /// let updated = txn
    ///     .update(Port::NAME.eq("p1"))
    ///     .set(Port::TAG, Some(7))
    ///     .set(Port::TYPE, "localnet")
    ///     .index();
    /// assert_eq!(txn.commit().await?.count(updated), 1);
    /// # Ok(()) }
    /// # #[cfg(not(all(feature = "nb", feature = "server")))] fn main() {}
    /// ```
    Update
);

index!(Update);

impl<D: Database, T: Table<Database = D>> Update<'_, D, T> {
    /// Sets a column.
    pub fn set<V: Value, M: Changeable>(
        mut self,
        column: Column<T, V, M>,
        value: impl Into<V>,
    ) -> Self {
        let datum = value.into().to_datum();
        if let Some((name, datum)) = self.transaction.whole::<T>(column.index(), datum)
            && let Some(Operation::Update { row, .. }) = self.operation()
        {
            row.insert(name, datum);
            self.complete();
        }
        self
    }
}

handle!(
    /// A `mutate` operation (RFC 7047 section 5.2.4): how columns change, in order. One without a
    /// change is not sent.
    ///
    /// ```
    /// # #[cfg(all(feature = "nb", feature = "server"))] #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let schema = ovsdb::schema::bundled("OVN_Northbound").expect("a bundled schema");
    /// # let server = ovsdb::server::Server::memory(schema)?;
    /// # let mut rows = ovsdb::nb::Transaction::detached();
    /// # let port = rows.insert(ovsdb::nb::LogicalSwitchPort { name: "p1".into(), ..Default::default() });
    /// # rows.insert(ovsdb::nb::LogicalSwitch { name: "sw0".into(), ports: [port].into(), ..Default::default() });
    /// # rows.commit_on(&server)?;
    /// # let client = ovsdb::nb::Client::builder().server(&server).connect().await?;
    /// use ovsdb::nb::LogicalSwitchPort as Port;
    ///
    /// let mut txn = client.transaction();
    /// txn.mutate(Port::NAME.eq("p1"))
    ///     .insert(Port::ADDRESSES, ["0a:00:00:00:00:01"])
    ///     .delete_keys(Port::EXTERNAL_IDS, ["owner"])
    ///     .add(Port::TAG, 1);
    /// txn.commit().await?;
    /// # Ok(()) }
    /// # #[cfg(not(all(feature = "nb", feature = "server")))] fn main() {}
    /// ```
    Mutate
);

index!(Mutate);

impl<D: Database, T: Table<Database = D>> Mutate<'_, D, T> {
    fn mutation(mut self, column: usize, mutator: Mutator, argument: Datum) -> Self {
        if let Some((column, argument)) = self.transaction.datum::<T>(column, argument)
            && let Some(Operation::Mutate { mutations, .. }) = self.operation()
        {
            mutations.push(Mutation {
                column,
                mutator,
                argument,
            });
            self.complete();
        }
        self
    }

    /// Adds elements to a set, or pairs to a map: a key that the map has keeps its value, which
    /// [`set_keys`](Self::set_keys) replaces.
    pub fn insert<V: Collection, M: Changeable>(
        self,
        column: Column<T, V, M>,
        parts: impl PartsOf<V>,
    ) -> Self {
        let argument = parts.into_collection().to_datum();
        self.mutation(column.index(), Mutator::Insert, argument)
    }

    /// Takes elements out of a set, or exact pairs out of a map.
    pub fn delete<V: Collection, M: Changeable>(
        self,
        column: Column<T, V, M>,
        parts: impl PartsOf<V>,
    ) -> Self {
        let argument = parts.into_collection().to_datum();
        self.mutation(column.index(), Mutator::Delete, argument)
    }

    /// Takes the pairs with these keys out of a map, with any values; the same as
    /// [`delete`](Self::delete) for a set.
    pub fn delete_keys<V: Collection, M: Changeable, K: Into<V::Key>>(
        self,
        column: Column<T, V, M>,
        keys: impl IntoIterator<Item = K>,
    ) -> Self {
        let keys: Set<V::Key> = keys.into_iter().collect();
        self.mutation(
            column.index(),
            Mutator::Delete,
            ColumnValue::to_datum(&keys),
        )
    }

    /// Sets the values of these keys in a map, whether it has them or not; its other keys stay as they
    /// are, also those that another client adds meanwhile.
    ///
    /// On the wire these are two mutations, `delete` of the keys and `insert` of the pairs, since an
    /// `insert` alone keeps the value of a key that the map has. The server carries out both or
    /// neither, and no client sees the map in between. A map that by the schema must not be empty has to
    /// keep another key in between, or the server refuses it with "constraint violation".
    ///
    /// ```
    /// # #[cfg(all(feature = "nb", feature = "server"))] #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let schema = ovsdb::schema::bundled("OVN_Northbound").expect("a bundled schema");
    /// # let server = ovsdb::server::Server::memory(schema)?;
    /// # let mut rows = ovsdb::nb::Transaction::detached();
    /// # rows.insert(ovsdb::nb::LogicalSwitch { name: "sw0".into(), ..Default::default() });
    /// # rows.commit_on(&server)?;
    /// # let client = ovsdb::nb::Client::builder().server(&server).connect().await?;
    /// use ovsdb::nb::LogicalSwitch as Switch;
    ///
    /// let mut txn = client.transaction();
    /// txn.mutate(Switch::NAME.eq("sw0")).set_keys(Switch::EXTERNAL_IDS, [("owner", "me")]);
    /// txn.commit().await?;
    /// # Ok(()) }
    /// # #[cfg(not(all(feature = "nb", feature = "server")))] fn main() {}
    /// ```
    pub fn set_keys<K: Atomic, V: Atomic, M: Changeable>(
        self,
        column: Column<T, Map<K, V>, M>,
        pairs: impl PartsOf<Map<K, V>>,
    ) -> Self {
        let pairs = pairs.into_collection();
        if pairs.is_empty() {
            return self;
        }
        self.delete_keys(column, pairs.keys().cloned()).mutation(
            column.index(),
            Mutator::Insert,
            ColumnValue::to_datum(&pairs),
        )
    }

    fn arithmetic<V: Ordered, M: Changeable>(
        self,
        column: Column<T, V, M>,
        mutator: Mutator,
        number: impl Into<V::Number>,
    ) -> Self {
        self.mutation(
            column.index(),
            mutator,
            Datum::from(number.into().to_atom()),
        )
    }

    /// Adds a number.
    pub fn add<V: Ordered, M: Changeable>(
        self,
        column: Column<T, V, M>,
        number: impl Into<V::Number>,
    ) -> Self {
        self.arithmetic(column, Mutator::Add, number)
    }

    /// Subtracts a number.
    pub fn subtract<V: Ordered, M: Changeable>(
        self,
        column: Column<T, V, M>,
        number: impl Into<V::Number>,
    ) -> Self {
        self.arithmetic(column, Mutator::Subtract, number)
    }

    /// Multiplies by a number.
    pub fn multiply<V: Ordered, M: Changeable>(
        self,
        column: Column<T, V, M>,
        number: impl Into<V::Number>,
    ) -> Self {
        self.arithmetic(column, Mutator::Multiply, number)
    }

    /// Divides by a number; by zero is a "domain error".
    pub fn divide<V: Ordered, M: Changeable>(
        self,
        column: Column<T, V, M>,
        number: impl Into<V::Number>,
    ) -> Self {
        self.arithmetic(column, Mutator::Divide, number)
    }

    /// Takes the remainder of a division; the server takes it of integers only.
    pub fn modulo<V: Ordered<Number = i64>, M: Changeable>(
        self,
        column: Column<T, V, M>,
        number: impl Into<i64>,
    ) -> Self {
        self.arithmetic(column, Mutator::Modulo, number)
    }
}

handle!(
    /// A `wait` operation (RFC 7047 section 5.2.6).
    ///
    /// Without [`timeout`](Wait::timeout) it does not wait at all: it is a guard that fails the
    /// transaction with "timed out" when the rows are not as they must be.
    ///
    /// It is part of the transaction once [`until`](Wait::until) or [`until_not`](Wait::until_not) has
    /// said what to wait for; the compiler warns when neither does:
    ///
    /// ```compile_fail
    /// #![deny(unused_must_use)]
    /// # use ovsdb::nb::LogicalSwitch as Switch;
    /// # fn example(txn: &mut ovsdb::nb::Transaction) {
    /// txn.wait(Switch::NAME.eq("sw0")).comparing(Switch::NAME);
    /// # }
    /// ```
    ///
    /// ```
    /// # #[cfg(all(feature = "nb", feature = "server"))] #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let schema = ovsdb::schema::bundled("OVN_Northbound").expect("a bundled schema");
    /// # let server = ovsdb::server::Server::memory(schema)?;
    /// # let client = ovsdb::nb::Client::builder().server(&server).connect().await?;
    /// use ovsdb::nb::LogicalSwitch as Switch;
    ///
    /// // Insert a switch unless there is one of this name: the schema allows several.
    /// let switch = Switch { name: "sw0".into(), ..Default::default() };
    /// let mut txn = client.transaction();
    /// txn.wait(Switch::NAME.eq("sw0")).comparing(Switch::NAME).until_not([switch.clone()]);
    /// txn.insert(switch);
    /// # let again = txn.clone();
    /// txn.commit().await?;
    /// # assert!(again.commit().await.is_err());
    /// # Ok(()) }
    /// # #[cfg(not(all(feature = "nb", feature = "server")))] fn main() {}
    /// ```
    #[must_use = "nothing is waited for without `until` or `until_not`"]
    Wait
);

impl<D: Database, T: Table<Database = D>> Wait<'_, D, T> {
    /// How long to wait; `None` for ever. [`i64::MAX`] milliseconds are the most, which is for ever
    /// too.
    pub fn timeout(mut self, limit: Option<Duration>) -> Self {
        let most = u128::from(i64::MAX.unsigned_abs());
        let milliseconds = limit.and_then(|limit| u64::try_from(limit.as_millis().min(most)).ok());
        if let Some(Operation::Wait { timeout, .. }) = self.operation() {
            *timeout = milliseconds;
        }
        self
    }

    /// Adds a column to compare.
    pub fn comparing<V: Value, M: Mutability>(mut self, column: Column<T, V, M>) -> Self {
        if let Some(Operation::Wait {
            columns: Some(columns),
            ..
        }) = self.operation()
        {
            columns.push(Str::from(column.name()));
        }
        self
    }

    /// Waits until the rows are these, in any order, in the compared columns.
    pub fn until(self, rows: impl IntoIterator<Item = T>) -> OperationIndex {
        self.finish(Until::Equal, rows)
    }

    /// Waits until the rows are not these in the compared columns.
    pub fn until_not(self, rows: impl IntoIterator<Item = T>) -> OperationIndex {
        self.finish(Until::NotEqual, rows)
    }

    fn finish(
        mut self,
        comparison: Until,
        expected: impl IntoIterator<Item = T>,
    ) -> OperationIndex {
        let compared = match self.operation() {
            Some(Operation::Wait {
                columns: Some(columns),
                ..
            }) => columns.clone(),
            _ => Vec::new(),
        };
        let compared: Vec<usize> = compared
            .iter()
            .filter_map(|name| T::COLUMNS.iter().position(|column| *name == column.name))
            .collect();
        let expected: Vec<Columns> = expected
            .into_iter()
            .map(|row| {
                let columns = compared.iter().filter_map(|index| {
                    let datum = row.column(*index)?.to_datum();
                    self.transaction.whole::<T>(*index, datum)
                });
                Columns::from(columns.collect::<Vec<_>>())
            })
            .collect();
        if let Some(Operation::Wait { until, rows, .. }) = self.operation() {
            *until = comparison;
            *rows = expected;
        }
        self.complete()
    }
}
