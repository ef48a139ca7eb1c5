//! What the fuzz targets and the tests that replay their corpus share.

pub mod entries;
