//! "Did you mean": the name nearest to a misspelt one.

/// The candidate that a misspelt name is most likely to mean, as the end of an error message.
pub(crate) fn did_you_mean<'a>(
    name: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> String {
    ovsdb_schema::nearest(name, candidates)
        .map(|name| format!("; did you mean `{name}`?"))
        .unwrap_or_default()
}
