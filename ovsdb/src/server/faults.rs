//! Injected faults, for tests of programs that must survive them.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::driver::{Shared, now};
use super::fault::{ConnectionFaults, TransactionFault};
use crate::protocol::OvsdbError;

/// Injects faults into a server; [`Server::faults`](super::Server::faults) makes one.
///
/// A lasting fault ends when the [`Fault`] that its method returns is dropped. Several faults of the
/// same kind may be in force at once.
///
/// ```
/// # #[cfg(feature = "nb")] #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use ovsdb::CommitError;
/// use ovsdb::nb::{self, LogicalSwitch};
/// use ovsdb::server::{Server, TransactionFault};
///
/// let schema = ovsdb::schema::bundled("OVN_Northbound").expect("a bundled schema");
/// let server = Server::memory(schema)?;
/// let client = nb::Client::builder().server(&server).connect().await?;
///
/// // The connection is lost after the commit and before its reply.
/// server.faults().next_transaction("OVN_Northbound", TransactionFault::DisconnectAfter)?;
/// let mut txn = client.transaction();
/// txn.insert(LogicalSwitch { name: "sw0".into(), ..Default::default() });
/// let unknown = txn.commit().await;
/// assert!(matches!(unknown, Err(CommitError::Unknown(_))));
/// assert_eq!(server.transactions::<nb::Database>().len(), 1);
/// # Ok(()) }
/// # #[cfg(not(feature = "nb"))] fn main() {}
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Faults<'a> {
    pub(super) shared: &'a Arc<Shared>,
}

/// A fault that is in force until this is dropped.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use ovsdb::{AnyDatabase, Client};
/// use ovsdb::server::Server;
///
/// let server = Server::memory(r#"{"name": "Inventory", "tables": {}}"#)?;
/// let client = Client::<AnyDatabase>::builder().server(&server).connect().await?;
/// let hang = server.faults().hang();
/// let request = client.list_dbs();
/// tokio::pin!(request);
/// tokio::select! {
///     _ = &mut request => panic!("a server that hangs has replied"),
///     () = tokio::task::yield_now() => {}
/// }
/// drop(hang);
/// assert_eq!(request.await?.len(), 2);
/// # Ok(()) }
/// ```
#[must_use = "the fault ends when this is dropped"]
pub struct Fault {
    end: Box<dyn Fn() + Send + Sync>,
}

impl fmt::Debug for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fault").finish_non_exhaustive()
    }
}

impl Fault {
    /// A fault; calling `end` ends it.
    pub(super) fn new(end: impl Fn() + Send + Sync + 'static) -> Self {
        Self { end: Box::new(end) }
    }
}

impl Drop for Fault {
    fn drop(&mut self) {
        (self.end)();
    }
}

impl Faults<'_> {
    /// A fault of the connections; calling `undo` ends it.
    fn connection_fault(
        self,
        undo: impl Fn(&mut ConnectionFaults) + Send + Sync + 'static,
    ) -> Fault {
        let shared = self.shared.clone();
        Fault::new(move || shared.change_faults(&undo))
    }

    /// Closes all connections. Clients may connect again.
    pub fn disconnect(self) {
        self.shared.change_faults(|faults| faults.generation += 1);
    }

    /// Refuses new connections: in this process at once, on sockets by closing them. Existing
    /// connections stay open.
    pub fn refuse_connections(self) -> Fault {
        self.shared.change_faults(|faults| faults.refusing += 1);
        self.connection_fault(|faults| faults.refusing -= 1)
    }

    /// Neither reads nor writes, like a stopped process: connections are accepted, and nothing is
    /// answered, except the handshakes of TLS. Clients are not probed. Requests sent meanwhile are handled
    /// when the fault ends.
    pub fn hang(self) -> Fault {
        self.shared.change_faults(|faults| faults.hanging += 1);
        let shared = self.shared.clone();
        Fault::new(move || {
            shared.with_hub(|hub| hub.handle_resumed(now()));
            shared.change_faults(|faults| faults.hanging -= 1);
        })
    }

    /// Delays all output by at least this time.
    pub fn delay(self, delay: Duration) -> Fault {
        // Limited, so that sums of delays do not overflow and can be undone.
        let delay = delay.min(Duration::from_secs(u64::from(u32::MAX)));
        self.shared.change_faults(|faults| faults.delay += delay);
        self.connection_fault(move |faults| faults.delay -= delay)
    }

    /// Decides what happens to the next transaction of a database that could be committed. Further
    /// calls decide on the transactions after that, in order. A [relay](super::Server::relay) forwards
    /// transactions that write: inject a fault for them at the source.
    ///
    /// # Errors
    /// When there is no such database.
    pub fn next_transaction(
        self,
        database: &str,
        fault: TransactionFault,
    ) -> Result<(), OvsdbError> {
        self.shared.with_hub(|hub| hub.add_fault(database, fault))
    }

    /// Reports to clients that the server is a follower in a cluster (`_Server`, columns `model` and
    /// `leader`), so clients that want the leader look for another server. Transactions are still
    /// executed, as a follower does through its leader. When the last such fault ends, the server reports that
    /// it leads the cluster. [`Cluster`](super::Cluster) has several servers that share a database.
    ///
    /// # Errors
    /// When there is no such database; or the server is a member of a [`Cluster`](super::Cluster), where
    /// [`Cluster::transfer_leadership`](super::Cluster::transfer_leadership) deposes the leader, or a
    /// [relay](super::Server::relay).
    pub fn lose_leadership(self, database: &str) -> Result<Fault, OvsdbError> {
        self.shared
            .with_hub(|hub| hub.lose_leadership(database, now()))?;
        let (shared, database) = (self.shared.clone(), Arc::<str>::from(database));
        Ok(Fault::new(move || {
            shared.with_hub(|hub| hub.regain_leadership(&database, now()));
        }))
    }

    /// Forgets the last transactions of a database, so that a client that reconnects gets every row again
    /// if it has missed a transaction.
    ///
    /// # Errors
    /// When there is no such database.
    pub fn forget_history(self, database: &str) -> Result<(), OvsdbError> {
        self.shared.with_hub(|hub| hub.forget_history(database))
    }
}
