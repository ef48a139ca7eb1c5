//! Reals with a total order.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};

/// The `real` atom: a double that can be compared and hashed, so that columns can be.
///
/// The order is [`f64::total_cmp`], except that both zeroes are the same value.
///
/// ```
/// use ovsdb::Real;
/// assert!(Real::from(0.5) < Real::from(2.0));
/// assert_eq!(Real::from(-0.0), Real::from(0.0));
/// ```
#[derive(Clone, Copy, Default)]
pub struct Real(f64);

impl Real {
    /// The number.
    #[must_use]
    pub const fn get(self) -> f64 {
        self.0
    }

    /// The same number as an integer, if it is one that fits 64 signed bits.
    #[expect(clippy::cast_possible_truncation, reason = "checked")]
    pub(crate) fn as_integer(self) -> Option<i64> {
        let whole = self.0.fract() == 0.0 && (-LIMIT..LIMIT).contains(&self.0);
        whole.then_some(self.0 as i64)
    }

    /// Compares with an integer exactly, without rounding either number.
    #[expect(clippy::cast_possible_truncation, reason = "checked")]
    pub(crate) fn cmp_integer(self, integer: i64) -> Ordering {
        if !(-LIMIT..LIMIT).contains(&self.0) {
            return self.0.total_cmp(&0.0);
        }
        let floor = self.0.floor();
        let fraction = floor.total_cmp(&self.0).reverse();
        (floor as i64).cmp(&integer).then(fraction)
    }
}

/// 2^63, the smallest positive whole number that does not fit 64 signed bits.
const LIMIT: f64 = 9_223_372_036_854_775_808.0;

impl From<f64> for Real {
    fn from(real: f64) -> Self {
        // Adding zero turns -0 into 0, as the server does.
        Self(real + 0.0)
    }
}

impl From<Real> for f64 {
    fn from(real: Real) -> Self {
        real.0
    }
}

impl Ord for Real {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.total_cmp(&other.0)
    }
}

impl PartialOrd for Real {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Real {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Real {}

impl Hash for Real {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.to_bits().hash(state);
    }
}

impl fmt::Debug for Real {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Display for Real {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}
