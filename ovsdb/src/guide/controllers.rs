//! Controllers: keeping objects in their desired state.
//!
//! A controller keeps rows as they should be, whatever happens to them. A [`Reconciler`] runs a controller. The program says which rows
//! concern which object, and the reconciler calls a closure with the object's key whenever one of these rows has changed. The closure
//! reads, writes what is missing, and need not know what the change was (level-triggered):
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
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
//!     .watch_index(&namespace) // a port concerns its namespace
//!     .watch::<PortGroup>(|group| group.name.clone()) // a group concerns the namespace of the same name
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
//! // A port appears, and its group follows.
//! let mut txn = client.transaction();
//! let external_ids = [("namespace", "web")].into();
//! let port = txn.insert(Port { name: "p1".into(), external_ids, ..Default::default() });
//! txn.insert(LogicalSwitch { name: "sw0".into(), ports: [port].into(), ..Default::default() });
//! txn.commit().await?;
//! let group = cache.wait_until(Duration::from_secs(30), |view| view.get_by(PortGroup::NAME, "web").cloned());
//! assert_eq!(group.await?.ports, [port].into());
//!
//! // For the liveness probe of a supervisor.
//! runner.health()?;
//! // Finishes the attempts that run, and starts no new ones.
//! runner.stop().await;
//! # Ok(()) }
//! ```
//!
//! - At the start the closure is called for every key, and again for a key after its last change.
//! - Only one worker works on a key at a time. Here up to eight keys are worked on concurrently.
//! - What the closure reads through the transaction is verified by the commit, as in [`deciding`](super::deciding). After a
//!   conflict the closure runs again, so several controllers may work on the same rows.
//! - A key that fails (the closure returns an error or panics, the server refuses the transaction) is retried with exponential backoff
//!   and jitter, or when it changes. Other keys go on.
//! - Without a current replica, keys are collected and nothing is decided.
//! - The closure may return any error (`?` converts it). It runs on a worker of the runtime and must not block.
//!
//! # A whole program
//!
//! A closure can also state which rows should exist: `desired.plan(view)?.write(txn)` writes the difference
//! ([`desired_state`](super::desired_state)). If the whole state is one object, the key is `()`. This controller keeps a load balancer
//! on each switch that has the key `web` in its `external_ids`:
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let schema = ovsdb::schema::bundled("OVN_Northbound").expect("a bundled schema");
//! # let server = ovsdb::server::Server::memory(schema)?;
//! # let client = ovsdb::nb::Client::builder().server(&server).connect().await?;
//! use ovsdb::cache::Index;
//! use ovsdb::nb::{self, Desired, LoadBalancer, LogicalSwitch as Switch};
//! use ovsdb::{Ref, Str};
//!
//! /// The rows that should exist. This function needs no server, so it is easy to test.
//! fn desired(view: &nb::Snapshot, by_name: &Index<LoadBalancer, Str>) -> Desired {
//!     let ours = |row: &LoadBalancer| row.external_ids.get("owner").is_some_and(|owner| owner == "lb-keeper");
//!     let existing: Vec<Ref<LoadBalancer>> =
//!         view.rows::<LoadBalancer>().filter(|row| ours(row)).map(|row| row.reference()).collect();
//!
//!     let mut desired = Desired::new();
//!     desired.owned::<LoadBalancer>(LoadBalancer::EXTERNAL_IDS.includes([("owner", "lb-keeper")]));
//!     let web = desired
//!         .row(by_name, "web")
//!         .set(LoadBalancer::VIPS, [("10.0.0.1:80", "10.1.0.2:80,10.1.0.3:80")])
//!         .part(LoadBalancer::EXTERNAL_IDS, [("owner", "lb-keeper")])
//!         .reference();
//!     for switch in view.rows::<Switch>() {
//!         // A switch that has lost the key loses our load balancers, and keeps those of others.
//!         let wanted = switch.external_ids.contains_key("web").then_some(web);
//!         let existing = existing.clone();
//!         let part_of = move |row: &Ref<LoadBalancer>| existing.contains(row);
//!         desired.row_where(switch.reference()).part_of(Switch::LOAD_BALANCER, part_of, wanted);
//!     }
//!     desired
//! }
//!
//! let by_name = Index::column(LoadBalancer::NAME);
//! let cache = client.cache().index(&by_name).table::<Switch>().start().await?;
//! let runner = nb::Reconciler::new(&client, &cache)
//!     .watch::<LoadBalancer>(|_| ())
//!     .watch::<Switch>(|_| ())
//!     .run(1, move |(), view, txn| {
//!         desired(view, &by_name).plan(view)?.write(txn);
//!         Ok(())
//!     });
//! // Keys come from rows. An empty database has none, so the first key is added here.
//! runner.add(());
//! # let mut txn = client.transaction();
//! # txn.insert(Switch { name: "sw0".into(), external_ids: [("web", "yes")].into(), ..Default::default() });
//! # txn.commit().await?;
//! # cache.wait_until(None, |view| view.rows::<Switch>().find(|row| row.load_balancer.len() == 1).cloned()).await?;
//!
//! // A program awaits a signal here, such as `tokio::signal::ctrl_c()`, or the end of the controller.
//! let signal = std::future::ready(());
//! tokio::select! {
//!     () = signal => {}
//!     ended = runner.ended() => return Err(ended.to_string().into()),
//! }
//! runner.stop().await;
//! client.close().await;
//! # Ok(()) }
//! ```
//!
//! The program runs until it is stopped. While the server is down or restarts, keys are collected; on the next connection the closure
//! sees the current rows. [`wait_for_server`](ClientBuilder::wait_for_server) lets the program start before its server, and
//! [`testing`](super::testing) shows how to test such a program.
//!
//! # Settings
//!
//! | method | default | |
//! |---|---|---|
//! | [`backoff`](Reconciler::backoff) | 50 ms to 60 s | the wait after a failure, doubled each time |
//! | [`conflicts`](Reconciler::conflicts) | 10 tries, 5 ms to 1 s | how often a conflict is decided again before the key has failed |
//! | [`share_commits`](Reconciler::share_commits) | 1 | how many queued keys may share a transaction |
//! | [`stale_limit`](Reconciler::stale_limit) | 30 s | how long the replica may be stale before the runner is unhealthy |
//! | [`failing_limit`](Reconciler::failing_limit) | 60 s | how long a key may fail before the runner is unhealthy |
//!
//! [`watch_keys`](Reconciler::watch_keys) is for rows that concern several objects, [`Runner::add`] for keys that do not come
//! from rows, and [`queue`](Reconciler::queue) for the changes of another cache, also of another database.
//!
//! # Watching the controller
//!
//! | call | what it tells |
//! |---|---|
//! | [`Runner::health`] | whether the controller does its work; [`Unhealthy`](reconcile::Unhealthy) says why not |
//! | [`Runner::failing`] | the keys whose last attempt failed, and why |
//! | [`Runner::stats`] | the length of the queue, attempts, failures, conflicts, latency; the same as [metrics](stats) |
//! | [`Runner::ended`] | resolves when the controller has ended, with the reason |
//!
//! Next: [`connections`](super::connections).

#[cfg(doc)]
use crate::*;
