//! The trait of values with a wire form, and its implementation for plain values.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use crate::value::json::{
    DecodeError, DecodeErrorKind, Reader, write_integer, write_string, write_uuid,
};
use crate::value::{Datum, Map, Str, Uuid};

/// A value with a wire form.
///
/// ```
/// use ovsdb::protocol::{Clause, Wire};
///
/// let clause = Clause::from_json(r#"["name","==","br-int"]"#)?;
/// assert_eq!(clause.to_json(), r#"["name","==","br-int"]"#);
/// # Ok::<(), ovsdb::value::json::DecodeError>(())
/// ```
pub trait Wire: Sized {
    /// Reads the wire form.
    ///
    /// # Errors
    /// When the next value is malformed, or is not of this type.
    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError>;

    /// Appends the wire form.
    fn write(&self, out: &mut String);

    /// Reads a text that contains only this value.
    ///
    /// # Errors
    /// When the text is malformed, or is not of this type.
    fn from_json(text: &str) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(text);
        let value = Self::read(&mut reader)?;
        reader.end()?;
        Ok(value)
    }

    /// The wire form alone.
    fn to_json(&self) -> String {
        let mut out = String::new();
        self.write(&mut out);
        out
    }
}

/// Any JSON value, kept as its text: an id, the parameters of an `echo`, a schema.
///
/// ```
/// use ovsdb::protocol::{Json, Wire};
///
/// let id = Json::from_json(r#"["monitor", 7]"#)?;
/// assert_eq!((id.as_str(), id.as_number()), (r#"["monitor", 7]"#, None));
/// assert_eq!(Json::from(7).as_number(), Some(7));
/// # Ok::<(), ovsdb::value::json::DecodeError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Json(Box<str>);

impl Json {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The text as an unsigned number: the form of the ids that this library chooses.
    #[must_use]
    pub fn as_number(&self) -> Option<u64> {
        self.0.parse().ok()
    }
}

impl From<u64> for Json {
    fn from(number: u64) -> Self {
        Self(number.to_string().into())
    }
}

impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Wire for Json {
    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.skip().map(|raw| Self(raw.text.into()))
    }

    fn write(&self, out: &mut String) {
        out.push_str(&self.0);
    }
}

impl Wire for Str {
    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.text()
    }

    fn write(&self, out: &mut String) {
        write_string(out, self);
    }
}

impl Wire for bool {
    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.boolean()
    }

    fn write(&self, out: &mut String) {
        out.push_str(if *self { "true" } else { "false" });
    }
}

impl Wire for u64 {
    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let at = reader.offset();
        let expected = DecodeError::new(at, DecodeErrorKind::Expected("a count"));
        i64::read(reader)?.try_into().map_err(|_| expected)
    }

    /// Numbers above [`i64::MAX`] are written as that: the server would read a larger one as a
    /// real, and refuse it.
    fn write(&self, out: &mut String) {
        let most = i64::try_from(*self).unwrap_or(i64::MAX);
        write_integer(out, most);
    }
}

impl Wire for i64 {
    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        crate::value::Atomic::read(reader)
    }

    fn write(&self, out: &mut String) {
        write_integer(out, *self);
    }
}

/// The id of a transaction or a server, or the uuid that a client chooses for a row: a bare string, not
/// the `["uuid", ...]` of values and of an insert's result.
impl Wire for Uuid {
    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        crate::value::read_uuid(reader)
    }

    fn write(&self, out: &mut String) {
        write_uuid(out, *self);
    }
}

impl Wire for Datum {
    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Self::read(reader)
    }

    fn write(&self, out: &mut String) {
        self.write(out);
    }
}

impl<T: Wire> Wire for Vec<T> {
    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut list = Self::new();
        reader.array()?;
        while reader.element()? {
            list.push(T::read(reader)?);
        }
        Ok(list)
    }

    fn write(&self, out: &mut String) {
        write_list(out, self, |out, item| item.write(out));
    }
}

impl<T: Wire> Wire for Option<T> {
    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        if reader.null() {
            Ok(None)
        } else {
            T::read(reader).map(Some)
        }
    }

    fn write(&self, out: &mut String) {
        match self {
            Some(value) => value.write(out),
            None => out.push_str("null"),
        }
    }
}

/// A key of a JSON object.
#[expect(unnameable_types, reason = "no other crate implements it")]
pub trait Key: Ord + Sized {
    /// Reads the key. An error reports `offset` as the place in the message.
    ///
    /// # Errors
    /// When the text is not such a key.
    fn from_key(text: &str, offset: usize) -> Result<Self, DecodeError>;
}

impl Key for Str {
    fn from_key(text: &str, _: usize) -> Result<Self, DecodeError> {
        Ok(Self::from(text))
    }
}

impl Key for Uuid {
    fn from_key(text: &str, offset: usize) -> Result<Self, DecodeError> {
        crate::value::parse_uuid(text, offset)
    }
}

impl<K: Key + fmt::Display, V: Wire> Wire for BTreeMap<K, V> {
    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut map = Self::new();
        read_object(reader, |reader, key| {
            let key = K::from_key(&key, reader.offset())?;
            map.insert(key, V::read(reader)?);
            Ok(())
        })?;
        Ok(map)
    }

    fn write(&self, out: &mut String) {
        out.push('{');
        for (at, (key, value)) in self.iter().enumerate() {
            if at > 0 {
                out.push(',');
            }
            write_string(out, &key.to_string());
            out.push(':');
            value.write(out);
        }
        out.push('}');
    }
}

impl<V: Wire + Clone> Wire for Map<Str, V> {
    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut pairs = Vec::new();
        read_object(reader, |reader, key| {
            pairs.push((Str::from(key), V::read(reader)?));
            Ok(())
        })?;
        Ok(pairs.into())
    }

    fn write(&self, out: &mut String) {
        let mut object = Object::new(out);
        for (key, value) in self {
            object.member(key, value);
        }
        object.end();
    }
}

/// Reads the members of an object.
pub(crate) fn read_object<'a>(
    reader: &mut Reader<'a>,
    mut member: impl FnMut(&mut Reader<'a>, Cow<'a, str>) -> Result<(), DecodeError>,
) -> Result<(), DecodeError> {
    reader.object()?;
    while let Some(key) = reader.key()? {
        member(reader, key)?;
    }
    Ok(())
}

/// The error for an unknown word: a member, a method, an operation, or another word of the protocol.
pub(super) fn unknown<T>(
    reader: &Reader<'_>,
    what: &'static str,
    word: &str,
) -> Result<T, DecodeError> {
    reader.error(DecodeErrorKind::Unknown {
        what,
        word: word.chars().take(80).collect(),
    })
}

/// Returns a member of an object, or the error that it is missing.
pub(super) fn required<T>(
    reader: &Reader<'_>,
    name: &'static str,
    value: Option<T>,
) -> Result<T, DecodeError> {
    match value {
        Some(value) => Ok(value),
        None => reader.error(DecodeErrorKind::Missing(name)),
    }
}

pub(crate) fn write_list<T>(
    out: &mut String,
    items: impl IntoIterator<Item = T>,
    mut write: impl FnMut(&mut String, T),
) {
    out.push('[');
    for (at, item) in items.into_iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        write(out, item);
    }
    out.push(']');
}

/// Writes a JSON object, member by member.
pub(super) struct Object<'a> {
    out: &'a mut String,
    empty: bool,
}

impl<'a> Object<'a> {
    pub(super) fn new(out: &'a mut String) -> Self {
        out.push('{');
        Self { out, empty: true }
    }

    pub(super) fn member(&mut self, name: &str, value: &impl Wire) -> &mut Self {
        if !std::mem::take(&mut self.empty) {
            self.out.push(',');
        }
        write_string(self.out, name);
        self.out.push(':');
        value.write(self.out);
        self
    }

    pub(super) fn text(&mut self, name: &str, value: &str) -> &mut Self {
        self.member(name, &Str::from(value))
    }

    pub(super) fn optional(&mut self, name: &str, value: Option<&impl Wire>) -> &mut Self {
        match value {
            Some(value) => self.member(name, value),
            None => self,
        }
    }

    pub(super) fn end(&mut self) {
        self.out.push('}');
    }
}

/// Implements [`Wire`] and [`Display`](fmt::Display) for an enum of words.
macro_rules! words {
    ($type:ident, $what:literal, $( $variant:ident = $word:literal ),* $(,)?) => {
        impl $type {
            /// The word on the wire.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $( Self::$variant => $word, )* }
            }
        }

        impl $crate::protocol::Wire for $type {
            fn read(
                reader: &mut $crate::value::json::Reader<'_>,
            ) -> Result<Self, $crate::value::json::DecodeError> {
                match &*reader.string()? {
                    $( $word => Ok(Self::$variant), )*
                    other => $crate::protocol::wire::unknown(reader, $what, other),
                }
            }

            fn write(&self, out: &mut String) {
                $crate::value::json::write_string(out, self.as_str());
            }
        }

        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }
    };
}
pub(super) use words;

/// Reads the next parameter of a call.
pub(super) fn next<T: Wire>(reader: &mut Reader<'_>) -> Result<T, DecodeError> {
    reader.demand("another parameter")?;
    T::read(reader)
}
