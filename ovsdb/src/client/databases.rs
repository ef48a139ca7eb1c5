//! The databases of a server.

use super::Client;
use crate::error::Error;
use crate::model::Database;
use crate::protocol::{Columns, ErrorKind, Operation, OperationResult, Request};
use crate::value::{Datum, Str, Uuid};

/// A database, as its server describes it (ovsdb-server(5), "Database Table").
///
/// ```
/// # #[cfg(all(feature = "nb", feature = "server"))] #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let schema = ovsdb::schema::bundled("OVN_Northbound").expect("a bundled schema");
/// # let server = ovsdb::server::Server::memory(schema)?;
/// # let client = ovsdb::nb::Client::builder().server(&server).connect().await?;
/// let databases = client.databases().await?;
/// for database in databases.iter().filter(|database| database.connected) {
///     println!("{}{}", database.name, if database.leader { ", led here" } else { "" });
/// }
/// # assert_eq!(databases.len(), 2);
/// # Ok(()) }
/// # #[cfg(not(all(feature = "nb", feature = "server")))] fn main() {}
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DatabaseInfo {
    /// The name.
    pub name: Str,
    /// `standalone`, `clustered` or `relay`; `None` if the server does not tell.
    pub model: Option<Str>,
    /// Whether the server can serve the database: a member of a cluster is in contact with the
    /// majority, a relay with its source.
    pub connected: bool,
    /// Whether the server is the leader of the database's cluster; true for a standalone database, and
    /// false for a relay's.
    pub leader: bool,
    /// The cluster's id.
    pub cluster: Option<Uuid>,
}

impl DatabaseInfo {
    /// A database of which only the name is known.
    fn named(name: Str) -> Self {
        Self {
            name,
            model: None,
            connected: true,
            leader: true,
            cluster: None,
        }
    }

    fn read(columns: &Columns) -> Option<Self> {
        let text = |column: &str| columns.get(column)?.as_str().map(Str::from);
        let is = |column: &str| columns.get(column).and_then(Datum::as_boolean) == Some(true);
        Some(Self {
            name: text("name")?,
            model: text("model"),
            connected: is("connected"),
            leader: is("leader"),
            cluster: columns.get("cid").and_then(Datum::as_uuid),
        })
    }
}

impl<D: Database> Client<D> {
    /// The server's databases, by name, with their descriptions. A server older than Open vSwitch 2.9
    /// has no `_Server`, and lists only their names; `connected` and `leader` are then true.
    ///
    /// ```
    /// # #[cfg(all(feature = "nb", feature = "server"))] #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let schema = ovsdb::schema::bundled("OVN_Northbound").expect("a bundled schema");
    /// # let server = ovsdb::server::Server::memory(schema)?;
    /// use ovsdb::{AnyDatabase, Client};
    ///
    /// // Without a database name, this is a client of `_Server`.
    /// # let remotes = server.remote();
    /// let client = Client::<AnyDatabase>::builder().remotes(remotes).connect().await?;
    /// for database in client.databases().await? {
    ///     println!("{} is {:?}", database.name, database.model);
    /// }
    /// # Ok(()) }
    /// # #[cfg(not(all(feature = "nb", feature = "server")))] fn main() {}
    /// ```
    ///
    /// # Errors
    /// When the server refuses, its reply is malformed, or no reply came: [`Error::Disconnected`] says why.
    pub async fn databases(&self) -> Result<Vec<DatabaseInfo>, Error> {
        let mut names = self.list_dbs().await?;
        names.sort();
        let columns = ["name", "model", "connected", "leader", "cid"];
        let select = Operation::Select {
            table: "Database".into(),
            conditions: Vec::new(),
            columns: Some(columns.map(Str::from).to_vec()),
        };
        let request = Request::Transact {
            database: "_Server".into(),
            operations: vec![select],
        };
        let results = match self.call::<Vec<OperationResult>>(&request).await {
            Ok(results) => results,
            Err(Error::Refused(error)) if error.kind() == ErrorKind::UnknownDatabase => Vec::new(),
            Err(error) => return Err(error),
        };
        let known: Vec<DatabaseInfo> = match results.first() {
            Some(OperationResult::Rows(rows)) => {
                rows.iter().filter_map(DatabaseInfo::read).collect()
            }
            _ => Vec::new(),
        };
        let describe = |name: Str| {
            let known = known.iter().find(|known| known.name == name);
            known.cloned().unwrap_or_else(|| DatabaseInfo::named(name))
        };
        Ok(names.into_iter().map(describe).collect())
    }
}
