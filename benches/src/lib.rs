//! What the benchmarks share: a northbound database of any size, and its initial reply as a
//! client receives it.

mod client;
mod connection;
mod database;
mod figures;
pub mod process;

pub use client::Kind;
pub use connection::Connection;
pub use database::{Northbound, PORTS_PER_SWITCH, all_columns, fill, port_uuid};
pub use figures::{median, number};

/// The result of everything here. The error is only printed.
pub type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;
