//! Draws random schemas with a column of every shape, and values that fit a column or do not.

use fastrand::Rng;

use super::model::{Atom, Atomic, Base, Error, Input, Type, UNLIMITED, Value, Written, read};

pub const ATOMICS: [(Atomic, &str); 5] = [
    (Atomic::Integer, "integer"),
    (Atomic::Real, "real"),
    (Atomic::Boolean, "boolean"),
    (Atomic::String, "string"),
    (Atomic::Uuid, "uuid"),
];

/// How many rows there are that references refer to.
pub const TARGETS: u128 = 4;

/// The uuid of a row that references refer to, or of a row that does not exist.
pub fn target(number: u128) -> String {
    format!("00000000-0000-4000-8000-0000000000f{number:x}")
}

#[derive(Debug)]
pub struct Column {
    pub name: String,
    pub of: Type,
}

/// Draws a column of each shape: an atom, an optional atom and several atoms of each type, and a map of
/// each pair of types; and references. The names correspond to the compiled types.
pub fn columns(random: &mut Rng) -> Vec<Column> {
    let several = |random: &mut Rng| {
        let max = random
            .choice([2, 3, 4, UNLIMITED, UNLIMITED])
            .expect("some");
        (random.usize(..2), max)
    };
    let mut columns = Vec::new();
    let mut add = |name: String, key, value, (min, max)| {
        let of = Type {
            key,
            value,
            min,
            max,
        };
        columns.push(Column { name, of });
    };
    for (atomic, name) in ATOMICS {
        add(format!("{name}_one"), base(random, atomic), None, (1, 1));
        add(format!("{name}_opt"), base(random, atomic), None, (0, 1));
        add(
            format!("{name}_set"),
            base(random, atomic),
            None,
            several(random),
        );
        for (other, value) in ATOMICS {
            let counts = match random.usize(..4) {
                0 => (random.usize(..2), 1),
                _ => several(random),
            };
            let (key, of_key) = (base(random, atomic), base(random, other));
            add(format!("{name}_to_{value}"), key, Some(of_key), counts);
        }
    }
    for (is_strong, name) in [(true, "strong"), (false, "weak")] {
        let reference = || Base {
            reference: Some(is_strong),
            ..Base::new(Atomic::Uuid)
        };
        add(format!("{name}_one"), reference(), None, (1, 1));
        add(format!("{name}_opt"), reference(), None, (0, 1));
        add(format!("{name}_set"), reference(), None, several(random));
        let label = base(random, Atomic::String);
        add(
            format!("{name}_to_string"),
            reference(),
            Some(label.clone()),
            several(random),
        );
        add(
            format!("string_to_{name}"),
            label,
            Some(reference()),
            several(random),
        );
    }
    columns
}

/// A type of atoms, with or without limits.
fn base(random: &mut Rng, atomic: Atomic) -> Base {
    let mut base = Base::new(atomic);
    let atoms = |atoms: &[Atom]| Some(atoms.to_vec());
    match (atomic, random.usize(..8)) {
        (Atomic::Integer, 0) => base.only = atoms(&[0, 1, 3, i64::MAX].map(Atom::Integer)),
        (Atomic::Integer, 1) => {
            (base.from, base.to) = (Some(Atom::Integer(-2)), Some(Atom::Integer(7)));
        }
        (Atomic::Integer, 2) => base.from = Some(Atom::Integer(-1)),
        (Atomic::Integer, 3) => base.to = Some(Atom::Integer(1 << 53)),
        (Atomic::Real, 0) => base.only = atoms(&[0.0, 0.5, 2.0].map(Atom::Real)),
        (Atomic::Real, 1) => {
            (base.from, base.to) = (Some(Atom::Real(-1.5)), Some(Atom::Real(1e3)));
        }
        (Atomic::Real, 2) => base.from = Some(Atom::Real(0.1)),
        (Atomic::Real, 3) => base.to = Some(Atom::Real(1e15)),
        (Atomic::Boolean, 0) => base.only = atoms(&[Atom::Boolean(true)]),
        (Atomic::String, 0) => {
            base.only = atoms(&["", "a", "\u{e9}"].map(|text| Atom::String(text.into())));
        }
        (Atomic::String, 1) => {
            (base.from, base.to) = (Some(Atom::Integer(1)), Some(Atom::Integer(2)));
        }
        (Atomic::String, 2) => base.to = Some(Atom::Integer(1)),
        (Atomic::Uuid, 0) => base.only = atoms(&[0, 1].map(|n| Atom::Uuid(target(n)))),
        _ => {}
    }
    base
}

fn base_text(base: &Base) -> String {
    let (_, name) = ATOMICS
        .iter()
        .find(|(atomic, _)| *atomic == base.atomic)
        .expect("known");
    let mut text = format!("{{\"type\":\"{name}\"");
    if let Some(only) = &base.only {
        let atoms: Vec<_> = only.iter().map(Atom::text).collect();
        text.push_str(&format!(",\"enum\":[\"set\",[{}]]", atoms.join(",")));
    }
    let limits = match base.atomic {
        Atomic::Real => ["minReal", "maxReal"],
        Atomic::String => ["minLength", "maxLength"],
        _ => ["minInteger", "maxInteger"],
    };
    for (limit, name) in [&base.from, &base.to].into_iter().zip(limits) {
        if let Some(limit) = limit {
            text.push_str(&format!(",\"{name}\":{}", limit.text()));
        }
    }
    if let Some(is_strong) = base.reference {
        let kind = if is_strong { "strong" } else { "weak" };
        text.push_str(&format!(",\"refTable\":\"Target\",\"refType\":\"{kind}\""));
    }
    text.push('}');
    text
}

/// The schema with these columns.
pub fn schema(columns: &[Column]) -> String {
    let columns = columns.iter().map(|Column { name, of }| {
        let value = of.value.as_ref();
        let value = value.map_or_else(String::new, |value| {
            format!("\"value\":{},", base_text(value))
        });
        let max = match of.max {
            UNLIMITED => "\"unlimited\"".to_owned(),
            max => max.to_string(),
        };
        format!(
            "\"{name}\":{{\"type\":{{\"key\":{},{value}\"min\":{},\"max\":{max}}}}}",
            base_text(&of.key),
            of.min
        )
    });
    format!(
        r#"{{"name":"Shapes","version":"1.0.0","tables":{{
        "Shape":{{"isRoot":true,"columns":{{"number":{{"type":"integer"}},{}}}}},
        "Target":{{"isRoot":true,"columns":{{"label":{{"type":"string"}}}}}}}}}}"#,
        columns.collect::<Vec<_>>().join(",")
    )
}

/// An atom of this type, often an edge case, in one of the forms in which it can be written.
#[allow(clippy::cast_precision_loss)]
pub fn atom(random: &mut Rng, atomic: Atomic) -> Written {
    const INTEGERS: [i64; 16] = [
        0,
        1,
        -1,
        2,
        3,
        -2,
        7,
        10,
        -1000,
        1 << 53,
        (1 << 53) + 1,
        i64::MAX,
        i64::MAX - 1,
        i64::MIN,
        i64::MIN + 1,
        3_037_000_500,
    ];
    const REALS: [(&str, f64); 16] = [
        ("0.5", 0.5),
        ("-1.5", -1.5),
        ("0.1", 0.1),
        ("2.5e-1", 0.25),
        ("1e308", 1e308),
        ("-1E+308", -1e308),
        ("1.2e-300", 1.2e-300),
        ("-3e-7", -3e-7),
        ("1e-300", 1e-300),
        ("9223372036854775808", 9_223_372_036_854_775_808.0),
        ("-9223372036854775809", -9_223_372_036_854_775_808.0),
        ("12345678901234567890123", 12_345_678_901_234_567_890_123.0),
        ("1e19", 1e19),
        ("0.30000000000000004", 0.300_000_000_000_000_04),
        ("9007199254740992.5", 9_007_199_254_740_992.0),
        ("1.0000000000000001", 1.0),
    ];
    const STRINGS: [&str; 10] = [
        "",
        "a",
        "b",
        "ab",
        "\u{e9}",
        "\u{20ac}uro",
        "\u{1f600}\u{1f600}",
        "\n\"\\/",
        "\u{7f}\u{1}",
        "1",
    ];
    let (text, is) = match atomic {
        Atomic::Integer => {
            let integer = match random.usize(..24) {
                at @ ..16 => INTEGERS[at],
                16..20 => random.i64(-20..20),
                _ => random.i64(..),
            };
            (integer_text(random, integer), Atom::Integer(integer))
        }
        // A whole number may also be written as an integer.
        Atomic::Real if random.usize(..4) == 0 => {
            let integer = random.choice(INTEGERS).expect("some");
            (integer_text(random, integer), Atom::Integer(integer))
        }
        Atomic::Real => match random.usize(..20) {
            at @ ..16 => (REALS[at].0.to_owned(), Atom::Real(REALS[at].1)),
            _ => {
                let real = f64::from_bits(random.u64(..));
                let real = if (1e-300..1e300).contains(&real.abs()) && real.fract() != 0.0 {
                    real
                } else {
                    0.75
                };
                let text = match random.bool() {
                    true => format!("{real:?}"),
                    false => format!("{real:E}"),
                };
                (text, Atom::Real(real))
            }
        },
        Atomic::Boolean => {
            let boolean = random.bool();
            (boolean.to_string(), Atom::Boolean(boolean))
        }
        Atomic::String => {
            let string = random.choice(STRINGS).expect("some");
            (string_text(random, string), Atom::String(string.to_owned()))
        }
        Atomic::Uuid => {
            let uuid = target(random.u128(..TARGETS + 1));
            let text = match random.usize(..4) {
                0 => uuid.to_uppercase(),
                _ => uuid.clone(),
            };
            (format!("[\"uuid\",\"{text}\"]"), Atom::Uuid(uuid))
        }
    };
    Written { text, is: Some(is) }
}

fn integer_text(random: &mut Rng, integer: i64) -> String {
    match random.usize(..8) {
        0 => format!("{integer}.0"),
        1 => format!("{integer}e0"),
        2 if integer != 0 => format!("{integer}0e-1"),
        3 if integer % 10 == 0 => format!("{}E1", integer / 10),
        4 if integer == 0 => "-0.00".to_owned(),
        _ => integer.to_string(),
    }
}

fn string_text(random: &mut Rng, string: &str) -> String {
    if random.usize(..3) > 0 {
        return serde_json::Value::from(string).to_string();
    }
    let units = string.encode_utf16();
    let escapes: String = units.map(|unit| format!("\\u{unit:04X}")).collect();
    format!("\"{escapes}\"")
}

/// A text that is not an atom of any type.
fn no_atom(random: &mut Rng) -> Written {
    const ODD: [&str; 7] = [
        "null",
        "{}",
        "[]",
        "[\"uuid\"]",
        "[\"uuid\",\"00000000-0000-4000-8000-0000000000f\"]",
        "[\"uuid\",1]",
        "[\"named-uuid\",\"1\"]",
    ];
    Written {
        text: random.choice(ODD).expect("some").to_owned(),
        is: None,
    }
}

/// An atom that this base type allows, if one is found.
fn allowed(random: &mut Rng, base: &Base) -> Option<Written> {
    let one = Type {
        key: base.clone(),
        value: None,
        min: 1,
        max: 1,
    };
    if let Some(only) = &base.only
        && random.usize(..4) > 0
    {
        let is = random.choice(only)?.clone();
        let text = match &is {
            Atom::Integer(integer) => integer_text(random, *integer),
            Atom::String(text) => string_text(random, text),
            other => other.text(),
        };
        return Some(Written { text, is: Some(is) });
    }
    (0..16).find_map(|_| {
        let atom = atom(random, base.atomic);
        read(&Input::One(atom.clone()), &one)
            .is_ok()
            .then_some(atom)
    })
}

/// A value for a column of this type, usually one that it can hold.
pub fn input(random: &mut Rng, of: &Type) -> Input {
    match random.usize(..10) {
        0 => mistaken(random, of),
        _ => suitable(random, of),
    }
}

/// A value that fits the type, unless too few allowed atoms are drawn.
fn suitable(random: &mut Rng, of: &Type) -> Input {
    let count = random.usize(of.min..=of.max.min(4));
    let mut keys: Vec<Written> = Vec::new();
    for _ in 0..count {
        let Some(key) = allowed(random, &of.key) else {
            continue;
        };
        keys.push(key);
        let key = Type {
            min: 0,
            max: UNLIMITED,
            value: None,
            ..of.clone()
        };
        // The new key may equal an earlier one, perhaps in another form, such as 2 and 2.0.
        if read(&Input::Set(keys.clone()), &key) == Err(Error::Duplicate) {
            keys.pop();
        }
    }
    shaped(random, keys, of)
}

/// These keys, as elements or with values.
fn shaped(random: &mut Rng, mut keys: Vec<Written>, of: &Type) -> Input {
    match &of.value {
        Some(value) => {
            let pairs = keys.into_iter().map(|key| {
                let value = allowed(random, value).unwrap_or_else(|| atom(random, value.atomic));
                (key, value)
            });
            Input::Map(pairs.collect())
        }
        None if keys.len() == 1 && random.usize(..3) > 0 => Input::One(keys.remove(0)),
        None => Input::Set(keys),
    }
}

/// A value that may be wrong in some way.
fn mistaken(random: &mut Rng, of: &Type) -> Input {
    const ODD: [&str; 7] = [
        "null",
        "{}",
        "[]",
        "[\"set\",1]",
        "[\"set\",[],1]",
        "[\"map\",[[1]]]",
        "[\"map\",{}]",
    ];
    let any = |random: &mut Rng| {
        let (atomic, _) = random.choice(ATOMICS).expect("some");
        match random.usize(..4) {
            0 => no_atom(random),
            _ => atom(random, atomic),
        }
    };
    match random.usize(..8) {
        // Of this type, but possibly a disallowed value, too many, or a duplicate.
        0..4 => {
            let count = random.usize(..6);
            let mut keys: Vec<_> = (0..count).map(|_| atom(random, of.key.atomic)).collect();
            if random.bool()
                && let Some(first) = keys.first()
            {
                keys.push(first.clone());
            }
            shaped(random, keys, of)
        }
        4 => Input::One(any(random)),
        5 => {
            let keys = (0..random.usize(..3)).map(|_| any(random)).collect();
            shaped(random, keys, of)
        }
        6 => {
            let keys = (0..random.usize(..3))
                .map(|_| atom(random, of.key.atomic))
                .collect();
            let value = match of.value {
                Some(_) => None,
                None => Some(Base::new(Atomic::String)),
            };
            shaped(
                random,
                keys,
                &Type {
                    value,
                    ..of.clone()
                },
            )
        }
        _ => Input::Odd(random.choice(ODD).expect("some")),
    }
}

/// A value that a column can hold, as text and as the model's value.
pub fn valid(random: &mut Rng, of: &Type) -> (Input, Value) {
    loop {
        let input = suitable(random, of);
        if let Ok(value) = read(&input, of) {
            return (input, value);
        }
    }
}

/// The columns whose default is disallowed, each with a value: an insert must not omit them.
pub fn needed(random: &mut Rng, columns: &[Column]) -> Vec<(String, String)> {
    let needed = columns
        .iter()
        .filter(|column| !column.of.allows(&column.of.default()));
    let needed = needed.map(|Column { name, of }| (name.clone(), valid(random, of).0.text()));
    needed.collect()
}

/// The argument of a mutation.
pub fn operand(random: &mut Rng, mutator: &str, of: &Type) -> Input {
    let free = Type {
        min: 0,
        max: UNLIMITED,
        ..of.clone()
    };
    match mutator {
        "insert" => input(
            random,
            &Type {
                min: 0,
                ..of.clone()
            },
        ),
        "delete" if of.value.is_some() && random.bool() => input(
            random,
            &Type {
                value: None,
                ..free
            },
        ),
        "delete" => input(random, &free),
        // Random arguments rarely give results out of range.
        _ if of.key.atomic == Atomic::Integer && random.usize(..3) == 0 => {
            let most = random.choice([i64::MAX, i64::MIN, 1 << 62]).expect("some");
            Input::One(Written {
                text: most.to_string(),
                is: Some(Atom::Integer(most)),
            })
        }
        _ => {
            let key = Base::new(of.key.atomic);
            input(
                random,
                &Type {
                    key,
                    value: None,
                    min: 1,
                    max: 1,
                },
            )
        }
    }
}
