//! The state of a replica at one moment: every table after the same server transaction.

use std::any::TypeId;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use super::table_state::TableState;
use crate::model::Table;
use crate::value::{Str, Uuid};

/// A hasher for type ids. They are hashes already, so it returns them as they are.
#[derive(Debug, Default)]
pub(super) struct TypeIdHasher(u64);

impl Hasher for TypeIdHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, word: u64) {
        self.0 ^= word;
    }
}

/// The tables of a replica, and their positions in a state.
#[derive(Debug)]
pub(super) struct Registry {
    by_type: HashMap<TypeId, usize, BuildHasherDefault<TypeIdHasher>>,
    pub(super) names: Box<[Str]>,
}

impl Registry {
    pub(super) fn new(types: &[Option<TypeId>], names: Box<[Str]>) -> Self {
        let types = types.iter().zip(0..);
        Self {
            by_type: types.filter_map(|(id, at)| Some(((*id)?, at))).collect(),
            names,
        }
    }

    /// The same tables, and more that are known at run time only.
    pub(super) fn with(&self, names: impl IntoIterator<Item = Str>) -> Self {
        Self {
            by_type: self.by_type.clone(),
            names: self.names.iter().cloned().chain(names).collect(),
        }
    }

    /// The position of the table with this name.
    pub(super) fn position(&self, name: &str) -> Option<usize> {
        self.names.iter().position(|known| *known == name)
    }

    pub(super) fn find<T: Table>(&self) -> Option<usize> {
        self.by_type.get(&TypeId::of::<T>()).copied()
    }
}

/// Every table of a replica after the same server transaction.
#[derive(Debug)]
pub(crate) struct State {
    pub(super) registry: Arc<Registry>,
    pub(super) tables: Box<[Arc<TableState>]>,
    /// The id of the last transaction; nil where the server names none.
    pub(super) last_txn_id: Uuid,
}

impl State {
    /// Whether the table is the same in both.
    pub(super) fn has_same(&self, other: &Self, at: usize) -> bool {
        match (self.tables.get(at), other.tables.get(at)) {
            (Some(ours), Some(theirs)) => Arc::ptr_eq(ours, theirs),
            (Some(table), None) | (None, Some(table)) => table.rows.len() == 0,
            (None, None) => true,
        }
    }

    /// Whether all tables are the same in both.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        (0..self.tables.len().max(other.tables.len())).all(|at| self.has_same(other, at))
    }

    /// The number of rows in all tables.
    pub(super) fn len(&self) -> usize {
        self.tables.iter().map(|table| table.rows.len()).sum()
    }
}
