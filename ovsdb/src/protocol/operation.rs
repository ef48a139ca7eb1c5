//! The operations of a transaction and their results.

use super::condition::Clause;
use super::error::OvsdbError;
use super::mutation::Mutation;
use super::wire::{Object, Wire, read_object, required, unknown, words};
use crate::value::json::{DecodeError, Reader};
use crate::value::{Atom, Atomic, Datum, Map, Str, Uuid};

/// Some columns of a row, by name (RFC 7047 section 5.1, `<row>`).
///
/// ```
/// use ovsdb::protocol::{Columns, Wire};
///
/// let columns = Columns::from_json(r#"{"name":"br-int","tag":["set",[]]}"#)?;
/// assert_eq!(columns["tag"], ovsdb::value::Datum::empty());
/// # Ok::<(), ovsdb::value::json::DecodeError>(())
/// ```
pub type Columns = Map<Str, Datum>;

/// Whether a `wait` waits until rows equal the given ones, or until they differ.
///
/// ```
/// use ovsdb::protocol::{Until, Wire};
///
/// assert_eq!(Until::from_json(r#""!=""#)?, Until::NotEqual);
/// # Ok::<(), ovsdb::value::json::DecodeError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Until {
    /// Until the rows equal the given ones.
    Equal,
    /// Until the rows differ from the given ones.
    NotEqual,
}

words!(Until, "comparison", Equal = "==", NotEqual = "!=");

/// An operation of a `transact` request (RFC 7047 section 5.2).
///
/// ```
/// use ovsdb::protocol::{Clause, Operation, Wire};
///
/// let operation = Operation::Delete {
///     table: "Bridge".into(),
///     conditions: vec![Clause::from_json(r#"["name","==","br-int"]"#)?],
/// };
/// assert_eq!((operation.name(), operation.writes()), ("delete", true));
/// assert_eq!(Operation::from_json(&operation.to_json())?, operation);
/// # Ok::<(), ovsdb::value::json::DecodeError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// Adds a row.
    Insert {
        /// The table.
        table: Str,
        /// The columns; omitted ones get their default.
        row: Columns,
        /// A name for the row within the transaction.
        uuid_name: Option<Str>,
        /// The row's uuid, chosen by the client (Open vSwitch 2.13 and later).
        uuid: Option<Uuid>,
    },
    /// Reads rows.
    Select {
        /// The table.
        table: Str,
        /// The condition: all clauses must be true.
        conditions: Vec<Clause>,
        /// The columns to read; `None` for all.
        columns: Option<Vec<Str>>,
    },
    /// Sets columns of rows.
    Update {
        /// The table.
        table: Str,
        /// The condition: all clauses must be true.
        conditions: Vec<Clause>,
        /// The new values.
        row: Columns,
    },
    /// Changes columns of rows.
    Mutate {
        /// The table.
        table: Str,
        /// The condition: all clauses must be true.
        conditions: Vec<Clause>,
        /// The changes, made in order.
        mutations: Vec<Mutation>,
    },
    /// Deletes rows.
    Delete {
        /// The table.
        table: Str,
        /// The condition: all clauses must be true.
        conditions: Vec<Clause>,
    },
    /// Waits until rows are, or are not, as given.
    Wait {
        /// The time limit, in milliseconds: `None` for none, 0 for not waiting. Values above
        /// [`i64::MAX`] are sent as `i64::MAX`.
        timeout: Option<u64>,
        /// The table.
        table: Str,
        /// The condition: all clauses must be true.
        conditions: Vec<Clause>,
        /// The columns to compare; `None` for all.
        columns: Option<Vec<Str>>,
        /// Whether to wait until the rows equal the given ones, or until they differ.
        until: Until,
        /// The rows to compare with.
        rows: Vec<Columns>,
    },
    /// Commits; with `durable`, the server replies only once the transaction is on disk.
    Commit {
        /// Whether to wait for the disk.
        durable: bool,
    },
    /// Aborts the transaction.
    Abort,
    /// Adds a comment to the transaction's record in the database's log.
    Comment {
        /// The comment.
        comment: Str,
    },
    /// Fails unless the client holds a lock.
    Assert {
        /// The lock's name.
        lock: Str,
    },
}

impl Operation {
    /// The operation's name on the wire.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Insert { .. } => "insert",
            Self::Select { .. } => "select",
            Self::Update { .. } => "update",
            Self::Mutate { .. } => "mutate",
            Self::Delete { .. } => "delete",
            Self::Wait { .. } => "wait",
            Self::Commit { .. } => "commit",
            Self::Abort => "abort",
            Self::Comment { .. } => "comment",
            Self::Assert { .. } => "assert",
        }
    }

    /// The table that the operation touches.
    #[must_use]
    pub const fn table(&self) -> Option<&Str> {
        match self {
            Self::Insert { table, .. }
            | Self::Select { table, .. }
            | Self::Update { table, .. }
            | Self::Mutate { table, .. }
            | Self::Delete { table, .. }
            | Self::Wait { table, .. } => Some(table),
            _ => None,
        }
    }

    /// Whether the operation can change the database.
    #[must_use]
    pub const fn writes(&self) -> bool {
        matches!(
            self,
            Self::Insert { .. } | Self::Update { .. } | Self::Mutate { .. } | Self::Delete { .. }
        )
    }
}

/// The members of all operations together.
#[derive(Default)]
struct Members {
    op: Option<Str>,
    table: Option<Str>,
    row: Option<Columns>,
    uuid_name: Option<Str>,
    uuid: Option<Uuid>,
    conditions: Option<Vec<Clause>>,
    columns: Option<Vec<Str>>,
    mutations: Option<Vec<Mutation>>,
    timeout: Option<u64>,
    until: Option<Until>,
    rows: Option<Vec<Columns>>,
    durable: Option<bool>,
    comment: Option<Str>,
    lock: Option<Str>,
}

impl Wire for Operation {
    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut given = Members::default();
        read_object(reader, |reader, key| {
            match &*key {
                "op" => given.op = Some(Wire::read(reader)?),
                "table" => given.table = Some(Wire::read(reader)?),
                "row" => given.row = Some(Wire::read(reader)?),
                "uuid-name" => given.uuid_name = Some(Wire::read(reader)?),
                "uuid" => given.uuid = Some(Wire::read(reader)?),
                "where" => given.conditions = Some(Wire::read(reader)?),
                "columns" => given.columns = Some(Wire::read(reader)?),
                "mutations" => given.mutations = Some(Wire::read(reader)?),
                "timeout" => given.timeout = Some(Wire::read(reader)?),
                "until" => given.until = Some(Wire::read(reader)?),
                "rows" => given.rows = Some(Wire::read(reader)?),
                "durable" => given.durable = Some(Wire::read(reader)?),
                "comment" => given.comment = Some(Wire::read(reader)?),
                "lock" => given.lock = Some(Wire::read(reader)?),
                other => return unknown(reader, "member", other),
            }
            Ok(())
        })?;
        let reader = &*reader;
        let op = required(reader, "op", given.op)?;
        let table = || required(reader, "table", given.table);
        let conditions = || required(reader, "where", given.conditions);
        Ok(match &*op {
            "insert" => Self::Insert {
                table: table()?,
                row: required(reader, "row", given.row)?,
                uuid_name: given.uuid_name,
                uuid: given.uuid,
            },
            "select" => Self::Select {
                table: table()?,
                conditions: conditions()?,
                columns: given.columns,
            },
            "update" => Self::Update {
                table: table()?,
                conditions: conditions()?,
                row: required(reader, "row", given.row)?,
            },
            "mutate" => Self::Mutate {
                table: table()?,
                conditions: conditions()?,
                mutations: required(reader, "mutations", given.mutations)?,
            },
            "delete" => Self::Delete {
                table: table()?,
                conditions: conditions()?,
            },
            "wait" => Self::Wait {
                timeout: given.timeout,
                table: table()?,
                conditions: conditions()?,
                columns: given.columns,
                until: required(reader, "until", given.until)?,
                rows: required(reader, "rows", given.rows)?,
            },
            "commit" => Self::Commit {
                durable: required(reader, "durable", given.durable)?,
            },
            "abort" => Self::Abort,
            "comment" => Self::Comment {
                comment: required(reader, "comment", given.comment)?,
            },
            "assert" => Self::Assert {
                lock: required(reader, "lock", given.lock)?,
            },
            other => return unknown(reader, "operation", other),
        })
    }

    fn write(&self, out: &mut String) {
        let mut object = Object::new(out);
        object.text("op", self.name());
        object.optional("table", self.table());
        match self {
            Self::Insert {
                row,
                uuid_name,
                uuid,
                ..
            } => {
                object
                    .optional("uuid-name", uuid_name.as_ref())
                    .optional("uuid", uuid.as_ref())
                    .member("row", row);
            }
            Self::Select {
                conditions,
                columns,
                ..
            } => {
                object
                    .member("where", conditions)
                    .optional("columns", columns.as_ref());
            }
            Self::Update {
                conditions, row, ..
            } => {
                object.member("where", conditions).member("row", row);
            }
            Self::Mutate {
                conditions,
                mutations,
                ..
            } => {
                object
                    .member("where", conditions)
                    .member("mutations", mutations);
            }
            Self::Delete { conditions, .. } => {
                object.member("where", conditions);
            }
            Self::Wait {
                timeout,
                conditions,
                columns,
                until,
                rows,
                ..
            } => {
                object
                    .optional("timeout", timeout.as_ref())
                    .member("where", conditions)
                    .optional("columns", columns.as_ref())
                    .member("until", until)
                    .member("rows", rows);
            }
            Self::Commit { durable } => {
                object.member("durable", durable);
            }
            Self::Abort => {}
            Self::Comment { comment } => {
                object.member("comment", comment);
            }
            Self::Assert { lock } => {
                object.member("lock", lock);
            }
        }
        object.end();
    }
}

/// The result of one operation in the reply to a `transact` (RFC 7047 section 4.1.3).
///
/// ```
/// use ovsdb::protocol::{OperationResult, Wire};
///
/// assert_eq!(OperationResult::from_json(r#"{"count":2}"#)?, OperationResult::Count(2));
/// assert_eq!(OperationResult::from_json("null")?, OperationResult::NotTried);
/// # Ok::<(), ovsdb::value::json::DecodeError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OperationResult {
    /// An insert: the new row's uuid.
    Inserted(Uuid),
    /// A select: the rows.
    Rows(Vec<Columns>),
    /// An update, mutate or delete: how many rows it affected.
    Count(u64),
    /// Anything else that succeeded.
    Done,
    /// Not tried, since an operation before it failed.
    NotTried,
    /// The operation failed. An extra element of this kind, after the results of all operations, means that
    /// the commit failed.
    Failed(OvsdbError),
}

impl Wire for OperationResult {
    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        if reader.null() {
            return Ok(Self::NotTried);
        }
        let start = reader.checkpoint();
        let (mut result, mut failed) = (Self::Done, false);
        read_object(reader, |reader, key| {
            match &*key {
                "uuid" => result = Self::Inserted(Atomic::read(reader)?),
                "rows" => result = Self::Rows(Wire::read(reader)?),
                "count" => result = Self::Count(Wire::read(reader)?),
                "error" => {
                    failed = true;
                    reader.skip()?;
                }
                _ => drop(reader.skip()?),
            }
            Ok(())
        })?;
        if failed {
            reader.restore(start);
            result = Self::Failed(OvsdbError::read(reader)?);
        }
        Ok(result)
    }

    fn write(&self, out: &mut String) {
        match self {
            Self::Inserted(uuid) => {
                Object::new(out)
                    .member("uuid", &Datum::from(Atom::Uuid(*uuid)))
                    .end();
            }
            Self::Rows(rows) => Object::new(out).member("rows", rows).end(),
            Self::Count(count) => Object::new(out).member("count", count).end(),
            Self::Done => Object::new(out).end(),
            Self::NotTried => out.push_str("null"),
            Self::Failed(error) => error.write(out),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_round_trips() {
        for text in [
            r#"{"op":"insert","table":"T","uuid-name":"a","row":{"n":1}}"#,
            r#"{"op":"insert","table":"T","uuid":"f4bb6a91-019b-4612-b6aa-88fc663dd515","row":{}}"#,
            r#"{"op":"select","table":"T","where":[],"columns":["a"]}"#,
            r#"{"op":"select","table":"T","where":[["a","<",5],true]}"#,
            r#"{"op":"update","table":"T","where":[["a","==","x"]],"row":{"a":["set",[]]}}"#,
            r#"{"op":"mutate","table":"T","where":[],"mutations":[["a","+=",1],["b","insert",["map",[["k","v"]]]]]}"#,
            r#"{"op":"delete","table":"T","where":[["a","includes",["set",[1,2]]]]}"#,
            r#"{"op":"wait","table":"T","timeout":0,"where":[],"columns":["a"],"until":"!=","rows":[{"a":1}]}"#,
            r#"{"op":"commit","durable":true}"#,
            r#"{"op":"abort"}"#,
            r#"{"op":"comment","comment":"why"}"#,
            r#"{"op":"assert","lock":"l"}"#,
        ] {
            assert_eq!(Operation::from_json(text).expect(text).to_json(), text);
        }
        for text in [
            r#"{"op":"insert"}"#,
            r#"{"op":"nothing"}"#,
            r#"{"op":"abort","x":1}"#,
            "{}",
        ] {
            assert!(Operation::from_json(text).is_err(), "{text}");
        }
    }

    #[test]
    fn every_result_round_trips() {
        let text = concat!(
            r#"[{"uuid":["uuid","f4bb6a91-019b-4612-b6aa-88fc663dd515"]},{"rows":[{"a":1}]},"#,
            r#"{"count":2},{},null,{"error":"timed out","details":"d"}]"#,
        );
        let results = Vec::<OperationResult>::from_json(text).expect("results");
        assert_eq!(results.len(), 6);
        assert_eq!(results.to_json(), text);
    }
}
