//! A value that the session changes and users watch.

use std::fmt;
use std::sync::Arc;

use tokio::sync::watch;

use crate::error::{DisconnectReason, Disconnected};

/// A value that the library changes, such as [the state of the connection](crate::Client::state) or
/// [the freshness of a cache](crate::Cache::freshness), to read and to wait for.
///
/// Only the newest value is kept: a value that is replaced before it is read is never seen. Each clone
/// keeps track of the values it has seen, beginning with those that its original had seen.
///
/// ```
/// # #[cfg(all(feature = "nb", feature = "server"))] #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let schema = ovsdb::schema::bundled("OVN_Northbound").expect("a bundled schema");
/// # let server = ovsdb::server::Server::memory(schema)?;
/// # let client = ovsdb::nb::Client::builder().server(&server).connect().await?;
/// let mut state = client.state();
/// println!("{}", state.get());
/// # drop(server);
/// state.wait_for(|state| !state.is_connected()).await?;
/// client.close().await;
/// while let Ok(state) = state.changed().await {
///     println!("{state}");
/// }
/// # Ok(()) }
/// # #[cfg(not(all(feature = "nb", feature = "server")))] fn main() {}
/// ```
pub struct Watched<T> {
    values: watch::Receiver<T>,
    /// Tells for the last value why no other follows it.
    end: Arc<End<T>>,
}

/// Returns for the last value why no other follows it, and `None` for any other value.
type End<T> = dyn Fn(&T) -> Option<Disconnected> + Send + Sync;

impl<T> Clone for Watched<T> {
    fn clone(&self) -> Self {
        Self {
            values: self.values.clone(),
            end: self.end.clone(),
        }
    }
}

impl<T: fmt::Debug> fmt::Debug for Watched<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Watched")
            .field(&*self.values.borrow())
            .finish()
    }
}

impl<T: Clone> Watched<T> {
    pub(super) fn new(
        values: watch::Receiver<T>,
        end: impl Fn(&T) -> Option<Disconnected> + Send + Sync + 'static,
    ) -> Self {
        let end = Arc::new(end);
        Self { values, end }
    }

    /// The current value.
    #[must_use]
    pub fn get(&self) -> T {
        self.values.borrow().clone()
    }

    /// Whether [`changed`](Self::changed) has a value to return at once.
    #[must_use]
    pub fn has_changed(&self) -> bool {
        // The receiver's own method of this name fails once the client has ended.
        self.values.borrow().has_changed()
    }

    /// Waits for a value newer than the last one that this handle has waited for. Before its first wait:
    /// newer than the value at its creation or, for a clone, than the last one that its original had seen.
    ///
    /// # Errors
    /// When the client or the cache has ended, and there is no newer value.
    pub async fn changed(&mut self) -> Result<T, Disconnected> {
        let end = (self.end)(&self.values.borrow());
        if let Some(end) = end
            && !self.has_changed()
        {
            // No value follows, and handles of the client keep the channel open: do not wait.
            return Err(end);
        }
        match self.values.changed().await {
            Ok(()) => Ok(self.values.borrow_and_update().clone()),
            Err(_) => Err(gone()),
        }
    }

    /// Waits until `wanted` returns true for the value; returns at once if it does now.
    ///
    /// # Errors
    /// When the client or the cache has ended, and `wanted` returns false for the last value.
    pub async fn wait_for(
        &mut self,
        mut wanted: impl FnMut(&T) -> bool,
    ) -> Result<T, Disconnected> {
        let (end, mut is_wanted) = (&self.end, false);
        let settled = |value: &T| {
            is_wanted = wanted(value);
            is_wanted || end(value).is_some()
        };
        let value = match self.values.wait_for(settled).await {
            Ok(value) => value.clone(),
            Err(_) => return Err(gone()),
        };
        match end(&value) {
            Some(end) if !is_wanted => Err(end),
            _ => Ok(value),
        }
    }
}

/// The client was dropped with all its handles.
fn gone() -> Disconnected {
    Disconnected::new(DisconnectReason::Closed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_last_value_is_seen_after_the_end() {
        let (sender, values) = watch::channel(1);
        let mut watched = Watched::new(values, |_| None);
        assert!(!watched.has_changed());
        sender.send_replace(2);
        assert!(watched.has_changed());
        drop(sender);
        assert!(watched.has_changed());
        assert_eq!(watched.changed().await.expect("the last value"), 2);
        assert!(!watched.has_changed());
        watched.changed().await.expect_err("no value follows");
    }
}
