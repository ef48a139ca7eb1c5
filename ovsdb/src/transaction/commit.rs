//! Checks a transaction, sends it, and waits for its outcome.

use std::borrow::Cow;

use tracing::Instrument as _;

use super::names::with_names;
use super::{BuildError, CommitError, Origin, Outcome, Refusal, Transaction, garbage};
use crate::client::Client;
use crate::model::{Database, RowIdentity};
use crate::protocol::{InvalidValue, Operation, check_operations};
use crate::session::CallError;

impl<D: Database> Transaction<D> {
    /// Sends the transaction and waits for its outcome.
    ///
    /// When a commit resolves, every cache of this client that [is current](crate::Cache::is_current)
    /// shows it (read-your-writes). While the monitor of a cache is being started again, for example
    /// after a schema conversion, the commit waits until that cache has its rows. It does not wait for
    /// a cache whose monitor the server refuses. It stops waiting at the time limit, and when the
    /// connection is lost after the server's reply. The transaction is then committed, and reported so;
    /// the caches that do not show it yet are stale.
    ///
    /// A transaction without operations commits at once, and nothing is sent. Without a connection the
    /// commit waits for one, and then sends the transaction unchanged, although the data that it is
    /// based on may be outdated by then. If what to write depends on a replica, use [`Client::apply`],
    /// which runs its closure again, or [`require_current`](Self::require_current), so that the
    /// transaction is not sent once the view is outdated. Dropping the future asks the server to cancel
    /// the transaction, which may come too late.
    ///
    /// # Errors
    /// [`CommitError::Build`] and [`CommitError::NotSent`] when nothing was sent.
    /// [`CommitError::Refused`] when the server refused the transaction: nothing has changed, except that
    /// some cluster errors leave this open ([`Retry::Unknown`](crate::Retry::Unknown)).
    /// [`CommitError::Unknown`] when the connection was lost, the runtime was shut down, or the time limit
    /// passed, before the reply, and [`CommitError::Answer`] when the reply is malformed: the transaction
    /// may or may not have been committed; see [`commit_once`](Self::commit_once).
    pub async fn commit(self) -> Result<Outcome, CommitError> {
        let sealed = self.sealed();
        sealed.without_reads(sealed.send().await)
    }

    /// The outcome without the guards that this crate added.
    pub(super) fn without_reads(
        &self,
        answer: Result<Outcome, CommitError>,
    ) -> Result<Outcome, CommitError> {
        match answer {
            Ok(outcome) => Ok(outcome.without_first(self.reads)),
            Err(error) => Err(self.without_own_guards(error)),
        }
    }

    /// The error, with its operation counted without the guards that this crate added.
    pub(super) fn without_own_guards(&self, error: CommitError) -> CommitError {
        match error {
            CommitError::Refused(refusal) => {
                let refusal = refusal.without_guards(self.reads, &self.edit_waits);
                CommitError::Refused(Box::new(refusal))
            }
            other => other,
        }
    }

    /// Sends the operations without adding guards.
    pub(super) async fn send(&self) -> Result<Outcome, CommitError> {
        let Origin::Client(client) = &self.origin else {
            return Err(CommitError::Build(BuildError::Detached));
        };
        let operations = self.operations.len();
        let span = tracing::debug_span!(
            "ovsdb_transaction",
            database = client.database(),
            operations
        );
        let outcome = self.send_uncounted(client).instrument(span).await;
        let counters = client.counters();
        match &outcome {
            Ok(outcome) if outcome.results().is_empty() => {}
            Ok(_) => counters.committed.add(1),
            Err(CommitError::Refused(_)) => counters.refused.add(1),
            Err(CommitError::Unknown(_) | CommitError::Answer(_)) => counters.unknown.add(1),
            Err(CommitError::Build(_) | CommitError::NotSent(_)) => {}
        }
        outcome
    }

    /// Whether the transaction can be sent. The error is the first mistake in it, such as a column that
    /// the server lacks, an inserted row that nothing refers to, or a string with a NUL.
    /// [`commit`](Self::commit) begins with this check.
    ///
    /// # Errors
    /// The mistake.
    pub fn check(&self) -> Result<(), BuildError> {
        self.check_rows()?;
        let sealed = self.clone().sealed();
        Ok(check_operations(&sealed.operations).map_err(|error| sealed.without_guards(error))?)
    }

    /// Checks everything except values. The caller checks those, or they are checked when serialized.
    pub(super) fn check_rows(&self) -> Result<(), BuildError> {
        if let Some(mistake) = &self.mistake {
            return Err(mistake.clone());
        }
        let Some(schema) = self.origin.schema() else {
            return Ok(());
        };
        match garbage::first_unreferenced(&self.operations, &self.inserted, &schema) {
            Some(index) => Err(BuildError::Unreferenced {
                operation: index.saturating_sub(self.guards),
                table: self.operations[index].table().cloned().unwrap_or_default(),
            }),
            None => Ok(()),
        }
    }

    pub(super) fn without_guards(&self, mut invalid: InvalidValue) -> InvalidValue {
        let operation = invalid.operation;
        invalid.operation = operation.and_then(|index| index.checked_sub(self.guards));
        invalid
    }

    /// The operations as they are sent: references to inserted rows are replaced by names where rows
    /// are named.
    pub(super) fn wire_operations(&self) -> Cow<'_, [Operation]> {
        match self.origin.row_identity() {
            RowIdentity::Named => {
                let named = |uuid| self.is_named(uuid);
                Cow::Owned(with_names(self.operations.iter().cloned(), named))
            }
            RowIdentity::ClientChosen => Cow::Borrowed(&self.operations),
        }
    }

    async fn send_uncounted(&self, client: &Client<D>) -> Result<Outcome, CommitError> {
        self.check_rows()?;
        if self.operations.is_empty() {
            return Ok(Outcome::empty());
        }
        let operations = self.wire_operations();
        let basis = self.basis.clone();
        let answer = client.transact(&operations, basis, self.timeout);
        match answer.await {
            Ok(text) => Outcome::read(text, &self.operations, &self.inserted),
            Err(CallError::Invalid(invalid)) => {
                let invalid = self.without_guards(invalid);
                Err(CommitError::Build(BuildError::InvalidValue(invalid)))
            }
            Err(CallError::Refused(error)) => {
                Err(CommitError::Refused(Box::new(Refusal::of_request(error))))
            }
            Err(CallError::NotSent(lost)) => Err(CommitError::NotSent(lost)),
            Err(CallError::Lost(_)) if planted!(LostCountsAsCommitted) => Ok(Outcome::empty()),
            Err(CallError::Lost(lost)) if planted!(LostCountsAsNotSent) => {
                Err(CommitError::NotSent(lost))
            }
            Err(CallError::Lost(lost)) => Err(CommitError::Unknown(lost)),
        }
    }
}
