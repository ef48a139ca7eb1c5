//! Reads the parts of an operation, with ovsdb-server's checks and errors.
//!
//! The text of a request is known to be well-formed JSON, so a reader refuses only values of another
//! type. The text of a file's record may be malformed.

use std::borrow::Cow;
use std::collections::HashMap;

use ovsdb_schema::{AtomicType, BaseType, ColumnType, Constraint, EnumValue, Max};

use super::cell::Cell;
use super::error::{EnglishAtom, error, syntax, syntax_of, violation};
use super::id::is_id;
use super::repeats::Repeats;
use super::schema::{ColumnId, TableDef};
use crate::protocol::OvsdbError;
use crate::simulated::HashState;
use crate::value::json::{Checkpoint, DecodeError, Number, Raw, Reader};
use crate::value::{Atom, Map, Real, Set, Str, Uuid, parse_uuid};

/// The rows that a transaction inserts or refers to by name.
#[derive(Debug, Default)]
pub(super) struct Symbols {
    by_name: HashMap<Str, Symbol, HashState>,
}

/// A row that a transaction inserts or refers to by name.
#[derive(Debug)]
pub(super) struct Symbol {
    /// Its uuid: random when the name is first used; an insert with a `uuid` replaces it.
    pub(super) uuid: Uuid,
    /// Whether an insert has used this name.
    pub(super) inserted: bool,
}

impl Symbols {
    /// The row with this name; added if the name is new.
    pub(super) fn symbol(&mut self, name: &str, random: &mut fastrand::Rng) -> &mut Symbol {
        self.by_name.entry(name.into()).or_insert_with(|| Symbol {
            uuid: random_uuid(random),
            inserted: false,
        })
    }
}

/// A random uuid (RFC 9562, version 4).
pub(crate) fn random_uuid(random: &mut fastrand::Rng) -> Uuid {
    uuid::Builder::from_random_bytes(random.u128(..).to_ne_bytes()).into_uuid()
}

/// The kind of a JSON value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Object,
    Array,
    String,
    Integer,
    Boolean,
    /// A string for which [`is_id`] returns true.
    Id,
}

impl Kind {
    fn is(self, text: &str) -> bool {
        let first = text.bytes().next();
        match self {
            Self::Object => first == Some(b'{'),
            Self::Array => first == Some(b'['),
            Self::String => first == Some(b'"'),
            Self::Boolean => matches!(first, Some(b't' | b'f')),
            Self::Integer => Reader::new(text)
                .number()
                .is_ok_and(|number| matches!(number, Number::Integer(_))),
            Self::Id => Reader::new(text).string().is_ok_and(|name| is_id(&name)),
        }
    }
}

/// What is parsed, for error messages.
#[derive(Debug)]
pub(crate) enum What {
    /// An operation of a transaction: its number, and how many there are.
    Operation(usize, usize),
    /// The requests of a monitor for this table.
    Table(String),
    /// The `select` member of a monitor's request for this table.
    Select(String),
}

impl std::fmt::Display for What {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Operation(number, of) => write!(f, "ovsdb operation {number} of {of}"),
            Self::Table(name) => write!(f, "table {name}"),
            Self::Select(name) => write!(f, "table {name} select"),
        }
    }
}

/// The members of a JSON object: of an operation, or of a part of a monitor request.
#[derive(Debug)]
pub(crate) struct Members<'a> {
    raw: Raw<'a>,
    what: What,
    members: Vec<(Cow<'a, str>, Raw<'a>, bool)>,
    error: Option<OvsdbError>,
}

impl<'a> Members<'a> {
    /// Reads the members of an object.
    pub(crate) fn read(raw: Raw<'a>, what: What) -> Self {
        let mut all = Self {
            raw,
            what,
            members: Vec::with_capacity(6),
            error: None,
        };
        if !Kind::Object.is(raw.text) {
            all.fail("Object expected.");
        } else if let Err(error) = all.read_members() {
            all.fail(error);
        }
        all
    }

    fn read_members(&mut self) -> Result<(), DecodeError> {
        let mut reader = Reader::of(self.raw);
        reader.object()?;
        while let Some(name) = reader.key()? {
            let value = reader.skip()?;
            // If a name occurs more than once, the last member counts.
            match self.members.iter_mut().find(|member| member.0 == name) {
                Some(member) => member.1 = value,
                None => self.members.push((name, value, false)),
            }
        }
        Ok(())
    }

    /// Records an error of the object, unless one was recorded before.
    pub(crate) fn fail(&mut self, details: impl std::fmt::Display) {
        if self.error.is_none() {
            let details = format!("Parsing {} failed: {details}", self.what);
            self.error = Some(syntax(self.raw.text, details));
        }
    }

    /// An optional member.
    pub(crate) fn optional(&mut self, name: &str, kind: Kind) -> Option<Raw<'a>> {
        let (_, value, used) = self.members.iter_mut().find(|member| member.0 == name)?;
        if kind.is(value.text) {
            *used = true;
            return Some(*value);
        }
        self.fail(format_args!("Type mismatch for member '{name}'."));
        None
    }

    /// A required member.
    pub(crate) fn required(&mut self, name: &str, kind: Kind) -> Option<Raw<'a>> {
        if !self.members.iter().any(|member| member.0 == name) {
            self.fail(format_args!("Required '{name}' member is missing."));
        }
        self.optional(name, kind)
    }

    /// The first error recorded so far.
    pub(crate) fn check(&self) -> Result<(), OvsdbError> {
        self.error.clone().map_or(Ok(()), Err)
    }

    /// The first error of the whole object. Unknown members are errors too.
    pub(crate) fn finish(mut self) -> Result<(), OvsdbError> {
        let mut unused = self.members.iter().filter(|member| !member.2);
        if let Some((name, ..)) = unused.next() {
            let details = match unused.count() {
                0 => format!("Member '{name}' is present but not allowed here."),
                others => format!(
                    "Member '{name}' and {others} other member{} are present but not allowed here.",
                    if others > 1 { "s" } else { "" }
                ),
            };
            self.fail(details);
        }
        self.check()
    }

    /// The text of the whole object.
    pub(crate) const fn text(&self) -> &'a str {
        self.raw.text
    }
}

/// The text of a string member, whose kind was checked before.
pub(crate) fn text_of(raw: Raw<'_>) -> Cow<'_, str> {
    Reader::of(raw).string().unwrap_or_default()
}

/// The context in which values are read.
pub(crate) struct Context<'t> {
    /// The names of a transaction's rows; `None` where values cannot name rows.
    pub(super) names: Option<(&'t mut Symbols, &'t mut fastrand::Rng)>,
    /// Values to share allocations with; `None` to share none.
    pub(super) repeats: Option<&'t mut Repeats>,
}

impl Context<'_> {
    /// A context for values outside a transaction.
    pub(crate) const fn without_names() -> Self {
        Self {
            names: None,
            repeats: None,
        }
    }
}

/// Reads the columns of a row (RFC 7047 section 5.1, `<row>`).
pub(super) fn read_row(
    raw: Raw<'_>,
    table: &TableDef,
    context: &mut Context<'_>,
) -> Result<Vec<(ColumnId, Cell)>, OvsdbError> {
    let wrong = |error: DecodeError| syntax(raw.text, error.kind);
    if !Kind::Object.is(raw.text) {
        return Err(syntax(raw.text, "row must be JSON object"));
    }
    let mut reader = Reader::of(raw);
    reader.object().map_err(wrong)?;
    let mut cells: Vec<(ColumnId, Cell)> = Vec::with_capacity(8);
    while let Some(name) = reader.key().map_err(wrong)? {
        let Some(id) = table.find(&name) else {
            let details = format!("No column {name} in table {}.", table.name);
            return Err(syntax_of("unknown column", raw.text, details));
        };
        let cell = read_cell(&mut reader, &table.column(id).kind, context)?;
        match cells.iter_mut().find(|cell| cell.0 == id) {
            Some(known) => known.1 = cell,
            None => cells.push((id, cell)),
        }
    }
    Ok(cells)
}

/// Reads a list of distinct column names.
pub(crate) fn read_columns(raw: Raw<'_>, table: &TableDef) -> Result<Vec<ColumnId>, OvsdbError> {
    let mut ids = Vec::new();
    let mut reader = Reader::of(raw);
    let names = || syntax(raw.text, "array of distinct column names expected");
    reader.array().map_err(|_| names())?;
    while reader.element().map_err(|_| names())? {
        let name = reader.string().map_err(|_| names())?;
        let id = table
            .find(&name)
            .ok_or_else(|| syntax(raw.text, format!("{name} is not a valid column name")))?;
        if ids.contains(&id) {
            return Err(names());
        }
        ids.push(id);
    }
    Ok(ids)
}

/// Why a value is refused.
enum ValueError {
    /// The value has another form. This is a syntax error, whose message quotes the value.
    Form(String),
    /// Any other error.
    Other(OvsdbError),
}

impl From<OvsdbError> for ValueError {
    fn from(error: OvsdbError) -> Self {
        Self::Other(error)
    }
}

impl From<DecodeError> for ValueError {
    fn from(error: DecodeError) -> Self {
        Self::Form(error.kind.to_string())
    }
}

/// An error of the kind `Form`.
fn form(details: impl Into<String>) -> ValueError {
    ValueError::Form(details.into())
}

/// Reads a value of a column (RFC 7047 section 5.1, `<value>`).
pub(super) fn read_cell(
    reader: &mut Reader<'_>,
    kind: &ColumnType,
    context: &mut Context<'_>,
) -> Result<Cell, OvsdbError> {
    let start = reader.checkpoint();
    let cell = match &kind.value {
        Some(value) => read_map(reader, kind, value, context),
        None => read_set(reader, kind, context),
    };
    cell.map_err(|error| match error {
        ValueError::Other(error) => error,
        ValueError::Form(details) => {
            reader.restore(start);
            syntax(reader.again().skip().map_or("", |raw| raw.text), details)
        }
    })
}

fn read_set(
    reader: &mut Reader<'_>,
    kind: &ColumnType,
    context: &mut Context<'_>,
) -> Result<Cell, ValueError> {
    if reader.peek() != Some(b'[') {
        return read_atom(reader, &kind.key, context).map(Cell::One);
    }
    let start = reader.checkpoint();
    reader.array()?;
    let is_set = reader.element()? && reader.string().is_ok_and(|tag| tag == "set");
    if !is_set {
        reader.restore(start);
        return read_atom(reader, &kind.key, context).map(Cell::One);
    }
    let expected = |_| form("expected [\"set\", <array>]");
    reader.demand("").map_err(expected)?;
    reader.array().map_err(expected)?;
    let first = reader.checkpoint();
    let mut atoms = Vec::new();
    while reader.element()? {
        let place = (first, atoms.len());
        let atom = read_atom(reader, &kind.key, context);
        atoms.push(atom.map_err(|error| first_error(reader, place, kind, error))?);
    }
    reader.finish().map_err(expected)?;
    let count = atoms.len();
    check_count(kind, "set", count)?;
    let set = Set::from(atoms);
    if set.len() < count {
        return Err(error("ovsdb error", "set contains duplicate").into());
    }
    Ok(Cell::of_set(set))
}

fn read_map(
    reader: &mut Reader<'_>,
    kind: &ColumnType,
    value: &BaseType,
    context: &mut Context<'_>,
) -> Result<Cell, ValueError> {
    let expected = |_| form("expected [\"map\", <array>]");
    reader.array().map_err(expected)?;
    reader.demand("").map_err(expected)?;
    if reader.string().map_err(expected)? != "map" {
        return Err(form("expected [\"map\", <array>]"));
    }
    reader.demand("").map_err(expected)?;
    reader.array().map_err(expected)?;
    let first = reader.checkpoint();
    let mut pairs = Vec::new();
    while reader.element()? {
        let place = (first, pairs.len());
        let pair = read_pair(reader, &kind.key, value, context);
        pairs.push(pair.map_err(|error| first_error(reader, place, kind, error))?);
    }
    reader.finish().map_err(expected)?;
    let count = pairs.len();
    check_count(kind, "map", count)?;
    let map = Map::from(pairs);
    if map.len() < count {
        return Err(error("ovsdb error", "map contains duplicate key").into());
    }
    Ok(Cell::Map(match &mut context.repeats {
        Some(repeats) => repeats.map(map),
        None => map,
    }))
}

fn read_pair(
    reader: &mut Reader<'_>,
    key: &BaseType,
    value: &BaseType,
    context: &mut Context<'_>,
) -> Result<(Atom, Atom), ValueError> {
    let expected = |_| form(PAIR);
    reader.array().map_err(expected)?;
    reader.demand("").map_err(expected)?;
    let key = read_atom(reader, key, context)?;
    reader.demand("").map_err(expected)?;
    let value = read_atom(reader, value, context)?;
    reader.finish().map_err(expected)?;
    Ok((key, value))
}

/// The error for an element of a map that is not a pair.
const PAIR: &str = "expected 2-element array";

/// The error that ovsdb-server reports when the element at this place has `error`. That server counts
/// the elements, which begin at `first`, before it reads any, and checks the form of a pair before it
/// reads its atoms.
fn first_error(
    reader: &mut Reader<'_>,
    (first, at): (Checkpoint, usize),
    kind: &ColumnType,
    error: ValueError,
) -> ValueError {
    reader.restore(first);
    let mut elements = Vec::new();
    while let Ok(true) = reader.element() {
        match reader.skip() {
            Ok(element) => elements.push(element),
            Err(_) => return error,
        }
    }
    let class = if kind.is_map() { "map" } else { "set" };
    if let Err(error) = check_count(kind, class, elements.len()) {
        return error;
    }
    let is_pair = |element: Raw<'_>| {
        let mut reader = Reader::of(element);
        let mut count = 0;
        reader.array().ok()?;
        while reader.element().ok()? {
            reader.skip().ok()?;
            count += 1;
        }
        (count == 2).then_some(())
    };
    match elements.get(at) {
        Some(element) if kind.is_map() && is_pair(*element).is_none() => form(PAIR),
        _ => error,
    }
}

fn check_count(kind: &ColumnType, class: &str, count: usize) -> Result<(), ValueError> {
    if kind.allows(count) {
        return Ok(());
    }
    Err(form(match (kind.min, kind.max) {
        (1, Max::Limited(1)) => {
            format!("{class} must have exactly one member but {count} are present")
        }
        (min, max) => {
            let max = match max {
                Max::Limited(max) => max,
                Max::Unlimited => u32::MAX,
            };
            format!("{class} must have {min} to {max} members but {count} are present")
        }
    }))
}

/// Reads an atom and checks it.
fn read_atom(
    reader: &mut Reader<'_>,
    base: &BaseType,
    context: &mut Context<'_>,
) -> Result<Atom, ValueError> {
    let atom = match base.atomic {
        AtomicType::Integer => match reader.number() {
            Ok(Number::Integer(integer)) => Some(Atom::Integer(integer)),
            _ => None,
        },
        AtomicType::Real => match reader.number() {
            #[expect(clippy::cast_precision_loss, reason = "ovsdb-server rounds it too")]
            Ok(Number::Integer(integer)) => Some(Atom::Real(Real::from(integer as f64))),
            Ok(Number::Real(real)) => Some(Atom::Real(real.into())),
            Err(_) => None,
        },
        AtomicType::Boolean => reader.boolean().ok().map(Atom::Boolean),
        AtomicType::String => reader.string().ok().map(|text| {
            Atom::String(match &mut context.repeats {
                Some(repeats) => repeats.string(&text),
                None => Str::from(&*text),
            })
        }),
        AtomicType::Uuid => Some(read_uuid(reader, context)?),
    };
    let atom = atom.ok_or_else(|| form(format!("expected {}", base.atomic)))?;
    check_atom(&atom, base)?;
    Ok(atom)
}

fn read_uuid(reader: &mut Reader<'_>, context: &mut Context<'_>) -> Result<Atom, ValueError> {
    let expected = |_| form("expected [\"uuid\", <string>]");
    reader.array().map_err(expected)?;
    reader.demand("").map_err(expected)?;
    let tag = reader.string().map_err(expected)?;
    reader.demand("").map_err(expected)?;
    let name = reader.string().map_err(expected)?;
    reader.finish().map_err(expected)?;
    match &*tag {
        "uuid" => match parse_uuid(&name, 0) {
            Ok(uuid) => Ok(Atom::Uuid(uuid)),
            Err(_) => Err(form(format!("\"{name}\" is not a valid UUID"))),
        },
        "named-uuid" => match &mut context.names {
            Some((symbols, random)) if is_id(&name) => {
                Ok(Atom::Uuid(symbols.symbol(&name, random).uuid))
            }
            Some(_) => Err(form("named-uuid string is not a valid <id>")),
            None => Err(form("expected [\"uuid\", <string>]")),
        },
        _ => Err(form("expected [\"uuid\", <string>]")),
    }
}

/// Checks an atom against the constraints of its type.
pub(super) fn check_atom(atom: &Atom, base: &BaseType) -> Result<(), OvsdbError> {
    match (&base.constraint, atom) {
        (Constraint::Enum(allowed), _) => {
            if allowed.iter().any(|value| is_value(atom, value)) {
                return Ok(());
            }
            let valid: Vec<String> = allowed.iter().map(ToString::to_string).collect();
            let valid = valid.join(", ");
            Err(violation(format_args!(
                "{} is not one of the allowed values ([{valid}])",
                EnglishAtom(atom)
            )))
        }
        (Constraint::Integer { min, max }, Atom::Integer(value)) => {
            check_range(*value, min.as_ref(), max.as_ref())
        }
        (Constraint::Real { min, max }, Atom::Real(value)) => {
            check_range(value.get(), min.as_ref(), max.as_ref())
        }
        (Constraint::Length { min, max }, Atom::String(text)) => {
            let count = text.chars().count() as u64;
            let wrong = |what: &str, limit: u64| {
                Err(violation(format_args!(
                    "\"{text}\" length {count} is {what} allowed length {limit}"
                )))
            };
            match (min, max) {
                (Some(min), _) if count < *min => wrong("less than minimum", *min),
                (_, Some(max)) if count > *max => wrong("greater than maximum", *max),
                _ => Ok(()),
            }
        }
        _ => Ok(()),
    }
}

fn is_value(atom: &Atom, value: &EnumValue) -> bool {
    match (atom, value) {
        (Atom::Integer(a), EnumValue::Integer(b)) => a == b,
        (Atom::Real(a), EnumValue::Real(b)) => *a == Real::from(*b),
        (Atom::Boolean(a), EnumValue::Boolean(b)) => a == b,
        (Atom::String(a), EnumValue::String(b)) => **a == **b,
        (Atom::Uuid(a), EnumValue::Uuid(b)) => parse_uuid(b, 0).is_ok_and(|b| *a == b),
        _ => false,
    }
}

fn check_range<N: PartialOrd + Copy + std::fmt::Display>(
    value: N,
    min: Option<&N>,
    max: Option<&N>,
) -> Result<(), OvsdbError> {
    let below = min.is_some_and(|min| value < *min);
    let above = max.is_some_and(|max| value > *max);
    match (min, max) {
        _ if !below && !above => Ok(()),
        (Some(min), Some(max)) => Err(violation(format_args!(
            "{value} is not in the valid range {min} to {max} (inclusive)"
        ))),
        (Some(min), None) => Err(violation(format_args!(
            "{value} is less than minimum allowed value {min}"
        ))),
        (None, Some(max)) => Err(violation(format_args!(
            "{value} is greater than maximum allowed value {max}"
        ))),
        (None, None) => Ok(()),
    }
}
