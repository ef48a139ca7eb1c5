//! The functions that the fuzz targets call. The tests that replay their corpus call them too.

pub mod differences;
#[cfg(feature = "manifests")]
pub mod manifests;
pub mod server;
pub mod texts;
pub mod wire;

/// The database whose replica is fuzzed. It has columns of every type.
pub mod inventory {
    ovsdb::schema!("../ovsdb/tests/files/inventory.ovsschema");
}
