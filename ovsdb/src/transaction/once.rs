//! Committing once, whatever becomes of the connection.

use super::{CommitError, Outcome, RowIdentity, Transaction};
use crate::error::DisconnectReason;
use crate::model::Database;
use crate::protocol::{Clause, ErrorKind, Function, Operation, Until};
use crate::value::{Atom, Datum, Str, Uuid};

/// How often a transaction is sent again before its outcome stays unknown.
const TRIES: usize = 10;

impl<D: Database> Transaction<D> {
    /// As [`commit`](Self::commit), but settles an outcome that is unknown: the transaction is sent
    /// again on the next connection, behind a guard that lets it through only if a row of its own
    /// inserts is not there. So it is carried out once, even if the first attempt is on its way
    /// through a cluster still.
    ///
    /// It takes an insert to tell: one into a root table is taken before others. A transaction
    /// without inserts, or with [`RowIdentity::Named`], is sent once. The row must outlive the
    /// attempts: when somebody deletes it, one that follows, or arrives late, inserts it anew.
    ///
    /// # Errors
    /// As [`commit`](Self::commit); [`CommitError::Unknown`] remains where nothing can tell, when
    /// the time is over, and when the client is closed.
    pub async fn commit_once(self) -> Result<Outcome, CommitError> {
        let Some((table, uuid)) = self.witness() else {
            return self.send().await;
        };
        let mut answer = self.send().await;
        let guarded = self.guarded(table, uuid);
        for _ in 1..TRIES {
            match answer {
                Err(CommitError::Unknown(lost)) if may_go_on(lost.reason()) => {
                    answer = guarded.send().await.map(Outcome::without_first);
                    match answer {
                        Err(CommitError::Refused(refusal)) => {
                            // The guard failed: the row is there, and with it all the rest.
                            if refusal.operation == Some(0)
                                && refusal.error.kind() == ErrorKind::TimedOut
                            {
                                return Ok(Outcome::settled(&self.inserted));
                            }
                            return Err(CommitError::Refused(Box::new(refusal.without_first())));
                        }
                        // The earlier attempt is as unknown as before.
                        Err(CommitError::NotSent(lost)) => return Err(CommitError::Unknown(lost)),
                        other => answer = other,
                    }
                }
                settled => return settled,
            }
        }
        answer
    }

    /// The insert whose row tells whether the transaction was carried out.
    fn witness(&self) -> Option<(Str, Uuid)> {
        if self.client.row_identity() != RowIdentity::ClientChosen {
            return None;
        }
        let schema = self.client.server_schema();
        let mut inserts = self
            .operations
            .iter()
            .filter_map(|operation| match operation {
                Operation::Insert {
                    table,
                    uuid: Some(uuid),
                    ..
                } => Some((table.clone(), *uuid)),
                _ => None,
            });
        let first = inserts.clone().next();
        let is_root = |table: &str| schema.tables.get(table).is_some_and(|table| table.is_root);
        inserts.find(|(table, _)| is_root(table)).or(first)
    }

    /// The transaction behind a guard that fails when the row is there.
    fn guarded(&self, table: Str, uuid: Uuid) -> Self {
        let mut guarded = self.clone();
        for place in guarded.inserted.values_mut() {
            *place += 1;
        }
        let guard = Operation::Wait {
            timeout: Some(0),
            table,
            conditions: vec![Clause::Compare {
                column: "_uuid".into(),
                function: Function::Equal,
                argument: Datum::from(Atom::Uuid(uuid)),
            }],
            columns: Some(vec!["_uuid".into()]),
            until: Until::Equal,
            rows: Vec::new(),
        };
        guarded.operations.insert(0, guard);
        guarded
    }
}

/// Whether another connection will come, or this one serves on.
const fn may_go_on(reason: &DisconnectReason) -> bool {
    !matches!(
        reason,
        DisconnectReason::Closed | DisconnectReason::RuntimeGone | DisconnectReason::TimedOut
    )
}
