//! A typed client for OVSDB (RFC 7047 and ovsdb-server's extensions), the database of Open
//! vSwitch and OVN.
//!
//! # Quick start
//!
//! A [`Client`] is a session with one database: it connects, and connects again whenever the
//! connection is lost. A [`Cache`] is a replica of some of its tables. A [`Transaction`] writes.
//!
//! ```
//! # #[cfg(all(feature = "nb", feature = "server"))] #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use ovsdb::nb;
//! use ovsdb::server::Server;
//!
//! // A server in this process. Another one is reached by its remotes, a cluster by those of all members:
//! // `.remotes("ssl:192.0.2.1:6641,ssl:192.0.2.2:6641,ssl:192.0.2.3:6641").leader_only(true)`.
//! let server = Server::memory(ovsdb::schema::bundled("OVN_Northbound").expect("a bundled schema"))?;
//! let client = nb::Client::builder().server(&server).connect().await?;
//!
//! // Replicate these tables; of the ports, only those of type `router`.
//! let cache = client
//!     .cache()
//!     .table::<nb::LogicalSwitch>()
//!     .table_where::<nb::LogicalSwitchPort>(nb::LogicalSwitchPort::TYPE.eq("router"))
//!     .start()
//!     .await?;
//!
//! // A view of one moment, consistent across tables, valid for as long as it is held.
//! let view = cache.snapshot();
//! for switch in view.rows::<nb::LogicalSwitch>() {
//!     println!("{} has {} ports", switch.name, switch.ports.len());
//! }
//!
//! // All operations or none; the replica shows them when the commit resolves.
//! let mut txn = client.transaction();
//! let port = txn.insert(nb::LogicalSwitchPort { name: "p1".into(), ..Default::default() });
//! txn.mutate(nb::LogicalSwitch::NAME.eq("sw0")).insert(nb::LogicalSwitch::PORTS, [port]);
//! txn.commit().await?;
//!
//! // All rows first, then every change, one server transaction at a time.
//! let mut changes = cache.changes::<nb::LogicalSwitchPort>();
//! while let Some(batch) = changes.next().await {
//!     for change in &batch {
//!         println!("{change:?}");
//!     }
//! #   break;
//! }
//! # Ok(()) }
//! # #[cfg(not(all(feature = "nb", feature = "server")))] fn main() {}
//! ```
//!
//! The types are generic in the database, and each generated module has aliases for its own:
//! `nb::Client` is `Client<nb::Database>`.
//!
//! # Tables
//!
//! [`schema!`] writes a module of typed tables from a schema file or from a bundled schema; the
//! modules `nb`, `sb` and `vswitch` are made so. The documentation of [`ovsdb_derive`] has the one
//! rule by which names are made. A struct with some of a table's columns is typed by
//! [`derive(Table)`](derive@Table), and checked against the schema:
//!
//! ```
//! # #[cfg(feature = "nb")] {
//! use ovsdb::{Map, Str, nb};
//!
//! #[derive(Debug, Clone, PartialEq, Default, ovsdb::Table)]
//! #[ovsdb(database = nb::Database, table = "Logical_Switch", schema = "OVN_Northbound")]
//! struct Switch {
//!     name: Str,
//!     external_ids: Map<Str, Str>,
//! }
//! let labelled = Switch::EXTERNAL_IDS.includes([("owner", "me")]);
//! # let _ = labelled;
//! # }
//! ```
//!
//! Each column has a constant, its handle: conditions, mutations, updates and look-ups are built
//! from it, and only those compile that its type allows.
//!
//! ```compile_fail
//! # #[cfg(feature = "nb")]
//! let _ = ovsdb::nb::LogicalSwitchPort::NAME.lt("p1"); // a string has no order
//! # #[cfg(not(feature = "nb"))] compile_error!();
//! ```
//!
//! # Tables known at run time only
//!
//! A program that learns its tables from the server, such as an inspector or an exporter, uses an
//! [`AnyDatabase`]: its schema is [`Client::server_schema`], its rows are
//! [`AnyRow`](cache::AnyRow)s, and tables and columns are named.
//!
//! ```
//! # #[cfg(all(feature = "nb", feature = "server"))] #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let schema = ovsdb::schema::bundled("OVN_Northbound").expect("a bundled schema");
//! # let server = ovsdb::server::Server::memory(schema)?;
//! use ovsdb::{AnyDatabase, Client};
//!
//! let client = Client::<AnyDatabase>::builder().server(&server);
//! let client = client.database("OVN_Northbound").connect().await?;
//! let cache = client.cache().any_tables().start().await?;
//! let view = cache.snapshot();
//! for table in view.table_names() {
//!     for row in view.any_rows(table).into_iter().flatten() {
//!         let name = row.get("name").map(|name| name.to_datum());
//!         println!("{table} {} {name:?}", row.uuid());
//!     }
//! }
//! # Ok(()) }
//! # #[cfg(not(all(feature = "nb", feature = "server")))] fn main() {}
//! ```
//!
//! # Reading
//!
//! A [`Snapshot`] finds rows by their uuid, by what the schema makes unique, and by indexes that the
//! program declares when it builds the cache. A method that reads every row says so by its name.
//!
//! ```
//! # #[cfg(all(feature = "nb", feature = "server"))] #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let schema = ovsdb::schema::bundled("OVN_Northbound").expect("a bundled schema");
//! # let server = ovsdb::server::Server::memory(schema)?;
//! # let client = ovsdb::nb::Client::builder().server(&server).connect().await?;
//! # let mut txn = client.transaction();
//! # let port = txn.insert(ovsdb::nb::LogicalSwitchPort { name: "p1".into(), ..Default::default() });
//! # txn.insert(ovsdb::nb::LogicalSwitch { name: "sw0".into(), ports: [port].into(), ..Default::default() });
//! # txn.commit().await?;
//! use ovsdb::cache::Index;
//! use ovsdb::nb::{LogicalSwitch, LogicalSwitchPort};
//!
//! let by_name = Index::column(LogicalSwitch::NAME); // several switches may have one name
//! let cache = client
//!     .cache()
//!     .table::<LogicalSwitchPort>()
//!     .index(&by_name)
//!     .index_references_to::<LogicalSwitchPort>()
//!     .start()
//!     .await?;
//!
//! let view = cache.snapshot();
//! let switches = view.find(&by_name, "sw0");
//! let port = view.get_by(LogicalSwitchPort::NAME, "p1"); // unique by the schema
//! let owner = port.and_then(|port| view.referrers::<LogicalSwitch>(port).next());
//! let routers = view.scan_by(LogicalSwitchPort::TYPE, "router");
//! # drop((switches, owner, routers));
//! # Ok(()) }
//! # #[cfg(not(all(feature = "nb", feature = "server")))] fn main() {}
//! ```
//!
//! # Writing
//!
//! A program says what it wants changed in one of these ways:
//!
//! | | |
//! |---|---|
//! | a closure that reads and decides | [`Client::apply`], and [`Client::edit`] where it cannot fail |
//! | the rows that an owner wants | [`Desired`], [`Client::converge`] |
//! | a closure for each object, whenever rows of it change | [`Reconciler`] |
//! | operations of the protocol, on any rows that meet a condition | [`insert`](Transaction::insert), [`update`](Transaction::update), [`mutate`](Transaction::mutate), [`delete`](Transaction::delete) |
//!
//! A commit has three outcomes: it was carried out; it was refused, with a typed error and the
//! operation's index; or it is unknown ([`CommitError::Unknown`]), because the connection was lost
//! between the request and its answer. [`Transaction::commit_once`] settles the third by sending
//! the transaction again after a guard, and [`Client::apply`] by deciding again.
//!
//! # Transactions that are read
//!
//! [`Client::apply`] gives its closure a view of the replica and a transaction that shows it under its
//! own writes. The commit verifies what was read through the transaction: when another client was faster, nothing
//! is changed and the closure is run again on a newer view. So nobody's update is lost, and of two clients that want
//! the same row one makes it.
//!
//! ```
//! # #[cfg(all(feature = "nb", feature = "server"))] #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let schema = ovsdb::schema::bundled("OVN_Northbound").expect("a bundled schema");
//! # let server = ovsdb::server::Server::memory(schema)?;
//! # let client = ovsdb::nb::Client::builder().server(&server).connect().await?;
//! use ovsdb::CommitError;
//! use ovsdb::cache::Index;
//! use ovsdb::nb::{LogicalSwitch as Switch, LogicalSwitchPort as Port};
//!
//! let by_name = Index::column(Switch::NAME);
//! let cache = client.cache().index(&by_name).table::<Port>().start().await?;
//! let apply = client.apply(&cache, |_, txn| {
//!     // Found or inserted, with the columns that the closure sets.
//!     txn.ensure(&by_name, "sw0", |_| {});
//!     let port = txn.ensure(Port::NAME, "p1", |port| port.enabled = Some(true));
//!     // The one switch of this name; it is an error that there is none, or more than one.
//!     let switch = txn.one(&by_name, "sw0")?;
//!     // Only what differs is sent: what others put into the same columns stays.
//!     txn.edit(switch, |switch| {
//!         switch.ports.insert(port);
//!         switch.external_ids.insert("owner", "me");
//!     });
//!     // What was written is read.
//!     assert!(txn.get(switch).is_some_and(|switch| switch.ports.contains(&port)));
//!     Ok::<_, CommitError>(port)
//! });
//! let (port, _) = apply.await?;
//! assert_eq!(cache.snapshot().get(port).map(|port| &*port.name), Some("p1"));
//! # Ok(()) }
//! # #[cfg(not(all(feature = "nb", feature = "server")))] fn main() {}
//! ```
//!
//! What is verified depends on how it was read:
//!
//! | | the commit fails when |
//! |---|---|
//! | [`get`](Transaction::get) | the row has changed in any column, is gone, or has come to exist |
//! | [`get_column`](Transaction::get_column) | the row has changed in this column, is gone, or has come to exist |
//! | [`get_by`](Transaction::get_by), [`find`](Transaction::find) | a row with the key has changed in any column, or other rows have the key |
//! | [`range`](Transaction::range) | a row in the range has changed in any column, or, of numbers, other rows are in the range |
//! | [`one`](Transaction::one), [`ensure`](Transaction::ensure), [`ensure_where`](Transaction::ensure_where) | other rows have the key, or meet the condition |
//! | [`edit`](Transaction::edit) | the row is gone, a value that it replaces has changed, or another client has set a key that it adds |
//! | [`peek`](Transaction::peek), the view | never: look through whole tables by these |
//!
//! Whole rows are verified by their columns, which are sent with the transaction; in a cache with
//! [`row_versions`](CacheBuilder::row_versions) by 16 bytes each, and with them columns of reals too.
//!
//! ```
//! # #[cfg(all(feature = "nb", feature = "server"))] #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let schema = ovsdb::schema::bundled("OVN_Northbound").expect("a bundled schema");
//! # let server = ovsdb::server::Server::memory(schema)?;
//! # let client = ovsdb::nb::Client::builder().server(&server).connect().await?;
//! # let cache = client.cache().all_tables().start().await?;
//! use ovsdb::CommitError;
//! use ovsdb::nb::Meter;
//! # let mut txn = client.transaction();
//! # let band = ovsdb::nb::MeterBand { action: ovsdb::nb::MeterBandAction::Drop, rate: 1, ..Default::default() };
//! # let bands = [txn.insert(band)].into();
//! # txn.insert(Meter { name: "arp".into(), unit: ovsdb::nb::MeterUnit::Pktps, bands, ..Default::default() });
//! # txn.commit().await?;
//!
//! // As `apply` makes it, and without its repetition.
//! let mut ours = client.transaction_on(&cache);
//! let meter = ours.get_by(Meter::NAME, "arp").ok_or("no meter")?;
//! ours.edit(&meter, |row| row.fair = Some(meter.external_ids.is_empty()));
//!
//! // The decision does not hold any more.
//! let mut theirs = client.transaction();
//! theirs.mutate(&meter).insert(Meter::EXTERNAL_IDS, [("owner", "them")]);
//! theirs.commit().await?;
//!
//! let Err(CommitError::Refused(refusal)) = ours.commit().await else { panic!("a conflict expected") };
//! assert!(refusal.is_conflict());
//! # Ok(()) }
//! # #[cfg(not(all(feature = "nb", feature = "server")))] fn main() {}
//! ```
//!
//! [`Transaction::merge`] makes one transaction of those of several authors, or says by which row they conflict.
//! [`ClientBuilder::author`] puts the author's name into the database's history.
//!
//! ```
//! # #[cfg(all(feature = "nb", feature = "server"))] #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let schema = ovsdb::schema::bundled("OVN_Northbound").expect("a bundled schema");
//! # let server = ovsdb::server::Server::memory(schema)?;
//! # let client = ovsdb::nb::Client::builder().server(&server).connect().await?;
//! # let cache = client.cache().all_tables().start().await?;
//! use ovsdb::nb::AddressSet;
//! use ovsdb::transaction::MergeConflict;
//!
//! let write = |address: &str| {
//!     let mut txn = client.transaction_on(&cache);
//!     txn.ensure(AddressSet::NAME, "pods", |set| set.addresses.extend([address]));
//!     txn
//! };
//! // Both would insert the row, so the second has to be decided again.
//! let mut txn = write("10.0.0.1");
//! assert!(matches!(txn.merge(&write("10.0.0.2")), Err(MergeConflict::Read { table: "Address_Set", .. })));
//! txn.commit().await?;
//! // The row exists, and each adds an element.
//! let mut txn = write("10.0.0.3");
//! txn.merge(&write("10.0.0.4"))?;
//! txn.commit().await?;
//! let view = cache.snapshot();
//! let pods = view.get_by(AddressSet::NAME, "pods").ok_or("no address set")?;
//! assert_eq!(pods.addresses, ["10.0.0.1", "10.0.0.3", "10.0.0.4"].into());
//! # Ok(()) }
//! # #[cfg(not(all(feature = "nb", feature = "server")))] fn main() {}
//! ```
//!
//! # Desired state
//!
//! A controller that owns rows fills a [`Desired`] with all that it wants, each found again by its key.
//! [`Desired::plan`] compares it with a view, shows what differs, and never touches a row of another owner.
//! [`Client::converge`] commits that, until nothing is left to do.
//!
//! ```
//! # #[cfg(all(feature = "nb", feature = "server"))] #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let schema = ovsdb::schema::bundled("OVN_Northbound").expect("a bundled schema");
//! # let server = ovsdb::server::Server::memory(schema)?;
//! # let client = ovsdb::nb::Client::builder().server(&server).connect().await?;
//! use ovsdb::nb::{Desired, PortGroup};
//!
//! let cache = client.cache().table::<PortGroup>().start().await?;
//! # let mut txn = client.transaction();
//! # txn.insert(PortGroup { name: "theirs".into(), ..Default::default() });
//! # txn.commit().await?;
//! let desired = |names: &[&str]| {
//!     let mut desired = Desired::new();
//!     desired.owned::<PortGroup>(PortGroup::EXTERNAL_IDS.includes([("owner", "me")]));
//!     for name in names {
//!         desired
//!             .row(PortGroup::NAME, *name)
//!             .part(PortGroup::EXTERNAL_IDS, [("owner", "me")]); // others may add keys
//!     }
//!     desired
//! };
//! client.converge(&cache, &desired(&["web", "db"])).await?;
//!
//! // `web` is not wanted any more.
//! let plan = desired(&["db", "cache"]).plan(&cache.snapshot())?;
//! let shown = "\
//! - Port_Group web
//! + Port_Group cache
//!     external_ids: {owner=me}
//!     name: cache
//! ";
//! assert_eq!(plan.to_string(), shown);
//! let done = client.converge(&cache, &desired(&["db", "cache"])).await?;
//! assert_eq!((done.changes, done.commits), (2, 1));
//! assert_eq!(desired(&["db", "cache"]).plan(&cache.snapshot())?.changes().count(), 0);
//!
//! // A name that another owner holds is a conflict that names the row.
//! let conflict = desired(&["theirs"]).plan(&cache.snapshot()).expect_err("it belongs to another owner");
//! println!("{conflict}");
//! # Ok(()) }
//! # #[cfg(not(all(feature = "nb", feature = "server")))] fn main() {}
//! ```
//!
//! The module [`desired`] says what a plan touches, how rows refer to each other before any exists, and how a plan
//! is committed in steps.
//!
//! # Coming from OVN-Kubernetes' libovsdb operations
//!
//! The package `libovsdb/ops` of OVN-Kubernetes builds lists of operations from an `operationModel` with a model, a
//! predicate and pointers to fields. Here a function takes the transaction, and a closure changes the row:
//!
//! ```
//! # #[cfg(all(feature = "nb", feature = "server"))] #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let schema = ovsdb::schema::bundled("OVN_Northbound").expect("a bundled schema");
//! # let server = ovsdb::server::Server::memory(schema)?;
//! # let client = ovsdb::nb::Client::builder().server(&server).connect().await?;
//! use ovsdb::cache::Index;
//! use ovsdb::nb::{AddressSet, LogicalSwitch as Switch, LogicalSwitchPort as Port, Transaction};
//! use ovsdb::transaction::BuildError;
//! use ovsdb::{CommitError, Ref, Str};
//!
//! /// `CreateOrUpdateLogicalSwitchPortsOnSwitch`
//! fn ensure_port(
//!     txn: &mut Transaction,
//!     switches: &Index<Switch, Str>,
//!     (switch, name): (&str, &str),
//!     change: impl FnOnce(&mut Port),
//! ) -> Result<Ref<Port>, BuildError> {
//!     let switch = txn.one(switches, switch)?; // `ErrNotFound: true`, `BulkOp: false`
//!     let port = txn.ensure(Port::NAME, name, change);
//!     txn.edit(switch, |switch| switch.ports.extend([port]));
//!     Ok(port)
//! }
//!
//! let by_name = Index::column(Switch::NAME);
//! let cache = client.cache().all_tables().index(&by_name).start().await?;
//! let apply = client.apply(&cache, |_, txn| {
//!     txn.ensure(&by_name, "sw0", |switch| {
//!         switch.other_config.insert("subnet", "10.0.0.0/24");
//!     });
//!     ensure_port(txn, &by_name, ("sw0", "p1"), |port| port.addresses = ["dynamic"].into())?;
//!     txn.ensure(AddressSet::NAME, "pods", |set| set.addresses.extend(["10.0.0.2"]));
//!     Ok::<_, CommitError>(())
//! });
//! apply.await?;
//! # Ok(()) }
//! # #[cfg(not(all(feature = "nb", feature = "server")))] fn main() {}
//! ```
//!
//! | `libovsdb/ops` | here |
//! |---|---|
//! | `Model` with its index columns set | an index and a key: [`one`](Transaction::one), [`get_by`](Transaction::get_by) |
//! | `ModelPredicate` | a closure on `txn.peek().rows::<T>()`; a condition by [`ensure_where`](Transaction::ensure_where) |
//! | `OnModelUpdates`, `OnModelMutations`, `getAllUpdatableFields` | [`edit`](Transaction::edit): the closure sets what it wants set, also to nothing, and the difference is sent |
//! | `onModelUpdatesNone()` | `txn.one(..)`, and `txn.ensure(..)` when that is [`NotFound`](transaction::BuildError::NotFound) |
//! | `ErrNotFound` | `txn.one(..)?`, or a match on [`NotFound`](transaction::BuildError::NotFound) |
//! | `errMultipleResults` | [`Several`](transaction::BuildError::Several); `ensure` takes the one with the smallest uuid |
//! | `BulkOp` | a loop |
//! | `DoAfter`, named uuids, `TransactAndCheckAndSetUUIDs` | the [`Ref`] that `insert`, `ensure` and `one` return, valid at once |
//! | functions `...Ops` that append to a list | every function: operations of one transaction show those before them |
//! | `buildFailOnDuplicateOps`, `WaitForDuplicates` | nothing: what is looked up by a key is verified by the commit |
//! | `TransactAndCheck`, `TransactWithRetry` | [`Client::apply`], which also runs the closure again after a conflict |
//! | deleting rows that are not wanted any more, by predicates on `external_ids` | [`Desired`] |
//!
//! The package `examples/operations` of the repository has the operations on switches, routers, ports, ACLs, port groups, address sets and
//! load balancers in this way, in a fifth of the lines, with a test for each case.
//!
//! # Knowing that it is real
//!
//! A commit says what a database holds, not what a network does. `nb::realized` waits until ovn-northd, or the
//! ovn-controllers of all chassis as well, have carried out what was committed before; `vswitch::configured`
//! waits for ovs-vswitchd. An error says which daemon is late, and which chassis.
//!
//! ```
//! # #[cfg(all(feature = "nb", feature = "server"))] #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let schema = ovsdb::schema::bundled("OVN_Northbound").expect("a bundled schema");
//! # let server = ovsdb::server::Server::memory(schema)?;
//! # let client = ovsdb::nb::Client::builder().server(&server).connect().await?;
//! # let cache = client.cache().all_tables().start().await?;
//! # let mut txn = client.transaction();
//! # let port = txn.insert(ovsdb::nb::LogicalSwitchPort { name: "p1".into(), ..Default::default() });
//! # txn.insert(ovsdb::nb::LogicalSwitch { ports: [port].into(), ..Default::default() });
//! # txn.commit().await?;
//! # // What ovn-northd and ovn-controller do.
//! # let (daemons, seen) = (client.clone(), cache.clone());
//! # tokio::spawn(async move {
//! #     use ovsdb::nb::{LogicalSwitchPort as Port, NbGlobal};
//! #     let request = seen.wait_until(None, |view| view.rows::<NbGlobal>().next().cloned()).await.expect("a request");
//! #     let mut txn = daemons.transaction();
//! #     let confirm = txn.update(&request).set(NbGlobal::SB_CFG, request.nb_cfg);
//! #     confirm.set(NbGlobal::HV_CFG, request.nb_cfg);
//! #     txn.update(Port::NAME.eq("p1")).set(Port::UP, Some(true));
//! #     txn.commit().await.expect("a commit");
//! # });
//! use std::time::Duration;
//!
//! use ovsdb::nb::{self, LogicalSwitchPort as Port, Stage};
//!
//! let limit = Duration::from_secs(30);
//! let realized = nb::realized(&client, Stage::Hypervisors).timeout(limit).await?;
//! println!("ovn-northd took {:?}, all chassis {:?}", realized.northd, realized.hypervisors);
//!
//! // Of one port: its interface is on a chassis, and the flows are installed there.
//! cache.wait_until(limit, |view| view.get_by(Port::NAME, "p1")?.up.filter(|up| *up)).await?;
//! # Ok(()) }
//! # #[cfg(not(all(feature = "nb", feature = "server")))] fn main() {}
//! ```
//!
//! `.southbound(&client)` with a client of the southbound database makes the error name the chassis that are late.
//! [`Cache::wait_until`] waits for whatever its closure finds, and looks again after each change:
//!
//! ```
//! # #[cfg(all(feature = "vswitch", feature = "server"))] #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let schema = ovsdb::schema::bundled("Open_vSwitch").expect("a bundled schema");
//! # let server = ovsdb::server::Server::memory(schema)?;
//! # let client = ovsdb::vswitch::Client::builder().server(&server).connect().await?;
//! # let cache = client.cache().all_tables().start().await?;
//! # let mut txn = client.transaction();
//! # let interface = txn.insert(ovsdb::vswitch::Interface { name: "veth0".into(), ..Default::default() });
//! # let port = txn.insert(ovsdb::vswitch::Port { name: "veth0".into(), interfaces: [interface].into(), ..Default::default() });
//! # let bridge = txn.insert(ovsdb::vswitch::Bridge { name: "br-int".into(), ports: [port].into(), ..Default::default() });
//! # txn.insert(ovsdb::vswitch::OpenVSwitch { bridges: [bridge].into(), ..Default::default() });
//! # txn.commit().await?;
//! # // What ovs-vswitchd does.
//! # let (daemon, seen) = (client.clone(), cache.clone());
//! # tokio::spawn(async move {
//! #     use ovsdb::vswitch::{Interface, OpenVSwitch};
//! #     let requested = |view: &ovsdb::vswitch::Snapshot| view.rows::<OpenVSwitch>().find(|row| row.next_cfg > 0).cloned();
//! #     let request = seen.wait_until(None, requested).await.expect("a request");
//! #     let mut txn = daemon.transaction();
//! #     txn.update(&request).set(OpenVSwitch::CUR_CFG, request.next_cfg);
//! #     txn.update(Interface::NAME.eq("veth0")).set(Interface::OFPORT, Some(5));
//! #     txn.commit().await.expect("a commit");
//! # });
//! use std::time::Duration;
//!
//! use ovsdb::vswitch::{self, Interface};
//!
//! let limit = Duration::from_secs(30);
//! vswitch::configured(&client).timeout(limit).await?;
//! let port = cache.wait_until(limit, |view| view.get_by(Interface::NAME, "veth0")?.ofport).await?;
//! assert_eq!(port, 5);
//! # Ok(()) }
//! # #[cfg(not(all(feature = "vswitch", feature = "server")))] fn main() {}
//! ```
//!
//! The module [`progress`] has the errors.
//!
//! # Controllers
//!
//! A controller keeps rows as they should be, whatever happens to them. A [`Reconciler`] runs it: it is
//! told which rows concern which object, and calls a closure with the object's key whenever one of them
//! has changed. The closure reads, writes what is missing, and need not know what the change was.
//!
//! ```
//! # #[cfg(all(feature = "nb", feature = "server"))] #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let schema = ovsdb::schema::bundled("OVN_Northbound").expect("a bundled schema");
//! # let server = ovsdb::server::Server::memory(schema)?;
//! # let client = ovsdb::nb::Client::builder().server(&server).connect().await?;
//! use std::time::Duration;
//!
//! use ovsdb::Reconciler;
//! use ovsdb::cache::Index;
//! use ovsdb::nb::{LogicalSwitch, LogicalSwitchPort as Port, PortGroup};
//!
//! // Each namespace has a port group with its ports.
//! let namespace = Index::map_key(Port::EXTERNAL_IDS, "namespace");
//! let cache = client.cache().index(&namespace).table::<PortGroup>().start().await?;
//!
//! let runner = Reconciler::new(&client, &cache)
//!     .watch_index(&namespace)
//!     .watch::<PortGroup>(|group| group.name.clone())
//!     .run(8, move |name, view, txn| {
//!         let ports: Vec<_> = view.find(&namespace, name).map(|port| port.reference()).collect();
//!         if ports.is_empty() {
//!             txn.delete(PortGroup::NAME.eq(name));
//!         } else {
//!             txn.ensure(PortGroup::NAME, name, |group| group.ports = ports.into());
//!         }
//!         Ok(())
//!     });
//!
//! // A port comes, and its group with it.
//! let mut txn = client.transaction();
//! let external_ids = [("namespace", "web")].into();
//! let port = txn.insert(Port { name: "p1".into(), external_ids, ..Default::default() });
//! txn.insert(LogicalSwitch { name: "sw0".into(), ports: [port].into(), ..Default::default() });
//! txn.commit().await?;
//! let group = cache.wait_until(Duration::from_secs(30), |view| view.get_by(PortGroup::NAME, "web").cloned());
//! assert_eq!(group.await?.ports, [port].into());
//!
//! // For the probe of a supervisor; a stale replica and keys that keep failing are reasons.
//! runner.health()?;
//! // What runs is finished, and nothing new is begun.
//! runner.stop().await;
//! # Ok(()) }
//! # #[cfg(not(all(feature = "nb", feature = "server")))] fn main() {}
//! ```
//!
//! A closure may as well say which rows its object should have: `desired.plan(view)?.write(txn)` writes what differs
//! ([`Desired`]).
//!
//! One worker has a key at a time, and different keys are worked on at once. A key that changes while it is
//! worked on is worked on again afterwards; one that fails is tried again after a growing time. Without
//! a connection nothing is decided. [`Reconciler::share_commits`] lets keys that are queued together share a
//! transaction. [`Runner::stats`] and the [metrics](stats) have the length of the queue,
//! the latency and the retries.
//!
//! # Testing what you wrote
//!
//! The module [`server`] is an OVSDB server in your program, which is compared with ovsdb-server message
//! by message. A test needs no process, no socket and no folder, and the constraints, the defaults and
//! the references of the schema hold in it as they do in production.
//!
//! ```
//! # #[cfg(all(feature = "nb", feature = "server"))] #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use ovsdb::nb::{self, LogicalSwitch};
//! use ovsdb::server::{Server, TransactionFault};
//!
//! let schema = ovsdb::schema::bundled("OVN_Northbound").expect("a bundled schema");
//! let seed = Server::memory(schema)?;
//! // Every test may start from the same rows: a fork costs the same whatever their number is.
//! let server = seed.fork();
//! let client = nb::Client::builder().server(&server).connect().await?;
//!
//! // What does the program do when its commit is carried out and the reply is lost?
//! let fault = TransactionFault::DisconnectAfter;
//! server.faults().next_transaction("OVN_Northbound", fault)?;
//! let mut txn = client.transaction();
//! txn.insert(LogicalSwitch { name: "sw0".into(), ..Default::default() });
//! assert!(txn.commit().await.is_err());
//!
//! // What was committed, as rows of their types.
//! let committed = server.transactions::<nb::Database>();
//! let switches: Vec<_> = committed.iter().flat_map(|txn| txn.inserted::<LogicalSwitch>()).collect();
//! assert_eq!(switches[0].name, "sw0");
//! # Ok(()) }
//! # #[cfg(not(all(feature = "nb", feature = "server")))] fn main() {}
//! ```
//!
//! Other faults are connections that close, are refused, answer late or not at all, a lost leadership and
//! a forgotten history ([`Faults`](server::Faults)). [`Server::convert`](server::Server::convert) stands
//! for an upgrade. [`Server::cluster`](server::Server::cluster) starts the members of a cluster, for tests
//! of failover: leaders that hand over or die, followers that lag, a majority that is lost.
//!
//! The feature `testing` has the real ovsdb-server too, as `testing::Server` and `testing::Cluster`: with
//! `OVSDB_TEST_SERVER=embedded` the same test runs on the embedded one.
//!
//! A unit test needs no server at all. Code that reads takes a [`Snapshot`], which
//! `testing::SnapshotBuilder` makes of typed rows. Code that writes takes a `&mut Transaction`, which
//! [`Transaction::detached`] makes without a client; then the test reads what was written, as rows,
//! conditions and changes of their types, or as JSON. Neither needs a runtime.
//!
//! ```
//! # #[cfg(all(feature = "nb", feature = "testing"))] {
//! use ovsdb::nb::{self, LogicalSwitchPort as Port};
//! use ovsdb::testing::SnapshotBuilder;
//! use ovsdb::transaction::TableOperation;
//!
//! /// What is to be tested, as a closure of `Client::apply` calls it.
//! fn disable_untagged(view: &nb::Snapshot, txn: &mut nb::Transaction) {
//!     for port in view.rows::<Port>().filter(|port| port.tag.is_none()) {
//!         txn.update(port).set(Port::ENABLED, Some(false));
//!     }
//! }
//!
//! let mut rows = SnapshotBuilder::<nb::Database>::new();
//! rows.insert(Port { name: "p1".into(), tag: Some(7), ..Default::default() });
//! let untagged = rows.insert(Port { name: "p2".into(), ..Default::default() });
//! let view = rows.build()?;
//!
//! let mut txn = nb::Transaction::detached();
//! disable_untagged(&view, &mut txn);
//! let [TableOperation::Update { rows, columns }] = &txn.operations_on::<Port>()[..] else {
//!     panic!("one update expected: {txn:?}");
//! };
//! assert_eq!(*rows, untagged);
//! assert_eq!(columns.get(Port::ENABLED), Some(&Some(false)));
//! # }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! `Transaction::commit_on` carries such a transaction out on a fork of an embedded server, which checks
//! it against the schema and its rows.
//!
//! # How a byte travels
//!
//! 1. One task owns the connection. [`protocol::Framer`] finds the end of a message in one pass
//!    over new bytes, however the stream is cut.
//! 2. The envelope is read ([`protocol::Message`]), the payload stays text.
//! 3. An update of a replica is decoded straight into rows, without a tree in between. A large one
//!    is decoded on a thread of its own; probes are answered meanwhile.
//! 4. A whole server transaction is published at once, or, if it does not fit, nothing of it: then
//!    all rows are fetched again.
//! 5. Change streams are told, then commits that wait for it resolve.
//!
//! # Promises
//!
//! 1. Reconnecting is a difference: the old replica stays readable, and afterwards exactly what
//!    changed meanwhile is delivered, whether or not the server could resume.
//! 2. Replies and updates are applied in wire order. An update that cannot be applied forces a
//!    visible resync.
//! 3. No change is dropped silently. A slow consumer costs bounded memory: its pending changes are
//!    coalesced, and the batch [reports it](cache::BatchKind::is_coalesced).
//! 4. A server with an older or newer schema works: columns it does not know are not asked for, those
//!    it lacks read as their default and are listed in [`Cache::skew`]. Strict mode makes that an
//!    error.
//! 5. An unknown outcome is never reported as a success or a failure.
//! 6. Nothing panics on what a peer sends: depth, size and time are bounded, errors are typed.
//! 7. A handle dropped, a future cancelled at any `.await`, a runtime shut down: nothing leaks or
//!    hangs.
//!
//! # Features
//!
//! | feature | what it adds |
//! |---|---|
//! | `derive` (default) | [`schema!`] and [`derive(Table)`](derive@Table) |
//! | `nb` | the module `nb`: OVN_Northbound, of OVN 26.03 |
//! | `sb` | the module `sb`: OVN_Southbound, of OVN 26.03 |
//! | `vswitch` | the module `vswitch`: Open_vSwitch, of Open vSwitch 4.0 |
//! | `tls` | `ssl:` remotes, through rustls |
//! | `serde` | serde's `Serialize` and `Deserialize` for [rows and values](value#serialization) |
//! | `metrics` | counters through the facade of the crate `metrics` |
//! | `server` | the module [`server`]: an OVSDB server |
//! | `testing` | the module `testing`: private, real ovsdb-server instances |
//!
//! The runtime is tokio.
//!
//! # Logs
//!
//! Logs are [`tracing`] events with the fields `database` and, where there is one, `remote`. Errors
//! are shown with all their causes, as [`ErrorChain`] does.
//!
//! | level | what |
//! |---|---|
//! | `ERROR` | a closure of the program panicked: of a feed of a work queue, of a reconciler |
//! | `WARN` | a connection that served is lost; a key of a reconciler fails for the first, second, fourth, eighth time, and so on; no server can be used, once for each reason and then at growing intervals; a server's schema differs; an update does not fit |
//! | `INFO` | connected; certificates were read again |
//! | `DEBUG` | every attempt to connect, and why it failed; transactions that are tried again |
//! | `TRACE` | the target `ovsdb::wire`: every message that is sent or received |
//!
//! An event of `ovsdb::wire` has the fields `direction` (`sent` or `received`), `remote`, `database`
//! and `size` (bytes); its message is the JSON text, cut to 4,096 bytes and followed by `...` where it
//! is longer. That is what the database holds, read before TLS encrypts it or after TLS decrypted
//! it: no keys of TLS, but the secrets that rows hold. It costs nothing unless a subscriber enables
//! it.
#![cfg_attr(docsrs, feature(doc_cfg))]

/// The examples of the README.
#[cfg(all(doctest, feature = "nb"))]
#[doc = include_str!("../../README.md")]
struct Readme;

// Generated code names this crate by its public path, inside it too.
extern crate self as ovsdb;

#[macro_use]
#[cfg(not(simulation))]
mod simulated;
#[macro_use]
#[cfg(simulation)]
#[doc(hidden)]
#[allow(missing_docs, reason = "no program has it")]
pub mod simulated;

pub mod cache;
mod client;
pub mod desired;
mod error;
mod error_chain;
pub mod model;
#[cfg(any(feature = "nb", feature = "sb", feature = "vswitch"))]
pub mod progress;
pub mod protocol;
pub mod reconcile;
#[cfg(feature = "server")]
mod relay;
mod schema_cache;
mod schema_check;
#[cfg(feature = "server")]
pub mod server;
mod session;
pub mod stats;
#[cfg(feature = "testing")]
pub mod testing;
pub mod transaction;
mod transport;
mod trie;
pub mod value;

/// The tables of `OVN_Northbound` (ovn-nb(5)), generated from the schema of OVN 26.03.
#[cfg(feature = "nb")]
pub mod nb {
    ovsdb::schema!("OVN_Northbound");

    pub use crate::progress::northbound::{Realize, Realized, Stage, realized};
}

/// The tables of `OVN_Southbound` (ovn-sb(5)), generated from the schema of OVN 26.03.
#[cfg(feature = "sb")]
pub mod sb {
    ovsdb::schema!("OVN_Southbound");

    pub use crate::progress::chassis::lagging_chassis;
}

/// The tables of `Open_vSwitch` (ovs-vswitchd.conf.db(5)), generated from the schema of Open
/// vSwitch 4.0.
#[cfg(feature = "vswitch")]
pub mod vswitch {
    ovsdb::schema!("Open_vSwitch");

    pub use crate::progress::switch::{Configure, Configured, configured};
}

pub use ovsdb_schema as schema;

/// The traits that generated code implements with the feature `serde`.
#[cfg(feature = "serde")]
#[doc(hidden)]
pub use serde_core as __serde;

#[cfg(feature = "derive")]
pub use ovsdb_derive::{Table, schema};

/// The version of rustls that [`TlsConfig::from_rustls`] takes the configuration of.
#[cfg(feature = "tls")]
pub use tokio_rustls::rustls;

pub use self::cache::{Skew, SkewReport, Snapshot};
pub use self::client::{
    Cache, CacheBuilder, Client, ClientBuilder, DatabaseInfo, Lock, WaitError, Watched,
};
pub use self::desired::Desired;
pub use self::error::{DisconnectReason, Disconnected, Error};
pub use self::error_chain::ErrorChain;
pub use self::model::{
    AnyDatabase, Column, ColumnInfo, Database, Immutable, Mutable, Row, RowIdentity, Table,
    TableVisitor, Unique, UniqueIndex,
};
pub use self::protocol::MonitorVersion;
pub use self::reconcile::{Reconciler, Runner};
pub use self::schema_check::{MismatchReason, SchemaMismatch};
pub use self::session::{ConnectionState, RemoteOrder};
pub use self::stats::{CacheStats, Stats};
pub use self::transaction::{CommitError, Outcome, Retry, RetryPolicy, Transaction};
#[cfg(feature = "server")]
pub use self::transport::MemoryRemote;
pub use self::transport::{
    ConnectError, IntoRemotes, Remote, RemoteError, RemoteErrorReason, parse_remotes,
};
#[cfg(feature = "tls")]
pub use self::transport::{TlsConfig, TlsConfigBuilder, TlsError, TlsMaterial, TlsPart};
pub use self::value::{ColumnValue, Map, Real, Ref, Set, Str, Uuid};
