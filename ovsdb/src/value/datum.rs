//! A column's value of any type.

use std::fmt;

use super::collection::{elements, enter_elements, pairs};
use super::json::{DecodeError, DecodeErrorKind, Reader};
use super::{Atom, Map, Real, Set, Str, Uuid};

/// The value of a column of any type (RFC 7047 section 5.1, `<value>`).
///
/// A scalar is a set of one: on the wire both are a bare atom.
///
/// ```
/// use ovsdb::value::json::Reader;
/// use ovsdb::value::{Atom, Datum};
///
/// let datum = Datum::read(&mut Reader::new(r#"["set",[3,1]]"#))?;
/// assert_eq!(datum, Datum::Set([Atom::Integer(1), Atom::Integer(3)].into()));
/// assert_eq!(datum.as_scalar(), None);
/// assert_eq!(Datum::from(Atom::Boolean(true)).to_string(), "true");
/// # Ok::<(), ovsdb::value::json::DecodeError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Datum {
    /// A scalar, an optional value or a set.
    Set(Set<Atom>),
    /// A map.
    Map(Map<Atom, Atom>),
}

impl Datum {
    /// The empty set.
    #[must_use]
    pub fn empty() -> Self {
        Self::Set(Set::new())
    }

    /// A set of these elements.
    ///
    /// ```
    /// use ovsdb::value::Datum;
    ///
    /// assert_eq!(Datum::set(["b", "a"]).to_string(), r#"["set",["a","b"]]"#);
    /// assert_eq!(Datum::from("a"), Datum::set(["a"]));
    /// ```
    #[must_use]
    pub fn set<A: Into<Atom>>(elements: impl IntoIterator<Item = A>) -> Self {
        Self::Set(elements.into_iter().map(Into::into).collect())
    }

    /// A map of these pairs.
    ///
    /// ```
    /// use ovsdb::value::Datum;
    ///
    /// assert_eq!(Datum::map([("a", 1)]).to_string(), r#"["map",[["a",1]]]"#);
    /// ```
    #[must_use]
    pub fn map<K: Into<Atom>, V: Into<Atom>>(pairs: impl IntoIterator<Item = (K, V)>) -> Self {
        let pairs = pairs.into_iter();
        Self::Map(pairs.map(|(k, v)| (k.into(), v.into())).collect())
    }

    /// The number of elements or pairs.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Set(set) => set.len(),
            Self::Map(map) => map.len(),
        }
    }

    /// Whether there are no elements and no pairs.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The only atom of a scalar.
    #[must_use]
    pub fn as_scalar(&self) -> Option<&Atom> {
        match self {
            Self::Set(set) if set.len() == 1 => set.first(),
            _ => None,
        }
    }

    /// The text, if it is a scalar string.
    ///
    /// ```
    /// use ovsdb::value::Datum;
    ///
    /// assert_eq!(Datum::from("a").as_str(), Some("a"));
    /// assert_eq!(Datum::set(["a", "b"]).as_str(), None);
    /// assert_eq!(Datum::from(1).as_str(), None);
    /// ```
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match self.as_scalar()? {
            Atom::String(text) => Some(text),
            _ => None,
        }
    }

    /// The number, if it is a scalar integer.
    #[must_use]
    pub fn as_integer(&self) -> Option<i64> {
        match self.as_scalar()? {
            Atom::Integer(integer) => Some(*integer),
            _ => None,
        }
    }

    /// The value, if it is a scalar boolean.
    #[must_use]
    pub fn as_boolean(&self) -> Option<bool> {
        match self.as_scalar()? {
            Atom::Boolean(boolean) => Some(*boolean),
            _ => None,
        }
    }

    /// The uuid, if it is a scalar uuid.
    #[must_use]
    pub fn as_uuid(&self) -> Option<Uuid> {
        match self.as_scalar()? {
            Atom::Uuid(uuid) => Some(*uuid),
            _ => None,
        }
    }

    /// Reads the wire form.
    ///
    /// # Errors
    /// When the next value is neither an atom, nor a set, nor a map; when it is malformed or nested too
    /// deep, or has a NUL or a number out of range.
    pub fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        if reader.peek() != Some(b'[') {
            return Ok(Self::from(Atom::read(reader)?));
        }
        let start = reader.checkpoint();
        reader.array()?;
        reader.demand("a value")?;
        match &*reader.string()? {
            "set" => {
                enter_elements(reader)?;
                Ok(Self::Set(elements(reader, Atom::read)?.into()))
            }
            "map" => Ok(Self::Map(pairs(reader, Atom::read, Atom::read)?.into())),
            "uuid" | "named-uuid" => {
                reader.restore(start);
                Ok(Self::from(Atom::read(reader)?))
            }
            _ => reader.error(DecodeErrorKind::Expected("an atom, a set or a map")),
        }
    }

    /// Appends the wire form.
    pub fn write(&self, out: &mut String) {
        match self {
            Self::Set(set) if set.len() == 1 => set[0].write(out),
            Self::Set(set) => {
                out.push_str("[\"set\",[");
                for (at, atom) in set.iter().enumerate() {
                    if at > 0 {
                        out.push(',');
                    }
                    atom.write(out);
                }
                out.push_str("]]");
            }
            Self::Map(map) => {
                out.push_str("[\"map\",[");
                for (at, (key, value)) in map.iter().enumerate() {
                    out.push_str(if at > 0 { ",[" } else { "[" });
                    key.write(out);
                    out.push(',');
                    value.write(out);
                    out.push(']');
                }
                out.push_str("]]");
            }
        }
    }

    /// The same value with every atom changed by `change`.
    #[must_use]
    pub(crate) fn map_atoms(self, mut change: impl FnMut(Atom) -> Atom) -> Self {
        match self {
            Self::Set(set) => Self::Set(set.into_iter().map(change).collect()),
            Self::Map(map) => Self::Map(
                map.into_iter()
                    .map(|(k, v)| (change(k), change(v)))
                    .collect(),
            ),
        }
    }

    /// All atoms: the elements, or the keys and values.
    pub(crate) fn atoms(&self) -> impl Iterator<Item = &Atom> {
        let (set, map) = match self {
            Self::Set(set) => (Some(set), None),
            Self::Map(map) => (None, Some(map)),
        };
        let pairs = map
            .into_iter()
            .flat_map(Map::iter)
            .flat_map(|(k, v)| [k, v]);
        set.into_iter().flat_map(|set| set.iter()).chain(pairs)
    }
}

impl From<Atom> for Datum {
    fn from(atom: Atom) -> Self {
        Self::Set(Set::from(vec![atom]))
    }
}

impl From<Set<Atom>> for Datum {
    fn from(set: Set<Atom>) -> Self {
        Self::Set(set)
    }
}

impl From<Map<Atom, Atom>> for Datum {
    fn from(map: Map<Atom, Atom>) -> Self {
        Self::Map(map)
    }
}

/// Conversions from scalars.
macro_rules! scalars {
    ($($scalar:ty),*) => { $(
        impl From<$scalar> for Datum {
            fn from(scalar: $scalar) -> Self {
                Self::from(Atom::from(scalar))
            }
        }
    )* };
}

scalars!(i64, f64, Real, bool, &str, String, Str, Uuid);

impl fmt::Display for Datum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = String::new();
        self.write(&mut out);
        f.write_str(&out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Datum, DecodeError> {
        let mut reader = Reader::new(text);
        let datum = Datum::read(&mut reader)?;
        reader.end()?;
        Ok(datum)
    }

    #[test]
    fn the_wire_form_round_trips() {
        for text in [
            "1",
            "-5",
            "0.5",
            "true",
            "\"a\"",
            "[\"set\",[]]",
            "[\"set\",[1,2]]",
            "[\"map\",[]]",
            "[\"map\",[[\"a\",1],[\"b\",2]]]",
            "[\"uuid\",\"f4bb6a91-019b-4612-b6aa-88fc663dd515\"]",
            "[\"named-uuid\",\"row1\"]",
            "[\"set\",[[\"named-uuid\",\"a\"],[\"named-uuid\",\"b\"]]]",
        ] {
            assert_eq!(read(text).expect(text).to_string(), text);
        }
        assert_eq!(read("[\"set\",[7]]").expect("a set").to_string(), "7");
        assert_eq!(
            read("[\"set\",[2,1,2]]").expect("a set").to_string(),
            "[\"set\",[1,2]]"
        );
    }

    #[test]
    fn malformed_values_are_refused() {
        for text in [
            "null",
            "{}",
            "[]",
            "[\"set\"]",
            "[\"set\",1]",
            "[\"set\",[],1]",
            "[\"map\",[[1]]]",
            "[\"map\",[[1,2,3]]]",
            "[\"uuid\",\"x\"]",
            "[\"uuid\"]",
            "[1,2]",
            "[\"other\",1]",
            "[\"uuid\",\"f4bb6a91019b4612b6aa88fc663dd515\"]",
            "[\"set\",[[\"set\",[]]]]",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
