//! What the fuzz targets and the tests that replay their corpus share.

pub mod differences;
pub mod entries;
#[cfg(feature = "manifests")]
pub mod manifests;
pub mod served;
pub mod texts;

/// The database whose replica is fuzzed: columns of every type.
pub mod inventory {
    ovsdb::schema!("../ovsdb/tests/files/inventory.ovsschema");
}
