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
        // A row that the transaction deletes again needs no reference.
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

/// Calls `each` with every atom that is a strong reference. If the schema lacks the column, every atom
/// counts as one: the server will refuse the operation with a more exact error.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Wire as _;

    const SCHEMA: &str = r#"{"name":"D","version":"1.0.0","tables":{
        "Root":{"isRoot":true,"columns":{
            "strong":{"type":{"key":{"type":"uuid","refTable":"Part"},"min":0,"max":"unlimited"}},
            "weak":{"type":{"key":{"type":"uuid","refTable":"Part","refType":"weak"},"min":0,"max":"unlimited"}},
            "plain":{"type":{"key":"uuid","min":0,"max":"unlimited"}},
            "keys":{"type":{"key":{"type":"uuid","refTable":"Part"},"value":"uuid","min":0,"max":"unlimited"}},
            "values":{"type":{"key":"uuid","value":{"type":"uuid","refTable":"Part"},"min":0,"max":"unlimited"}}}},
        "Part":{"columns":{
            "next":{"type":{"key":{"type":"uuid","refTable":"Part"},"min":0,"max":1}}}}}}"#;

    /// The first of these operations whose row is collected at once. `P` stands for the row that the
    /// first operation inserts, and `Q` for another one.
    fn unreferenced(operations: &[&str]) -> Option<usize> {
        let schema = DatabaseSchema::parse(SCHEMA).expect("a schema");
        let part = Uuid::from_u128(1);
        let text = format!("[{}]", operations.join(","));
        let text = text.replace("\"P\"", &format!(r#"["uuid","{part}"]"#));
        let text = text.replace("\"Q\"", &format!(r#"["uuid","{}"]"#, Uuid::from_u128(2)));
        let operations = Vec::<Operation>::from_json(&text).expect(&text);
        first_unreferenced(&operations, &HashMap::from([(part, 0)]), &schema)
    }

    #[test]
    fn a_row_outside_the_root_set_needs_a_strong_reference() {
        const PART: &str = r#"{"op":"insert","table":"Part","row":{}}"#;
        for (operation, is_kept) in [
            (
                r#"{"op":"insert","table":"Root","row":{"strong":"P"}}"#,
                true,
            ),
            (
                r#"{"op":"insert","table":"Root","row":{"strong":"Q"}}"#,
                false,
            ),
            (
                r#"{"op":"insert","table":"Root","row":{"weak":"P"}}"#,
                false,
            ),
            (
                r#"{"op":"insert","table":"Root","row":{"plain":"P"}}"#,
                false,
            ),
            (
                r#"{"op":"insert","table":"Root","row":{"keys":["map",[["P","Q"]]]}}"#,
                true,
            ),
            (
                r#"{"op":"insert","table":"Root","row":{"keys":["map",[["Q","P"]]]}}"#,
                false,
            ),
            (
                r#"{"op":"insert","table":"Root","row":{"values":["map",[["Q","P"]]]}}"#,
                true,
            ),
            (
                r#"{"op":"insert","table":"Root","row":{"values":["map",[["P","Q"]]]}}"#,
                false,
            ),
            // The server refuses what it does not know.
            (
                r#"{"op":"insert","table":"Root","row":{"unknown":"P"}}"#,
                true,
            ),
            (
                r#"{"op":"update","table":"Root","where":[],"row":{"strong":"P"}}"#,
                true,
            ),
            (
                r#"{"op":"mutate","table":"Root","where":[],"mutations":[["strong","insert","P"]]}"#,
                true,
            ),
            (
                r#"{"op":"mutate","table":"Root","where":[],"mutations":[["strong","delete","P"]]}"#,
                false,
            ),
            (
                r#"{"op":"delete","table":"Part","where":[["_uuid","==","P"]]}"#,
                true,
            ),
            (
                r#"{"op":"delete","table":"Part","where":[["_uuid","==","Q"]]}"#,
                false,
            ),
            (
                r#"{"op":"delete","table":"Part","where":[["_uuid","!=","P"]]}"#,
                false,
            ),
            (
                r#"{"op":"delete","table":"Part","where":[["next","==","P"]]}"#,
                false,
            ),
            (r#"{"op":"comment","comment":"c"}"#, false),
        ] {
            let found = unreferenced(&[PART, operation]);
            assert_eq!(found, (!is_kept).then_some(0), "{operation}");
        }
        assert_eq!(
            unreferenced(&[r#"{"op":"insert","table":"Root","row":{}}"#]),
            None
        );
        assert_eq!(
            unreferenced(&[r#"{"op":"insert","table":"Unknown","row":{}}"#]),
            None
        );
    }

    #[test]
    fn a_row_does_not_keep_itself_alive_and_names_count_too() {
        let itself = r#"{"op":"insert","table":"Part","row":{"next":"P"}}"#;
        assert_eq!(unreferenced(&[itself]), Some(0));
        let named = r#"{"op":"insert","table":"Part","row":{},"uuid-name":"second"}"#;
        let root = r#"{"op":"insert","table":"Root","row":{"strong":["set",["P",["named-uuid","second"]]]}}"#;
        assert_eq!(unreferenced(&[itself, named]), Some(0));
        assert_eq!(unreferenced(&[itself, root, named]), None);
        assert_eq!(
            unreferenced(&[itself, root.replace("second", "third").as_str(), named]),
            Some(2)
        );
        let given = format!(
            r#"{{"op":"insert","table":"Part","row":{{}},"uuid":"{}"}}"#,
            Uuid::from_u128(2)
        );
        let keeps = r#"{"op":"insert","table":"Root","row":{"strong":["set",["P","Q"]]}}"#;
        assert_eq!(unreferenced(&[itself, keeps, &given]), None);
    }
}
