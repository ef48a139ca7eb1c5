//! Checks every value of a request before any of it is written, since some values cannot be sent.
//!
//! A server closes the connection when it reads a string with a NUL or a number that its parser
//! refuses, and the outcome of everything in flight on that connection is then unknown. Some reals it
//! stores but cannot read back, so they damage its database file. No request is sent with any of these.

use std::fmt;

use super::condition::Clause;
use super::monitor::MonitorRequests;
use super::operation::{Columns, Operation};
use super::wire::Json;
use crate::value::json::MAX_DEPTH;
use crate::value::{Atom, Datum, Real, Str};

/// A value of a request that servers refuse or cannot store; nothing was sent.
///
/// ```
/// use ovsdb::protocol::{InvalidReason, Operation};
///
/// let comment = Operation::Comment { comment: "a\0b".into() };
/// let error = comment.check().expect_err("a NUL");
/// assert_eq!((error.part, error.reason), (Some("the comment"), InvalidReason::Nul(1)));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub struct InvalidValue {
    /// The index of the operation in its transaction, from 0.
    pub operation: Option<usize>,
    /// The operation's or the method's name on the wire.
    pub name: Option<&'static str>,
    /// The table.
    pub table: Option<Str>,
    /// The column.
    pub column: Option<Str>,
    /// Which part of the operation or request the value is, such as `the comment`; `None` where the
    /// column says it.
    pub part: Option<&'static str>,
    /// What is wrong with it.
    pub reason: InvalidReason,
}

/// Why a value cannot be sent.
///
/// ```
/// use ovsdb::protocol::InvalidReason;
///
/// let reason = InvalidReason::Nul(3);
/// assert_eq!(reason.to_string(), "a string has a NUL character, at byte 3");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidReason {
    /// A string has a NUL character (RFC 7047 section 3.1).
    #[error("a string has a NUL character, at byte {0}")]
    Nul(usize),
    /// A real that is NaN, infinite, or so large or small that a server would store another number, or
    /// could not read back what it stored.
    #[error(
        "the real {0:?} cannot be stored: expected 0, or a magnitude from 2.22507385850721e-308 to 1.79769313486231e308"
    )]
    Real(Real),
    /// The JSON is nested deeper than servers read.
    #[error("the JSON is nested deeper than {0} levels")]
    TooDeep(u32),
    /// The JSON is not an array, where an array is required.
    #[error("expected a JSON array")]
    NotAnArray,
}

impl fmt::Display for InvalidValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(operation) = self.operation {
            write!(f, "operation {operation}, ")?;
        }
        if let Some(name) = self.name {
            f.write_str(name)?;
        }
        match (&self.table, &self.column) {
            (Some(table), Some(column)) => write!(f, " in {table}, column {column:?}")?,
            (Some(table), None) => write!(f, " in {table:?}")?,
            (None, _) => {}
        }
        if let Some(part) = self.part {
            write!(f, ", {part}")?;
        }
        write!(f, ": {}", self.reason)
    }
}

impl InvalidValue {
    pub(super) const fn new(reason: InvalidReason) -> Self {
        Self {
            operation: None,
            name: None,
            table: None,
            column: None,
            part: None,
            reason,
        }
    }

    pub(super) fn of(mut self, part: &'static str) -> Self {
        self.part = Some(part);
        self
    }

    fn in_column(mut self, column: &Str) -> Self {
        self.column = Some(column.clone());
        self
    }
}

pub(super) type Checked = Result<(), InvalidValue>;

pub(crate) fn check_text(text: &str, part: &'static str) -> Checked {
    // This form of the search is vectorized.
    match text.as_bytes().contains(&0) {
        false => Ok(()),
        true => {
            let at = text.find('\0').unwrap_or_default();
            Err(InvalidValue::new(InvalidReason::Nul(at)).of(part))
        }
    }
}

fn check_real(real: Real) -> Checked {
    if can_be_stored(real.get()) {
        Ok(())
    } else {
        Err(InvalidValue::new(InvalidReason::Real(real)))
    }
}

/// Whether a server can read the real, and writes it in a form that the server and clients can read.
fn can_be_stored(real: f64) -> bool {
    let magnitude = real.abs();
    if magnitude == 0.0 || (1e-307..1e308).contains(&magnitude) {
        return true;
    }
    // Servers write 15 digits, which may round to a subnormal number or to infinity. Their parser
    // refuses both.
    format!("{magnitude:.14e}")
        .parse()
        .is_ok_and(f64::is_normal)
}

fn check_atom(atom: &Atom) -> Checked {
    match atom {
        Atom::String(text) => match check_text(text, "") {
            Ok(()) => Ok(()),
            Err(invalid) => Err(InvalidValue::new(invalid.reason)),
        },
        Atom::NamedUuid(name) => check_text(name, "the name of a row"),
        Atom::Real(real) => check_real(*real),
        Atom::Integer(_) | Atom::Boolean(_) | Atom::Uuid(_) => Ok(()),
    }
}

fn check_datum(datum: &Datum) -> Checked {
    datum.atoms().try_for_each(check_atom)
}

fn check_column(column: &Str, datum: &Datum) -> Checked {
    check_text(column, "the name of a column")?;
    check_datum(datum).map_err(|invalid| invalid.in_column(column))
}

fn check_row(row: &Columns) -> Checked {
    row.iter()
        .try_for_each(|(column, datum)| check_column(column, datum))
}

fn check_names(names: Option<&Vec<Str>>) -> Checked {
    let mut names = names.into_iter().flatten();
    names.try_for_each(|name| check_text(name, "the name of a column"))
}

fn check_clause(clause: &Clause) -> Checked {
    match clause {
        Clause::Always(_) => Ok(()),
        Clause::Compare {
            column,
            function: _,
            argument,
        } => check_column(column, argument).map_err(|invalid| {
            let part = invalid.part.unwrap_or("a condition");
            invalid.of(part)
        }),
    }
}

/// Checks the conditions on a table.
pub(crate) fn check_conditions(table: &str, clauses: &[Clause]) -> Checked {
    clauses
        .iter()
        .try_for_each(check_clause)
        .map_err(|invalid| InvalidValue {
            table: Some(table.into()),
            ..invalid
        })
}

impl Operation {
    /// Checks that every value can be sent.
    ///
    /// # Errors
    /// When a value cannot be sent.
    pub fn check(&self) -> Result<(), InvalidValue> {
        self.check_parts().map_err(|invalid| InvalidValue {
            name: Some(self.name()),
            table: self.table().cloned(),
            ..invalid
        })
    }

    fn check_parts(&self) -> Checked {
        if let Some(table) = self.table() {
            check_text(table, "the name of a table")?;
        }
        // Each pattern lists all fields, so that a new field cannot be forgotten.
        match self {
            Self::Insert {
                table: _,
                row,
                uuid_name,
                uuid: _,
            } => {
                if let Some(name) = uuid_name {
                    check_text(name, "the name of the row")?;
                }
                check_row(row)
            }
            Self::Select {
                table: _,
                conditions,
                columns,
            } => {
                check_names(columns.as_ref())?;
                conditions.iter().try_for_each(check_clause)
            }
            Self::Update {
                table: _,
                conditions,
                row,
            } => {
                check_row(row)?;
                conditions.iter().try_for_each(check_clause)
            }
            Self::Mutate {
                table: _,
                conditions,
                mutations,
            } => {
                mutations
                    .iter()
                    .try_for_each(|mutation| check_column(&mutation.column, &mutation.argument))?;
                conditions.iter().try_for_each(check_clause)
            }
            Self::Delete {
                table: _,
                conditions,
            } => conditions.iter().try_for_each(check_clause),
            Self::Wait {
                timeout: _,
                table: _,
                conditions,
                columns,
                until: _,
                rows,
            } => {
                check_names(columns.as_ref())?;
                conditions.iter().try_for_each(check_clause)?;
                rows.iter().try_for_each(check_row)
            }
            Self::Commit { durable: _ } | Self::Abort => Ok(()),
            Self::Comment { comment } => check_text(comment, "the comment"),
            Self::Assert { lock } => check_text(lock, "the name of the lock"),
        }
    }
}

/// Checks the operations of a transaction.
pub(crate) fn check_operations(operations: &[Operation]) -> Checked {
    for (index, operation) in operations.iter().enumerate() {
        operation.check().map_err(|invalid| InvalidValue {
            operation: Some(index),
            ..invalid
        })?;
    }
    Ok(())
}

pub(super) fn check_monitors(requests: &MonitorRequests) -> Checked {
    for (table, requests) in requests {
        check_text(table, "the name of a table")?;
        for request in requests {
            check_names(request.columns.as_ref())?;
            check_conditions(table, request.conditions.as_deref().unwrap_or_default())?;
        }
    }
    Ok(())
}

/// Checks JSON that the message will contain within this many brackets. A [`Json`] is always well
/// formed, and its strings have no NUL.
pub(super) fn check_json(json: &Json, outer: u32, part: &'static str) -> Checked {
    let deepest = MAX_DEPTH - outer;
    let text = json.as_str();
    let bytes = text.as_bytes();
    let (mut at, mut depth) = (0, 0);
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => {
                at += 1;
                while !matches!(bytes.get(at), None | Some(b'"')) {
                    at += 1 + usize::from(bytes[at] == b'\\');
                }
            }
            b'[' | b'{' => {
                depth += 1;
                if depth > deepest {
                    return Err(InvalidValue::new(InvalidReason::TooDeep(deepest)).of(part));
                }
            }
            b']' | b'}' => depth -= 1,
            b'-' | b'0'..=b'9' => {
                let start = at;
                let of_number =
                    |byte: &u8| matches!(byte, b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9');
                while bytes.get(at).is_some_and(of_number) {
                    at += 1;
                }
                let number: f64 = text
                    .get(start..at)
                    .and_then(|number| number.parse().ok())
                    .unwrap_or_default();
                check_real(number.into()).map_err(|invalid| invalid.of(part))?;
                continue;
            }
            _ => {}
        }
        at += 1;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{Function, Mutation, Mutator, Request, Until, Wire};

    #[test]
    fn reals_that_a_server_cannot_read_back_are_refused() {
        for real in [
            0.0,
            -0.0,
            1.0,
            -1e300,
            1e-300,
            2.225_073_858_507_21e-308,
            1.797_693_134_862_31e308,
        ] {
            assert!(can_be_stored(real), "{real:?}");
        }
        for real in [
            f64::NAN,
            f64::INFINITY,
            f64::NEG_INFINITY,
            f64::MAX,
            -f64::MAX,
            f64::MIN_POSITIVE,
            5e-324,
            -1e-310,
            1e-308,
        ] {
            assert!(!can_be_stored(real), "{real:?}");
        }
    }

    /// Requests that have this string wherever a request can have a string, and this real wherever it can
    /// have a real; one of them in each request.
    fn requests(text: &str, real: f64) -> Vec<Request> {
        let string = Str::from(text);
        let atom = || Datum::from(Atom::String(string.clone()));
        let compare = |column: &str, argument: Datum| {
            vec![Clause::Compare {
                column: column.into(),
                function: Function::Equal,
                argument,
            }]
        };
        let number = || Datum::from(Atom::Real(real.into()));
        let row = |column: &str, datum: Datum| -> Columns { [(column, datum)].into() };
        let insert = |row| Operation::Insert {
            table: "T".into(),
            row,
            uuid_name: None,
            uuid: None,
        };
        let map = Datum::Map([(Atom::Integer(1), Atom::String(string.clone()))].into());
        let mutation = |column: &str, argument| Operation::Mutate {
            table: "T".into(),
            conditions: Vec::new(),
            mutations: vec![Mutation {
                column: column.into(),
                mutator: Mutator::Insert,
                argument,
            }],
        };
        let wait = |columns: Option<Vec<Str>>, conditions, rows| Operation::Wait {
            timeout: None,
            table: "T".into(),
            conditions,
            columns,
            until: Until::Equal,
            rows,
        };
        let operations = vec![
            insert(row("c", atom())),
            insert(row("c", map)),
            insert(row("c", number())),
            insert(row(text, Datum::empty())),
            Operation::Insert {
                table: string.clone(),
                row: Columns::new(),
                uuid_name: None,
                uuid: None,
            },
            Operation::Insert {
                table: "T".into(),
                row: Columns::new(),
                uuid_name: Some(string.clone()),
                uuid: None,
            },
            insert(row("c", Datum::from(Atom::NamedUuid(string.clone())))),
            Operation::Select {
                table: "T".into(),
                conditions: compare("c", atom()),
                columns: None,
            },
            Operation::Select {
                table: "T".into(),
                conditions: Vec::new(),
                columns: Some(vec![string.clone()]),
            },
            Operation::Update {
                table: "T".into(),
                conditions: compare("c", number()),
                row: Columns::new(),
            },
            Operation::Update {
                table: "T".into(),
                conditions: Vec::new(),
                row: row("c", atom()),
            },
            mutation("c", atom()),
            mutation(text, Datum::empty()),
            Operation::Delete {
                table: "T".into(),
                conditions: compare(text, Datum::empty()),
            },
            wait(None, compare("c", atom()), Vec::new()),
            wait(Some(vec![string.clone()]), Vec::new(), Vec::new()),
            wait(None, Vec::new(), vec![row("c", number())]),
            Operation::Comment {
                comment: string.clone(),
            },
            Operation::Assert {
                lock: string.clone(),
            },
        ];
        let transact = |operation| Request::Transact {
            database: "db".into(),
            operations: vec![Operation::Abort, operation],
        };
        let monitor = |table: Str, conditions, columns| {
            let request = crate::protocol::MonitorRequest {
                columns,
                conditions: Some(conditions),
                select: None,
            };
            MonitorRequests::from([(table, vec![request])])
        };
        let id = || Json::from(1);
        let mut requests: Vec<_> = operations.into_iter().map(transact).collect();
        requests.extend([
            Request::GetSchema {
                database: string.clone(),
            },
            Request::Lock {
                name: string.clone(),
            },
            Request::Steal {
                name: string.clone(),
            },
            Request::Unlock {
                name: string.clone(),
            },
            Request::MonitorCond {
                database: "db".into(),
                id: id(),
                requests: monitor("T".into(), compare("c", atom()), None),
            },
            Request::Monitor {
                database: "db".into(),
                id: id(),
                requests: monitor(string.clone(), Vec::new(), None),
            },
            Request::MonitorCondSince {
                database: "db".into(),
                id: id(),
                requests: monitor("T".into(), Vec::new(), Some(vec![string.clone()])),
                last_txn_id: crate::Uuid::nil(),
            },
            Request::MonitorCondChange {
                id: id(),
                new_id: id(),
                requests: monitor("T".into(), compare("c", number()), None),
            },
            Request::Convert {
                database: string.clone(),
                schema: Json::from(1),
            },
        ]);
        requests
    }

    #[test]
    fn every_string_and_real_of_a_request_is_checked() {
        for request in requests("text", 1.0) {
            let mut out = String::new();
            request.write_params(&mut out).expect("can be sent");
        }
        for request in requests("a\0b", f64::NAN) {
            let mut out = String::new();
            let invalid = request.write_params(&mut out).expect_err("cannot be sent");
            assert!(out.is_empty(), "{out}");
            let reason = invalid.reason;
            assert!(
                reason == InvalidReason::Nul(1)
                    || matches!(reason, InvalidReason::Real(real) if real.get().is_nan()),
                "{request:?}: {invalid}"
            );
            if let Request::Transact { .. } = request {
                assert_eq!(invalid.operation, Some(1), "{invalid}");
            }
        }
    }

    #[test]
    fn json_is_checked_for_what_servers_do_not_read() {
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        let json = |text: &str| Json::from_json(text).expect("JSON");
        let echo = |text: &str| {
            let params = json(text);
            Request::Echo { params }.check().map_err(|i| i.reason)
        };
        let convert = |text: &str| {
            let (database, schema) = ("db".into(), json(text));
            Request::Convert { database, schema }
                .check()
                .map_err(|i| i.reason)
        };
        assert_eq!(echo(&nested(999)), Ok(()));
        assert_eq!(echo(&nested(1000)), Err(InvalidReason::TooDeep(999)));
        assert_eq!(convert(&nested(998)), Ok(()));
        assert_eq!(convert(&nested(999)), Err(InvalidReason::TooDeep(998)));
        assert_eq!(echo(r#"["[[[\"5e-324",{"-1":2.5e-3}]"#), Ok(()));
        assert_eq!(
            echo(r#"[{"a":[1,5e-324]}]"#),
            Err(InvalidReason::Real(5e-324.into()))
        );
        assert_eq!(echo("{}"), Err(InvalidReason::NotAnArray));
    }

    #[test]
    fn the_message_names_the_place() {
        let messages: Vec<_> = requests("a\0b", f64::NAN)
            .into_iter()
            .map(|request| request.check().expect_err("invalid").to_string())
            .collect();
        for expected in [
            r#"operation 1, insert in T, column "c": a string has a NUL character, at byte 1"#,
            r#"operation 1, insert in T, column "c": the real NaN cannot be stored: expected 0, or a magnitude from 2.22507385850721e-308 to 1.79769313486231e308"#,
            r#"operation 1, delete in "T", the name of a column: a string has a NUL character, at byte 1"#,
            r#"operation 1, update in T, column "c", a condition: the real NaN cannot"#,
            r#"operation 1, comment, the comment: a string"#,
            r#"lock, the name of the lock: a string has a NUL character, at byte 1"#,
            r#"monitor_cond in T, column "c", a condition: a string"#,
        ] {
            assert!(
                messages.iter().any(|message| message.starts_with(expected)),
                "{expected} is not among {messages:#?}"
            );
        }
    }
}
