//! Merges transactions that were written independently into one.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::touched::{KeyRead, Touched, Written};
use super::{BuildError, Transaction};
use crate::model::{Database, Row, Table};
use crate::value::{Datum, Map, Set, Uuid, read_datum};

/// Why [`Transaction::merge`] cannot merge two transactions.
///
/// ```
/// # #[cfg(feature = "nb")]
/// # fn example(txn: &mut ovsdb::nb::Transaction, other: &ovsdb::nb::Transaction) {
/// use ovsdb::transaction::MergeConflict;
///
/// if let Err(MergeConflict::Read { table, row }) = txn.merge(other) {
///     println!("the other transaction read the row {row} of {table}, which this one changes");
/// }
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MergeConflict {
    /// Both transactions replace the value of the same column, or replace or remove the pair of the same
    /// key of a map, or add different pairs for the same key. Where a value is replaced, equal new values are a
    /// conflict too, since the second transaction may compute its value from the one that the first
    /// replaces, as for a counter.
    #[error("both transactions change the column {table}.{column} of the row {row}")]
    Column {
        /// The table.
        table: &'static str,
        /// The row.
        row: Uuid,
        /// The column.
        column: &'static str,
    },
    /// One deletes a row that the other edits, one inserts a row that the other writes, or both edit
    /// different versions of the row. Two inserts with the same uuid conflict even if they are into
    /// different tables. [`Transaction::detached_after`] gives transactions without a client distinct
    /// uuids.
    #[error(
        "both transactions write the row {row} of {table}, and one deletes or inserts it, or they edit different versions of it"
    )]
    Row {
        /// The table.
        table: &'static str,
        /// The row.
        row: Uuid,
    },
    /// The other transaction read a row or looked up a key, a condition or a range, and this one, whose
    /// operations come first, changes what the other one found.
    #[error(
        "one transaction is based on rows of {table}, and the other writes the row {row} first"
    )]
    Read {
        /// The table.
        table: &'static str,
        /// The row that this transaction writes.
        row: Uuid,
    },
    /// The views are of different replicas, or the replica was not current all the time between them. If it
    /// was current at neither, the transactions are merged, and the commit ends with
    /// [`CommitError::NotSent`](super::CommitError::NotSent).
    #[error(
        "the transactions are based on different replicas, or the replica was not current all the time between them"
    )]
    Replica,
}

impl<D: Database> Transaction<D> {
    /// Appends all operations and guards of another transaction of the same client, so that one commit
    /// carries out both or neither, as if the other were carried out after this one.
    ///
    /// Edits of the same row are joined. The references that the other transaction returned for
    /// inserted rows stay valid. Its operations are numbered after this one's: pass the returned number
    /// to [`OperationIndex::after`], and for its selects to [`Selection::after`].
    ///
    /// [`OperationIndex::after`]: super::OperationIndex::after
    /// [`Selection::after`]: super::Selection::after
    ///
    /// These operations are not checked for conflicts: [`update`](Self::update) and
    /// [`mutate`](Self::mutate), even of a single row, [`delete`](Self::delete) by a condition, those of
    /// [`any_table`](Self::any_table), except for the uuids of its inserts, and
    /// [`operation`](Self::operation).
    ///
    /// ```
    /// # #[cfg(all(feature = "nb", feature = "server"))] #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let schema = ovsdb::schema::bundled("OVN_Northbound").expect("a bundled schema");
    /// # let server = ovsdb::server::Server::memory(schema)?;
    /// # let client = ovsdb::nb::Client::builder().server(&server).connect().await?;
    /// # let cache = client.cache().all_tables().start().await?;
    /// use ovsdb::nb::{AddressSet, PortGroup};
    ///
    /// let mut groups = client.transaction_on(&cache);
    /// groups.ensure(PortGroup::NAME, "pods", |group| drop(group.external_ids.insert("owner", "me")));
    /// let mut sets = client.transaction_on(&cache);
    /// sets.ensure(AddressSet::NAME, "pods", |set| set.addresses = ["192.0.2.1"].into());
    /// groups.merge(&sets)?;
    /// groups.commit().await?;
    /// # Ok(()) }
    /// # #[cfg(not(all(feature = "nb", feature = "server")))] fn main() {}
    /// ```
    ///
    /// # Errors
    /// A [`MergeConflict`] when both replace the same value, replace or remove the pair of the same key of a
    /// map, or add different pairs for it, when one deletes a row that the other edits or inserts a row
    /// that the other writes, when both edit different versions of a row, when the other transaction has
    /// read what this one changes, or when their views are of different replicas, or from before and after
    /// an interruption of the same one. This transaction is unchanged then, and each can be committed alone.
    pub fn merge(&mut self, other: &Self) -> Result<usize, MergeConflict> {
        if let (Some(own), Some(other)) = (&self.basis, &other.basis)
            && !own.is_same(other)
        {
            return Err(MergeConflict::Replica);
        }
        if let Some(conflict) = self.overlay.conflict(&other.overlay) {
            return Err(conflict);
        }
        if let Some(conflict) = self.same_uuid(other) {
            return Err(conflict);
        }
        let before = self.operations.len();
        self.overlay.absorb(&other.overlay);
        self.operations.extend(other.operations.iter().cloned());
        let places = other.inserted.iter();
        let places = places.map(|(uuid, place)| (*uuid, place + before));
        self.inserted.extend(places);
        let waits = other.edit_waits.iter().map(|place| place + before);
        self.edit_waits.extend(waits);
        if self.basis.is_none() {
            self.basis = other.basis.clone();
        }
        self.origin.number_after(&other.origin);
        if let Some(mistake) = &other.mistake {
            let mut mistake = mistake.clone();
            if let BuildError::SchemaMismatch(mismatch) = &mut mistake {
                mismatch.operation = mismatch.operation.map(|place| place + before);
            }
            self.mistake(mistake);
        }
        Ok(before)
    }

    /// The conflict if both insert a row with the same uuid.
    fn same_uuid(&self, other: &Self) -> Option<MergeConflict> {
        let mut inserted = other.inserted.keys();
        let row = *inserted.find(|uuid| self.inserted.contains_key(uuid))?;
        let named = "a table known by its name only";
        let table = self.overlay.table_of(row).unwrap_or(named);
        Some(MergeConflict::Row { table, row })
    }
}

impl<T> Written<T> {
    /// Whether the transaction leaves the row as it was.
    fn is_unchanged(&self) -> bool
    where
        T: PartialEq,
    {
        match (&self.before, &self.now) {
            (Some(before), Some(now)) => before == now,
            (None, None) => self.is_inserted,
            _ => false,
        }
    }
}

impl<T: Table> KeyRead<T> {
    /// Whether this write changes which rows the look-up finds or, if it read the rows, what they
    /// contain.
    fn is_changed_by(&self, uuid: Uuid, written: &Written<T>) -> bool {
        let holds = |row: &Option<Arc<Row<T>>>| {
            row.as_ref()
                .is_some_and(|row| self.condition.holds_for(row))
        };
        let now = holds(&written.now);
        // A row that was deleted without a view has unknown values.
        let is_found = self.rows.iter().any(|row| row.uuid() == uuid);
        let before = holds(&written.before) || is_found;
        before != now || (self.is_whole && now)
    }
}

impl<T: Table> Touched<T> {
    /// Why the changes of `other` cannot follow these.
    pub(super) fn conflict(&self, other: &Self) -> Option<MergeConflict> {
        let table = T::TABLE;
        for (&row, own) in &self.written {
            if let Some(other) = other.written.get(&row)
                && let Some(conflict) = conflict(row, own, other)
            {
                return Some(conflict);
            }
            let is_read = || {
                let mut keys = other.keys.iter();
                other.read.contains_key(&row)
                    || keys.any(|key| key.is_changed_by(row, own))
                    || other.has_read_columns_of(row, own)
            };
            if !own.is_unchanged() && is_read() {
                return Some(MergeConflict::Read { table, row });
            }
        }
        None
    }

    /// Whether this write changes one of the columns that were read of the row.
    fn has_read_columns_of(&self, row: Uuid, written: &Written<T>) -> bool {
        let Some((read, columns)) = self.read_columns.get(&row) else {
            return false;
        };
        let Some(now) = &written.now else {
            return true;
        };
        columns
            .iter()
            .any(|column| match (read.column(*column), now.column(*column)) {
                (Some(read), Some(now)) => !read.equals(now),
                _ => false,
            })
    }

    /// Adds what `other` has recorded. Later edits become new operations.
    pub(super) fn absorb(&mut self, other: &Self, epoch: usize) {
        for (uuid, row) in &other.read {
            self.read.entry(*uuid).or_insert_with(|| row.clone());
        }
        for (uuid, (row, columns)) in &other.read_columns {
            let read = self.read_columns.entry(*uuid);
            let (_, own) = read.or_insert_with(|| (row.clone(), BTreeSet::new()));
            own.extend(columns);
        }
        for key in &other.keys {
            self.read_key(key.clone());
        }
        let written = other
            .order
            .iter()
            .filter_map(|uuid| other.written.get_key_value(uuid));
        for (&uuid, other) in written {
            let own = self.write(uuid, || other.clone());
            if let (Some(now), Some(before), Some(others)) = (&own.now, &own.before, &other.now) {
                let joined = joined::<T>(before, now, others);
                own.now = Some(Arc::new(Row::new(uuid, joined)));
            } else {
                own.now = other.now.clone();
            }
            own.replaced.extend(&other.replaced);
            for (column, atoms) in &other.moved {
                own.moved
                    .entry(*column)
                    .or_default()
                    .extend(atoms.iter().cloned());
            }
            for (column, pairs) in &other.replaced_pairs {
                let own = own.replaced_pairs.entry(*column).or_default();
                own.extend(
                    pairs
                        .iter()
                        .map(|(key, value)| (key.clone(), value.clone())),
                );
            }
            own.start_again(epoch);
        }
    }
}

/// Why two transactions cannot both write a row.
fn conflict<T: Table>(row: Uuid, a: &Written<T>, b: &Written<T>) -> Option<MergeConflict> {
    let table = T::TABLE;
    let whole = || Some(MergeConflict::Row { table, row });
    if a.is_inserted || b.is_inserted {
        return whole();
    }
    let (a_now, b_now) = match (&a.now, &b.now) {
        (None, None) => return None,
        (Some(a), Some(b)) => (a, b),
        _ => return whole(),
    };
    let (Some(before), Some(b_before)) = (&a.before, &b.before) else {
        return whole();
    };
    if before != b_before {
        return whole();
    }
    let columns = T::COLUMNS.iter().enumerate();
    let conflict = columns.into_iter().find(|(index, _)| {
        let replaced = |written: &Written<T>| written.replaced.contains(index);
        let values = (
            before.column(*index),
            a_now.column(*index),
            b_now.column(*index),
        );
        let (Some(before), Some(a_now), Some(b_now)) = values else {
            return false;
        };
        if a_now.equals(before) || b_now.equals(before) {
            return false;
        }
        // If both increment the column, the second one would start from another value.
        (replaced(a) && replaced(b)) || {
            maps_conflict(&before.to_datum(), &a_now.to_datum(), &b_now.to_datum())
        }
    });
    conflict.map(|(_, info)| MergeConflict::Column {
        table,
        row,
        column: info.name,
    })
}

/// Whether two changes of a map concern the same key, unless both add the same pair.
fn maps_conflict(before: &Datum, a: &Datum, b: &Datum) -> bool {
    let empty = Map::new();
    let map = |datum| match datum {
        Datum::Map(map) => map,
        Datum::Set(_) => empty.clone(),
    };
    let (before, a, b) = (map(before.clone()), map(a.clone()), map(b.clone()));
    let mut keys = before.keys().chain(a.keys());
    keys.any(|key| {
        let (before, a, b) = (before.get(key), a.get(key), b.get(key));
        a != before && b != before && (a != b || before.is_some())
    })
}

/// The row with both changes applied.
pub(super) fn joined<T: Table>(before: &T, own: &T, other: &T) -> T {
    let mut joined = own.clone();
    for index in 0..T::COLUMNS.len() {
        let (Some(before), Some(own), Some(other)) =
            (before.column(index), own.column(index), other.column(index))
        else {
            continue;
        };
        if other.equals(before) {
            continue;
        }
        let both = match (before.to_datum(), own.to_datum(), other.to_datum()) {
            (Datum::Set(before), Datum::Set(own), Datum::Set(other))
                if !T::COLUMNS[index].kind.is_one() =>
            {
                let kept = own
                    .iter()
                    .filter(|atom| !before.contains(*atom) || other.contains(*atom));
                let added = other.iter().filter(|atom| !before.contains(*atom));
                Datum::Set(kept.chain(added).cloned().collect::<Set<_>>())
            }
            (Datum::Map(before), Datum::Map(own), Datum::Map(other)) => {
                let mut both = own;
                for (key, _) in &before {
                    if !other.contains_key(key) {
                        both.remove(key);
                    }
                }
                for (key, value) in &other {
                    if before.get(key) != Some(value) {
                        both.insert(key.clone(), value.clone());
                    }
                }
                Datum::Map(both)
            }
            (_, _, other) => other,
        };
        if let Some(column) = joined.column_mut(index) {
            read_datum(column, &both);
        }
    }
    joined
}

#[cfg(test)]
mod tests;
