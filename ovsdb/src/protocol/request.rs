//! Requests and their parameters.

use super::check::{
    Checked, InvalidReason, InvalidValue, check_json, check_monitors, check_operations, check_text,
};
use super::monitor::{MonitorRequest, MonitorRequests};
use super::operation::Operation;
use super::wire::{Json, Object, Wire, next, read_object, required, unknown};
use crate::value::json::{DecodeError, Raw, Reader};
use crate::value::{Str, Uuid};

/// How many brackets enclose each parameter: those of the message and of the parameters.
const WITHIN_PARAMS: u32 = 2;

/// A request of any method of RFC 7047 section 4.1, or of its extensions in ovsdb-server(7).
///
/// ```
/// use ovsdb::protocol::Request;
///
/// let request = Request::GetSchema { database: "Open_vSwitch".into() };
/// let mut params = String::new();
/// request.write_params(&mut params)?;
/// assert_eq!((request.method(), &*params), ("get_schema", r#"["Open_vSwitch"]"#));
/// # Ok::<(), ovsdb::protocol::InvalidValue>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// Requests the databases' names.
    ListDbs,
    /// Requests a database's schema.
    GetSchema {
        /// The database.
        database: Str,
    },
    /// Requests the server's own id.
    GetServerId,
    /// Commits a transaction.
    Transact {
        /// The database.
        database: Str,
        /// The operations, in order.
        operations: Vec<Operation>,
    },
    /// Starts a monitor without conditions.
    Monitor {
        /// The database.
        database: Str,
        /// The monitor's id.
        id: Json,
        /// The tables, columns and kinds of change.
        requests: MonitorRequests,
    },
    /// Starts a monitor with conditions.
    MonitorCond {
        /// The database.
        database: Str,
        /// The monitor's id.
        id: Json,
        /// The tables, columns, conditions and kinds of change.
        requests: MonitorRequests,
    },
    /// Starts a monitor with conditions, or resumes one after a transaction.
    MonitorCondSince {
        /// The database.
        database: Str,
        /// The monitor's id.
        id: Json,
        /// The tables, columns, conditions and kinds of change.
        requests: MonitorRequests,
        /// The id of the last transaction that the client knows; zero if it knows none.
        last_txn_id: Uuid,
    },
    /// Changes the conditions of a monitor.
    MonitorCondChange {
        /// The monitor's id.
        id: Json,
        /// Its id from now on.
        new_id: Json,
        /// The new conditions, for the tables that get new ones.
        requests: MonitorRequests,
    },
    /// Ends a monitor.
    MonitorCancel {
        /// The monitor's id.
        id: Json,
    },
    /// Requests a lock, and queues for it if another client holds it.
    Lock {
        /// The lock's name.
        name: Str,
    },
    /// Takes a lock, even if another client holds it.
    Steal {
        /// The lock's name.
        name: Str,
    },
    /// Releases a lock.
    Unlock {
        /// The lock's name.
        name: Str,
    },
    /// Tells the server whether to notify this client of changed schemas, instead of disconnecting it.
    SetDbChangeAware {
        /// Whether to notify it.
        aware: bool,
    },
    /// Converts a database to a new schema.
    Convert {
        /// The database.
        database: Str,
        /// The schema.
        schema: Json,
    },
    /// Requests an echo, which shows that the peer responds.
    Echo {
        /// What to echo, an array.
        params: Json,
    },
}

/// Appends the elements of `params` as an array.
fn array(out: &mut String, params: &[&dyn Fn(&mut String)]) {
    super::wire::write_list(out, params, |out, write| write(out));
}

impl Request {
    /// The method's name.
    #[must_use]
    pub const fn method(&self) -> &'static str {
        match self {
            Self::ListDbs => "list_dbs",
            Self::GetSchema { .. } => "get_schema",
            Self::GetServerId => "get_server_id",
            Self::Transact { .. } => "transact",
            Self::Monitor { .. } => "monitor",
            Self::MonitorCond { .. } => "monitor_cond",
            Self::MonitorCondSince { .. } => "monitor_cond_since",
            Self::MonitorCondChange { .. } => "monitor_cond_change",
            Self::MonitorCancel { .. } => "monitor_cancel",
            Self::Lock { .. } => "lock",
            Self::Steal { .. } => "steal",
            Self::Unlock { .. } => "unlock",
            Self::SetDbChangeAware { .. } => "set_db_change_aware",
            Self::Convert { .. } => "convert",
            Self::Echo { .. } => "echo",
        }
    }

    /// Appends the parameters of a [`Transact`](Self::Transact), whose operations are only borrowed.
    ///
    /// # Errors
    /// When a value of an operation cannot be sent; then nothing is appended. The name of the database is not
    /// checked.
    pub(crate) fn write_transact(
        out: &mut String,
        database: &Str,
        operations: &[Operation],
    ) -> Result<(), InvalidValue> {
        check_operations(operations)?;
        Self::write_operations(out, database, operations);
        Ok(())
    }

    fn write_operations(out: &mut String, database: &Str, operations: &[Operation]) {
        out.push('[');
        database.write(out);
        for operation in operations {
            out.push(',');
            operation.write(out);
        }
        out.push(']');
    }

    /// Appends the parameters, an array, after a [`check`](Self::check) of every value.
    ///
    /// # Errors
    /// When a value cannot be sent; then nothing is appended.
    pub fn write_params(&self, out: &mut String) -> Result<(), InvalidValue> {
        self.check()?;
        self.write_checked(out);
        Ok(())
    }

    /// Checks that every value can be sent; [`write_params`](Self::write_params) does so first.
    ///
    /// # Errors
    /// When a value cannot be sent.
    pub fn check(&self) -> Result<(), InvalidValue> {
        self.check_parts().map_err(|invalid| InvalidValue {
            name: invalid.name.or(Some(self.method())),
            ..invalid
        })
    }

    fn check_parts(&self) -> Checked {
        let check_database = |database: &Str| check_text(database, "the name of the database");
        let check_id = |id: &Json| check_json(id, WITHIN_PARAMS, "the monitor's id");
        match self {
            Self::ListDbs | Self::GetServerId | Self::SetDbChangeAware { aware: _ } => Ok(()),
            Self::GetSchema { database } => check_database(database),
            Self::Transact {
                database,
                operations,
            } => {
                check_database(database)?;
                check_operations(operations)
            }
            Self::Monitor {
                database,
                id,
                requests,
            }
            | Self::MonitorCond {
                database,
                id,
                requests,
            }
            | Self::MonitorCondSince {
                database,
                id,
                requests,
                last_txn_id: _,
            } => {
                check_database(database)?;
                check_id(id)?;
                check_monitors(requests)
            }
            Self::MonitorCondChange {
                id,
                new_id,
                requests,
            } => {
                check_id(id)?;
                check_id(new_id)?;
                check_monitors(requests)
            }
            Self::MonitorCancel { id } => check_id(id),
            Self::Lock { name } | Self::Steal { name } | Self::Unlock { name } => {
                check_text(name, "the name of the lock")
            }
            Self::Convert { database, schema } => {
                check_database(database)?;
                check_json(schema, WITHIN_PARAMS, "the schema")
            }
            Self::Echo { params } => {
                if !params.as_str().starts_with('[') {
                    return Err(InvalidValue::new(InvalidReason::NotAnArray).of("the parameters"));
                }
                check_json(params, WITHIN_PARAMS - 1, "the parameters")
            }
        }
    }

    fn write_checked(&self, out: &mut String) {
        match self {
            Self::ListDbs | Self::GetServerId => out.push_str("[]"),
            Self::GetSchema { database } => array(out, &[&|out| database.write(out)]),
            Self::Transact {
                database,
                operations,
            } => Self::write_operations(out, database, operations),
            Self::Monitor {
                database,
                id,
                requests,
            }
            | Self::MonitorCond {
                database,
                id,
                requests,
            } => array(
                out,
                &[&|out| database.write(out), &|out| id.write(out), &|out| {
                    requests.write(out);
                }],
            ),
            Self::MonitorCondSince {
                database,
                id,
                requests,
                last_txn_id,
            } => array(
                out,
                &[
                    &|out| database.write(out),
                    &|out| id.write(out),
                    &|out| requests.write(out),
                    &|out| last_txn_id.write(out),
                ],
            ),
            Self::MonitorCondChange {
                id,
                new_id,
                requests,
            } => array(
                out,
                &[&|out| id.write(out), &|out| new_id.write(out), &|out| {
                    requests.write(out);
                }],
            ),
            Self::MonitorCancel { id } => array(out, &[&|out| id.write(out)]),
            Self::Lock { name } | Self::Steal { name } | Self::Unlock { name } => {
                array(out, &[&|out| name.write(out)]);
            }
            Self::SetDbChangeAware { aware } => array(out, &[&|out| aware.write(out)]),
            Self::Convert { database, schema } => {
                array(out, &[&|out| database.write(out), &|out| schema.write(out)]);
            }
            Self::Echo { params } => params.write(out),
        }
    }

    /// Reads the parameters of `method`, as a server does.
    ///
    /// # Errors
    /// When the method is unknown, or its parameters have another form.
    pub fn parse(method: &str, params: Raw<'_>) -> Result<Self, DecodeError> {
        let mut reader = Reader::of(params);
        let reader = &mut reader;
        if method == "echo" {
            return Json::read(reader).map(|params| Self::Echo { params });
        }
        reader.array()?;
        let request = match method {
            "list_dbs" => Self::ListDbs,
            "get_schema" => Self::GetSchema {
                database: next(reader)?,
            },
            "get_server_id" => Self::GetServerId,
            "transact" => {
                let database = next(reader)?;
                let mut operations = Vec::new();
                while reader.element()? {
                    operations.push(Wire::read(reader)?);
                }
                reader.end()?;
                return Ok(Self::Transact {
                    database,
                    operations,
                });
            }
            "monitor" => Self::Monitor {
                database: next(reader)?,
                id: next(reader)?,
                requests: next::<Requests>(reader)?.0,
            },
            "monitor_cond" => Self::MonitorCond {
                database: next(reader)?,
                id: next(reader)?,
                requests: next::<Requests>(reader)?.0,
            },
            "monitor_cond_since" => Self::MonitorCondSince {
                database: next(reader)?,
                id: next(reader)?,
                requests: next::<Requests>(reader)?.0,
                last_txn_id: next(reader)?,
            },
            "monitor_cond_change" => Self::MonitorCondChange {
                id: next(reader)?,
                new_id: next(reader)?,
                requests: next::<Requests>(reader)?.0,
            },
            "monitor_cancel" => Self::MonitorCancel { id: next(reader)? },
            "lock" => Self::Lock {
                name: next(reader)?,
            },
            "steal" => Self::Steal {
                name: next(reader)?,
            },
            "unlock" => Self::Unlock {
                name: next(reader)?,
            },
            "set_db_change_aware" => Self::SetDbChangeAware {
                aware: next(reader)?,
            },
            "convert" => Self::Convert {
                database: next(reader)?,
                schema: next(reader)?,
            },
            other => return unknown(reader, "method", other),
        };
        reader.finish()?;
        reader.end()?;
        Ok(request)
    }
}

/// Monitor requests as peers write them: the requests for a table are one object or an array.
struct Requests(MonitorRequests);

impl Wire for Requests {
    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut requests = MonitorRequests::new();
        read_object(reader, |reader, table| {
            let of_table = if reader.peek() == Some(b'[') {
                Wire::read(reader)?
            } else {
                vec![MonitorRequest::read(reader)?]
            };
            requests.insert(Str::from(table), of_table);
            Ok(())
        })?;
        Ok(Self(requests))
    }

    fn write(&self, out: &mut String) {
        self.0.write(out);
    }
}

/// The reply to `lock` and `steal`.
///
/// ```
/// use ovsdb::protocol::{LockReply, Wire};
///
/// assert!(LockReply::from_json(r#"{"locked":true}"#)?.locked);
/// # Ok::<(), ovsdb::value::json::DecodeError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LockReply {
    /// Whether the client holds the lock already. Otherwise the notification `locked` follows when it
    /// does.
    pub locked: bool,
}

impl Wire for LockReply {
    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut locked = None;
        read_object(reader, |reader, key| {
            match &*key {
                "locked" => locked = Some(reader.boolean()?),
                _ => drop(reader.skip()?),
            }
            Ok(())
        })?;
        Ok(Self {
            locked: required(reader, "locked", locked)?,
        })
    }

    fn write(&self, out: &mut String) {
        Object::new(out).member("locked", &self.locked).end();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_request_round_trips() {
        let zero = "00000000-0000-0000-0000-000000000000";
        for (method, params) in [
            ("list_dbs", "[]"),
            ("get_schema", r#"["db"]"#),
            ("get_server_id", "[]"),
            (
                "transact",
                r#"["db",{"op":"abort"},{"op":"comment","comment":"c"}]"#,
            ),
            ("transact", r#"["db"]"#),
            ("monitor", r#"["db",1,{"T":[{"columns":["a"]}]}]"#),
            (
                "monitor_cond",
                r#"["db",[1,"x"],{"T":[{"columns":["a"],"where":[["a","==",1],false],"select":{"initial":false,"insert":true,"delete":true,"modify":true}}]}]"#,
            ),
            (
                "monitor_cond_since",
                &format!(r#"["db",null,{{"T":[{{}}]}},"{zero}"]"#),
            ),
            ("monitor_cond_change", r#"[1,2,{"T":[{"where":[true]}]}]"#),
            ("monitor_cancel", r#"["m"]"#),
            ("lock", r#"["l"]"#),
            ("steal", r#"["l"]"#),
            ("unlock", r#"["l"]"#),
            ("set_db_change_aware", "[true]"),
            ("convert", r#"["db",{"name":"db","tables":{}}]"#),
            ("echo", r#"[1,{"a":null}]"#),
        ] {
            let raw = Raw {
                text: params,
                offset: 0,
            };
            let request = Request::parse(method, raw).expect(params);
            assert_eq!(request.method(), method);
            let mut written = String::new();
            request.write_params(&mut written).expect("can be sent");
            assert_eq!(written, params);
        }
    }

    #[test]
    fn a_lone_monitor_request_is_taken() {
        let raw = Raw {
            text: r#"["db",1,{"T":{"columns":["a"]}}]"#,
            offset: 0,
        };
        assert!(Request::parse("monitor", raw).is_ok());
    }

    #[test]
    fn parameters_of_another_shape_are_refused() {
        for (method, params) in [
            ("get_schema", "[]"),
            ("get_schema", r#"["db","more"]"#),
            ("lock", "[1]"),
            ("no_such", "[]"),
            ("monitor", r#"["db",1,{"T":[{"colums":[]}]}]"#),
            ("monitor_cond_since", r#"["db",1,{},"no uuid"]"#),
        ] {
            assert!(
                Request::parse(
                    method,
                    Raw {
                        text: params,
                        offset: 0
                    }
                )
                .is_err(),
                "{params}"
            );
        }
    }
}
