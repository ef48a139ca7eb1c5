//! Committing exactly once, even if the connection is lost.

use std::collections::HashMap;

use super::{CommitError, Outcome, Retry, RetryPolicy, Transaction};
use crate::model::Database;
use crate::protocol::{Clause, ErrorKind, Function, Operation, Until};
use crate::value::{Atom, Datum, Str, Uuid};

/// How many times a transaction is sent before its outcome stays unknown.
const TRIES: u32 = 10;

impl<D: Database> Transaction<D> {
    /// Like [`commit`](Self::commit), but settles an outcome that is [unknown](Retry::Unknown): the
    /// transaction is sent again, with a guard that lets it through only if a row that it inserts does
    /// not exist. So it is carried out once, even if the first attempt is still on its way through a
    /// cluster.
    ///
    /// The guard needs an insert with a uuid chosen by the client, preferably into a table of the root
    /// set. A transaction without one is sent only once. The row must outlive the attempts: if another
    /// client deletes it, a later attempt inserts it again.
    ///
    /// # Errors
    /// As [`commit`](Self::commit). The outcome stays unknown without such an insert, when the time
    /// limit of an attempt passes (each has the whole limit), when the client or its runtime is closed,
    /// after ten attempts, and when a later attempt is refused for good, since the earlier one may still
    /// be on its way to the server. If the transaction [requires a current
    /// replica](Self::require_current), it also stays unknown when the connection is lost, because no
    /// later attempt is sent then.
    pub async fn commit_once(self) -> Result<Outcome, CommitError> {
        let sealed = self.sealed();
        let answer = sealed.send().await;
        let (mut unknown, attempt) = match (answer, sealed.attempt()) {
            (Err(error), Some(attempt)) if error.retry() == Retry::Unknown => (error, attempt),
            (answer, _) => return sealed.without_reads(answer),
        };
        let attempts = [attempt];
        let guarded = sealed.after(&attempts);
        for pause in 1..TRIES {
            match Settled::of(guarded.send().await, 1) {
                Settled::Now(answer) => return sealed.without_reads(answer),
                Settled::Before(_) => return Ok(attempts[0].outcome()),
                Settled::Not(error) => match (error.retry(), error) {
                    (Retry::Unknown, error) => unknown = error,
                    (Retry::Again, _) => {
                        tokio::time::sleep(RetryPolicy::default().wait(pause)).await;
                    }
                    // The outcome of the earlier attempts is still unknown.
                    (Retry::Never, CommitError::NotSent(lost)) => {
                        return Err(CommitError::Unknown(lost));
                    }
                    (Retry::Never, error) if error.nothing_changed() => return Err(unknown),
                    (Retry::Never, error) => return Err(error),
                },
            }
        }
        Err(unknown)
    }

    /// This transaction as an attempt, if it can be settled later whether it was carried out.
    pub(super) fn attempt(&self) -> Option<Attempt> {
        let schema = self.origin.schema();
        let mut inserts = self
            .operations
            .iter()
            .filter_map(|operation| match operation {
                Operation::Insert {
                    table,
                    uuid: Some(uuid),
                    ..
                } => Some((table, *uuid)),
                _ => None,
            });
        let first = inserts.clone().next();
        let is_root = |table: &str| {
            let table = schema.as_ref().and_then(|schema| schema.tables.get(table));
            table.is_some_and(|table| table.is_root)
        };
        let (table, row) = inserts.find(|(table, _)| is_root(table)).or(first)?;
        Some(Attempt {
            table: table.clone(),
            row,
            // Uuids that the server chose are lost with its reply.
            inserted: self
                .inserted
                .iter()
                .filter(|(uuid, _)| !self.is_named(**uuid))
                .map(|(uuid, place)| (*uuid, *place))
                .collect(),
        })
    }

    /// The transaction with a guard before it for each attempt. A guard fails if its attempt was
    /// carried out.
    pub(super) fn after(&self, attempts: &[Attempt]) -> Self {
        let mut guarded = self.clone();
        guarded.put_first(attempts.iter().map(Attempt::guard));
        guarded
    }
}

/// A transaction that was sent, with an unknown outcome.
#[derive(Debug)]
pub(super) struct Attempt {
    /// The row that exists if the transaction was carried out, and its table.
    table: Str,
    row: Uuid,
    inserted: HashMap<Uuid, usize>,
}

impl Attempt {
    /// The operation that fails if the attempt was carried out.
    fn guard(&self) -> Operation {
        let row = if planted!(UnguardedRetry) {
            Uuid::nil()
        } else {
            self.row
        };
        Operation::Wait {
            timeout: Some(0),
            table: self.table.clone(),
            conditions: vec![Clause::Compare {
                column: "_uuid".into(),
                function: Function::Equal,
                argument: Datum::from(Atom::Uuid(row)),
            }],
            columns: Some(vec!["_uuid".into()]),
            until: Until::Equal,
            rows: Vec::new(),
        }
    }

    /// The outcome, once it is known that the attempt was carried out.
    pub(super) fn outcome(&self) -> Outcome {
        Outcome::settled(&self.inserted)
    }
}

/// What the reply to a transaction with guards for earlier attempts settles.
pub(super) enum Settled {
    /// No earlier attempt was carried out; this is the outcome of this transaction.
    Now(Result<Outcome, CommitError>),
    /// The attempt with this number was carried out, and this transaction was not.
    Before(usize),
    /// The reply does not settle the earlier attempts.
    Not(CommitError),
}

impl Settled {
    pub(super) fn of(answer: Result<Outcome, CommitError>, guards: usize) -> Self {
        match answer {
            Ok(outcome) => Self::Now(Ok(outcome.without_first(guards))),
            Err(CommitError::Refused(refusal)) if guards > 0 => match refusal.operation {
                // The guard failed: the row exists, and with it the rest of that attempt.
                Some(guard) if guard < guards && refusal.error.kind() == ErrorKind::TimedOut => {
                    Self::Before(guard)
                }
                // Even if the guards passed, so that no earlier attempt was carried out yet, its
                // request may still be on its way.
                _ => Self::Not(CommitError::Refused(Box::new(
                    refusal.without_first(guards),
                ))),
            },
            Err(error) if guards > 0 => Self::Not(error),
            Err(error) => Self::Now(Err(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{DisconnectReason, Disconnected};
    use crate::protocol::OvsdbError;
    use crate::transaction::Refusal;

    fn refused(operation: Option<usize>, error: &str) -> Result<Outcome, CommitError> {
        Err(CommitError::Refused(Box::new(Refusal {
            operation,
            ..Refusal::of_request(OvsdbError::new(error))
        })))
    }

    /// What is settled, and at which operation the transaction itself was refused.
    fn settled(answer: Result<Outcome, CommitError>, guards: usize) -> (String, Option<usize>) {
        let at = |error: CommitError| match error {
            CommitError::Refused(refusal) => refusal.operation,
            _ => None,
        };
        match Settled::of(answer, guards) {
            Settled::Now(Ok(_)) => ("committed now".to_owned(), None),
            Settled::Now(Err(error)) => ("failed now".to_owned(), at(error)),
            Settled::Before(attempt) => (format!("committed as {attempt}"), None),
            Settled::Not(error) => ("not settled".to_owned(), at(error)),
        }
    }

    #[test]
    fn only_a_guard_that_fails_shows_that_an_attempt_was_carried_out() {
        let lost = || {
            let lost = Disconnected::new(DisconnectReason::Silent);
            Err(CommitError::Unknown(lost))
        };
        for (answer, guards, expected, at) in [
            (Ok(Outcome::empty()), 2, "committed now", None),
            (refused(Some(0), "timed out"), 2, "committed as 0", None),
            (refused(Some(1), "timed out"), 2, "committed as 1", None),
            // A wait of the transaction itself.
            (refused(Some(2), "timed out"), 2, "not settled", Some(0)),
            (refused(Some(1), "unknown table"), 2, "not settled", Some(0)),
            (refused(Some(5), "domain error"), 2, "not settled", Some(3)),
            (refused(None, "timed out"), 2, "not settled", None),
            (lost(), 1, "not settled", None),
            (refused(Some(3), "timed out"), 0, "failed now", Some(3)),
            (lost(), 0, "failed now", None),
        ] {
            let shown = format!("{answer:?} after {guards} guards");
            assert_eq!(
                settled(answer, guards),
                (expected.to_owned(), at),
                "{shown}"
            );
        }
    }
}
