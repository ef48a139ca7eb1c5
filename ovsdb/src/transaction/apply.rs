//! Optimistic concurrency: read, decide and write, and start over after a conflict with another client.

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
    /// [`CommitError::retry`] says [`Again`](Retry::Again), `change` is run again on a newer view, for
    /// example after a failed [`wait`](Transaction::wait) or [`verify`](Transaction::verify), a duplicate in an
    /// index, a reference to a row that no longer exists, or a change of the cluster's leader or
    /// schema. A value out of range and other permanent refusals are returned at once.
    ///
    /// The closure may be run several times, so it must do nothing but read the view and write the
    /// transaction. If it writes nothing, nothing is sent, except to find out whether an earlier run was
    /// committed.
    ///
    /// The transaction shows the view with its own writes applied. What the closure reads through it
    /// ([`get`](Transaction::get), [`get_by`](Transaction::get_by), [`find`](Transaction::find)) is
    /// verified by the commit, and so is what an [`edit`](Transaction::edit) replaces. What it reads
    /// from the view itself is not verified, so it can look through a whole table. When another client
    /// has changed something that was verified, the closure is run again.
    ///
    /// The closure is run only while the replica is [current](Cache::current): without a connection, or
    /// while the rows are fetched again, `apply` waits. Each run may wait as long as the [request
    /// timeout](crate::ClientBuilder::request_timeout) allows, and its commit gets the rest of that
    /// time. When the connection is lost or the schema is converted after the view was taken and before
    /// the transaction is sent, it is not sent, and the closure is run again.
    ///
    /// When the connection is lost after sending, the closure is run again too, on a view from the next
    /// connection. If the first transaction inserted a row with a uuid that the client chose, the second
    /// is committed only if that row does not exist. So the change is made exactly once, and if the first
    /// transaction turns out to have made it, the result of its run is returned. Without such an insert
    /// the change may be made twice, the second time on rows that show the first change. Where that
    /// would differ from making it once,
    /// the transaction is not tried again, and the outcome stays [unknown](Retry::Unknown): with
    /// arithmetic mutations; with [inserts whose uuids the server chooses](super::RowIdentity::Named)
    /// and no `wait`; and when the closure, run again, would again replace values of a row that changed
    /// meanwhile, as a closure that counts does, or again add or remove the same elements or keys in the
    /// row. A closure that sets a row to fixed values finds nothing left to do.
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
    /// The closure's own error, at once; or the error of the last commit. [`CommitError::NotSent`] when
    /// the replica did not become current in time, its monitor cannot be started, the client was closed
    /// or its runtime shut down, or decoding a message for the cache panicked, which has ended the cache.
    /// While the outcome of an earlier run is unknown, `apply` returns that in place of an error after
    /// which nothing has changed. If the closure itself fails then, perhaps because of what that
    /// run has changed, the result of that run is returned, or an unknown outcome if it cannot be
    /// determined.
    pub async fn apply<R, E: From<CommitError>>(
        &self,
        cache: &Cache<D>,
        change: impl FnMut(&Snapshot<D>, &mut Transaction<D>) -> Result<R, E>,
    ) -> Result<(R, Outcome), E> {
        self.apply_with(RetryPolicy::default(), cache, change).await
    }

    /// Like [`apply`](Self::apply), for a closure that cannot fail.
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
    /// // The schema has no index that keeps the names of switches unique.
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
    /// As [`apply`](Self::apply), without an error of the closure.
    pub async fn edit<R>(
        &self,
        cache: &Cache<D>,
        mut change: impl FnMut(&Snapshot<D>, &mut Transaction<D>) -> R,
    ) -> Result<(R, Outcome), CommitError> {
        self.apply(cache, |view, txn| Ok(change(view, txn))).await
    }

    /// Like [`apply`](Self::apply), with another retry policy.
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
                // The closure may have failed because of rows that an earlier run changed.
                let settled = self.transaction().after(&earlier.attempts).send().await;
                return match Settled::of(settled, earlier.attempts.len()) {
                    Settled::Before(attempt) => Ok(earlier.settled(attempt)),
                    Settled::Now(_) | Settled::Not(_) => Err(earlier.unknown_error().into()),
                };
            };
            let mut txn = txn.sealed();
            // Drop the view, so that its state can be reused while the commit waits.
            txn.overlay.view = None;
            // With earlier attempts, even an empty transaction is sent: its guards find out whether one
            // of them did the work.
            if txn.is_empty() && earlier.attempts.is_empty() {
                // Mistakes are reported even if no operation is left.
                let outcome = txn.send().await.map_err(|error| earlier.error(error))?;
                return Ok((result, outcome));
            }
            // A run that cannot be settled may have changed the values that this one would change
            // again. If other runs inserted rows, find out whether one of them was carried out;
            // otherwise the outcome stays unknown.
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
            tracing::debug!(database = self.database(), error = %ErrorChain::new(&error), run, "retrying a transaction");
            tokio::time::sleep(policy.wait(run)).await;
            run += 1;
        }
    }
}

/// Waits until the replica is current, up to `limit`.
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

/// Runs whose outcome is unknown.
struct Earlier<D, R> {
    /// The runs that a later transaction can settle; the closure's results are in `results`.
    attempts: Vec<Attempt>,
    results: Vec<R>,
    /// Why the outcome of the last run is unknown.
    unknown: Option<CommitError>,
    /// Whether one of the runs can never be settled.
    unsettled: bool,
    /// What the runs that cannot be settled have written.
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
    /// Records a run whose outcome is unknown. Returns whether the closure can be run again.
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

    /// Whether the outcome of any run is still unknown.
    fn is_open(&self) -> bool {
        self.unsettled || !self.attempts.is_empty()
    }

    /// The result and the outcome of a run that is now known to be committed.
    fn settled(&mut self, attempt: usize) -> (R, Outcome) {
        let outcome = self.attempts[attempt].outcome();
        (self.results.swap_remove(attempt), outcome)
    }

    /// The error to report when the outcome of an earlier run stays unknown.
    fn unknown_error(&self) -> CommitError {
        self.error(CommitError::NotSent(Disconnected::new(
            DisconnectReason::ViewOutdated,
        )))
    }

    /// The error to report when this error ends the retries. While the outcome of a run is unknown, no
    /// error is reported that says that nothing has changed.
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
    /// Whether it is harmless to make the change twice, the second time based on a view that shows the
    /// first.
    fn can_be_made_twice(&self) -> bool {
        if planted!(IncrementTwice) {
            return true;
        }
        // When the closure is run again, guards are made from the new view. So only a `wait` that the
        // closure itself writes can find that the rows exist already.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{OvsdbError, Wire as _};
    use crate::transaction::{BuildError, Refusal};
    use crate::value::Uuid;

    struct Inventory;

    impl Database for Inventory {
        const NAME: &'static str = "Inventory";
    }

    const INSERT: &str =
        r#"{"op":"insert","table":"T","row":{},"uuid":"00000000-0000-0000-0000-00000000000N"}"#;
    const WAIT: &str =
        r#"{"op":"wait","table":"T","where":[],"columns":[],"until":"==","rows":[],"timeout":0}"#;
    const UPDATE: &str = r#"{"op":"update","table":"T","where":[],"row":{}}"#;
    const MOVE: &str =
        r#"{"op":"mutate","table":"T","where":[],"mutations":[["c","insert",1],["c","delete",2]]}"#;
    const COUNT: &str =
        r#"{"op":"mutate","table":"T","where":[],"mutations":[["c","insert",1],["n","+=",1]]}"#;

    fn transaction(operations: &[&str]) -> Transaction<Inventory> {
        let mut txn = Transaction::detached();
        for (number, text) in operations.iter().enumerate() {
            let text = text.replace('N', &number.to_string());
            txn.operation(Operation::from_json(&text).expect(&text));
        }
        txn
    }

    fn disconnected() -> Disconnected {
        Disconnected::new(DisconnectReason::Silent)
    }

    fn refused(error: &str) -> CommitError {
        CommitError::Refused(Box::new(Refusal::of_request(OvsdbError::new(error))))
    }

    #[test]
    fn only_idempotent_changes_are_made_twice() {
        for (operations, reads, edit_waits, twice) in [
            (vec![], 0, vec![], true),
            (vec![UPDATE, MOVE], 0, vec![], true),
            (vec![UPDATE, COUNT], 0, vec![], false),
            (vec![INSERT], 0, vec![], false),
            // A wait of the program itself finds that the row exists.
            (vec![WAIT, INSERT], 0, vec![], true),
            // A guard is made from the new view, and so is the wait of an edit.
            (vec![WAIT, INSERT], 1, vec![], false),
            (vec![WAIT, WAIT, INSERT], 1, vec![], true),
            (vec![WAIT, WAIT, INSERT], 1, vec![0], false),
            (vec![WAIT, WAIT, WAIT, INSERT], 1, vec![0], true),
        ] {
            let mut txn = transaction(&operations);
            txn.reads = reads;
            txn.edit_waits = edit_waits.iter().copied().collect();
            let shown = format!("{operations:?}, {reads} guards, {edit_waits:?}");
            assert_eq!(txn.can_be_made_twice(), twice, "{shown}");
        }
    }

    #[test]
    fn while_an_attempt_may_be_on_its_way_nothing_is_reported_as_unchanged() {
        let mut earlier = Earlier::<Inventory, u8>::default();
        assert!(!earlier.is_open());
        let error = earlier.error(CommitError::NotSent(disconnected()));
        assert!(matches!(error, CommitError::NotSent(_)));
        let lost = CommitError::Unknown(disconnected());
        // Of two attempts that insert a row each, the second is found to be carried out.
        for number in [1, 2] {
            assert!(earlier.add(&transaction(&[UPDATE, INSERT]), number, &lost));
            assert!(earlier.is_open());
        }
        assert_eq!(earlier.attempts.len(), 2);
        for unchanged in [
            CommitError::Build(BuildError::Detached),
            refused("constraint violation"),
        ] {
            let error = earlier.error(unchanged);
            assert!(matches!(error, CommitError::Unknown(lost)
                if matches!(lost.reason(), DisconnectReason::Silent)));
        }
        let error = earlier.error(CommitError::NotSent(Disconnected::new(
            DisconnectReason::TimedOut,
        )));
        assert!(matches!(error, CommitError::Unknown(lost)
            if matches!(lost.reason(), DisconnectReason::TimedOut)));
        let error = earlier.error(refused("cluster error"));
        assert!(
            matches!(error, CommitError::Refused(_)),
            "it may have changed something itself"
        );
        assert!(matches!(earlier.unknown_error(), CommitError::Unknown(_)));
        let (result, outcome) = earlier.settled(1);
        assert_eq!(result, 2);
        assert!(outcome.is_settled());
        // Once they are settled, errors are reported unchanged.
        earlier.attempts.clear();
        let error = earlier.error(CommitError::NotSent(disconnected()));
        assert!(matches!(error, CommitError::NotSent(_)));
        assert!(matches!(
            earlier.error(refused("aborted")),
            CommitError::Refused(_)
        ));

        // Without an insert, nothing shows later whether an attempt was carried out.
        let mut earlier = Earlier::<Inventory, u8>::default();
        assert!(earlier.add(&transaction(&[MOVE]), 1, &lost));
        assert!(!earlier.add(&transaction(&[COUNT]), 2, &lost));
        assert!(earlier.is_open() && earlier.attempts.is_empty() && earlier.edits.len() == 2);
    }

    #[test]
    fn an_attempt_is_found_again_by_a_row_that_stays() {
        let schema = r#"{"name":"Inventory","version":"1.0.0","tables":{
            "Part":{"columns":{"c":{"type":"string"}}},"Root":{"isRoot":true,"columns":{"c":{"type":"string"}}}}}"#;
        let schema = ovsdb_schema::DatabaseSchema::parse(schema).expect("a schema");
        let insert = |table: &str, uuid: Option<u128>| Operation::Insert {
            table: table.into(),
            row: crate::protocol::Columns::new(),
            uuid_name: None,
            uuid: uuid.map(Uuid::from_u128),
        };
        for (inserts, found) in [
            (vec![], None),
            (vec![("Part", None), ("Root", None)], None),
            (vec![("Part", Some(1))], Some(("Part", 1))),
            (
                vec![("Part", Some(1)), ("Part", Some(2))],
                Some(("Part", 1)),
            ),
            (
                vec![("Part", Some(1)), ("Root", Some(2))],
                Some(("Root", 2)),
            ),
            (vec![("Part", Some(1)), ("Root", None)], Some(("Part", 1))),
        ] {
            let mut txn = Transaction::<Inventory>::detached_for(schema.clone());
            for (table, uuid) in &inserts {
                txn.operation(insert(table, *uuid));
            }
            let guarded = txn.attempt().map(|attempt| txn.after(&[attempt]));
            let guard = guarded.as_ref().map(|txn| txn.operations[0].to_json());
            let expected = found.map(|(table, uuid)| {
                let clause = format!(r#"["_uuid","==",["uuid","{}"]]"#, Uuid::from_u128(uuid));
                let text = WAIT.replace(r#""where":[]"#, &format!(r#""where":[{clause}]"#));
                let text = text.replace(r#""columns":[]"#, r#""columns":["_uuid"]"#);
                let wait = Operation::from_json(&text.replace("\"T\"", &format!("\"{table}\"")));
                wait.expect("a wait").to_json()
            });
            assert_eq!(guard, expected, "{inserts:?}");
        }
    }
}
