//! The handle of a lock.

use std::fmt;
use std::time::Duration;

use tokio::sync::watch;

use crate::error::Disconnected;
use crate::session::Session;
use crate::value::Str;

/// A lock that this client holds, or waits for (RFC 7047 section 4.1.8). It is released when the
/// last handle of its name is dropped.
///
/// A lock can be lost at any time, by a lost connection or by another client's `steal`. So let the
/// server check it in each transaction, by [`assert_lock`](crate::Transaction::assert_lock). On a
/// clustered database that is not enough: each server has its own locks, so all clients that share a
/// lock must be [connected to the leader](crate::Client::lock).
///
/// ```
/// # #[cfg(all(feature = "nb", feature = "server"))] #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let schema = ovsdb::schema::bundled("OVN_Northbound").expect("a bundled schema");
/// # let server = ovsdb::server::Server::memory(schema)?;
/// # let client = ovsdb::nb::Client::builder().server(&server).connect().await?;
/// let mut lock = client.lock("my_controller").await?;
/// lock.held().await?;
/// let mut txn = client.transaction();
/// txn.assert_lock(lock.name());
/// // ...
/// txn.commit().await?;
/// # Ok(()) }
/// # #[cfg(not(all(feature = "nb", feature = "server")))] fn main() {}
/// ```
#[must_use = "the lock is released when its last handle is dropped"]
pub struct Lock {
    name: Str,
    held: watch::Receiver<bool>,
    session: Session,
}

impl fmt::Debug for Lock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lock")
            .field("name", &self.name)
            .field("held", &self.is_held())
            .finish_non_exhaustive()
    }
}

impl Lock {
    pub(crate) async fn acquire(
        session: Session,
        name: Str,
        steal: bool,
        limit: Option<Duration>,
    ) -> Result<Self, crate::error::Error> {
        let held = session.lock(name.clone(), steal, limit).await?;
        Ok(Self {
            name,
            held,
            session,
        })
    }

    /// The lock's name.
    #[must_use]
    pub const fn name(&self) -> &Str {
        &self.name
    }

    /// Whether this client holds the lock, as far as the server has reported; false once the client has
    /// ended.
    #[must_use]
    pub fn is_held(&self) -> bool {
        !self.has_ended() && *self.held.borrow()
    }

    /// Whether the client has ended: its end closes the channel, and leaves the last value unchanged.
    fn has_ended(&self) -> bool {
        self.held.has_changed().is_err()
    }

    /// Waits until this client holds the lock.
    ///
    /// # Errors
    /// When the client is closed or loses its runtime.
    pub async fn held(&mut self) -> Result<(), Disconnected> {
        self.becomes(true).await
    }

    /// Waits until this client no longer holds the lock.
    ///
    /// # Errors
    /// When the client is closed or loses its runtime.
    pub async fn lost(&mut self) -> Result<(), Disconnected> {
        self.becomes(false).await
    }

    async fn becomes(&mut self, wanted: bool) -> Result<(), Disconnected> {
        let becomes = self.held.wait_for(|held| *held == wanted).await.is_ok();
        if becomes && !self.has_ended() {
            return Ok(());
        }
        Err(self.session.ended())
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        self.session.unlock(self.name.clone());
    }
}
