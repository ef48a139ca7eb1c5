//! "Did you mean": the name nearest to a misspelt one.

/// The candidate that a misspelt name is most likely to mean, as the end of an error message.
pub(crate) fn did_you_mean<'a>(
    name: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> String {
    let limit = (name.len() / 3).max(1);
    let nearest = candidates
        .into_iter()
        .map(|candidate| (distance(name, candidate), candidate))
        .filter(|(distance, _)| *distance <= limit)
        .min();
    nearest
        .map(|(_, name)| format!("; did you mean `{name}`?"))
        .unwrap_or_default()
}

/// How many characters must be added, dropped or replaced, case aside.
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
        assert_eq!(did_you_mean("port", names), "; did you mean `ports`?");
        assert_eq!(
            did_you_mean("external_id", names),
            "; did you mean `external_ids`?"
        );
        assert_eq!(did_you_mean("Name", names), "; did you mean `name`?");
        assert_eq!(did_you_mean("priority", names), "");
    }
}
