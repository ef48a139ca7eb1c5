//! A stream of the views that a replica publishes.

use std::future::poll_fn;
use std::marker::PhantomData;
use std::sync::Arc;
use std::task::Poll;

use super::handle::Handle;
use super::snapshot::Snapshot;
use super::state::State;
use super::subscription::Subscription;
use crate::model::Database;

/// The views of a replica: the current one first, then each that is published. As in change streams,
/// views that a slow reader has not taken are coalesced.
pub(crate) struct Views<D> {
    subscription: Arc<Subscription>,
    start: Option<Arc<State>>,
    database: PhantomData<fn() -> D>,
}

impl Handle {
    /// Opens a stream of views: the current one, then one for each change.
    pub(crate) fn views<D: Database>(&self) -> Views<D> {
        Views::new(self)
    }
}

impl<D: Database> Views<D> {
    fn new(handle: &Handle) -> Self {
        let (subscription, start) = handle.shared().subscribe(None);
        Self {
            subscription,
            start: Some(start),
            database: PhantomData,
        }
    }

    /// The next view; `None` when none will follow.
    pub(crate) async fn next(&mut self) -> Option<Snapshot<D>> {
        if let Some(start) = self.start.take() {
            return Some(Snapshot::new(start));
        }
        poll_fn(|context| match self.subscription.poll_pop(context) {
            Poll::Ready(Some(step)) => Poll::Ready(Some(Snapshot::new(step.state))),
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        })
        .await
    }
}
