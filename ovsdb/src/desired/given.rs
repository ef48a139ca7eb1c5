//! The values that a wanted row gives to its columns.

use super::resolution::{Deleted, Resolution};
use crate::model::{Collection, Table};
use crate::value::{Atom, ColumnValue, Datum, Map, Set, Uuid, Value, read_datum};

/// Returns whether an element of a column belongs to the owner.
pub(super) type Owns = Box<dyn Fn(&Atom) -> bool + Send + Sync>;

/// What kind of value is given.
pub(super) enum Mode {
    Whole,
    /// The owner's part; other clients may have parts of their own. The functions tell which other
    /// elements belong to the owner.
    Part(Vec<Owns>),
    Initial,
}

/// A value that a wanted row gives to a column in a step.
pub(super) struct Given {
    pub(super) step: usize,
    pub(super) index: usize,
    pub(super) value: Box<dyn ColumnValue>,
    pub(super) mode: Mode,
}

/// Why a value cannot be given: it cannot be sent, or it refers to an owned row that the plan deletes
/// because it is not wanted.
pub(super) enum Refused {
    Value(&'static str),
    Deleted(&'static str, Uuid),
}

/// The values that a row gives to its columns.
#[derive(Default)]
pub(super) struct Columns(pub(super) Vec<Given>);

impl Columns {
    /// Gives a column a value. A later value in the same step replaces an earlier one.
    pub(super) fn give(&mut self, step: usize, index: usize, value: impl Value, mode: Mode) {
        // An inserted row begins with its initial value, to which the owner's part is added.
        let is_initial = matches!(mode, Mode::Initial);
        self.0.retain(|known| {
            let is_part = matches!(known.mode, Mode::Part(_));
            known.step != step || known.index != index || (is_initial && is_part)
        });
        let given = Given {
            step,
            index,
            value: Box::new(value),
            mode,
        };
        let at = self.0.len();
        self.0.insert(if is_initial { 0 } else { at }, given);
    }

    /// Gives a column parts, which are added to earlier parts in the same step.
    pub(super) fn give_parts<V: Collection>(
        &mut self,
        step: usize,
        index: usize,
        parts: V,
        owns: Option<Owns>,
    ) {
        self.0.retain(|known| {
            let is_whole = matches!(known.mode, Mode::Whole);
            known.step != step || known.index != index || !is_whole
        });
        let known = self.0.iter_mut().find_map(|known| match &mut known.mode {
            Mode::Part(all) if known.step == step && known.index == index => {
                Some((all, known.value.as_any_mut().downcast_mut::<V>()?))
            }
            _ => None,
        });
        match known {
            Some((all, value)) => {
                value.add_all(&parts);
                all.extend(owns);
            }
            None => self.0.push(Given {
                step,
                index,
                value: Box::new(parts),
                mode: Mode::Part(owns.into_iter().collect()),
            }),
        }
    }

    /// Applies what is given in a step to a new or existing row.
    pub(super) fn put<T: Table>(
        &self,
        columns: &mut T,
        step: usize,
        resolution: &Resolution,
        is_new: bool,
    ) -> Result<(), Refused> {
        for (at, given) in self.0.iter().enumerate() {
            if given.step != step || (matches!(given.mode, Mode::Initial) && !is_new) {
                continue;
            }
            let index = given.index;
            let Some(column) = columns.column_mut(index) else {
                continue;
            };
            let resolved;
            let value = match T::COLUMNS[index].may_refer() {
                true => {
                    resolved = self.resolved::<T>(at, resolution)?;
                    &*resolved
                }
                false => &*given.value,
            };
            let Mode::Part(owns) = &given.mode else {
                // A value that cannot be sent is found when the transaction is checked.
                column.assign(value);
                continue;
            };
            let parts = value.to_datum();
            let others = self.other_parts(at, resolution);
            let is_other = |atom: &Atom| others.iter().any(|others| has(others, atom));
            let is_owned =
                |atom: &Atom| !is_new && owns.iter().any(|owns| owns(atom)) && !is_other(atom);
            let joined = joined(column.to_datum(), &parts, is_owned);
            if !read_datum(column, &joined) {
                return Err(Refused::Value(T::COLUMNS[index].name));
            }
        }
        Ok(())
    }

    /// The owner's parts of the same column that other steps give.
    fn other_parts(&self, at: usize, resolution: &Resolution) -> Vec<Datum> {
        let given = self.0.iter().enumerate();
        let others = given.filter(|(other, given)| {
            *other != at && given.index == self.0[at].index && matches!(given.mode, Mode::Part(_))
        });
        others
            .map(|(_, given)| resolution.resolved(&*given.value).to_datum())
            .collect()
    }

    /// The given value, with placeholders replaced by the rows they stand for, and without references
    /// to rows that `unwanted` deletes in this step or earlier or, if no later step sets the column, in
    /// any step. Such a reference to an owned row that is deleted because it is not wanted is refused.
    fn resolved<T: Table>(
        &self,
        at: usize,
        resolution: &Resolution,
    ) -> Result<Box<dyn ColumnValue>, Refused> {
        let given = &self.0[at];
        let info = &T::COLUMNS[given.index];
        let mut value = resolution.resolved(&*given.value);
        if !resolution.has_deleted() || !info.refers() {
            return Ok(value);
        }
        let mut later = self.0[at + 1..].iter();
        let is_last = !later.any(|other| {
            let is_part = matches!(other.mode, Mode::Part(_));
            other.index == given.index && other.step > given.step && !is_part
        });
        let is_removed = |deleted: Deleted| is_last || deleted.step <= given.step;
        let datum = value.to_datum();
        let references = resolution.deleted_in(&datum);
        for (row, deleted) in references.filter(|(_, deleted)| is_removed(*deleted)) {
            if deleted.unwanted.is_none() {
                return Err(Refused::Deleted(info.name, row));
            }
            read_datum(&mut *value, &resolution.without_deleted(&datum, is_removed));
        }
        Ok(value)
    }
}

impl Given {
    /// Whether the column of an existing row differs from what is given.
    pub(super) fn differs<T: Table>(&self, row: &T, resolution: &Resolution) -> bool {
        let Some(column) = row.column(self.index) else {
            return false;
        };
        let info = &T::COLUMNS[self.index];
        let resolved;
        let value = if info.may_refer() {
            resolved = resolution.resolved(&*self.value);
            &*resolved
        } else {
            &*self.value
        };
        match &self.mode {
            Mode::Initial => false,
            Mode::Whole if info.kind.has_reals() => {
                as_sent(column.to_datum()) != as_sent(value.to_datum())
            }
            Mode::Whole => !column.equals(value),
            Mode::Part(_) if planted!(PlanIgnoresParts) => false,
            Mode::Part(owns) if owns.is_empty() => !column.includes(value),
            Mode::Part(owns) => {
                let (current, parts) = (column.to_datum(), value.to_datum());
                let is_owned = |atom: &Atom| owns.iter().any(|owns| owns(atom));
                joined(current.clone(), &parts, is_owned) != current
            }
        }
    }
}

/// Whether a set has an element, or a map a key.
fn has(datum: &Datum, atom: &Atom) -> bool {
    match datum {
        Datum::Set(set) => set.contains(atom),
        Datum::Map(map) => map.contains_key(atom),
    }
}

/// A set or map with the owner's part, and without other elements of the owner.
fn joined(current: Datum, part: &Datum, is_owned: impl Fn(&Atom) -> bool) -> Datum {
    match (current, part) {
        (Datum::Set(current), Datum::Set(part)) => {
            let kept = current
                .iter()
                .filter(|atom| part.contains(*atom) || !is_owned(atom));
            Datum::Set(kept.chain(part).cloned().collect::<Set<_>>())
        }
        (Datum::Map(current), Datum::Map(part)) => {
            let kept = current
                .iter()
                .filter(|(key, _)| !part.contains_key(*key) && !is_owned(key));
            let all = kept.chain(part);
            Datum::Map(
                all.map(|(key, value)| (key.clone(), value.clone()))
                    .collect::<Map<_, _>>(),
            )
        }
        // A column is either a set or a map; an empty map may look like an empty set.
        (current, part) if part.is_empty() => current,
        (_, part) => part.clone(),
    }
}

/// A datum with its reals rounded as servers send them: to 15 digits.
fn as_sent(datum: Datum) -> Datum {
    datum.map_atoms(|atom| match atom {
        Atom::Real(real) if real.get().is_finite() => {
            let sent = format!("{:.14e}", real.get()).parse().unwrap_or(real.get());
            Atom::Real(sent.into())
        }
        other => other,
    })
}
