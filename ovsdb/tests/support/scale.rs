//! The sizes of tests: `OVSDB_TEST_SCALE=full` runs them at full size.

/// The small size, or the full one if that is requested.
pub fn size<T>(small: T, full: T) -> T {
    match std::env::var("OVSDB_TEST_SCALE").as_deref() {
        Ok("full") => full,
        Ok("small") | Err(_) => small,
        Ok(other) => panic!("OVSDB_TEST_SCALE is {other:?}, and neither small nor full"),
    }
}
