//! Conditions: selecting rows on the server.
//!
//! A condition compares a column with a value. The methods of a [`Column`] make one:
//!
//! | method | columns | rows that meet it |
//! |---|---|---|
//! | [`eq`](Column::eq), [`ne`](Column::ne) | all | the whole value is, or is not, this one |
//! | [`lt`](Column::lt), [`le`](Column::le), [`gt`](Column::gt), [`ge`](Column::ge) | numbers, also optional ones | the number is less, at most, more, at least; an empty column meets none of them |
//! | [`includes`](Column::includes) | sets and maps | the column has all these elements or pairs |
//! | [`excludes`](Column::excludes) | sets and maps | the column has none of them |
//!
//! A reference or a row also stands for the condition that selects this one row.
//!
//! # And, or
//!
//! OVSDB joins conditions differently in two places. The types keep them apart, so that neither can be mistaken for the other:
//!
//! | where | joined by | type | without any condition |
//! |---|---|---|---|
//! | an operation: [`update`](Transaction::update), [`mutate`](Transaction::mutate), [`delete`](Transaction::delete), [`select`](Transaction::select), [`wait`](Transaction::wait) | and | [`AllOf`](model::AllOf) | every row |
//! | a replica: [`table_where`](CacheBuilder::table_where), [`set_condition`](Cache::set_condition) | or | [`AnyOf`](model::AnyOf) | no row |
//!
//! A single [`Condition`](model::Condition) converts into both. [`and`](model::Condition::and) and
//! [`or`](model::Condition::or) join two, and an iterator of conditions collects into either.
//!
//! # A part of a table
//!
//! A cache that replicates a part of a table saves memory, and the server sends only changes of these rows.
//! The condition can be changed while the cache runs:
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let schema = ovsdb::schema::bundled("OVN_Northbound").expect("a bundled schema");
//! # let server = ovsdb::server::Server::memory(schema)?;
//! # let client = ovsdb::nb::Client::builder().server(&server).connect().await?;
//! # let mut txn = client.transaction();
//! # let ports = ["p1", "p2"].map(|name| txn.insert(ovsdb::nb::LogicalSwitchPort { name: name.into(), ..Default::default() }));
//! # let router = txn.insert(ovsdb::nb::LogicalSwitchPort { name: "r1".into(), r#type: "router".into(), ..Default::default() });
//! # txn.insert(ovsdb::nb::LogicalSwitch { name: "sw0".into(), ports: ports.into_iter().chain([router]).collect(), ..Default::default() });
//! # txn.commit().await?;
//! use ovsdb::model::AnyOf;
//! use ovsdb::nb::LogicalSwitchPort as Port;
//!
//! let cache = client.cache().table_where::<Port>(Port::TYPE.eq("router")).start().await?;
//! assert_eq!(cache.snapshot().table::<Port>().len(), 1);
//!
//! // `set_condition` resolves when the replica has the rows of the new condition.
//! let names: AnyOf<Port> = ["p1", "p2"].map(|name| Port::NAME.eq(name)).into_iter().collect();
//! cache.set_condition(names.or(Port::TYPE.eq("router"))).await?;
//! assert_eq!(cache.snapshot().table::<Port>().len(), 3);
//! # Ok(()) }
//! ```
//!
//! - A row that begins to meet the condition is inserted in the replica, and one that no longer meets it is deleted. Streams report both
//!   as such.
//! - The condition survives reconnects. Without a connection, [`set_condition`](Cache::set_condition) waits for the next
//!   one.
//! - One change of conditions is in flight at a time. Those made meanwhile are sent together, only the last one of each table.
//! - On a server without conditional monitoring, starting the cache fails with [`Error::ConditionsNotSupported`].
//!
//! # What a condition cannot say
//!
//! OVSDB has no joins, no negation of a whole condition, no prefixes of strings and no order of strings. Select more rows, and filter in the
//! program: [`Changes::rows`](cache::Changes::rows) filters a stream, and [`AllOf::holds_for`](model::AllOf::holds_for)
//! evaluates a condition on a row.
//!
//! Next: [`writing`](super::writing).

#[cfg(doc)]
use crate::*;
