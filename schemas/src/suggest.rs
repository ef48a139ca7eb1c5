//! "Did you mean": the name nearest to a misspelt one.

/// The candidate that a misspelt name most likely means, if one is near enough.
///
/// ```
/// let columns = ["name", "ports", "external_ids"];
/// assert_eq!(ovsdb_schema::nearest("port", columns), Some("ports"));
/// assert_eq!(ovsdb_schema::nearest("priority", columns), None);
/// ```
#[must_use]
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = (name.len() / 3).max(1);
    let nearest = candidates
        .into_iter()
        .map(|candidate| (distance(name, candidate), candidate))
        .filter(|(distance, _)| *distance <= limit)
        .min();
    nearest.map(|(_, name)| name)
}

/// The edit distance: how many characters must be added, removed or replaced. Case does not count.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.to_lowercase().chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.to_lowercase().chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_suggested() {
        let names = ["name", "ports", "other_config", "external_ids"];
        assert_eq!(nearest("port", names), Some("ports"));
        assert_eq!(nearest("external_id", names), Some("external_ids"));
        assert_eq!(nearest("Name", names), Some("name"));
        assert_eq!(nearest("priority", names), None);
    }
}
