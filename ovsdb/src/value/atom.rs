//! Atoms: scalar values, of a type ([`Atomic`]) or of any type ([`Atom`]).

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};

use ovsdb_schema::AtomicType;

use super::json::DecodeError;
use super::json::{
    DecodeErrorKind, Number, Reader, write_integer, write_real, write_string, write_uuid,
};
use super::{Real, Ref, Referent, Str, Uuid};

/// A scalar value of any type (RFC 7047 section 5.1, `<atom>`).
///
/// Numbers are compared by value. The wire does not distinguish a whole real from an integer, only the
/// column's type does: a real 2 is read as the integer 2.
///
/// ```
/// use ovsdb::value::Atom;
///
/// assert_eq!(Atom::Real(2.0.into()), Atom::Integer(2));
/// assert!(Atom::Integer(2) < Atom::Real(2.5.into()));
/// ```
#[derive(Debug, Clone)]
pub enum Atom {
    /// An integer of 64 signed bits.
    Integer(i64),
    /// A real.
    Real(Real),
    /// A boolean.
    Boolean(bool),
    /// A string.
    String(Str),
    /// The uuid of a row.
    Uuid(Uuid),
    /// The row that an insert of the same transaction names (`["named-uuid", ...]`).
    NamedUuid(Str),
}

impl Atom {
    /// Whether servers send the value exactly: they send reals with 15 digits, but store more.
    pub(crate) const fn is_exact(&self) -> bool {
        !matches!(self, Self::Real(_))
    }

    /// Reads an atom in its wire form.
    ///
    /// # Errors
    /// When the next value is not an atom, is malformed or nested too deep, or has a NUL or a number out
    /// of range.
    pub fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match reader.peek() {
            Some(b'"') => Ok(Self::String(reader.text()?)),
            Some(b't' | b'f') => Ok(Self::Boolean(reader.boolean()?)),
            Some(b'[') => {
                reader.array()?;
                reader.demand("an atom")?;
                let tag = reader.string()?;
                reader.demand("an atom")?;
                let atom = match &*tag {
                    "uuid" => Self::Uuid(read_uuid(reader)?),
                    "named-uuid" => Self::NamedUuid(reader.text()?),
                    _ => return reader.error(DecodeErrorKind::Expected("an atom")),
                };
                reader.finish()?;
                Ok(atom)
            }
            Some(b'-' | b'0'..=b'9') => Ok(match reader.number()? {
                Number::Integer(integer) => Self::Integer(integer),
                Number::Real(real) => Self::Real(real.into()),
            }),
            None => reader.error(DecodeErrorKind::UnexpectedEnd),
            _ => reader.error(DecodeErrorKind::Expected("an atom")),
        }
    }

    /// The rank of its type in the order of atoms.
    const fn kind(&self) -> u8 {
        match self {
            Self::Integer(_) | Self::Real(_) => 0,
            Self::Boolean(_) => 1,
            Self::String(_) => 2,
            Self::Uuid(_) => 3,
            Self::NamedUuid(_) => 4,
        }
    }

    /// Appends the wire form.
    pub fn write(&self, out: &mut String) {
        match self {
            Self::Integer(integer) => write_integer(out, *integer),
            Self::Real(real) => write_real(out, real.get()),
            Self::Boolean(boolean) => out.push_str(if *boolean { "true" } else { "false" }),
            Self::String(text) => write_string(out, text),
            Self::Uuid(uuid) => {
                out.push_str("[\"uuid\",");
                write_uuid(out, *uuid);
                out.push(']');
            }
            Self::NamedUuid(name) => {
                out.push_str("[\"named-uuid\",");
                write_string(out, name);
                out.push(']');
            }
        }
    }
}

/// Conversions from Rust values.
macro_rules! atoms {
    ($($from:ty => $variant:ident),*) => { $(
        impl From<$from> for Atom {
            fn from(value: $from) -> Self {
                Self::$variant(value.into())
            }
        }
    )* };
}

atoms!(
    i64 => Integer,
    f64 => Real,
    Real => Real,
    bool => Boolean,
    &str => String,
    String => String,
    Str => String,
    Uuid => Uuid
);

impl Ord for Atom {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Integer(a), Self::Integer(b)) => a.cmp(b),
            (Self::Real(a), Self::Real(b)) => a.cmp(b),
            (Self::Integer(a), Self::Real(b)) => b.cmp_integer(*a).reverse(),
            (Self::Real(a), Self::Integer(b)) => a.cmp_integer(*b),
            (Self::Boolean(a), Self::Boolean(b)) => a.cmp(b),
            (Self::String(a), Self::String(b)) | (Self::NamedUuid(a), Self::NamedUuid(b)) => {
                a.cmp(b)
            }
            (Self::Uuid(a), Self::Uuid(b)) => a.cmp(b),
            _ => self.kind().cmp(&other.kind()),
        }
    }
}

impl PartialOrd for Atom {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Atom {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Atom {}

impl Hash for Atom {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.kind().hash(state);
        match self {
            Self::Integer(integer) => integer.hash(state),
            // A whole real equals its integer, so it must hash like the integer.
            Self::Real(real) => match real.as_integer() {
                Some(integer) => integer.hash(state),
                None => real.hash(state),
            },
            Self::Boolean(boolean) => boolean.hash(state),
            Self::String(text) | Self::NamedUuid(text) => text.hash(state),
            Self::Uuid(uuid) => uuid.hash(state),
        }
    }
}

impl fmt::Display for Atom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = String::new();
        self.write(&mut out);
        f.write_str(&out)
    }
}

/// What the values of an [`Atomic`] type stand for, as far as the type tells.
#[doc(hidden)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Domain {
    /// Any value of the type.
    Any,
    /// The rows of a table.
    Rows {
        /// The database's name.
        database: &'static str,
        /// The table's name in the schema.
        table: &'static str,
    },
    /// One of these strings.
    Enum(&'static [&'static str]),
}

/// A Rust type that is one atom of a column: [`i64`], [`Real`], [`bool`], [`Str`], [`Uuid`], [`Ref`]
/// and the generated enums.
///
/// A user's own type should be able to read the default of its [`TYPE`](Self::TYPE), such as the empty
/// string, since a server omits columns that have their default from the rows it sends. Otherwise a
/// replica refuses rows in which that column is omitted.
///
/// ```
/// use std::net::Ipv4Addr;
///
/// use ovsdb::schema::AtomicType;
/// use ovsdb::value::json::{DecodeError, DecodeErrorKind, Reader};
/// use ovsdb::value::{Atom, Atomic};
///
/// /// A string column with an address or the empty string.
/// #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
/// struct Address(Option<Ipv4Addr>);
///
/// impl Atomic for Address {
///     const TYPE: AtomicType = AtomicType::String;
///
///     fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
///         let offset = reader.offset();
///         let text = reader.string()?;
///         if text.is_empty() {
///             return Ok(Self(None));
///         }
///         let expected = DecodeErrorKind::Expected("an IPv4 address");
///         let address = text.parse().map_err(|_| DecodeError::new(offset, expected))?;
///         Ok(Self(Some(address)))
///     }
///
///     fn to_atom(&self) -> Atom {
///         let text = self.0.map(|address| address.to_string());
///         Atom::String(text.unwrap_or_default().into())
///     }
/// }
///
/// let address = Address::read(&mut Reader::new(r#""192.0.2.1""#))?;
/// assert_eq!(address.to_atom().to_string(), r#""192.0.2.1""#);
/// # Ok::<(), ovsdb::value::json::DecodeError>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not the type of an atom in a column",
    label = "not an atom",
    note = "atoms are `i64`, `Real`, `bool`, `Str`, `Uuid`, a `Ref` to a table, and the enums that `schema!` generates"
)]
pub trait Atomic:
    Clone + Ord + Hash + Default + fmt::Debug + Send + Sync + Sized + 'static
{
    /// The atom's type in the schema.
    const TYPE: AtomicType;

    /// What the values stand for; `derive(Table)` compares it with the schema.
    #[doc(hidden)]
    const DOMAIN: Domain = Domain::Any;

    /// Reads the wire form.
    ///
    /// # Errors
    /// When the next value is of another type, is malformed or nested too deep, or has a NUL or a number
    /// out of range.
    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError>;

    /// The same value as an atom of any type.
    fn to_atom(&self) -> Atom;

    /// Reads the wire form of a value that is alone in its column, such as a name. It is not interned,
    /// since such values rarely occur in other rows.
    #[doc(hidden)]
    fn read_single(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Self::read(reader)
    }

    /// The value with its uuid replaced, if it has one.
    #[doc(hidden)]
    #[must_use]
    fn with_uuid(&self, _other: &mut dyn FnMut(Uuid) -> Uuid) -> Self {
        self.clone()
    }

    /// Reads the value in the form in which ovsdb-server writes it. For any other form this may return
    /// `None`, and then leaves the reader at any position.
    #[doc(hidden)]
    fn read_plain(reader: &mut Reader<'_>) -> Option<Self> {
        Self::read(reader).ok()
    }
}

/// Reads a uuid from a bare string, such as the one after the tag in `["uuid", "..."]`.
pub(crate) fn read_uuid(reader: &mut Reader<'_>) -> Result<Uuid, DecodeError> {
    let offset = reader.offset();
    parse_uuid(&reader.string()?, offset)
}

/// Parses a uuid at this byte of a message. It must have 36 characters; other forms are refused.
pub(crate) fn parse_uuid(text: &str, offset: usize) -> Result<Uuid, DecodeError> {
    match Uuid::try_parse(text) {
        Ok(uuid) if text.len() == 36 => Ok(uuid),
        _ => Err(DecodeError::new(offset, DecodeErrorKind::BadUuid)),
    }
}

fn plain_uuid(reader: &mut Reader<'_>) -> Option<Uuid> {
    if !reader.eat("[\"uuid\",") {
        return None;
    }
    let text = reader.eat_string()?;
    let uuid = parse_uuid(text, 0).ok()?;
    reader.eat("]").then_some(uuid)
}

fn decode_uuid(reader: &mut Reader<'_>) -> Result<Uuid, DecodeError> {
    reader.array()?;
    reader.demand("a uuid")?;
    if reader.string()? != "uuid" {
        return reader.error(DecodeErrorKind::Expected("a uuid"));
    }
    reader.demand("a uuid")?;
    let uuid = read_uuid(reader)?;
    reader.finish()?;
    Ok(uuid)
}

impl Atomic for i64 {
    const TYPE: AtomicType = AtomicType::Integer;

    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match reader.number()? {
            Number::Integer(integer) => Ok(integer),
            Number::Real(_) => reader.error(DecodeErrorKind::Expected("an integer")),
        }
    }

    fn to_atom(&self) -> Atom {
        Atom::Integer(*self)
    }
}

impl Atomic for Real {
    const TYPE: AtomicType = AtomicType::Real;

    #[expect(clippy::cast_precision_loss, reason = "a real column holds doubles")]
    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(match reader.number()? {
            Number::Integer(integer) => Self::from(integer as f64),
            Number::Real(real) => Self::from(real),
        })
    }

    fn to_atom(&self) -> Atom {
        Atom::Real(*self)
    }
}

impl Atomic for bool {
    const TYPE: AtomicType = AtomicType::Boolean;

    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.boolean()
    }

    fn to_atom(&self) -> Atom {
        Atom::Boolean(*self)
    }
}

impl Atomic for Str {
    const TYPE: AtomicType = AtomicType::String;

    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.text()
    }

    fn to_atom(&self) -> Atom {
        Atom::String(self.clone())
    }

    fn read_single(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.string().map(Self::from)
    }

    fn read_plain(reader: &mut Reader<'_>) -> Option<Self> {
        reader.eat_text()
    }
}

impl Atomic for Uuid {
    const TYPE: AtomicType = AtomicType::Uuid;

    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        decode_uuid(reader)
    }

    fn to_atom(&self) -> Atom {
        Atom::Uuid(*self)
    }

    fn with_uuid(&self, other: &mut dyn FnMut(Uuid) -> Uuid) -> Self {
        other(*self)
    }

    fn read_plain(reader: &mut Reader<'_>) -> Option<Self> {
        plain_uuid(reader)
    }
}

impl<T: Referent> Atomic for Ref<T> {
    const TYPE: AtomicType = AtomicType::Uuid;
    const DOMAIN: Domain = Domain::Rows {
        database: T::DATABASE,
        table: T::TABLE,
    };

    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        decode_uuid(reader).map(Self::new)
    }

    fn with_uuid(&self, other: &mut dyn FnMut(Uuid) -> Uuid) -> Self {
        Self::new(other(self.uuid()))
    }

    fn to_atom(&self) -> Atom {
        Atom::Uuid(self.uuid())
    }

    fn read_plain(reader: &mut Reader<'_>) -> Option<Self> {
        plain_uuid(reader).map(Self::new)
    }
}

#[cfg(test)]
mod tests {
    use std::hash::BuildHasher as _;

    use super::*;

    #[test]
    fn numbers_are_compared_by_value() {
        let real = |real: f64| Atom::Real(real.into());
        let numbers = [
            real(-f64::NAN),
            real(f64::NEG_INFINITY),
            real(-1e19),
            Atom::Integer(i64::MIN),
            real(-9_007_199_254_740_992.0),
            Atom::Integer(-3),
            real(-2.5),
            Atom::Integer(0),
            real(0.5),
            Atom::Integer(1),
            Atom::Integer(9_007_199_254_740_993),
            Atom::Integer(i64::MAX),
            real(9_223_372_036_854_775_808.0),
            real(f64::INFINITY),
            real(f64::NAN),
            Atom::Boolean(false),
        ];
        for (i, a) in numbers.iter().enumerate() {
            for (j, b) in numbers.iter().enumerate() {
                assert_eq!(a.cmp(b), i.cmp(&j), "{a:?} and {b:?}");
                assert_eq!(a == b, i == j, "{a:?} and {b:?}");
            }
        }
        let hasher = std::hash::RandomState::new();
        for (a, b) in [
            (real(2.0), Atom::Integer(2)),
            (real(-0.0), Atom::Integer(0)),
            (real(-9_223_372_036_854_775_808.0), Atom::Integer(i64::MIN)),
        ] {
            assert_eq!(a, b);
            assert_eq!(hasher.hash_one(&a), hasher.hash_one(&b), "{a:?}");
        }
    }

    #[test]
    fn an_atom_reads_the_same_after_it_was_written() {
        for text in [
            "1.99999999999999999999999999999999999999999999999999999999995",
            "9223372036854775807.0",
            "9223372036854775000.5",
            "-9223372036854775809",
            "1e-400",
            "5e-324",
            "1.79769313486232e+308",
        ] {
            let atom = Atom::read(&mut Reader::new(text)).expect(text);
            let written = atom.to_string();
            assert_eq!(Atom::read(&mut Reader::new(&written)), Ok(atom), "{text}");
        }
    }

    #[test]
    fn errors_of_atoms_say_what_is_wrong_and_where() {
        const UUID: &str = r#"["uuid","f4bb6a91-019b-4612-b6aa-88fc663dd515""#;
        let no_atom = DecodeErrorKind::Expected("an atom");
        let no_end = DecodeErrorKind::Expected("the end of the array");
        for (text, offset, kind) in [
            ("", 0, DecodeErrorKind::UnexpectedEnd),
            (" ", 1, DecodeErrorKind::UnexpectedEnd),
            (UUID, 46, DecodeErrorKind::UnexpectedEnd),
            ("null", 0, no_atom.clone()),
            ("[]", 2, no_atom.clone()),
            (r#"["uuid"]"#, 8, no_atom.clone()),
            (r#"["set",[]]"#, 7, no_atom),
            (r#"["uuid","f4bb"]"#, 8, DecodeErrorKind::BadUuid),
            (&format!("{UUID},1]"), 47, no_end),
        ] {
            let error = Atom::read(&mut Reader::new(text)).expect_err(text);
            assert_eq!(error, DecodeError::new(offset, kind), "{text}");
        }
    }
}
