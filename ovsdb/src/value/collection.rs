//! The wire form of sets and maps (RFC 7047 section 5.1): `["set", [...]]`, or a bare atom for a set of
//! one; and `["map", [[key, value], ...]]`.
//!
//! ovsdb-server writes no blanks, and no escapes in uuids and tags. This form is read by comparing text
//! (the fast path). For any other form, and for any error, the value is read again from its start,
//! token by token.

use super::json::{DecodeError, DecodeErrorKind, Reader};
use super::shared_slice::SharedSlice;
use super::{Atomic, Map, Set};

type Result<T> = std::result::Result<T, DecodeError>;

/// Reads the elements after [`enter_elements`], and the end of the array around them.
pub(super) fn elements<T>(
    reader: &mut Reader<'_>,
    read: impl Fn(&mut Reader<'_>) -> Result<T>,
) -> Result<Vec<T>> {
    let mut elements = Vec::new();
    while reader.element()? {
        elements.push(read(reader)?);
    }
    reader.finish()?;
    Ok(elements)
}

/// Reads the pairs after the tag `"map"`, and the end of the map.
pub(super) fn pairs<K, V>(
    reader: &mut Reader<'_>,
    key: impl Fn(&mut Reader<'_>) -> Result<K>,
    value: impl Fn(&mut Reader<'_>) -> Result<V>,
) -> Result<Vec<(K, V)>> {
    reader.demand("the pairs of a map")?;
    reader.array()?;
    elements(reader, |reader| {
        reader.array()?;
        reader.demand("a key")?;
        let key = key(reader)?;
        reader.demand("a value")?;
        let value = value(reader)?;
        reader.finish()?;
        Ok((key, value))
    })
}

/// Reads a map from its tag to its end.
pub(super) fn map<K, V>(
    reader: &mut Reader<'_>,
    key: impl Fn(&mut Reader<'_>) -> Result<K>,
    value: impl Fn(&mut Reader<'_>) -> Result<V>,
) -> Result<Vec<(K, V)>> {
    reader.array()?;
    reader.demand("a map")?;
    if reader.string()? != "map" {
        return reader.error(DecodeErrorKind::Expected("a map"));
    }
    pairs(reader, key, value)
}

/// Enters the elements of a set, after its tag.
pub(super) fn enter_elements(reader: &mut Reader<'_>) -> Result<()> {
    reader.demand("the elements of a set")?;
    reader.array()
}

/// Whether a `["set", ...]` follows, and not a bare atom. If so, enters its elements.
pub(super) fn enter_set(reader: &mut Reader<'_>) -> Result<bool> {
    if reader.peek() != Some(b'[') {
        return Ok(false);
    }
    let start = reader.checkpoint();
    reader.array()?;
    reader.demand("a value")?;
    if reader.string()? == "set" {
        enter_elements(reader)?;
        Ok(true)
    } else {
        reader.restore(start);
        Ok(false)
    }
}

/// Reads a scalar, or a set of at most one element.
pub(super) fn decode_one<A: Atomic>(reader: &mut Reader<'_>) -> Result<Option<A>> {
    if !enter_set(reader)? {
        return A::read_single(reader).map(Some);
    }
    let mut value = None;
    if reader.element()? {
        value = Some(A::read_single(reader)?);
        if reader.element()? {
            return reader.error(DecodeErrorKind::TooManyElements);
        }
    }
    reader.finish()?;
    Ok(value)
}

/// The greatest number of elements for which memory is reserved in advance.
const MOST_EXPECTED: usize = 64;

/// Reads values by `next`, separated by commas, up to a closing `]]`. If there are as many as expected,
/// and at most [`MOST_EXPECTED`], they are allocated once, with their exact size.
fn plain_list<T: Clone>(
    reader: &mut Reader<'_>,
    mut next: impl FnMut(&mut Reader<'_>) -> Option<T>,
) -> Option<SharedSlice<T>> {
    if reader.eat("]]") {
        return Some(SharedSlice::default());
    }
    // One large value must not make every later row of the column reserve that much.
    let mut list = SharedSlice::with_capacity(reader.elements.min(MOST_EXPECTED));
    loop {
        list.push(next(reader)?);
        if reader.eat("]]") {
            reader.elements = list.len();
            return Some(list);
        }
        if !reader.eat(",") {
            return None;
        }
    }
}

/// Reads a set in the form in which ovsdb-server writes it.
fn plain_set<A: Atomic>(reader: &mut Reader<'_>) -> Option<SharedSlice<A>> {
    if reader.eat("[\"set\",[") {
        return plain_list(reader, A::read_plain);
    }
    let mut one = SharedSlice::with_capacity(1);
    one.push(A::read_plain(reader)?);
    Some(one)
}

/// Reads a map in the form in which ovsdb-server writes it.
fn plain_map<K: Atomic, V: Atomic>(reader: &mut Reader<'_>) -> Option<SharedSlice<(K, V)>> {
    if !reader.eat("[\"map\",[") {
        return None;
    }
    plain_list(reader, |reader| {
        if !reader.eat("[") {
            return None;
        }
        let key = K::read_plain(reader)?;
        if !reader.eat(",") {
            return None;
        }
        let value = V::read_plain(reader)?;
        reader.eat("]").then_some((key, value))
    })
}

pub(super) fn decode_set<A: Atomic>(reader: &mut Reader<'_>) -> Result<Set<A>> {
    let start = reader.checkpoint();
    if let Some(atoms) = plain_set(reader) {
        return Ok(Set::received(atoms));
    }
    reader.restore(start);
    if !enter_set(reader)? {
        return A::read(reader).map(|atom| Set::from(vec![atom]));
    }
    Ok(elements(reader, A::read)?.into())
}

pub(super) fn decode_map<K: Atomic, V: Atomic>(reader: &mut Reader<'_>) -> Result<Map<K, V>> {
    let start = reader.checkpoint();
    if let Some(pairs) = plain_map(reader) {
        return Ok(Map::received(pairs));
    }
    reader.restore(start);
    Ok(map(reader, K::read, V::read)?.into())
}
