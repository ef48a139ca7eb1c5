//! Numbers by OVSDB's rule: an integer wherever the text denotes one, else a real.

use std::fmt;

/// A JSON number as ovsdb-server's parser (`lib/json.c`) classifies it.
///
/// ```
/// use ovsdb_schema::Number;
///
/// assert_eq!(Number::parse("1e3"), Ok(Number::Integer(1000)));
/// assert_eq!(Number::parse("9223372036854775807.0"), Ok(Number::Integer(i64::MAX)));
/// assert_eq!(Number::parse("9223372036854775808"), Ok(Number::Real(9.223372036854775808e18)));
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Number {
    /// A whole number within 64 signed bits, however it was written: `1000`, `1e3`, `1000.0`.
    Integer(i64),
    /// Every other number, finite. Its double may be whole: `1.99999999999999999999` rounds to 2.0,
    /// and is a real nevertheless.
    Real(f64),
}

/// Why a text is not a number, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct NumberError {
    /// The byte of the text at which it stops being a number or, for a number out of range, where the
    /// number starts.
    pub offset: usize,
    /// What is wrong there.
    pub reason: NumberErrorReason,
}

/// Why a text is not a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum NumberErrorReason {
    /// Not the JSON syntax of a number.
    Malformed,
    /// Beyond the range of a double, or with an exponent that ovsdb-server refuses even if the number is 0.
    OutOfRange,
}

/// The largest double as ovsdb-server writes it. Its 15 digits are rounded up, so the text denotes
/// a number that no double holds and that the server itself would not read.
const WRITTEN_MAX: &str = "1.79769313486232e+308";

impl Number {
    /// Reads a text that is a number and nothing else.
    ///
    /// # Errors
    /// When the text is anything else, or the number is [out of range](NumberErrorReason::OutOfRange).
    pub fn parse(text: &str) -> Result<Self, NumberError> {
        match Self::lex(text, 0)? {
            (number, end) if end == text.len() => Ok(number),
            (_, end) => Err(NumberError::new(end, NumberErrorReason::Malformed)),
        }
    }

    /// Reads the number that starts at byte `start` of `text`, and returns it with the byte after
    /// it.
    ///
    /// The rule is ovsdb-server's, except for two kinds of numbers that the server writes and its own
    /// parser refuses: subnormal reals, and the largest double with its 15 digits. Those are read.
    /// Numbers whose first 20 digits are 2^64 to 2^64 + 3 are read as reals, although the server's
    /// parser wraps these digits around to 0 to 3.
    ///
    /// # Errors
    /// When no number starts there, or it is [out of range](NumberErrorReason::OutOfRange).
    pub fn lex(text: &str, start: usize) -> Result<(Self, usize), NumberError> {
        let bytes = text.as_bytes();
        let malformed = |offset| NumberError::new(offset, NumberErrorReason::Malformed);
        let out_of_range = NumberError::new(start, NumberErrorReason::OutOfRange);
        let digit = |at: usize| {
            let byte = bytes.get(at).filter(|byte| byte.is_ascii_digit());
            byte.map(|byte| byte - b'0')
        };

        let mut at = start;
        let negative = bytes.get(at) == Some(&b'-');
        at += usize::from(negative);

        let mut decimal = Decimal::default();
        match digit(at) {
            Some(0) => at += 1,
            Some(_) => {
                while let Some(value) = digit(at) {
                    if !decimal.push(value) {
                        decimal.power += 1;
                    }
                    at += 1;
                }
            }
            None => return Err(malformed(at)),
        }
        if digit(at).is_some() {
            return Err(malformed(at));
        }
        if bytes.get(at) == Some(&b'.') {
            at += 1;
            let first = at;
            while let Some(value) = digit(at) {
                if decimal.push(value) {
                    decimal.power -= 1;
                }
                at += 1;
            }
            if at == first {
                return Err(malformed(at));
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
                // The server applies this limit even where the number is zero.
                if exponent >= i64::from(i32::MAX / 10) {
                    return Err(out_of_range);
                }
                exponent = exponent * 10 + i64::from(value);
                at += 1;
            }
            if at == first {
                return Err(malformed(at));
            }
            decimal.power += if down { -exponent } else { exponent };
            if i32::try_from(decimal.power).is_err() {
                return Err(out_of_range);
            }
        }

        if let Some(integer) = decimal.integer(negative) {
            return Ok((Self::Integer(integer), at));
        }
        let written = text.get(start..at).ok_or(malformed(start))?;
        let real: f64 = written.parse().map_err(|_| malformed(start))?;
        if real.is_finite() {
            // Adding 0 turns -0, to which tiny negative numbers are rounded, into 0.
            return Ok((Self::Real(real + 0.0), at));
        }
        match written.strip_prefix('-').unwrap_or(written) {
            WRITTEN_MAX if negative => Ok((Self::Real(f64::MIN), at)),
            WRITTEN_MAX => Ok((Self::Real(f64::MAX), at)),
            _ => Err(out_of_range),
        }
    }
}

/// A decimal number: a significand with as many digits as fit, and a power of ten.
struct Decimal {
    significand: u64,
    power: i64,
    /// Whether every digit that was left out is zero.
    exact: bool,
}

impl Default for Decimal {
    fn default() -> Self {
        Self {
            significand: 0,
            power: 0,
            exact: true,
        }
    }
}

impl Decimal {
    /// Appends a digit; false if it does not fit and is left out.
    fn push(&mut self, digit: u8) -> bool {
        let next = self.significand.checked_mul(10);
        match next.and_then(|next| next.checked_add(u64::from(digit))) {
            Some(next) if self.exact => {
                self.significand = next;
                true
            }
            _ => {
                self.exact &= digit == 0;
                false
            }
        }
    }

    /// The number as an integer, if it is whole and fits into 64 signed bits.
    fn integer(mut self, negative: bool) -> Option<i64> {
        if self.significand == 0 {
            return Some(0);
        }
        if !self.exact {
            return None;
        }
        while self.power < 0 && self.significand.is_multiple_of(10) {
            self.significand /= 10;
            self.power += 1;
        }
        while self.power > 0 {
            self.significand = self.significand.checked_mul(10)?;
            self.power -= 1;
        }
        if self.power != 0 {
            return None;
        }
        let magnitude = i128::from(self.significand);
        i64::try_from(if negative { -magnitude } else { magnitude }).ok()
    }
}

impl NumberError {
    const fn new(offset: usize, reason: NumberErrorReason) -> Self {
        Self { offset, reason }
    }
}

impl fmt::Display for NumberError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.reason {
            NumberErrorReason::Malformed => "malformed number",
            NumberErrorReason::OutOfRange => "number out of range",
        };
        write!(f, "{what} at byte {}", self.offset)
    }
}

impl std::error::Error for NumberError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_are_integers_however_written() {
        for (text, value) in [
            ("0", 0),
            ("-0", 0),
            ("0.0", 0),
            ("-0e7", 0),
            ("0e2147483639", 0),
            ("1e3", 1000),
            ("1.0", 1),
            ("2e5", 200_000),
            ("10.50e1", 105),
            ("1000e-3", 1),
            ("1e18", 1_000_000_000_000_000_000),
            ("9223372036854775807", i64::MAX),
            ("9223372036854775807.0", i64::MAX),
            ("9223372036854775807.00000000000000000000000", i64::MAX),
            ("9223372036854775.807e3", i64::MAX),
            ("92233720368547758070e-1", i64::MAX),
            ("-9223372036854775808", i64::MIN),
            ("-9223372036854775808.0", i64::MIN),
            ("9007199254740993.0", 9_007_199_254_740_993),
            ("100000000000000000000e-2", 1_000_000_000_000_000_000),
            ("0.00000000000000000000000000000001e32", 1),
        ] {
            assert_eq!(Number::parse(text), Ok(Number::Integer(value)), "{text}");
        }
    }

    #[test]
    fn the_rest_are_reals() {
        for (text, value) in [
            ("0.5", 0.5),
            ("-1.25e-2", -0.0125),
            ("9223372036854775808", 9_223_372_036_854_775_808.0),
            ("-9223372036854775809", -9_223_372_036_854_775_808.0),
            ("18446744073709551616", 18_446_744_073_709_551_616.0),
            ("1e300", 1e300),
            ("1.00000000000000000000000000000000001", 1.0),
            (
                "1.99999999999999999999999999999999999999999999999999999999995",
                2.0,
            ),
            (
                "123456789012345678901234567890",
                123_456_789_012_345_678_901_234_567_890.0,
            ),
            ("1e-400", 0.0),
            ("5e-324", 5e-324),
            ("1.79769313486232e+308", f64::MAX),
            ("-1.79769313486232e+308", f64::MIN),
        ] {
            assert_eq!(Number::parse(text), Ok(Number::Real(value)), "{text}");
        }
        let Ok(Number::Real(zero)) = Number::parse("-1e-400") else {
            panic!("not a real")
        };
        assert!(zero.is_sign_positive());
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
            "1 ",
            "1e400",
            "-1e400",
            "1.7976931348623159e308",
            "1e2147483640",
            "0e2147483640",
            "0.00000000000e-2147483639",
            "1e99999999999",
        ] {
            assert!(Number::parse(text).is_err(), "{text}");
        }
    }
}
