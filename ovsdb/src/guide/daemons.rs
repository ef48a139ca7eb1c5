//! Waiting until the network does what the database says: ovn-northd, chassis and ovs-vswitchd.
//!
//! A commit changes a database. Daemons change the network afterwards. The functions below wait for them:
//!
//! | function | waits until | like |
//! |---|---|---|
//! | [`nb::realized`] with [`Stage::Northd`](nb::Stage::Northd) | ovn-northd has written the southbound database | `ovn-nbctl --wait=sb` |
//! | [`nb::realized`] with [`Stage::Hypervisors`](nb::Stage::Hypervisors) | ovn-northd has, and the ovn-controller of each chassis has installed its flows | `ovn-nbctl --wait=hv` |
//! | [`vswitch::configured`] | ovs-vswitchd has applied the configuration | `ovs-vsctl` without `--no-wait` |
//!
//! They wait for everything that any client has committed before the call. The database has a sequence number for this, which the client
//! increases and the daemon copies when it is done.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
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
//! // One port: its interface is on a chassis, and its flows are installed there.
//! cache.wait_until(limit, |view| view.get_by(Port::NAME, "p1")?.up.filter(|up| *up)).await?;
//! # Ok(()) }
//! ```
//!
//! After the time limit, [`ProgressError`](progress::ProgressError) names the daemon that is late. With a client of the southbound
//! database, [`southbound`](nb::Realize::southbound) makes the error name the chassis as well. Calls that wait at the same
//! time, with clones of one client, share one request.
//!
//! For one object, [`Cache::wait_until`] waits for the column in which a daemon reports its state, such as `up` of the port above. The
//! same on a switch:
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
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
//! let number = cache.wait_until(limit, |view| view.get_by(Interface::NAME, "veth0")?.ofport).await?;
//! assert_eq!(number, 5);
//! # Ok(()) }
//! ```
//!
//! Next: [`testing`](super::testing).

#[cfg(doc)]
use crate::*;
