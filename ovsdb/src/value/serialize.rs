//! serde's traits for values (feature `serde`).

use std::fmt;
use std::marker::PhantomData;

use ovsdb_schema::AtomicType;
use serde_core::de::{DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor};
use serde_core::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Atom, ColumnKind, Datum, Map, Real, Ref, Set, Str, Uuid};

impl Serialize for Str {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self)
    }
}

impl<'de> Deserialize<'de> for Str {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;

        impl Visitor<'_> for Text {
            type Value = Str;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_str<E>(self, text: &str) -> Result<Str, E> {
                Ok(Str::from(text))
            }
        }

        deserializer.deserialize_str(Text)
    }
}

impl Serialize for Real {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.get())
    }
}

impl<'de> Deserialize<'de> for Real {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        f64::deserialize(deserializer).map(Self::from)
    }
}

impl<T: ?Sized> Serialize for Ref<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.uuid().serialize(serializer)
    }
}

impl<'de, T: ?Sized> Deserialize<'de> for Ref<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Uuid::deserialize(deserializer).map(Self::new)
    }
}

impl<T: Serialize> Serialize for Set<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self)
    }
}

impl<'de, T: Deserialize<'de> + Ord + Clone> Deserialize<'de> for Set<T> {
    /// Accepts elements in any order, and repeated ones.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Vec::<T>::deserialize(deserializer).map(Self::from)
    }
}

impl<K: Serialize, V: Serialize> Serialize for Map<K, V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self)
    }
}

impl<'de, K, V> Deserialize<'de> for Map<K, V>
where
    K: Deserialize<'de> + Ord + Clone,
    V: Deserialize<'de> + Clone,
{
    /// Accepts pairs in any order; of pairs with the same key, the last one counts.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Pairs(PhantomData, PhantomData))
    }
}

impl Serialize for Atom {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Integer(integer) => serializer.serialize_i64(*integer),
            Self::Real(real) => real.serialize(serializer),
            Self::Boolean(boolean) => serializer.serialize_bool(*boolean),
            Self::Uuid(uuid) => uuid.serialize(serializer),
            Self::String(text) | Self::NamedUuid(text) => text.serialize(serializer),
        }
    }
}

impl Serialize for Datum {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match (self.as_scalar(), self) {
            (Some(atom), _) => atom.serialize(serializer),
            (None, Self::Set(set)) => set.serialize(serializer),
            (None, Self::Map(map)) => map.serialize(serializer),
        }
    }
}

/// Serializes a column's value in the shape of its kind.
pub(crate) struct SerializedColumn {
    pub(crate) kind: ColumnKind,
    pub(crate) value: Datum,
}

impl Serialize for SerializedColumn {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.value {
            Datum::Set(set) if self.kind.scalar && set.len() == 1 => set[0].serialize(serializer),
            Datum::Set(set) if self.kind.single => set.first().serialize(serializer),
            Datum::Set(set) => set.serialize(serializer),
            Datum::Map(map) => map.serialize(serializer),
        }
    }
}

/// Deserializes a column's value in the shape of its kind.
pub(crate) struct ColumnSeed(pub(crate) ColumnKind);

impl<'de> DeserializeSeed<'de> for ColumnSeed {
    type Value = Datum;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Datum, D::Error> {
        let key = AtomSeed(self.0.key);
        match self.0.value {
            Some(value) => {
                let pairs = Pairs(key, AtomSeed(value));
                deserializer.deserialize_map(pairs).map(Datum::Map)
            }
            None if self.0.scalar => key.deserialize(deserializer).map(Datum::from),
            None if self.0.single => deserializer.deserialize_option(AtMostOne(key)),
            None => deserializer.deserialize_seq(Elements(key)),
        }
    }
}

/// Deserializes an atom of this type.
#[derive(Clone, Copy)]
struct AtomSeed(AtomicType);

impl<'de> DeserializeSeed<'de> for AtomSeed {
    type Value = Atom;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Atom, D::Error> {
        Ok(match self.0 {
            AtomicType::Integer => Atom::Integer(i64::deserialize(deserializer)?),
            AtomicType::Real => {
                let real = f64::deserialize(deserializer)?;
                if !real.is_finite() {
                    return Err(D::Error::custom("a real must be finite"));
                }
                Atom::Real(real.into())
            }
            AtomicType::Boolean => Atom::Boolean(bool::deserialize(deserializer)?),
            AtomicType::String => Atom::String(Str::deserialize(deserializer)?),
            AtomicType::Uuid => Atom::Uuid(Uuid::deserialize(deserializer)?),
        })
    }
}

struct AtMostOne(AtomSeed);

impl<'de> Visitor<'de> for AtMostOne {
    type Value = Datum;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an optional {}", self.0.0)
    }

    fn visit_none<E>(self) -> Result<Datum, E> {
        Ok(Datum::empty())
    }

    fn visit_unit<E>(self) -> Result<Datum, E> {
        Ok(Datum::empty())
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Datum, D::Error> {
        self.0.deserialize(deserializer).map(Datum::from)
    }
}

struct Elements(AtomSeed);

impl<'de> Visitor<'de> for Elements {
    type Value = Datum;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a sequence of {}", self.0.0)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Datum, A::Error> {
        let mut atoms = Vec::new();
        while let Some(atom) = elements.next_element_seed(self.0)? {
            atoms.push(atom);
        }
        Ok(Datum::Set(atoms.into()))
    }
}

/// Deserializes a map by seeds for its keys and its values.
struct Pairs<K, V>(K, V);

impl<'de, K, V> Visitor<'de> for Pairs<K, V>
where
    K: DeserializeSeed<'de> + Copy,
    V: DeserializeSeed<'de> + Copy,
    K::Value: Ord + Clone,
    V::Value: Clone,
{
    type Value = Map<K::Value, V::Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut pairs = Vec::new();
        while let Some(pair) = map.next_entry_seed(self.0, self.1)? {
            pairs.push(pair);
        }
        Ok(pairs.into())
    }
}

#[cfg(test)]
mod tests {
    use serde_core::de::IntoDeserializer as _;
    use serde_core::de::value::Error;

    use super::*;
    use crate::value::Value;

    /// A value that is written by serde's serializer for [`fmt::Formatter`], which refuses options,
    /// sequences and maps.
    struct Bare(SerializedColumn);

    impl fmt::Display for Bare {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            self.0.serialize(f)
        }
    }

    /// JSON does not tell a value from an option of it, but binary formats do.
    #[test]
    fn a_scalar_is_serialized_as_it_is_and_an_optional_value_as_an_option() {
        let write = |kind, datum: Datum| {
            let mut text = String::new();
            let value = Bare(SerializedColumn { kind, value: datum });
            let written = fmt::write(&mut text, format_args!("{value}"));
            written.is_ok().then_some(text)
        };
        assert_eq!(write(i64::KIND, 5.into()), Some("5".to_owned()));
        assert_eq!(write(Str::KIND, "a".into()), Some("a".to_owned()));
        assert_eq!(write(Option::<i64>::KIND, 5.into()), None);
        assert_eq!(write(Set::<i64>::KIND, 5.into()), None);
    }

    #[test]
    fn deserializing_another_shape_says_what_is_expected() {
        for (kind, expected) in [
            (Option::<Str>::KIND, "an optional string"),
            (Set::<Uuid>::KIND, "a sequence of uuid"),
            (Map::<Str, i64>::KIND, "a map"),
            (Str::KIND, "a string"),
        ] {
            let read = ColumnSeed(kind).deserialize(5_i64.into_deserializer());
            let error: Error = read.expect_err("a number");
            let message = format!("invalid type: integer `5`, expected {expected}");
            assert_eq!(error.to_string(), message);
        }
    }
}
