//! Tables that are known at run time only.
//!
//! An inspector or an exporter learns its tables from the server. It uses an [`AnyDatabase`]: tables and columns are given by name, and
//! checked against the server's schema ([`Client::server_schema`]). Rows are [`AnyRow`](cache::AnyRow)s.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let schema = ovsdb::schema::bundled("OVN_Northbound").expect("a bundled schema");
//! # let server = ovsdb::server::Server::memory(schema)?;
//! use ovsdb::model::AnyColumn;
//! use ovsdb::value::Datum;
//! use ovsdb::{AnyDatabase, Client};
//!
//! let client = Client::<AnyDatabase>::builder().server(&server);
//! let client = client.database("OVN_Northbound").connect().await?;
//!
//! // Write: each name and value is checked before anything is sent.
//! let mut txn = client.transaction();
//! let labels = Datum::map([("owner", "me")]);
//! txn.any_table("Logical_Switch").insert([("name", Datum::from("sw0")), ("external_ids", labels)]);
//! txn.commit().await?;
//!
//! // Read one table, or all by `any_tables()`.
//! let cache = client
//!     .cache()
//!     .any_table_where("Logical_Switch", AnyColumn::new("name").eq("sw0"))
//!     .start()
//!     .await?;
//! let view = cache.snapshot();
//! for table in view.table_names() {
//!     for row in view.any_rows(table).into_iter().flatten() {
//!         for (column, value) in row.values() {
//!             println!("{table} {} {column} = {}", row.uuid(), value.to_datum());
//!         }
//!         # assert_eq!(row.get("name").map(|name| name.to_datum()), Some(Datum::from("sw0")));
//!     }
//! }
//!
//! // Follow.
//! let mut changes = cache.all_changes();
//! while let Some(batch) = changes.next().await {
//!     for change in batch.all() {
//!         println!("{} {}: {:?}", change.row().table(), change.row().uuid(), change.columns().collect::<Vec<_>>());
//!     }
//!     # break;
//! }
//! # Ok(()) }
//! ```
//!
//! A name that the schema lacks is an error, which also gives a similar name of the schema if there is one:
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let schema = ovsdb::schema::bundled("OVN_Northbound").expect("a bundled schema");
//! # let server = ovsdb::server::Server::memory(schema)?;
//! # use ovsdb::{AnyDatabase, Client};
//! # let client = Client::<AnyDatabase>::builder().server(&server);
//! # let client = client.database("OVN_Northbound").connect().await?;
//! let error = client.cache().any_table("Logical_Swich").start().await.expect_err("no such table");
//! assert!(error.to_string().contains("Logical_Switch"));
//! # Ok(()) }
//! ```
//!
//! # Which databases and tables
//!
//! Without a database, an [`AnyDatabase`] client uses `_Server`, which every server since Open vSwitch 2.9 has.
//! [`Client::databases`] lists the databases of the server, and [`Client::server_schema`] has the tables and columns of the client's own database:
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let schema = ovsdb::schema::bundled("OVN_Northbound").expect("a bundled schema");
//! # let server = ovsdb::server::Server::memory(schema)?;
//! # use ovsdb::{AnyDatabase, Client};
//! let client = Client::<AnyDatabase>::builder().server(&server).connect().await?;
//! for database in client.databases().await? {
//!     println!("{} {}", database.name, database.model.as_deref().unwrap_or("-"));
//! }
//!
//! let client = Client::<AnyDatabase>::builder().server(&server).database("OVN_Northbound").connect().await?;
//! for (name, table) in &client.server_schema().tables {
//!     println!("{name}: {}", table.columns.keys().cloned().collect::<Vec<_>>().join(" "));
//! }
//! # assert!(client.server_schema().tables.contains_key("Logical_Switch"));
//! # Ok(()) }
//! ```
//!
//! A [`Datum`](value::Datum) displays as the JSON of the protocol: `["set",[]]`. For another form, match on it: it is a
//! set or a map of [`Atom`](value::Atom)s.
//!
//! # The same, typed and by name
//!
//! | typed | by name |
//! |---|---|
//! | [`table`](CacheBuilder::table), [`table_where`](CacheBuilder::table_where), [`all_tables`](CacheBuilder::all_tables) | [`any_table`](CacheBuilder::any_table), [`any_table_where`](CacheBuilder::any_table_where), [`any_tables`](CacheBuilder::any_tables) |
//! | a struct with some columns | [`any_columns`](CacheBuilder::any_columns) |
//! | [`set_condition`](Cache::set_condition) | [`set_any_condition`](Cache::set_any_condition) |
//! | [`Snapshot::rows`], [`Snapshot::get`] | [`Snapshot::any_rows`], [`Snapshot::any_row`] |
//! | [`Cache::changes`] | [`Cache::all_changes`], [`DatabaseChanges::any_table`](cache::DatabaseChanges::any_table) |
//! | [`Transaction::insert`], [`update`](Transaction::update), [`mutate`](Transaction::mutate), ... | the same methods of [`Transaction::any_table`] |
//! | [`Outcome::rows`] | [`Outcome::any_rows`] |
//! | a field of a row | `get` of an [`AnyRow`](cache::AnyRow), a [`Datum`](value::Datum) by [`to_datum`](value::ColumnValue::to_datum) |
//!
//! Compiled tables can be read by name too, and a typed database can have tables by name beside its typed ones. When the
//! schema changes, rows of tables by name get the columns of the new schema; [`CacheBuilder::any_table`] says how.
//!
//! The program `ovsdb-inspect` in the repository's `examples` is built on this.

#[cfg(doc)]
use crate::*;
