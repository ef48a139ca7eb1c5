//! Schema skew: servers that are older or newer than the program.
//!
//! A program is compiled with one version of a schema and meets servers with others, before, during and after an upgrade. Reading and
//! writing go on as far as the server's schema allows:
//!
//! | the server's schema | reading | writing |
//! |---|---|---|
//! | has further tables or columns | they are not requested | they keep their values; new rows get the default |
//! | lacks a table | the table is empty | an error |
//! | lacks a column, or declares another type for it | it reads as its default | [`BuildError::NoSuchColumn`](transaction::BuildError::NoSuchColumn), and nothing is sent |
//! | allows fewer values in a column | it reads as it is | [`BuildError::Count`](transaction::BuildError::Count) if the value does not fit |
//! | has a new value in an enum | the variant `Unknown` with its text | by `Unknown` |
//!
//! [`Cache::skew`] reports what the server's schema lacks, and columns of another or a narrower type. It is also logged: at the level
//! `WARN` if a table or column reads as its default, otherwise at `INFO`. [`strict`](CacheBuilder::strict) makes it an error if a table or
//! column would read as its default. [`Client::has_column`] asks about a single column,
//! so that a program can work without it:
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let newer = ovsdb::schema::bundled("OVN_Northbound").expect("a bundled schema");
//! # let mut older: serde_json::Value = serde_json::from_str(newer)?;
//! # older["tables"]["Meter"]["columns"].as_object_mut().ok_or("columns")?.remove("fair");
//! # let older = older.to_string();
//! use ovsdb::Skew;
//! use ovsdb::nb::{self, Meter};
//! use ovsdb::server::Server;
//!
//! // `older` is the schema without the column `fair` of meters.
//! let server = Server::memory(older)?;
//! let client = nb::Client::builder().server(&server).connect().await?;
//! let cache = client.cache().table::<Meter>().start().await?;
//! let skew = cache.skew();
//! assert!(matches!(&skew.differences[..], [Skew::MissingColumn { column, .. }] if column == "fair"));
//! assert!(!client.has_column(Meter::FAIR));
//!
//! // The server is upgraded while the program runs.
//! let mut changes = cache.changes::<Meter>();
//! server.convert("OVN_Northbound", newer)?;
//! while let Some(batch) = changes.next().await {
//!     if batch.kind().is_schema_change() {
//!         break;
//!     }
//! }
//! assert!(cache.skew().is_empty());
//! assert!(client.has_column(Meter::FAIR));
//! # Ok(()) }
//! ```
//!
//! # An upgrade under a running program
//!
//! When the server's schema is converted, or the next server has another one, the library reads the new schema and fits the tables to
//! it. If the columns to replicate have changed, it fetches all rows again. If [`Cache::skew`] or the columns of a table by name have
//! changed, every stream delivers a batch with [`is_schema_change`](cache::BatchKind::is_schema_change), even if no row has changed, and a
//! [`WorkQueue`](cache::WorkQueue) queues the keys of all rows: a column that could not be written before can be written now. A condition
//! on a column that the new schema lacks makes the cache stale; [`Cache::monitor_error`] says so until the condition or the schema changes.
//!
//! [`Client::convert`] converts a database to another schema.
//!
//! # Older servers
//!
//! The library uses the newest way to monitor that a server has (`monitor_cond_since`, `monitor_cond`, `monitor`);
//! [`Cache::monitor_version`] tells which. A server older than Open vSwitch 2.13 does not let clients choose the uuids of rows: set
//! [`RowIdentity::Named`] by [`row_identity`](ClientBuilder::row_identity), and read the uuid from [`Outcome::inserted`].
//!
//! Next: [`daemons`](super::daemons).

#[cfg(doc)]
use crate::*;
