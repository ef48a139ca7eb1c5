//! The text of a file, and the documents in it.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::str;

use serde_saphyr::{Error, Spanned, UserMessageFormatter};

use super::document::Document;
use crate::error::{InputError, Place, Reason};
use crate::json::Syntax;

/// The longest file that is read, in bytes. There is a limit because a device may never end.
const LONGEST: u64 = 4 << 30;

/// The deepest nesting that is read; the stack limits it.
const DEEPEST: usize = 128;

pub(super) fn place(path: &Path) -> Place {
    Place {
        file: path.display().to_string(),
        ..Place::default()
    }
}

/// The text of a file, or of the standard input where the path is `-`.
///
/// # Errors
/// When it cannot be read, is too long, or is not UTF-8.
pub(super) fn text(path: &Path) -> Result<String, InputError> {
    let wrong = |reason: Reason| InputError::new(&place(path), "", reason);
    let bytes = if path == Path::new("-") {
        bytes(io::stdin().lock())
    } else {
        File::open(path).and_then(bytes)
    };
    let bytes = bytes.map_err(|error| wrong(error.into()))?;
    if bytes.len() as u64 > LONGEST {
        return Err(wrong(Reason::TooLong(LONGEST)));
    }
    String::from_utf8(bytes).map_err(|error| {
        let offset = error.utf8_error().valid_up_to();
        let bytes = error.as_bytes();
        let before = &bytes[..offset];
        let line_start = before.iter().rposition(|byte| *byte == b'\n');
        wrong(Reason::NotUtf8 {
            offset,
            byte: bytes[offset],
            line: before.iter().filter(|byte| **byte == b'\n').count() + 1,
            column: offset - line_start.map_or(0, |at| at + 1) + 1,
        })
    })
}

/// Reads at most one byte more than a file may have.
fn bytes(source: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    source.take(LONGEST + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Parses the documents of a file one by one. `take` gets each document with its number, or the error
/// in it, and parsing continues with the next one.
///
/// # Errors
/// When the text is neither YAML nor JSON, is nested too deeply, or is many times longer with its aliases resolved:
/// the rest of it cannot be parsed.
pub(super) fn documents(
    file: &Place,
    text: &str,
    mut take: impl FnMut(usize, Result<Document, InputError>),
) -> Result<(), InputError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.trim_start().starts_with(['{', '[']) {
        let is_json = file.file.ends_with(".json");
        // YAML mappings can begin with a brace, too.
        match json(text) {
            Ok(documents) => {
                for (document, number) in documents.into_iter().zip(1..) {
                    take(number, Ok(document));
                }
                return Ok(());
            }
            Err(error) if is_json => {
                let reason = Reason::Malformed(Syntax::from(&error).to_string());
                return Err(InputError::new(file, "", reason));
            }
            Err(_) => {}
        }
    }
    yaml(file, text, take)
}

fn json(text: &str) -> serde_json::Result<Vec<Document>> {
    serde_json::Deserializer::from_str(text)
        .into_iter()
        .collect()
}

fn yaml(
    file: &Place,
    text: &str,
    mut take: impl FnMut(usize, Result<Document, InputError>),
) -> Result<(), InputError> {
    // Without aliases, a text has hardly more nodes than characters. With aliases it may describe
    // more, but at most a few times its own size.
    let size = text.len().saturating_mul(4).saturating_add(10_000);
    // `n`, `on` and `0755` are strings (kubectl reads them as booleans and a number), and a repeated key is an
    // error.
    let options = serde_saphyr::options! {
        strict_booleans: true,
        leading_zero_numbers_as_strings: true,
        with_snippet: false,
        budget: serde_saphyr::budget! {
            max_reader_input_bytes: None,
            max_events: size,
            max_nodes: size,
            max_aliases: size,
            max_anchors: size,
            max_merge_keys: size,
            max_recorded_anchor_events: size,
            max_recorded_anchor_bytes: size,
            max_total_scalar_bytes: size,
            max_depth: DEEPEST,
            enforce_alias_anchor_ratio: false,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: size,
        },
    };
    let mut reader = text.as_bytes();
    let mut numbers = Numbers::new(text);
    for document in serde_saphyr::read_with_options::<_, Spanned<Document>>(&mut reader, options) {
        match document {
            Ok(Spanned {
                value, referenced, ..
            }) => take(numbers.at(referenced.line()), Ok(value)),
            Err(error @ Error::DuplicateMappingKey { .. }) => {
                let line = error.location().map_or(0, |location| location.line());
                let place = Place {
                    document: numbers.at(line),
                    ..file.clone()
                };
                let wrong = InputError::new(&place, "", Reason::Yaml(told(&error)));
                take(place.document, Err(wrong));
            }
            // The rest of the text cannot be parsed.
            Err(error) => return Err(InputError::new(file, "", Reason::Yaml(told(&error)))),
        }
    }
    Ok(())
}

/// An error of the parser, in words for users who do not know the parser.
fn told(error: &Error) -> String {
    match error {
        Error::DuplicateMappingKey { key, location } => {
            let key = key.as_deref().unwrap_or_default();
            format!(
                "the key {key:?} appears twice in a mapping (line {})",
                location.line()
            )
        }
        _ => {
            let text = error.render_with_formatter(&UserMessageFormatter);
            // Errors of limits are wrapped in others, which contain only the text.
            if text.contains("too large or too complex") {
                format!(
                    "aliases describe many times more than what is written, or the nesting is \
                     deeper than {DEEPEST} levels"
                )
            } else {
                text
            }
        }
    }
}

/// The numbers of documents, by line. The parser skips empty documents.
struct Numbers<'t> {
    lines: str::Lines<'t>,
    /// The number of lines before `lines`.
    passed: u64,
    number: usize,
    /// Whether the document has begun, with content or with a line `---`.
    begun: bool,
}

impl<'t> Numbers<'t> {
    fn new(text: &'t str) -> Self {
        Self {
            lines: text.lines(),
            passed: 0,
            number: 1,
            begun: false,
        }
    }

    /// The number of the document on this line; lines must be passed in ascending order.
    fn at(&mut self, line: u64) -> usize {
        while self.passed < line {
            let Some(text) = self.lines.next() else {
                break;
            };
            self.passed += 1;
            let marker = text.strip_prefix("---");
            if marker.is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t'])) {
                self.number += usize::from(self.begun);
                self.begun = true;
            } else if !text.is_empty() && !text.starts_with(['#', '%']) {
                self.begun = true;
            }
        }
        self.number
    }
}
