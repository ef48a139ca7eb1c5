//! The keys of wanted rows, grouped by the column or index that finds them.

use std::any::Any;
use std::cell::OnceCell;
use std::collections::HashMap;
use std::ops::Range;

use super::resolution::Resolution;
use crate::cache::{KeyName, TableView};
use crate::model::{AllOf, Row, Table};
use crate::transaction::RowKey;

/// The keys of wanted rows that one column or index finds, without the keys' type.
pub(super) trait AnyKeys<T: Table>: Send + Sync {
    fn as_any(&self) -> &dyn Any;
    fn as_any_mut(&mut self) -> &mut dyn Any;
    /// How many keys there are.
    fn len(&self) -> usize;
    /// What rows are found by.
    fn name(&self) -> KeyName;
    /// Whether the key with this number has the placeholder of a row that was not looked up yet.
    fn has_unknown(&self, key: usize, resolution: &Resolution) -> bool;
    /// Appends the rows of a view that have a key. Returns false when the cache was started without the
    /// index.
    fn find<'v>(
        &self,
        table: TableView<'v, T>,
        key: usize,
        resolution: &Resolution,
        found: &mut Vec<&'v Row<T>>,
    ) -> bool;
    /// Prefetches the rows with these keys, and these of their columns.
    fn look_ahead(&self, table: TableView<'_, T>, keys: Range<usize>, columns: &[usize]);
    /// Whether a row has a key.
    fn has(&self, row: &Row<T>, key: usize, resolution: &Resolution) -> bool;
    /// The condition for rows with a key; `None` where conditions cannot express it.
    fn condition(&self, key: usize, resolution: &Resolution) -> Option<AllOf<T>>;
    /// Writes a key into a row, where that is possible.
    fn put(&self, row: &mut T, key: usize, resolution: &Resolution);
    /// The columns that an index of the compiled schema makes unique, if this is such an index.
    fn unique_columns(&self) -> Option<Vec<&'static str>>;
    /// Whether keys contain uuids, which may be placeholders.
    fn may_refer(&self) -> bool;
    /// Calls `each` with the wanted rows that have a key of this row. `resolved` keeps the keys whose
    /// placeholders are resolved, once they were needed.
    fn each_wanted(
        &self,
        row: &Row<T>,
        resolution: &Resolution,
        resolved: &ResolvedKeys,
        each: &mut dyn FnMut(usize),
    );
    /// The wanted row whose key has this condition.
    fn with_condition(&mut self, condition: &str) -> Option<usize>;
}

/// The positions of wanted rows by their keys, without the keys' type, for the keys in which
/// placeholders were resolved.
pub(super) type ResolvedKeys = OnceCell<Box<dyn Any>>;

/// The keys of wanted rows that one column or index finds.
pub(super) struct Keys<T: Table, K> {
    by: Box<dyn RowKey<T, Key = K>>,
    /// Whether keys contain uuids, which may be placeholders.
    may_refer: bool,
    keys: Vec<K>,
    /// The positions of the wanted rows, by their keys.
    places: HashMap<K, usize, crate::simulated::HashState>,
    /// The same positions, by the conditions of the first `known_conditions` keys.
    conditions: HashMap<String, usize>,
    known_conditions: usize,
}

impl<T: Table, K: Clone + Eq + std::hash::Hash + Send + Sync + 'static> Keys<T, K> {
    pub(super) fn new(by: Box<dyn RowKey<T, Key = K>>) -> Self {
        let column = match by.name() {
            KeyName::Column(index) | KeyName::Elements(index) | KeyName::MapKey(index, _) => {
                T::COLUMNS[index].may_refer()
            }
            KeyName::SchemaIndex(place) => {
                let columns = T::INDEXES[place].iter();
                columns
                    .into_iter()
                    .any(|index| T::COLUMNS[*index].may_refer())
            }
            KeyName::Function(_) => false,
        };
        Self {
            by,
            may_refer: column,
            keys: Vec::new(),
            places: HashMap::default(),
            conditions: HashMap::new(),
            known_conditions: 0,
        }
    }

    /// The position of the wanted row with this key.
    pub(super) fn place(&self, key: &K) -> Option<usize> {
        self.places.get(key).copied()
    }

    /// Adds the key of the wanted row at this position. Returns the key's number.
    pub(super) fn add(&mut self, key: K, place: usize) -> usize {
        self.places.insert(key.clone(), place);
        self.keys.push(key);
        self.keys.len() - 1
    }

    /// The positions of the wanted rows whose keys have placeholders, by the resolved keys.
    fn resolved(&self, resolution: &Resolution) -> HashMap<K, usize> {
        let keys = self.keys.iter().filter_map(|key| {
            let mut has_placeholder = false;
            let resolved = self.by.with_uuids(key, &mut |uuid| {
                let resolved = resolution.resolve(uuid);
                has_placeholder |= resolved != uuid;
                resolved
            });
            let resolved = resolved.filter(|_| has_placeholder)?;
            Some((resolved, self.place(key)?))
        });
        keys.collect()
    }

    /// Calls `run` with a key whose placeholders are resolved.
    fn with<R>(&self, key: usize, resolution: &Resolution, run: impl FnOnce(&K) -> R) -> R {
        let key = &self.keys[key];
        if !self.may_refer {
            return run(key);
        }
        let resolved = self
            .by
            .with_uuids(key, &mut |uuid| resolution.resolve(uuid));
        run(resolved.as_ref().unwrap_or(key))
    }
}

impl<T: Table, K: Clone + Eq + std::hash::Hash + Send + Sync + 'static> AnyKeys<T> for Keys<T, K> {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }

    fn len(&self) -> usize {
        self.keys.len()
    }

    fn name(&self) -> KeyName {
        self.by.name()
    }

    fn has_unknown(&self, key: usize, resolution: &Resolution) -> bool {
        let mut has_unknown = false;
        if self.may_refer {
            self.by.with_uuids(&self.keys[key], &mut |uuid| {
                has_unknown |= resolution.is_unknown(uuid);
                uuid
            });
        }
        has_unknown
    }

    fn find<'v>(
        &self,
        table: TableView<'v, T>,
        key: usize,
        resolution: &Resolution,
        found: &mut Vec<&'v Row<T>>,
    ) -> bool {
        self.with(key, resolution, |key| self.by.find_in(table, key, found))
    }

    fn look_ahead(&self, table: TableView<'_, T>, keys: Range<usize>, columns: &[usize]) {
        let keys: Vec<&K> = self.keys[keys].iter().collect();
        self.by.look_ahead(table, &keys, columns);
    }

    fn has(&self, row: &Row<T>, key: usize, resolution: &Resolution) -> bool {
        self.with(key, resolution, |key| self.by.has(row, key))
    }

    fn condition(&self, key: usize, resolution: &Resolution) -> Option<AllOf<T>> {
        self.with(key, resolution, |key| self.by.condition(key))
    }

    fn put(&self, row: &mut T, key: usize, resolution: &Resolution) {
        self.with(key, resolution, |key| self.by.put(row, key));
    }

    fn unique_columns(&self) -> Option<Vec<&'static str>> {
        self.by.unique_columns()
    }

    fn may_refer(&self) -> bool {
        self.may_refer
    }

    fn each_wanted(
        &self,
        row: &Row<T>,
        resolution: &Resolution,
        resolved: &ResolvedKeys,
        each: &mut dyn FnMut(usize),
    ) {
        let resolved = self.may_refer.then(|| {
            let resolved = resolved.get_or_init(|| Box::new(self.resolved(resolution)));
            resolved.downcast_ref::<HashMap<K, usize>>()
        });
        let resolved = resolved.flatten();
        self.by.each_key(row, &mut |key| {
            let place = self.places.get(key).into_iter();
            let place = place.chain(resolved.and_then(|resolved| resolved.get(key)));
            place.for_each(|place| each(*place));
        });
    }

    fn with_condition(&mut self, condition: &str) -> Option<usize> {
        for key in &self.keys[self.known_conditions..] {
            if let Some(condition) = self.by.condition(key) {
                let place = self.places[key];
                self.conditions.insert(format!("{condition:?}"), place);
            }
        }
        self.known_conditions = self.keys.len();
        self.conditions.get(condition).copied()
    }
}
