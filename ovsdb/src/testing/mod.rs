//! Private servers, for tests of this library and of programs that use it; [`Replay`], a replica
//! that is fed from memory; and [`SnapshotBuilder`], which makes a snapshot of typed rows. A transaction
//! for unit tests is made by [`Transaction::detached`](crate::Transaction::detached).
//!
//! A [`Server`] is one ovsdb-server, a [`Cluster`] several; a [`Proxy`] stands between them and a
//! client and does to connections what networks do. A [`Dump`] says whether a replica is what a
//! server holds.
//!
//! A server has a folder and a socket of its own, and is gone, with all it made, when it is
//! dropped or the process ends. It needs the programs `ovsdb-server` and `ovsdb-tool` (Debian: `openvswitch-common`
//! and `openvswitch-switch`); without them starting it is an error, which a test must not skip.
//!
//! The same tests run on the [server of this library](crate::server), which needs no program and starts
//! faster: the environment variable `OVSDB_TEST_SERVER=embedded` says so, or
//! [`ServerBuilder::kind`].

mod cluster;
mod dump;
mod embedded;
mod kind;
mod programs;
mod proxy;
mod server;
mod watchdog;

pub use self::cluster::Cluster;
pub use self::dump::{Difference, Dump};
pub use self::kind::{ServerError, ServerKind, SslFiles};
pub use self::programs::{MissingProgram, program, schema_file};
pub use self::proxy::{Cut, Direction, Drip, Passed, Proxy};
pub use self::server::{Server, ServerBuilder};
pub use crate::cache::fixture::SnapshotBuilder;
pub use crate::cache::replay::{Replay, ReplayError};
