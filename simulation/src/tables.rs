//! The database of the runs, whose other schema has no notes.
#![allow(missing_docs, unreachable_pub, reason = "generated")]

ovsdb::schema!("world.ovsschema");

/// The text of the schema.
pub(crate) const FIRST: &str = include_str!("../world.ovsschema");
/// The text of the schema that it is converted to and back.
pub(crate) const SECOND: &str = include_str!("../world-2.ovsschema");
