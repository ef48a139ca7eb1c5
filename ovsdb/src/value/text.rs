//! Strings that the replica shares.

use std::borrow::{Borrow, Cow};
use std::fmt;
use std::hash::{BuildHasher, Hash, Hasher};
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
#[derive(Clone, Eq, PartialOrd, Ord, Default)]
pub struct Str(EcoString);

impl PartialEq for Str {
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        // Two versions of a row share the text, which then need not be read.
        std::ptr::eq(self.as_str(), other.as_str()) || self.0 == other.0
    }
}

impl Hash for Str {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl Str {
    /// The text.
    #[inline]
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
    #[inline]
    fn deref(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for Str {
    #[inline]
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for Str {
    #[inline]
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
    #[inline]
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl PartialEq<&str> for Str {
    #[inline]
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
    #[inline]
    fn eq(&self, other: &Str) -> bool {
        self == other.as_str()
    }
}

impl PartialEq<Str> for &str {
    #[inline]
    fn eq(&self, other: &Str) -> bool {
        *self == other.as_str()
    }
}

/// How many strings [`Strings`] keeps.
const SLOTS: usize = 4096;
/// How many it remembers that came last.
const RECENT: usize = 8;
/// Longer strings seldom repeat, and hashing them costs.
const LONGEST: usize = 128;

/// The strings decoded lately, to share the allocation of one that comes again.
///
/// Most long strings come once, or twice in one row; keys of maps come in every row. So the last
/// few are kept, and of others only a mark that they came; one that comes again is kept in a table
/// of fixed size. Bounded memory, no sweeping, and what comes once does not drive out the keys.
pub(crate) struct Strings {
    /// Marks of strings that came.
    seen: Vec<u32>,
    /// Those that came again, with their marks.
    slots: Vec<(u32, Str)>,
    /// Those that came last.
    recent: [(u32, Str); RECENT],
    next: usize,
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
            seen: vec![0; SLOTS],
            slots: vec![(0, Str::default()); SLOTS],
            recent: Default::default(),
            next: 0,
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
        let (place, mark) = (hash as usize % SLOTS, (hash >> 32) as u32);
        let known = |(other, string): &&(u32, Str)| *other == mark && *string == *text;
        let slot = &mut self.slots[place];
        if let Some((_, string)) = Some(&*slot).filter(known) {
            return string.clone();
        }
        let again = std::mem::replace(&mut self.seen[place], mark) == mark;
        let string = match self.recent.iter().find(known) {
            Some((_, string)) => string.clone(),
            None => {
                let string = Str::from(text);
                self.recent[self.next] = (mark, string.clone());
                self.next = (self.next + 1) % RECENT;
                string
            }
        };
        if again {
            *slot = (mark, string.clone());
        }
        string
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
        // Many that come once do not drive out one that came again.
        for number in 0..3 * SLOTS {
            let text = format!("a string that comes once, number {number}");
            assert_eq!(strings.share(&text), text);
        }
        let third = strings.share("k8s.ovn.org/network");
        assert_eq!(first.as_ptr(), third.as_ptr());
        assert_eq!(strings.share("short"), "short");
    }
}
