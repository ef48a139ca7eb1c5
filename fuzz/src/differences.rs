//! The fuzz target `differences`: the rows after updates, compared with a model.

#![allow(unreachable_pub, reason = "a module of two crates")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use ovsdb::schema::{AtomicType, ColumnType, DatabaseSchema};
use ovsdb::testing::{Replay, ReplayError};
use ovsdb::value::{Atom, Datum};
use ovsdb::{AnyDatabase, Snapshot, Uuid};

use super::inventory::Database;
use super::wire::indexes_agree;

/// How many messages an input has at most: more take longer and reach no other code.
const MESSAGES: usize = 12;

static SCHEMA: LazyLock<DatabaseSchema> = LazyLock::new(|| {
    let schema = include_str!("../../ovsdb/tests/files/inventory.ovsschema");
    DatabaseSchema::parse(schema).expect("a good schema")
});

/// After any updates of any rows, a replica has the same rows as a model, in compiled tables and in tables
/// that are known only at run time. When a message is refused, the rows stay as they were.
///
/// The bytes of the input choose the messages ([`Choices`]).
///
/// # Panics
/// When the rows differ from the model's, when one of the replicas refuses or accepts a message against the model, or
/// when an index does not agree with its rows.
pub fn differences(data: &[u8]) {
    let mut choices = Choices { rest: data };
    let mut compiled = Replay::<Database>::new(&SCHEMA);
    let mut named = Replay::<AnyDatabase>::any_tables(&SCHEMA);
    let mut model = Model::default();
    for _ in 0..MESSAGES {
        if choices.rest.is_empty() {
            return;
        }
        let message = model.message(&mut choices);
        let applied = [
            compiled.receive(&message.text),
            named.receive(&message.text),
        ];
        for applied in applied {
            assert_eq!(
                applied.is_ok(),
                message.fits,
                "{applied:?} of {}",
                message.text
            );
            if matches!(applied, Err(ReplayError::Apply(_))) {
                model.last = None;
            }
        }
        assert_eq!(rows(&compiled.snapshot()), model.rows, "{}", message.text);
        assert_eq!(rows(&named.snapshot()), model.rows, "{}", message.text);
        indexes_agree(&compiled.snapshot());
    }
}

/// The value of a column: its elements, or its keys with their values, in their JSON form.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Held {
    Set(BTreeSet<String>),
    Map(BTreeMap<String, String>),
}

type Columns = BTreeMap<String, Held>;
type Rows = BTreeMap<(String, Uuid), Columns>;

/// The rows of a view.
fn rows<D: ovsdb::Database>(view: &Snapshot<D>) -> Rows {
    let mut rows = Rows::new();
    for table in view.table_names() {
        for row in view.any_rows(table).into_iter().flatten() {
            let columns = row.values().map(|(name, value)| {
                let held = match value.to_datum() {
                    Datum::Set(set) => Held::Set(set.iter().map(Atom::to_string).collect()),
                    Datum::Map(map) => {
                        let pairs = map.iter();
                        Held::Map(pairs.map(|(k, v)| (k.to_string(), v.to_string())).collect())
                    }
                };
                (name.to_owned(), held)
            });
            rows.insert((table.to_owned(), row.uuid()), columns.collect());
        }
    }
    rows
}

/// The bytes of the input. Each byte makes a choice; after the last byte, the first option is chosen.
struct Choices<'a> {
    rest: &'a [u8],
}

impl Choices<'_> {
    /// Chooses one of this many options. Callers put the usual ones first.
    fn of(&mut self, count: usize) -> usize {
        let Some((first, rest)) = self.rest.split_first() else {
            return 0;
        };
        self.rest = rest;
        usize::from(*first) % count
    }

    fn one_in(&mut self, count: usize) -> bool {
        self.of(count) == count - 1
    }

    fn pick<'t, T>(&mut self, all: &'t [T]) -> &'t T {
        &all[self.of(all.len())]
    }
}

/// A message, and whether it can be applied to the rows before it.
struct Message {
    text: String,
    fits: bool,
}

/// The expected rows.
#[derive(Default)]
struct Model {
    rows: Rows,
    /// The transaction from which a monitor is resumed; none after a message that was parsed and cannot be
    /// applied. A message that cannot be parsed changes nothing.
    last: Option<Uuid>,
}

impl Model {
    /// Draws a message, and applies it if it fits.
    fn message(&mut self, choices: &mut Choices<'_>) -> Message {
        let method = *choices.pick(&["update2", "update3", "start", "update"]);
        let txn = Uuid::from_u128(choices.of(3) as u128);
        let found = method == "start" && choices.one_in(2);
        let resumed = found && self.last.is_some_and(|last| !last.is_nil());
        let mut draft = Draft {
            choices,
            rows: self.rows.clone(),
            fits: true,
        };
        if method == "start" && !resumed {
            draft.rows.clear();
        }
        let updates = draft.updates(method == "update");
        let text = match method {
            "start" => {
                format!(r#"{{"id":1,"error":null,"result":[{found},"{txn}",{updates}]}}"#)
            }
            "update3" => {
                format!(r#"{{"id":null,"method":"update3","params":[1,"{txn}",{updates}]}}"#)
            }
            other => format!(r#"{{"id":null,"method":"{other}","params":[1,{updates}]}}"#),
        };
        let Draft { rows, fits, .. } = draft;
        if fits {
            self.rows = rows;
            match method {
                "start" => self.last = Some(txn),
                // Before the first start, there is nothing to resume.
                "update3" => self.last = self.last.map(|_| txn),
                _ => {}
            }
        }
        Message { text, fits }
    }
}

/// A message that is being drawn.
struct Draft<'c, 'd> {
    choices: &'c mut Choices<'d>,
    rows: Rows,
    fits: bool,
}

impl Draft<'_, '_> {
    fn updates(&mut self, is_update: bool) -> String {
        let mut tables = Vec::new();
        for _ in 0..self.choices.of(4) {
            let table = *self.choices.pick(&["Item", "Item", "Part", "Slot", "None"]);
            self.fits &= table != "None";
            let mut changes = Vec::new();
            for _ in 0..self.choices.of(4) {
                let uuid = Uuid::from_u128(0xa0 + self.choices.of(4) as u128);
                let change = if is_update {
                    self.row_update(table, uuid)
                } else {
                    self.row_update2(table, uuid)
                };
                changes.push(format!("\"{uuid}\":{change}"));
            }
            tables.push(format!("\"{table}\":{{{}}}", changes.join(",")));
        }
        format!("{{{}}}", tables.join(","))
    }

    /// The change of a row in the form of `update2` (ovsdb-server(7), "Update2 Notification").
    fn row_update2(&mut self, table: &str, uuid: Uuid) -> String {
        let kind = *self
            .choices
            .pick(&["modify", "insert", "delete", "initial", "new"]);
        let place = (table.to_owned(), uuid);
        let (text, columns) = match kind {
            "delete" => ("null".to_owned(), Columns::new()),
            _ => self.columns(table),
        };
        match kind {
            "insert" | "initial" => {
                let new = whole(table, columns);
                self.fits &= self.rows.insert(place, new).is_none();
            }
            "delete" => self.fits &= self.rows.remove(&place).is_some(),
            "modify" => match self.rows.get_mut(&place) {
                Some(row) => {
                    for (name, change) in columns {
                        let kind = &SCHEMA.tables[table].columns[&name].kind;
                        row.entry(name).and_modify(|held| apply(held, change, kind));
                    }
                }
                None => self.fits = false,
            },
            _ => self.fits = false,
        }
        match self.choices.of(32) {
            30 => {
                self.fits = false;
                "{}".to_owned()
            }
            31 => {
                self.fits = false;
                format!("{{\"{kind}\":{text},\"{kind}\":{text}}}")
            }
            _ => format!("{{\"{kind}\":{text}}}"),
        }
    }

    /// The change of a row in the form of `update` (RFC 7047 section 4.1.6).
    fn row_update(&mut self, table: &str, uuid: Uuid) -> String {
        let place = (table.to_owned(), uuid);
        let kind = self.choices.of(3);
        if kind == 2 {
            self.fits &= self.rows.remove(&place).is_some();
            // The replica ignores the values of the deleted row.
            return "{\"old\":{\"name\":1}}".to_owned();
        }
        let (text, columns) = self.columns(table);
        match kind {
            0 => {
                self.fits &= self.rows.insert(place, whole(table, columns)).is_none();
                format!("{{\"new\":{text}}}")
            }
            _ => {
                self.fits &= self.rows.insert(place, whole(table, columns)).is_some();
                format!("{{\"old\":{{}},\"new\":{text}}}")
            }
        }
    }

    /// Some columns of a table: their JSON, and their values.
    fn columns(&mut self, table: &str) -> (String, Columns) {
        let mut members = Vec::new();
        let mut columns = Columns::new();
        let Some(schema) = SCHEMA.tables.get(table) else {
            return ("{}".to_owned(), columns);
        };
        let names: Vec<&String> = schema.columns.keys().collect();
        for _ in 0..self.choices.of(4) {
            let name = *self.choices.pick(&names);
            if columns.contains_key(name) {
                continue;
            }
            let (text, held) = self.value(&schema.columns[name].kind);
            members.push(format!("\"{name}\":{text}"));
            match held {
                Some(held) => drop(columns.insert(name.clone(), held)),
                None => {
                    self.fits = false;
                    break;
                }
            }
        }
        if self.choices.of(64) == 63 {
            members.push("\"none\":1".to_owned());
            self.fits = false;
        }
        (format!("{{{}}}", members.join(",")), columns)
    }

    /// A value for a column: its JSON, and the value if the column can hold it.
    fn value(&mut self, kind: &ColumnType) -> (String, Option<Held>) {
        const WRONG: [&str; 5] = ["null", "{}", "[]", "[\"set\",1]", "[\"map\",[[1]]]"];
        if self.choices.of(64) == 63 {
            return ((*self.choices.pick(&WRONG)).to_owned(), None);
        }
        let count = self.choices.of(4);
        let keys: Vec<_> = (0..count.max(1))
            .map(|_| self.atom(kind.key.atomic))
            .collect();
        if let Some(value) = &kind.value {
            let pairs = keys
                .into_iter()
                .take(count)
                .map(|key| (key, self.atom(value.atomic)));
            let pairs: Vec<_> = pairs.collect();
            let texts = pairs
                .iter()
                .map(|((key, _), (value, _))| format!("[{key},{value}]"));
            let text = format!("[\"map\",[{}]]", texts.collect::<Vec<_>>().join(","));
            // If two pairs have the same key, the last one wins.
            let pairs = pairs
                .into_iter()
                .map(|((_, key), (_, value))| Some((key?, value?)));
            return (text, pairs.collect::<Option<_>>().map(Held::Map));
        }
        let is_lone = count == 1 && !self.choices.one_in(2);
        let (texts, atoms): (Vec<_>, Vec<_>) = keys.into_iter().take(count).unzip();
        let text = if is_lone {
            texts.concat()
        } else {
            format!("[\"set\",[{}]]", texts.join(","))
        };
        let mut held = atoms.into_iter().collect::<Option<BTreeSet<_>>>();
        if kind.max.is_one() && count > 1 {
            held = None;
        }
        if let Some(held) = &mut held
            && kind.is_scalar()
            && held.is_empty()
        {
            held.insert(Atom::default_of(kind.key.atomic).to_string());
        }
        (text, held.map(Held::Set))
    }

    /// An atom as the server sends it, and as the client writes it; `None` if it is not of this type.
    fn atom(&mut self, atomic: AtomicType) -> (String, Option<String>) {
        let atoms: &[(&str, &str)] = match atomic {
            AtomicType::Integer => &[
                ("1", "1"),
                ("2", "2"),
                ("-3", "-3"),
                ("1e2", "100"),
                ("2.0", "2"),
                ("-9223372036854775808", "-9223372036854775808"),
                ("9223372036854775808", ""),
                ("0.5", ""),
            ],
            AtomicType::Real => &[
                ("0.5", "0.5"),
                ("-0.0", "0.0"),
                ("2", "2.0"),
                ("2e0", "2.0"),
                ("1e300", "1e300"),
                ("5e-324", "5e-324"),
                ("true", ""),
                ("1e999", ""),
            ],
            AtomicType::Boolean => &[("true", "true"), ("false", "false"), ("1", "")],
            AtomicType::String => &[
                ("\"a\"", "\"a\""),
                ("\"\\u0062\"", "\"b\""),
                ("\"\"", "\"\""),
                ("\"\\ud83d\\ude00\\n\"", "\"\u{1f600}\\n\""),
                ("\"small\"", "\"small\""),
                ("\"\\ud83d\"", ""),
                ("1", ""),
            ],
            AtomicType::Uuid => {
                let uuid = Uuid::from_u128(0xa0 + self.choices.of(3) as u128);
                let written = format!("[\"uuid\",\"{uuid}\"]");
                return match self.choices.of(32) {
                    31 => ("[\"named-uuid\",\"a\"]".to_owned(), None),
                    30 => ("[\"uuid\",\"a\"]".to_owned(), None),
                    29 => (
                        format!("[ \"uuid\", \"{}\"]", uuid.to_string().to_uppercase()),
                        Some(written),
                    ),
                    _ => (written.clone(), Some(written)),
                };
            }
        };
        // Atoms that do not fit the type come last, and have no written form.
        let at = self.choices.of(atoms.len() * 8) / 8;
        let (text, written) = atoms[at];
        let fits = !written.is_empty() || text == "\"\"";
        (text.to_owned(), fits.then(|| written.to_owned()))
    }
}

/// A new row with these columns; the others have their defaults.
fn whole(table: &str, mut columns: Columns) -> Columns {
    if let Some(schema) = SCHEMA.tables.get(table) {
        for (name, column) in &schema.columns {
            let kind = &column.kind;
            let atom = (kind.min == 1).then(|| Atom::default_of(kind.key.atomic).to_string());
            columns
                .entry(name.clone())
                .or_insert_with(|| match kind.value {
                    Some(_) => Held::Map(BTreeMap::new()),
                    None => Held::Set(atom.into_iter().collect()),
                });
        }
    }
    columns
}

/// Applies a difference to the value of a column.
fn apply(held: &mut Held, change: Held, kind: &ColumnType) {
    match (held, change) {
        (Held::Map(held), Held::Map(change)) => {
            for (key, value) in change {
                if held.get(&key) == Some(&value) {
                    held.remove(&key);
                } else {
                    held.insert(key, value);
                }
            }
        }
        (Held::Set(held), Held::Set(change)) if !kind.max.is_one() => {
            *held = held.symmetric_difference(&change).cloned().collect();
        }
        (held, change) => *held = change,
    }
}
