//! The one place that decides whether and how to try again after a transaction that is not known to be
//! committed.

use std::time::Duration;

use super::{CommitError, Refusal};
use crate::error::DisconnectReason;
use crate::protocol::ErrorKind;

/// What to do after a transaction that is not known to be committed; [`CommitError::retry`] decides.
///
/// | the error | retry |
/// |---|---|
/// | a mistake in the transaction ([`CommitError::Build`]) | never |
/// | not sent: the time limit passed, the client, its runtime or the cache ended, the monitor cannot be started | never |
/// | not sent: the view that it is based on became outdated | again |
/// | `timed out`: a `wait` or `verify` failed | again |
/// | `constraint violation` at the commit: a duplicate in an index, too many rows | again |
/// | `constraint violation` at an operation: a value out of range, an immutable column | never |
/// | `referential integrity violation` at the commit | again |
/// | `duplicate uuid`: a row with this uuid exists by now | again |
/// | `canceled`: the cluster's schema is being converted; nothing was carried out | again |
/// | `database not available`, `not leader` | again |
/// | `cluster error` that names a refusal: `not leader`, `prerequisite` ... | again |
/// | any other `cluster error`: leadership was lost, or time ran out, during the commit | unknown |
/// | the connection was lost after sending | unknown |
/// | the time limit passed, or the client or its runtime was closed, after sending; the reply is malformed | never |
/// | every other error of the server | never |
///
/// ```
/// # #[cfg(all(feature = "nb", feature = "server"))] #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let schema = ovsdb::schema::bundled("OVN_Northbound").expect("a bundled schema");
/// # let server = ovsdb::server::Server::memory(schema)?;
/// # let mut rows = ovsdb::nb::Transaction::detached();
/// # rows.insert(ovsdb::nb::LogicalSwitch { name: "sw0".into(), ..Default::default() });
/// # rows.commit_on(&server)?;
/// # let client = ovsdb::nb::Client::builder().server(&server).connect().await?;
/// use ovsdb::Retry;
/// use ovsdb::nb::LogicalSwitch as Switch;
///
/// let mut txn = client.transaction();
/// txn.wait(Switch::NAME.eq("sw0")).comparing(Switch::NAME).until([]);
/// if let Err(error) = txn.commit().await {
///     match error.retry() {
///         Retry::Again => println!("read, decide and commit again"),
///         Retry::Unknown => println!("find out first whether it was committed"),
///         _ => println!("give up: {error}"),
///     }
///     # assert_eq!(error.retry(), Retry::Again);
/// }
/// # Ok(()) }
/// # #[cfg(not(all(feature = "nb", feature = "server")))] fn main() {}
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Retry {
    /// Do not try again: the same transaction would fail again, the reply is malformed, or no time or
    /// client is left.
    /// [`CommitError::nothing_changed`] says whether it is certain that nothing has changed.
    Never,
    /// Nothing has changed, and the cause is temporary: another client was first, the cluster is
    /// changing, or the view became outdated before the transaction was sent. Read a current replica,
    /// decide again, and commit the result. Sending the same
    /// operations again would fail again where they depend on what the other client changed.
    Again,
    /// It is not known whether the transaction was committed. [`Transaction::commit_once`], used instead
    /// of `commit`, can settle this by a row that the transaction inserts with a uuid chosen by the
    /// client. Without such a row, wait until a replica is current again, and read from it whether the
    /// transaction was committed. Then decide again, if making the change twice is harmless.
    ///
    /// [`Transaction::commit_once`]: super::Transaction::commit_once
    Unknown,
}

impl CommitError {
    /// Whether trying the change again may succeed: [`Retry`] lists each error, and what the caller
    /// must do. [`Client::apply`](crate::Client::apply) does it.
    ///
    /// ```
    /// # use ovsdb::{CommitError, Retry};
    /// # fn example(error: CommitError) -> Result<(), CommitError> {
    /// match error.retry() {
    ///     Retry::Again | Retry::Unknown => Ok(()), // read a current replica, and decide again
    ///     _ => Err(error),
    /// }
    /// # }
    /// ```
    #[must_use]
    pub fn retry(&self) -> Retry {
        match self {
            Self::Build(_) | Self::Answer(_) => Retry::Never,
            Self::NotSent(lost) => match lost.reason() {
                DisconnectReason::ViewOutdated => Retry::Again,
                _ => Retry::Never,
            },
            Self::Unknown(lost) => match lost.reason() {
                DisconnectReason::Closed
                | DisconnectReason::RuntimeGone
                | DisconnectReason::TimedOut => Retry::Never,
                _ => Retry::Unknown,
            },
            Self::Refused(refusal) => after_refusal(refusal),
        }
    }

    /// Whether it is certain that nothing has changed.
    #[must_use]
    pub fn nothing_changed(&self) -> bool {
        match self {
            Self::Build(_) | Self::NotSent(_) => true,
            Self::Refused(_) => self.retry() != Retry::Unknown,
            Self::Unknown(_) | Self::Answer(_) => false,
        }
    }
}

fn after_refusal(refusal: &Refusal) -> Retry {
    let at_operation = refusal.operation.is_some();
    match refusal.error.kind() {
        // Found at an operation, it is a wrong value in the transaction itself. Only the result of a
        // mutation depends on the rows, and trying again would rarely help.
        ErrorKind::ConstraintViolation | ErrorKind::ReferentialIntegrityViolation
            if at_operation =>
        {
            Retry::Never
        }
        ErrorKind::TimedOut
        | ErrorKind::ConstraintViolation
        | ErrorKind::ReferentialIntegrityViolation
        | ErrorKind::DuplicateUuid
        | ErrorKind::Canceled
        | ErrorKind::DatabaseNotAvailable
        | ErrorKind::NotLeader => Retry::Again,
        ErrorKind::ClusterError => {
            // These are the words of ovsdb-server's raft implementation.
            let details = refusal.error.details.as_deref().unwrap_or_default();
            let refused = ["not leader", "bad leader", "prerequisite"];
            if refused.iter().any(|word| details.contains(word)) {
                Retry::Again
            } else {
                Retry::Unknown
            }
        }
        _ => Retry::Never,
    }
}

/// How often, and after which waits, [`Client::apply_with`](crate::Client::apply_with) tries again.
///
/// ```
/// use std::time::Duration;
/// use ovsdb::RetryPolicy;
///
/// let patient = RetryPolicy::default().tries(100).max_wait(Duration::from_secs(5));
/// assert_eq!(patient.min_wait, Duration::from_millis(5));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct RetryPolicy {
    /// The greatest number of times the closure is run; it is run at least once.
    pub tries: usize,
    /// The wait before the second run; it doubles before each further one.
    pub min_wait: Duration,
    /// The longest wait. Each wait is shortened at random by up to half (jitter).
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
    /// The same policy with another number of tries.
    #[must_use]
    pub const fn tries(mut self, tries: usize) -> Self {
        self.tries = tries;
        self
    }

    /// The same policy with another first wait.
    #[must_use]
    pub const fn min_wait(mut self, wait: Duration) -> Self {
        self.min_wait = wait;
        self
    }

    /// The same policy with another longest wait.
    #[must_use]
    pub const fn max_wait(mut self, wait: Duration) -> Self {
        self.max_wait = wait;
        self
    }

    /// The wait after the run with this number, counted from 1.
    pub(crate) fn wait(&self, run: u32) -> Duration {
        let whole = self
            .min_wait
            .saturating_mul(1_u32.checked_shl(run - 1).unwrap_or(u32::MAX))
            .min(self.max_wait);
        let share = u32::from(fastrand::u8(..));
        whole / 2 + (whole / 2) * share / 255
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Disconnected;
    use crate::protocol::OvsdbError;
    use crate::transaction::BuildError;
    use crate::value::json::{DecodeError, DecodeErrorKind};

    fn refused(operation: Option<usize>, error: OvsdbError) -> CommitError {
        CommitError::Refused(Box::new(Refusal {
            operation,
            ..Refusal::of_request(error)
        }))
    }

    #[test]
    fn waits_double_up_to_the_longest_one_and_are_shortened_at_random() {
        let (min, max) = (Duration::from_millis(50), Duration::from_secs(60));
        let policy = RetryPolicy::default().min_wait(min).max_wait(max);
        let mut whole = min;
        for run in 1..=80 {
            let waits: Vec<_> = (0..50).map(|_| policy.wait(run)).collect();
            assert!(waits.iter().all(|wait| (whole / 2..=whole).contains(wait)));
            assert!(waits.iter().any(|wait| *wait != waits[0]), "{waits:?}");
            whole = (whole * 2).min(max);
        }
        assert_eq!(whole, max);
    }

    #[test]
    fn every_kind_of_refusal_is_decided() {
        use Retry::{Again, Never, Unknown};
        // At an operation, and at the commit or for the whole request.
        let decided = |kind| match kind {
            ErrorKind::TimedOut
            | ErrorKind::DuplicateUuid
            | ErrorKind::Canceled
            | ErrorKind::DatabaseNotAvailable
            | ErrorKind::NotLeader => (Again, Again),
            ErrorKind::ConstraintViolation | ErrorKind::ReferentialIntegrityViolation => {
                (Never, Again)
            }
            ErrorKind::ClusterError => (Unknown, Unknown),
            ErrorKind::SyntaxError
            | ErrorKind::UnknownColumn
            | ErrorKind::UnknownTable
            | ErrorKind::UnknownDatabase
            | ErrorKind::UnknownMutator
            | ErrorKind::UnknownFunction
            | ErrorKind::DuplicateUuidName
            | ErrorKind::Aborted
            | ErrorKind::NotOwner
            | ErrorKind::NotAllowed
            | ErrorKind::NotSupported
            | ErrorKind::DomainError
            | ErrorKind::RangeError
            | ErrorKind::PermissionError
            | ErrorKind::UnknownMethod
            | ErrorKind::UnknownMonitor
            | ErrorKind::InvalidParameters
            | ErrorKind::OvsdbError
            | ErrorKind::InternalError
            | ErrorKind::IoError
            | ErrorKind::ResourcesExhausted
            | ErrorKind::Other => (Never, Never),
        };
        let words = ErrorKind::ALL.iter().map(|(kind, word)| (*kind, *word));
        for (kind, word) in words.chain([(ErrorKind::Other, "a new one")]) {
            let (operation, commit) = decided(kind);
            let error = || OvsdbError::new(word);
            assert_eq!(refused(Some(1), error()).retry(), operation, "{word}");
            assert_eq!(refused(None, error()).retry(), commit, "{word}");
            assert_eq!(refused(None, error()).nothing_changed(), commit != Unknown);
        }
    }

    #[test]
    fn a_cluster_error_is_decided_by_what_happened() {
        for (details, decided) in [
            ("not leader", Retry::Again),
            ("bad leader", Retry::Again),
            ("prerequisite check failed", Retry::Again),
            ("lost leadership", Retry::Unknown),
            ("timeout", Retry::Unknown),
            ("server shutdown", Retry::Unknown),
        ] {
            let error = refused(None, OvsdbError::with_details("cluster error", details));
            assert_eq!(error.retry(), decided, "{details}");
        }
    }

    #[test]
    fn an_error_that_is_not_a_refusal_is_decided_by_its_reason() {
        let lost = Disconnected::new;
        let malformed = DecodeError::new(0, DecodeErrorKind::UnexpectedEnd);
        let wrong = BuildError::NoSuchColumn {
            table: "T",
            column: "c",
        };
        for (error, decided, nothing_changed) in [
            (CommitError::Build(wrong), Retry::Never, true),
            (CommitError::Answer(malformed), Retry::Never, false),
            (
                CommitError::NotSent(lost(DisconnectReason::ViewOutdated)),
                Retry::Again,
                true,
            ),
            (
                CommitError::NotSent(lost(DisconnectReason::TimedOut)),
                Retry::Never,
                true,
            ),
            (
                CommitError::NotSent(lost(DisconnectReason::Closed)),
                Retry::Never,
                true,
            ),
            (
                CommitError::Unknown(lost(DisconnectReason::ByServer)),
                Retry::Unknown,
                false,
            ),
            (
                CommitError::Unknown(lost(DisconnectReason::Silent)),
                Retry::Unknown,
                false,
            ),
            (
                CommitError::Unknown(lost(DisconnectReason::TimedOut)),
                Retry::Never,
                false,
            ),
            (
                CommitError::Unknown(lost(DisconnectReason::Closed)),
                Retry::Never,
                false,
            ),
            (
                CommitError::Unknown(lost(DisconnectReason::RuntimeGone)),
                Retry::Never,
                false,
            ),
        ] {
            assert_eq!(error.retry(), decided, "{error:?}");
            assert_eq!(error.nothing_changed(), nothing_changed, "{error:?}");
        }
    }
}
