//! The guide: this library in chapters that take an hour together.
//!
//! Read the first four, then what you need. Every example is tested, and needs no other program: if it needs a server, it starts one
//! in its own process. Where an example uses `client`, `server` or `cache` without making it, hidden lines make it as
//! [`first_program`] does.
//!
//! | chapter | what it teaches |
//! |---|---|
//! | [`first_program`] | connect, replicate, write, read |
//! | [`tables`] | how a schema becomes Rust types; columns as constants |
//! | [`reading`] | snapshots, indexes, references |
//! | [`conditions`] | selecting rows on the server |
//! | [`writing`] | transactions, their three outcomes, retries |
//! | [`deciding`] | transactions that verify what they are based on |
//! | [`desired_state`] | say which rows should exist, and look at the plan |
//! | [`following`] | streams of changes, work queues |
//! | [`controllers`] | objects that are kept in their desired state for months |
//! | [`connections`] | reconnects, staleness, time limits |
//! | [`clusters`] | clusters, relays, TLS |
//! | [`schema_skew`] | servers with older and newer schemas, upgrades |
//! | [`daemons`] | waiting until the network does what the database says |
//! | [`testing`] | the embedded server, faults, tests without a server |
//! | [`performance`] | memory and speed: figures, and what they depend on |
//! | [`any_tables`] | tables that are known at run time only |
//!
//! Coming from another client, API by API:
//!
//! | chapter | the other client |
//! |---|---|
//! | [`from_go`] | libovsdb, of Go |
//! | [`from_ovn_kubernetes`] | OVN-Kubernetes' package `libovsdb/ops` |
//! | [`from_c`] | the C IDL, `ovsdb-idl.h` |
//! | [`from_python`] | Python's `ovs.db.idl` |
//!
//! The modules of this guide contain documentation only.

#![cfg_attr(
    not(all(
        feature = "derive",
        feature = "metrics",
        feature = "nb",
        feature = "sb",
        feature = "serde",
        feature = "server",
        feature = "testing",
        feature = "tls",
        feature = "vswitch",
    )),
    allow(
        rustdoc::broken_intra_doc_links,
        reason = "chapters link to items of other features"
    )
)]

pub mod any_tables;
pub mod clusters;
pub mod conditions;
pub mod connections;
pub mod controllers;
pub mod daemons;
pub mod deciding;
pub mod desired_state;
pub mod first_program;
pub mod following;
pub mod from_c;
pub mod from_go;
pub mod from_ovn_kubernetes;
pub mod from_python;
pub mod performance;
pub mod reading;
pub mod schema_skew;
pub mod tables;
pub mod testing;
pub mod writing;
