//! Strings that the replica shares.

use std::borrow::{Borrow, Cow};
use std::fmt;
use std::hash::{BuildHasher, Hash};
use std::ops::Deref;

use ecow::EcoString;

use super::json::{DecodeError, DecodeErrorKind};

/// An immutable string that is cheap to clone: the string atom of OVSDB.
///
/// It reads as a [`str`]. A short one, of 15 bytes at the most, is stored in place; longer ones that
/// repeat in a replica (map keys, addresses) share one allocation.
///
/// ```
/// use ovsdb::Str;
///
/// let name = Str::from("l3.network_work001");
/// assert!(name.starts_with("l3."));
/// assert_eq!(name.clone(), "l3.network_work001");
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Str(EcoString);

impl Str {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the text is stored in place, so that there is nothing to share.
    const fn is_short(text: &str) -> bool {
        text.len() <= EcoString::INLINE_LIMIT
    }

    /// Refuses a NUL, which a server would too (RFC 7047 section 3.1).
    pub(crate) fn check(&self) -> Result<(), DecodeError> {
        match self.0.find('\0') {
            Some(offset) => Err(DecodeError::new(offset, DecodeErrorKind::Nul)),
            None => Ok(()),
        }
    }
}

impl Deref for Str {
    type Target = str;
    fn deref(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for Str {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for Str {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Str {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl fmt::Display for Str {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl From<&str> for Str {
    fn from(text: &str) -> Self {
        Self(EcoString::from(text))
    }
}

impl From<String> for Str {
    fn from(text: String) -> Self {
        // Not the string's own allocation, which may be larger than the text.
        Self::from(text.as_str())
    }
}

impl From<&String> for Str {
    fn from(text: &String) -> Self {
        Self::from(text.as_str())
    }
}

impl From<Cow<'_, str>> for Str {
    fn from(text: Cow<'_, str>) -> Self {
        Self::from(&*text)
    }
}

impl From<&Self> for Str {
    fn from(text: &Self) -> Self {
        text.clone()
    }
}

impl From<Str> for String {
    fn from(text: Str) -> Self {
        Self::from(text.as_str())
    }
}

impl PartialEq<str> for Str {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl PartialEq<&str> for Str {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}

impl PartialEq<String> for Str {
    fn eq(&self, other: &String) -> bool {
        self.as_str() == other.as_str()
    }
}

impl PartialEq<Str> for str {
    fn eq(&self, other: &Str) -> bool {
        self == other.as_str()
    }
}

impl PartialEq<Str> for &str {
    fn eq(&self, other: &Str) -> bool {
        *self == other.as_str()
    }
}

/// How many strings [`Strings`] remembers.
const SLOTS: usize = 4096;
/// Longer strings seldom repeat, and hashing them costs.
const LONGEST: usize = 128;

/// The strings decoded lately, to share the allocation of one that comes again.
///
/// A table of fixed size in which a new string replaces the one at its slot: bounded memory and
/// no sweeping, and keys of maps, which repeat in every row, stay.
pub(crate) struct Strings {
    slots: Vec<Str>,
    hasher: foldhash::fast::RandomState,
}

impl fmt::Debug for Strings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Strings").finish_non_exhaustive()
    }
}

impl Default for Strings {
    fn default() -> Self {
        Self {
            slots: vec![Str::default(); SLOTS],
            hasher: foldhash::fast::RandomState::default(),
        }
    }
}

impl Strings {
    pub(crate) fn share(&mut self, text: &str) -> Str {
        if Str::is_short(text) || text.len() > LONGEST {
            return Str::from(text);
        }
        let hash = self.hasher.hash_one(text);
        let slot = &mut self.slots[hash as usize % SLOTS];
        if *slot != *text {
            *slot = Str::from(text);
        }
        slot.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_that_repeat_share_an_allocation() {
        let mut strings = Strings::default();
        let first = strings.share("k8s.ovn.org/network");
        let second = strings.share("k8s.ovn.org/network");
        assert_eq!(first.as_ptr(), second.as_ptr());
        for number in 0..3 * SLOTS {
            let text = number.to_string();
            assert_eq!(strings.share(&text), text);
        }
    }
}
