//! Desired state: say which rows should exist.
//!
//! A controller that owns rows fills a [`Desired`] with all of them. The library compares it with the database, and computes what to
//! insert, change and delete:
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
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
//!     // These rows are ours. Rows that do not meet the condition are never touched.
//!     desired.owned::<PortGroup>(PortGroup::EXTERNAL_IDS.includes([("owner", "me")]));
//!     for name in names {
//!         desired
//!             .row(PortGroup::NAME, *name) // found by its name, or inserted
//!             .part(PortGroup::EXTERNAL_IDS, [("owner", "me")]); // others may add keys
//!     }
//!     desired
//! };
//! client.converge(&cache, &desired(&["web", "db"])).await?;
//!
//! // `web` is no longer wanted, `cache` is new.
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
//!
//! // It is idempotent: the next plan is empty.
//! assert!(desired(&["db", "cache"]).plan(&cache.snapshot())?.is_empty());
//!
//! // A key that belongs to another owner is a conflict, which names the row.
//! let conflict = desired(&["theirs"]).plan(&cache.snapshot()).expect_err("it belongs to another owner");
//! println!("{conflict}");
//! # Ok(()) }
//! ```
//!
//! | call | what it does |
//! |---|---|
//! | [`Desired::plan`] | compares the wanted rows with a view; the [`Plan`](desired::Plan) can be shown as text or JSON |
//! | [`Plan::commit`](desired::Plan::commit) | commits the plan in one transaction, which fails if the rows have changed since |
//! | [`Client::converge`] | plans and commits until the plan is empty |
//! | [`Plan::write`](desired::Plan::write) | writes the changes into a transaction, such as that of a [`Reconciler`] |
//!
//! # Columns
//!
//! | call | the column |
//! |---|---|
//! | [`set`](desired::WantedRow::set) | holds this value and nothing else |
//! | [`part`](desired::WantedRow::part) | holds these elements or pairs, and others may add theirs |
//! | [`part_of`](desired::WantedRow::part_of) | the same, and elements for which a closure returns true are removed unless they are wanted |
//! | [`initial`](desired::WantedRow::initial) | begins with this value in a new row; later changes stay |
//! | not mentioned | stays as it is |
//!
//! # Rows that refer to each other
//!
//! [`reference`](desired::WantedRow::reference) gives a reference to a wanted row, whether it exists or has still to be
//! inserted. Use the reference in the columns of other wanted rows:
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let schema = ovsdb::schema::bundled("OVN_Northbound").expect("a bundled schema");
//! # let server = ovsdb::server::Server::memory(schema)?;
//! # let client = ovsdb::nb::Client::builder().server(&server).connect().await?;
//! use ovsdb::cache::Index;
//! use ovsdb::nb::{Desired, LogicalSwitch as Switch, LogicalSwitchPort as Port};
//!
//! let by_name = Index::column(Switch::NAME);
//! let cache = client.cache().index(&by_name).table::<Port>().start().await?;
//! let mut desired = Desired::new();
//! let port = desired.row(Port::NAME, "p1").set(Port::ADDRESSES, ["dynamic"]).reference();
//! desired.row(&by_name, "sw0").set(Switch::PORTS, [port]);
//! client.converge(&cache, &desired).await?;
//! assert_eq!(cache.snapshot().table::<Port>().len(), 1);
//! # Ok(()) }
//! ```
//!
//! # Rows that others insert
//!
//! A controller often adds its rows to a row that another program keeps, such as a load balancer to a switch. It wants that row by its
//! reference, and gives only its part of the column. [`row_where`](Desired::row_where) never inserts a row that is wanted by its
//! reference:
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let schema = ovsdb::schema::bundled("OVN_Northbound").expect("a bundled schema");
//! # let server = ovsdb::server::Server::memory(schema)?;
//! # let client = ovsdb::nb::Client::builder().server(&server).connect().await?;
//! use ovsdb::cache::Index;
//! use ovsdb::nb::{Desired, LoadBalancer, LogicalSwitch as Switch};
//!
//! let by_name = Index::column(LoadBalancer::NAME);
//! let cache = client.cache().index(&by_name).table::<Switch>().start().await?;
//! # let mut txn = client.transaction();
//! # txn.insert(Switch { name: "sw0".into(), ..Default::default() });
//! # txn.commit().await?;
//!
//! let view = cache.snapshot();
//! let mut desired = Desired::new();
//! let web = desired.row(&by_name, "web").set(LoadBalancer::VIPS, [("10.0.0.1:80", "10.1.0.2:80")]).reference();
//! for switch in view.rows::<Switch>() {
//!     desired.row_where(switch.reference()).part(Switch::LOAD_BALANCER, [web]);
//! }
//! client.converge(&cache, &desired).await?;
//! # assert!(cache.snapshot().rows::<Switch>().all(|switch| switch.load_balancer.len() == 1));
//! # Ok(()) }
//! ```
//!
//! If such a row was deleted after the view was taken, the plan fails with [`NoSuchRow`](desired::Conflict::NoSuchRow): fill the
//! [`Desired`] again from a newer view. A [`Reconciler`] does so by itself. [`controllers`](super::controllers) has such a program in full.
//!
//! # Large plans
//!
//! [`Desired::begin`] starts a step. [`Plan::into_steps`](desired::Plan::into_steps) splits the plan into its steps, each of which
//! is committed in a transaction of its own. So filling the database of a large network need not be one large transaction.
//!
//! The module [`desired`] says exactly what a plan touches, and [`Conflict`](desired::Conflict) lists why a plan may be impossible.
//!
//! Next: [`following`](super::following).

#[cfg(doc)]
use crate::*;
