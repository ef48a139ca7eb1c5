//! The operations that make a transaction fail when what it was decided on has changed: `wait`s that
//! do not wait (RFC 7047 section 5.2.6).

use ovsdb_schema::DatabaseSchema;

use super::is_known;
use super::outcome::check_count;
use super::touched::{KeyRead, Written};
use crate::model::{AllOf, Row, Table};
use crate::protocol::{Clause, Columns, Function, Operation, Until};
use crate::value::{Atom, Datum, Ref, Str, Uuid};

/// A guard that the rows which meet a condition are these, in these columns and no other ones.
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

/// A row as it is compared: its uuid, and the columns with these indexes as far as their values can be
/// compared. With the names of those.
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

/// What guards are made for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Guarding<'a> {
    /// The schema of the server, if it is known.
    pub(super) schema: Option<&'a DatabaseSchema>,
    /// Whether the server that decides has given rows their versions.
    pub(super) by_version: bool,
}

impl Guarding<'_> {
    /// A whole row as it is compared: by its version where that is known, else by its columns.
    fn whole<T: Table>(&self, row: &Row<T>) -> Vec<(Str, Datum)> {
        match row.version().filter(|_| self.by_version) {
            Some(version) => vec![
                ("_uuid".into(), Datum::from(Atom::Uuid(row.uuid()))),
                ("_version".into(), Datum::from(Atom::Uuid(version))),
            ],
            None => compared(row, 0..T::COLUMNS.len(), self.schema),
        }
    }

    /// Some columns of a row as they are compared. Servers send reals rounded, so the version of the row
    /// stands for them where it is known.
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

/// That a row is as it was read, or that there still is none.
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

/// That a row has the values that it had in the columns with these indexes.
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

/// That the rows that have a key are the ones that had it.
pub(super) fn of_key<T: Table>(read: &KeyRead<T>, guarding: Guarding<'_>) -> Operation {
    let rows = read.rows.iter();
    let rows = rows.map(|row| match read.is_whole {
        true => guarding.whole(row),
        false => compared(row, [], guarding.schema),
    });
    let mut rows: Vec<_> = rows.collect();
    // All rows are compared in the columns that can be compared in each.
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

/// That an edited row exists, and has the values that the edit replaces. A row that is not known is
/// not compared.
pub(super) fn of_edit<T: Table>(written: &Written<T>, guarding: Guarding<'_>) -> Option<Operation> {
    let before = written.before.as_ref()?;
    written.now.as_ref()?;
    let mut clauses = clauses_of::<T>(before.uuid());
    for (index, pairs) in &written.replaced_pairs {
        let pairs = pairs.iter().filter(|(_, value)| value.is_exact());
        let pairs: Vec<_> = pairs
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        if !pairs.is_empty() {
            clauses.push(includes::<T>(*index, Datum::Map(pairs.into())));
        }
    }
    let columns = guarding.some(before, written.replaced.iter().copied());
    let names = columns.iter().map(|(name, _)| name.clone()).collect();
    Some(expect::<T>(clauses, names, vec![columns.into()]))
}

/// That a row has these pairs in its maps.
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
