//! Conditions in the form of a command line: `type==router`, `external_ids includes a=b`.

use std::collections::BTreeMap;

use ovsdb::Uuid;
use ovsdb::model::{AnyColumn, AnyTable, Condition};
use ovsdb::protocol::Function;
use ovsdb::schema::{AtomicType, BaseType, ColumnSchema};
use ovsdb::value::{Atom, Datum};

/// The functions. The first one in the text counts. `<` is also the beginning of `<=`, so of several at one
/// place the longest counts.
const FUNCTIONS: [(&str, Function); 8] = [
    ("==", Function::Equal),
    ("!=", Function::NotEqual),
    ("<=", Function::LessOrEqual),
    (">=", Function::GreaterOrEqual),
    ("<", Function::Less),
    (">", Function::Greater),
    (" includes ", Function::Includes),
    (" excludes ", Function::Excludes),
];

/// Parses a condition on a table with these columns. The library checks later that the condition fits
/// the columns, and names the mistake.
pub(crate) fn parse(
    text: &str,
    columns: Option<&BTreeMap<String, ColumnSchema>>,
) -> Result<Condition<AnyTable>, String> {
    let found = FUNCTIONS.iter().filter_map(|(word, function)| {
        let at = text.find(word)?;
        Some((at, word, *function))
    });
    let (at, word, function) = found
        .min_by_key(|(at, word, _)| (*at, usize::MAX - word.len()))
        .ok_or_else(|| {
            format!("the condition {text:?} has no function: expected `column==value`")
        })?;
    let (name, value) = (text[..at].trim(), text[at + word.len()..].trim());
    let column = columns.and_then(|columns| columns.get(name));
    Ok(AnyColumn::new(name).compare(function, datum(column, value)))
}

/// Parses a value of the column's type, as far as the text allows.
fn datum(column: Option<&ColumnSchema>, text: &str) -> Datum {
    let Some(kind) = column.map(|column| &column.kind) else {
        // `_uuid` or `_version`, which no schema lists, or an unknown column.
        return text
            .parse::<Uuid>()
            .map_or_else(|_| text.into(), Datum::from);
    };
    let parts = || {
        text.split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty())
    };
    match &kind.value {
        Some(value) => Datum::map(parts().map(|pair| {
            let (name, text) = pair.split_once('=').unwrap_or((pair, ""));
            (atom(&kind.key, name), atom(value, text))
        })),
        None if kind.is_scalar() => atom(&kind.key, text).into(),
        None => Datum::set(parts().map(|part| atom(&kind.key, part))),
    }
}

/// Parses an atom of this type. Other text becomes a string, which the check then refuses.
fn atom(base: &BaseType, text: &str) -> Atom {
    let atom = match base.atomic {
        AtomicType::Integer => text.parse::<i64>().ok().map(Atom::from),
        AtomicType::Real => text.parse::<f64>().ok().map(Atom::from),
        AtomicType::Boolean => text.parse::<bool>().ok().map(Atom::from),
        AtomicType::Uuid => text.parse::<Uuid>().ok().map(Atom::from),
        AtomicType::String => None,
    };
    atom.unwrap_or_else(|| text.into())
}
