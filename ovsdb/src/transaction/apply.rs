//! Changing what is there: read, decide, write, and again when somebody was faster.

use std::time::Duration;

use super::{CommitError, Outcome, Transaction};
use crate::cache::{Cache, Snapshot};
use crate::client::Client;
use crate::model::Database;
use crate::protocol::Operation;

/// How often, and after which waits, [`Client::apply_with`] tries again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// How often the closure is run at the most.
    pub tries: usize,
    /// The wait before the second run; doubled before each further one.
    pub min_wait: Duration,
    /// The longest wait. Chance shortens each by up to a half.
    pub max_wait: Duration,
}

impl Default for RetryPolicy {
    /// 10 tries, 5 ms to 1 s.
    fn default() -> Self {
        Self {
            tries: 10,
            min_wait: Duration::from_millis(5),
            max_wait: Duration::from_secs(1),
        }
    }
}

impl RetryPolicy {
    /// The wait before the run with this number, from 1 on.
    fn wait(&self, run: u32) -> Duration {
        let whole = self
            .min_wait
            .saturating_mul(1_u32.checked_shl(run - 1).unwrap_or(u32::MAX))
            .min(self.max_wait);
        let share = u32::from(crate::value::Uuid::new_v4().as_bytes()[0]);
        whole / 2 + (whole / 2) * share / 255
    }
}

impl<D: Database> Client<D> {
    /// Runs `change` on a view of the replica, and commits the transaction it wrote. When somebody
    /// else was faster it is run again, on a newer view: after a failed
    /// [`wait`](Transaction::wait) or [`verify`](Transaction::verify), a constraint or a reference
    /// that no longer holds, a change of a cluster's leader.
    ///
    /// The closure may be run several times, and must do nothing but read the view and write the
    /// transaction. If it leaves that empty, nothing is sent. What it decides by, it should
    /// verify: nothing else keeps the rows as the view shows them.
    ///
    /// An unknown outcome is settled as [`commit_once`](Transaction::commit_once) does, or, where
    /// the transaction has a guard, by running the closure again; else it is an error.
    ///
    /// ```no_run
    /// # #[cfg(feature = "nb")]
    /// # async fn example(client: ovsdb::Client<ovsdb::nb::Database>, cache: ovsdb::Cache<ovsdb::nb::Database>)
    /// # -> Result<(), ovsdb::CommitError> {
    /// use ovsdb::nb::LogicalSwitch as Switch;
    ///
    /// // Get or create: the schema has no index that keeps names apart.
    /// let (switch, _) = client
    ///     .apply(&cache, |view, txn| {
    ///         if let Some(switch) = view.rows::<Switch>().find(|switch| switch.name == "sw0") {
    ///             return Ok(switch.reference());
    ///         }
    ///         let switch = Switch { name: "sw0".into(), ..Default::default() };
    ///         txn.wait(Switch::NAME.eq("sw0")).comparing(Switch::NAME).until_not([switch.clone()]);
    ///         Ok::<_, ovsdb::CommitError>(txn.insert(switch))
    ///     })
    ///     .await?;
    /// # let _ = switch; Ok(()) }
    /// ```
    ///
    /// # Errors
    /// The closure's own, at once; and that of the last commit.
    pub async fn apply<R, E: From<CommitError>>(
        &self,
        cache: &Cache<D>,
        change: impl FnMut(&Snapshot<D>, &mut Transaction<D>) -> Result<R, E>,
    ) -> Result<(R, Outcome), E> {
        self.apply_with(RetryPolicy::default(), cache, change).await
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
        let mut run = 1;
        loop {
            let mut txn = self.transaction();
            let result = change(&cache.snapshot(), &mut txn)?;
            let guarded = txn
                .operations()
                .iter()
                .any(|operation| matches!(operation, Operation::Wait { .. }));
            let error = match txn.commit_once().await {
                Ok(outcome) => return Ok((result, outcome)),
                Err(error) => error,
            };
            let again = error.is_conflict() || (guarded && error.is_unsettled());
            if !again || run as usize >= policy.tries {
                return Err(error.into());
            }
            tracing::debug!(%error, run, "a transaction is tried again");
            tokio::time::sleep(policy.wait(run)).await;
            if cache.current().await.is_err() {
                return Err(error.into());
            }
            run += 1;
        }
    }
}
