//! Writes strings and numbers in the form that the server reads.

use std::fmt::Write as _;

use super::scan::plain_end;
use crate::value::{Real, Uuid};

/// Appends `text` as a JSON string.
///
/// ```
/// let mut out = String::new();
/// ovsdb::value::json::write_string(&mut out, "a\nb");
/// assert_eq!(out, r#""a\nb""#);
/// ```
pub fn write_string(out: &mut String, text: &str) {
    out.reserve(text.len() + 2);
    out.push('"');
    let mut run = 0;
    loop {
        let at = plain_end(text.as_bytes(), run);
        out.push_str(&text[run..at]);
        let Some(byte) = text.as_bytes().get(at) else {
            break;
        };
        match byte {
            b'"' => out.push_str("\\\""),
            b'\\' => out.push_str("\\\\"),
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            // Writing to a String cannot fail.
            control => drop(write!(out, "\\u{control:04x}")),
        }
        run = at + 1;
    }
    out.push('"');
}

/// Appends an integer.
pub(crate) fn write_integer(out: &mut String, integer: i64) {
    // Enough for the digits of every integer.
    let mut digits = [b'0'; 20];
    let mut start = digits.len();
    let mut rest = integer.unsigned_abs();
    loop {
        start -= 1;
        digits[start] += (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if integer < 0 {
        out.push('-');
    }
    out.extend(digits[start..].iter().copied().map(char::from));
}

/// Appends a uuid in quotes.
pub(crate) fn write_uuid(out: &mut String, uuid: Uuid) {
    out.push('"');
    out.push_str(uuid.hyphenated().encode_lower(&mut Uuid::encode_buffer()));
    out.push('"');
}

/// Appends a real. A number that JSON cannot express (NaN, infinity) is written as zero.
///
/// ```
/// let mut out = String::new();
/// ovsdb::value::json::write_real(&mut out, 2.0);
/// assert_eq!(out, "2.0");
/// ```
pub fn write_real(out: &mut String, real: f64) {
    let real = if real.is_finite() { real } else { 0.0 };
    let _ = match Real::from(real).as_integer() {
        // Servers read a whole number as an integer, so all its digits must be written.
        Some(integer) => write!(out, "{integer}.0"),
        // The debug form is the shortest that is read as the same double, with an exponent where the
        // plain form would be long.
        None => write!(out, "{real:?}"),
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::json::{Number, Reader};

    #[test]
    #[expect(clippy::cast_precision_loss, reason = "each is a double")]
    fn written_values_are_read_back() {
        for text in ["", "plain", "q\"b\\n\n\r\t\u{1}\u{1f}", "é€😀", "/"] {
            let mut out = String::new();
            write_string(&mut out, text);
            assert_eq!(Reader::new(&out).string().expect("reads back"), text);
        }
        for real in [0.1, -2.5e-300, 1e300, 0.333_333_333_333_333_3] {
            let mut out = String::new();
            write_real(&mut out, real);
            assert_eq!(Reader::new(&out).number(), Ok(Number::Real(real)));
        }
        // The shortest form of a large real denotes another integer.
        for integer in [0, -2, 1 << 53, 9_223_372_036_854_774_784, i64::MIN] {
            let mut out = String::new();
            write_real(&mut out, integer as f64);
            assert_eq!(
                Reader::new(&out).number(),
                Ok(Number::Integer(integer)),
                "{out}"
            );
        }
    }
}
