//! OVN-Kubernetes secondary networks, built in a northbound database.
//!
//! The program `multihoming` reads Kubernetes manifests, and writes into the database what
//! OVN-Kubernetes would have written for them. It is a program to learn from: of the modules in the
//! first item below, only `policy` uses the library `ovsdb`.
//!
//! From input to rows:
//! - `manifest` reads objects, `config` and `network` the networks they describe, `selection`,
//!   `grant` and `policy` the rest, by means of `json` and `field`; `cluster` puts it all together,
//!   and its `report` says what is left out;
//! - `assign` assigns subnets to nodes and addresses to pods, by the rules in `allocate`;
//! - `topology` says which rows must exist, with one module for each topology, and `remove` which
//!   must not; the library's [`Desired`](ovsdb::nb::Desired) finds the differences;
//! - `apply` commits them once, `controller` does so again after every change, and `watch` tells it
//!   which files change;
//! - `show` draws the rows as a picture, `status` writes the annotations that a cluster would get.

pub mod addresses;
pub mod allocate;
pub mod apply;
pub mod assign;
pub mod cluster;
pub mod config;
pub mod connection;
pub mod controller;
pub mod database;
pub mod error;
pub mod field;
pub mod grant;
pub mod ids;
pub mod json;
pub mod manifest;
pub mod names;
pub mod network;
pub mod node;
pub mod policy;
pub mod ranges;
pub mod remove;
pub mod report;
pub mod selection;
pub mod show;
pub mod status;
pub mod subnets;
pub mod topology;
pub mod watch;
