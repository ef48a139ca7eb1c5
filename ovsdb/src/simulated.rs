//! What the crate `simulation` needs from the library, and no program may use: faults that it plants,
//! and randomness that comes from its seed.
//!
//! It exists only in builds with `--cfg simulation`, which `cargo xtask simulate` makes. In all others
//! `planted!` is the literal `false`, and uuids and the order of hash tables are random.

use uuid::Uuid;

/// Whether this fault is planted.
#[cfg(simulation)]
macro_rules! planted {
    ($fault:ident) => {
        crate::simulated::is_planted(crate::simulated::Planted::$fault)
    };
}

/// Whether this fault is planted: never, in a program.
#[cfg(not(simulation))]
macro_rules! planted {
    ($fault:ident) => {
        false
    };
}

/// The hasher of hash tables. Peers do not know its seed.
#[cfg(not(simulation))]
pub(crate) type HashState = foldhash::fast::RandomState;

/// The hasher of hash tables. Its seed is the same in every run, so that hash tables have one order.
#[cfg(simulation)]
pub(crate) type HashState = foldhash::fast::FixedState;

/// A uuid for a row.
#[cfg(not(simulation))]
pub(crate) fn new_uuid() -> Uuid {
    Uuid::new_v4()
}

/// A uuid for a row, from the seed of the thread.
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

                /// What is wrong.
                #[must_use]
                pub const fn what(self) -> &'static str {
                    match self { $(Self::$name => $what,)* }
                }
            }
        };
    }

    faults! {
        MonitorNotRestarted: "of several monitors, the last is not requested on a new connection",
        CancelIgnored: "a monitor that the server has cancelled is not requested again",
        SchemaNotRefitted: "a monitor is requested after a conversion by the schema before it",
        StaleNotMarked: "a replica stays current when its connection is lost",
        CurrentTooEarly: "a replica is current when its monitor is requested, not when its rows are there",
        UpdateTwice: "the differences of a modified row are applied twice",
        UpdateLost: "an update that inserts a row and nothing else is dropped",
        DeleteNotApplied: "a deletion is not applied to the replica",
        DeleteNotStreamed: "a stream leaves out the deletions of a batch",
        DeletedWhileAwayKept: "rows that were deleted while the connection was lost are kept",
        ResumedWithOtherCondition: "a monitor is resumed with other conditions than its last transaction belongs to",
        ResumedChangesLost: "what changed while the connection was lost is not applied when a monitor is resumed",
        TransactionIdKept: "an update does not move the transaction that the monitor is resumed from",
        ConditionLost: "a change of conditions that was not acknowledged is not sent again",
        ConditionTooEarly: "a change of conditions resolves when it is sent",
        DecodedOutOfOrder: "messages are handled while one before them is decoded",
        PublishedUnseen: "a stream is not woken by what is published",
        ResyncNotStreamed: "the state after a resync is not shown to streams",
        StaleSnapshotApplied: "apply decides on a replica that is not current",
        EditUnguarded: "an edit sends no guards",
        IncrementTwice: "apply makes an increment again though the outcome of the first is unknown",
        EditTwice: "apply makes an edit again though it may be its own earlier one that it would change again",
        UnguardedRetry: "a transaction is repeated under a guard of another row than the one it inserted",
        LostCountsAsCommitted: "a transaction whose connection is lost counts as committed",
        LostCountsAsNotSent: "a transaction whose connection is lost counts as not sent",
        TimedOutCountsAsNotSent: "a transaction that timed out after it was sent counts as not sent",
        CommitNotShown: "a commit resolves before the replicas show it, while monitors are restarted",
        ReplyToOther: "the reply to one call goes to another",
        RequestUnlimited: "a request has no time limit",
        BackoffKept: "a backoff does not end with a connection that served",
        AttemptUnlimited: "an attempt to connect has no time limit",
        NameNotCompared: "a server's certificate is taken whatever host it is for",
        TlsErrorLost: "whatever is wrong with TLS, the connection counts as closed",
        RemotesKept: "a connection to a remote that is not wanted any longer is kept",
        CloseForgetsCalls: "a client that is closed does not wait for replies",
        LateCountsAsSent: "a transaction that a closed client does not send counts as sent",
        RelayLossUntold: "a relay does not say that it has lost its source",
        ServerFileLosesRecord: "a server does not write a transaction that only deletes rows to its file",
        PlanLeavesUnwanted: "a plan does not delete rows that are owned and not wanted",
        PlanTakesOthers: "a plan deletes rows that are neither owned nor wanted",
        PlanIgnoresParts: "a plan does not see that the owner's part of a set is missing",
        KeyTwiceInWork: "a work queue hands out a key that a worker already holds",
        KeyLostInWork: "a key that is added while a worker holds it is not queued again",
        KeyLostInDelay: "a key that is to be tried again after a time is forgotten",
        FailedKeyForgotten: "a reconciler does not try a key again after a failed attempt",
        NeverProbed: "a silent connection is not probed",
        IndexIgnored: "a member of a cluster is accepted though its index went back",
        RemovalIgnored: "a client stays at a server that does not have the database any longer",
        SilentMemberAccepted: "a member of a cluster is accepted though it has no contact with the others",
        FollowerAccepted: "a client that wants the leader stays at a follower",
        LockKept: "a lock counts as held after the connection is lost",
        LockForgotten: "a lock is not requested on a new connection",
        LockStaysTaken: "a lock that another client stole counts as held",
        SessionOutlivesHandles: "a session goes on after its last handle is dropped",
        ServerRepliesFirst: "the server replies to a transaction before it sends its updates",
        ServerForgetsOne: "a server resumes a monitor one transaction too late",
        ServerDropsPending: "a server drops the changes that a slow reader has not been sent",
        ServerConditionRowsLost: "a server sends no rows when a condition changes",
        ServerLockTwice: "a server gives a lock to two sessions",
    }

    thread_local! {
        static PLANTED: Cell<Option<Planted>> = const { Cell::new(None) };
    }

    /// Plants a fault in this thread, or none.
    pub fn plant(fault: Option<Planted>) {
        PLANTED.set(fault);
    }

    /// Whether this fault is planted in this thread.
    #[must_use]
    pub fn is_planted(fault: Planted) -> bool {
        PLANTED.get() == Some(fault)
    }
}
