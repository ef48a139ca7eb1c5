//! Private, real ovsdb-server instances, for tests of this library and of programs that use it;
//! and [`Replay`], a replica that is fed from memory.
//!
//! A [`Server`] has a folder and a socket of its own, and is gone, with all it made, when it is
//! dropped. It needs the programs `ovsdb-server` and `ovsdb-tool` (Debian: `openvswitch-common`
//! and `openvswitch-switch`); without them starting it is an error, which a test must not skip.

mod programs;
mod server;

pub use self::programs::{MissingProgram, program};
pub use self::server::{Server, ServerBuilder, ServerError, SslFiles};
pub use crate::cache::replay::{Replay, ReplayError};
