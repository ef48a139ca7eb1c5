//! A document of a file: an object, or a list of objects, without the fields that are never read.
//!
//! Most of what a cluster reports about a pod is not used here. It is skipped while the file is parsed,
//! so that memory is used only for what is kept. Only a `spec` in front of its `kind` is read whole, and
//! reduced afterwards.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor,
};
use serde_json::{Map, Value};

use super::kind::{NAD, POLICY};

/// A document.
#[derive(Debug)]
pub(super) enum Document {
    /// An object, or another value.
    Object(Value),
    /// The objects in a list.
    List(Vec<Self>),
}

/// What is kept of a value.
#[derive(Clone, Copy)]
enum Keep {
    /// All of it.
    All,
    /// These members.
    Members(&'static [(&'static str, Self)]),
    /// The annotations that OVN-Kubernetes or Multus defines.
    Annotations,
}

const METADATA: Keep = Keep::Members(&[
    ("name", Keep::All),
    ("namespace", Keep::All),
    ("uid", Keep::All),
    ("labels", Keep::All),
    ("annotations", Keep::Annotations),
]);

/// The part of an object's `spec` that is kept; `None` for a kind whose `spec` is not read.
fn spec(kind: &str) -> Option<Keep> {
    match kind {
        "Pod" => Some(Keep::Members(&[
            ("nodeName", Keep::All),
            (
                "nodeSelector",
                Keep::Members(&[("kubernetes.io/hostname", Keep::All)]),
            ),
            ("hostNetwork", Keep::All),
        ])),
        NAD => Some(Keep::Members(&[("config", Keep::All)])),
        POLICY => Some(Keep::All),
        _ => None,
    }
}

impl Keep {
    /// What is kept of a member.
    fn member(self, name: &str) -> Option<Self> {
        match self {
            Self::All => Some(Self::All),
            Self::Members(members) => {
                let known = members.iter().find(|(known, _)| *known == name);
                known.map(|(_, keep)| *keep)
            }
            Self::Annotations => {
                (name.contains("k8s.ovn.org/") || name.contains(".cncf.io/")).then_some(Self::All)
            }
        }
    }

    /// Removes what is not kept.
    fn apply(self, value: Value) -> Value {
        let Value::Object(members) = value else {
            return value;
        };
        let kept = members.into_iter().filter_map(|(name, value)| {
            let keep = self.member(&name)?;
            Some((name, keep.apply(value)))
        });
        Value::Object(kept.collect())
    }
}

impl<'de> Deserialize<'de> for Document {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Parser(DocumentParser))
    }
}

/// What to do with a value. Most parsers here differ only in how they handle mappings and lists.
trait Parse<'de>: Sized {
    type Output;

    fn scalar(self, value: Value) -> Self::Output;

    fn list<A: SeqAccess<'de>>(self, access: A) -> Result<Self::Output, A::Error>;

    fn mapping<A: MapAccess<'de>>(self, access: A) -> Result<Self::Output, A::Error>;
}

struct Parser<P>(P);

impl<'de, P: Parse<'de>> DeserializeSeed<'de> for Parser<P> {
    type Value = P::Output;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<P::Output, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, P: Parse<'de>> Visitor<'de> for Parser<P> {
    type Value = P::Output;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<P::Output, E> {
        Ok(self.0.scalar(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<P::Output, E> {
        Ok(self.0.scalar(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<P::Output, E> {
        Ok(self.0.scalar(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<P::Output, E> {
        Ok(self.0.scalar(value.into()))
    }

    fn visit_str<E>(self, value: &str) -> Result<P::Output, E> {
        Ok(self.0.scalar(value.into()))
    }

    fn visit_string<E>(self, value: String) -> Result<P::Output, E> {
        Ok(self.0.scalar(value.into()))
    }

    fn visit_none<E>(self) -> Result<P::Output, E> {
        Ok(self.0.scalar(Value::Null))
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<P::Output, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_unit<E>(self) -> Result<P::Output, E> {
        Ok(self.0.scalar(Value::Null))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, access: A) -> Result<P::Output, A::Error> {
        self.0.list(access)
    }

    fn visit_map<A: MapAccess<'de>>(self, access: A) -> Result<P::Output, A::Error> {
        self.0.mapping(access)
    }
}

/// A value of which a part is kept.
impl<'de> Parse<'de> for Keep {
    type Output = Value;

    fn scalar(self, value: Value) -> Value {
        value
    }

    fn list<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(value) = access.next_element_seed(PhantomData)? {
            list.push(value);
        }
        Ok(Value::Array(list))
    }

    fn mapping<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut members = Map::new();
        while let Some(name) = access.next_key::<String>()? {
            match self.member(&name) {
                Some(Self::All) => {
                    members.insert(name, access.next_value()?);
                }
                Some(keep) => {
                    members.insert(name, access.next_value_seed(Parser(keep))?);
                }
                None => {
                    access.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(Value::Object(members))
    }
}

/// The value of `items`.
struct ItemsParser;

impl<'de> Parse<'de> for ItemsParser {
    type Output = Option<Vec<Document>>;

    fn scalar(self, value: Value) -> Self::Output {
        value.is_null().then(Vec::new)
    }

    fn list<A: SeqAccess<'de>>(self, mut access: A) -> Result<Self::Output, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element()? {
            items.push(item);
        }
        Ok(Some(items))
    }

    fn mapping<A: MapAccess<'de>>(self, mut access: A) -> Result<Self::Output, A::Error> {
        while access.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(None)
    }
}

struct DocumentParser;

impl<'de> Parse<'de> for DocumentParser {
    type Output = Document;

    fn scalar(self, value: Value) -> Document {
        Document::Object(value)
    }

    fn list<A: SeqAccess<'de>>(self, mut access: A) -> Result<Document, A::Error> {
        while access.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Document::Object(Value::Array(Vec::new())))
    }

    fn mapping<A: MapAccess<'de>>(self, mut access: A) -> Result<Document, A::Error> {
        let mut members = Map::new();
        let mut items = None;
        while let Some(name) = access.next_key::<String>()? {
            let kind = members.get("kind").and_then(Value::as_str);
            let keep = match (name.as_str(), kind) {
                ("apiVersion" | "kind", _) => Keep::All,
                ("metadata", _) => METADATA,
                ("status", _) => Keep::Members(&[("phase", Keep::All)]),
                // The kind may follow, so it is not known yet what of the `spec` is kept.
                ("spec", None) => Keep::All,
                ("spec", Some(kind)) => spec(kind).unwrap_or(Keep::Members(&[])),
                ("items", _) => {
                    items = access.next_value_seed(Parser(ItemsParser))?;
                    continue;
                }
                _ => {
                    access.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            members.insert(name, access.next_value_seed(Parser(keep))?);
        }
        let kind = members.get("kind").and_then(Value::as_str);
        let kind = kind.unwrap_or_default();
        if let Some(items) = items
            && kind.ends_with("List")
        {
            return Ok(Document::List(items));
        }
        let keep = spec(kind).unwrap_or(Keep::Members(&[]));
        if let Some(spec) = members.get_mut("spec") {
            *spec = keep.apply(spec.take());
        }
        Ok(Document::Object(Value::Object(members)))
    }
}
