//! Requests: numbers that a client writes and daemons confirm, and the state that callers with clones
//! of one client share.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::{Mutex, OnceCell};
use tokio::time::Instant;

use super::error::{Daemon, ProgressError};
use crate::client::{Cache, Client};
use crate::error::Error;
use crate::model::{AllOf, Column, Mutable, Table};
use crate::transaction::{CommitError, Retry, RetryPolicy};

/// The global row of a database, with its counters.
pub(super) trait Counters: Table {
    /// The column that a client increases.
    const REQUESTED: Column<Self, i64, Mutable>;

    /// The newest request.
    fn requested(&self) -> i64 {
        *Self::REQUESTED.get(self)
    }

    /// The newest request that these daemons have confirmed.
    fn confirmed(&self, daemon: Daemon) -> i64;

    /// Why these daemons will never confirm anything.
    fn obstacle(&self, _daemon: Daemon) -> Option<ProgressError> {
        None
    }
}

/// A committed request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Request {
    pub(super) number: i64,
    /// When its commit resolved.
    pub(super) made: Instant,
    /// The number of the last caller that arrived before it was sent. Everything that callers up to
    /// this one had committed was in the database before the request.
    last: u64,
}

/// The state that waiting callers share.
pub(super) struct Shared<T: Table> {
    cache: OnceCell<Cache<T::Database>>,
    /// How many callers have arrived.
    arrivals: AtomicU64,
    /// The newest request. The caller that makes the next one holds the lock meanwhile. Callers
    /// that arrive after it was sent share the request after that.
    newest: Mutex<Option<Request>>,
}

impl<T: Table> Default for Shared<T> {
    fn default() -> Self {
        Self {
            cache: OnceCell::new(),
            arrivals: AtomicU64::new(0),
            newest: Mutex::new(None),
        }
    }
}

impl<T: Counters> Shared<T> {
    /// Takes a number for a caller.
    pub(super) fn arrive(&self) -> u64 {
        self.arrivals.fetch_add(1, Ordering::SeqCst) + 1
    }

    /// The replica of the counters.
    pub(super) async fn cache(
        &self,
        client: &Client<T::Database>,
    ) -> Result<&Cache<T::Database>, Error> {
        let start = || client.cache().table::<T>().timeout(None).start();
        self.cache.get_or_try_init(start).await
    }

    /// The counters in the replica.
    pub(super) fn counters(&self) -> Option<T> {
        let view = self.cache.get()?.snapshot();
        view.rows::<T>().next().map(|row| T::clone(row))
    }

    /// A request that was sent after this caller arrived.
    pub(super) async fn request(
        &self,
        client: &Client<T::Database>,
        arrival: u64,
    ) -> Result<Request, CommitError> {
        let mut newest = self.newest.lock().await;
        if let Some(request) = *newest
            && request.last >= arrival
        {
            return Ok(request);
        }
        let mut attempt = 1;
        loop {
            let last = self.arrivals.load(Ordering::SeqCst);
            match write::<T>(client).await {
                Ok(number) => {
                    let made = Instant::now();
                    return Ok(*newest.insert(Request { number, made, last }));
                }
                // If the server has increased the number nevertheless, a second increase is harmless.
                Err(error) if error.retry() != Retry::Never => {
                    tokio::time::sleep(RetryPolicy::default().wait(attempt)).await;
                    attempt = attempt.saturating_add(1);
                }
                Err(error) => return Err(error),
            }
        }
    }
}

/// Increases the number, and returns it. If the row does not exist, it is inserted, as the tools of OVN
/// and Open vSwitch do.
async fn write<T: Counters>(client: &Client<T::Database>) -> Result<i64, CommitError> {
    let mut txn = client.transaction();
    txn.timeout(None);
    // Wrap around before it overflows.
    txn.update(T::REQUESTED.eq(i64::MAX)).set(T::REQUESTED, 0);
    txn.mutate(AllOf::all()).add(T::REQUESTED, 1);
    let rows = txn.select(AllOf::<T>::all());
    let outcome = txn.commit().await?;
    let rows = outcome.rows(&rows).map_err(CommitError::Answer)?;
    if let Some(row) = rows.first() {
        return Ok(row.requested());
    }
    let mut row = T::default();
    T::REQUESTED.put(&mut row, 1);
    let mut txn = client.transaction();
    txn.timeout(None);
    // The table holds only one row: if another client was first, the insert is refused, and the caller's
    // next try increases the number in the existing row.
    txn.insert(row);
    txn.commit().await?;
    Ok(1)
}
