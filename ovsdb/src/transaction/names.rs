//! Names of inserted rows within their transaction (RFC 7047 section 5.2.1).

use super::Transaction;
use crate::protocol::{Clause, Columns, Operation};
use crate::value::{Atom, Datum, Str, Uuid};

impl<D> Transaction<D> {
    /// Whether the transaction inserts the row with this uuid under a name.
    pub(super) fn is_named(&self, uuid: Uuid) -> bool {
        let insert = self
            .inserted
            .get(&uuid)
            .map(|index| &self.operations[*index]);
        matches!(
            insert,
            Some(Operation::Insert {
                uuid_name: Some(_),
                ..
            })
        )
    }
}

/// The operations, with references to rows inserted under a name replaced by those names.
pub(super) fn with_names(
    operations: impl IntoIterator<Item = Operation>,
    is_named: impl Fn(Uuid) -> bool,
) -> Vec<Operation> {
    let names = |atom| match atom {
        Atom::Uuid(uuid) if is_named(uuid) => Atom::NamedUuid(row_name(uuid)),
        other => other,
    };
    let operations = operations.into_iter();
    operations
        .map(|operation| rename(operation, &names))
        .collect()
}

/// The name of an inserted row within its transaction.
pub(super) fn row_name(uuid: Uuid) -> Str {
    Str::from(format!("row{}", uuid.simple()))
}

/// The operation, with references to inserted rows replaced by their names.
fn rename(operation: Operation, names: &impl Fn(Atom) -> Atom) -> Operation {
    let columns = |row: Columns| -> Columns {
        row.into_iter()
            .map(|(name, datum)| (name, datum.map_atoms(names)))
            .collect()
    };
    let clauses = |clauses: Vec<Clause>| -> Vec<Clause> {
        let clauses = clauses.into_iter();
        clauses.map(|clause| clause.map_atoms(names)).collect()
    };
    match operation {
        Operation::Insert {
            table,
            row,
            uuid_name,
            uuid,
        } => Operation::Insert {
            table,
            row: columns(row),
            uuid_name,
            uuid,
        },
        Operation::Update {
            table,
            conditions,
            row,
        } => Operation::Update {
            table,
            conditions: clauses(conditions),
            row: columns(row),
        },
        Operation::Mutate {
            table,
            conditions,
            mut mutations,
        } => {
            for mutation in &mut mutations {
                let argument = std::mem::replace(&mut mutation.argument, Datum::empty());
                mutation.argument = argument.map_atoms(names);
            }
            Operation::Mutate {
                table,
                conditions: clauses(conditions),
                mutations,
            }
        }
        Operation::Delete { table, conditions } => Operation::Delete {
            table,
            conditions: clauses(conditions),
        },
        Operation::Select {
            table,
            conditions,
            columns,
        } => Operation::Select {
            table,
            conditions: clauses(conditions),
            columns,
        },
        Operation::Wait {
            timeout,
            table,
            conditions,
            columns: compared,
            until,
            rows,
        } => Operation::Wait {
            timeout,
            table,
            conditions: clauses(conditions),
            columns: compared,
            until,
            rows: rows.into_iter().map(columns).collect(),
        },
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Wire as _;

    #[test]
    fn every_part_of_an_operation_refers_to_inserted_rows_by_their_names() {
        let (named, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let clause = r#"["parts","includes",REF]"#;
        let operations = [
            r#"{"op":"insert","table":"T","row":{"part":REF,"parts":["set",[OTHER,REF]]},"uuid-name":"a"}"#,
            r#"{"op":"update","table":"T","where":[CLAUSE],"row":{"part":REF}}"#,
            r#"{"op":"mutate","table":"T","where":[CLAUSE],"mutations":[["parts","insert",REF]]}"#,
            r#"{"op":"delete","table":"T","where":[CLAUSE]}"#,
            r#"{"op":"select","table":"T","where":[CLAUSE],"columns":["parts"]}"#,
            r#"{"op":"wait","timeout":0,"table":"T","where":[CLAUSE],"columns":["parts"],"until":"==","rows":[{"parts":REF}]}"#,
            r#"{"op":"comment","comment":"c"}"#,
        ];
        let with = |reference: &str| {
            let operations = operations.map(|text| {
                let text = text.replace("CLAUSE", clause).replace("REF", reference);
                text.replace("OTHER", &format!(r#"["uuid","{other}"]"#))
            });
            let text = format!("[{}]", operations.join(","));
            Vec::<Operation>::from_json(&text).expect(&text)
        };
        let by_uuid = with(&format!(r#"["uuid","{named}"]"#));
        let by_name = with(&format!(r#"["named-uuid","{}"]"#, row_name(named)));
        let renamed = with_names(by_uuid.clone(), |uuid| uuid == named);
        for (renamed, expected) in renamed.iter().zip(&by_name) {
            assert_eq!(renamed.to_json(), expected.to_json());
        }
        assert_eq!(renamed.len(), by_name.len());
        assert_eq!(with_names(by_uuid.clone(), |_| false), by_uuid);
    }
}
