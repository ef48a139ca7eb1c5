//! What the fuzz targets and the tests that replay their corpus share.

pub mod entries;
pub mod served;

/// The database whose replica is fuzzed: columns of every type.
pub mod inventory {
    ovsdb::schema!("../ovsdb/tests/files/inventory.ovsschema");
}
