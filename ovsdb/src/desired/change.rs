//! The changes of a plan, for people and programs to read.

use std::collections::HashMap;
use std::fmt::{self, Write as _};

use crate::cache::Snapshot;
use crate::model::Table;
use crate::value::json::write_string;
use crate::value::{Atom, ColumnValue, Datum, Uuid};

/// What a plan does to a row.
///
/// ```
/// use ovsdb::desired::Action;
///
/// assert_eq!(Action::Update.to_string(), "update");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Action {
    /// It is inserted.
    Insert,
    /// Some of its columns change.
    Update,
    /// It is deleted.
    Delete,
}

impl Action {
    /// The action as a word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Insert => "insert",
            Self::Update => "update",
            Self::Delete => "delete",
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A row that changes.
///
/// Its [`Display`](fmt::Display) form is `+`, `~` or `-`, the table, the row's name, and a line for
/// each column that changes or, in a set or map of an existing row, for each element or pair.
///
/// ```
/// # #[cfg(all(feature = "nb", feature = "testing"))] {
/// use ovsdb::nb::{self, AddressSet};
/// use ovsdb::testing::SnapshotBuilder;
///
/// let mut rows = SnapshotBuilder::<nb::Database>::new();
/// rows.insert(AddressSet { name: "pods".into(), addresses: ["192.0.2.1"].into(), ..Default::default() });
/// let mut desired = nb::Desired::new();
/// desired.row(AddressSet::NAME, "pods").set(AddressSet::ADDRESSES, ["192.0.2.2"]);
/// let plan = desired.plan(&rows.build().expect("rows"))?;
/// let change = plan.changes().next().expect("one change");
/// assert_eq!(
///     change.to_string(),
///     "~ Address_Set pods\n    addresses: + 192.0.2.2\n    addresses: - 192.0.2.1"
/// );
/// # }
/// # Ok::<(), ovsdb::desired::Conflict>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Change {
    /// What is done to the row.
    pub action: Action,
    /// Its table.
    pub table: &'static str,
    /// Its uuid. For a row that is inserted, the one that the plan uses; the server may choose another.
    pub uuid: Uuid,
    /// Its name, or another value that distinguishes it.
    pub name: String,
    /// The columns that change; of an inserted row, those that differ from the default.
    pub columns: Vec<ColumnChange>,
}

/// A change of a column. References to rows that the plan knows are shown by their names.
///
/// ```
/// use ovsdb::desired::ColumnChange;
///
/// fn lines(column: &ColumnChange) -> usize {
///     column.added.len() + column.removed.len()
/// }
/// # let _ = lines;
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ColumnChange {
    /// Its name.
    pub column: &'static str,
    /// The value before, if it is replaced as a whole.
    pub old: Option<String>,
    /// The value after, for a new row or if it is replaced as a whole.
    pub new: Option<String>,
    /// The elements that are added to a set, or the pairs that are set in a map.
    pub added: Vec<String>,
    /// The elements that are removed from a set, or the pairs that are removed from a map or replaced.
    pub removed: Vec<String>,
}

/// Returns the name of a row in a view, if the row is of one particular table.
pub(super) type NameIn<D> = fn(&Snapshot<D>, Uuid) -> Option<String>;

/// The names of rows.
pub(super) struct Labels<D> {
    /// The names of rows that do not exist yet.
    pub(super) new: HashMap<Uuid, String>,
    /// The view with all other rows.
    pub(super) view: Snapshot<D>,
    pub(super) names: Vec<NameIn<D>>,
}

impl<D> Labels<D> {
    fn of(&self, uuid: Uuid) -> String {
        let known = self.new.get(&uuid).cloned();
        let named = || self.names.iter().find_map(|name| name(&self.view, uuid));
        known.or_else(named).unwrap_or_else(|| uuid.to_string())
    }

    fn atom(&self, atom: &Atom) -> String {
        match atom {
            Atom::String(text) => text.to_string(),
            Atom::Uuid(uuid) => self.of(*uuid),
            other => other.to_string(),
        }
    }

    /// Atoms in order; references are sorted by the names of the rows, not by their uuids.
    fn atoms<'d>(&self, atoms: impl IntoIterator<Item = &'d Atom>) -> Vec<String> {
        let mut refer = false;
        let texts = atoms.into_iter().map(|atom| {
            refer |= matches!(atom, Atom::Uuid(_));
            self.atom(atom)
        });
        let mut texts: Vec<String> = texts.collect();
        if refer {
            texts.sort_unstable();
        }
        texts
    }

    fn pair(&self, (key, value): (&Atom, &Atom)) -> String {
        format!("{}={}", self.atom(key), self.atom(value))
    }

    /// A value in the notation of the tools of Open vSwitch, without quotes around strings, except around
    /// an empty string that is the only element.
    fn datum(&self, datum: &Datum) -> String {
        match datum {
            Datum::Set(set) if set.len() == 1 => match &set[0] {
                Atom::String(text) if text.is_empty() => "\"\"".to_owned(),
                only => self.atom(only),
            },
            Datum::Set(set) => format!("[{}]", self.atoms(set).join(", ")),
            Datum::Map(map) => {
                let pairs: Vec<String> = map.iter().map(|pair| self.pair(pair)).collect();
                format!("{{{}}}", pairs.join(", "))
            }
        }
    }
}

/// A value that distinguishes a row from others of its table, if it has a readable one.
pub(super) fn name_of<T: Table>(row: &T) -> Option<String> {
    let unique = T::INDEXES.iter().filter_map(|columns| match columns {
        [column] => Some(T::COLUMNS[*column].name),
        _ => None,
    });
    let telling = ["name", "logical_port", "match", "ip", "rate", "target"];
    unique.chain(telling).find_map(|name| {
        let index = T::COLUMNS.iter().position(|column| column.name == name)?;
        match row.column(index)?.to_datum().as_scalar()? {
            Atom::String(text) if text.is_empty() => None,
            Atom::Integer(0) => None,
            Atom::String(text) => Some(text.to_string()),
            other => Some(other.to_string()),
        }
    })
}

impl Change {
    pub(super) fn new<T: Table>(
        action: Action,
        uuid: Uuid,
        before: &T,
        after: &T,
        labels: &Labels<T::Database>,
    ) -> Self {
        let columns = T::COLUMNS.iter().enumerate().filter_map(|(index, info)| {
            let (old, new) = (before.column(index)?, after.column(index)?);
            if old.equals(new) {
                return None;
            }
            let is_whole = action == Action::Insert || info.kind.is_one();
            Some(ColumnChange::new(
                info.name, is_whole, action, old, new, labels,
            ))
        });
        Self {
            action,
            table: T::TABLE,
            uuid,
            name: labels.of(uuid),
            columns: columns.collect(),
        }
    }

    pub(super) fn deletion<T: Table>(uuid: Uuid, labels: &Labels<T::Database>) -> Self {
        Self {
            action: Action::Delete,
            table: T::TABLE,
            uuid,
            name: labels.of(uuid),
            columns: Vec::new(),
        }
    }

    /// Appends the change as JSON.
    pub(super) fn write_json(&self, out: &mut String) {
        let _ = write!(
            out,
            r#"{{"action":"{}","table":"{}","uuid":"{}","row":"#,
            self.action, self.table, self.uuid
        );
        write_string(out, &self.name);
        out.push_str(r#","columns":["#);
        for (at, column) in self.columns.iter().enumerate() {
            if at > 0 {
                out.push(',');
            }
            column.write_json(out);
        }
        out.push_str("]}");
    }
}

impl ColumnChange {
    fn new<D>(
        column: &'static str,
        is_whole: bool,
        action: Action,
        old: &dyn ColumnValue,
        new: &dyn ColumnValue,
        labels: &Labels<D>,
    ) -> Self {
        let mut change = Self {
            column,
            old: None,
            new: None,
            added: Vec::new(),
            removed: Vec::new(),
        };
        let (old, new) = (old.to_datum(), new.to_datum());
        if is_whole {
            change.old = (action != Action::Insert).then(|| labels.datum(&old));
            change.new = Some(labels.datum(&new));
            return change;
        }
        match (&old, &new) {
            (Datum::Map(old), Datum::Map(new)) => {
                let set = new
                    .iter()
                    .filter(|(key, value)| old.get(*key) != Some(*value));
                change.added = set.map(|pair| labels.pair(pair)).collect();
                let removed = old
                    .iter()
                    .filter(|(key, value)| new.get(*key) != Some(*value));
                change.removed = removed.map(|pair| labels.pair(pair)).collect();
            }
            _ => {
                let atoms = |datum: &Datum| match datum {
                    Datum::Set(set) => set.clone(),
                    Datum::Map(map) => map.keys().cloned().collect(),
                };
                let (old, new) = (atoms(&old), atoms(&new));
                change.added = labels.atoms(new.iter().filter(|atom| !old.contains(atom)));
                change.removed = labels.atoms(old.iter().filter(|atom| !new.contains(atom)));
            }
        }
        change
    }

    fn write_json(&self, out: &mut String) {
        let _ = write!(out, r#"{{"column":"{}""#, self.column);
        for (name, value) in [("old", &self.old), ("new", &self.new)] {
            if let Some(value) = value {
                let _ = write!(out, r#","{name}":"#);
                write_string(out, value);
            }
        }
        for (name, values) in [("added", &self.added), ("removed", &self.removed)] {
            if values.is_empty() {
                continue;
            }
            let _ = write!(out, r#","{name}":["#);
            for (at, value) in values.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                write_string(out, value);
            }
            out.push(']');
        }
        out.push('}');
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = match self.action {
            Action::Insert => '+',
            Action::Update => '~',
            Action::Delete => '-',
        };
        write!(f, "{sign} {} {}", self.table, self.name)?;
        for column in &self.columns {
            write!(f, "{column}")?;
        }
        Ok(())
    }
}

impl fmt::Display for ColumnChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let column = self.column;
        match (&self.old, &self.new) {
            (Some(old), Some(new)) => write!(f, "\n    {column}: {old} -> {new}")?,
            (None, Some(new)) => write!(f, "\n    {column}: {new}")?,
            _ => {}
        }
        for added in &self.added {
            write!(f, "\n    {column}: + {added}")?;
        }
        for removed in &self.removed {
            write!(f, "\n    {column}: - {removed}")?;
        }
        Ok(())
    }
}
