//! The functions that the fuzz targets call. The tests that replay their corpus call them too.

pub mod differences;
pub mod entries;
#[cfg(feature = "manifests")]
pub mod manifests;
pub mod served;
pub mod texts;

/// The database whose replica is fuzzed. It has columns of every type.
pub mod inventory {
    ovsdb::schema!("../ovsdb/tests/files/inventory.ovsschema");
}
