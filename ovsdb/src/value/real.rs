//! Reals with a total order.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};

/// The `real` atom: a double that can be compared and hashed, so that rows can be.
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
}

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
