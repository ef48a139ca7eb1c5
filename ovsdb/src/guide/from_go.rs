//! Coming from Go's libovsdb.
//!
//! libovsdb builds lists of operations from models, and `Transact` sends them. Here a transaction is an object that is written, read and
//! committed, and models are generated.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let schema = ovsdb::schema::bundled("OVN_Northbound").expect("a bundled schema");
//! # let server = ovsdb::server::Server::memory(schema)?;
//! # let client = ovsdb::nb::Client::builder().server(&server).connect().await?;
//! use ovsdb::cache::Index;
//! use ovsdb::nb::{LogicalSwitch as Switch, LogicalSwitchPort as Port};
//!
//! // dbModel.SetIndexes(...); ovs.MonitorAll(ctx)
//! let by_name = Index::column(Switch::NAME);
//! let cache = client.cache().all_tables().index(&by_name).start().await?;
//!
//! // ops, err := ovs.Create(&Switch{Name: "sw0"}); ovs.Transact(ctx, ops...)
//! let mut txn = client.transaction();
//! txn.insert(Switch { name: "sw0".into(), ..Default::default() });
//! txn.commit().await?;
//!
//! // ls := &Switch{Name: "sw0"}; ovs.Get(ctx, ls)
//! let view = cache.snapshot();
//! let switch = view.get_by(&by_name, "sw0").ok_or("no switch sw0")?;
//!
//! // ops, err := ovs.Where(ls).Mutate(ls, model.Mutation{Field: &ls.ExternalIDs, ...})
//! let mut txn = client.transaction();
//! txn.mutate(switch).insert(Switch::EXTERNAL_IDS, [("owner", "me")]);
//! txn.commit().await?;
//!
//! // ovs.WhereCache(func(p *Port) bool { return p.Type == "router" }).List(ctx, &ports)
//! let view = cache.snapshot();
//! let routers: Vec<_> = view.rows::<Port>().filter(|port| port.r#type == "router").collect();
//! assert!(routers.is_empty());
//!
//! // ops, err := ovs.WhereAll(ls, model.Condition{...}).Delete()
//! let mut txn = client.transaction();
//! let deleted = txn.delete(Switch::NAME.eq("sw0").and(Switch::EXTERNAL_IDS.includes([("owner", "me")])));
//! assert_eq!(txn.commit().await?.count(deleted), 1);
//! # Ok(()) }
//! ```
//!
//! # Models
//!
//! | libovsdb | here | what differs |
//! |---|---|---|
//! | `modelgen` | [`schema!`] | A macro: no generated files to keep. |
//! | a struct with tags `ovsdb:"name"` | [`derive(Table)`](derive@Table) | Checked against the schema by the compiler, not when the client connects. |
//! | `UUID string` with the tag `_uuid` | [`Row::uuid`], [`Row::reference`] | The uuid is not a field. A reference has the type of its table. |
//! | a pointer, a slice, a map | [`Option`], [`Set`], [`Map`] | Sets and maps are sorted and copy-on-write. |
//! | `model.NewClientDBModel`, `FullDatabaseModel` | [`nb::Database`] and its like | |
//! | `SetIndexes`, `model.ClientIndex`, `ColumnKey` | [`Index`](cache::Index), by [`index`](CacheBuilder::index) | The look-up names the index. Without one, [`get_by`](Snapshot::get_by) does not compile. |
//! | `model.Clone`, `Equal` | `Clone`, `PartialEq` | Clones share their sets, maps and long strings. |
//!
//! # The client
//!
//! | libovsdb | here | what differs |
//! |---|---|---|
//! | `NewOVSDBClient`, `Connect` | [`Client::builder`], [`connect`](ClientBuilder::connect) | |
//! | `WithEndpoint`, `UpdateEndpoints` | [`remotes`](ClientBuilder::remotes), [`Client::set_remotes`] | |
//! | `WithLeaderOnly` | [`leader_only`](ClientBuilder::leader_only) | |
//! | `WithTLSConfig` | [`tls`](ClientBuilder::tls) | Certificates are read again while the program runs. |
//! | `WithReconnect` | always | [`backoff`](ClientBuilder::backoff); [`wait_for_server`](ClientBuilder::wait_for_server) for the first connection. |
//! | `WithInactivityCheck` | [`probe_interval`](ClientBuilder::probe_interval) | On unless set to `None`. |
//! | `WithMetricsRegistry`, `...NamespaceSubsystem` | the feature `metrics`, [`Client::stats`] | |
//! | `WithLogger` | [`tracing`](crate#logs) | |
//! | `WithValidateModel` | | What the types allow is checked by the compiler, the rest by the server. |
//! | `SetOption` | [`Client::set_remotes`] | All other settings are made on the builder. |
//! | `Connected`, `CurrentEndpoint`, `DisconnectNotify` | [`Client::state`] | One value to read and to wait for, with the reason. |
//! | `Disconnect` | [`Client::reconnect`] | |
//! | `Close` | [`Client::close`], or dropping the last handle | Caches stay readable. |
//! | `Echo`, `Schema` | [`Client::echo`], [`Client::server_schema`] | |
//!
//! # The cache
//!
//! | libovsdb | here | what differs |
//! |---|---|---|
//! | `MonitorAll`, `Monitor` | [`Client::cache`], [`start`](CacheBuilder::start) | Each cache has its own monitor, and resumes it after a reconnect. |
//! | `NewMonitor`, `WithTable` | [`table`](CacheBuilder::table) | Columns are those of the struct. |
//! | `WithConditionalTable` | [`table_where`](CacheBuilder::table_where), [`set_condition`](Cache::set_condition) | The condition can be changed. |
//! | `MonitorCancel` | dropping the [`Cache`], its clones and its streams | |
//! | `Get` | [`Snapshot::get_by`], [`Snapshot::get`] | Borrows the row; libovsdb copies it. |
//! | `List` | [`Snapshot::rows`] | All tables of a snapshot show the state after the same transaction. |
//! | `Where(model).List` | [`Snapshot::find`] | |
//! | `WhereCache(predicate).List` | [`Snapshot::rows`] and `filter` | |
//! | `Cache().Table(name)`: `Row`, `HasRow`, `Rows`, `RowsShallow`, `Len` | [`Snapshot::table`], [`TableView`](cache::TableView) | Rows are shared, not copied. |
//! | `RowByModel`, `RowsByModels`, `RowsByCondition`, `Index` | [`Snapshot::get_by`], [`Snapshot::find`], [`AllOf::holds_for`](model::AllOf::holds_for) | |
//! | `Cache().Tables()` | [`Snapshot::table_names`] | |
//! | `ErrNotFound` | `None`; in a transaction [`NotFound`](transaction::BuildError::NotFound) | |
//! | `ErrCacheInconsistent` | none | The replica fetches all rows again, visibly. |
//! | `Cache().AddEventHandler`: `OnAdd`, `OnUpdate`, `OnDelete` | [`Cache::changes`], [`Cache::all_changes`] | A whole transaction at a time. libovsdb drops events when its buffer of 65,536 is full; here they are coalesced. |
//! | a handler that fills a rate-limited queue | [`WorkQueue`](cache::WorkQueue), [`Reconciler`] | |
//!
//! # Operations
//!
//! | libovsdb | here | what differs |
//! |---|---|---|
//! | `Create` with a named uuid | [`insert`](Transaction::insert) | The reference is the row's uuid, and stays valid. |
//! | `Where(model).Update(model, fields...)` | [`update`](Transaction::update), [`edit`](Transaction::edit) | Columns are named. `edit` sends what differs, also a value that becomes empty. |
//! | `Where(model).Mutate` | [`mutate`](Transaction::mutate) | An operation that the column's type forbids does not compile. |
//! | `Where(model).Delete` | [`delete`](Transaction::delete) | |
//! | `WhereAll` | conditions joined by [`and`](model::Condition::and) | |
//! | `WhereAny` | one operation for each condition | OVSDB has no "or" in operations. |
//! | `WhereCache(...).Update` | a loop over rows of [`peek`](Transaction::peek) | |
//! | `Where(...).Wait` | [`wait`](Transaction::wait), [`verify`](Transaction::verify) | What is read through the transaction of [`Client::apply`] is verified without this. |
//! | `Select`, `GetSelectResults`, `...ByIndex` | [`select`](Transaction::select), [`Outcome::rows`] | |
//! | `Transact` | [`commit`](Transaction::commit) | Resolves when the caches show the change. |
//! | `ovsdb.CheckOperationResults` | the `Err` of the commit | A refused transaction cannot be taken for a success. |
//! | `OperationError`: `ConstraintViolation`, `TimedOut`, ... | [`Refusal`](transaction::Refusal), [`ErrorKind`](protocol::ErrorKind) | With the operation, its table and, for duplicates, the rows. |
//! | `ErrWrongType` | none | It does not compile. |
//! | `ovsdb.Operation`, `Condition`, `Mutation`, `OvsSet`, `OvsMap`, `UUID` | [`protocol::Operation`], [`Datum`](value::Datum) | Only for operations that are built by hand, by [`operation`](Transaction::operation). |
//! | `ErrNotConnected` | [`NotSent`](CommitError::NotSent) | |
//! | the error of the socket (`unexpected EOF`), the error of the context | [`Unknown`](CommitError::Unknown) if it was sent | The error says whether it may have been committed. |
//! | retrying by hand | [`Client::apply`], [`CommitError::retry`] | |
//! | the packages `server`, `database/inmemory` | [`server`] | |
//!
//! [`from_ovn_kubernetes`](super::from_ovn_kubernetes) is about the layer that OVN-Kubernetes has on top of libovsdb.

#[cfg(doc)]
use crate::*;
