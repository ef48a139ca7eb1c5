//! Changes of tables, in the two forms in which monitors report them.

use std::collections::BTreeMap;

use super::monitor::MonitorVersion;
use super::operation::Columns;
use super::wire::{Object, Wire, read_object, unknown};
use crate::value::json::{DecodeError, DecodeErrorKind, Raw, Reader};
use crate::value::{Str, Uuid};

/// The changes a plain monitor reports (RFC 7047 section 4.1.6, `<table-updates>`).
pub type TableUpdates = BTreeMap<Str, BTreeMap<Uuid, RowUpdate>>;

/// The changes a conditional monitor reports (ovsdb-server(7), "Update2 Notification").
///
/// ```
/// use ovsdb::protocol::{TableUpdates2, Wire};
///
/// let updates = TableUpdates2::from_json(
///     r#"{"Bridge":{"f4bb6a91-019b-4612-b6aa-88fc663dd515":{"delete":null}}}"#,
/// )?;
/// assert_eq!(updates["Bridge"].len(), 1);
/// # Ok::<(), ovsdb::value::json::DecodeError>(())
/// ```
pub type TableUpdates2 = BTreeMap<Str, BTreeMap<Uuid, RowUpdate2>>;

/// The reply to `monitor_cond_since` (ovsdb-server(7), "Monitor_cond_since").
///
/// ```
/// use ovsdb::protocol::{MonitorSinceReply, Wire};
///
/// // The server does not know the transaction: these are all rows, and there are none.
/// let reply = MonitorSinceReply::from_json(
///     r#"[false,"f4bb6a91-019b-4612-b6aa-88fc663dd515",{}]"#,
/// )?;
/// assert!(!reply.found && reply.updates.is_empty());
/// # Ok::<(), ovsdb::value::json::DecodeError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MonitorSinceReply {
    /// Whether the server knew the client's last transaction. If so, the updates are the changes since;
    /// otherwise they are all rows.
    pub found: bool,
    /// The id of the last transaction in the updates; zero from a server that keeps no history.
    pub last_txn_id: Uuid,
    /// The changes, or all rows.
    pub updates: TableUpdates2,
}

impl Wire for MonitorSinceReply {
    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.array()?;
        reader.demand("a boolean: whether the server found the transaction")?;
        let found = reader.boolean()?;
        reader.demand("a transaction id")?;
        let last_txn_id = Wire::read(reader)?;
        reader.demand("updates")?;
        let updates = Wire::read(reader)?;
        reader.finish()?;
        Ok(Self {
            found,
            last_txn_id,
            updates,
        })
    }

    fn write(&self, out: &mut String) {
        out.push('[');
        self.found.write(out);
        out.push(',');
        self.last_txn_id.write(out);
        out.push(',');
        self.updates.write(out);
        out.push(']');
    }
}

/// The change of one row (RFC 7047 section 4.1.6, `<row-update>`).
///
/// ```
/// use ovsdb::protocol::{RowUpdate, Wire};
///
/// let update = RowUpdate::from_json(r#"{"old":{"tag":1},"new":{"name":"p1","tag":2}}"#)?;
/// let old = update.old.expect("the row existed before");
/// assert!(old.contains_key("tag") && !old.contains_key("name"));
/// # Ok::<(), ovsdb::value::json::DecodeError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RowUpdate {
    /// The row before: only the changed columns if it was modified; `None` for a new row.
    pub old: Option<Columns>,
    /// The row after: all selected columns; `None` for a deleted row.
    pub new: Option<Columns>,
}

impl Wire for RowUpdate {
    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut update = Self::default();
        read_object(reader, |reader, key| {
            match &*key {
                "old" => update.old = Some(Wire::read(reader)?),
                "new" => update.new = Some(Wire::read(reader)?),
                other => return unknown(reader, "member", other),
            }
            Ok(())
        })?;
        Ok(update)
    }

    fn write(&self, out: &mut String) {
        Object::new(out)
            .optional("old", self.old.as_ref())
            .optional("new", self.new.as_ref())
            .end();
    }
}

/// The change of one row, in the form of `monitor_cond` (ovsdb-server(7), `<row-update2>`).
///
/// ```
/// use ovsdb::protocol::{RowUpdate2, Wire};
///
/// assert_eq!(RowUpdate2::from_json(r#"{"delete":null}"#)?, RowUpdate2::Delete);
/// assert!(matches!(RowUpdate2::from_json(r#"{"insert":{"name":"p1"}}"#)?, RowUpdate2::Insert(_)));
/// # Ok::<(), ovsdb::value::json::DecodeError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RowUpdate2 {
    /// A row that existed when the monitor started. Columns with their default are omitted.
    Initial(Columns),
    /// A new row, or one that began to meet the condition. Columns with their default are omitted.
    Insert(Columns),
    /// A modified row: columns whose type allows more than one element as differences, others as new
    /// values.
    Modify(Columns),
    /// A deleted row, or one that ceased to meet the condition.
    Delete,
}

impl Wire for RowUpdate2 {
    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut update = None;
        read_object(reader, |reader, key| {
            let next = match &*key {
                "initial" => Self::Initial(Wire::read(reader)?),
                "insert" => Self::Insert(Wire::read(reader)?),
                "modify" => Self::Modify(Wire::read(reader)?),
                "delete" => {
                    reader.skip()?;
                    Self::Delete
                }
                other => return unknown(reader, "member", other),
            };
            if update.replace(next).is_some() {
                return reader.error(DecodeErrorKind::Expected("exactly one kind of change"));
            }
            Ok(())
        })?;
        match update {
            Some(update) => Ok(update),
            None => reader.error(DecodeErrorKind::Expected("exactly one kind of change")),
        }
    }

    fn write(&self, out: &mut String) {
        let mut object = Object::new(out);
        match self {
            Self::Initial(row) => object.member("initial", row),
            Self::Insert(row) => object.member("insert", row),
            Self::Modify(row) => object.member("modify", row),
            Self::Delete => object.member("delete", &None::<bool>),
        };
        object.end();
    }
}

/// The part of an update before its changes: which monitor it is for, and the form of the changes,
/// which stay text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct UpdateHeader<'a> {
    /// The form of the changes (`update`, `update2` or `update3`), given as the monitor method that it
    /// belongs to.
    pub version: MonitorVersion,
    /// The monitor's id, any JSON value.
    pub monitor: Raw<'a>,
    /// The id of the last transaction in the changes; only an `update3` has one. It is zero from a server
    /// that keeps no history.
    pub last_txn_id: Option<Uuid>,
    /// The changes: [`TableUpdates`] in the oldest form, otherwise [`TableUpdates2`]. The text extends
    /// to the end of the parameters, so a decoder that checks that nothing follows its value finds
    /// surplus parameters.
    pub updates: Raw<'a>,
}

impl<'a> UpdateHeader<'a> {
    /// Reads the header from the parameters of the notification `method`; `None` when it is not an
    /// update.
    ///
    /// # Errors
    /// When the parameters do not begin like those of an update, or do not end with `]`.
    ///
    /// ```
    /// use ovsdb::protocol::{MonitorVersion, UpdateHeader};
    /// use ovsdb::value::json::Raw;
    ///
    /// let params = Raw { text: r#"[7,{"Bridge":{}}]"#, offset: 0 };
    /// let header = UpdateHeader::parse("update2", params)?.expect("an update");
    /// assert_eq!((header.version, header.monitor.text), (MonitorVersion::MonitorCond, "7"));
    /// assert_eq!(header.updates.text, r#"{"Bridge":{}}"#);
    /// assert_eq!(UpdateHeader::parse("locked", params)?, None);
    /// # Ok::<(), ovsdb::value::json::DecodeError>(())
    /// ```
    pub fn parse(method: &str, params: Raw<'a>) -> Result<Option<Self>, DecodeError> {
        let version = match method {
            "update" => MonitorVersion::Monitor,
            "update2" => MonitorVersion::MonitorCond,
            "update3" => MonitorVersion::MonitorCondSince,
            _ => return Ok(None),
        };
        let mut reader = Reader::of(params);
        reader.array()?;
        reader.demand("a monitor's id")?;
        let monitor = reader.skip()?;
        let mut last_txn_id = None;
        if version == MonitorVersion::MonitorCondSince {
            reader.demand("a transaction id")?;
            last_txn_id = Some(Uuid::read(&mut reader)?);
        }
        reader.demand("updates")?;
        let begin = reader.offset() - params.offset;
        let Some(text) = params.text[begin..].strip_suffix(']') else {
            return reader.error(DecodeErrorKind::Expected("an array"));
        };
        Ok(Some(Self {
            version,
            monitor,
            last_txn_id,
            updates: Raw {
                text,
                offset: params.offset + begin,
            },
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UUID: &str = "f4bb6a91-019b-4612-b6aa-88fc663dd515";

    #[test]
    fn updates_round_trip() {
        let text = format!(r#"{{"T":{{"{UUID}":{{"old":{{"a":1}},"new":{{"a":2,"b":"x"}}}}}}}}"#);
        assert_eq!(
            TableUpdates::from_json(&text).expect("updates").to_json(),
            text
        );
        for change in [
            r#""initial":{}"#,
            r#""insert":{"a":1}"#,
            r#""modify":{"a":1}"#,
            r#""delete":null"#,
        ] {
            let text = format!(r#"{{"T":{{"{UUID}":{{{change}}}}}}}"#);
            assert_eq!(
                TableUpdates2::from_json(&text).expect("updates").to_json(),
                text
            );
        }
    }

    #[test]
    fn a_row_changes_in_one_way() {
        for update in ["{}", r#"{"insert":{},"modify":{}}"#] {
            let error = RowUpdate2::from_json(update).expect_err(update);
            let expected = DecodeErrorKind::Expected("exactly one kind of change");
            assert_eq!(error.kind, expected, "{update}");
        }
        assert!(RowUpdate2::from_json(r#"{"replace":{}}"#).is_err());
        assert!(TableUpdates2::from_json(r#"{"T":{"no-uuid":{"delete":null}}}"#).is_err());
    }
}
