//! The string atom, cheap to clone.

use std::borrow::{Borrow, Cow};
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;

use ecow::EcoString;

/// An immutable string that is cheap to clone: the string atom of OVSDB.
///
/// It dereferences to a [`str`]. A short one, of at most 15 bytes, is stored inline; longer ones that
/// repeat in the sets and maps of a replica (map keys, addresses) usually share an allocation.
///
/// ```
/// use ovsdb::Str;
///
/// let name = Str::from("l3.network_work001");
/// assert!(name.starts_with("l3."));
/// assert_eq!(name.clone(), "l3.network_work001");
/// assert!(String::from("l3.network_work001") == name);
/// ```
#[derive(Clone, Eq, PartialOrd, Ord, Default)]
pub struct Str(EcoString);

impl PartialEq for Str {
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        // Two versions of a row share the text, so comparing the pointers is often enough.
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

    /// Whether the text is stored inline, so that there is no allocation to share.
    pub(super) const fn is_short(text: &str) -> bool {
        text.len() <= EcoString::INLINE_LIMIT
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

impl PartialEq<Str> for String {
    fn eq(&self, other: &Str) -> bool {
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
