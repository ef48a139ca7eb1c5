//! Relays: a server that serves the database of another one (ovsdb(7), "Relay Service Model").
//!
//! A client of the source keeps a replica of the whole database, whose changes are applied to the
//! server. Transactions that write are forwarded to the source, and their replies are returned after
//! the changes they made.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::cache::{AllChanges, AnyChange, AnyRow, DatabaseChanges, Freshness};
use crate::client::{Cache, Client};
use crate::error::Error;
use crate::error_chain::ErrorChain;
use crate::model::AnyDatabase;
use crate::server::Server;
use crate::server::relay::{Forward, Forwarded, Relayed, SourceRow};
use crate::session::CallError;
use crate::transport::IntoRemotes;
use crate::value::Str;

impl Server {
    /// A server that relays a database of other servers, the source. It answers reads and monitors itself.
    /// A transaction that writes is first tried here, without being committed, and forwarded to the source if
    /// it does not fail.
    ///
    /// While the source cannot be reached, reads are answered from the last known rows, and
    /// transactions that write wait. After 30 seconds, `_Server` reports that the database is not
    /// connected, as ovsdb-server's relays do, so that clients look for another server. If a connection
    /// to the source is lost before the outcome of a transaction is known, the client's connection is
    /// closed, so that the client knows that the outcome is unknown.
    ///
    /// The schema follows that of the source. Conversions are refused: ovsdb-server 3.1 would convert the relay's
    /// copy only.
    ///
    /// Locks are local to this server. So is the `_version` of a row, as with ovsdb-server's relays: it
    /// changes whenever the source's does, but to another value. So a transaction that writes fails at the
    /// source if it asserts a lock, or waits until a row has a given `_version`.
    ///
    /// ```
    /// # #[cfg(feature = "nb")] #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use ovsdb::nb;
    /// use ovsdb::server::Server;
    ///
    /// let schema = ovsdb::schema::bundled("OVN_Northbound").expect("a bundled schema");
    /// let source = Server::memory(schema)?;
    /// let relay = Server::relay("OVN_Northbound", source.remote()).await?;
    ///
    /// let client = nb::Client::builder().server(&relay).connect().await?;
    /// let mut transaction = client.transaction();
    /// transaction.insert(nb::LogicalSwitch { name: "sw0".into(), ..Default::default() });
    /// transaction.commit().await?;
    /// # Ok(()) }
    /// # #[cfg(not(feature = "nb"))] fn main() {}
    /// ```
    ///
    /// # Errors
    /// As [`ClientBuilder::connect`](crate::ClientBuilder::connect) for the source, and as
    /// [`CacheBuilder::start`](crate::CacheBuilder::start) for a cache of its tables. When the database is
    /// `_Server`, or has a table with more columns than a server can serve ([`Error::Schema`]).
    pub async fn relay(database: impl Into<Str>, remotes: impl IntoRemotes) -> Result<Self, Error> {
        let client = Client::<AnyDatabase>::builder()
            .database(database)
            .remotes(remotes)
            .connect()
            .await?;
        let schema = (*client.server_schema()).clone();
        let (server, relayed) =
            Self::relaying(schema).map_err(|error| Error::Schema(Arc::new(error)))?;
        let cache = client.cache().any_tables().row_versions();
        let cache = cache.start().await?;
        tokio::spawn(run(client, cache, relayed));
        Ok(server)
    }
}

/// How long the source may be unreachable before the relay reports it. A restart of the source
/// usually takes less.
const REPORT_AFTER: Duration = Duration::from_secs(30);

/// A column that changes whenever the source changes a row. Its values are not copied: the relay's rows
/// have versions of their own.
const VERSION: &str = "_version";

/// The wait before transactions that were not sent are tried again.
const PAUSE: Duration = Duration::from_millis(100);

/// Carries changes from the source to the relay, and transactions from the relay to the source,
/// until the relay's server or the source's client ends.
async fn run(client: Client<AnyDatabase>, cache: Cache<AnyDatabase>, relayed: Relayed) {
    let mut changes = cache.all_changes();
    let mut state = client.state();
    relayed.set_connected(true);
    let mut alone_since = None;
    let (replies, mut replied) = mpsc::unbounded_channel::<(Forward, Forwarded)>();
    loop {
        tokio::select! {
            batch = changes.next() => match batch {
                Some(batch) => apply(&client, &relayed, &batch),
                None => return,
            },
            changed = state.changed() => match changed {
                Ok(state) if state.is_connected() => {
                    alone_since = None;
                    relayed.set_connected(true);
                }
                Ok(_) => drop(alone_since.get_or_insert_with(Instant::now)),
                Err(_) => return,
            },
            () = async { match alone_since {
                Some(since) => tokio::time::sleep_until(since + REPORT_AFTER).await,
                None => std::future::pending().await,
            }} => {
                // Stop the timer. The next change of state without a connection starts it again, and
                // the report is then repeated without effect.
                alone_since = None;
                relayed.set_connected(planted!(RelayLossNotReported));
            }
            forward = relayed.next_forward() => match forward {
                Some(forward) => {
                    let source = (client.clone(), cache.clone());
                    tokio::spawn(forward_to_source(source, forward, replies.clone()));
                }
                None => return,
            },
            Some((forward, outcome)) = replied.recv() => {
                // The changes of the transaction have arrived, and must be applied before the reply is
                // sent.
                apply_all(&client, &relayed, &mut changes);
                let again = matches!(outcome, Forwarded::NotSent);
                relayed.forwarded(forward, outcome);
                if again {
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }
}

/// Sends a transaction to the source.
async fn forward_to_source(
    (client, cache): (Client<AnyDatabase>, Cache<AnyDatabase>),
    forward: Forward,
    replies: mpsc::UnboundedSender<(Forward, Forwarded)>,
) {
    let params = forward.params.to_string();
    let session = client.session();
    let outcome = match session.call_text("transact", params, None, None).await {
        Ok(results) => {
            tokio::select! {
                () = shown(&cache) => {}
                () = replies.closed() => {}
            }
            Forwarded::Done(results)
        }
        Err(CallError::Refused(error)) => Forwarded::Refused(error),
        Err(CallError::NotSent(_)) => Forwarded::NotSent,
        Err(CallError::Invalid(_) | CallError::Lost(_)) => Forwarded::Unknown,
    };
    // The relay may have ended.
    let _ = replies.send((forward, outcome));
}

/// Waits until the replica shows what was committed before. Usually it does already. It does not if
/// its monitor was being restarted when the reply came, and the connection was lost after that.
async fn shown(cache: &Cache<AnyDatabase>) {
    let mut freshness = cache.freshness();
    let current = freshness.wait_for(|freshness| *freshness == Freshness::Current);
    // Do not hold back the reply for ever. If the source stays unreachable, the relay has by then
    // reported that it is not connected.
    let _ = tokio::time::timeout(REPORT_AFTER, current).await;
}

fn apply_all(
    client: &Client<AnyDatabase>,
    relayed: &Relayed,
    changes: &mut AllChanges<AnyDatabase>,
) {
    while let Some(batch) = changes.try_next() {
        apply(client, relayed, &batch);
    }
}

/// Applies changes from the source.
fn apply(client: &Client<AnyDatabase>, relayed: &Relayed, batch: &DatabaseChanges<AnyDatabase>) {
    if batch.kind().is_schema_change() {
        let schema = (*client.server_schema()).clone();
        if let Err(error) = relayed.take_schema(schema) {
            let (database, error) = (client.database(), ErrorChain::new(&error));
            tracing::error!(database, %error, "a relay cannot apply the schema of its source");
        }
    }
    // The first batch of the stream, and one after a change of the schema, stand for all rows.
    let whole = batch.before().is_none() || batch.kind().is_schema_change();
    let rows = if whole {
        let view = batch.snapshot();
        let tables = client.server_schema();
        let rows = tables
            .tables
            .keys()
            .filter_map(|table| view.any_rows(table));
        rows.flatten().map(source_row).collect()
    } else {
        batch.all().iter().map(changed_row).collect()
    };
    if let Err(error) = relayed.take_over(rows, whole) {
        let (database, error) = (client.database(), ErrorChain::new(&error));
        tracing::error!(database, %error, "a relay cannot apply the rows of its source");
    }
}

fn source_row(row: &dyn AnyRow) -> SourceRow {
    let values = row.values().filter(|(name, _)| *name != VERSION);
    let columns = values.map(|(name, value)| (name.to_owned(), value.to_datum()));
    (row.table().to_owned(), row.uuid(), Some(columns.collect()))
}

fn changed_row(change: &AnyChange) -> SourceRow {
    match change {
        AnyChange::Deleted { .. } => (change.row().table().to_owned(), change.row().uuid(), None),
        _ => source_row(change.row()),
    }
}
