//! Private servers, for tests of this library and of programs that use it; [`Replay`], a replica that
//! is fed from memory; and [`SnapshotBuilder`], which makes a snapshot of typed rows.
//! [`Transaction::detached`](crate::Transaction::detached) makes transactions for unit tests.
//!
//! A [`Server`] is one ovsdb-server, a [`Cluster`] several. A [`Proxy`] between them and a client
//! disturbs connections as networks do. A [`Dump`] shows whether a replica equals the server's
//! contents.
//!
//! Each server has its own folder and socket. When it is dropped or the process ends, the server ends
//! and its files are removed. A real server needs the programs `ovsdb-server` and `ovsdb-tool` (Debian:
//! `openvswitch-common` and `openvswitch-switch`). Without them, starting it is an error; a test should
//! then fail, not be skipped.
//!
//! The same tests also run on the [server of this library](crate::server), which starts without these
//! programs, and faster. Select it by the environment variable `OVSDB_TEST_SERVER=embedded`, or by
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
