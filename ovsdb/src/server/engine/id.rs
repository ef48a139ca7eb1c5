//! The names of rows, tables and locks (RFC 7047 section 3.1, `<id>`).

/// Whether this is such a name: a letter or an underscore, then letters, digits and underscores.
pub(crate) fn is_id(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes
        .next()
        .is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}
