//! A pull reader for one framed message.

use std::borrow::Cow;

use super::error::{DecodeError, DecodeErrorKind, MAX_DEPTH};
use super::number::{self, Number};
use super::scan::plain_end;
use crate::value::{Atomic, Repeats, Set, Str};

/// A value that was found but not decoded: its text within the message.
///
/// ```
/// use ovsdb::value::json::Reader;
///
/// let mut reader = Reader::new(r#"{"a": [1, 2]}"#);
/// reader.object()?;
/// reader.key()?;
/// let raw = reader.skip()?;
/// assert_eq!((raw.text, raw.offset), ("[1, 2]", 6));
/// # Ok::<(), ovsdb::value::json::DecodeError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Raw<'a> {
    /// The value's text, without surrounding blanks.
    pub text: &'a str,
    /// Where it starts within the message, in bytes.
    pub offset: usize,
}

/// Reads the values of one JSON message in order, without building a tree.
///
/// Enter a container with [`array`](Self::array) or [`object`](Self::object), and call
/// [`element`](Self::element) or [`key`](Self::key) until they report its end.
///
/// ```
/// use ovsdb::value::json::{Number, Reader};
///
/// let mut reader = Reader::new(r#"{"rate": 25, "names": ["a"]}"#);
/// reader.object()?;
/// while let Some(key) = reader.key()? {
///     match &*key {
///         "rate" => assert_eq!(reader.number()?, Number::Integer(25)),
///         _ => assert_eq!(reader.skip()?.text, r#"["a"]"#),
///     }
/// }
/// reader.end()?;
/// # Ok::<(), ovsdb::value::json::DecodeError>(())
/// ```
#[derive(Debug)]
pub struct Reader<'a> {
    text: &'a str,
    position: usize,
    /// Added to the offsets in errors: where `text` starts within the whole message.
    base: usize,
    depth: u32,
    /// Whether a container was just entered, so that no comma comes before its next element.
    fresh: bool,
    repeats: Option<&'a mut Repeats>,
    /// The expected number of elements of the next collection. The fast path sets it to the length of
    /// each list that is not empty.
    pub(crate) elements: usize,
}

/// A position of a [`Reader`], to return to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Checkpoint {
    position: usize,
    depth: u32,
    fresh: bool,
}

type Result<T, E = DecodeError> = std::result::Result<T, E>;

impl<'a> Reader<'a> {
    /// A reader at the start of `text`.
    #[must_use]
    pub const fn new(text: &'a str) -> Self {
        Self {
            text,
            position: 0,
            base: 0,
            depth: 0,
            fresh: false,
            repeats: None,
            elements: 0,
        }
    }

    /// A reader for a value that was skipped before. Offsets in errors still refer to the whole
    /// message.
    #[must_use]
    pub const fn of(raw: Raw<'a>) -> Self {
        Self {
            text: raw.text,
            position: 0,
            base: raw.offset,
            depth: 0,
            fresh: false,
            repeats: None,
            elements: 0,
        }
    }

    /// Another reader at the same position, to look ahead.
    #[cfg(feature = "server")]
    #[must_use]
    pub(crate) const fn again(&self) -> Self {
        Self {
            text: self.text,
            position: self.position,
            base: self.base,
            depth: self.depth,
            fresh: self.fresh,
            repeats: None,
            elements: 0,
        }
    }

    /// Interns long strings and sets of references in this table.
    #[must_use]
    pub(crate) fn sharing(mut self, repeats: &'a mut Repeats) -> Self {
        self.repeats = Some(repeats);
        self
    }

    /// The offset in the message of the next byte to be read.
    #[must_use]
    pub const fn offset(&self) -> usize {
        self.base + self.position
    }

    pub(crate) fn error<T>(&self, kind: DecodeErrorKind) -> Result<T> {
        Err(DecodeError::new(self.offset(), kind))
    }

    fn expected<T>(&mut self, what: &'static str) -> Result<T> {
        match self.peek() {
            None => self.error(DecodeErrorKind::UnexpectedEnd),
            Some(_) => self.error(DecodeErrorKind::Expected(what)),
        }
    }

    /// The next byte that is not blank, without consuming it.
    pub fn peek(&mut self) -> Option<u8> {
        loop {
            match self.text.as_bytes().get(self.position) {
                Some(b' ' | b'\t' | b'\n' | b'\r') => self.position += 1,
                other => return other.copied(),
            }
        }
    }

    pub(crate) const fn checkpoint(&self) -> Checkpoint {
        Checkpoint {
            position: self.position,
            depth: self.depth,
            fresh: self.fresh,
        }
    }

    pub(crate) const fn restore(&mut self, checkpoint: Checkpoint) {
        self.position = checkpoint.position;
        self.depth = checkpoint.depth;
        self.fresh = checkpoint.fresh;
    }

    /// Consumes these characters if they come next, without blanks before them.
    ///
    /// This is the fast path for values in the form in which ovsdb-server writes them. Any other form
    /// is read again, token by token, from a [`checkpoint`](Self::checkpoint). This function does not count
    /// the depth. So a caller that consumes an opening bracket by it must consume the closing one by it
    /// too, and no bracket of a container that [`array`](Self::array) or [`object`](Self::object) entered.
    #[inline(always)]
    pub(crate) fn eat(&mut self, characters: &str) -> bool {
        let rest = self.text.as_bytes().get(self.position..);
        let found = rest.is_some_and(|rest| rest.starts_with(characters.as_bytes()));
        if found {
            self.position += characters.len();
        }
        found
    }

    /// A string without escapes, if one is next.
    pub(crate) fn eat_string(&mut self) -> Option<&'a str> {
        if !self.eat("\"") {
            return None;
        }
        let end = plain_end(self.text.as_bytes(), self.position);
        if self.text.as_bytes().get(end) != Some(&b'"') {
            return None;
        }
        let text = self.text.get(self.position..end)?;
        self.position = end + 1;
        Some(text)
    }

    /// A string without escapes, interned, if one is next.
    pub(crate) fn eat_text(&mut self) -> Option<Str> {
        let text = self.eat_string()?;
        Some(self.share(text))
    }

    fn share(&mut self, text: &str) -> Str {
        match &mut self.repeats {
            Some(repeats) => repeats.string(text),
            None => Str::from(text),
        }
    }

    /// Interns a set that was read.
    pub(crate) fn share_set<A: Atomic>(&mut self, set: Set<A>) -> Set<A> {
        match &mut self.repeats {
            Some(repeats) => repeats.set(set),
            None => set,
        }
    }

    fn enter(&mut self, bracket: u8, what: &'static str) -> Result<()> {
        if self.peek() != Some(bracket) {
            return self.expected(what);
        }
        if self.depth >= MAX_DEPTH {
            return self.error(DecodeErrorKind::TooDeep);
        }
        self.position += 1;
        self.depth += 1;
        self.fresh = true;
        Ok(())
    }

    /// Enters an array.
    ///
    /// # Errors
    /// When the next value is not an array, or the nesting is too deep.
    pub fn array(&mut self) -> Result<()> {
        self.enter(b'[', "an array")
    }

    /// Enters an object.
    ///
    /// # Errors
    /// When the next value is not an object, or the nesting is too deep.
    pub fn object(&mut self) -> Result<()> {
        self.enter(b'{', "an object")
    }

    /// Moves to the next element of the innermost container; at its end, leaves it and returns false.
    fn step(&mut self, bracket: u8, what: &'static str) -> Result<bool> {
        let next = self.peek();
        if next == Some(bracket) {
            self.position += 1;
            self.depth = self.depth.saturating_sub(1);
            self.fresh = false;
            return Ok(false);
        }
        if !self.fresh {
            if next != Some(b',') {
                return self.expected(what);
            }
            self.position += 1;
        }
        self.fresh = false;
        Ok(true)
    }

    /// Whether the innermost array has another element; at its end, leaves it and returns false.
    ///
    /// # Errors
    /// When an element is followed by neither a comma nor the array's end. Before the first element, only
    /// the array's end is checked for.
    pub fn element(&mut self) -> Result<bool> {
        self.step(b']', "`,` or `]`")
    }

    /// Moves to the next element of the innermost array, which must exist. `what` names the element
    /// in the error.
    ///
    /// # Errors
    /// When the array ends; otherwise as [`element`](Self::element).
    pub fn demand(&mut self, what: &'static str) -> Result<()> {
        if self.element()? {
            Ok(())
        } else {
            self.error(DecodeErrorKind::Expected(what))
        }
    }

    /// Leaves the innermost array, which must have no further element.
    ///
    /// # Errors
    /// When anything but the array's end follows.
    pub fn finish(&mut self) -> Result<()> {
        if self.element()? {
            return self.error(DecodeErrorKind::Expected("the end of the array"));
        }
        Ok(())
    }

    /// The next key of the innermost object; at its end, leaves it and returns `None`.
    ///
    /// # Errors
    /// When a member is followed by neither a comma nor the object's end, or when the next key or its
    /// colon is missing or malformed, or the key has a NUL.
    pub fn key(&mut self) -> Result<Option<Cow<'a, str>>> {
        let start = self.checkpoint();
        let separator = if self.fresh { "" } else { "," };
        if self.eat(separator)
            && let Some(key) = self.eat_string()
            && self.eat(":")
        {
            self.fresh = false;
            return Ok(Some(Cow::Borrowed(key)));
        }
        self.restore(start);
        if !self.step(b'}', "`,` or `}`")? {
            return Ok(None);
        }
        let key = self.string()?;
        if self.peek() != Some(b':') {
            return self.expected("`:`");
        }
        self.position += 1;
        Ok(Some(key))
    }

    /// Moves to the next member of the innermost object if its key is `key`, given with its quotes and
    /// the colon.
    #[inline]
    pub(crate) fn eat_key(&mut self, key: &str) -> bool {
        let at = self.position + usize::from(!self.fresh);
        let bytes = self.text.as_bytes();
        let found = (self.fresh || bytes.get(self.position) == Some(&b','))
            && bytes
                .get(at..)
                .is_some_and(|rest| rest.starts_with(key.as_bytes()));
        if found {
            self.position = at + key.len();
            self.fresh = false;
        }
        found
    }

    /// A string, borrowed from the message unless it has escapes.
    ///
    /// # Errors
    /// When the next value is not a string, is malformed, or has a NUL (RFC 7047 section 3.1).
    pub fn string(&mut self) -> Result<Cow<'a, str>> {
        if self.peek() != Some(b'"') {
            return self.expected("a string");
        }
        self.position += 1;
        let start = self.position;
        let end = plain_end(self.text.as_bytes(), start);
        match self.text.as_bytes().get(end) {
            Some(b'"') => {
                self.position = end + 1;
                match self.text.get(start..end) {
                    Some(text) => Ok(Cow::Borrowed(text)),
                    None => self.error(DecodeErrorKind::Expected("a string")),
                }
            }
            Some(b'\\') => self.escaped_string(start).map(Cow::Owned),
            other => {
                self.position = end;
                self.error(string_end(other.copied()))
            }
        }
    }

    fn escaped_string(&mut self, start: usize) -> Result<String> {
        let bytes = self.text.as_bytes();
        let mut out = String::new();
        let mut run = start;
        loop {
            let end = plain_end(bytes, run);
            out.push_str(self.text.get(run..end).unwrap_or_default());
            self.position = end;
            match bytes.get(end) {
                Some(b'"') => {
                    self.position = end + 1;
                    return Ok(out);
                }
                Some(b'\\') => {
                    self.position = end + 1;
                    out.push(self.escape()?);
                    run = self.position;
                }
                other => return self.error(string_end(other.copied())),
            }
        }
    }

    /// Reads the character of an escape sequence, after the backslash.
    fn escape(&mut self) -> Result<char> {
        let Some(&letter) = self.text.as_bytes().get(self.position) else {
            return self.error(DecodeErrorKind::UnexpectedEnd);
        };
        self.position += 1;
        Ok(match letter {
            b'"' | b'\\' | b'/' => char::from(letter),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let first = self.hex4()?;
                let code = if (0xd800..0xdc00).contains(&first) {
                    if self.text.as_bytes().get(self.position..self.position + 2) != Some(b"\\u") {
                        return self.error(DecodeErrorKind::BadEscape);
                    }
                    self.position += 2;
                    let second = self.hex4()?;
                    if !(0xdc00..0xe000).contains(&second) {
                        return self.error(DecodeErrorKind::BadEscape);
                    }
                    0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00)
                } else {
                    first
                };
                match char::from_u32(code) {
                    Some('\0') => return self.error(DecodeErrorKind::Nul),
                    Some(character) => character,
                    None => return self.error(DecodeErrorKind::BadEscape),
                }
            }
            _ => {
                self.position -= 1;
                return self.error(DecodeErrorKind::BadEscape);
            }
        })
    }

    fn hex4(&mut self) -> Result<u32> {
        let digits = self.text.get(self.position..self.position + 4);
        let Some(digits) = digits.filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit())) else {
            return self.error(DecodeErrorKind::BadEscape);
        };
        self.position += 4;
        u32::from_str_radix(digits, 16)
            .map_err(|_| DecodeError::new(self.offset(), DecodeErrorKind::BadEscape))
    }

    /// A string. The reader of a replica interns it: it may share the allocation of an equal string.
    ///
    /// # Errors
    /// As [`string`](Self::string).
    pub fn text(&mut self) -> Result<Str> {
        let string = self.string()?;
        Ok(self.share(&string))
    }

    /// A number.
    ///
    /// # Errors
    /// When the next value is not a number, is malformed, or is out of range.
    pub fn number(&mut self) -> Result<Number> {
        if !matches!(self.peek(), Some(b'-' | b'0'..=b'9')) {
            return self.expected("a number");
        }
        let (number, end) = number::lex(self.text, self.position)
            .map_err(|e| DecodeError::new(self.base + e.offset, e.kind))?;
        self.position = end;
        Ok(number)
    }

    fn literal(&mut self, word: &'static str) -> bool {
        let end = self.position + word.len();
        let found = self.text.as_bytes().get(self.position..end) == Some(word.as_bytes());
        if found {
            self.position = end;
        }
        found
    }

    /// `true` or `false`.
    ///
    /// # Errors
    /// When the next value is not a boolean.
    pub fn boolean(&mut self) -> Result<bool> {
        self.peek();
        if self.literal("true") {
            Ok(true)
        } else if self.literal("false") {
            Ok(false)
        } else {
            self.expected("a boolean")
        }
    }

    /// Consumes a `null` if one is next.
    pub fn null(&mut self) -> bool {
        self.peek();
        self.literal("null")
    }

    /// Skips one value, checks that it is well formed, and returns its text.
    ///
    /// # Errors
    /// When the next value is missing or malformed, is nested too deep, or has a NUL or a number out of
    /// range.
    pub fn skip(&mut self) -> Result<Raw<'a>> {
        self.peek();
        let start = self.position;
        // One bit for each level: whether it is an object. The stack has a fixed size, since the depth
        // is bounded.
        let mut objects = [0_u64; MAX_DEPTH as usize / 64 + 1];
        let floor = self.depth;
        loop {
            match self.peek() {
                Some(b'"') => self.skip_string()?,
                Some(b'-' | b'0'..=b'9') => drop(self.number()?),
                Some(b'[') => {
                    self.array()?;
                    set_bit(&mut objects, self.depth, false);
                }
                Some(b'{') => {
                    self.object()?;
                    set_bit(&mut objects, self.depth, true);
                }
                Some(b't') if self.literal("true") => {}
                Some(b'f') if self.literal("false") => {}
                Some(b'n') if self.literal("null") => {}
                _ => return self.expected("a value"),
            }
            // Leave every container that ends here; then the next value follows.
            loop {
                if self.depth == floor {
                    let text = self.text.get(start..self.position).unwrap_or_default();
                    return Ok(Raw {
                        text,
                        offset: self.base + start,
                    });
                }
                let more = if bit(&objects, self.depth) {
                    self.step(b'}', "`,` or `}`")? && self.skip_key()?
                } else {
                    self.element()?
                };
                if more {
                    break;
                }
            }
        }
    }

    fn skip_string(&mut self) -> Result<()> {
        let start = self.position + 1;
        let end = plain_end(self.text.as_bytes(), start);
        match self.text.as_bytes().get(end) {
            Some(b'"') => self.position = end + 1,
            _ => drop(self.string()?),
        }
        Ok(())
    }

    fn skip_key(&mut self) -> Result<bool> {
        if self.peek() != Some(b'"') {
            return self.expected("a string");
        }
        self.skip_string()?;
        if self.peek() != Some(b':') {
            return self.expected("`:`");
        }
        self.position += 1;
        Ok(true)
    }

    /// Checks that only blanks follow.
    ///
    /// # Errors
    /// When anything else follows.
    pub fn end(&mut self) -> Result<()> {
        if self.peek().is_some() {
            self.error(DecodeErrorKind::TrailingText)
        } else {
            Ok(())
        }
    }
}

const fn string_end(byte: Option<u8>) -> DecodeErrorKind {
    match byte {
        None => DecodeErrorKind::UnexpectedEnd,
        Some(0) => DecodeErrorKind::Nul,
        Some(_) => DecodeErrorKind::ControlCharacter,
    }
}

const fn set_bit(bits: &mut [u64], index: u32, value: bool) {
    let (word, mask) = (index as usize / 64, 1_u64 << (index % 64));
    if value {
        bits[word] |= mask;
    } else {
        bits[word] &= !mask;
    }
}

const fn bit(bits: &[u64], index: u32) -> bool {
    bits[index as usize / 64] & (1_u64 << (index % 64)) != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_keep_their_characters() {
        for (text, value) in [
            (r#""""#, ""),
            (
                r#""plain text, longer than one word""#,
                "plain text, longer than one word",
            ),
            (r#""a\"b\\c\/d""#, "a\"b\\c/d"),
            (r#""\b\f\n\r\t""#, "\u{8}\u{c}\n\r\t"),
            (r#""\u00e9\u20ac\ud83d\ude00""#, "é€😀"),
            (r#""é€😀 and \" more""#, "é€😀 and \" more"),
        ] {
            let mut reader = Reader::new(text);
            assert_eq!(reader.string().expect(text), value);
            reader.end().expect(text);
        }
    }

    #[test]
    fn bad_strings_are_refused() {
        for (text, kind) in [
            (r#""open"#, DecodeErrorKind::UnexpectedEnd),
            (r#""open\"#, DecodeErrorKind::UnexpectedEnd),
            (r#""\x""#, DecodeErrorKind::BadEscape),
            (r#""\u12g4""#, DecodeErrorKind::BadEscape),
            (r#""\ud800""#, DecodeErrorKind::BadEscape),
            (r#""\ud800\u0041""#, DecodeErrorKind::BadEscape),
            (r#""\udc00""#, DecodeErrorKind::BadEscape),
            (r#""\u0000""#, DecodeErrorKind::Nul),
            ("\"a\nb\"", DecodeErrorKind::ControlCharacter),
            ("\"a\0b\"", DecodeErrorKind::Nul),
        ] {
            assert_eq!(
                Reader::new(text).string().expect_err(text).kind,
                kind,
                "{text}"
            );
            assert_eq!(
                Reader::new(text).skip().expect_err(text).kind,
                kind,
                "skip {text}"
            );
        }
    }

    #[test]
    fn errors_name_the_byte() {
        for (text, offset) in [
            (r#""ab\x""#, 4),
            (r#""ab\u12g4""#, 5),
            (r#""ab\ud800x""#, 9),
        ] {
            assert_eq!(
                Reader::new(text).string().expect_err(text).offset,
                offset,
                "{text}"
            );
        }
        // Offsets within a part of a message refer to the whole message.
        let part = Raw {
            text: " 1e999",
            offset: 100,
        };
        let error = Reader::of(part).number().expect_err("too large");
        let expected = DecodeError::new(101, DecodeErrorKind::NumberOutOfRange);
        assert_eq!(error, expected);
    }

    #[test]
    fn skip_accepts_just_what_is_well_formed() {
        for text in [
            "[]",
            "{}",
            "[1,[2,{\"a\":[]}],null]",
            " {\"a\" : true , \"b\":[ ] } ",
        ] {
            let mut reader = Reader::new(text);
            assert_eq!(reader.skip().expect(text).text, text.trim());
            reader.end().expect(text);
        }
        for text in [
            "[",
            "]",
            "[1,]",
            "[,1]",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1,}",
            "{1:2}",
            "[1 2]",
            "[}",
            "{]",
            "tru",
            "nul",
            "",
            "[1}",
        ] {
            assert!(Reader::new(text).skip().is_err(), "{text}");
        }
    }

    #[test]
    fn nesting_is_bounded() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(Reader::new(&nested(1000)).skip().is_ok());
        let error = Reader::new(&nested(1001)).skip().expect_err("too deep");
        assert_eq!(error, DecodeError::new(1000, DecodeErrorKind::TooDeep));
        assert!(Reader::new(&"[".repeat(1_000_000)).skip().is_err());
    }

    #[test]
    fn bad_keys_are_refused() {
        for (text, kind) in [
            (r#"{"a\:1}"#, DecodeErrorKind::BadEscape),
            ("{\"a\n:1}", DecodeErrorKind::ControlCharacter),
            (r#"{"a"#, DecodeErrorKind::UnexpectedEnd),
            (r#"{"a" 1}"#, DecodeErrorKind::Expected("`:`")),
            ("{1:1}", DecodeErrorKind::Expected("a string")),
        ] {
            let mut reader = Reader::new(text);
            reader.object().expect(text);
            assert_eq!(reader.key().expect_err(text).kind, kind, "{text}");
        }
    }
}
