//! The rules of values, conditions and mutations (RFC 7047 section 5.1), in the simplest possible form:
//! a value is a sorted list. Where the RFC leaves a choice, the rule is ovsdb-server's.

use std::cmp::Ordering;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Atomic {
    Integer,
    Real,
    Boolean,
    String,
    Uuid,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Atom {
    Integer(i64),
    Real(f64),
    Boolean(bool),
    String(String),
    /// In lower case.
    Uuid(String),
}

impl Atom {
    /// The order of atoms of one type.
    pub fn order(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Integer(a), Self::Integer(b)) => a.cmp(b),
            (Self::Real(a), Self::Real(b)) => a.partial_cmp(b).expect("no NaN"),
            (Self::Boolean(a), Self::Boolean(b)) => a.cmp(b),
            (Self::String(a), Self::String(b)) | (Self::Uuid(a), Self::Uuid(b)) => a.cmp(b),
            _ => panic!("{self:?} and {other:?} are of two types"),
        }
    }

    pub fn is(&self, other: &Self) -> bool {
        self.order(other) == Ordering::Equal
    }

    /// Its JSON text.
    pub fn text(&self) -> String {
        match self {
            Self::Integer(integer) => integer.to_string(),
            Self::Real(real) => format!("{real:?}"),
            Self::Boolean(boolean) => boolean.to_string(),
            Self::String(text) => serde_json::Value::from(text.as_str()).to_string(),
            Self::Uuid(uuid) => format!("[\"uuid\",\"{uuid}\"]"),
        }
    }

    fn default_of(atomic: Atomic) -> Self {
        match atomic {
            Atomic::Integer => Self::Integer(0),
            Atomic::Real => Self::Real(0.0),
            Atomic::Boolean => Self::Boolean(false),
            Atomic::String => Self::String(String::new()),
            Atomic::Uuid => Self::Uuid("00000000-0000-0000-0000-000000000000".into()),
        }
    }
}

/// The type of atoms, with its limits.
#[derive(Debug, Clone)]
pub struct Base {
    pub atomic: Atomic,
    /// The only allowed values.
    pub only: Option<Vec<Atom>>,
    /// The least and the greatest number, or length.
    pub from: Option<Atom>,
    pub to: Option<Atom>,
    /// Whether it is a reference, and whether a strong one.
    pub reference: Option<bool>,
}

impl Base {
    pub const fn new(atomic: Atomic) -> Self {
        Self {
            atomic,
            only: None,
            from: None,
            to: None,
            reference: None,
        }
    }

    fn allows(&self, atom: &Atom) -> bool {
        let measured = match atom {
            Atom::String(text) => Atom::Integer(text.chars().count() as i64),
            other => other.clone(),
        };
        let among = |only: &Vec<Atom>| only.iter().any(|allowed| allowed.is(atom));
        self.only.as_ref().is_none_or(among)
            && self
                .from
                .as_ref()
                .is_none_or(|from| from.order(&measured).is_le())
            && self
                .to
                .as_ref()
                .is_none_or(|to| to.order(&measured).is_ge())
    }
}

/// The type of a column.
#[derive(Debug, Clone)]
pub struct Type {
    pub key: Base,
    pub value: Option<Base>,
    pub min: usize,
    pub max: usize,
}

/// A `max` that means no limit.
pub const UNLIMITED: usize = usize::MAX;

impl Type {
    pub const fn is_scalar(&self) -> bool {
        self.min == 1 && self.max == 1 && self.value.is_none()
    }

    const fn is_optional(&self) -> bool {
        self.min == 0 && self.max == 1 && self.value.is_none()
    }

    pub const fn is_number(&self) -> bool {
        self.value.is_none() && matches!(self.key.atomic, Atomic::Integer | Atomic::Real)
    }

    /// The value that an insert stores if it omits the column.
    pub fn default(&self) -> Value {
        let value = self.value.as_ref();
        let pair = || {
            let value = value.map(|value| Atom::default_of(value.atomic));
            (Atom::default_of(self.key.atomic), value)
        };
        (0..self.min).map(|_| pair()).collect()
    }

    /// Whether the atoms of a value are allowed.
    pub fn allows(&self, value: &Value) -> bool {
        let of_key =
            |base: &Base, atom: &Option<Atom>| atom.as_ref().is_none_or(|atom| base.allows(atom));
        let mut pairs = value.iter();
        pairs.all(|(key, value)| {
            self.key.allows(key) && self.value.as_ref().is_none_or(|base| of_key(base, value))
        })
    }

    /// Whether a change of such a column is sent as a difference.
    pub const fn has_differences(&self) -> bool {
        self.max > 1
    }
}

/// An element, or a key with its value.
pub type Part = (Atom, Option<Atom>);

/// Elements, or keys with values, sorted by key; each key once.
pub type Value = Vec<Part>;

/// Sorts a value; `None` when a key occurs twice.
fn sorted(mut value: Value) -> Option<Value> {
    value.sort_by(|(a, _), (b, _)| a.order(b));
    let twice = value.windows(2).any(|pair| pair[0].0.is(&pair[1].0));
    (!twice).then_some(value)
}

/// Whether two values of one type are equal.
pub fn same(a: &Value, b: &Value) -> bool {
    let same = |((a, b), (c, d)): (&Part, &Part)| {
        a.is(c)
            && match (b, d) {
                (Some(b), Some(d)) => b.is(d),
                (b, d) => b.is_none() && d.is_none(),
            }
    };
    a.len() == b.len() && a.iter().zip(b).all(same)
}

/// The pair with this key.
fn find<'v>(value: &'v Value, key: &Atom) -> Option<&'v (Atom, Option<Atom>)> {
    value.iter().find(|(own, _)| own.is(key))
}

/// Whether a value contains this element, or exactly this pair.
fn has(value: &Value, (key, of_key): &Part) -> bool {
    find(value, key).is_some_and(|(_, own)| match (own, of_key) {
        (Some(own), Some(of_key)) => own.is(of_key),
        _ => true,
    })
}

/// The name of a server's error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Error {
    Syntax,
    Constraint,
    Duplicate,
    Domain,
    Range,
    Reference,
}

impl Error {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Syntax => "syntax error",
            Self::Constraint => "constraint violation",
            Self::Duplicate => "ovsdb error",
            Self::Domain => "domain error",
            Self::Range => "range error",
            Self::Reference => "referential integrity violation",
        }
    }
}

/// An atom as text, and the model's atom; `None` if the text is not an atom.
#[derive(Debug, Clone)]
pub struct Written {
    pub text: String,
    pub is: Option<Atom>,
}

/// A value as text.
#[derive(Debug, Clone)]
pub enum Input {
    One(Written),
    Set(Vec<Written>),
    Map(Vec<(Written, Written)>),
    Odd(&'static str),
}

impl Input {
    pub fn text(&self) -> String {
        match self {
            Self::One(atom) => atom.text.clone(),
            Self::Odd(text) => (*text).to_owned(),
            Self::Set(atoms) => {
                let texts: Vec<_> = atoms.iter().map(|atom| atom.text.as_str()).collect();
                format!("[\"set\",[{}]]", texts.join(","))
            }
            Self::Map(pairs) => {
                let pairs = pairs
                    .iter()
                    .map(|(k, v)| format!("[{},{}]", k.text, v.text));
                format!("[\"map\",[{}]]", pairs.collect::<Vec<_>>().join(","))
            }
        }
    }
}

/// The atom, if it is of this type.
#[allow(clippy::cast_precision_loss)]
pub fn typed(atom: &Written, atomic: Atomic) -> Option<Atom> {
    match (atomic, atom.is.clone()?) {
        (Atomic::Real, Atom::Integer(integer)) => Some(Atom::Real(integer as f64)),
        (Atomic::Integer, atom @ Atom::Integer(_))
        | (Atomic::Real, atom @ Atom::Real(_))
        | (Atomic::Boolean, atom @ Atom::Boolean(_))
        | (Atomic::String, atom @ Atom::String(_))
        | (Atomic::Uuid, atom @ Atom::Uuid(_)) => Some(atom),
        _ => None,
    }
}

fn read_atom(atom: &Written, base: &Base) -> Result<Atom, Error> {
    let atom = typed(atom, base.atomic).ok_or(Error::Syntax)?;
    if base.allows(&atom) {
        Ok(atom)
    } else {
        Err(Error::Constraint)
    }
}

/// Reads a value as a server does.
pub fn read(input: &Input, of: &Type) -> Result<Value, Error> {
    let value = match (input, &of.value) {
        (Input::Set(atoms), None) => {
            if atoms.len() < of.min || atoms.len() > of.max {
                return Err(Error::Syntax);
            }
            let atoms = atoms
                .iter()
                .map(|atom| Ok((read_atom(atom, &of.key)?, None)));
            atoms.collect::<Result<Value, Error>>()?
        }
        (Input::One(atom), None) => vec![(read_atom(atom, &of.key)?, None)],
        (Input::Map(pairs), Some(value)) => {
            if pairs.len() < of.min || pairs.len() > of.max {
                return Err(Error::Syntax);
            }
            let pairs = pairs
                .iter()
                .map(|(k, v)| Ok((read_atom(k, &of.key)?, Some(read_atom(v, value)?))));
            pairs.collect::<Result<Value, Error>>()?
        }
        _ => return Err(Error::Syntax),
    };
    sorted(value).ok_or(Error::Duplicate)
}

/// The functions of clauses.
pub const FUNCTIONS: [&str; 8] = ["==", "!=", "<", "<=", ">", ">=", "includes", "excludes"];

/// Reads the argument of a clause on a column of this type.
pub fn read_argument(function: &str, input: &Input, of: &Type) -> Result<Value, Error> {
    let mut of = of.clone();
    match function {
        "<" | "<=" | ">" | ">=" => {
            if !(of.is_number() && (of.is_scalar() || of.is_optional())) {
                return Err(Error::Syntax);
            }
            of.min = 1;
        }
        "includes" if !of.is_scalar() => of.min = 0,
        "excludes" if !of.is_scalar() => (of.min, of.max) = (0, UNLIMITED),
        _ => {}
    }
    read(input, &of)
}

/// Whether a clause is true for a column with this value.
pub fn holds(value: &Value, function: &str, argument: &Value) -> bool {
    let order = || match (&value[..], &argument[..]) {
        ([(value, _)], [(argument, _)]) => Some(value.order(argument)),
        _ => None,
    };
    match function {
        "==" => same(value, argument),
        "!=" => !same(value, argument),
        "<" => order().is_some_and(Ordering::is_lt),
        "<=" => order().is_some_and(Ordering::is_le),
        ">" => order().is_some_and(Ordering::is_gt),
        ">=" => order().is_some_and(Ordering::is_ge),
        "includes" => argument.iter().all(|part| has(value, part)),
        "excludes" => !argument.iter().any(|part| has(value, part)),
        other => panic!("{other}"),
    }
}

/// The mutators: first those for numbers, then those for sets and maps.
pub const MUTATORS: [&str; 7] = ["+=", "-=", "*=", "/=", "%=", "insert", "delete"];

/// Reads the argument of a mutation of a column of this type.
pub fn read_operand(mutator: &str, input: &Input, of: &Type) -> Result<Value, Error> {
    let mut of = of.clone();
    match mutator {
        "insert" | "delete" if of.is_scalar() => Err(Error::Syntax),
        "insert" => {
            of.min = 0;
            read(input, &of)
        }
        "delete" => {
            (of.min, of.max) = (0, UNLIMITED);
            let read_whole = read(input, &of);
            if read_whole.is_err() && of.value.is_some() {
                of.value = None;
                return read(input, &of);
            }
            read_whole
        }
        _ if !of.is_number() || (mutator == "%=" && of.key.atomic == Atomic::Real) => {
            Err(Error::Syntax)
        }
        _ => {
            let key = Base::new(of.key.atomic);
            let one = Type {
                key,
                value: None,
                min: 1,
                max: 1,
            };
            read(input, &one)
        }
    }
}

/// The value after a mutation.
pub fn mutated(value: &Value, mutator: &str, operand: &Value, of: &Type) -> Result<Value, Error> {
    let new = match mutator {
        "insert" => {
            let more = operand.iter().filter(|(key, _)| find(value, key).is_none());
            sorted(value.iter().chain(more).cloned().collect()).expect("each key once")
        }
        "delete" => {
            let kept = value.iter().filter(|pair| {
                !operand.iter().any(|gone| match gone {
                    (key, None) => key.is(&pair.0),
                    gone => has(&vec![gone.clone()], pair),
                })
            });
            kept.cloned().collect()
        }
        _ => {
            let numbers = value
                .iter()
                .map(|(key, _)| Ok((calculated(key, mutator, &operand[0].0)?, None)));
            let numbers = numbers.collect::<Result<Value, Error>>()?;
            if !numbers.iter().all(|(number, _)| of.key.allows(number)) {
                return Err(Error::Constraint);
            }
            return sorted(numbers).ok_or(Error::Constraint);
        }
    };
    if new.len() < of.min || new.len() > of.max {
        return Err(Error::Constraint);
    }
    Ok(new)
}

fn calculated(number: &Atom, mutator: &str, operand: &Atom) -> Result<Atom, Error> {
    match (number, operand) {
        (Atom::Integer(a), Atom::Integer(b)) => {
            if matches!(mutator, "/=" | "%=") && *b == 0 {
                return Err(Error::Domain);
            }
            // Wide enough for every result.
            let (x, y) = (i128::from(*a), i128::from(*b));
            let result = match mutator {
                "+=" => x + y,
                "-=" => x - y,
                "*=" if is_reported_as_too_large(*a, *b) => return Err(Error::Range),
                "*=" => x * y,
                "/=" => x / y,
                // The remainder of the division that overflows.
                "%=" if x / y > i128::from(i64::MAX) => return Err(Error::Range),
                _ => x % y,
            };
            let result = i64::try_from(result).map_err(|_| Error::Range)?;
            Ok(Atom::Integer(result))
        }
        (Atom::Real(a), Atom::Real(b)) => {
            let result = match mutator {
                "+=" => a + b,
                "-=" => a - b,
                "*=" => a * b,
                _ if *b == 0.0 => return Err(Error::Domain),
                _ => a / b,
            };
            if result.is_finite() {
                Ok(Atom::Real(result))
            } else {
                Err(Error::Range)
            }
        }
        _ => panic!("{number:?} and {operand:?}"),
    }
}

/// Whether both numbers are positive and ovsdb-server reports their product as too large. It does so for
/// a few products that fit.
const fn is_reported_as_too_large(a: i64, b: i64) -> bool {
    a > 0 && b > 0 && a >= i64::MAX / b
}

/// Products that ovsdb-server (3.1 and 4.0) may get wrong: if neither number is positive, it compares the
/// second one with a quotient by the second one, instead of by the first. So it can crash with a division
/// by zero, or overflow silently.
pub fn is_product_in_doubt(value: &Value, mutator: &str, operand: &Value) -> bool {
    let is_positive = |atom: &Atom| !matches!(atom, Atom::Integer(..=0));
    mutator == "*="
        && operand.iter().any(|(operand, _)| !is_positive(operand))
        && value.iter().any(|(number, _)| !is_positive(number))
}

/// The difference that `update2` sends for a change of a column with
/// [differences](Type::has_differences): the elements that only one of the values has; for a map, the
/// pairs whose key only one has, and the new pairs of keys with different values.
pub fn difference(old: &Value, new: &Value) -> Value {
    let gone = old.iter().filter(|(key, _)| find(new, key).is_none());
    let come = new.iter().filter(|pair| !has(old, pair));
    sorted(gone.chain(come).cloned().collect()).expect("each key once")
}

/// The value after such a difference is applied to this one.
pub fn changed(old: &Value, difference: &Value) -> Value {
    let kept = old
        .iter()
        .filter(|(key, _)| find(difference, key).is_none());
    let come = difference.iter().filter(|pair| !has(old, pair));
    sorted(kept.chain(come).cloned().collect()).expect("each key once")
}
