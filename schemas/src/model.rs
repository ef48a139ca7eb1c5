//! The model of a schema.

use std::collections::BTreeMap;
use std::fmt;

/// A database's schema (RFC 7047 section 3.2, `<database-schema>`).
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct DatabaseSchema {
    /// The database's name.
    pub name: String,
    /// The schema's version, `x.y.z`.
    pub version: Option<String>,
    /// The schema file's checksum, as ovsdb-tool computes it.
    pub cksum: Option<String>,
    /// The tables by name.
    pub tables: BTreeMap<String, TableSchema>,
}

impl DatabaseSchema {
    /// A schema without tables, of a database with this name.
    #[must_use]
    pub fn empty(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            version: None,
            cksum: None,
            tables: BTreeMap::new(),
        }
    }
}

/// A table (`<table-schema>`).
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct TableSchema {
    /// The columns by name, without `_uuid` and `_version`.
    pub columns: BTreeMap<String, ColumnSchema>,
    /// How many rows the table may have; the server takes 4294967295 and above as no limit.
    pub max_rows: Option<u64>,
    /// The table's `mutable`. The server stores it and does not use it.
    pub mutable: bool,
    /// Whether this is a root table: its rows exist without references to them. If a schema declares no root table,
    /// all of its tables are root tables.
    pub is_root: bool,
    /// Sets of columns in which no two rows are equal.
    pub indexes: Vec<Vec<String>>,
}

/// A column (`<column-schema>`).
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ColumnSchema {
    /// The type of its values.
    pub kind: ColumnType,
    /// Whether its values may be lost when the server restarts. Never true for a strong reference to a table that is
    /// not a root table: the server stores such a reference even if the schema says otherwise.
    pub ephemeral: bool,
    /// Whether it can change after the row's insert. Always true for a weak reference, because the server itself
    /// removes it when the row that it refers to is deleted.
    pub mutable: bool,
}

impl ColumnSchema {
    /// A column that can change and survives a restart.
    #[must_use]
    pub const fn new(kind: ColumnType) -> Self {
        Self {
            kind,
            ephemeral: false,
            mutable: true,
        }
    }
}

/// The type of a column (`<type>`).
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ColumnType {
    /// The type of the elements, or of a map's keys.
    pub key: BaseType,
    /// The type of a map's values.
    pub value: Option<BaseType>,
    /// The least number of elements: 0 or 1.
    pub min: u32,
    /// The greatest number of elements.
    pub max: Max,
}

impl ColumnType {
    /// Exactly one atom of this type.
    #[must_use]
    pub const fn scalar(key: BaseType) -> Self {
        Self {
            key,
            value: None,
            min: 1,
            max: Max::Limited(1),
        }
    }

    /// Whether the type allows this number of elements or pairs.
    #[must_use]
    pub const fn allows(&self, count: usize) -> bool {
        count >= self.min as usize
            && match self.max {
                Max::Limited(max) => count <= max as usize,
                Max::Unlimited => true,
            }
    }

    /// Whether it is exactly one atom.
    #[must_use]
    pub const fn is_scalar(&self) -> bool {
        self.value.is_none() && self.min == 1 && self.max.is_one()
    }

    /// Whether it is one atom or none.
    #[must_use]
    pub const fn is_optional(&self) -> bool {
        self.value.is_none() && self.min == 0 && self.max.is_one()
    }

    /// Whether it may be several atoms.
    #[must_use]
    pub const fn is_set(&self) -> bool {
        self.value.is_none() && !self.max.is_one()
    }

    /// Whether it is a map.
    #[must_use]
    pub const fn is_map(&self) -> bool {
        self.value.is_some()
    }
}

impl ColumnType {
    /// The types of its atoms: of the elements, or of the keys and the values.
    pub fn atoms(&self) -> impl Iterator<Item = &BaseType> {
        [&self.key].into_iter().chain(&self.value)
    }
}

impl fmt::Display for ColumnType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            Some(value) => write!(f, "map of {} to {}", self.key.atomic, value.atomic),
            None if self.is_scalar() => write!(f, "{}", self.key.atomic),
            None if self.is_optional() => write!(f, "optional {}", self.key.atomic),
            None => write!(f, "set of {}", self.key.atomic),
        }
    }
}

/// The greatest number of elements in a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Max {
    /// This many.
    Limited(u32),
    /// Any number.
    Unlimited,
}

impl Max {
    /// Whether it is one element.
    #[must_use]
    pub const fn is_one(self) -> bool {
        matches!(self, Self::Limited(1))
    }
}

/// The type of an atom with its constraints (`<base-type>`).
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct BaseType {
    /// The atomic type.
    pub atomic: AtomicType,
    /// Which values are allowed.
    pub constraint: Constraint,
    /// The table that a uuid refers to.
    pub ref_table: Option<String>,
    /// Whether that reference is strong or weak.
    pub ref_type: RefType,
}

impl BaseType {
    /// The atoms of this type without constraints.
    #[must_use]
    pub const fn new(atomic: AtomicType) -> Self {
        Self {
            atomic,
            constraint: Constraint::None,
            ref_table: None,
            ref_type: RefType::Strong,
        }
    }
}

impl BaseType {
    /// Whether it is a weak reference, which the server removes when the row is deleted.
    #[must_use]
    pub fn is_weak_reference(&self) -> bool {
        self.ref_table.is_some() && self.ref_type == RefType::Weak
    }
}

/// What values a base type allows.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Constraint {
    /// All values of the atomic type.
    None,
    /// Only these values, in the order of the schema.
    Enum(Vec<EnumValue>),
    /// Integers within bounds.
    Integer {
        /// The least.
        min: Option<i64>,
        /// The greatest.
        max: Option<i64>,
    },
    /// Reals within bounds.
    Real {
        /// The least.
        min: Option<f64>,
        /// The greatest.
        max: Option<f64>,
    },
    /// Strings within bounds, counted in characters.
    Length {
        /// The shortest.
        min: Option<u64>,
        /// The longest.
        max: Option<u64>,
    },
}

/// A value of an enum.
#[derive(Debug, Clone, PartialEq)]
pub enum EnumValue {
    /// An integer.
    Integer(i64),
    /// A real.
    Real(f64),
    /// A boolean.
    Boolean(bool),
    /// A string.
    String(String),
    /// A uuid, as text.
    Uuid(String),
}

impl fmt::Display for EnumValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Integer(value) => value.fmt(f),
            Self::Real(value) => value.fmt(f),
            Self::Boolean(value) => value.fmt(f),
            Self::String(value) | Self::Uuid(value) => value.fmt(f),
        }
    }
}

/// How a column refers to rows (RFC 7047 section 3.2, `refType`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefType {
    /// The row must exist, and cannot be deleted as long as it is referred to.
    Strong,
    /// The server removes the reference when the row is deleted.
    Weak,
}

/// The type of an atom (`<atomic-type>`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AtomicType {
    /// 64 signed bits.
    Integer,
    /// A floating-point number of 64 bits.
    Real,
    /// True or false.
    Boolean,
    /// Unicode text without NUL.
    String,
    /// A UUID of 128 bits.
    Uuid,
}

impl AtomicType {
    /// The type's name in a schema.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Integer => "integer",
            Self::Real => "real",
            Self::Boolean => "boolean",
            Self::String => "string",
            Self::Uuid => "uuid",
        }
    }

    /// The type with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [
            Self::Integer,
            Self::Real,
            Self::Boolean,
            Self::String,
            Self::Uuid,
        ]
        .into_iter()
        .find(|atomic| atomic.as_str() == name)
    }
}

impl fmt::Display for AtomicType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
