//! What a step changes, as a person reads it.

use std::collections::HashMap;
use std::fmt;

use ovsdb::value::{Atom, Datum};
use ovsdb::{ColumnValue, Table, Uuid};
use serde::Serialize;

/// What happens to a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// It is inserted.
    Insert,
    /// Some of its columns change.
    Update,
    /// It is deleted.
    Delete,
}

/// A row that changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// What happens to it.
    pub action: Action,
    /// Its table.
    pub table: &'static str,
    /// What it is called.
    pub row: String,
    /// The columns that it is inserted with, or that change.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub columns: Vec<ColumnChange>,
    /// The row itself, where it exists.
    #[serde(skip)]
    pub(super) uuid: Option<Uuid>,
}

/// A column that changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ColumnChange {
    /// Its name.
    pub column: &'static str,
    /// How it changes.
    #[serde(flatten)]
    pub edit: Edit,
}

/// How a column changes; values are written as ovn-nbctl writes them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Edit {
    /// It becomes this.
    Set {
        /// What it was; nothing where the row is new.
        #[serde(skip_serializing_if = "Option::is_none")]
        old: Option<String>,
        /// What it becomes.
        new: String,
    },
    /// A reference to this row is added.
    Add(String),
    /// A reference to this row is taken out.
    Remove(String),
}

type Labels = HashMap<Uuid, String>;

impl Edit {
    pub(super) fn set(old: &dyn ColumnValue, new: &dyn ColumnValue, labels: &Labels) -> Self {
        Self::Set {
            old: Some(text(&old.to_datum(), labels)),
            new: text(&new.to_datum(), labels),
        }
    }

    pub(super) fn replace(new: &dyn ColumnValue, labels: &Labels) -> Self {
        Self::Set {
            old: None,
            new: text(&new.to_datum(), labels),
        }
    }
}

impl Change {
    pub(super) fn insert<T: Table>(row: &T, labels: &Labels) -> Self {
        let nothing = T::default();
        let columns = T::COLUMNS.iter().enumerate().filter_map(|(index, info)| {
            let (value, unset) = (row.column(index)?, nothing.column(index)?);
            if value.equals(unset) {
                return None;
            }
            Some(ColumnChange {
                column: info.name,
                edit: Edit::replace(value, labels),
            })
        });
        Self {
            action: Action::Insert,
            table: T::TABLE,
            row: label(row),
            columns: columns.collect(),
            uuid: None,
        }
    }

    pub(super) fn update<T: Table>(uuid: Uuid, row: String, column: ColumnChange) -> Self {
        Self {
            action: Action::Update,
            table: T::TABLE,
            row,
            columns: vec![column],
            uuid: Some(uuid),
        }
    }

    pub(super) fn delete<T: Table>(row: String) -> Self {
        Self {
            action: Action::Delete,
            table: T::TABLE,
            row,
            columns: Vec::new(),
            uuid: None,
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = match self.action {
            Action::Insert => '+',
            Action::Update => '~',
            Action::Delete => '-',
        };
        write!(f, "{sign} {} {}", self.table, self.row)?;
        for ColumnChange { column, edit } in &self.columns {
            match edit {
                Edit::Set { old: None, new } => write!(f, "\n    {column}: {new}")?,
                Edit::Set {
                    old: Some(old),
                    new,
                } => write!(f, "\n    {column}: {old} -> {new}")?,
                Edit::Add(row) => write!(f, "\n    {column}: + {row}")?,
                Edit::Remove(row) => write!(f, "\n    {column}: - {row}")?,
            }
        }
        Ok(())
    }
}

/// What a row is called: its name, or what else tells it from others.
pub(super) fn label<T: Table>(row: &T) -> String {
    let named = ["name", "match", "rate"].iter().find_map(|name| {
        let index = T::COLUMNS.iter().position(|column| column.name == *name)?;
        match row.column(index)?.to_datum().as_scalar()? {
            Atom::String(text) if text.is_empty() => None,
            Atom::Integer(0) => None,
            Atom::String(text) => Some(text.to_string()),
            other => Some(other.to_string()),
        }
    });
    named.unwrap_or_else(|| "without a name".to_owned())
}

/// A value as ovn-nbctl writes it, with the names of rows instead of their uuids.
fn text(datum: &Datum, labels: &Labels) -> String {
    let atom = |atom: &Atom| match atom {
        Atom::String(text) => text.to_string(),
        Atom::Uuid(uuid) => labels
            .get(uuid)
            .cloned()
            .unwrap_or_else(|| uuid.to_string()),
        other => other.to_string(),
    };
    match datum {
        Datum::Set(set) if set.len() == 1 => match &set[0] {
            Atom::String(text) if text.is_empty() => "\"\"".to_owned(),
            only => atom(only),
        },
        Datum::Set(set) => {
            let atoms: Vec<String> = set.iter().map(atom).collect();
            format!("[{}]", atoms.join(", "))
        }
        Datum::Map(map) => {
            let pair = |(key, value): (&Atom, &Atom)| format!("{}={}", atom(key), atom(value));
            let pairs: Vec<String> = map.iter().map(pair).collect();
            format!("{{{}}}", pairs.join(", "))
        }
    }
}
