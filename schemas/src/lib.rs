//! The model and the parser of an OVSDB schema (RFC 7047 section 3.2), and the schemas of OVN and
//! Open vSwitch.
//!
//! ```
//! use ovsdb_schema::{DatabaseSchema, bundled};
//!
//! let text = bundled("OVN_Northbound").expect("a bundled schema");
//! let schema = DatabaseSchema::parse(text)?;
//! let ports = &schema.tables["Logical_Switch"].columns["ports"].kind;
//! assert_eq!(ports.key.ref_table.as_deref(), Some("Logical_Switch_Port"));
//! # Ok::<(), ovsdb_schema::SchemaError>(())
//! ```

mod error;
mod json;
mod model;
mod number;
mod parse;
mod suggest;
mod text;

pub use self::error::{SchemaError, SchemaErrorReason};
pub use self::model::{
    AtomicType, BaseType, ColumnSchema, ColumnType, Constraint, DatabaseSchema, EnumValue, Max,
    RefType, TableSchema,
};
pub use self::number::{Number, NumberError, NumberErrorReason};
pub use self::suggest::nearest;

/// The databases whose schemas come with this crate.
pub const BUNDLED: &[&str] = &["OVN_Northbound", "OVN_Southbound", "Open_vSwitch"];

/// The text of a bundled schema; `files/README.md` says where each comes from.
#[must_use]
pub fn bundled(database: &str) -> Option<&'static str> {
    match database {
        "OVN_Northbound" => Some(include_str!("../files/ovn-nb.ovsschema")),
        "OVN_Southbound" => Some(include_str!("../files/ovn-sb.ovsschema")),
        "Open_vSwitch" => Some(include_str!("../files/vswitch.ovsschema")),
        _ => None,
    }
}

/// Facts about a bundled schema that the schema does not state: since which release a table or column exists,
/// and which keys of maps and elements of sets the manual documents. Comments at the beginning of the text
/// explain its lines; `files/README.md` says where they come from.
///
/// ```
/// let notes = ovsdb_schema::bundled_notes("OVN_Northbound").expect("a bundled schema");
/// assert!(notes.lines().any(|line| line == "since 24.09 Sample"));
/// assert!(notes.lines().any(|line| line == "key Logical_Switch.other_config mcast_snoop boolean"));
/// ```
#[must_use]
pub fn bundled_notes(database: &str) -> Option<&'static str> {
    match database {
        "OVN_Northbound" => Some(include_str!("../files/ovn-nb.notes")),
        "OVN_Southbound" => Some(include_str!("../files/ovn-sb.notes")),
        "Open_vSwitch" => Some(include_str!("../files/vswitch.notes")),
        _ => None,
    }
}
