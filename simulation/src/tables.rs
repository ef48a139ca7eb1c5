//! The database of the runs. Its second schema lacks the column `note`, and has another column and another table.
#![allow(missing_docs, unreachable_pub, reason = "generated")]

ovsdb::schema!("world.ovsschema");

/// The text of the schema.
pub(crate) const FIRST: &str = include_str!("../world.ovsschema");
/// The text of the schema to which the database is converted, and from which it is converted back.
pub(crate) const SECOND: &str = include_str!("../world-2.ovsschema");
