//! Compares how this library reads, writes and compares values with the model, without a server.

use fastrand::Rng;
use ovsdb::model::AllOf;
use ovsdb::schema::DatabaseSchema;
use ovsdb::testing::Replay;
use ovsdb::value::json::Reader;
use ovsdb::value::{Atom as Read, Datum};
use ovsdb::{AnyDatabase, Row, Uuid};

use super::compiled::{self, Shapes};
use super::draw::{self, Column};
use super::model::{self, Atom, Atomic, FUNCTIONS, Input, Type, Value};

/// The model's value for a datum.
pub fn of_datum(datum: &Datum) -> Value {
    let mut value: Value = match datum {
        Datum::Set(set) => set.iter().map(|atom| (of_atom(atom), None)).collect(),
        Datum::Map(map) => {
            let pairs = map.iter();
            pairs.map(|(k, v)| (of_atom(k), Some(of_atom(v)))).collect()
        }
    };
    value.sort_by(|(a, _), (b, _)| a.order(b));
    value
}

fn of_atom(atom: &Read) -> Atom {
    match atom {
        Read::Integer(integer) => Atom::Integer(*integer),
        Read::Real(real) => Atom::Real(real.get()),
        Read::Boolean(boolean) => Atom::Boolean(*boolean),
        Read::String(text) => Atom::String(text.to_string()),
        Read::Uuid(uuid) => Atom::Uuid(uuid.to_string()),
        Read::NamedUuid(name) => panic!("the name {name}"),
    }
}

/// The text of a value, in the form in which servers write it.
pub fn text(value: &Value) -> String {
    let parts = value.iter().map(|(key, value)| match value {
        Some(value) => format!("[{},{}]", key.text(), value.text()),
        None => key.text(),
    });
    let parts: Vec<_> = parts.collect();
    match &value[..] {
        [(_, None)] => parts.concat(),
        [(_, Some(_)), ..] => format!("[\"map\",[{}]]", parts.join(",")),
        _ => format!("[\"set\",[{}]]", parts.join(",")),
    }
}

/// Like [`text`], for a column of this type: an empty map is not an empty set.
pub fn text_of(value: &Value, of: &Type) -> String {
    if value.is_empty() && of.value.is_some() {
        return "[\"map\",[]]".to_owned();
    }
    text(value)
}

/// The value as a client accepts it from a server: with the right types and the right shape, whatever
/// the limits of the type.
fn taken(input: &Input, of: &Type) -> Option<Value> {
    let mut value: Value = match (input, &of.value) {
        (Input::One(atom), None) => vec![(model::typed(atom, of.key.atomic)?, None)],
        (Input::Set(atoms), None) if atoms.len() <= 1 || of.max > 1 => {
            let atoms = atoms.iter().map(|atom| model::typed(atom, of.key.atomic));
            atoms
                .map(|atom| Some((atom?, None)))
                .collect::<Option<_>>()?
        }
        (Input::Map(pairs), Some(value)) => {
            let pairs = pairs.iter().map(|(k, v)| {
                let value = model::typed(v, value.atomic)?;
                Some((model::typed(k, of.key.atomic)?, Some(value)))
            });
            pairs.collect::<Option<_>>()?
        }
        _ => return None,
    };
    if value.is_empty() && of.is_scalar() {
        return Some(of.default());
    }
    // If two pairs have the same key, the last one wins.
    value.reverse();
    value.sort_by(|(a, _), (b, _)| a.order(b));
    value.dedup_by(|(a, _), (b, _)| a.is(b));
    Some(value)
}

/// Fails unless the datum is exactly this value.
fn assert_is(datum: &Datum, value: &Value, context: &str) {
    assert!(
        model::same(&of_datum(datum), value),
        "{datum} instead of {} {context}",
        text(value)
    );
}

/// Replicas of rows with these columns: in compiled tables, and in tables known at run time only.
pub struct Replicas {
    pub compiled: Replay<Shapes>,
    pub named: Replay<AnyDatabase>,
}

pub const ROW: Uuid = Uuid::from_u128(7);

impl Replicas {
    pub fn new(schema: &DatabaseSchema) -> Self {
        Self {
            compiled: Replay::new(schema),
            named: Replay::any_tables(schema),
        }
    }

    /// Both accept a message, or both refuse it.
    pub fn receive(&mut self, message: &str) -> bool {
        let compiled = self.compiled.receive(message);
        let named = self.named.receive(message);
        assert_eq!(
            compiled.is_ok(),
            named.is_ok(),
            "{compiled:?}, {named:?}: {message}"
        );
        compiled.is_ok()
    }

    /// The values of a column in both, for the row with this uuid.
    pub fn datums(&self, row: Uuid, column: &str) -> [Datum; 2] {
        let view = self.compiled.snapshot();
        let mut rows = view.any_rows("Shape").expect("the table");
        let found = rows.find(|found| found.uuid() == row).expect("the row");
        let compiled = found.get(column).expect("the column").to_datum();
        let view = self.named.snapshot();
        let mut rows = view.any_rows("Shape").expect("the table");
        let found = rows.find(|found| found.uuid() == row).expect("the row");
        [compiled, found.get(column).expect("the column").to_datum()]
    }

    fn row(&mut self, kind: &str, column: &str, text: &str) -> bool {
        self.receive(&format!(
            r#"{{"id":null,"method":"update2","params":[1,{{"Shape":{{"{ROW}":{{"{kind}":{{"{column}":{text}}}}}}}}}]}}"#
        ))
    }

    fn delete(&mut self) {
        let deleted = self.receive(&format!(
            r#"{{"id":null,"method":"update2","params":[1,{{"Shape":{{"{ROW}":{{"delete":null}}}}}}]}}"#
        ));
        assert!(deleted);
    }
}

/// One case: a column, values for it, and the results.
pub fn case(random: &mut Rng, columns: &[Column], replicas: &mut Replicas) {
    let Column { name, of } = random.choice(columns).expect("a column");
    reading(random, name, of, replicas);
    differences(random, name, of, replicas);
    conditions(random, name, of);
}

/// The value that is read equals the one that was written, and it is written in a form that can be
/// read again.
fn reading(random: &mut Rng, name: &str, of: &Type, replicas: &mut Replicas) {
    let input = draw::input(random, of);
    let written = input.text();
    let expected = taken(&input, of);
    let context = format!("in {name}: {written}");
    let compiled = compiled::row(name, &written);
    assert_eq!(compiled.is_some(), expected.is_some(), "{context}");
    assert_eq!(
        replicas.row("insert", name, &written),
        expected.is_some(),
        "{context}"
    );
    let (Some(value), Some((_, datum))) = (expected, compiled) else {
        return;
    };
    assert_is(&datum, &value, &context);
    for held in replicas.datums(ROW, name) {
        assert_is(&held, &value, &context);
    }
    replicas.delete();
    // The library writes it in the form in which servers do, to the last digit.
    let again = datum.to_string();
    let read = Datum::read(&mut Reader::new(&again)).expect("a datum");
    assert_eq!(read, datum, "{context}");
    let (_, read) = compiled::row(name, &again).expect("the same type");
    assert_is(&read, &value, &context);
    let plain: serde_json::Value = serde_json::from_str(&again).expect("JSON");
    let expected: serde_json::Value = serde_json::from_str(&text_of(&value, of)).expect("JSON");
    if of.key.atomic != Atomic::Real {
        // Reals may be written in several ways; the library sorts keys in its own order.
        assert_eq!(unordered(plain), unordered(expected), "{context}");
    }
}

/// The JSON of a value, with the elements of its set or map sorted by their text.
fn unordered(mut json: serde_json::Value) -> serde_json::Value {
    if let Some(parts) = json.get_mut(1).and_then(serde_json::Value::as_array_mut) {
        parts.sort_by_key(ToString::to_string);
    }
    json
}

/// The difference of two values, applied to the first, gives the second.
fn differences(random: &mut Rng, name: &str, of: &Type, replicas: &mut Replicas) {
    let (input, old) = draw::valid(random, of);
    let (_, new) = draw::valid(random, of);
    let difference = model::difference(&old, &new);
    assert!(model::same(&model::changed(&old, &difference), &new));
    if model::same(&old, &new) {
        return;
    }
    let told = if of.has_differences() {
        &difference
    } else {
        &new
    };
    let told = text_of(told, of);
    let inserted = replicas.row("insert", name, &input.text());
    assert!(inserted, "{name}: {}", input.text());
    assert!(replicas.row("modify", name, &told), "{name}: {told}");
    let context = format!("in {name} after {} and {told}", input.text());
    for held in replicas.datums(ROW, name) {
        assert_is(&held, &new, &context);
    }
    replicas.delete();
}

/// The library evaluates a condition on a row as a server does.
fn conditions(random: &mut Rng, name: &str, of: &Type) {
    let (input, value) = draw::valid(random, of);
    let read = compiled::row(name, &input.text());
    let (row, _) = read.unwrap_or_else(|| panic!("{name} of {}", input.text()));
    let row = Row::new(ROW, row);
    let function = random.choice(FUNCTIONS).expect("some");
    let argument = match random.usize(..3) {
        0 => input.clone(),
        _ => draw::input(random, of),
    };
    let Ok(read) = model::read_argument(function, &argument, of) else {
        return;
    };
    let Some(condition) = compiled::clause(name, function, &argument.text()) else {
        // A program cannot write this condition: the types of columns are stricter than the server's rules.
        assert!(
            matches!(function, "includes" | "excludes"),
            "{function} of {name}"
        );
        return;
    };
    let context = format!("{name} {function} {}, of {}", argument.text(), input.text());
    let holds = model::holds(&value, function, &read);
    assert_eq!(AllOf::from(condition).holds_for(&row), holds, "{context}");
}
