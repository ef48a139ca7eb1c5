//! What a server stores in a column that an insert leaves out.
//!
//! One atom where the column's type has `min` 1, nothing where it has `min` 0. The atom is the
//! same for all columns of an atomic type (RFC 7047 section 5.2.1), also where the column's
//! constraints exclude it.

use ovsdb_schema::{AtomicType, ColumnType};

use super::json::Reader;
use super::{Atom, ColumnKind, Datum, Map, Real, Set, Str, Uuid, Value};

impl Atom {
    /// The atom that a server stores where a value of this type was left out.
    #[must_use]
    pub fn default_of(atomic: AtomicType) -> Self {
        match atomic {
            AtomicType::Integer => Self::Integer(0),
            AtomicType::Real => Self::Real(Real::default()),
            AtomicType::Boolean => Self::Boolean(false),
            AtomicType::String => Self::String(Str::default()),
            AtomicType::Uuid => Self::Uuid(Uuid::nil()),
        }
    }

    /// Whether a server stores this atom where a value of its type was left out.
    pub(super) fn is_default(&self) -> bool {
        match self {
            Self::Integer(integer) => *integer == 0,
            Self::Real(real) => *real == Real::default(),
            Self::Boolean(boolean) => !boolean,
            Self::String(text) => text.is_empty(),
            Self::Uuid(uuid) => uuid.is_nil(),
            Self::NamedUuid(_) => false,
        }
    }
}

impl Datum {
    /// The value that a server stores in a column of this type where an insert leaves the column
    /// out.
    ///
    /// ```
    /// use ovsdb::schema::{DatabaseSchema, bundled};
    /// use ovsdb::value::Datum;
    ///
    /// let schema = DatabaseSchema::parse(bundled("OVN_Northbound").expect("a bundled schema"))?;
    /// let column = &schema.tables["Forwarding_Group"].columns["child_port"];
    /// assert_eq!(column.kind.min, 1);
    /// assert_eq!(Datum::default_of(&column.kind).to_string(), r#""""#);
    /// # Ok::<(), ovsdb::schema::SchemaError>(())
    /// ```
    #[must_use]
    pub fn default_of(column: &ColumnType) -> Self {
        let key = (column.min > 0).then(|| Atom::default_of(column.key.atomic));
        match &column.value {
            Some(value) => {
                let pair = key.map(|key| (key, Atom::default_of(value.atomic)));
                Self::Map(pair.into_iter().collect::<Map<_, _>>())
            }
            None => Self::Set(key.into_iter().collect::<Set<_>>()),
        }
    }
}

/// The value that a server stores where a column with `min` 1 was left out: what the `Default` of
/// generated tables is made of.
#[doc(hidden)]
#[must_use]
pub fn one_default<V: Value>() -> V {
    let ColumnKind { key, value, .. } = V::KIND;
    let key = Atom::default_of(key);
    let datum = match value {
        Some(value) => Datum::Map([(key, Atom::default_of(value))].into()),
        None => Datum::from(key),
    };
    let mut value = V::default();
    match value.decode(&mut Reader::new(&datum.to_string())) {
        Ok(()) => value,
        // An atom of one's own that does not read it.
        Err(_) => V::default(),
    }
}
