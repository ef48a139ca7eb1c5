//! What the library provides for the crate `simulation`, and only for it: planted faults, and randomness
//! that comes from the simulation's seed.
//!
//! Only builds with `--cfg simulation`, which `cargo xtask simulate` makes, have them. In all others
//! `planted!` is the literal `false`, and uuids and the order of hash tables are random.

use uuid::Uuid;

/// Whether this fault is planted.
#[cfg(simulation)]
macro_rules! planted {
    ($fault:ident) => {
        crate::simulated::is_planted(crate::simulated::Planted::$fault)
    };
}

/// Always `false`: only simulations plant faults.
#[cfg(not(simulation))]
macro_rules! planted {
    ($fault:ident) => {
        false
    };
}

/// The hasher of hash tables. Its seed is random, so peers cannot choose keys that collide.
#[cfg(not(simulation))]
pub(crate) type HashState = foldhash::fast::RandomState;

/// The hasher of hash tables. Its seed is fixed, so that hash tables have the same order in every run.
#[cfg(simulation)]
pub(crate) type HashState = foldhash::fast::FixedState;

/// A uuid for a row.
#[cfg(not(simulation))]
pub(crate) fn new_uuid() -> Uuid {
    Uuid::new_v4()
}

/// A uuid for a row, from this thread's seeded generator.
#[cfg(simulation)]
pub(crate) fn new_uuid() -> Uuid {
    Uuid::from_u128(fastrand::u128(..))
}

#[cfg(simulation)]
pub use self::faults::*;

#[cfg(simulation)]
mod faults {
    use std::cell::Cell;

    macro_rules! faults {
        ($($name:ident: $what:literal,)*) => {
            /// The faults, by name.
            #[derive(Debug, Clone, Copy, PartialEq, Eq)]
            pub enum Planted {
                $(#[doc = $what] $name,)*
            }

            impl Planted {
                /// Every fault.
                pub const ALL: &[Self] = &[$(Self::$name),*];

                /// What is wrong when it is planted.
                #[must_use]
                pub const fn what(self) -> &'static str {
                    match self { $(Self::$name => $what,)* }
                }
            }
        };
    }

    faults! {
        MonitorNotRestarted: "with several monitors, the last is not requested again on a new connection",
        CancelIgnored: "a monitor that the server has cancelled is not requested again",
        OldSchemaRequested: "after a conversion, a monitor is requested with the old schema",
        StaleNotMarked: "a replica stays current when its connection is lost",
        CurrentTooEarly: "a replica counts as current when its monitor is requested, before its rows arrive",
        UpdateTwice: "the differences of a modified row are applied twice",
        UpdateLost: "an update that inserts rows and modifies none is dropped",
        DeleteNotApplied: "a deletion is not applied to the replica",
        DeleteNotStreamed: "a stream leaves out the deletions of a batch",
        DeletedWhileAwayKept: "rows that were deleted while the connection was lost are kept",
        ResumedWithOtherCondition: "a monitor is resumed although its conditions have changed since its last transaction",
        ResumedChangesLost: "when a monitor is resumed, the changes made while the connection was lost are not applied",
        TransactionIdKept: "an update does not advance the transaction from which the monitor is resumed",
        ConditionLost: "a change of conditions that was not acknowledged is not sent again",
        ConditionTooEarly: "a change of conditions resolves when it is sent",
        DecodedOutOfOrder: "a message is handled while an earlier one is still being decoded",
        StreamNotWoken: "a stream is not woken when a change is published",
        ResyncNotStreamed: "the state after a resync is not shown to streams",
        StaleSnapshotApplied: "`apply` decides on a replica that is not current",
        EditUnguarded: "an edit sends no guards",
        IncrementTwice: "`apply` repeats an increment although the outcome of the first is unknown",
        EditTwice: "`apply` repeats an edit although the value may already be the result of its own earlier attempt",
        UnguardedRetry: "the guard of a repeated transaction looks for another row than the one that the first attempt inserted",
        LostCountsAsCommitted: "a transaction whose connection is lost counts as committed",
        LostCountsAsNotSent: "a transaction whose connection is lost counts as not sent",
        TimedOutCountsAsNotSent: "a transaction that timed out after it was sent counts as not sent",
        CommitNotShown: "while monitors are restarted, a commit resolves before the replicas show it",
        ReplyToOther: "the reply to one call goes to another",
        RequestUnlimited: "a request has no time limit",
        BackoffKept: "a connection that served does not end the backoff",
        AttemptUnlimited: "an attempt to connect has no time limit",
        NameNotCompared: "a server's certificate is accepted whatever host it is for",
        TlsErrorLost: "every failed TLS handshake is reported as a closed connection",
        RemotesKept: "the connection to a remote that was taken from the list is kept",
        CloseForgetsCalls: "a client that is closed does not wait for replies",
        LateCountsAsSent: "a transaction that a closed client did not send counts as sent",
        RelayLossNotReported: "a relay does not report that it has lost its source",
        ServerFileLosesRecord: "a server does not write a transaction that only deletes rows to its file",
        PlanLeavesUnwanted: "a plan does not delete owned rows that are not wanted",
        PlanDeletesOthers: "a plan deletes rows that are neither owned nor wanted",
        PlanIgnoresParts: "a plan does not notice that the owner's elements of a set are missing",
        KeyTwiceInWork: "a work queue hands out a key that a worker already holds",
        KeyLostInWork: "a key that is added while a worker holds it is not queued again",
        KeyLostInDelay: "a key that is to be retried after a delay is forgotten",
        FailedKeyForgotten: "a reconciler does not retry a key after a failed attempt",
        NeverProbed: "a silent connection is not probed",
        IndexIgnored: "a cluster member is accepted although its index went back",
        RemovalIgnored: "a client stays connected to a server from which the database was removed",
        IsolatedMemberAccepted: "a cluster member is accepted although it has lost the other members",
        FollowerAccepted: "a client that requires the leader stays connected to a follower",
        LockKept: "a lock counts as held after the connection is lost",
        LockForgotten: "a lock is not requested on a new connection",
        LockStaysTaken: "a lock that another client stole counts as held",
        SessionOutlivesHandles: "a session goes on after its last handle is dropped",
        ServerRepliesFirst: "the server replies to a transaction before it sends its updates",
        ResumeSkipsOne: "when a server resumes a monitor, it leaves out the first transaction that the client missed",
        ServerDropsPending: "a server drops the changes that are pending for a slow reader",
        ServerConditionRowsLost: "a server sends no rows when a condition changes",
        ServerLockTwice: "a server gives a lock to two sessions",
    }

    thread_local! {
        static PLANTED: Cell<Option<Planted>> = const { Cell::new(None) };
    }

    /// Plants this fault in this thread, instead of any other; `None` plants none.
    pub fn plant(fault: Option<Planted>) {
        PLANTED.set(fault);
    }

    /// Whether this fault is planted in this thread.
    #[must_use]
    pub fn is_planted(fault: Planted) -> bool {
        PLANTED.get() == Some(fault)
    }
}
