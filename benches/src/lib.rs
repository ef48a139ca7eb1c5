//! Code that the benchmarks share: a northbound database of any size with its initial reply, the compared
//! clients, a plain connection, and facts about processes.

mod client;
mod connection;
mod database;
mod figures;
pub mod process;

pub use client::Kind;
pub use connection::Connection;
pub use database::{Northbound, PORTS_PER_SWITCH, all_columns, fill, port_uuid};
pub use figures::{median, number};

/// The result of everything here. The program prints the error and ends.
pub type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;
