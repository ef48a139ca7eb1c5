//! Reading single columns through a transaction.

use std::collections::BTreeSet;

use super::Transaction;
use crate::model::{Column, Database, Mutability, Table};
use crate::value::{Ref, Value};

impl<D: Database> Transaction<D> {
    /// The value of one column of a row, as the transaction leaves it; `None` where [`get`](Self::get)
    /// finds no row.
    ///
    /// Only this column is guarded, as by [`get`](Self::get), and only its value is sent with the
    /// guard. But a row that the transaction edits without having it in a view is guarded as a whole. Use
    /// this method for rows that many clients write to, such as a router with its policies, routes
    /// and load balancers. In a cache with [row versions](crate::CacheBuilder::row_versions), the guard of
    /// a column of reals is the row's version, as for [`get`](Self::get).
    ///
    /// ```
    /// # #[cfg(all(feature = "nb", feature = "server"))] #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let schema = ovsdb::schema::bundled("OVN_Northbound").expect("a bundled schema");
    /// # let server = ovsdb::server::Server::memory(schema)?;
    /// # let client = ovsdb::nb::Client::builder().server(&server).connect().await?;
    /// use ovsdb::CommitError;
    /// use ovsdb::cache::Index;
    /// use ovsdb::nb::LogicalRouter as Router;
    ///
    /// let by_name = Index::column(Router::NAME);
    /// let cache = client.cache().all_tables().index(&by_name).start().await?;
    /// # client.edit(&cache, |_, txn| txn.ensure(&by_name, "r0", |_| {})).await?;
    /// let apply = client.apply(&cache, |_, txn| {
    ///     let router = txn.one(&by_name, "r0")?;
    ///     let policies = txn.get_column(router, Router::POLICIES).unwrap_or_default();
    ///     // If another client adds a policy meanwhile, that is a conflict; adding a port is none.
    ///     txn.edit(router, |router| {
    ///         router.options.insert("policies", policies.len().to_string());
    ///     });
    ///     Ok::<_, CommitError>(())
    /// });
    /// apply.await?;
    /// # Ok(()) }
    /// # #[cfg(not(all(feature = "nb", feature = "server")))] fn main() {}
    /// ```
    pub fn get_column<T, V, M>(&mut self, row: Ref<T>, column: Column<T, V, M>) -> Option<V>
    where
        T: Table<Database = D>,
        V: Value,
        M: Mutability,
    {
        let uuid = row.uuid();
        let Some(before) = self.overlay.before::<T>(uuid) else {
            // `get` guards a missing row, and a row that was edited without being in a view. A row that the
            // transaction inserts needs no guard.
            return self.get(row).map(|row| column.get(&row).clone());
        };
        let touched = self.overlay.touch::<T>();
        let read = touched.read_columns.entry(uuid);
        let (_, columns) = read.or_insert_with(|| (before.clone(), BTreeSet::new()));
        columns.insert(column.index());
        let now = match touched.written.get(&uuid) {
            Some(written) => written.now.clone()?,
            None => before,
        };
        Some(column.get(&now).clone())
    }
}
