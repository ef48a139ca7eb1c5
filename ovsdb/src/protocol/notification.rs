//! Notifications and their parameters.

use super::update::{TableUpdates, TableUpdates2};
use super::wire::{Json, Wire, next, unknown, write_list};
use crate::value::json::{DecodeError, Raw, Reader};
use crate::value::{Str, Uuid};

/// A notification of either side (RFC 7047 section 4.1 and ovsdb-server(7)).
///
/// ```
/// use ovsdb::protocol::Notification;
///
/// let locked = Notification::Locked { name: "leader".into() };
/// let mut params = String::new();
/// locked.write_params(&mut params);
/// assert_eq!((locked.method(), &*params), ("locked", r#"["leader"]"#));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notification {
    /// Changes, for a plain monitor.
    Update {
        /// The monitor's id.
        id: Json,
        /// The changes.
        updates: TableUpdates,
    },
    /// Changes, for a conditional monitor.
    Update2 {
        /// The monitor's id.
        id: Json,
        /// The changes.
        updates: TableUpdates2,
    },
    /// Changes, for a conditional monitor that can be resumed.
    Update3 {
        /// The monitor's id.
        id: Json,
        /// The id of the last transaction in the changes; zero from a server that keeps no history.
        last_txn_id: Uuid,
        /// The changes.
        updates: TableUpdates2,
    },
    /// The client has the lock.
    Locked {
        /// The lock's name.
        name: Str,
    },
    /// Another client stole the lock.
    Stolen {
        /// The lock's name.
        name: Str,
    },
    /// The monitor has ended: its database was removed, or its schema was converted.
    MonitorCanceled {
        /// The monitor's id.
        id: Json,
    },
    /// The client cancels a transaction.
    Cancel {
        /// The id of the `transact` request.
        id: Json,
    },
}

impl Notification {
    /// The method's name.
    #[must_use]
    pub const fn method(&self) -> &'static str {
        match self {
            Self::Update { .. } => "update",
            Self::Update2 { .. } => "update2",
            Self::Update3 { .. } => "update3",
            Self::Locked { .. } => "locked",
            Self::Stolen { .. } => "stolen",
            Self::MonitorCanceled { .. } => "monitor_canceled",
            Self::Cancel { .. } => "cancel",
        }
    }

    /// Appends the parameters, an array.
    pub fn write_params(&self, out: &mut String) {
        let params = match self {
            Self::Update { id, updates } => vec![id.to_json(), updates.to_json()],
            Self::Update2 { id, updates } => vec![id.to_json(), updates.to_json()],
            Self::Update3 {
                id,
                last_txn_id,
                updates,
            } => {
                vec![id.to_json(), last_txn_id.to_json(), updates.to_json()]
            }
            Self::Locked { name } | Self::Stolen { name } => vec![name.to_json()],
            Self::MonitorCanceled { id } | Self::Cancel { id } => vec![id.to_json()],
        };
        write_list(out, params, |out, param| out.push_str(&param));
    }

    /// Reads the parameters of `method`.
    ///
    /// # Errors
    /// When the method is unknown, or its parameters have another form.
    pub fn parse(method: &str, params: Raw<'_>) -> Result<Self, DecodeError> {
        let mut reader = Reader::of(params);
        let reader = &mut reader;
        reader.array()?;
        let notification = match method {
            "update" => Self::Update {
                id: next(reader)?,
                updates: next(reader)?,
            },
            "update2" => Self::Update2 {
                id: next(reader)?,
                updates: next(reader)?,
            },
            "update3" => Self::Update3 {
                id: next(reader)?,
                last_txn_id: next(reader)?,
                updates: next(reader)?,
            },
            "locked" => Self::Locked {
                name: next(reader)?,
            },
            "stolen" => Self::Stolen {
                name: next(reader)?,
            },
            "monitor_canceled" => Self::MonitorCanceled { id: next(reader)? },
            "cancel" => Self::Cancel { id: next(reader)? },
            other => return unknown(reader, "method", other),
        };
        reader.finish()?;
        reader.end()?;
        Ok(notification)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_notification_round_trips() {
        let uuid = "f4bb6a91-019b-4612-b6aa-88fc663dd515";
        for (method, params) in [
            (
                "update",
                format!(r#"[1,{{"T":{{"{uuid}":{{"new":{{"a":1}}}}}}}}]"#),
            ),
            (
                "update2",
                format!(r#"["m",{{"T":{{"{uuid}":{{"delete":null}}}}}}]"#),
            ),
            ("update3", format!(r#"[["m",1],"{uuid}",{{}}]"#)),
            ("locked", r#"["l"]"#.to_owned()),
            ("stolen", r#"["l"]"#.to_owned()),
            ("monitor_canceled", "[1]".to_owned()),
            ("cancel", "[7]".to_owned()),
        ] {
            let raw = Raw {
                text: &params,
                offset: 0,
            };
            let notification = Notification::parse(method, raw).expect(&params);
            assert_eq!(notification.method(), method);
            let mut written = String::new();
            notification.write_params(&mut written);
            assert_eq!(written, params);
        }
        let raw = Raw {
            text: "[1]",
            offset: 0,
        };
        assert!(Notification::parse("locked", raw).is_err());
        assert!(Notification::parse("unheard_of", raw).is_err());
    }
}
