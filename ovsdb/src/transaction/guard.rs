//! Guards: operations that make a transaction fail when another client has changed what it is based on.
//! They are `wait` operations with the timeout 0 (RFC 7047 section 5.2.6).

use ovsdb_schema::DatabaseSchema;

use super::is_known;
use super::outcome::check_count;
use super::touched::{KeyRead, Written};
use crate::model::{AllOf, Row, Table};
use crate::protocol::{Clause, Columns, Function, Operation, Until};
use crate::value::{Atom, Datum, Ref, Str, Uuid};

/// A guard: the rows that meet a condition must equal these rows in these columns.
fn expect<T: Table>(clauses: Vec<Clause>, columns: Vec<Str>, rows: Vec<Columns>) -> Operation {
    Operation::Wait {
        timeout: Some(0),
        table: T::TABLE.into(),
        conditions: clauses,
        columns: Some(columns),
        until: Until::Equal,
        rows,
    }
}

/// The values of a row to compare: its uuid, and those of the columns with these indexes that can be
/// compared, with their names.
fn compared<T: Table>(
    row: &Row<T>,
    indexes: impl IntoIterator<Item = usize>,
    schema: Option<&DatabaseSchema>,
) -> Vec<(Str, Datum)> {
    let mut columns = vec![("_uuid".into(), Datum::from(Atom::Uuid(row.uuid())))];
    for index in indexes {
        let Some(value) = row.column(index) else {
            continue;
        };
        let info = &T::COLUMNS[index];
        if schema.is_some_and(|schema| !is_known::<T>(schema, info)) {
            continue;
        }
        let datum = value.to_datum();
        let known = schema.and_then(|schema| schema.tables.get(T::TABLE)?.columns.get(info.name));
        let fits =
            known.is_none_or(|column| check_count::<T>(index, &column.kind, datum.len()).is_none());
        if fits && datum.atoms().all(Atom::is_exact) {
            columns.push((info.name.into(), datum));
        }
    }
    columns
}

fn clauses_of<T: Table>(uuid: Uuid) -> Vec<Clause> {
    AllOf::from(Ref::<T>::new(uuid)).into_clauses()
}

/// What the form of a guard depends on: the schema and the row versions of the server.
#[derive(Debug, Clone, Copy)]
pub(super) struct Guarding<'a> {
    /// The schema of the server, if it is known.
    pub(super) schema: Option<&'a DatabaseSchema>,
    /// Whether row versions come from the server that decides on the transaction, so that it can
    /// compare them.
    pub(super) by_version: bool,
}

impl Guarding<'_> {
    /// The values that stand for a whole row in a guard: its version if known, otherwise its columns.
    fn whole<T: Table>(&self, row: &Row<T>) -> Vec<(Str, Datum)> {
        match row.version().filter(|_| self.by_version) {
            Some(version) => vec![
                ("_uuid".into(), Datum::from(Atom::Uuid(row.uuid()))),
                ("_version".into(), Datum::from(Atom::Uuid(version))),
            ],
            None => compared(row, 0..T::COLUMNS.len(), self.schema),
        }
    }

    /// The values that stand for some columns of a row in a guard. Servers send reals rounded, so for
    /// reals the row's version is compared instead, where it is known.
    fn some<T: Table>(
        &self,
        row: &Row<T>,
        indexes: impl IntoIterator<Item = usize> + Clone,
    ) -> Vec<(Str, Datum)> {
        let mut reals = indexes.clone().into_iter();
        let has_reals = reals.any(|index| T::COLUMNS[index].kind.has_reals());
        match has_reals && self.by_version && row.version().is_some() {
            true => self.whole(row),
            false => compared(row, indexes, self.schema),
        }
    }
}

/// A guard: the row is as it was read, or still does not exist.
pub(super) fn of_row<T: Table>(
    uuid: Uuid,
    row: Option<&Row<T>>,
    guarding: Guarding<'_>,
) -> Operation {
    let Some(row) = row else {
        return expect::<T>(clauses_of::<T>(uuid), vec!["_uuid".into()], Vec::new());
    };
    of_row_as(row, guarding.whole(row))
}

/// A guard: the row has the same values in the columns with these indexes.
pub(super) fn of_columns<T: Table>(
    row: &Row<T>,
    indexes: impl IntoIterator<Item = usize> + Clone,
    guarding: Guarding<'_>,
) -> Operation {
    of_row_as(row, guarding.some(row, indexes))
}

fn of_row_as<T: Table>(row: &Row<T>, columns: Vec<(Str, Datum)>) -> Operation {
    let names = columns.iter().map(|(name, _)| name.clone()).collect();
    expect::<T>(clauses_of::<T>(row.uuid()), names, vec![columns.into()])
}

/// A guard: the same rows have the key as when they were looked up and, if they were read, are
/// unchanged.
pub(super) fn of_key<T: Table>(read: &KeyRead<T>, guarding: Guarding<'_>) -> Operation {
    let rows = read.rows.iter();
    let rows = rows.map(|row| match read.is_whole {
        true => guarding.whole(row),
        false => compared(row, [], guarding.schema),
    });
    let mut rows: Vec<_> = rows.collect();
    // Compare the columns that can be compared in every row.
    let mut names: Vec<Str> = match rows.first() {
        Some(first) => first.iter().map(|(name, _)| name.clone()).collect(),
        None => vec!["_uuid".into()],
    };
    names.retain(|name| {
        rows.iter()
            .all(|row| row.iter().any(|(known, _)| known == name))
    });
    for row in &mut rows {
        row.retain(|(name, _)| names.contains(name));
    }
    let rows = rows.into_iter().map(Columns::from).collect();
    expect::<T>(read.condition.clone().into_clauses(), names, rows)
}

/// A guard: an edited row exists, and has the values that the edit replaces. `None` if the transaction
/// inserts or deletes the row.
pub(super) fn of_edit<T: Table>(written: &Written<T>, guarding: Guarding<'_>) -> Option<Operation> {
    let before = written.before.as_ref()?;
    written.now.as_ref()?;
    let mut clauses = clauses_of::<T>(before.uuid());
    let mut replaced = written.replaced.clone();
    for (index, pairs) in &written.replaced_pairs {
        let all = pairs.len();
        let pairs = pairs.iter().filter(|(_, value)| value.is_exact());
        let pairs: Vec<_> = pairs
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        if pairs.len() < all {
            // Replaced reals are guarded by the version of the row, where it is known.
            replaced.insert(*index);
        }
        if !pairs.is_empty() {
            clauses.push(includes::<T>(*index, Datum::Map(pairs.into())));
        }
    }
    let columns = guarding.some(before, replaced);
    let names = columns.iter().map(|(name, _)| name.clone()).collect();
    Some(expect::<T>(clauses, names, vec![columns.into()]))
}

/// A guard: a row has these pairs in its maps.
pub(super) fn of_pairs<T: Table>(
    uuid: Uuid,
    pairs: impl IntoIterator<Item = (usize, Datum)>,
) -> Operation {
    let mut clauses = clauses_of::<T>(uuid);
    let included = pairs
        .into_iter()
        .map(|(index, pairs)| includes::<T>(index, pairs));
    clauses.extend(included);
    let row = [(Str::from("_uuid"), Datum::from(Atom::Uuid(uuid)))];
    expect::<T>(clauses, vec!["_uuid".into()], vec![row.into()])
}

fn includes<T: Table>(index: usize, pairs: Datum) -> Clause {
    Clause::Compare {
        column: T::COLUMNS[index].name.into(),
        function: Function::Includes,
        argument: pairs,
    }
}
