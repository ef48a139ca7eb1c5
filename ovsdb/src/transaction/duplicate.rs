//! Parses the refusal of a transaction because two rows have the same values in an index.
//!
//! ovsdb-server reports the two rows in an English sentence. It is parsed exactly as the server's
//! source writes it (`duplicate_index_row`); any other sentence is not reported as a duplicate.

use super::Refusal;
use crate::protocol::ErrorKind;
use crate::value::json::Reader;
use crate::value::{Str, Uuid};

/// Two rows that would have had the same values in the columns of an index, so that the server refused
/// the transaction; [`Refusal::duplicate`] returns it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Duplicate {
    /// The table.
    pub table: Str,
    /// The index's columns.
    pub columns: Vec<Str>,
    /// The value of each column, as text: a string as it is, a set or map as the server prints it.
    pub values: Vec<Str>,
    /// The two rows, in no particular order.
    pub rows: [DuplicateRow; 2],
}

/// One of the rows of a [`Duplicate`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct DuplicateRow {
    /// The row's uuid.
    pub uuid: Uuid,
    /// Whether the refused transaction inserts it. Otherwise the row exists.
    pub inserted: bool,
}

impl Duplicate {
    /// The row that exists already, if the transaction inserts the other one.
    #[must_use]
    pub fn existing(&self) -> Option<Uuid> {
        match self.rows {
            [row, other] | [other, row] if !row.inserted && other.inserted => Some(row.uuid),
            _ => None,
        }
    }
}

impl Refusal {
    /// The two rows that would have had the same values in an index of the schema. `None` when the
    /// server refused the transaction for another reason, or does not use ovsdb-server's words.
    ///
    /// The rows' uuids are those of the refused transaction: a row that it inserts does not exist.
    ///
    /// ```
    /// # #[cfg(all(feature = "nb", feature = "server"))] #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let schema = ovsdb::schema::bundled("OVN_Northbound").expect("a bundled schema");
    /// # let server = ovsdb::server::Server::memory(schema)?;
    /// # let mut rows = ovsdb::nb::Transaction::detached();
    /// # rows.insert(ovsdb::nb::AddressSet { name: "servers".into(), ..Default::default() });
    /// # rows.commit_on(&server)?;
    /// # let client = ovsdb::nb::Client::builder().server(&server).connect().await?;
    /// use ovsdb::nb::AddressSet;
    /// use ovsdb::{CommitError, Ref};
    ///
    /// let mut txn = client.transaction();
    /// txn.insert(AddressSet { name: "servers".into(), ..Default::default() });
    /// let Err(CommitError::Refused(refusal)) = txn.commit().await else {
    ///     panic!("another set has the name");
    /// };
    /// let duplicate = refusal.duplicate().expect("an index is violated");
    /// let existing = duplicate.existing().map(Ref::<AddressSet>::from);
    /// println!("{existing:?} has the name already");
    /// # Ok(()) }
    /// # #[cfg(not(all(feature = "nb", feature = "server")))] fn main() {}
    /// ```
    #[must_use]
    pub fn duplicate(&self) -> Option<Duplicate> {
        // ovsdb-server checks indexes after the last operation, so the error is not at an operation.
        if self.error.kind() != ErrorKind::ConstraintViolation || self.operation.is_some() {
            return None;
        }
        read(self.error.details.as_deref()?)
    }
}

fn read(details: &str) -> Option<Duplicate> {
    let mut words = Words(details);
    words.eat("Transaction causes multiple rows in \"")?;
    let table = words.name()?;
    words.eat(" table to have identical values (")?;
    let values = words.list(Words::value)?;
    words.eat(") for index on ")?;
    let columns = if words.eat("columns ").is_some() {
        words.list(|words| {
            words.eat("\"")?;
            words.name()
        })?
    } else {
        words.eat("column \"")?;
        vec![words.name()?]
    };
    words.eat(".  First row, with UUID ")?;
    let first = words.row(values.len())?;
    words.eat("  Second row, with UUID ")?;
    let second = words.row(values.len())?;
    (words.0.is_empty() && values.len() == columns.len()).then_some(Duplicate {
        table,
        columns,
        values,
        rows: [first, second],
    })
}

/// The rest of the sentence to be parsed.
struct Words<'a>(&'a str);

impl Words<'_> {
    fn eat(&mut self, words: &str) -> Option<()> {
        self.0 = self.0.strip_prefix(words)?;
        Some(())
    }

    /// A table's or a column's name, after its opening quote.
    fn name(&mut self) -> Option<Str> {
        let (name, rest) = self.0.split_once('"')?;
        self.0 = rest;
        Some(name.into())
    }

    /// A list as in English: `a`, `a and b`, `a, b, and c`.
    fn list<T>(&mut self, mut item: impl FnMut(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let mut items = vec![item(self)?];
        loop {
            let last = if items.len() == 1 { " and " } else { ", and " };
            if self.eat(last).is_some() {
                items.push(item(self)?);
                return Some(items);
            }
            if self.eat(", ").is_none() {
                // A list of two or more ends with its `and`, handled above.
                return (items.len() == 1).then_some(items);
            }
            items.push(item(self)?);
        }
    }

    /// A value as the server prints it: a word, a quoted string, a set or a map.
    fn value(&mut self) -> Option<Str> {
        let text = self.0;
        let end = match text.chars().next()? {
            '"' => quoted(text)?,
            '[' | '{' => bracketed(text)?,
            _ => text.find([' ', ',', ')', ']', '}', '='])?,
        };
        let (value, rest) = text.split_at(end);
        self.0 = rest;
        if value.starts_with('"') {
            return Reader::new(value).text().ok();
        }
        (!value.is_empty()).then(|| value.into())
    }

    /// A row's uuid, and what the sentence says that the transaction did to it.
    fn row(&mut self, columns: usize) -> Option<DuplicateRow> {
        let (uuid, rest) = self.0.split_once(", ")?;
        let uuid = Uuid::parse_str(uuid).ok()?;
        self.0 = rest;
        let inserted = self.eat("was inserted by this transaction.").is_some();
        if !inserted {
            self.existing(columns)?;
        }
        Some(DuplicateRow { uuid, inserted })
    }

    fn existing(&mut self, columns: usize) -> Option<()> {
        let untouched = "existed in the database before this transaction and was not modified by the transaction.";
        let modified = "existed in the database before this transaction, which modified some of the \
                        row's columns but not any columns in this index.";
        if self.eat(untouched).is_some() || self.eat(modified).is_some() {
            return Some(());
        }
        self.eat("had the following index values before the transaction: ")?;
        let before = self.list(Self::old_value)?;
        self.eat(".")?;
        (before.len() == columns).then_some(())
    }

    /// A value that the row had before the transaction, up to the next separator or the end of the
    /// sentence.
    fn old_value(&mut self) -> Option<()> {
        if self.0.starts_with(['"', '[', '{']) {
            return self.value().map(drop);
        }
        // The value may contain a full stop. The one that ends the sentence is followed by two spaces
        // or by the end of the text.
        let text = self.0;
        let ends = |at: usize| text[at..].starts_with([',', ' ']) || text[at..] == *".";
        let end = text
            .char_indices()
            .map(|(at, _)| at)
            .find(|at| ends(*at) || text[*at..].starts_with(".  "))?;
        self.0 = &text[end..];
        (end > 0).then_some(())
    }
}

/// The end of the quoted string at the start of the text.
fn quoted(text: &str) -> Option<usize> {
    let mut escaped = false;
    for (at, character) in text.char_indices().skip(1) {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return Some(at + 1),
            _ => {}
        }
    }
    None
}

/// The end of the set or map at the start of the text; they do not nest.
fn bracketed(text: &str) -> Option<usize> {
    let mut at = 1;
    loop {
        match text.as_bytes().get(at)? {
            b'"' => at += quoted(text.get(at..)?)?,
            b']' | b'}' => return Some(at + 1),
            _ => at += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::OvsdbError;

    const ONE: &str = "Transaction causes multiple rows in \"Port\" table to have identical values (\"a b\") for index on column \"name\".  First row, with UUID 8b534f6b-23a8-4984-863f-7b391b301067, was inserted by this transaction.  Second row, with UUID 25107606-b83c-420b-a903-ae7f6278ecaf, existed in the database before this transaction, which modified some of the row's columns but not any columns in this index.";
    const THREE: &str = "Transaction causes multiple rows in \"Port\" table to have identical values (\"), and \\\"\", [a, \"]\"], and {a=\"}\"}) for index on columns \"a\", \"b\", and \"c\".  First row, with UUID 8b534f6b-23a8-4984-863f-7b391b301067, had the following index values before the transaction: 0.5, [], and a.b.  Second row, with UUID 25107606-b83c-420b-a903-ae7f6278ecaf, had the following index values before the transaction: \".  Second row, with UUID \", {}, and \"\".";

    fn texts(words: &[Str]) -> Vec<&str> {
        words.iter().map(Str::as_str).collect()
    }

    #[test]
    fn values_are_read_whatever_they_hold() {
        let one = read(ONE).expect("a duplicate");
        assert_eq!(
            (one.table.as_str(), texts(&one.columns)),
            ("Port", vec!["name"])
        );
        assert_eq!(texts(&one.values), ["a b"]);
        assert_eq!(one.rows.map(|row| row.inserted), [true, false]);
        assert_eq!(one.existing(), Some(one.rows[1].uuid));
        let three = read(THREE).expect("a duplicate");
        assert_eq!(texts(&three.columns), ["a", "b", "c"]);
        assert_eq!(
            texts(&three.values),
            ["), and \"", "[a, \"]\"]", "{a=\"}\"}"]
        );
        assert_eq!(three.rows.map(|row| row.inserted), [false, false]);
        assert_eq!(three.existing(), None);
    }

    #[test]
    fn a_message_in_other_words_is_not_parsed() {
        for whole in [ONE, THREE] {
            for end in (0..whole.len()).filter(|end| whole.is_char_boundary(*end)) {
                assert_eq!(read(&whole[..end]), None, "{}", &whole[..end]);
            }
            assert_eq!(read(&format!("{whole} ")), None);
            assert_eq!(read(&whole.replacen("identical", "equal", 1)), None);
            assert_eq!(read(&whole.replacen("Second row", "Third row", 1)), None);
            assert_eq!(read(&whole.replacen("8b534f6b", "8b53", 1)), None);
        }
        // One value more or fewer than columns.
        assert_eq!(read(&ONE.replacen("\"a b\"", "1 and 2", 1)), None);
        assert_eq!(read(&THREE.replacen(", and {a=\"}\"}", "", 1)), None);
        assert_eq!(
            read(&THREE.replacen("0.5, [], and a.b", "0.5 and a.b", 1)),
            None
        );
        // No value at all.
        for none in [", [], and a.b", "0.5, [], and "] {
            let changed = THREE.replacen("0.5, [], and a.b", none, 1);
            assert_eq!(read(&changed), None, "{changed}");
        }
    }

    #[test]
    fn only_a_constraint_at_the_commit_is_a_duplicate() {
        let refusal = |error: &str, operation| Refusal {
            operation,
            ..Refusal::of_request(OvsdbError::with_details(error, ONE))
        };
        let at_commit = refusal("constraint violation", None);
        assert!(at_commit.duplicate().is_some());
        assert_eq!(refusal("constraint violation", Some(0)).duplicate(), None);
        assert_eq!(refusal("aborted", None).duplicate(), None);
    }
}
