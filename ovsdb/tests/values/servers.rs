//! Compares values, conditions and mutations on ovsdb-server and on the embedded server with the model.

use std::sync::Arc;

use fastrand::Rng;
use ovsdb::model::AnyColumn;
use ovsdb::protocol::{Function, Mutation, Mutator, Wire as _};
use ovsdb::schema::DatabaseSchema;
use ovsdb::testing::Server;
use ovsdb::transaction::Transaction;
use ovsdb::value::json::Reader;
use ovsdb::value::{Atom, Datum};
use ovsdb::{AnyDatabase, Remote, Uuid};
use serde_json::Value as Json;

use super::codec::{Replicas, of_datum, text, text_of};
use super::draw::{self, Column};
use super::model::{self, Error, FUNCTIONS, Input, MUTATORS, Type, UNLIMITED, Value};
use super::raw::Raw;

/// How many transactions are sent before the replies to them are read.
const BURST: usize = 16;

/// The expected result of an operation.
#[derive(Debug)]
enum Expected {
    Done,
    /// The rows that are found: the `number` of each, and its value in the column of the case.
    Rows(Vec<(i64, Value)>),
    Fails(&'static str),
}

/// A transaction, and the expected results of its operations.
struct Case {
    column: String,
    operations: Vec<String>,
    expected: Vec<Expected>,
}

/// Both servers, with a connection to each.
pub struct Servers {
    pub connections: Vec<(&'static str, Raw)>,
    schema: Arc<DatabaseSchema>,
    _reference: Server,
    _embedded: ovsdb::server::Server,
}

impl Servers {
    pub async fn start(schema: &str) -> Self {
        let reference = Server::builder()
            .schema(schema)
            .start()
            .expect("ovsdb-server");
        let embedded = ovsdb::server::Server::memory(schema).expect("a schema");
        let connections = vec![
            (
                "ovsdb-server",
                Raw::connect(&Remote::unix(reference.socket())).await,
            ),
            (
                "the embedded server",
                Raw::connect(&embedded.remote()).await,
            ),
        ];
        Self {
            connections,
            schema: Arc::new(DatabaseSchema::parse(schema).expect("a schema")),
            _reference: reference,
            _embedded: embedded,
        }
    }

    /// Runs this many transactions. Returns how many results were compared.
    pub async fn run(&mut self, random: &mut Rng, columns: &[Column], count: usize) -> usize {
        let mut compared = 0;
        let needed = draw::needed(random, columns);
        let cases = (0..count).map(|_| self.case(random, columns, &needed));
        let cases: Vec<_> = cases.collect();
        for burst in cases.chunks(BURST) {
            for (server, connection) in &mut self.connections {
                let mut ids = Vec::new();
                for case in burst {
                    let params = format!("[\"Shapes\",{}]", case.operations.join(","));
                    ids.push(connection.send_text("transact", &params).await);
                }
                for (case, id) in burst.iter().zip(ids) {
                    let reply = connection.reply(id).await;
                    compared += case.expected.len();
                    if let Err(difference) = case.compare(&reply["result"]) {
                        panic!("{server}: {difference}\n{}", case.operations.join(",\n"));
                    }
                }
            }
        }
        compared
    }

    /// Draws a transaction on two rows, of which only one column matters.
    fn case(&self, random: &mut Rng, columns: &[Column], needed: &[(String, String)]) -> Case {
        // Arithmetic is an error for most columns.
        let numbers = |column: &&Column| column.of.is_number();
        let Column { name, of } = match random.bool() {
            true => random.choice(columns.iter().filter(numbers).collect::<Vec<_>>()),
            false => random.choice(columns),
        }
        .expect("a column");
        let mut case = Case {
            column: name.clone(),
            operations: Vec::new(),
            expected: Vec::new(),
        };
        case.draw(random, of, needed, &self.schema);
        case
    }
}

impl Case {
    fn draw(
        &mut self,
        random: &mut Rng,
        of: &Type,
        needed: &[(String, String)],
        schema: &Arc<DatabaseSchema>,
    ) {
        let name = self.column.clone();
        let mut rows = vec![(1, of.default()), (2, of.default())];
        for (number, held) in &mut rows {
            let input = draw::input(random, of);
            let mut members = needed.to_vec();
            members.retain(|(column, _)| *column != name);
            let mut read = Ok(of.default());
            if random.usize(..8) > 0 {
                read = model::read(&input, of);
                members.push((name.clone(), input.text()));
            } else if !of.allows(&of.default()) {
                read = Err(Error::Constraint);
            }
            let is_left_out = members.iter().all(|(column, _)| *column != name);
            let written = if is_left_out { Input::Odd("0") } else { input };
            self.check(schema, &read, &written, |txn, datum| {
                let members = members.iter().map(|(column, text)| {
                    let other = || Datum::read(&mut Reader::new(text)).expect("a datum");
                    let datum = if *column == name {
                        datum.clone()
                    } else {
                        other()
                    };
                    (column.as_str(), datum)
                });
                txn.any_table("Shape").insert(members.collect::<Vec<_>>());
            });
            members.push(("number".into(), number.to_string()));
            let members = members
                .iter()
                .map(|(column, text)| format!("\"{column}\":{text}"));
            let members: Vec<_> = members.collect();
            let insert = format!(
                r#"{{"op":"insert","table":"Shape","row":{{{}}}}}"#,
                members.join(",")
            );
            match read {
                Ok(value) => {
                    *held = value;
                    self.add(insert, Expected::Done);
                }
                Err(error) => return self.add(insert, Expected::Fails(error.name())),
            }
        }
        for _ in 0..random.usize(1..8) {
            let function = random.choice(FUNCTIONS).expect("some");
            let input = match random.usize(..4) {
                0 => Input::Odd(Box::leak(text_of(&rows[0].1, of).into_boxed_str())),
                1 => draw::input(
                    random,
                    &Type {
                        min: 0,
                        max: UNLIMITED,
                        ..of.clone()
                    },
                ),
                _ => draw::input(random, of),
            };
            // The value of a row is used as an argument too.
            let read = match &input {
                Input::Odd(odd) if *odd == text_of(&rows[0].1, of) => {
                    model::read_argument(function, &written(&rows[0].1, of), of)
                }
                input => model::read_argument(function, input, of),
            };
            self.check(schema, &read, &input, |txn, datum| {
                let function = Function::from_json(&format!("\"{function}\"")).expect("a function");
                let rows = AnyColumn::new(name.as_str()).compare(function, datum);
                txn.any_table("Shape").delete(rows);
            });
            let select = format!(
                r#"{{"op":"select","table":"Shape","where":[["{name}","{function}",{}],["number",">",0]],"columns":["number","{name}"]}}"#,
                input.text()
            );
            match read {
                Ok(argument) => {
                    let held = rows
                        .iter()
                        .filter(|(_, held)| model::holds(held, function, &argument));
                    let held = held.cloned().collect();
                    self.add(select, Expected::Rows(held));
                }
                Err(error) => return self.add(select, Expected::Fails(error.name())),
            }
        }
        for _ in 0..random.usize(..5) {
            let most = if of.is_number() && random.usize(..4) > 0 {
                5
            } else {
                MUTATORS.len()
            };
            let mutator = MUTATORS[random.usize(..most)];
            let input = draw::operand(random, mutator, of);
            let read = model::read_operand(mutator, &input, of);
            self.check(schema, &read, &input, |txn, datum| {
                let mutator = Mutator::from_json(&format!("\"{mutator}\"")).expect("a mutator");
                let mutation = Mutation::new(name.as_str(), mutator, datum);
                txn.any_table("Shape")
                    .mutate(AnyColumn::new("number").eq(1), [mutation]);
            });
            let mutate = format!(
                r#"{{"op":"mutate","table":"Shape","where":[["number","==",1]],"mutations":[["{name}","{mutator}",{}]]}}"#,
                input.text()
            );
            let held = &rows[0].1;
            let in_doubt = |operand| model::is_product_in_doubt(held, mutator, operand);
            if read.as_ref().is_ok_and(in_doubt) {
                continue;
            }
            match read.and_then(|operand| model::mutated(held, mutator, &operand, of)) {
                Ok(value) => {
                    rows[0].1 = value;
                    self.add(mutate, Expected::Done);
                    let select = format!(
                        r#"{{"op":"select","table":"Shape","where":[["number","==",1]],"columns":["number","{name}"]}}"#
                    );
                    self.add(select, Expected::Rows(vec![rows[0].clone()]));
                }
                Err(error) => return self.add(mutate, Expected::Fails(error.name())),
            }
        }
        self.add(r#"{"op":"abort"}"#.to_owned(), Expected::Fails("aborted"));
    }

    fn add(&mut self, operation: String, expected: Expected) {
        self.operations.push(operation);
        self.expected.push(expected);
    }

    /// The client's own check refuses exactly what a server would refuse, except where noted below.
    fn check(
        &self,
        schema: &Arc<DatabaseSchema>,
        read: &Result<Value, Error>,
        input: &Input,
        write: impl Fn(&mut Transaction<AnyDatabase>, Datum),
    ) {
        let written = input.text();
        let Ok(datum) = Datum::read(&mut Reader::new(&written)) else {
            assert!(read.is_err(), "{written}");
            return;
        };
        let is_rounded = has_whole_real(&datum);
        let mut txn = Transaction::<AnyDatabase>::detached_for(schema.clone());
        write(&mut txn, datum);
        let checked = txn.check();
        match read {
            Ok(_) => assert!(checked.is_ok(), "{} {written}: {checked:?}", self.column),
            // A datum has no duplicates, the name of a row may be any string, and a real that was
            // rounded to a whole number is written as that number.
            Err(Error::Duplicate) => {}
            Err(_) if is_rounded => {}
            Err(_) if written.contains("named-uuid") || has_twice(input) => {}
            Err(error) => assert!(checked.is_err(), "{} {written}: {error:?}", self.column),
        }
    }

    fn compare(&self, results: &Json) -> Result<(), String> {
        for (at, expected) in self.expected.iter().enumerate() {
            let result = &results[at];
            let is_so = match expected {
                Expected::Done => result.is_object() && result.get("error").is_none(),
                Expected::Fails(error) => result["error"] == *error,
                Expected::Rows(rows) => {
                    let found = result["rows"].as_array().map_or(&[][..], Vec::as_slice);
                    found.len() == rows.len()
                        && result["rows"].is_array()
                        && rows.iter().all(|(number, value)| {
                            let row = found.iter().find(|row| row["number"] == *number);
                            row.is_some_and(|row| is_near(&row[&self.column], value))
                        })
                }
            };
            if !is_so {
                let expected = match expected {
                    Expected::Rows(rows) => {
                        let rows = rows
                            .iter()
                            .map(|(number, value)| format!("{number}: {}", text(value)));
                        rows.collect::<Vec<_>>().join(", ")
                    }
                    other => format!("{other:?}"),
                };
                return Err(format!(
                    "operation {at} results in {result}, not in {expected}"
                ));
            }
        }
        Ok(())
    }
}

/// Whether the text has an element or a key twice, which a datum has only once.
fn has_twice(input: &Input) -> bool {
    let written = match input {
        Input::Set(atoms) => atoms.len(),
        Input::Map(pairs) => pairs.len(),
        _ => return false,
    };
    let text = input.text();
    Datum::read(&mut Reader::new(&text)).is_ok_and(|datum| datum.len() < written)
}

fn has_whole_real(datum: &Datum) -> bool {
    let is_whole = |atom: &Atom| matches!(atom, Atom::Real(real) if real.get().fract() == 0.0);
    match datum {
        Datum::Set(set) => set.iter().any(is_whole),
        Datum::Map(map) => map
            .iter()
            .any(|(key, value)| is_whole(key) || is_whole(value)),
    }
}

/// A value as an input.
fn written(value: &Value, of: &Type) -> Input {
    let atom = |atom: &model::Atom| model::Written {
        text: String::new(),
        is: Some(atom.clone()),
    };
    match of.value {
        Some(_) => {
            let pairs = value.iter();
            let pairs = pairs.map(|(k, v)| (atom(k), atom(v.as_ref().expect("a value"))));
            Input::Map(pairs.collect())
        }
        None if value.len() == 1 => Input::One(atom(&value[0].0)),
        None => Input::Set(value.iter().map(|(key, _)| atom(key)).collect()),
    }
}

/// Whether JSON is this value. Reals may differ by 1e-13 of their size, since ovsdb-server writes 15 digits.
fn is_near(json: &Json, value: &Value) -> bool {
    // Not read as a `Datum`, which would merge two reals of a set that are equal in 15 digits.
    let parts = match (json[0].as_str(), json[1].as_array()) {
        (Some("set"), Some(atoms)) => atoms
            .iter()
            .map(|atom| Some((atom_of(atom)?, None)))
            .collect(),
        (Some("map"), Some(pairs)) => {
            let pairs = pairs.iter();
            pairs
                .map(|pair| Some((atom_of(&pair[0])?, Some(atom_of(&pair[1])?))))
                .collect()
        }
        _ => atom_of(json).map(|atom| vec![(atom, None)]),
    };
    parts.is_some_and(|parts| near(&parts, value))
}

fn atom_of(json: &Json) -> Option<model::Atom> {
    Some(match json {
        Json::Bool(boolean) => model::Atom::Boolean(*boolean),
        Json::String(text) => model::Atom::String(text.clone()),
        Json::Number(number) => match number.as_i64() {
            Some(integer) => model::Atom::Integer(integer),
            None => model::Atom::Real(number.as_f64()?),
        },
        other if other[0] == "uuid" => model::Atom::Uuid(other[1].as_str()?.to_owned()),
        _ => return None,
    })
}

#[allow(clippy::cast_precision_loss)]
fn near(found: &Value, value: &Value) -> bool {
    use model::Atom;
    let number = |atom: &Atom| match atom {
        Atom::Integer(integer) => Some(*integer as f64),
        Atom::Real(real) => Some(*real),
        _ => None,
    };
    let atoms = |a: &Atom, b: &Atom| match (a, b) {
        (a, Atom::Real(b)) => number(a).is_some_and(|a| (a - b).abs() <= 1e-13 * b.abs()),
        (a, b) => a == b,
    };
    found.len() == value.len()
        && value.iter().all(|(key, value)| {
            found.iter().any(|(own, of_own)| {
                atoms(own, key)
                    && match (of_own, value) {
                        (Some(own), Some(value)) => atoms(own, value),
                        (own, value) => own.is_none() && value.is_none(),
                    }
            })
        })
}

/// The value after the commit: references to rows that do not exist are refused, or removed.
fn committed(value: &Value, of: &Type) -> Result<Value, Error> {
    let missing = model::Atom::Uuid(draw::target(draw::TARGETS));
    let refers = |base: Option<&model::Base>, atom: Option<&model::Atom>, is_strong| {
        base.is_some_and(|base| base.reference == Some(is_strong)) && atom == Some(&missing)
    };
    let dangles = |(k, v): &(model::Atom, Option<model::Atom>), is_strong| {
        refers(Some(&of.key), Some(k), is_strong)
            || refers(of.value.as_ref(), v.as_ref(), is_strong)
    };
    if value.iter().any(|pair| dangles(pair, true)) {
        return Err(Error::Reference);
    }
    let kept: Value = value
        .iter()
        .filter(|pair| !dangles(pair, false))
        .cloned()
        .collect();
    if kept.len() < of.min {
        return Err(Error::Constraint);
    }
    Ok(kept)
}

/// Changes a row this many times on each server. The difference that the server sends for each change
/// equals the model's, and gives a replica the model's value.
pub async fn differences(random: &mut Rng, columns: &[Column], schema: &str, count: usize) {
    let mut servers = Servers::start(schema).await;
    let parsed = servers.schema.clone();
    for (server, connection) in &mut servers.connections {
        let mut random = random.fork();
        let is_exact = *server != "ovsdb-server";
        let (row, mut held) = insert(connection, &mut random, columns).await;
        let mut replicas = Replicas::new(&parsed);
        let mut params = String::new();
        let request = replicas.compiled.request();
        request.write_params(&mut params).expect("parameters");
        let reply = connection.send_text(request.method(), &params).await;
        let reply = loop {
            let text = connection.text().await.expect("a message");
            let message: Json = serde_json::from_str(&text).expect("JSON");
            if message["id"] == reply {
                break text;
            }
        };
        assert!(replicas.receive(&reply), "{reply}");
        for _ in 0..count {
            let at = random.usize(..columns.len());
            let Column { name, of } = &columns[at];
            let (input, value) = draw::valid(&mut random, of);
            let expected = committed(&value, of);
            let update = format!(
                r#"["Shapes",{{"op":"update","table":"Shape","where":[],"row":{{"{name}":{}}}}}]"#,
                input.text()
            );
            let context = format!(
                "{server}, {name}: {} after {}",
                input.text(),
                text(&held[at])
            );
            let id = connection.send_text("transact", &update).await;
            let mut told = None;
            let reply = loop {
                let text = connection.text().await.expect("a message");
                // Reals pass through serde_json almost unchanged.
                let message: Json = serde_json::from_str(&text).expect("JSON");
                if message["id"] == id {
                    break message;
                }
                assert!(replicas.receive(&text), "{context}: {text}");
                let params = &message["params"];
                told = Some(params[2]["Shape"][row.to_string()]["modify"][name].clone());
            };
            let error = reply["result"][1]["error"].as_str();
            match expected {
                Err(expected) => {
                    assert_eq!(error, Some(expected.name()), "{context}: {reply}");
                    assert_eq!(told, None, "{context}");
                    continue;
                }
                Ok(value) => {
                    assert_eq!(error, None, "{context}: {reply}");
                    let difference = model::difference(&held[at], &value);
                    let is_same = model::same(&held[at], &value);
                    assert_eq!(told.is_none(), is_same, "{context}: {told:?}, {reply}");
                    if let Some(told) = told {
                        let expected = if of.has_differences() {
                            &difference
                        } else {
                            &value
                        };
                        assert!(is_near(&told, expected), "{context}: {told}");
                    }
                    held[at] = value;
                }
            }
            for datum in replicas.datums(row, name) {
                let found = of_datum(&datum);
                let is_so = match is_exact {
                    true => model::same(&found, &held[at]),
                    false => near(&found, &held[at]),
                };
                assert!(is_so, "{context}: {datum}");
            }
        }
    }
}

/// Inserts the rows that references refer to, and a row that refers to them. Returns its uuid and its
/// values.
async fn insert(connection: &mut Raw, random: &mut Rng, columns: &[Column]) -> (Uuid, Vec<Value>) {
    let mut operations = vec!["\"Shapes\"".to_owned()];
    for number in 0..draw::TARGETS {
        operations.push(format!(
            r#"{{"op":"insert","table":"Target","row":{{}},"uuid":"{}"}}"#,
            draw::target(number)
        ));
    }
    let mut held = Vec::new();
    let mut members = Vec::new();
    for Column { name, of } in columns {
        let (input, value) = loop {
            let (input, value) = draw::valid(random, of);
            if let Ok(value) = committed(&value, of) {
                break (input, value);
            }
        };
        members.push(format!("\"{name}\":{}", input.text()));
        held.push(value);
    }
    operations.push(format!(
        r#"{{"op":"insert","table":"Shape","row":{{{}}}}}"#,
        members.join(",")
    ));
    let id = connection
        .send_text("transact", &format!("[{}]", operations.join(",")))
        .await;
    let reply = connection.reply(id).await;
    let uuid = reply["result"][draw::TARGETS as usize]["uuid"][1].as_str();
    let uuid = uuid.unwrap_or_else(|| panic!("{reply}"));
    (uuid.parse().expect("a uuid"), held)
}
