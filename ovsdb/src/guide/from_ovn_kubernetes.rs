//! Coming from OVN-Kubernetes' libovsdb operations.
//!
//! The package `libovsdb/ops` of OVN-Kubernetes builds lists of operations from an `operationModel`: a model, a predicate, and pointers to
//! fields. Here a function takes the transaction, and a closure changes the row:
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
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
//! ```
//!
//! # `operationModel`
//!
//! | `libovsdb/ops` | here |
//! |---|---|
//! | `Model` with its index columns set | an index and a key: [`one`](Transaction::one), [`get_by`](Transaction::get_by) |
//! | `ModelPredicate` | a closure on `txn.peek().rows::<T>()` ([`peek`](Transaction::peek)); a condition by [`ensure_where`](Transaction::ensure_where) |
//! | `ExistingResult` | what the method returns |
//! | `OnModelUpdates`, `OnModelMutations`, `getAllUpdatableFields` | [`edit`](Transaction::edit): the closure sets columns, also to empty values, and the difference is sent |
//! | `onModelUpdatesNone()` | [`one`](Transaction::one), then [`ensure`](Transaction::ensure) if it returns [`NotFound`](transaction::BuildError::NotFound) |
//! | `onModelUpdatesAllNonDefault()` | [`ensure`](Transaction::ensure) |
//! | `ErrNotFound` | `txn.one(..)?`, or a match on [`NotFound`](transaction::BuildError::NotFound) |
//! | `errMultipleResults` | [`Several`](transaction::BuildError::Several); `ensure` takes the row with the smallest uuid |
//! | `BulkOp` | a loop |
//! | `DoAfter`, `BuildNamedUUID`, `TransactAndCheckAndSetUUIDs` | the [`Ref`] that `insert`, `ensure` and `one` return, valid at once |
//!
//! # `modelClient` and transactions
//!
//! | `libovsdb/ops` | here |
//! |---|---|
//! | `CreateOrUpdate`, `CreateOrUpdateOps` | [`ensure`](Transaction::ensure), [`edit`](Transaction::edit) |
//! | `Delete`, `DeleteOps` | [`delete`](Transaction::delete); after an `edit` that removes the last reference, the server deletes a row that is not root |
//! | `Lookup` | [`get_by`](Transaction::get_by), [`find`](Transaction::find); without verifying, [`peek`](Transaction::peek) |
//! | functions `...Ops` that append to a list | functions that take a `&mut Transaction`; an operation sees what those before it wrote |
//! | `buildFailOnDuplicateOps` | nothing: the commit verifies what was looked up by a key |
//! | `TransactAndCheck`, `TransactWithRetry` | [`Client::apply`], which also decides again after a conflict |
//! | `DbObjectIDs`, `GetPredicate` | [`Index::map_key`](cache::Index::map_key) over `external_ids`, or [`Index::function`](cache::Index::function) for several keys |
//! | deleting rows that are no longer wanted, by predicates on `external_ids` | [`Desired`] |
//!
//! The package `examples/operations` of the repository has the operations on switches, routers, ports, ACLs, port groups, address sets and
//! load balancers in this form, with a test for each case. Its README compares the sizes.

#[cfg(doc)]
use crate::*;
