//! Tests of the replica without a server: messages are passed to the monitor as text.

mod copies;
mod defaults;
#[cfg(feature = "testing")]
mod found;
mod malformed;
mod named;
mod resume;
mod shown;
mod streams;
mod work;

use std::any::TypeId;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use ovsdb_schema::DatabaseSchema;

use super::changes::{Change, ChangeBatch};
use super::handle::Handle;
use super::table::TableReplica;
use super::table_type::TableType;
use super::{ApplyError, ReplicaMonitor};
use crate::client::Cache;
use crate::model::{Row, Table};
use crate::protocol::{MonitorRequests, MonitorVersion, Request, UpdateHeader};
use crate::value::json::Raw;
use crate::value::{Set, Str, Uuid};

/// A database of two small tables.
#[derive(Debug)]
struct Inventory;

impl ovsdb::Database for Inventory {
    const NAME: &'static str = "Inventory";
    const VERSION: Option<&'static str> = Some("1.0.0");
}

#[derive(Debug, Clone, PartialEq, Default, ovsdb::Table)]
#[ovsdb(database = Inventory, table = "Item")]
struct Item {
    name: Str,
    count: i64,
    tags: Set<Str>,
}

#[derive(Debug, Clone, PartialEq, Default, ovsdb::Table)]
#[ovsdb(database = Inventory, table = "Part")]
struct Part {
    label: Str,
}

const SCHEMA: &str = r#"{"name":"Inventory","version":"1.0.0","tables":{
    "Item":{"columns":{"name":{"type":"string"},"count":{"type":"integer"},
        "tags":{"type":{"key":"string","min":0,"max":"unlimited"}}}},
    "Part":{"columns":{"label":{"type":"string"}}}}}"#;

fn schema(text: &str) -> DatabaseSchema {
    DatabaseSchema::parse(text).expect("a schema")
}

fn monitor(version: MonitorVersion) -> ReplicaMonitor {
    let tables = vec![
        TableReplica::new(TableType::of::<Item>(), None),
        TableReplica::new(TableType::of::<Part>(), None),
    ];
    let types = [TypeId::of::<Item>(), TypeId::of::<Part>()].map(Some);
    ReplicaMonitor::new(tables, &types, &schema(SCHEMA), Some("1.0.0"), version)
}

fn cache(monitor: &ReplicaMonitor) -> Cache<Inventory> {
    Cache::of(Handle::detached(monitor.shared().clone()))
}

fn raw(text: &str) -> Raw<'_> {
    Raw { text, offset: 0 }
}

fn uuid(number: usize) -> Uuid {
    Uuid::from_u128(0x1000_0000_0000_4000_8000_0000_0000_0000 + number as u128)
}

/// Updates of the table `Item`: the number of each row, and the JSON of its change.
fn items(changes: &[(usize, String)]) -> String {
    let rows = changes
        .iter()
        .map(|(number, change)| format!(r#""{}":{{{change}}}"#, uuid(*number)));
    format!(r#"{{"Item":{{{}}}}}"#, rows.collect::<Vec<_>>().join(","))
}

fn initial(name: &str, count: i64) -> String {
    format!(r#""initial":{{"name":"{name}","count":{count}}}"#)
}

fn insert(name: &str, count: i64) -> String {
    format!(r#""insert":{{"name":"{name}","count":{count}}}"#)
}

fn modify(count: i64) -> String {
    format!(r#""modify":{{"count":{count}}}"#)
}

fn delete() -> String {
    r#""delete":null"#.to_owned()
}

/// The reply to `monitor_cond_since`.
fn since(found: bool, last: usize, updates: &str) -> String {
    format!(r#"[{found},"{}",{updates}]"#, uuid(last))
}

/// The parameters of `update3`.
fn update3(last: usize, updates: &str) -> String {
    format!(r#"[1,"{}",{updates}]"#, uuid(last))
}

/// Applies an `update3` about items.
fn apply(monitor: &mut ReplicaMonitor, last: usize, changes: &[(usize, String)]) {
    let params = update3(last, &items(changes));
    update(monitor, "update3", &params).expect("an update");
}

/// Applies an update with these parameters.
fn update(monitor: &mut ReplicaMonitor, method: &str, params: &str) -> Result<(), ApplyError> {
    let header = UpdateHeader::parse(method, raw(params)).expect("a header");
    let header = header.expect("an update");
    let now = Instant::now();
    monitor.update(header.version, header.last_txn_id, header.updates, now)
}

/// The monitor's request, and the transaction to resume from.
fn asked(monitor: &ReplicaMonitor) -> (MonitorRequests, Uuid) {
    match monitor.request("Inventory", 1) {
        Request::MonitorCondSince {
            requests,
            last_txn_id,
            ..
        } => (requests, last_txn_id),
        other => panic!("not resumable: {other:?}"),
    }
}

/// The table that the batches of a stream add up to. Each batch must fit the ones before.
#[derive(Default)]
struct Folded<T>(BTreeMap<Uuid, Arc<Row<T>>>);

impl<T: Table> Folded<T> {
    fn take<'a>(&mut self, batch: impl IntoIterator<Item = &'a Change<T>>) {
        let mut seen = BTreeSet::new();
        for change in batch {
            assert!(seen.insert(change.uuid()), "a batch has each row once");
            let replaced = match change {
                Change::Deleted(old) => self.0.remove(&old.uuid()),
                other => self.0.insert(other.uuid(), other.row().clone()),
            };
            let known = replaced.as_ref().map(Arc::as_ptr);
            assert_eq!(known, change.before().map(Arc::as_ptr), "the old row");
        }
    }

    /// Whether this is the table, with the very same rows.
    fn is(&self, cache: &Cache<T::Database>) -> bool {
        let view = cache.snapshot();
        let table = view.rows::<T>();
        table.len() == self.0.len()
            && table.into_iter().all(|row| {
                self.0
                    .get(&row.uuid())
                    .is_some_and(|ours| std::ptr::eq(&**ours, row))
            })
    }
}
