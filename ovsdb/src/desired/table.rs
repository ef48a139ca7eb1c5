//! The desired rows of a table.

use std::collections::HashMap;
use std::fmt;

use super::change::name_of;
use super::conflict::Conflict;
use super::given::{Columns, Refused};
use super::key::{AnyKeys, Keys, ResolvedKeys};
use super::placeholder::Placeholders;
use super::resolution::Resolution;
use crate::model::{AllOf, Row, Table};
use crate::transaction::RowKey;

/// A wanted row.
pub(super) struct Wanted<T> {
    /// The number of the placeholder by which other wanted rows refer to it.
    pub(super) number: u32,
    pub(super) step: usize,
    pub(super) found: FoundBy<T>,
    pub(super) columns: Columns,
}

/// How a wanted row is found.
pub(super) enum FoundBy<T> {
    /// By a key: the position of its column or index, and the key's number there.
    Key { keys: usize, key: usize },
    /// By a condition.
    Condition(AllOf<T>),
    /// Not at all: it does not exist yet.
    Nothing,
}

/// Rows to be deleted, even if they are not owned.
pub(super) struct Unwanted<T> {
    pub(super) step: usize,
    pub(super) rows: AllOf<T>,
}

/// The desired rows of a table.
pub(super) struct DesiredTable<T: Table> {
    /// The rows that belong to the owner.
    pub(super) owned: Option<AllOf<T>>,
    pub(super) unwanted: Vec<Unwanted<T>>,
    /// Whether references to deleted rows are removed from all rows of the table.
    pub(super) is_cleaned: bool,
    pub(super) rows: Vec<Wanted<T>>,
    pub(super) keys: Vec<Box<dyn AnyKeys<T>>>,
    /// The positions of the wanted rows that are found by a condition.
    conditions: HashMap<String, usize>,
}

impl<T: Table> Default for DesiredTable<T> {
    fn default() -> Self {
        Self {
            owned: None,
            unwanted: Vec::new(),
            is_cleaned: false,
            rows: Vec::new(),
            keys: Vec::new(),
            conditions: HashMap::new(),
        }
    }
}

impl<T: Table> fmt::Debug for DesiredTable<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("DesiredTable");
        shown
            .field("rows", &self.rows.len())
            .finish_non_exhaustive()
    }
}

impl<T: Table> DesiredTable<T> {
    /// Adds a wanted row. Returns its position.
    pub(super) fn add(
        &mut self,
        placeholders: &mut Placeholders,
        step: usize,
        found: FoundBy<T>,
    ) -> usize {
        self.rows.push(Wanted {
            number: placeholders.add(),
            step,
            found,
            columns: Columns::default(),
        });
        self.rows.len() - 1
    }

    /// The position of the wanted row with this key, which is added if it is new.
    pub(super) fn by_key<B: RowKey<T> + Clone>(
        &mut self,
        placeholders: &mut Placeholders,
        step: usize,
        by: &B,
        key: B::Key,
    ) -> usize {
        let name = by.name();
        let of_type = |keys: &dyn AnyKeys<T>| keys.as_any().is::<Keys<T, B::Key>>();
        let known = self
            .keys
            .iter()
            .position(|keys| of_type(&**keys) && keys.name() == name);
        let at = known.unwrap_or_else(|| {
            self.keys.push(Box::new(Keys::new(Box::new(by.clone()))));
            self.keys.len() - 1
        });
        let known = self.keys_at::<B::Key>(at).place(&key).or_else(|| {
            let (false, Some(condition)) = (self.conditions.is_empty(), by.condition(&key)) else {
                return None;
            };
            self.conditions.get(&format!("{condition:?}")).copied()
        });
        known.unwrap_or_else(|| {
            let place = self.rows.len();
            let key = self.keys_at(at).add(key, place);
            self.add(placeholders, step, FoundBy::Key { keys: at, key })
        })
    }

    fn keys_at<K: Clone + Eq + std::hash::Hash + Send + Sync + 'static>(
        &mut self,
        at: usize,
    ) -> &mut Keys<T, K> {
        match self.keys[at].as_any_mut().downcast_mut() {
            Some(keys) => keys,
            None => unreachable!("each entry is found by its type"),
        }
    }

    /// The position of the wanted row with this condition, which is added if it is new. The reference of a
    /// wanted row gives that row.
    pub(super) fn by_condition(
        &mut self,
        placeholders: &mut Placeholders,
        step: usize,
        condition: AllOf<T>,
    ) -> usize {
        let row = condition.as_row();
        let wanted = row.and_then(|row| placeholders.number(row));
        let wanted = wanted.and_then(|number| {
            let mut rows = self.rows.iter();
            rows.position(|row| row.number as usize == number)
        });
        if let Some(place) = wanted {
            return place;
        }
        let text = format!("{condition:?}");
        let known = self.conditions.get(&text).copied();
        let mut keys = self.keys.iter_mut();
        let known = known.or_else(|| keys.find_map(|keys| keys.with_condition(&text)));
        known.unwrap_or_else(|| {
            let place = self.add(placeholders, step, FoundBy::Condition(condition));
            self.conditions.insert(text, place);
            place
        })
    }

    /// Whether several wanted rows could match the same row.
    pub(super) fn can_be_same(&self) -> bool {
        let has_several = |keys: &dyn AnyKeys<T>| {
            use crate::cache::KeyName::{Elements, Function};
            // One key may have the uuid of an existing row, another the placeholder of the wanted row that is
            // found to be that row.
            matches!(keys.name(), Elements(_) | Function(_)) || keys.may_refer()
        };
        self.keys.len() + self.conditions.len() > 1
            || self.keys.iter().any(|keys| has_several(&**keys))
    }

    /// Calls `each` with the wanted rows that this row matches, by their keys or conditions.
    pub(super) fn each_wanted(
        &self,
        row: &Row<T>,
        resolution: &Resolution,
        resolved: &[ResolvedKeys],
        each: &mut dyn FnMut(usize),
    ) {
        for (keys, resolved) in self.keys.iter().zip(resolved) {
            keys.each_wanted(row, resolution, resolved, each);
        }
        for place in self.conditions.values() {
            if let FoundBy::Condition(condition) = &self.rows[*place].found
                && condition
                    .with_uuids(|uuid| resolution.resolve(uuid))
                    .holds_for(row)
            {
                each(*place);
            }
        }
    }

    /// The condition by which a wanted row is found; `None` where conditions cannot express it.
    pub(super) fn condition(
        &self,
        wanted: &Wanted<T>,
        resolution: &Resolution,
    ) -> Option<AllOf<T>> {
        match &wanted.found {
            FoundBy::Key { keys, key } => self.keys[*keys].condition(*key, resolution),
            FoundBy::Condition(condition) => {
                Some(condition.with_uuids(|uuid| resolution.resolve(uuid)))
            }
            FoundBy::Nothing => None,
        }
    }

    /// A new row with the key of a wanted row.
    pub(super) fn with_key(&self, wanted: &Wanted<T>, resolution: &Resolution) -> T {
        let mut columns = T::default();
        if let FoundBy::Key { keys, key } = &wanted.found {
            self.keys[*keys].put(&mut columns, *key, resolution);
        }
        columns
    }

    /// Whether a row would be found again as the wanted row.
    pub(super) fn is_found(
        &self,
        wanted: &Wanted<T>,
        row: &Row<T>,
        resolution: &Resolution,
    ) -> bool {
        match &wanted.found {
            FoundBy::Key { keys, key } => self.keys[*keys].has(row, *key, resolution),
            FoundBy::Condition(_) => {
                let condition = self.condition(wanted, resolution);
                condition.is_none_or(|condition| condition.holds_for(row))
            }
            FoundBy::Nothing => true,
        }
    }

    /// The name of a wanted row: from the columns of its key, or else the condition by which it is
    /// found.
    pub(super) fn label(&self, wanted: &Wanted<T>, resolution: &Resolution) -> String {
        let named = name_of(&self.with_key(wanted, resolution));
        named.unwrap_or_else(|| match self.condition(wanted, resolution) {
            Some(condition) => condition.to_text(),
            None => "(a row without a name)".to_owned(),
        })
    }

    /// The conflict for a value that cannot be given.
    pub(super) fn refused(
        &self,
        wanted: &Wanted<T>,
        resolution: &Resolution,
        refused: Refused,
    ) -> Conflict {
        let (table, wanted) = (T::TABLE, self.label(wanted, resolution));
        match refused {
            Refused::Value(column) => Conflict::Value {
                table,
                wanted,
                column,
            },
            Refused::Deleted(column, row) => Conflict::RefersToDeleted {
                table,
                wanted,
                column,
                row,
            },
        }
    }
}
