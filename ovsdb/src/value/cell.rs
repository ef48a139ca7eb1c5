//! A column's value in a row of a table known at run time only.

use std::any::Any;
use std::hash::{Hash, Hasher};

use ovsdb_schema::{AtomicType, ColumnType};

use super::collection::{enter_set, map};
use super::json::{DecodeError, DecodeErrorKind, Reader};
use super::prefetch::{Read as _, read_all};
use super::{Atom, Atomic, ColumnKind, ColumnValue, Datum, Map, Prefetch, Real, Set, Str, Uuid};

/// A [`Datum`] with the shape of its column, so that it reads exactly what a compiled type with that
/// shape reads. [`ColumnValue::as_any`] returns the datum.
#[derive(Debug, Clone)]
pub(crate) struct Cell {
    datum: Datum,
    kind: ColumnKind,
}

impl Cell {
    /// An empty cell for a column with this shape.
    pub(crate) fn new(kind: ColumnKind) -> Self {
        let datum = match kind.value {
            Some(_) => Datum::Map(Map::new()),
            None => Datum::empty(),
        };
        Self { datum, kind }
    }

    fn read(&self, reader: &mut Reader<'_>) -> Result<Datum, DecodeError> {
        let datum = match self.kind.value {
            Some(value) => Datum::Map(read_map(reader, self.kind.key, value)?),
            None => Datum::Set(read_set(reader, &self.kind)?),
        };
        Ok(datum)
    }
}

/// Reads an atom of this type from its wire form.
fn read_atom(reader: &mut Reader<'_>, atomic: AtomicType) -> Result<Atom, DecodeError> {
    Ok(match atomic {
        AtomicType::Integer => Atom::Integer(i64::read(reader)?),
        AtomicType::Real => Atom::Real(Real::read(reader)?),
        AtomicType::Boolean => Atom::Boolean(bool::read(reader)?),
        AtomicType::String => Atom::String(Str::read(reader)?),
        AtomicType::Uuid => Atom::Uuid(<Uuid as Atomic>::read(reader)?),
    })
}

fn read_set(reader: &mut Reader<'_>, kind: &ColumnKind) -> Result<Set<Atom>, DecodeError> {
    if !enter_set(reader)? {
        return Ok(Set::from(vec![read_atom(reader, kind.key)?]));
    }
    let mut atoms = Vec::new();
    while reader.element()? {
        if kind.single && !atoms.is_empty() {
            return reader.error(DecodeErrorKind::TooManyElements);
        }
        atoms.push(read_atom(reader, kind.key)?);
    }
    reader.finish()?;
    if kind.scalar && atoms.is_empty() {
        // The compiled types read the default, too.
        atoms.push(Atom::default_of(kind.key));
    }
    Ok(atoms.into())
}

fn read_map(
    reader: &mut Reader<'_>,
    keys: AtomicType,
    values: AtomicType,
) -> Result<Map<Atom, Atom>, DecodeError> {
    let pairs = map(
        reader,
        |reader| read_atom(reader, keys),
        |reader| read_atom(reader, values),
    )?;
    Ok(pairs.into())
}

// Downcasting a cell gives its datum.
impl Prefetch for Cell {
    fn has_counts(&self) -> bool {
        self.datum.counts().is_some()
    }

    fn read_counts(&self, column: &[&dyn ColumnValue]) -> usize {
        read_all(column, |datum: &Datum| datum.counts().unwrap_or(0))
    }

    fn read_elements(&self, column: &[&dyn ColumnValue]) -> usize {
        read_all(column, Datum::elements)
    }
}

impl ColumnValue for Cell {
    fn decode(&mut self, reader: &mut Reader<'_>) -> Result<(), DecodeError> {
        self.datum = self.read(reader)?;
        Ok(())
    }

    fn decode_change(&mut self, reader: &mut Reader<'_>) -> Result<(), DecodeError> {
        self.datum = match (&self.datum, self.read(reader)?) {
            (Datum::Set(set), Datum::Set(change)) if !self.kind.single => {
                Datum::Set(set.toggled(&change))
            }
            (Datum::Map(map), Datum::Map(change)) => Datum::Map(map.patched(change)),
            (_, whole) => whole,
        };
        Ok(())
    }

    fn is_default(&self, server: &ColumnType) -> bool {
        self.datum == Datum::default_of(server)
    }

    fn to_datum(&self) -> Datum {
        self.datum.clone()
    }

    fn as_any(&self) -> &dyn Any {
        &self.datum
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        &mut self.datum
    }

    fn assign(&mut self, other: &dyn ColumnValue) {
        if let Some(other) = other.as_any().downcast_ref::<Datum>() {
            self.datum.clone_from(other);
        }
    }

    fn equals(&self, other: &dyn ColumnValue) -> bool {
        let other = other.as_any().downcast_ref::<Datum>();
        other.is_some_and(|other| self.datum == *other)
    }

    fn includes(&self, parts: &dyn ColumnValue) -> bool {
        match (&self.datum, parts.as_any().downcast_ref::<Datum>()) {
            (Datum::Set(own), Some(Datum::Set(parts))) => {
                parts.iter().all(|part| own.contains(part))
            }
            (Datum::Map(own), Some(Datum::Map(parts))) => {
                parts.iter().all(|(key, value)| own.get(key) == Some(value))
            }
            _ => false,
        }
    }

    fn with_uuids(&self, other: &mut dyn FnMut(Uuid) -> Uuid) -> Box<dyn ColumnValue> {
        let mut cell = self.clone();
        cell.datum = cell.datum.map_atoms(|atom| match atom {
            Atom::Uuid(uuid) => Atom::Uuid(other(uuid)),
            atom => atom,
        });
        Box::new(cell)
    }

    fn hash_into(&self, mut hasher: &mut dyn Hasher) {
        self.datum.hash(&mut hasher);
    }

    /// Calls nothing: a cell does not know to which table its uuids refer.
    fn each_reference(&self, _table: &str, _each: &mut dyn FnMut(Uuid)) {}
}

#[cfg(test)]
mod tests {
    use ovsdb_schema::DatabaseSchema;

    use super::*;
    use crate::value::Value;

    fn decoded(kind: ColumnKind, text: &str) -> Result<Cell, DecodeError> {
        let mut cell = Cell::new(kind);
        let mut reader = Reader::new(text);
        cell.decode(&mut reader)?;
        reader.end()?;
        Ok(cell)
    }

    /// What the compiled type with the same shape reads.
    fn compiled<V: Value>(text: &str) -> Result<Datum, DecodeError> {
        let mut value = V::default();
        let mut reader = Reader::new(text);
        value.decode(&mut reader)?;
        reader.end()?;
        Ok(value.to_datum())
    }

    fn same<V: Value>(texts: &[&str]) {
        for text in texts {
            let compiled = compiled::<V>(text);
            let cell = decoded(V::KIND, text).map(|cell| cell.to_datum());
            assert_eq!(cell.is_ok(), compiled.is_ok(), "{text} as {}", V::KIND);
            if let (Ok(cell), Ok(compiled)) = (cell, compiled) {
                assert_eq!(cell, compiled, "{text} as {}", V::KIND);
            }
        }
    }

    #[test]
    fn a_cell_reads_and_refuses_what_the_compiled_type_does() {
        const UUID: &str = r#"["uuid","f4bb6a91-019b-4612-b6aa-88fc663dd515"]"#;
        let texts = [
            "1",
            "2.5",
            "1e3",
            "true",
            r#""a""#,
            UUID,
            r#"["named-uuid","a"]"#,
            r#"["set",[]]"#,
            r#"["set",[5]]"#,
            r#"[ "set" , [ 2 , 1 , 2 ] ]"#,
            r#"["set",["b","a"]]"#,
            r#"["map",[]]"#,
            r#"["map",[["a",1],["b",2]]]"#,
            r#"["map",[["a","b"]]]"#,
            r#"["map",[["a"]]]"#,
            r#"["set",[],1]"#,
            "[]",
            "{}",
            "null",
            "",
        ];
        same::<i64>(&texts);
        same::<Real>(&texts);
        same::<bool>(&texts);
        same::<Str>(&texts);
        same::<Uuid>(&texts);
        same::<Option<i64>>(&texts);
        same::<Option<Str>>(&texts);
        same::<Set<i64>>(&texts);
        same::<Set<Real>>(&texts);
        same::<Set<Str>>(&texts);
        same::<Set<Uuid>>(&texts);
        same::<Map<Str, i64>>(&texts);
        same::<Map<Str, Str>>(&texts);
    }

    #[test]
    fn cells_compare_parts_and_defaults() {
        let cell = |kind, text| decoded(kind, text).expect("a value");
        let (set, map) = (Set::<i64>::KIND, Map::<Str, Str>::KIND);
        let own = cell(set, "[\"set\",[1,2,3]]");
        assert!(own.includes(&cell(set, "[\"set\",[1,3]]")));
        assert!(!own.includes(&cell(set, "[\"set\",[1,4]]")));
        let own = cell(map, r#"["map",[["a","1"],["b","2"]]]"#);
        assert!(own.includes(&cell(map, r#"["map",[["a","1"]]]"#)));
        assert!(!own.includes(&cell(map, r#"["map",[["a","2"]]]"#)));
        assert!(!own.includes(&cell(set, "[\"set\",[]]")));

        let schema =
            r#"{"name":"D","version":"1.0.0","tables":{"T":{"columns":{"c":{"type":"integer"}}}}}"#;
        let schema = DatabaseSchema::parse(schema).expect("a schema");
        let column = &schema.tables["T"].columns["c"].kind;
        assert!(cell(i64::KIND, "0").is_default(column));
        assert!(!cell(i64::KIND, "1").is_default(column));

        let mut assigned = cell(i64::KIND, "1");
        assigned.assign(&cell(i64::KIND, "7"));
        assert_eq!(assigned.to_datum(), Datum::from(7_i64));

        let state = crate::simulated::HashState::default();
        let hash = |text| {
            let mut hasher = std::hash::BuildHasher::build_hasher(&state);
            cell(set, text).hash_into(&mut hasher);
            hasher.finish()
        };
        assert_eq!(hash("[\"set\",[1,2]]"), hash("[\"set\",[2,1]]"));
        assert_ne!(hash("[\"set\",[1,2]]"), hash("[\"set\",[1,3]]"));
    }

    #[test]
    fn changes_follow_the_shape() {
        let change = |kind, before, change| {
            let mut cell = decoded(kind, before).expect("a value");
            let read = cell.decode_change(&mut Reader::new(change));
            read.expect("a change");
            cell.to_datum().to_string()
        };
        let set = change(Set::<i64>::KIND, "[\"set\",[1,2]]", "[\"set\",[2,3]]");
        assert_eq!(set, "[\"set\",[1,3]]");
        let map = change(
            Map::<Str, Str>::KIND,
            r#"["map",[["a","1"],["b","2"]]]"#,
            r#"["map",[["a","1"],["b","3"]]]"#,
        );
        assert_eq!(map, r#"["map",[["b","3"]]]"#);
        assert_eq!(change(Option::<i64>::KIND, "1", "1"), "1");
        assert_eq!(
            change(Option::<i64>::KIND, "1", "[\"set\",[]]"),
            "[\"set\",[]]"
        );
    }
}
