//! OVN-Kubernetes secondary networks, built in a northbound database.
//!
//! The program `multihoming` reads Kubernetes manifests and makes the database hold what
//! OVN-Kubernetes would have written for them. It is a program to learn from: `manifest`,
//! `config` and the modules below them know Kubernetes and nothing of databases.

pub mod addresses;
pub mod allocate;
pub mod config;
pub mod error;
pub mod manifest;
pub mod names;
pub mod network;
pub mod node;
pub mod subnets;
