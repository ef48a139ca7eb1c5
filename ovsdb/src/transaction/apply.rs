//! Optimistic concurrency: read, decide, write, and again after a conflict with another client.

use std::time::Duration;

use tokio::time::Instant;

use super::once::{Attempt, Settled};
use super::overlay::Overlay;
use super::{CommitError, Outcome, Retry, RetryPolicy, Transaction};
use crate::cache::{Basis, Snapshot};
use crate::client::{Cache, Client};
use crate::error::{DisconnectReason, Disconnected};
use crate::error_chain::ErrorChain;
use crate::model::Database;
use crate::protocol::{Mutator, Operation};

impl<D: Database> Client<D> {
    /// Runs `change` on a view of the replica, and commits the transaction that it wrote. Where
    /// [`CommitError::retry`] says [`Again`](Retry::Again), it is run again, on a newer view: after a
    /// failed [`wait`](Transaction::wait) or [`verify`](Transaction::verify), after a duplicate in an
    /// index, a reference that no longer holds, a change of a cluster's leader or schema. A value out
    /// of range and other permanent refusals end it at once.
    ///
    /// The closure may be run several times, and must do nothing but read the view and write the
    /// transaction. If it leaves that empty, nothing is sent.
    ///
    /// The transaction shows the view under its own writes. What the closure reads through it
    /// ([`get`](Transaction::get), [`get_by`](Transaction::get_by), [`find`](Transaction::find)) is
    /// verified by the commit, as is what an [`edit`](Transaction::edit) replaces; what it reads of the
    /// view itself is not, so a whole table can be looked through. When another client has changed what
    /// was verified, the closure is run again.
    ///
    /// It decides on a replica that is [current](Cache::current): without a connection, or as long as
    /// the rows are fetched again, it is run once they are there. Each run may wait for that as long
    /// as the [request timeout](crate::ClientBuilder::request_timeout) says; the transaction has what
    /// is left of it. When the connection is lost, or the schema converted, between the view and the
    /// sending, the transaction is not sent, and the closure is run again.
    ///
    /// When the connection is lost after the sending, the closure is run again as well, on the view
    /// that the next connection brings. If the first transaction inserted a row, the second is
    /// committed only if that row does not exist: so the change is made once, and if the first
    /// transaction turns out to have made it, the result is that of its run. Without an insert the
    /// change may be made a second time, on rows that show the first one. A transaction for which
    /// that would differ from making it once is not tried again, and the outcome stays
    /// [unknown](Retry::Unknown): one with arithmetic mutations, or with
    /// [inserts named by the server](super::RowIdentity::Named) and without a `wait`; and one by which the
    /// closure, run again, would once more replace values of a row that has changed meanwhile, as one that
    /// counts does. A closure that says how a row must be finds nothing left to do.
    ///
    /// [`edit`](Self::edit) does the same for a closure that cannot fail.
    ///
    /// ```
    /// # #[cfg(all(feature = "nb", feature = "server"))] #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let schema = ovsdb::schema::bundled("OVN_Northbound").expect("a bundled schema");
    /// # let server = ovsdb::server::Server::memory(schema)?;
    /// # let client = ovsdb::nb::Client::builder().server(&server).connect().await?;
    /// # let cache = client.cache().all_tables().start().await?;
    /// # let mut txn = client.transaction();
    /// # let port = txn.insert(ovsdb::nb::LogicalSwitchPort { name: "p1".into(), ..Default::default() });
    /// # txn.insert(ovsdb::nb::LogicalSwitch { name: "sw0".into(), ports: [port].into(), ..Default::default() });
    /// # txn.commit().await?;
    /// use ovsdb::nb::LogicalSwitchPort as Port;
    ///
    /// let apply = client.apply(&cache, |_, txn| {
    ///     let port = txn.get_by(Port::NAME, "p1").ok_or("there is no port p1")?;
    ///     txn.edit(&port, |row| row.enabled = Some(port.r#type.is_empty()));
    ///     Ok::<_, Box<dyn std::error::Error>>(())
    /// });
    /// apply.await?;
    /// # Ok(()) }
    /// # #[cfg(not(all(feature = "nb", feature = "server")))] fn main() {}
    /// ```
    ///
    /// # Errors
    /// The closure's own error, at once; the error of the last commit. [`CommitError::NotSent`] when the
    /// replica did not become current in time. Where the connection was lost after an earlier run was sent, the
    /// closure may find what that run has made: instead of its error, the result is then that of the earlier run,
    /// or [unknown](CommitError::Unknown) where nothing tells.
    pub async fn apply<R, E: From<CommitError>>(
        &self,
        cache: &Cache<D>,
        change: impl FnMut(&Snapshot<D>, &mut Transaction<D>) -> Result<R, E>,
    ) -> Result<(R, Outcome), E> {
        self.apply_with(RetryPolicy::default(), cache, change).await
    }

    /// As [`apply`](Self::apply), for a closure that cannot fail.
    ///
    /// ```
    /// # #[cfg(all(feature = "nb", feature = "server"))] #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let schema = ovsdb::schema::bundled("OVN_Northbound").expect("a bundled schema");
    /// # let server = ovsdb::server::Server::memory(schema)?;
    /// # let client = ovsdb::nb::Client::builder().server(&server).connect().await?;
    /// use ovsdb::cache::Index;
    /// use ovsdb::nb::LogicalSwitch as Switch;
    ///
    /// // The schema has no index that keeps the names of switches apart.
    /// let by_name = Index::column(Switch::NAME);
    /// let cache = client.cache().index(&by_name).start().await?;
    /// let (switch, _) = client
    ///     .edit(&cache, |_, txn| {
    ///         txn.ensure(&by_name, "sw0", |switch| {
    ///             switch.external_ids.insert("owner", "me");
    ///         })
    ///     })
    ///     .await?;
    /// # let _ = switch;
    /// # Ok(()) }
    /// # #[cfg(not(all(feature = "nb", feature = "server")))] fn main() {}
    /// ```
    ///
    /// # Errors
    /// The error of the last commit. [`CommitError::NotSent`] when the replica did not become current in
    /// time.
    pub async fn edit<R>(
        &self,
        cache: &Cache<D>,
        mut change: impl FnMut(&Snapshot<D>, &mut Transaction<D>) -> R,
    ) -> Result<(R, Outcome), CommitError> {
        self.apply(cache, |view, txn| Ok(change(view, txn))).await
    }

    /// As [`apply`](Self::apply), with a policy of its own.
    ///
    /// # Errors
    /// As [`apply`](Self::apply).
    pub async fn apply_with<R, E: From<CommitError>>(
        &self,
        policy: RetryPolicy,
        cache: &Cache<D>,
        mut change: impl FnMut(&Snapshot<D>, &mut Transaction<D>) -> Result<R, E>,
    ) -> Result<(R, Outcome), E> {
        let mut earlier = Earlier::default();
        let mut run = 1;
        loop {
            let begun = Instant::now();
            let (basis, view) = match current_view(cache, self.request_timeout()).await {
                Ok(current) => current,
                Err(lost) => return Err(earlier.error(CommitError::NotSent(lost)).into()),
            };
            let mut txn = self.transaction();
            txn.basis = Some(basis);
            txn.overlay.view = Some(view.clone());
            let limit = self.request_timeout();
            txn.timeout(limit.map(|limit| limit.saturating_sub(begun.elapsed())));
            let result = match change(&view, &mut txn) {
                Ok(result) => Some(result),
                Err(error) if !earlier.is_open() => return Err(error),
                Err(_) => None,
            };
            drop(view);
            let Some(result) = result else {
                // It says what it found, which an earlier run may have made so.
                let settled = self.transaction().after(&earlier.attempts).send().await;
                return match Settled::of(settled, earlier.attempts.len()) {
                    Settled::Before(attempt) => Ok(earlier.settled(attempt)),
                    Settled::Now(_) | Settled::Not(_) => Err(earlier.unknown_error().into()),
                };
            };
            let mut txn = txn.sealed();
            // It is not held longer than it is read.
            txn.overlay.view = None;
            // With nothing left to do, it still is to be found out whether an earlier run did it.
            if txn.is_empty() && earlier.attempts.is_empty() {
                // Mistakes are reported also when no operation is left.
                let outcome = txn.send().await.map_err(|error| earlier.error(error))?;
                return Ok((result, outcome));
            }
            // Was it an earlier transaction that changed what this one would change again? Those that
            // inserted rows can tell for themselves; of others nobody knows.
            let edits = &earlier.edits;
            let is_doubtful =
                !planted!(EditTwice) && edits.iter().any(|edits| txn.overlay.replaces_again(edits));
            if is_doubtful && earlier.attempts.is_empty() {
                return Err(earlier.unknown_error().into());
            }
            let guarded = if is_doubtful {
                self.transaction().after(&earlier.attempts)
            } else {
                txn.after(&earlier.attempts)
            };
            let error = match Settled::of(guarded.send().await, earlier.attempts.len()) {
                Settled::Now(Ok(_)) if is_doubtful => return Err(earlier.unknown_error().into()),
                Settled::Now(Ok(outcome)) => {
                    return Ok((result, outcome.without_first(txn.reads)));
                }
                Settled::Before(attempt) => return Ok(earlier.settled(attempt)),
                Settled::Now(Err(error)) => {
                    earlier.attempts.clear();
                    earlier.results.clear();
                    error
                }
                Settled::Not(error) => error,
            };
            let error = txn.without_own_guards(error);
            let again = match error.retry() {
                Retry::Never => false,
                Retry::Again => true,
                Retry::Unknown if is_doubtful => true,
                Retry::Unknown => earlier.add(&txn, result, &error),
            };
            if !again || run as usize >= policy.tries {
                return Err(earlier.error(error).into());
            }
            tracing::debug!(database = self.database(), error = %ErrorChain::new(&error), run, "a transaction is tried again");
            tokio::time::sleep(policy.wait(run)).await;
            run += 1;
        }
    }
}

/// Waits until the replica is current, at most as long as `limit` says.
async fn current_view<D: Database>(
    cache: &Cache<D>,
    limit: Option<Duration>,
) -> Result<(Basis, Snapshot<D>), Disconnected> {
    match limit {
        None => cache.current_view().await,
        Some(limit) => tokio::time::timeout(limit, cache.current_view())
            .await
            .unwrap_or_else(|_| {
                let refused = cache.monitor_error().map(Box::new);
                let reason =
                    refused.map_or(DisconnectReason::TimedOut, DisconnectReason::MonitorRefused);
                Err(Disconnected::new(reason))
            }),
    }
}

/// The runs whose outcome is unknown.
struct Earlier<D, R> {
    /// The runs that a later transaction settles, with the closure's results.
    attempts: Vec<Attempt>,
    results: Vec<R>,
    /// Why the last one is unknown.
    unknown: Option<CommitError>,
    /// Whether one of them can never be settled.
    unsettled: bool,
    /// What those would have replaced.
    edits: Vec<Overlay<D>>,
}

impl<D, R> Default for Earlier<D, R> {
    fn default() -> Self {
        Self {
            attempts: Vec::new(),
            results: Vec::new(),
            unknown: None,
            unsettled: false,
            edits: Vec::new(),
        }
    }
}

impl<D: Database, R> Earlier<D, R> {
    /// Notes a run whose outcome is unknown. Returns whether the closure can be run again.
    fn add(&mut self, txn: &Transaction<D>, result: R, error: &CommitError) -> bool {
        self.unknown = Some(error.clone());
        match txn.attempt() {
            Some(attempt) => {
                self.attempts.push(attempt);
                self.results.push(result);
                true
            }
            None => {
                self.unsettled = true;
                self.edits.push(txn.overlay.clone());
                txn.can_be_made_twice()
            }
        }
    }

    /// Whether it is not known of a run whether it was carried out.
    fn is_open(&self) -> bool {
        self.unsettled || !self.attempts.is_empty()
    }

    /// What the run with this number came to, once it is known that it was carried out.
    fn settled(&mut self, attempt: usize) -> (R, Outcome) {
        let outcome = self.attempts[attempt].outcome();
        (self.results.swap_remove(attempt), outcome)
    }

    /// The error to report when a run that nobody can settle ends the retries.
    fn unknown_error(&self) -> CommitError {
        self.error(CommitError::NotSent(Disconnected::new(
            DisconnectReason::ViewOutdated,
        )))
    }

    /// The error to report when this error ends the retries: an unknown outcome is never reported as a
    /// refusal.
    fn error(&self, error: CommitError) -> CommitError {
        let open = self.is_open();
        match (&self.unknown, error) {
            (Some(_), CommitError::NotSent(lost)) if open => CommitError::Unknown(lost),
            (Some(unknown), error) if open && error.nothing_changed() => unknown.clone(),
            (_, error) => error,
        }
    }
}

impl<D: Database> Transaction<D> {
    /// Whether operations that were carried out once can be carried out again, decided on a view that shows
    /// their effect.
    fn can_be_made_twice(&self) -> bool {
        if planted!(IncrementTwice) {
            return true;
        }
        // Guards that the view gives are of the new view when the closure is run again: only a `wait` of the
        // closure itself can tell that the rows are there already.
        let own = self.operations.iter().enumerate().skip(self.reads);
        let own = own.filter(|(place, _)| !self.edit_waits.contains(&(place - self.reads)));
        let guarded = own
            .clone()
            .any(|(_, operation)| matches!(operation, Operation::Wait { .. }));
        own.map(|(_, operation)| operation)
            .all(|operation| match operation {
                Operation::Insert { .. } => guarded,
                Operation::Mutate { mutations, .. } => mutations
                    .iter()
                    .all(|mutation| matches!(mutation.mutator, Mutator::Insert | Mutator::Delete)),
                _ => true,
            })
    }
}
