//! Coming from the C IDL (`ovsdb-idl.h`, `ovsdb-cs.h`).
//!
//! The C IDL is driven by a loop: `ovsdb_idl_run` applies what has arrived, the program reads and writes, and `poll_block` waits. Here a
//! tokio task drives the connection, and the program awaits. Rows do not change under the program, so nothing has to be finished before the
//! next `run`.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let schema = ovsdb::schema::bundled("OVN_Northbound").expect("a bundled schema");
//! # let server = ovsdb::server::Server::memory(schema)?;
//! # let client = ovsdb::nb::Client::builder().server(&server).connect().await?;
//! use ovsdb::nb::LogicalSwitch as Switch;
//!
//! // ovsdb_idl_create(); ovsdb_idl_add_column(); ovsdb_idl_run() until has_ever_connected()
//! let cache = client.cache().table::<Switch>().start().await?;
//!
//! // ovsdb_idl_txn_create(); nbrec_logical_switch_insert(); ..._set_name(); ovsdb_idl_txn_commit_block()
//! let mut txn = client.transaction();
//! txn.insert(Switch { name: "sw0".into(), ..Default::default() });
//! txn.commit().await?;
//!
//! // NBREC_LOGICAL_SWITCH_FOR_EACH
//! for switch in cache.snapshot().rows::<Switch>() {
//!     println!("{}", switch.name);
//! }
//!
//! // ..._verify_external_ids(), ..._update_external_ids_setkey(), and again on TXN_TRY_AGAIN
//! let switches: Vec<_> = cache.snapshot().rows::<Switch>().map(|row| row.reference()).collect();
//! let edit = client.edit(&cache, |_, txn| {
//!     for switch in &switches {
//!         txn.edit(*switch, |row| {
//!             row.external_ids.insert("owner", "me");
//!         });
//!     }
//! });
//! edit.await?;
//! # assert!(cache.snapshot().rows::<Switch>().all(|row| row.external_ids.contains_key("owner")));
//!
//! // NBREC_LOGICAL_SWITCH_FOR_EACH_TRACKED
//! let mut changes = cache.changes::<Switch>();
//! while let Some(batch) = changes.next().await {
//!     println!("{} rows changed", batch.len());
//!     # break;
//! }
//! # Ok(()) }
//! ```
//!
//! # The session
//!
//! | C IDL | here | what differs |
//! |---|---|---|
//! | `ovsdb_idl_create`, `..._create_unconnected`, `ovsdb_cs_create` | [`Client::builder`], [`Client::cache`] | Several caches share one connection. |
//! | `ovsdb_idl_set_remote` | [`remotes`](ClientBuilder::remotes), [`Client::set_remotes`] | |
//! | `..._set_shuffle_remotes` | [`remote_order`](ClientBuilder::remote_order) | |
//! | `..._set_leader_only` | [`leader_only`](ClientBuilder::leader_only) | Off by default; the C IDL's default is on. |
//! | `..._set_db_change_aware` | always | Conversions are followed without a new connection. |
//! | `..._reset_min_index` | none | The index belongs to a cluster id. A cluster that was created again has another id, so its index starts over. |
//! | `..._set_probe_interval` | [`probe_interval`](ClientBuilder::probe_interval) | |
//! | `ovsdb_idl_run`, `..._wait` | none | A task does it. |
//! | `..._destroy` | dropping the handles, [`Client::close`] | |
//! | `..._is_alive`, `..._is_connected`, `..._get_last_error` | [`Client::state`] | |
//! | `..._has_ever_connected` | [`start`](CacheBuilder::start) has resolved | |
//! | `..._enable_reconnect`, `..._force_reconnect` | always; [`Client::reconnect`] | |
//! | `..._check_consistency` | none | An update that does not fit makes the replica fetch all rows again. |
//! | `ovsdb_cs_set_jsonrpc_options` | [`limits`](ClientBuilder::limits), [`max_in_flight`](ClientBuilder::max_in_flight) | |
//! | `ovsdb_cs_flag_inconsistency`, `..._reset_last_id` | none | The replica does it when an update does not fit. |
//! | `ovsdb_cs_run` with events, `..._parse_table_updates`, `..._parse_schema` | the module [`protocol`]; [`Client::server_schema`] | |
//! | `..._get_memory_usage` | [`Cache::stats`], [`Client::stats`] | |
//! | `..._set_lock`, `..._has_lock`, `..._is_lock_contended` | [`Client::lock`], [`Lock::is_held`], [`Lock::held`] | Any number of locks. A transaction checks one by [`assert_lock`](Transaction::assert_lock). |
//!
//! # What is replicated
//!
//! | C IDL | here | what differs |
//! |---|---|---|
//! | `ovsdb_idl_add_table`, `..._add_column`, `..._omit` | [`table`](CacheBuilder::table) with a struct that has the columns | |
//! | `monitor_everything_by_default` | [`all_tables`](CacheBuilder::all_tables) | |
//! | `..._omit_alert`, `..._verify_write_only` | [`Changes::columns`](cache::Changes::columns) | Each stream chooses its columns. |
//! | `..._set_write_changed_only`, `..._all` | [`edit`](Transaction::edit) | It always sends only what differs. |
//! | `..._server_has_table`, `..._server_has_column`, `..._server_column_type` | [`Cache::skew`], [`Client::has_column`], [`Client::server_schema`] | |
//! | `ovsdb_idl_condition_*`, `<table>_add_clause_<column>` | methods of [`Column`], [`or`](model::Condition::or) | |
//! | `..._set_condition`, `<table>_set_condition`, `..._get_condition_seqno` | [`set_condition`](Cache::set_condition) | The future resolves when the replica has the rows. |
//!
//! # Reading
//!
//! | C IDL | here | what differs |
//! |---|---|---|
//! | `<table>_first`, `<table>_next`, `FOR_EACH`, `FOR_EACH_SAFE`, `<table>_table_first` | [`Snapshot::rows`] | A snapshot stays valid while the database changes. |
//! | `<table>_get_for_uuid` | [`Snapshot::get`] | |
//! | a pointer to another row | [`Ref`], [`Snapshot::get`], [`get_all`](Snapshot::get_all) | |
//! | `<table>_get_<column>`, `ovsdb_idl_read`, `ovsdb_idl_get` | the field | |
//! | `ovsdb_idl_get_class`, `..._table_class_from_column` | [`Table::TABLE`], [`Table::COLUMNS`] | |
//! | `ovsdb_idl_row_is_synthetic` | none | A snapshot has only rows of the database. |
//! | `ovsdb_idl_get_initial_snapshot` | [`start`](CacheBuilder::start) | |
//! | `ovsdb_idl_is_mutable` | the type of the [`Column`]: [`Mutable`], [`Immutable`] | |
//! | `ovsdb_idl_index_create`, `...1`, `...2` | [`Index`](cache::Index), [`OrderedIndex`](cache::OrderedIndex) | By columns, elements, keys of maps, or a function. |
//! | `<table>_index_init_row`, `..._index_set_<column>`, `..._index_find` | [`Snapshot::get_by`], [`Snapshot::find`] | |
//! | `FOR_EACH_EQUAL`, `FOR_EACH_RANGE`, `FOR_EACH_BYINDEX`, `ovsdb_idl_cursor_*` | [`Snapshot::find`], [`Snapshot::range`] | |
//!
//! # Following
//!
//! | C IDL | here | what differs |
//! |---|---|---|
//! | `ovsdb_idl_get_seqno`, `<table>_get_seqno` | [`Cache::changes`] | A stream wakes the program; no number to compare. |
//! | `<table>_row_get_seqno`, `..._is_new`, `..._is_deleted` | the variants of [`Change`](cache::Change) | |
//! | `..._is_updated` | [`Change::changed`](cache::Change::changed) | The old row is available as well. |
//! | `ovsdb_idl_track_add_column`, `..._add_all` | none | Every stream tracks. |
//! | `FOR_EACH_TRACKED`, `<table>_track_get_first`, `..._get_next` | a batch of [`Changes`](cache::Changes) | One for each server transaction. |
//! | `ovsdb_idl_track_clear` | none | Each stream has its own position. |
//!
//! # Writing
//!
//! | C IDL | here | what differs |
//! |---|---|---|
//! | `ovsdb_idl_txn_create`, `..._destroy` | [`Client::transaction`], or within [`Client::apply`] | Any number at once. |
//! | `<table>_insert`, `..._insert_persist_uuid` | [`insert`](Transaction::insert), [`insert_with_uuid`](Transaction::insert_with_uuid) | The row keeps the uuid that the client chose. |
//! | `..._txn_get_insert_uuid` | the [`Ref`]; [`Outcome::inserted`] | |
//! | `<table>_set_<column>`, `ovsdb_idl_txn_write`, `..._write_clone` | [`update`](Transaction::update), [`edit`](Transaction::edit) | |
//! | `<table>_update_<column>_setkey`, `..._delkey`, `..._addvalue`, `..._delvalue`, `..._partial_map`, `..._partial_set` | [`mutate`](Transaction::mutate), [`edit`](Transaction::edit) | `edit` finds the difference itself. |
//! | `<table>_delete` | [`delete`](Transaction::delete) | Also by a condition. |
//! | `<table>_verify_<column>` | [`verify`](Transaction::verify); within [`apply`](Client::apply), [`get`](Transaction::get) and [`get_column`](Transaction::get_column) | What is read is verified. |
//! | `..._txn_increment`, `..._get_increment_new_value` | [`add`](transaction::Mutate::add) and [`select`](Transaction::select); [`daemons`](super::daemons) for `nb_cfg` and `next_cfg` | |
//! | `..._txn_add_comment` | [`comment`](Transaction::comment), [`author`](ClientBuilder::author) | |
//! | `..._txn_set_dry_run` | [`abort`](Transaction::abort) as the last operation | |
//! | `..._txn_commit`, `..._commit_block`, `..._txn_wait` | [`commit`](Transaction::commit) | |
//! | `..._txn_abort` | dropping the transaction | |
//! | `..._txn_get_error`, `..._txn_status_to_string` | [`CommitError`] | |
//! | `..._txn_assert_read_only` | a function that takes a [`Snapshot`] | It cannot write. |
//! | `ovsdb_idl_loop_run`, `..._loop_commit_and_wait` | [`Reconciler`] | |
//! | `ovsdb_cs_send_transaction`, `..._forget_transaction`, `..._may_send_transaction` | [`operation`](Transaction::operation); dropping the commit's future | |
//!
//! # Statuses
//!
//! | `ovsdb_idl_txn_commit` | here |
//! |---|---|
//! | `TXN_UNCOMMITTED`, `TXN_ABORTED` | a [`Transaction`] that is not yet committed, or was dropped |
//! | `TXN_INCOMPLETE` | the future is pending |
//! | `TXN_UNCHANGED`, `TXN_SUCCESS` | `Ok`; a transaction without operations is not sent |
//! | `TXN_TRY_AGAIN` | [`Retry::Again`] if nothing has changed; [`Retry::Unknown`] if the connection was lost, so the transaction may have been committed |
//! | `TXN_NOT_LOCKED` | [`ErrorKind::NotOwner`](protocol::ErrorKind::NotOwner) |
//! | `TXN_ERROR` | [`Retry::Never`] |

#[cfg(doc)]
use crate::*;
