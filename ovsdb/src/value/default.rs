//! The value that a server gives to a column that an insert omits.
//!
//! It has one element or pair if the column's type has `min` 1, and is empty if it has `min` 0. Its
//! atoms depend only on the atomic types (RFC 7047 section 5.2.1), even if the column's constraints
//! exclude them.

use ovsdb_schema::{AtomicType, ColumnType};

use super::json::Reader;
use super::{Atom, ColumnKind, Datum, Map, Real, Set, Str, Uuid, Value};

impl Atom {
    /// The atom that a server uses as the default of this type.
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

    /// Whether it is the default of its type.
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
    /// The value that a server gives to a column of this type that an insert omits.
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

/// The value that a server gives to an omitted column with `min` 1. The `Default` of generated tables
/// uses it.
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
        // An atomic type of the user may refuse the default.
        Err(_) => V::default(),
    }
}
