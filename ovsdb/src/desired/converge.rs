//! Committing plans until there is nothing left to do.

use super::conflict::Conflict;
use super::{Desired, Plan};
use crate::client::{Cache, Client};
use crate::model::Database;
use crate::transaction::{CommitError, RetryPolicy};

/// After how many commits [`Client::converge`](crate::Client::converge) gives up.
const ROUNDS: usize = 10;

/// Why a database could not be brought to the desired state.
///
/// ```
/// # async fn example(client: ovsdb::nb::Client, cache: ovsdb::nb::Cache, desired: ovsdb::nb::Desired) {
/// use ovsdb::desired::ConvergeError;
///
/// match client.converge(&cache, &desired).await {
///     Ok(done) => println!("{} changes", done.changes),
///     Err(ConvergeError::Conflict(conflict)) => println!("there is no plan: {conflict}"),
///     Err(error) => println!("{error}"),
/// }
/// # }
/// ```
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ConvergeError {
    /// No plan could be made.
    #[error(transparent)]
    Conflict(#[from] Conflict),
    /// A commit failed.
    #[error(transparent)]
    Commit(#[from] CommitError),
    /// After ten commits there is still something to do: another client, or the server, changes the
    /// rows back each time. For example, the server removes a weak reference to a row that does not exist.
    #[error(
        "{rounds} commits did not bring the rows to the wanted state; another client or the server changes them back"
    )]
    NotConverged {
        /// How many transactions were committed.
        rounds: usize,
    },
}

/// What [`Client::converge`](crate::Client::converge) has done.
///
/// ```
/// # async fn example(client: ovsdb::nb::Client, cache: ovsdb::nb::Cache, desired: ovsdb::nb::Desired)
/// # -> Result<(), ovsdb::desired::ConvergeError> {
/// let done = client.converge(&cache, &desired).await?;
/// println!("{} changes in {} commits", done.changes, done.commits);
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Converged {
    /// How many transactions were committed; 0 when there was nothing to do.
    pub commits: usize,
    /// How many rows they inserted, changed or deleted; a row that several steps change counts once for
    /// each.
    pub changes: usize,
}

impl<D: Database> Client<D> {
    /// Brings the database to the desired state: plans and commits, each time on a current view, until
    /// the plan is empty. Each plan is one transaction, tried again after conflicts as by
    /// [`apply`](Self::apply).
    ///
    /// # Errors
    /// The plan's conflict, at once; the errors of [`apply`](Self::apply); [`ConvergeError::NotConverged`] when
    /// there is still something to do after ten commits.
    pub async fn converge(
        &self,
        cache: &Cache<D>,
        desired: &Desired<D>,
    ) -> Result<Converged, ConvergeError> {
        let mut done = Converged::default();
        loop {
            let apply = self.apply_with(RetryPolicy::default(), cache, |view, txn| {
                let plan: Plan<D> = desired.plan(view)?;
                if done.commits == ROUNDS && plan.count() > 0 {
                    return Err(ConvergeError::NotConverged { rounds: ROUNDS });
                }
                plan.write(txn);
                Ok(plan.count())
            });
            let (changes, _) = apply.await?;
            if changes == 0 {
                return Ok(done);
            }
            done.commits += 1;
            done.changes += changes;
        }
    }
}
