//! OVN-Kubernetes secondary networks, built in a northbound database.
//!
//! The program `multihoming` reads Kubernetes manifests and makes the database hold what
//! OVN-Kubernetes would have written for them. It is a program to learn from: `manifest`,
//! `config` and the modules below them know Kubernetes and nothing of databases.

pub mod addresses;
pub mod allocate;
pub mod apply;
pub mod assign;
pub mod cluster;
pub mod config;
pub mod database;
pub mod error;
pub mod grant;
pub mod ids;
pub mod manifest;
pub mod names;
pub mod network;
pub mod node;
pub mod plan;
pub mod policy;
pub mod remove;
pub mod selection;
pub mod show;
pub mod status;
pub mod subnets;
pub mod topology;
