//! Operations that are described by several calls: updates, mutations and waits.

use std::marker::PhantomData;
use std::time::Duration;

use super::Transaction;
use super::outcome::OperationIndex;
use crate::model::{Changeable, Collection, Column, Database, Mutability, Ordered, PartsOf, Table};
use crate::protocol::{Columns, Mutation, Mutator, Operation, Until};
use crate::value::{Atomic, ColumnValue, Datum, Map, Set, Str, Value};

/// An operation that is described by several calls. The first call that completes it adds it to the
/// transaction.
#[derive(Debug)]
enum Draft {
    Incomplete(Operation),
    Complete(OperationIndex),
}

/// Declares the handle of an operation that is described by several calls.
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

            /// The operation as described so far.
            fn operation(&mut self) -> Option<&mut Operation> {
                match &mut self.draft {
                    Draft::Incomplete(operation) => Some(operation),
                    Draft::Complete(index) => self.transaction.operations.get_mut(index.0),
                }
            }

            /// Adds the operation to the transaction, if it was not added yet.
            fn complete(&mut self) -> OperationIndex {
                match &mut self.draft {
                    Draft::Incomplete(operation) => {
                        // A placeholder that is never read.
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

/// Declares the shared methods of the handles of operations that change rows.
macro_rules! index {
    ($name:ident) => {
        impl<D: Database, T: Table<Database = D>> $name<'_, D, T> {
            /// The operation's number in the transaction. As long as no change was given, the operation
            /// is not added, and [`Outcome::count`](super::Outcome::count) of the returned number is 0.
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
    /// An `update` operation (RFC 7047 section 5.2.3), which sets columns to new values. If it sets no
    /// column, it is not sent.
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
    /// A `mutate` operation (RFC 7047 section 5.2.4), which applies mutations in order. Without a
    /// mutation it is not sent.
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

    /// Adds elements to a set, or pairs to a map. A key that the map has already keeps its value;
    /// [`set_keys`](Self::set_keys) replaces it.
    pub fn insert<V: Collection, M: Changeable>(
        self,
        column: Column<T, V, M>,
        parts: impl PartsOf<V>,
    ) -> Self {
        let argument = parts.into_collection().to_datum();
        self.mutation(column.index(), Mutator::Insert, argument)
    }

    /// Removes elements from a set, or exact pairs from a map.
    pub fn delete<V: Collection, M: Changeable>(
        self,
        column: Column<T, V, M>,
        parts: impl PartsOf<V>,
    ) -> Self {
        let argument = parts.into_collection().to_datum();
        self.mutation(column.index(), Mutator::Delete, argument)
    }

    /// Removes the pairs with these keys from a map, whatever their values; for a set, the same as
    /// [`delete`](Self::delete).
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

    /// Sets the values of these keys in a map, whether it has them or not. Its other keys stay,
    /// including those that another client adds meanwhile.
    ///
    /// On the wire these are two mutations, `delete` of the keys and `insert` of the pairs, since an
    /// `insert` alone does not replace a value. The server carries out both or neither, and no client
    /// sees the map in between. The server also checks the map between the two: if the schema does not
    /// allow the map to be empty and it has no other key, the server refuses with "constraint
    /// violation".
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

    /// Divides by a number; zero gives a "domain error".
    pub fn divide<V: Ordered, M: Changeable>(
        self,
        column: Column<T, V, M>,
        number: impl Into<V::Number>,
    ) -> Self {
        self.arithmetic(column, Mutator::Divide, number)
    }

    /// Takes the remainder of a division, of integers only.
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
    /// Without [`timeout`](Wait::timeout) it does not wait: it is a guard that fails the transaction
    /// with "timed out" if the rows are not as required.
    ///
    /// [`until`](Wait::until) or [`until_not`](Wait::until_not) adds it to the transaction; the
    /// compiler warns if neither is called:
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
    /// // Insert a switch unless one has this name: the schema allows several.
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
    #[must_use = "a wait is not sent without `until` or `until_not`"]
    Wait
);

impl<D: Database, T: Table<Database = D>> Wait<'_, D, T> {
    /// The time limit of the wait; `None` for none. More than [`i64::MAX`] milliseconds means no limit
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

    /// Waits until the compared columns of the rows equal these, in any order.
    pub fn until(self, rows: impl IntoIterator<Item = T>) -> OperationIndex {
        self.finish(Until::Equal, rows)
    }

    /// Waits until the compared columns of the rows differ from these.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Wire as _;

    struct Inventory;

    impl Database for Inventory {
        const NAME: &'static str = "Inventory";
    }

    #[derive(Debug, Clone, PartialEq, Default, ovsdb::Table)]
    #[ovsdb(database = Inventory, table = "Item")]
    struct Item {
        name: Str,
        count: i64,
        weight: Option<i64>,
        tags: Set<i64>,
        notes: Map<Str, i64>,
    }

    fn assert_operations(txn: &Transaction<Inventory>, expected: &[&str]) {
        let text = format!("[{}]", expected.join(","));
        let expected = Vec::<Operation>::from_json(&text).expect(&text);
        assert_eq!(txn.operations().to_vec().to_json(), expected.to_json());
    }

    #[test]
    fn several_calls_describe_one_operation() {
        let mut txn = Transaction::<Inventory>::detached();
        let update = txn.update(Item::NAME.eq("a"));
        assert_eq!(update.index().get(), usize::MAX, "nothing is set yet");
        let update = update.set(Item::COUNT, 5).set(Item::WEIGHT, Some(2));
        assert_eq!(update.index().get(), 0);
        let mutate = txn
            .mutate(Item::NAME.eq("b"))
            .add(Item::COUNT, 1)
            .subtract(Item::COUNT, 2)
            .multiply(Item::COUNT, 3)
            .divide(Item::COUNT, 4)
            .modulo(Item::COUNT, 5)
            .insert(Item::TAGS, [1])
            .delete(Item::TAGS, [2])
            .insert(Item::NOTES, [("a", 1)])
            .delete(Item::NOTES, [("b", 2)])
            .delete_keys(Item::NOTES, ["c"])
            .set_keys(Item::NOTES, [("d", 3)])
            .set_keys(Item::NOTES, Map::<Str, i64>::new());
        assert_eq!(mutate.index().get(), 1);
        // Neither changes anything, so neither is sent.
        let _ = txn.update(Item::NAME.eq("c"));
        let _ = txn
            .mutate(Item::NAME.eq("c"))
            .set_keys(Item::NOTES, Map::<Str, i64>::new());
        assert_operations(
            &txn,
            &[
                r#"{"op":"update","table":"Item","where":[["name","==","a"]],"row":{"count":5,"weight":2}}"#,
                r#"{"op":"mutate","table":"Item","where":[["name","==","b"]],"mutations":[
                    ["count","+=",1],["count","-=",2],["count","*=",3],["count","/=",4],["count","%=",5],
                    ["tags","insert",1],["tags","delete",2],["notes","insert",["map",[["a",1]]]],
                    ["notes","delete",["map",[["b",2]]]],["notes","delete","c"],["notes","delete","d"],
                    ["notes","insert",["map",[["d",3]]]]]}"#,
            ],
        );
    }

    #[test]
    fn a_wait_compares_the_named_columns_for_whole_milliseconds() {
        let mut txn = Transaction::<Inventory>::detached();
        let expected = || Item {
            name: "x".into(),
            count: 5,
            weight: Some(1),
            ..Item::default()
        };
        let rows = || Item::NAME.eq("a");
        let wait = txn
            .wait(rows())
            .comparing(Item::COUNT)
            .comparing(Item::NAME);
        assert_eq!(wait.until([expected()]).get(), 0);
        for timeout in [None, Some(Duration::from_micros(1500)), Some(Duration::MAX)] {
            let wait = txn.wait(rows()).comparing(Item::WEIGHT).timeout(timeout);
            wait.until_not([expected(), Item::default()]);
        }
        let start = r#"{"op":"wait","table":"Item","where":[["name","==","a"]]"#;
        let until_not =
            r#""columns":["weight"],"until":"!=","rows":[{"weight":1},{"weight":["set",[]]}]}"#;
        let with = |timeout: &str| format!("{start},{timeout}{until_not}");
        assert_operations(
            &txn,
            &[
                &format!(
                    r#"{start},"timeout":0,"columns":["count","name"],"until":"==","rows":[{{"count":5,"name":"x"}}]}}"#
                ),
                &with(""),
                &with(r#""timeout":1,"#),
                &with(r#""timeout":9223372036854775807,"#),
            ],
        );
    }
}
