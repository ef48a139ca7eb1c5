//! A replica as its readers hold it.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use super::all_changes::AllChanges;
use super::changes::Changes;
use super::shared::Shared;
use super::snapshot::Snapshot;
use super::views::Views;
use crate::model::{Database, Table};

/// A handle of a replica. Clones share what keeps the replica going, which ends with the last of
/// them: the caches' and the streams'.
#[derive(Clone)]
pub(crate) struct Handle {
    shared: Arc<Shared>,
    /// Whatever it is: its end is what counts.
    _keeper: Option<Arc<dyn Any + Send + Sync>>,
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Handle").field(&self.shared).finish()
    }
}

impl Handle {
    /// A handle of the replica that `keeper` keeps going.
    pub(crate) const fn new(shared: Arc<Shared>, keeper: Arc<dyn Any + Send + Sync>) -> Self {
        Self {
            shared,
            _keeper: Some(keeper),
        }
    }

    /// A handle of a replica that nothing keeps.
    #[cfg(test)]
    pub(crate) const fn detached(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            _keeper: None,
        }
    }

    /// The replica as it is now.
    pub(crate) fn snapshot<D: Database>(&self) -> Snapshot<D> {
        Snapshot::new(self.shared.state.load_full())
    }

    /// The replica as it is now, and each time it changes.
    pub(crate) fn views<D: Database>(&self) -> Views<D> {
        Views::new(self)
    }

    /// What changes in the table `T`; `None` when the replica does not have it.
    pub(crate) fn changes<T: Table>(&self) -> Option<Changes<T>> {
        let table = self.shared.state.load().registry.find::<T>()?;
        Some(Changes::new(self.clone(), table))
    }

    /// What changes in all tables.
    pub(crate) fn all_changes<D: Database>(&self) -> AllChanges<D> {
        AllChanges::new(self.clone())
    }

    pub(crate) const fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }
}
