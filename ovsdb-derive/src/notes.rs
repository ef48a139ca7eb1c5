//! The notes on a bundled schema: releases and documented keys, which a schema does not state.

use std::collections::BTreeMap;

/// The notes. The tests of the crate `ovsdb-schema` make sure that they can be read.
#[derive(Default)]
pub(crate) struct Notes<'a> {
    product: &'a str,
    /// The release of the product that the schema belongs to.
    release: &'a str,
    /// The first release with a table or a column (`Table.column`).
    since: BTreeMap<&'a str, &'a str>,
    /// The keys of columns (`Table.column`), as Markdown.
    keys: BTreeMap<&'a str, Vec<String>>,
}

impl<'a> Notes<'a> {
    /// Reads the notes; the comments at their beginning explain the form.
    pub(crate) fn parse(text: &'a str) -> Self {
        let mut notes = Self::default();
        for line in text.lines() {
            let Some((kind, rest)) = line.split_once(' ') else {
                continue;
            };
            match (kind, rest.split_once(' ')) {
                ("product", Some(_)) => {
                    (notes.product, notes.release) = rest.rsplit_once(' ').unwrap_or_default();
                }
                ("since", Some((release, item))) => {
                    notes.since.insert(item, release);
                }
                ("key", Some((column, key))) => {
                    notes.keys.entry(column).or_default().push(documented(key));
                }
                _ => {}
            }
        }
        notes
    }

    /// Since when a table exists.
    pub(crate) fn table(&self, table: &str) -> Option<String> {
        let release = self.since.get(table)?;
        Some(self.since_release(release))
    }

    /// Since when a column exists, unless it is as old as its table.
    pub(crate) fn column(&self, table: &str, column: &str) -> Option<String> {
        let since = self.since.get(format!("{table}.{column}").as_str())?;
        (self.since.get(table) != Some(since)).then(|| self.since_release(since))
    }

    fn since_release(&self, release: &str) -> String {
        format!("Since {} {release}.", self.product)
    }

    /// The keys that the manual documents for a column, as the end of a sentence.
    pub(crate) fn keys(&self, table: &str, column: &str) -> Option<String> {
        let keys = self.keys.get(format!("{table}.{column}").as_str())?;
        let (product, release) = (self.product, self.release);
        Some(format!(
            "documented for {product} {release}: {}.",
            keys.join(", ")
        ))
    }
}

/// A key and the type of its value, as Markdown: `ttl integer 0..255` becomes `` `ttl` (integer, 0 to 255)``.
fn documented(key: &str) -> String {
    let mut words = key.splitn(3, ' ');
    let name = words.next().unwrap_or_default();
    let Some(kind) = words.next() else {
        return format!("`{name}`");
    };
    let Some(limits) = words.next() else {
        return format!("`{name}` ({kind})");
    };
    match limits.split_once("..") {
        Some((min, "")) => format!("`{name}` ({kind}, {min} or more)"),
        Some(("", max)) => format!("`{name}` ({kind}, at most {max})"),
        Some((min, max)) => format!("`{name}` ({kind}, {min} to {max})"),
        None => {
            let values: Vec<String> = limits
                .split('|')
                .map(|value| format!("`{value}`"))
                .collect();
            match values.split_last() {
                Some((last, rest)) if !rest.is_empty() => {
                    format!("`{name}` ({} or {last})", rest.join(", "))
                }
                _ => format!("`{name}` ({})", values.join("")),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_become_sentences() {
        let notes = Notes::parse(
            "# A comment.\nproduct Open vSwitch 4.0\nsince 2.4 T\nsince 2.4 T.old\nsince 3.1 T.new\n\
             key T.new a\nkey T.new b integer 1..\nkey T.new c integer 1..9\nkey T.new d boolean\n\
             key T.new e string x|y|z\nkey T.new f string x\nkey T.new g integer ..9\n",
        );
        assert_eq!(notes.table("T").as_deref(), Some("Since Open vSwitch 2.4."));
        assert_eq!(notes.column("T", "old"), None);
        assert_eq!(
            notes.column("T", "new").as_deref(),
            Some("Since Open vSwitch 3.1.")
        );
        assert_eq!(notes.keys("T", "old"), None);
        let keys = "documented for Open vSwitch 4.0: `a`, `b` (integer, 1 or more), `c` (integer, 1 to 9), \
                    `d` (boolean), `e` (`x`, `y` or `z`), `f` (`x`), `g` (integer, at most 9).";
        assert_eq!(notes.keys("T", "new").as_deref(), Some(keys));
    }
}
