//! The operations, case by case, on a server: an ovsdb-server or, with `OVSDB_TEST_SERVER=embedded`,
//! the library's.

#![allow(missing_docs, clippy::unwrap_used)]

mod groups;
mod lookups;
mod many;
mod nats;
mod non_root;
mod others;
mod races;
mod root;
mod routers;
mod switches;

use std::time::Duration;

use operations::{Result, Table, Transaction};
use ovsdb::nb::{Acl, AclAction, AclDirection, Cache, Client, Snapshot};
use ovsdb::testing::Server;
use ovsdb::transaction::BuildError;
use ovsdb::{CommitError, Row};

/// A server with a client and a replica.
struct Setting {
    server: Server,
    client: Client,
    cache: Cache,
}

async fn connect(server: &Server) -> (Client, Cache) {
    connect_to(server.remote()).await
}

async fn connect_to(remote: String) -> (Client, Cache) {
    let client = Client::builder().remotes(remote);
    let client = client.backoff(Duration::from_millis(5), Duration::from_millis(50));
    let client = client.connect().await.unwrap();
    let cache = operations::cache(&client).start().await.unwrap();
    (client, cache)
}

/// A server with the rows that `fill` writes.
async fn setting(fill: impl Fn(&mut Transaction)) -> Setting {
    let schema = ovsdb::schema::bundled("OVN_Northbound").unwrap();
    let server = Server::builder().schema(schema).start().unwrap();
    let (client, cache) = connect(&server).await;
    let setting = Setting {
        server,
        client,
        cache,
    };
    setting.edit(|txn| fill(txn)).await;
    setting
}

impl Setting {
    /// Runs an operation, and commits what it wrote.
    async fn apply<R>(
        &self,
        operation: impl Fn(&mut Transaction) -> Result<R>,
    ) -> std::result::Result<R, CommitError> {
        let apply = self
            .client
            .apply(&self.cache, |_, txn| Ok::<_, CommitError>(operation(txn)?));
        Ok(apply.await?.0)
    }

    /// Runs operations that cannot fail.
    async fn edit<R>(&self, operation: impl Fn(&mut Transaction) -> R) -> R {
        self.apply(|txn| Ok(operation(txn))).await.unwrap()
    }

    /// Runs an operation that finds no row to write to.
    async fn not_found<R: std::fmt::Debug>(
        &self,
        operation: impl Fn(&mut Transaction) -> Result<R>,
    ) {
        let error = self.apply(operation).await.unwrap_err();
        let is_not_found = matches!(error, CommitError::Build(BuildError::NotFound { .. }));
        assert!(is_not_found, "{error:?}");
    }

    /// Runs operations that have nothing to write.
    async fn unchanged<R>(&self, operation: impl Fn(&mut Transaction) -> Result<R>) -> R {
        let apply = self.client.apply(&self.cache, |_, txn| {
            let result = operation(txn)?;
            assert!(txn.is_empty(), "{txn:?}");
            Ok::<_, CommitError>(result)
        });
        apply.await.unwrap().0
    }

    fn view(&self) -> Snapshot {
        self.cache.snapshot()
    }

    fn rows<T: Table>(&self) -> Vec<Row<T>> {
        let view = self.view();
        let mut rows: Vec<_> = view.rows::<T>().cloned().collect();
        rows.sort_by_key(Row::uuid);
        rows
    }

    /// The only row of a table.
    fn only<T: Table>(&self) -> Row<T> {
        let mut rows = self.rows();
        assert_eq!(rows.len(), 1, "{rows:?}");
        rows.remove(0)
    }
}

/// The columns that an ACL must have.
fn allow(acl: &mut Acl) {
    acl.action = AclAction::Allow;
    acl.direction = AclDirection::ToLport;
    acl.r#match = "ip4".into();
}

/// Sorted, for comparisons.
fn sorted<T: Ord>(items: impl IntoIterator<Item = T>) -> Vec<T> {
    let mut items: Vec<T> = items.into_iter().collect();
    items.sort();
    items
}
