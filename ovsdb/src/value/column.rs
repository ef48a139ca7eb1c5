//! Traits of a column's value: decoding, applying a change, comparing and writing.

use std::any::Any;
use std::fmt;
use std::hash::{Hash, Hasher};

use ovsdb_schema::{AtomicType, ColumnType};

use super::collection::{decode_map, decode_one, decode_set};
use super::json::{DecodeError, Reader};
use super::prefetch::Prefetch;
use super::{Atom, Atomic, Datum, Domain, Map, Set, Uuid};

/// The shape of a column: the types of its atoms, and how many it can hold.
///
/// ```
/// use ovsdb::value::Value;
/// use ovsdb::{Map, Set, Str};
///
/// assert_eq!(<Option<i64> as Value>::KIND.to_string(), "optional integer");
/// assert_eq!(<Map<Str, Str> as Value>::KIND.to_string(), "map of string to string");
/// assert!(!<Set<bool> as Value>::KIND.single);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ColumnKind {
    /// The type of the elements, or of a map's keys.
    pub key: AtomicType,
    /// The type of a map's values.
    pub value: Option<AtomicType>,
    /// Whether the column always holds exactly one atom.
    pub scalar: bool,
    /// Whether the column holds at most one atom.
    pub single: bool,
}

impl ColumnKind {
    /// Whether the column holds reals.
    pub(crate) fn has_reals(&self) -> bool {
        self.key == AtomicType::Real || self.value == Some(AtomicType::Real)
    }

    /// Whether the column holds at most one atom, so that a change replaces its value.
    pub(crate) const fn is_one(&self) -> bool {
        self.scalar || self.single
    }

    /// Whether a column with the type `server` on a server can be read and written as this kind.
    ///
    /// The atoms' types must be equal, and this kind must be able to hold every value that the server's
    /// type allows: a set can read an optional value, an optional value cannot read a set.
    #[must_use]
    pub fn accepts(&self, server: &ColumnType) -> bool {
        self.key == server.key.atomic
            && self.value == server.value.as_ref().map(|value| value.atomic)
            && (self.value.is_some()
                || !self.single
                || (server.max.is_one() && (!self.scalar || server.min == 1)))
    }

    /// Whether this kind can hold values that a column of the type `server`, which it
    /// [accepts](Self::accepts), cannot: several where the server's column holds at most one, or none
    /// where it holds exactly one. Always false for a map.
    pub(crate) const fn is_wider_than(&self, server: &ColumnType) -> bool {
        server.value.is_none()
            && server.max.is_one()
            && (!self.single || (!self.scalar && server.min == 1))
    }
}

impl From<&ColumnType> for ColumnKind {
    /// The narrowest shape that can hold all values of this type.
    fn from(column: &ColumnType) -> Self {
        Self {
            key: column.key.atomic,
            value: column.value.as_ref().map(|value| value.atomic),
            scalar: column.is_scalar(),
            single: column.value.is_none() && column.max.is_one(),
        }
    }
}

impl fmt::Display for ColumnKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.value, self.scalar, self.single) {
            (Some(value), ..) => write!(f, "map of {} to {value}", self.key),
            (None, true, _) => write!(f, "{}", self.key),
            (None, false, true) => write!(f, "optional {}", self.key),
            (None, false, false) => write!(f, "set of {}", self.key),
        }
    }
}

/// A column's value with its type erased: the operations that replicas and transactions need.
///
/// This crate implements it for every [`Atomic`] type and for an [`Option`], a [`Set`] and a [`Map`]
/// of them. No other crate can.
///
/// ```
/// use ovsdb::{ColumnValue, Set};
///
/// let (a, b): (&dyn ColumnValue, &dyn ColumnValue) = (&Set::<i64>::from([1, 2]), &Some(1_i64));
/// assert_eq!(a.to_datum().to_string(), r#"["set",[1,2]]"#);
/// assert_eq!(b.to_datum().to_string(), "1");
/// assert!(!a.equals(b));
/// ```
pub trait ColumnValue: Prefetch + fmt::Debug + Send + Sync {
    /// Replaces the value by the next one in the message.
    ///
    /// # Errors
    /// When the value in the message is of another type, has too many elements, is malformed or nested
    /// too deep, or has a NUL or a number out of range; or when a user's [`Atomic`] type refuses it.
    fn decode(&mut self, reader: &mut Reader<'_>) -> Result<(), DecodeError>;

    /// Applies the change that an update2 message makes to the column (ovsdb-server(7), "Update2
    /// Notification"). A type that holds at most one atom reads the new value. A set or a map reads a
    /// difference. Where the server's column has `max` 1, the message has the new value instead: use
    /// [`decode`](Self::decode) there.
    ///
    /// # Errors
    /// When the value in the message is of another type, has too many elements, is malformed or nested
    /// too deep, or has a NUL or a number out of range; or when a user's [`Atomic`] type refuses it.
    fn decode_change(&mut self, reader: &mut Reader<'_>) -> Result<(), DecodeError>;

    /// Whether a server gives this value to a column of the type `server` that an insert omits, as
    /// [`Datum::default_of`] computes it.
    fn is_default(&self, server: &ColumnType) -> bool;

    /// The value as a datum of any type.
    fn to_datum(&self) -> Datum;

    /// The value itself, for a downcast.
    fn as_any(&self) -> &dyn Any;

    /// The value itself, for a downcast, to be changed.
    fn as_any_mut(&mut self) -> &mut dyn Any;

    /// Copies the value of `other`, if that is of the same type.
    #[doc(hidden)]
    fn assign(&mut self, other: &dyn ColumnValue);

    /// Whether `other` has the same type and value.
    fn equals(&self, other: &dyn ColumnValue) -> bool;

    /// Whether this value contains all elements or pairs of `parts`, a value of the same type.
    #[doc(hidden)]
    fn includes(&self, parts: &dyn ColumnValue) -> bool;

    /// The value with its uuids replaced.
    #[doc(hidden)]
    fn with_uuids(&self, other: &mut dyn FnMut(Uuid) -> Uuid) -> Box<dyn ColumnValue>;

    /// Feeds the value to a hasher.
    fn hash_into(&self, hasher: &mut dyn Hasher);

    /// Calls `each` with the uuids of the rows of this table that the value refers to.
    fn each_reference(&self, table: &str, each: &mut dyn FnMut(Uuid));
}

/// Reads a datum into a column. Returns false if the datum is not of the column's type.
pub(crate) fn read_datum(column: &mut dyn ColumnValue, datum: &Datum) -> bool {
    column.decode(&mut Reader::new(&datum.to_string())).is_ok()
}

/// A Rust type of a whole column: an [`Atomic`] type, or an [`Option`], [`Set`] or [`Map`] of these.
///
/// ```
/// use ovsdb::Table;
/// use ovsdb::value::Value;
///
/// /// The columns with the shape of `V`.
/// fn columns_of<T: Table, V: Value>() -> impl Iterator<Item = &'static str> {
///     T::COLUMNS.iter().filter(|column| column.kind == V::KIND).map(|column| column.name)
/// }
///
/// # #[cfg(feature = "nb")]
/// assert!(columns_of::<ovsdb::nb::LogicalSwitchPort, Option<i64>>().eq(["tag", "tag_request"]));
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not the type of a column",
    label = "not the type of a column",
    note = "a column is one atom (`i64`, `Real`, `bool`, `Str`, `Uuid`, a `Ref` to a table, a generated enum), or an `Option`, `Set` or `Map` of atoms"
)]
pub trait Value: ColumnValue + Clone + Default + Eq + Hash + 'static {
    /// The shape of the column.
    const KIND: ColumnKind;

    /// What the elements, or a map's keys and values, stand for.
    #[doc(hidden)]
    const DOMAINS: [Domain; 2] = [Domain::Any; 2];
}

/// The parts of [`ColumnValue`] that are the same for every type.
macro_rules! common {
    () => {
        fn as_any(&self) -> &dyn Any {
            self
        }

        fn as_any_mut(&mut self) -> &mut dyn Any {
            self
        }

        fn assign(&mut self, other: &dyn ColumnValue) {
            if let Some(other) = other.as_any().downcast_ref::<Self>() {
                self.clone_from(other);
            }
        }

        fn equals(&self, other: &dyn ColumnValue) -> bool {
            other
                .as_any()
                .downcast_ref::<Self>()
                .is_some_and(|other| self == other)
        }

        fn includes(&self, parts: &dyn ColumnValue) -> bool {
            let parts = parts.as_any().downcast_ref::<Self>();
            parts.is_some_and(|parts| self.includes_all(parts))
        }

        fn hash_into(&self, mut hasher: &mut dyn Hasher) {
            self.hash(&mut hasher);
        }
    };
}

/// Whether a value contains all parts of another one.
trait IncludesAll {
    fn includes_all(&self, parts: &Self) -> bool;
}

impl<A: Atomic> IncludesAll for A {
    fn includes_all(&self, parts: &Self) -> bool {
        self == parts
    }
}

impl<A: Atomic> IncludesAll for Option<A> {
    fn includes_all(&self, parts: &Self) -> bool {
        parts.is_none() || self == parts
    }
}

impl<A: Atomic> IncludesAll for Set<A> {
    fn includes_all(&self, parts: &Self) -> bool {
        parts.iter().all(|part| self.contains(part))
    }
}

impl<K: Atomic, V: Atomic> IncludesAll for Map<K, V> {
    fn includes_all(&self, parts: &Self) -> bool {
        let mut pairs = parts.iter();
        pairs.all(|(key, value)| self.get(key) == Some(value))
    }
}

/// Calls `each` with the uuids of these atoms, if their type is a reference to this table.
fn each_reference<'a, A: Atomic>(
    atoms: impl IntoIterator<Item = &'a A>,
    table: &str,
    each: &mut dyn FnMut(Uuid),
) {
    if matches!(A::DOMAIN, Domain::Rows { table: target, .. } if target == table) {
        for atom in atoms {
            if let Atom::Uuid(uuid) = atom.to_atom() {
                each(uuid);
            }
        }
    }
}

/// Whether the elements are the default of the server's type: one `neutral` element, or none.
fn is_default<T>(
    server: &ColumnType,
    elements: impl IntoIterator<Item = T>,
    neutral: impl Fn(T) -> bool,
) -> bool {
    let mut elements = elements.into_iter();
    match elements.next() {
        None => server.min == 0,
        Some(only) => server.min == 1 && elements.next().is_none() && neutral(only),
    }
}

impl<A: Atomic> ColumnValue for A {
    fn decode(&mut self, reader: &mut Reader<'_>) -> Result<(), DecodeError> {
        *self = decode_one(reader)?.unwrap_or_default();
        Ok(())
    }

    fn decode_change(&mut self, reader: &mut Reader<'_>) -> Result<(), DecodeError> {
        self.decode(reader)
    }

    fn is_default(&self, server: &ColumnType) -> bool {
        server.min == 1 && self.to_atom().is_default()
    }

    fn to_datum(&self) -> Datum {
        Datum::from(self.to_atom())
    }

    fn each_reference(&self, table: &str, each: &mut dyn FnMut(Uuid)) {
        each_reference([self], table, each);
    }

    fn with_uuids(&self, other: &mut dyn FnMut(Uuid) -> Uuid) -> Box<dyn ColumnValue> {
        Box::new(self.with_uuid(other))
    }

    common!();
}

impl<A: Atomic> Value for A {
    const KIND: ColumnKind = ColumnKind {
        key: A::TYPE,
        value: None,
        scalar: true,
        single: true,
    };
    const DOMAINS: [Domain; 2] = [A::DOMAIN, Domain::Any];
}

impl<A: Atomic> ColumnValue for Option<A> {
    fn decode(&mut self, reader: &mut Reader<'_>) -> Result<(), DecodeError> {
        *self = decode_one(reader)?;
        Ok(())
    }

    fn decode_change(&mut self, reader: &mut Reader<'_>) -> Result<(), DecodeError> {
        self.decode(reader)
    }

    fn is_default(&self, server: &ColumnType) -> bool {
        is_default(server, self.as_ref(), |value| value.to_atom().is_default())
    }

    fn to_datum(&self) -> Datum {
        Datum::Set(self.iter().map(Atomic::to_atom).collect())
    }

    fn each_reference(&self, table: &str, each: &mut dyn FnMut(Uuid)) {
        each_reference(self, table, each);
    }

    fn with_uuids(&self, other: &mut dyn FnMut(Uuid) -> Uuid) -> Box<dyn ColumnValue> {
        Box::new(self.as_ref().map(|atom| atom.with_uuid(other)))
    }

    common!();
}

impl<A: Atomic> Value for Option<A> {
    const KIND: ColumnKind = ColumnKind {
        key: A::TYPE,
        value: None,
        scalar: false,
        single: true,
    };
    const DOMAINS: [Domain; 2] = [A::DOMAIN, Domain::Any];
}

impl<A: Atomic> ColumnValue for Set<A> {
    fn decode(&mut self, reader: &mut Reader<'_>) -> Result<(), DecodeError> {
        let set = decode_set(reader)?;
        *self = reader.share_set(set);
        Ok(())
    }

    fn decode_change(&mut self, reader: &mut Reader<'_>) -> Result<(), DecodeError> {
        let set = self.toggled(&decode_set(reader)?);
        *self = reader.share_set(set);
        Ok(())
    }

    fn is_default(&self, server: &ColumnType) -> bool {
        is_default(server, self.iter(), |atom| atom.to_atom().is_default())
    }

    fn to_datum(&self) -> Datum {
        Datum::Set(self.iter().map(Atomic::to_atom).collect())
    }

    fn each_reference(&self, table: &str, each: &mut dyn FnMut(Uuid)) {
        each_reference(self, table, each);
    }

    fn with_uuids(&self, other: &mut dyn FnMut(Uuid) -> Uuid) -> Box<dyn ColumnValue> {
        let atoms = self.iter().map(|atom| atom.with_uuid(other));
        Box::new(atoms.collect::<Self>())
    }

    common!();
}

impl<A: Atomic> Value for Set<A> {
    const KIND: ColumnKind = ColumnKind {
        key: A::TYPE,
        value: None,
        scalar: false,
        single: false,
    };
    const DOMAINS: [Domain; 2] = [A::DOMAIN, Domain::Any];
}

impl<K: Atomic, V: Atomic> ColumnValue for Map<K, V> {
    fn decode(&mut self, reader: &mut Reader<'_>) -> Result<(), DecodeError> {
        *self = decode_map(reader)?;
        Ok(())
    }

    fn decode_change(&mut self, reader: &mut Reader<'_>) -> Result<(), DecodeError> {
        *self = self.patched(decode_map(reader)?);
        Ok(())
    }

    fn is_default(&self, server: &ColumnType) -> bool {
        is_default(server, self.iter(), |(key, value)| {
            key.to_atom().is_default() && value.to_atom().is_default()
        })
    }

    fn to_datum(&self) -> Datum {
        let pairs = self
            .iter()
            .map(|(key, value)| (key.to_atom(), value.to_atom()));
        Datum::Map(pairs.collect::<Map<Atom, Atom>>())
    }

    fn each_reference(&self, table: &str, each: &mut dyn FnMut(Uuid)) {
        each_reference(self.keys(), table, each);
        each_reference(self.values(), table, each);
    }

    fn with_uuids(&self, other: &mut dyn FnMut(Uuid) -> Uuid) -> Box<dyn ColumnValue> {
        let pairs = self
            .iter()
            .map(|(key, value)| (key.with_uuid(other), value.with_uuid(other)));
        Box::new(pairs.collect::<Self>())
    }

    common!();
}

impl<K: Atomic, V: Atomic> Value for Map<K, V> {
    const KIND: ColumnKind = ColumnKind {
        key: K::TYPE,
        value: Some(V::TYPE),
        scalar: false,
        single: false,
    };
    const DOMAINS: [Domain; 2] = [K::DOMAIN, V::DOMAIN];
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Real, Str};

    fn decoded<V: Value>(text: &str) -> Result<V, DecodeError> {
        let mut value = V::default();
        let mut reader = Reader::new(text);
        value.decode(&mut reader)?;
        reader.end()?;
        Ok(value)
    }

    #[test]
    fn each_shape_reads_what_the_server_writes() {
        assert_eq!(decoded::<i64>("1e3"), Ok(1000));
        assert_eq!(decoded::<i64>("[\"set\",[5]]"), Ok(5));
        assert_eq!(decoded::<Real>("5"), Ok(Real::from(5.0)));
        assert_eq!(decoded::<Option<bool>>("[\"set\",[]]"), Ok(None));
        assert_eq!(decoded::<Option<bool>>("true"), Ok(Some(true)));
        assert_eq!(decoded::<Set<i64>>("7"), Ok([7].into()));
        assert_eq!(decoded::<Set<i64>>("[\"set\",[1,2]]"), Ok([1, 2].into()));
        assert_eq!(
            decoded::<Map<Str, i64>>("[\"map\",[[\"a\",1]]]"),
            Ok([("a", 1)].into())
        );
        let uuid = "[\"uuid\",\"f4bb6a91-019b-4612-b6aa-88fc663dd515\"]";
        assert_eq!(decoded::<Set<Uuid>>(uuid).map(|set| set.len()), Ok(1));
    }

    #[test]
    fn other_types_are_refused() {
        assert!(decoded::<i64>("\"1\"").is_err());
        assert!(decoded::<i64>("1.5").is_err());
        assert!(decoded::<Str>("1").is_err());
        assert!(decoded::<Option<i64>>("[\"set\",[1,2]]").is_err());
        assert!(decoded::<Map<Str, Str>>("[\"set\",[]]").is_err());
        assert!(decoded::<Set<Str>>("[\"map\",[]]").is_err());
    }

    #[test]
    fn the_rows_that_a_value_refers_to_are_listed() {
        fn referred<V: ColumnValue>(value: &V, table: &str) -> usize {
            let mut number = 0;
            value.each_reference(table, &mut |_| number += 1);
            number
        }
        let uuids = [1, 2, 3].map(Uuid::from_u128);
        // A plain uuid refers to no table.
        assert_eq!(referred(&uuids[0], "Bridge"), 0);
        assert_eq!(referred(&Set::<Uuid>::from(uuids), "Bridge"), 0);
        #[cfg(feature = "vswitch")]
        {
            use crate::Ref;
            use crate::vswitch::Bridge;
            let rows = uuids.map(Ref::<Bridge>::new);
            assert_eq!(referred(&rows[0], "Bridge"), 1);
            assert_eq!(referred(&rows[0], "Port"), 0);
            assert_eq!(referred(&Some(rows[0]), "Bridge"), 1);
            assert_eq!(referred(&Set::<Ref<Bridge>>::from(rows), "Bridge"), 3);
            let map: Map<Str, Ref<Bridge>> = [("a", rows[0]), ("b", rows[1])].into();
            assert_eq!(referred(&map, "Bridge"), 2);
            let keys: Map<Ref<Bridge>, Str> = [(rows[0], "a")].into();
            assert_eq!(referred(&keys, "Bridge"), 1);
            assert_eq!(referred(&keys, "Port"), 0);
        }
    }

    #[test]
    fn a_scalar_takes_the_new_value_of_a_change() {
        let mut scalar = 5_i64;
        scalar
            .decode_change(&mut Reader::new("7"))
            .expect("a change");
        assert_eq!(scalar, 7);
    }

    #[test]
    fn changes_follow_the_shape() {
        let mut set: Set<i64> = [1, 2].into();
        set.decode_change(&mut Reader::new("[\"set\",[2,3]]"))
            .expect("a change");
        assert_eq!(set, [1, 3].into());
        let mut map: Map<Str, Str> = [("a", "1"), ("b", "2")].into();
        map.decode_change(&mut Reader::new(
            r#"["map",[["a","1"],["b","3"],["c","4"]]]"#,
        ))
        .expect("a change");
        assert_eq!(map, [("b", "3"), ("c", "4")].into());
        let mut scalar = Some(1_i64);
        scalar
            .decode_change(&mut Reader::new("[\"set\",[]]"))
            .expect("a change");
        assert_eq!(scalar, None);
    }

    #[test]
    fn elements_are_read_in_any_order_and_each_once() {
        assert_eq!(decoded::<Set<i64>>("[\"set\",[3,1]]"), Ok([1, 3].into()));
        assert_eq!(
            decoded::<Map<Str, i64>>(r#"["map",[["b",1],["a",2]]]"#),
            Ok([("a", 2), ("b", 1)].into())
        );
        assert_eq!(decoded::<Set<i64>>("[\"set\",[1,1,2]]"), Ok([1, 2].into()));
        // If pairs have the same key, the last one wins.
        assert_eq!(
            decoded::<Map<Str, i64>>(r#"["map",[["a",1],["a",2],["b",3]]]"#),
            Ok([("a", 2), ("b", 3)].into())
        );
    }

    #[test]
    fn shapes_tell_whether_they_hold_reals() {
        for kind in [
            Real::KIND,
            Option::<Real>::KIND,
            Set::<Real>::KIND,
            Map::<Real, Str>::KIND,
            Map::<Str, Real>::KIND,
        ] {
            assert!(kind.has_reals(), "{kind}");
        }
        for kind in [i64::KIND, Set::<Str>::KIND, Map::<Str, i64>::KIND] {
            assert!(!kind.has_reals(), "{kind}");
        }
    }
}
