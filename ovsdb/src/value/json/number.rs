//! Numbers: an integer wherever the text denotes one, else a real.

use super::reader::{DecodeError, DecodeErrorKind};

/// A JSON number as OVSDB sees it (ovsdb-server's `json.c`).
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Number {
    /// A whole number within 64 signed bits, however it was written: `1000`, `1e3`, `1000.0`.
    Integer(i64),
    /// Everything else, finite.
    Real(f64),
}

/// Reads the number at `position` and returns it with the position behind it.
pub(super) fn lex(text: &str, position: usize) -> Result<(Number, usize), DecodeError> {
    let bytes = text.as_bytes();
    let error = |offset| DecodeError::new(offset, DecodeErrorKind::BadNumber);
    let digit = |at: usize| {
        bytes
            .get(at)
            .filter(|byte| byte.is_ascii_digit())
            .map(|b| b - b'0')
    };

    let mut at = position;
    let negative = bytes.get(at) == Some(&b'-');
    at += usize::from(negative);

    // The significand as an integer, as long as it fits, and the power of ten that belongs to it.
    let mut significand = 0_u64;
    let mut power = 0_i64;
    let mut exact = true;
    let mut push = |value: u8| match significand
        .checked_mul(10)
        .and_then(|s| s.checked_add(u64::from(value)))
    {
        Some(next) if exact => {
            significand = next;
            true
        }
        _ => {
            exact &= value == 0 && significand == 0;
            false
        }
    };

    match digit(at) {
        Some(0) => at += 1,
        Some(_) => {
            while let Some(value) = digit(at) {
                if !push(value) {
                    power += 1;
                }
                at += 1;
            }
        }
        None => return Err(error(at)),
    }
    if digit(at).is_some() {
        return Err(error(at));
    }
    if bytes.get(at) == Some(&b'.') {
        at += 1;
        let first = at;
        while let Some(value) = digit(at) {
            if push(value) {
                power -= 1;
            }
            at += 1;
        }
        if at == first {
            return Err(error(at));
        }
    }
    if matches!(bytes.get(at), Some(b'e' | b'E')) {
        at += 1;
        let down = bytes.get(at) == Some(&b'-');
        if down || bytes.get(at) == Some(&b'+') {
            at += 1;
        }
        let first = at;
        let mut exponent = 0_i64;
        while let Some(value) = digit(at) {
            exponent = exponent.saturating_mul(10).saturating_add(i64::from(value));
            if exponent > 1_000_000_000 {
                return Err(DecodeError::new(
                    position,
                    DecodeErrorKind::NumberOutOfRange,
                ));
            }
            at += 1;
        }
        if at == first {
            return Err(error(at));
        }
        power += if down { -exponent } else { exponent };
    }

    if exact && let Some(integer) = whole(significand, power, negative) {
        return Ok((Number::Integer(integer), at));
    }
    let written = text.get(position..at).ok_or_else(|| error(position))?;
    match written.parse::<f64>() {
        Ok(real) if real.is_finite() => Ok((Number::Real(real), at)),
        _ => Err(DecodeError::new(
            position,
            DecodeErrorKind::NumberOutOfRange,
        )),
    }
}

/// `significand` x 10^`power` where that is a whole number of 64 signed bits.
fn whole(mut significand: u64, mut power: i64, negative: bool) -> Option<i64> {
    if significand == 0 {
        return Some(0);
    }
    while power < 0 && significand.is_multiple_of(10) {
        significand /= 10;
        power += 1;
    }
    while power > 0 {
        significand = significand.checked_mul(10)?;
        power -= 1;
    }
    if power != 0 {
        return None;
    }
    let magnitude = i128::from(significand);
    i64::try_from(if negative { -magnitude } else { magnitude }).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(text: &str) -> Number {
        let (number, end) = lex(text, 0).expect(text);
        assert_eq!(end, text.len(), "{text}");
        number
    }

    #[test]
    fn whole_numbers_are_integers_however_written() {
        for (text, value) in [
            ("0", 0),
            ("-0", 0),
            ("0.0", 0),
            ("-0e7", 0),
            ("1e3", 1000),
            ("1.0", 1),
            ("2e5", 200_000),
            ("10.50e1", 105),
            ("1000e-3", 1),
            ("9223372036854775807", i64::MAX),
            ("-9223372036854775808", i64::MIN),
            ("9007199254740993.0", 9_007_199_254_740_993),
        ] {
            assert_eq!(number(text), Number::Integer(value), "{text}");
        }
    }

    #[test]
    fn the_rest_are_reals() {
        for (text, value) in [
            ("0.5", 0.5),
            ("-1.25e-2", -0.0125),
            ("9223372036854775808", 9_223_372_036_854_775_808.0),
            ("1e300", 1e300),
            ("1.00000000000000000000000000000000001", 1.0),
            (
                "123456789012345678901234567890",
                123_456_789_012_345_678_901_234_567_890.0,
            ),
        ] {
            assert_eq!(number(text), Number::Real(value), "{text}");
        }
    }

    #[test]
    fn malformed_and_out_of_range_numbers_are_refused() {
        for text in [
            "",
            "-",
            "01",
            "1.",
            ".5",
            "1e",
            "1e+",
            "+1",
            "1e400",
            "-1e400",
            "1e99999999999",
        ] {
            assert!(lex(text, 0).is_err(), "{text}");
        }
    }
}
