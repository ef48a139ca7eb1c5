//! Coming from Python's `ovs.db.idl`.
//!
//! Python's IDL is driven by `run()` and a poller, and rows are objects whose attributes are read and assigned. Here a tokio task drives the
//! connection, rows are structs of a snapshot, and a closure edits them.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let schema = ovsdb::schema::bundled("OVN_Northbound").expect("a bundled schema");
//! # let server = ovsdb::server::Server::memory(schema)?;
//! # let client = ovsdb::nb::Client::builder().server(&server).connect().await?;
//! use ovsdb::nb::LogicalSwitch as Switch;
//!
//! // helper.register_table("Logical_Switch"); idl = Idl(remote, helper); idl.run() in a loop
//! let cache = client.cache().table::<Switch>().start().await?;
//!
//! // txn = Transaction(idl); row = txn.insert(idl.tables["Logical_Switch"]); row.name = "sw0"; txn.commit_block()
//! let mut txn = client.transaction();
//! txn.insert(Switch { name: "sw0".into(), ..Default::default() });
//! txn.commit().await?;
//!
//! // for row in idl.tables["Logical_Switch"].rows.values()
//! let view = cache.snapshot();
//! let switch = view.rows::<Switch>().next().ok_or("no switch")?;
//!
//! // row.verify("external_ids"); row.setkey("external_ids", "owner", "me"), and again on TRY_AGAIN
//! let switch = switch.reference();
//! let edit = client.edit(&cache, |_, txn| {
//!     txn.edit(switch, |row| {
//!         row.external_ids.insert("owner", "me");
//!     })
//! });
//! edit.await?;
//!
//! // def notify(self, event, row, updates=None)
//! let mut changes = cache.changes::<Switch>();
//! while let Some(batch) = changes.next().await {
//!     for change in &batch {
//!         println!("{:?} {:?}", change.before().map(|row| &row.name), change.after().map(|row| &row.name));
//!     }
//!     # break;
//! }
//! # Ok(()) }
//! ```
//!
//! Python's IDL works on any schema. [`any_tables`](super::any_tables) shows how to write such a program here.
//!
//! # `SchemaHelper`
//!
//! | Python | here | what differs |
//! |---|---|---|
//! | `SchemaHelper(location, schema_json)` | [`schema!`], [`derive(Table)`](derive@Table); or [`AnyDatabase`] | The schema is compiled in, or taken from the server. |
//! | `register_table` | [`table`](CacheBuilder::table), [`any_table`](CacheBuilder::any_table) | |
//! | `register_columns` | a struct with these columns; [`any_columns`](CacheBuilder::any_columns) | |
//! | `register_columns(readonly=...)`, `Row.fetch` | [`select`](Transaction::select) | Columns that are not replicated are read when they are needed. |
//! | `register_all` | [`all_tables`](CacheBuilder::all_tables), [`any_tables`](CacheBuilder::any_tables) | |
//! | `get_idl_schema` | [`Client::server_schema`] | |
//!
//! # `Idl`
//!
//! | Python | here | what differs |
//! |---|---|---|
//! | `Idl(remote, helper, probe_interval, leader_only)` | [`Client::builder`], [`Client::cache`] | `leader_only` is off by default. |
//! | `run`, `wait` | none | A task does it. |
//! | `close` | [`Client::close`] | |
//! | `tables[name].rows` | [`Snapshot::rows`], [`Snapshot::any_rows`] | A consistent view, which does not change. |
//! | `rows[uuid]` | [`Snapshot::get`], [`Snapshot::any_row`] | |
//! | `index_create`, `add_column`, `add_columns` | [`Index`](cache::Index), [`OrderedIndex`](cache::OrderedIndex) | |
//! | `index_equal`, `index_irange` | [`Snapshot::find`], [`Snapshot::range`] | |
//! | `change_seqno` | [`Cache::changes`], [`Cache::wait_until`] | |
//! | `notify(event, row, updates)` | [`Cache::changes`], [`Cache::all_changes`] | Old and new row, a whole transaction at a time. A slow consumer does not hold up the connection. |
//! | `cond_change`, `cond_seqno` | [`set_condition`](Cache::set_condition), [`set_any_condition`](Cache::set_any_condition) | The future resolves when the replica has the rows. |
//! | `has_ever_connected` | [`start`](CacheBuilder::start) has resolved | |
//! | `force_reconnect`, `session_name` | [`Client::reconnect`], [`Client::state`] | |
//! | `set_cluster_id` | [`cluster_id`](ClientBuilder::cluster_id) | |
//! | `set_lock`, `has_lock`, `is_lock_contended` | [`Client::lock`], [`Lock`], [`assert_lock`](Transaction::assert_lock) | |
//! | `send_request` | [`Client::echo`], [`Client::get_schema`] and their like | |
//! | `cooperative_yield` | none | Large updates are decoded on a thread of their own. |
//!
//! # `Row`
//!
//! | Python | here | what differs |
//! |---|---|---|
//! | `row.name` | the field; `get` of an [`AnyRow`](cache::AnyRow) | A field that holds references holds [`Ref`]s; [`Snapshot::get`] finds the rows. |
//! | `row.name = value` | [`edit`](Transaction::edit), [`update`](Transaction::update) | |
//! | `row.uuid` | [`Row::uuid`], [`Row::reference`] | |
//! | `addvalue`, `delvalue` | [`mutate`](Transaction::mutate): [`insert`](transaction::Mutate::insert), [`delete`](transaction::Mutate::delete) | |
//! | `setkey`, `delkey` | [`set_keys`](transaction::Mutate::set_keys), [`delete_keys`](transaction::Mutate::delete_keys), [`delete`](transaction::Mutate::delete) | |
//! | `verify` | [`verify`](Transaction::verify); within [`apply`](Client::apply), [`get`](Transaction::get) | |
//! | `delete` | [`delete`](Transaction::delete) | |
//! | `increment`, `get_increment_new_value` | [`add`](transaction::Mutate::add) and [`select`](Transaction::select) | |
//!
//! # `Transaction`
//!
//! | Python | here | what differs |
//! |---|---|---|
//! | `Transaction(idl)` | [`Client::transaction`]; [`Client::apply`] | Any number at once. |
//! | `insert(table, new_uuid, persist_uuid)` | [`insert`](Transaction::insert), [`insert_with_uuid`](Transaction::insert_with_uuid) | The row keeps the uuid that the client chose. |
//! | `get_insert_uuid` | the [`Ref`]; [`Outcome::inserted`] | |
//! | `add_op` | [`operation`](Transaction::operation) | |
//! | `add_comment` | [`comment`](Transaction::comment), [`author`](ClientBuilder::author) | |
//! | `dry_run` | [`abort`](Transaction::abort) as the last operation | |
//! | `commit`, `commit_block`, `wait` | [`commit`](Transaction::commit) | |
//! | `abort` | dropping the transaction | |
//! | `get_error`, `status_to_string` | [`CommitError`] | |
//! | `UNCHANGED`, `SUCCESS` | `Ok` | |
//! | `INCOMPLETE` | the future is pending | |
//! | `TRY_AGAIN` | [`Retry::Again`]; [`Retry::Unknown`] if the connection was lost after the request | The C and Python IDLs report both as one. |
//! | `NOT_LOCKED` | [`ErrorKind::NotOwner`](protocol::ErrorKind::NotOwner) | |
//! | `ERROR` | [`Retry::Never`] | |

#[cfg(doc)]
use crate::*;
