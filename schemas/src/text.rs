//! JSON as text: where values begin and end.
//!
//! Schemas are small and seldom read: when a macro expands, and when a server sends one. So this scanner builds no
//! tree, and programs that use this crate compile this file instead of a JSON library.

use std::iter;

/// The byte at which a text stops being JSON, and what was expected there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Malformed {
    pub(crate) offset: usize,
    pub(crate) expected: &'static str,
}

type Result<T> = std::result::Result<T, Malformed>;

/// The text's only value, without the whitespace around it.
pub(crate) fn document(text: &str) -> Result<&str> {
    let mut scanner = Scanner { text, at: 0 };
    let value = scanner.value()?;
    match scanner.peek() {
        None => Ok(value),
        Some(_) => scanner.expected("the end of the text"),
    }
}

/// The elements of an array; `None` if the value is not an array.
pub(crate) fn elements(value: &str) -> Option<Vec<&str>> {
    let mut scanner = Scanner { text: value, at: 0 };
    scanner.eat(b'[').then_some(())?;
    let mut elements = Vec::new();
    while scanner.step(b']', elements.is_empty()).ok()? {
        elements.push(scanner.value().ok()?);
    }
    Some(elements)
}

/// The keys, as JSON text, and the values of an object; `None` if the value is not an object.
pub(crate) fn members(value: &str) -> Option<Vec<(&str, &str)>> {
    let mut scanner = Scanner { text: value, at: 0 };
    scanner.eat(b'{').then_some(())?;
    let mut members = Vec::new();
    while scanner.step(b'}', members.is_empty()).ok()? {
        let key = scanner.key().ok()?;
        members.push((key, scanner.value().ok()?));
    }
    Some(members)
}

/// Decodes a string; `None` if the value is not a string, or has an escape that encodes no character.
pub(crate) fn string(value: &str) -> Option<String> {
    let mut rest = value.strip_prefix('"')?.strip_suffix('"')?;
    let mut characters = String::with_capacity(rest.len());
    while let Some((plain, escape)) = rest.split_once('\\') {
        characters.push_str(plain);
        let mut following = escape.chars();
        characters.push(match following.next()? {
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'u' => {
                let first = hex(&mut following)?;
                // A character beyond 16 bits takes two escapes: a surrogate pair.
                let second = (0xd800..0xdc00).contains(&first).then(|| {
                    let is_escape = following.next() == Some('\\') && following.next() == Some('u');
                    is_escape.then(|| hex(&mut following)).flatten()
                });
                let units = iter::once(Some(first)).chain(second);
                let units: Vec<u16> = units.collect::<Option<_>>()?;
                String::from_utf16(&units).ok()?.chars().next()?
            }
            plain => plain,
        });
        rest = following.as_str();
    }
    characters.push_str(rest);
    Some(characters)
}

/// Four hexadecimal digits.
fn hex(characters: &mut std::str::Chars<'_>) -> Option<u16> {
    let digits = characters.as_str().get(..4)?;
    *characters = characters.as_str()[4..].chars();
    let is_hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hex
        .then(|| u16::from_str_radix(digits, 16).ok())
        .flatten()
}

/// A position in a text.
struct Scanner<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Scanner<'a> {
    fn expected<T>(&self, expected: &'static str) -> Result<T> {
        Err(Malformed {
            offset: self.at,
            expected,
        })
    }

    /// Moves to the next byte that is not whitespace, and returns it.
    fn peek(&mut self) -> Option<u8> {
        let rest = &self.text.as_bytes()[self.at..];
        let blanks = rest
            .iter()
            .take_while(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r'));
        self.at += blanks.count();
        self.text.as_bytes().get(self.at).copied()
    }

    /// Skips this byte, if it is the next one that is not whitespace.
    fn eat(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    /// Moves to the next element of an array or object and returns true, or past its end and returns false.
    fn step(&mut self, end: u8, first: bool) -> Result<bool> {
        if self.eat(end) {
            return Ok(false);
        }
        if first || self.eat(b',') {
            return Ok(true);
        }
        self.expected(if end == b']' {
            "`,` or `]`"
        } else {
            "`,` or `}`"
        })
    }

    /// Reads a key and the colon after it; returns the key.
    fn key(&mut self) -> Result<&'a str> {
        if self.peek() != Some(b'"') {
            return self.expected("a string");
        }
        let start = self.at;
        self.scalar()?;
        let key = &self.text[start..self.at];
        if self.eat(b':') {
            Ok(key)
        } else {
            self.expected("`:`")
        }
    }

    /// Reads a value. It does not recurse, so deep nesting cannot overflow the stack.
    fn value(&mut self) -> Result<&'a str> {
        self.peek();
        let start = self.at;
        // The closing brackets that are still to come.
        let mut ends: Vec<u8> = Vec::new();
        loop {
            let mut first = true;
            match self.peek() {
                Some(b'[') => ends.push(b']'),
                Some(b'{') => ends.push(b'}'),
                _ => {
                    self.scalar()?;
                    first = false;
                }
            }
            self.at += usize::from(first);
            loop {
                let Some(end) = ends.last().copied() else {
                    return Ok(&self.text[start..self.at]);
                };
                if self.step(end, first)? {
                    if end == b'}' {
                        self.key()?;
                    }
                    break;
                }
                ends.pop();
                first = false;
            }
        }
    }

    /// Skips a string, a number or a word.
    fn scalar(&mut self) -> Result<()> {
        let rest = &self.text[self.at..];
        match rest.as_bytes().first() {
            Some(b'"') => {
                self.at += 1;
                self.characters()
            }
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ => match ["true", "false", "null"]
                .iter()
                .find(|word| rest.starts_with(**word))
            {
                Some(word) => {
                    self.at += word.len();
                    Ok(())
                }
                None => self.expected("a value"),
            },
        }
    }

    /// Skips the characters of a string and the quote after them.
    fn characters(&mut self) -> Result<()> {
        loop {
            match self.text.as_bytes().get(self.at) {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b'\\') => {
                    self.at += 1;
                    match self.text.as_bytes().get(self.at) {
                        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => {}
                        Some(b'u') if hex(&mut self.text[self.at + 1..].chars()).is_some() => {}
                        _ => return self.expected("an escape sequence"),
                    }
                    self.at += 1;
                }
                Some(0x20..) => self.at += 1,
                _ => return self.expected("a character of a string, or a quote"),
            }
        }
    }

    /// Skips a number (RFC 8259 section 6).
    fn number(&mut self) -> Result<()> {
        self.at += usize::from(self.text.as_bytes()[self.at] == b'-');
        let start = self.at;
        self.digits()?;
        if self.at > start + 1 && self.text.as_bytes()[start] == b'0' {
            self.at = start + 1;
            return self.expected("a number without a leading zero");
        }
        if self.text.as_bytes().get(self.at) == Some(&b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.text.as_bytes().get(self.at) {
            self.at += 1;
            let sign = matches!(self.text.as_bytes().get(self.at), Some(b'+' | b'-'));
            self.at += usize::from(sign);
            self.digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<()> {
        let rest = self.text.as_bytes()[self.at..].iter();
        let count = rest.take_while(|byte| byte.is_ascii_digit()).count();
        self.at += count;
        if count == 0 {
            return self.expected("a digit");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_end_where_they_end() {
        for text in [
            "null",
            "true",
            "false",
            "0",
            "-0.5e+10",
            "12E3",
            r#""a\"b\u00e9""#,
            "[]",
            "{}",
            "[[],{}]",
            r#"{"a":1,"b":[1,"}",{"c":null}]}"#,
            "[ 1 ,\n2 ]",
            r#"{ "a" : [ ] }"#,
        ] {
            assert_eq!(document(&format!(" \n{text}\t")), Ok(text));
        }
        for (text, offset) in [
            ("", 0),
            ("nul", 0),
            ("01", 1),
            ("1.", 2),
            ("-", 1),
            ("1e+", 3),
            ("[1,]", 3),
            ("[1 2]", 3),
            ("[1}", 2),
            (r#"{"a"}"#, 4),
            (r#"{"a":}"#, 5),
            ("{1:2}", 1),
            (r#"{"a":1,}"#, 7),
            ("1 1", 2),
            (r#""a"#, 2),
            (r#""\x""#, 2),
            (r#""\u12g4""#, 2),
            ("\"\n\"", 1),
            ("]", 0),
            ("é", 0),
            (r#""\ué123""#, 2),
        ] {
            assert_eq!(
                document(text).map_err(|malformed| malformed.offset),
                Err(offset),
                "{text}"
            );
        }
        let deep = format!("{}{}", "[".repeat(1_000_000), "]".repeat(1_000_000));
        assert_eq!(document(&deep), Ok(deep.as_str()));
    }

    #[test]
    fn containers_are_split_into_their_members() {
        assert_eq!(
            elements(r#"[1, "]", [2]]"#),
            Some(vec!["1", r#""]""#, "[2]"])
        );
        assert_eq!(elements("[ ]"), Some(vec![]));
        assert_eq!(elements("{}"), None);
        assert_eq!(
            members(r#"{"a":{"b":1} , "c":2}"#),
            Some(vec![(r#""a""#, r#"{"b":1}"#), (r#""c""#, "2")])
        );
        assert_eq!(members("[]"), None);
    }

    #[test]
    fn escapes_stand_for_characters() {
        let text = r#""\" \\ \/ \b\f\n\r\t \u00e9\u20AC \ud83d\ude00 é""#;
        let characters = "\" \\ / \u{8}\u{c}\n\r\t é€ 😀 é";
        assert_eq!(string(text).as_deref(), Some(characters));
        for text in [
            r#""\ud83d""#,
            r#""\ud83dx""#,
            r#""\ud83d\n""#,
            r#""\ud83d\u0041""#,
            r#""\ude00""#,
            "1",
            "[]",
        ] {
            assert_eq!(string(text), None, "{text}");
        }
    }
}
