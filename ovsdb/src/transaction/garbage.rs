//! Finds inserted rows that the server would delete as garbage in the same transaction (ovsdb(7); RFC
//! 7047 section 3.2, `isRoot`).

use std::collections::HashMap;

use ovsdb_schema::{BaseType, ColumnType, DatabaseSchema, RefType};

use crate::protocol::{Clause, Function, Mutator, Operation};
use crate::value::{Atom, Datum, Str, Uuid};

/// The first operation that inserts a row which nothing in the transaction keeps alive: its table is
/// not in the root set, and no other row refers to it by a strong reference.
///
/// `inserted` maps the uuids that this transaction uses for inserted rows to their operations; some of
/// these uuids are never sent.
pub(super) fn first_unreferenced(
    operations: &[Operation],
    inserted: &HashMap<Uuid, usize>,
    schema: &DatabaseSchema,
) -> Option<usize> {
    let collected = |table: &str| schema.tables.get(table).is_some_and(|table| !table.is_root);
    let mut unreferenced: Vec<usize> = Vec::new();
    for (index, operation) in operations.iter().enumerate() {
        if let Operation::Insert { table, .. } = operation
            && collected(table)
        {
            unreferenced.push(index);
        }
    }
    if unreferenced.is_empty() {
        return None;
    }
    let mut places = Places {
        uuids: inserted.clone(),
        names: HashMap::new(),
    };
    for index in &unreferenced {
        if let Operation::Insert {
            uuid, uuid_name, ..
        } = &operations[*index]
        {
            places.uuids.extend(uuid.map(|uuid| (uuid, *index)));
            places
                .names
                .extend(uuid_name.as_ref().map(|name| (name, *index)));
        }
    }
    let mut referenced = vec![false; operations.len()];
    for (index, operation) in operations.iter().enumerate() {
        // The transaction deletes the row itself.
        if let Operation::Delete { conditions, .. } = operation
            && let [
                Clause::Compare {
                    column,
                    function: Function::Equal,
                    argument,
                },
            ] = &conditions[..]
            && *column == "_uuid"
            && let Some(place) = argument.as_scalar().and_then(|atom| places.of(atom))
        {
            referenced[place] = true;
        }
        each_value(operation, |table, column, datum| {
            let kind = schema
                .tables
                .get(table)
                .and_then(|table| table.columns.get(column))
                .map(|column| &column.kind);
            each_strong(kind, datum, |atom| {
                // A reference from a row to itself does not keep it alive.
                if let Some(place) = places.of(atom).filter(|place| *place != index) {
                    referenced[place] = true;
                }
            });
        });
    }
    unreferenced.into_iter().find(|index| !referenced[*index])
}

/// Maps references to inserted rows to the operations that insert them.
struct Places<'a> {
    uuids: HashMap<Uuid, usize>,
    names: HashMap<&'a Str, usize>,
}

impl Places<'_> {
    fn of(&self, atom: &Atom) -> Option<usize> {
        match atom {
            Atom::Uuid(uuid) => self.uuids.get(uuid).copied(),
            Atom::NamedUuid(name) => self.names.get(name).copied(),
            _ => None,
        }
    }
}

/// Calls `each` with every value that an operation writes, and its table and column.
fn each_value(operation: &Operation, mut each: impl FnMut(&str, &str, &Datum)) {
    match operation {
        Operation::Insert { table, row, .. } | Operation::Update { table, row, .. } => {
            for (column, datum) in row {
                each(table, column, datum);
            }
        }
        Operation::Mutate {
            table, mutations, ..
        } => {
            for mutation in mutations {
                if mutation.mutator == Mutator::Insert {
                    each(table, &mutation.column, &mutation.argument);
                }
            }
        }
        _ => {}
    }
}

/// Calls `each` with every atom that is a strong reference. If the schema lacks the column, the server
/// will refuse the operation.
fn each_strong(kind: Option<&ColumnType>, datum: &Datum, mut each: impl FnMut(&Atom)) {
    let strong = |base: Option<&BaseType>| {
        base.is_none_or(|base| base.ref_table.is_some() && base.ref_type == RefType::Strong)
    };
    let keys = strong(kind.map(|kind| &kind.key));
    match datum {
        Datum::Set(set) if keys => set.iter().for_each(each),
        Datum::Set(_) => {}
        Datum::Map(map) => {
            let values = strong(kind.and_then(|kind| kind.value.as_ref()));
            for (key, value) in map {
                if keys {
                    each(key);
                }
                if values {
                    each(value);
                }
            }
        }
    }
}
