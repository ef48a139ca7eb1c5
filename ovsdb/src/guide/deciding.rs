//! Deciding: transactions that read what they depend on.
//!
//! A controller reads the database, decides, and writes. Meanwhile another client may change what the decision depends on. Optimistic
//! concurrency solves this: the commit verifies what was read and fails if it has changed, and the controller decides again.
//! [`Client::apply`] does all of it.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
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
//! let apply = client.apply(&cache, |_view, txn| {
//!     // Find the row with this key, or insert it; then set columns.
//!     txn.ensure(&by_name, "sw0", |_| {});
//!     let port = txn.ensure(Port::NAME, "p1", |port| port.enabled = Some(true));
//!     // The one switch of this name. None, or several, are errors.
//!     let switch = txn.one(&by_name, "sw0")?;
//!     // Only the difference is sent: what others put into the same set or map stays.
//!     txn.edit(switch, |switch| {
//!         switch.ports.insert(port);
//!         switch.external_ids.insert("owner", "me");
//!     });
//!     // The transaction shows its own writes.
//!     assert!(txn.get(switch).is_some_and(|switch| switch.ports.contains(&port)));
//!     Ok::<_, CommitError>(port)
//! });
//! let (port, _outcome) = apply.await?;
//! assert_eq!(cache.snapshot().get(port).map(|port| &*port.name), Some("p1"));
//! # Ok(()) }
//! ```
//!
//! The closure gets a view of a [current](Cache::is_current) replica and a transaction that shows this view with its own writes
//! applied. It may run several times, so it must do nothing but read the view and write the transaction. If it writes nothing, nothing is
//! sent, except to find out whether an earlier run was committed.
//!
//! # What a commit verifies
//!
//! | read by | the commit fails if |
//! |---|---|
//! | [`get`](Transaction::get) | the row has changed in any column, was deleted, or was created |
//! | [`get_column`](Transaction::get_column) | the row has changed in this column, was deleted, or was created |
//! | [`get_by`](Transaction::get_by), [`find`](Transaction::find) | a row with the key has changed in any column, or the set of rows with the key has changed |
//! | [`range`](Transaction::range) | a row in the range has changed in any column, or (for integers) the set of rows in the range has changed |
//! | [`one`](Transaction::one), [`ensure`](Transaction::ensure), [`ensure_where`](Transaction::ensure_where) | the set of rows with the key, or of rows that meet the condition, has changed |
//! | [`edit`](Transaction::edit) | the row was deleted, a value that it replaces has changed, or another client has given another value to a key that it adds |
//! | [`peek`](Transaction::peek), the view | never |
//!
//! Use [`peek`](Transaction::peek) or the view to look through whole tables. If a scan were verified, every change of the table would be a
//! conflict.
//!
//! A row is verified by the columns that the cache has, which are sent along as a guard. Columns of reals are left out, because servers
//! send reals rounded. In a cache with [`row_versions`](CacheBuilder::row_versions) a row is verified by its version instead: one uuid,
//! which covers all columns. Through a relay, columns are compared all the same. For an index by a function, by the values of a map, or
//! over reals, only the rows that were found are verified.
//!
//! # A conflict
//!
//! [`Client::transaction_on`] makes a transaction that verifies its reads, and does not repeat it after a conflict. This example shows a
//! conflict:
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
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
//! let mut ours = client.transaction_on(&cache);
//! let meter = ours.get_by(Meter::NAME, "arp").ok_or("no meter arp")?;
//! ours.edit(&meter, |row| row.fair = Some(meter.external_ids.is_empty()));
//!
//! // Another client changes what the decision depends on.
//! let mut theirs = client.transaction();
//! theirs.mutate(&meter).insert(Meter::EXTERNAL_IDS, [("owner", "them")]);
//! theirs.commit().await?;
//!
//! let Err(CommitError::Refused(refusal)) = ours.commit().await else { panic!("a conflict expected") };
//! assert!(refusal.is_conflict());
//! # Ok(()) }
//! ```
//!
//! # After a lost connection
//!
//! If the connection is lost before the transaction is sent, [`apply`](Client::apply) decides again on the next connection. If it is
//! lost afterwards, the outcome is unknown, and `apply` decides again. If the first transaction inserted a row, the second carries a guard
//! that fails if that row exists, so the insert is made once. A closure that inserts nothing and counts (reads a value and writes it plus
//! one) could count twice: `apply` does not send it again, and returns [`CommitError::Unknown`].
//!
//! # Several authors, one transaction
//!
//! [`Transaction::merge`] joins two transactions that were decided independently, or says why they conflict:
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
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
//! ```
//!
//! Next: [`desired_state`](super::desired_state).

#[cfg(doc)]
use crate::*;
