//! The handle through which caches and streams read a replica, and keep its monitor alive.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use super::shared::Shared;
use super::snapshot::Snapshot;
use crate::model::Database;

/// A handle of a replica. Clones share the monitor that keeps the replica up to date; the monitor ends
/// when the last clone is dropped. The methods that open streams are in the files of the streams.
#[derive(Clone)]
pub(crate) struct Handle {
    shared: Arc<Shared>,
    /// Ends the monitor when the last clone is dropped.
    _keeper: Option<Arc<dyn Any + Send + Sync>>,
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Handle").field(&self.shared).finish()
    }
}

impl Handle {
    /// A handle of the replica that `keeper` keeps up to date.
    pub(crate) const fn new(shared: Arc<Shared>, keeper: Arc<dyn Any + Send + Sync>) -> Self {
        Self {
            shared,
            _keeper: Some(keeper),
        }
    }

    /// A handle of a replica without a monitor.
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

    pub(crate) const fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }
}
