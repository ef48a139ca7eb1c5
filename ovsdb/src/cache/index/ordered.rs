//! The rows of an ordered index.

use std::borrow::Borrow;
use std::fmt;
use std::ops::RangeBounds;
use std::sync::Arc;

use super::treap::{self, Treap};
use super::{DeclaredIndex, Key, Keys, changed, keys_of};
use crate::cache::erased::ErasedRow;
use crate::trie::hash_uuid;
use crate::value::Uuid;

/// The rows sorted by key; rows with the same key are sorted by uuid.
pub(in crate::cache) struct OrderedRows<K: Key> {
    keys: Arc<Keys<K>>,
    rows: Treap<K>,
}

impl<K: Key> fmt::Debug for OrderedRows<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OrderedRows")
            .field("rows", &self.rows.len())
            .finish_non_exhaustive()
    }
}

impl<K: Key> OrderedRows<K> {
    pub(super) fn new(keys: Arc<Keys<K>>) -> Self {
        Self {
            keys,
            rows: Treap::default(),
        }
    }

    pub(super) fn is_by(&self, keys: &Arc<Keys<K>>) -> bool {
        Arc::ptr_eq(&self.keys, keys)
    }

    /// The keys in the range, with the uuids of their rows.
    pub(in crate::cache) fn range<Q: Ord + ?Sized>(
        &self,
        range: &impl RangeBounds<Q>,
    ) -> treap::Range<'_, K>
    where
        K: Borrow<Q>,
    {
        self.rows.range(range)
    }
}

impl<K: Key> DeclaredIndex for OrderedRows<K> {
    fn change(&mut self, uuid: Uuid, old: Option<&dyn ErasedRow>, new: Option<&dyn ErasedRow>) {
        let keys = self.keys.clone();
        let (old, new) = (keys_of(&*keys, old), keys_of(&*keys, new));
        let (removed, added) = changed(&old, &new);
        for key in removed {
            self.rows.remove(key, uuid);
        }
        for key in added {
            // Priorities must look random to balance the treap, as hashes of uuids do.
            self.rows.insert(key.clone(), uuid, hash_uuid(uuid));
        }
    }

    fn emptied(&self) -> Box<dyn DeclaredIndex> {
        Box::new(Self::new(self.keys.clone()))
    }

    fn shared(&self) -> Box<dyn DeclaredIndex> {
        Box::new(Self {
            keys: self.keys.clone(),
            rows: self.rows.clone(),
        })
    }
}
