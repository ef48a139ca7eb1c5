//! The request that starts a monitor: tables, columns, conditions.

use std::collections::BTreeMap;

use super::condition::Clause;
use super::wire::{Object, Wire, read_object, unknown};
use crate::value::Str;
use crate::value::json::{DecodeError, Reader};

/// Which kinds of change a monitor reports (RFC 7047 section 4.1.5, `<monitor-select>`).
///
/// ```
/// use ovsdb::protocol::{Select, Wire};
///
/// let only_new = Select { initial: false, modify: false, delete: false, ..Select::default() };
/// assert_eq!(
///     only_new.to_json(),
///     r#"{"initial":false,"insert":true,"delete":false,"modify":false}"#
/// );
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Select {
    /// The rows that exist when the monitor starts.
    pub initial: bool,
    /// Rows that are inserted.
    pub insert: bool,
    /// Rows that are deleted.
    pub delete: bool,
    /// Rows that change.
    pub modify: bool,
}

impl Default for Select {
    fn default() -> Self {
        Self {
            initial: true,
            insert: true,
            delete: true,
            modify: true,
        }
    }
}

impl Wire for Select {
    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut select = Self::default();
        read_object(reader, |reader, key| {
            let wanted = reader.boolean()?;
            match &*key {
                "initial" => select.initial = wanted,
                "insert" => select.insert = wanted,
                "delete" => select.delete = wanted,
                "modify" => select.modify = wanted,
                other => return unknown(reader, "member", other),
            }
            Ok(())
        })?;
        Ok(select)
    }

    fn write(&self, out: &mut String) {
        Object::new(out)
            .member("initial", &self.initial)
            .member("insert", &self.insert)
            .member("delete", &self.delete)
            .member("modify", &self.modify)
            .end();
    }
}

/// What to monitor of one table (RFC 7047 section 4.1.5, `<monitor-request>`; ovsdb-server(7),
/// "Monitor_cond").
///
/// ```
/// use ovsdb::protocol::{Clause, MonitorRequest, Wire};
///
/// let request = MonitorRequest {
///     columns: Some(vec!["name".into(), "tag".into()]),
///     conditions: Some(vec![Clause::from_json(r#"["tag",">",100]"#)?]),
///     select: None,
/// };
/// assert_eq!(request.to_json(), r#"{"columns":["name","tag"],"where":[["tag",">",100]]}"#);
/// # Ok::<(), ovsdb::value::json::DecodeError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MonitorRequest {
    /// The columns; `None` for all of them and `_version`.
    pub columns: Option<Vec<Str>>,
    /// The condition: the rows for which any clause is true; `None` or an empty list for all rows. The plain
    /// `monitor` method does not support it.
    pub conditions: Option<Vec<Clause>>,
    /// The kinds of change; `None` for all.
    pub select: Option<Select>,
}

/// The requests of a monitor, by table.
pub type MonitorRequests = BTreeMap<Str, Vec<MonitorRequest>>;

impl Wire for MonitorRequest {
    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut request = Self::default();
        read_object(reader, |reader, key| {
            match &*key {
                "columns" => request.columns = Some(Wire::read(reader)?),
                "where" => request.conditions = Some(Wire::read(reader)?),
                "select" => request.select = Some(Wire::read(reader)?),
                other => return unknown(reader, "member", other),
            }
            Ok(())
        })?;
        Ok(request)
    }

    fn write(&self, out: &mut String) {
        Object::new(out)
            .optional("columns", self.columns.as_ref())
            .optional("where", self.conditions.as_ref())
            .optional("select", self.select.as_ref())
            .end();
    }
}

/// The monitor methods, oldest first.
///
/// ```
/// use ovsdb::MonitorVersion;
///
/// // `monitor_cond` and newer methods have conditions.
/// let conditional = |version| version >= MonitorVersion::MonitorCond;
/// assert!(conditional(MonitorVersion::MonitorCondSince) && !conditional(MonitorVersion::Monitor));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum MonitorVersion {
    /// `monitor` of RFC 7047: whole tables.
    Monitor,
    /// `monitor_cond`: conditions, and changes as differences.
    MonitorCond,
    /// `monitor_cond_since`: the monitor can be resumed.
    MonitorCondSince,
}

impl MonitorVersion {
    /// The method to try if a server does not know this one.
    pub(crate) const fn older(self) -> Option<Self> {
        match self {
            Self::Monitor => None,
            Self::MonitorCond => Some(Self::Monitor),
            Self::MonitorCondSince => Some(Self::MonitorCond),
        }
    }
}
