//! serde's traits for rows (feature `serde`).
//!
//! Columns are read and written through [`Table::column`] and [`Table::column_mut`], by their names in
//! the schema. The crate that declares tables compiles only a few short functions for each of them. A
//! macro of the module `model` implements serde's traits by calls of this file.

use std::fmt;

use serde_core::de::{Error as _, MapAccess, Visitor};
use serde_core::ser::SerializeMap as _;
use serde_core::{Deserialize, Deserializer, Serialize, Serializer};

use super::{ColumnInfo, Row, Table};
use crate::value::json::{DecodeError, Reader};
use crate::value::{ColumnKind, ColumnSeed, ColumnValue, SerializedColumn, Str, Uuid};

/// The name under which a row's uuid is serialized.
const UUID: &str = "_uuid";

impl<T: Table> Serialize for Row<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        write(Some(self.uuid()), &mut columns(self.columns()), serializer)
    }
}

impl<'de, T: Table> Deserialize<'de> for Row<T> {
    /// A missing column gets its value in `T::default()`; an unknown name is an error.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (uuid, columns) = read(true, deserializer)?;
        Ok(Self::new(uuid, columns))
    }
}

/// Serializes a row; called by generated tables.
#[doc(hidden)]
pub fn serialize_columns<T: Table, S: Serializer>(
    table: &T,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    write(None, &mut columns(table), serializer)
}

/// Deserializes a row; called by generated tables.
#[doc(hidden)]
pub fn deserialize_columns<'de, T: Table, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    read(false, deserializer).map(|(_, columns)| columns)
}

/// The name, the kind and the value of a column.
pub(crate) type NamedValue<'a> = (&'a str, ColumnKind, &'a dyn ColumnValue);

fn columns<T: Table>(row: &T) -> impl Iterator<Item = NamedValue<'_>> {
    let columns = T::COLUMNS.iter().enumerate();
    columns.filter_map(|(index, info)| Some((info.name, info.kind, row.column(index)?)))
}

/// Serializes a row of any table. The iterator is a trait object, so that this is compiled once for
/// each serializer, and not for each table.
pub(crate) fn write<S: Serializer>(
    uuid: Option<Uuid>,
    columns: &mut dyn Iterator<Item = NamedValue<'_>>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let columns: Vec<NamedValue<'_>> = columns.collect();
    let entries = columns.len() + usize::from(uuid.is_some());
    let mut map = serializer.serialize_map(Some(entries))?;
    if let Some(uuid) = uuid {
        map.serialize_entry(UUID, &uuid)?;
    }
    for (name, kind, value) in columns {
        let value = value.to_datum();
        map.serialize_entry(name, &SerializedColumn { kind, value })?;
    }
    map.end()
}

/// Deserializes the columns of a row. With `has_uuid`, `_uuid` is required; otherwise it is refused as
/// an unknown column, and the uuid returned is nil.
fn read<'de, T: Table, D: Deserializer<'de>>(
    has_uuid: bool,
    deserializer: D,
) -> Result<(Uuid, T), D::Error> {
    let mut columns = T::default();
    let uuid = deserializer.deserialize_map(RowVisitor {
        table: T::TABLE,
        columns: T::COLUMNS,
        has_uuid,
        decode: &mut |index, text| match columns.column_mut(index) {
            Some(column) => column.decode(&mut Reader::new(text)),
            None => Ok(()),
        },
    })?;
    Ok((uuid, columns))
}

struct RowVisitor<'a> {
    table: &'static str,
    columns: &'static [ColumnInfo],
    has_uuid: bool,
    /// Replaces the column with this index by a value in its wire form.
    decode: &'a mut dyn FnMut(usize, &str) -> Result<(), DecodeError>,
}

impl<'de> Visitor<'de> for RowVisitor<'_> {
    type Value = Uuid;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a row of the table `{}`", self.table)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Uuid, A::Error> {
        let mut uuid = None;
        let mut seen = vec![false; self.columns.len()];
        while let Some(name) = map.next_key::<Str>()? {
            if self.has_uuid && name == UUID {
                if uuid.replace(map.next_value()?).is_some() {
                    return Err(A::Error::duplicate_field(UUID));
                }
                continue;
            }
            let Some(index) = self.columns.iter().position(|column| name == column.name) else {
                let table = self.table;
                let message = format_args!("the table `{table}` has no column `{name}`");
                return Err(A::Error::custom(message));
            };
            let column = self.columns[index];
            if std::mem::replace(&mut seen[index], true) {
                return Err(A::Error::duplicate_field(column.name));
            }
            let value = map.next_value_seed(ColumnSeed(column.kind))?;
            (self.decode)(index, &value.to_string()).map_err(|error| {
                A::Error::custom(format_args!("the column `{name}`: {}", error.kind))
            })?;
        }
        match uuid {
            Some(uuid) => Ok(uuid),
            None if self.has_uuid => Err(A::Error::missing_field(UUID)),
            None => Ok(Uuid::nil()),
        }
    }
}

#[cfg(test)]
mod tests;
