//! The format of a database file (ovsdb(5), "Standalone Format"): records, each with a first line that
//! contains the length and the SHA-1 of the JSON after it.

use std::io;

use sha1::{Digest as _, Sha1};

use crate::server::hosted::FullRecord;

/// The beginning of each record of a standalone database.
const MAGIC: &str = "OVSDB JSON";
/// The beginning of each record of a clustered database.
const CLUSTER_MAGIC: &str = "OVSDB CLUSTER";
/// The longest first line of a record.
const LONGEST_LINE: usize = 128;

/// Writes a record whose JSON comes in pieces. The pieces are generated twice, because the first line
/// contains the length and the hash of all of them.
pub(super) fn write_pieces(out: &mut impl io::Write, record: &FullRecord<'_>) -> io::Result<()> {
    let (mut hasher, mut length) = (Sha1::new(), 1);
    record.pieces(|piece| {
        hasher.update(piece);
        length += piece.len();
        io::Result::Ok(())
    })?;
    hasher.update(b"\n");
    let line = format!("{MAGIC} {length} {}\n", hexadecimal(hasher));
    out.write_all(line.as_bytes())?;
    record.pieces(|piece| out.write_all(piece.as_bytes()))?;
    out.write_all(b"\n")
}

/// Appends a record with this JSON.
pub(super) fn write_record(out: &mut Vec<u8>, json: &str) {
    use std::io::Write as _;
    let length = json.len() + 1;
    // Writing to a Vec cannot fail.
    let _ = write!(
        out,
        "{MAGIC} {length} {}\n{json}\n",
        hash(&[json.as_bytes(), b"\n"])
    );
}

/// The SHA-1 of these parts, in hexadecimal.
fn hash(parts: &[&[u8]]) -> String {
    let mut hasher = Sha1::new();
    for part in parts {
        hasher.update(part);
    }
    hexadecimal(hasher)
}

fn hexadecimal(hasher: Sha1) -> String {
    use std::fmt::Write as _;
    let mut text = String::with_capacity(40);
    for byte in hasher.finalize() {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// Why a record cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Damage {
    /// The file belongs to a cluster.
    #[error("it is a file of a clustered database")]
    Clustered,
    /// The first line of a record is malformed.
    #[error("a record does not begin with `{MAGIC} LENGTH SHA1`")]
    Header,
    /// The file ends within a record.
    #[error("the file ends within a record")]
    Truncated,
    /// The record's SHA-1 is not the one in its first line.
    #[error("the SHA-1 of a record differs from the one in its first line")]
    Hash,
    /// The record is not UTF-8.
    #[error("a record is not UTF-8")]
    Encoding,
}

impl Damage {
    /// Whether a record that was not completely written can have this damage.
    pub(super) const fn may_be_torn(&self) -> bool {
        matches!(self, Self::Header | Self::Truncated | Self::Hash)
    }
}

/// Reads the records of a file in order.
#[derive(Debug)]
pub(super) struct Records<'a> {
    file: &'a [u8],
    at: usize,
}

impl<'a> Records<'a> {
    pub(super) const fn new(file: &'a [u8]) -> Self {
        Self { file, at: 0 }
    }

    /// Where the next record begins.
    pub(super) const fn position(&self) -> usize {
        self.at
    }

    /// The JSON of the next record, or `None` at the end of the file.
    pub(super) fn next(&mut self) -> Result<Option<&'a str>, Damage> {
        let rest = &self.file[self.at..];
        if rest.is_empty() {
            return Ok(None);
        }
        let line = rest
            .iter()
            .take(LONGEST_LINE)
            .position(|byte| *byte == b'\n');
        let Some(line) = line else {
            // The file may end within the first line of a record that was not completely written.
            let is_cut = rest.len() < LONGEST_LINE;
            return Err(if is_cut {
                Damage::Truncated
            } else {
                Damage::Header
            });
        };
        let (length, expected) = read_line(&rest[..line])?;
        let begin = line + 1;
        let json = rest.get(begin..).and_then(|rest| rest.get(..length));
        let json = json.ok_or(Damage::Truncated)?;
        if !hash(&[json]).eq_ignore_ascii_case(expected) {
            return Err(Damage::Hash);
        }
        let json = std::str::from_utf8(json).map_err(|_| Damage::Encoding)?;
        self.at += begin + length;
        Ok(Some(json))
    }

    /// Whether an intact record follows the next, damaged one.
    pub(super) fn has_intact_record_later(&self) -> bool {
        let rest = &self.file[self.at..];
        let begins = |at: &usize| rest[*at..].starts_with(MAGIC.as_bytes());
        let mut later = (1..rest.len()).filter(begins);
        later.any(|at| matches!(Records::new(&rest[at..]).next(), Ok(Some(_))))
    }
}

/// The length and the SHA-1 in a record's first line.
fn read_line(line: &[u8]) -> Result<(usize, &str), Damage> {
    let line = std::str::from_utf8(line).map_err(|_| Damage::Header)?;
    if line.starts_with(CLUSTER_MAGIC) {
        return Err(Damage::Clustered);
    }
    let rest = line.strip_prefix(MAGIC).ok_or(Damage::Header)?;
    let mut words = rest.split_ascii_whitespace();
    let (Some(length), Some(hash), None) = (words.next(), words.next(), words.next()) else {
        return Err(Damage::Header);
    };
    let length = length.parse().map_err(|_| Damage::Header)?;
    if hash.len() != 40 || length == 0 {
        return Err(Damage::Header);
    }
    Ok((length, hash))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_round_trip() {
        let mut file = Vec::new();
        write_record(&mut file, r#"{"a":1}"#);
        write_record(&mut file, "{}");
        let mut records = Records::new(&file);
        assert_eq!(records.next(), Ok(Some("{\"a\":1}\n")));
        assert_eq!(records.next(), Ok(Some("{}\n")));
        assert_eq!(records.next(), Ok(None));
        assert_eq!(records.position(), file.len());
    }

    #[test]
    fn a_record_is_as_ovsdb_tool_writes_it() {
        // The file that `ovsdb-tool create` of Open vSwitch 3.1.0 made of this schema.
        const SCHEMA: &str = r#"{"name":"D","version":"1.0.0","tables":{}}"#;
        const HEADER: &str = "OVSDB JSON 43 9842975cbb28b65c81514848a1fb5556fcfe7bf7";
        let mut file = Vec::new();
        write_record(&mut file, SCHEMA);
        let text = String::from_utf8(file).expect("text");
        assert_eq!(text, format!("{HEADER}\n{SCHEMA}\n"));
    }

    #[test]
    fn damage_is_named_and_the_records_before_it_are_read() {
        let mut whole = Vec::new();
        write_record(&mut whole, "{}");
        let first = whole.len();
        write_record(&mut whole, r#"{"a":"b"}"#);
        for end in first + 1..whole.len() {
            let mut records = Records::new(&whole[..end]);
            assert!(records.next().is_ok_and(|record| record.is_some()));
            assert_eq!(records.next(), Err(Damage::Truncated), "{end}");
            assert_eq!(records.position(), first);
        }
        let mut changed = whole.clone();
        let last = changed.len() - 3;
        changed[last] = b'x';
        let mut records = Records::new(&changed);
        assert!(records.next().is_ok());
        assert_eq!(records.next(), Err(Damage::Hash));
        let cluster = b"OVSDB CLUSTER 3 0000000000000000000000000000000000000000\n{}\n";
        assert_eq!(Records::new(cluster).next(), Err(Damage::Clustered));
        let zeros = "0".repeat(40);
        for line in [
            "hello".to_owned(),
            format!("OVSDB JSON 0 {zeros}"),
            "OVSDB JSON 3 5f36b2".to_owned(),
            format!("OVSDB JSON 3 {zeros} 1"),
            format!("OVSDB JSON three {zeros}"),
        ] {
            let file = format!("{line}\n{{}}\n");
            let next = Records::new(file.as_bytes()).next();
            assert_eq!(next, Err(Damage::Header), "{line}");
        }
        // A file without a line break may be the beginning of a first line, unless it is too long for one.
        for (length, damage) in [
            (LONGEST_LINE - 1, Damage::Truncated),
            (LONGEST_LINE, Damage::Header),
        ] {
            assert_eq!(Records::new(&vec![b'x'; length]).next(), Err(damage));
        }
    }
}
