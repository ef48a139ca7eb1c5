//! Writing: transactions, their outcomes, and retries.
//!
//! There are four ways to write. Choose by what you have:
//!
//! | you have | use | chapter |
//! |---|---|---|
//! | operations of the protocol | [`Client::transaction`] | this one |
//! | a decision that depends on what the database holds | [`Client::apply`], [`Client::edit`] | [`deciding`](super::deciding) |
//! | the rows that should exist | [`Desired`], [`Client::converge`] | [`desired_state`](super::desired_state) |
//! | objects that must be kept in their desired state for months | [`Reconciler`] | [`controllers`](super::controllers) |
//!
//! # Operations
//!
//! A transaction is built without the server and sent as a whole by [`commit`](Transaction::commit). The server carries out its
//! operations in order, all or none:
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let schema = ovsdb::schema::bundled("OVN_Northbound").expect("a bundled schema");
//! # let server = ovsdb::server::Server::memory(schema)?;
//! # let client = ovsdb::nb::Client::builder().server(&server).connect().await?;
//! use ovsdb::nb::{LogicalSwitch as Switch, LogicalSwitchPort as Port};
//!
//! let mut txn = client.transaction();
//! let port = txn.insert(Port { name: "p1".into(), ..Default::default() });
//! let switch = txn.insert(Switch { name: "sw0".into(), ports: [port].into(), ..Default::default() });
//! txn.comment("pod web-1");
//! let outcome = txn.commit().await?;
//! assert_eq!(outcome.inserted(switch), Some(switch)); // the reference stays valid
//!
//! let mut txn = client.transaction();
//! // Sets whole columns of all rows that meet the condition.
//! let updated = txn.update(Port::NAME.eq("p1")).set(Port::ENABLED, Some(false)).index();
//! // Changes a part of a set or a map, and leaves the rest to others.
//! txn.mutate(switch).set_keys(Switch::EXTERNAL_IDS, [("owner", "me")]);
//! let switches = txn.select(Switch::EXTERNAL_IDS.includes([("owner", "me")]));
//! let outcome = txn.commit().await?;
//! assert_eq!(outcome.count(updated), 1);
//! assert_eq!(outcome.rows(&switches)?[0].name, "sw0");
//! # Ok(()) }
//! ```
//!
//! | operation | what it does |
//! |---|---|
//! | [`insert`](Transaction::insert) | adds a row, with a uuid that the client chooses |
//! | [`update`](Transaction::update) | sets whole columns |
//! | [`mutate`](Transaction::mutate) | [inserts](transaction::Mutate::insert) and [deletes](transaction::Mutate::delete) elements of sets and maps, [sets keys](transaction::Mutate::set_keys), [adds](transaction::Mutate::add) to numbers |
//! | [`delete`](Transaction::delete) | deletes rows |
//! | [`select`](Transaction::select) | reads rows from the server instead of the replica |
//! | [`wait`](Transaction::wait), [`verify`](Transaction::verify) | fails the transaction unless rows are as expected |
//! | [`assert_lock`](Transaction::assert_lock) | fails the transaction unless this client holds a lock |
//! | [`comment`](Transaction::comment) | writes a remark into the history of the database |
//! | [`durable`](Transaction::durable) | delays the reply until the transaction is on disk |
//! | [`abort`](Transaction::abort) | fails the transaction after the operations before it were tried: as the last operation, a dry run |
//!
//! A row of a table that the schema does not mark as root (`isRoot`) exists only as long as another row has a strong reference to it;
//! after that the server deletes it (garbage collection). A transaction that inserts such a row without a reference to it is not sent,
//! and the error [`BuildError::Unreferenced`](transaction::BuildError::Unreferenced) names the operation.
//!
//! # Outcomes
//!
//! A commit has three outcomes:
//!
//! | outcome | value | what is known |
//! |---|---|---|
//! | committed | `Ok(`[`Outcome`]`)` | The change is made, and every current cache of this client shows it. |
//! | not committed | [`CommitError::Build`], [`NotSent`](CommitError::NotSent), [`Refused`](CommitError::Refused) | Nothing has changed. |
//! | unknown | [`CommitError::Unknown`], [`Answer`](CommitError::Answer), [`Refused`](CommitError::Refused) with certain errors of a cluster | Between the request and its result, the connection was lost, the time limit passed, the leader changed, or the client was closed or its runtime shut down; or the reply is malformed. |
//!
//! [`CommitError::nothing_changed`] tells the last two apart.
//!
//! The third cannot be avoided: a reply can be lost after the server has committed. The library never reports it as a success or as a
//! failure. [`commit_once`](Transaction::commit_once) settles it: it sends the transaction again, with a guard that fails if a row that
//! the transaction inserts exists already. So the transaction must insert a row. [`Client::apply`] settles an unknown outcome by deciding
//! again. Where that could make the change twice, the outcome stays unknown.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let schema = ovsdb::schema::bundled("OVN_Northbound").expect("a bundled schema");
//! # let server = ovsdb::server::Server::memory(schema)?;
//! # let client = ovsdb::nb::Client::builder().server(&server).connect().await?;
//! use ovsdb::nb::LogicalSwitch as Switch;
//! use ovsdb::server::TransactionFault;
//!
//! // The server commits the next transaction, and the connection breaks before the reply.
//! server.faults().next_transaction("OVN_Northbound", TransactionFault::DisconnectAfter)?;
//! let mut txn = client.transaction();
//! txn.insert(Switch { name: "sw0".into(), ..Default::default() });
//! txn.commit_once().await?;
//!
//! let cache = client.cache().table::<Switch>().start().await?;
//! assert_eq!(cache.snapshot().table::<Switch>().len(), 1); // once, not twice
//! # Ok(()) }
//! ```
//!
//! A [`Refusal`](transaction::Refusal) names the operation that failed, its table, and the server's error
//! ([`ErrorKind`](protocol::ErrorKind)). For a duplicate in an index, [`duplicate`](transaction::Refusal::duplicate) returns both
//! rows.
//!
//! # Retries
//!
//! [`CommitError::retry`] decides whether another attempt can succeed:
//!
//! | answer | when | what to do |
//! |---|---|---|
//! | [`Again`](Retry::Again) | a guard failed, a row with the same key exists by now, a row that is referred to no longer exists, the leader changed | read again, decide again, commit again |
//! | [`Unknown`](Retry::Unknown) | the connection was lost after the request, or a cluster lost its leader during the commit | settle it as above |
//! | [`Never`](Retry::Never) | a mistake in the transaction, a value that the schema forbids, the time limit passed | report it |
//!
//! [`Retry`] lists every error. [`Client::apply`], [`Client::converge`] and [`Reconciler`] follow this rule by themselves, with
//! the waits of a [`RetryPolicy`] (exponential backoff with jitter).
//!
//! # Time limits and cancellation
//!
//! A commit waits for a connection if there is none, within the client's
//! [`request_timeout`](ClientBuilder::request_timeout) or the transaction's own [`timeout`](Transaction::timeout). If the commit's
//! future is dropped, a transaction that still waits is not sent. Otherwise the client asks the server to cancel it, but the server may
//! have committed it by then. At most [`max_in_flight`](ClientBuilder::max_in_flight) requests await their replies;
//! further ones queue (back-pressure).
//!
//! # Locks and authors
//!
//! [`Client::lock`] requests a lock of the server, and [`assert_lock`](Transaction::assert_lock) makes a transaction depend on it. The members of a
//! cluster do not share their locks, so use them with [`leader_only`](ClientBuilder::leader_only). [`ClientBuilder::author`] adds the program's name
//! to each transaction in the history of the database, where `ovsdb-tool show-log` shows it.
//!
//! Next: [`deciding`](super::deciding).

#[cfg(doc)]
use crate::*;
