//! Columns that the server omits, in compiled types with a different default.

use std::any::TypeId;

use ovsdb_schema::AtomicType;

use super::{Inventory, raw, schema, update, uuid};
use crate::cache::Handle;
use crate::cache::ReplicaMonitor;
use crate::cache::table::{ApplyErrorReason, TableReplica};
use crate::cache::table_type::TableType;
use crate::client::Cache;
use crate::protocol::MonitorVersion;
use crate::value::json::{DecodeError, DecodeErrorKind, Reader};
use crate::value::{Atom, Atomic, Str};

/// An atom with two values, neither of which is the empty string.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
enum Size {
    #[default]
    Small,
    Large,
}

impl Atomic for Size {
    const TYPE: AtomicType = AtomicType::String;

    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match &*reader.string()? {
            "small" => Ok(Self::Small),
            "large" => Ok(Self::Large),
            _ => reader.error(DecodeErrorKind::Expected("a size")),
        }
    }

    fn to_atom(&self) -> Atom {
        Atom::String(Str::from(match self {
            Self::Small => "small",
            Self::Large => "large",
        }))
    }
}

#[derive(Debug, Clone, PartialEq, ovsdb::Table)]
#[ovsdb(database = Inventory, table = "Item")]
struct Item {
    size: Size,
    count: i64,
}

impl Default for Item {
    fn default() -> Self {
        Self {
            size: Size::Large,
            count: 100,
        }
    }
}

const SCHEMA: &str = r#"{"name":"Inventory","version":"1.0.0","tables":{"Item":{"columns":{
    "size":{"type":"string"},"count":{"type":"integer"}}}}}"#;

fn started(version: MonitorVersion) -> (ReplicaMonitor, Cache<Inventory>) {
    let tables = vec![TableReplica::new(TableType::of::<Item>(), None)];
    let types = [Some(TypeId::of::<Item>())];
    let mut monitor = ReplicaMonitor::new(tables, &types, &schema(SCHEMA), None, version);
    monitor.start(raw("{}")).expect("a reply");
    let cache = Cache::of(Handle::detached(monitor.shared().clone()));
    (monitor, cache)
}

#[test]
fn an_omitted_column_has_the_default_of_the_server_and_not_of_the_struct() {
    for (version, method, kind) in [
        (MonitorVersion::Monitor, "update", "new"),
        (MonitorVersion::MonitorCond, "update2", "insert"),
    ] {
        let (mut monitor, cache) = started(version);
        let row = format!(
            r#"[1,{{"Item":{{"{}":{{"{kind}":{{"size":"large"}}}}}}}}]"#,
            uuid(1)
        );
        update(&mut monitor, method, &row).expect("an update");
        let view = cache.snapshot();
        let counts: Vec<i64> = view.rows::<Item>().map(|row| row.count).collect();
        assert_eq!(counts, [0]);
    }
}

#[test]
fn a_row_is_refused_where_the_compiled_type_has_no_value_for_the_default() {
    let (mut monitor, cache) = started(MonitorVersion::MonitorCond);
    let row = format!(
        r#"[1,{{"Item":{{"{}":{{"insert":{{"count":1}}}}}}}}]"#,
        uuid(1)
    );
    let error = update(&mut monitor, "update2", &row).expect_err("no size");
    assert_eq!(error.column.as_deref(), Some("size"));
    assert!(matches!(error.reason, ApplyErrorReason::Decode(_)));
    assert_eq!(cache.snapshot().rows::<Item>().len(), 0);
    // A change omits the columns that stay the same.
    let row = format!(
        r#"[1,{{"Item":{{"{}":{{"insert":{{"size":"small"}}}}}}}}]"#,
        uuid(1)
    );
    update(&mut monitor, "update2", &row).expect("an update");
    let row = format!(
        r#"[1,{{"Item":{{"{}":{{"modify":{{"count":1}}}}}}}}]"#,
        uuid(1)
    );
    update(&mut monitor, "update2", &row).expect("an update");
    let view = cache.snapshot();
    let row = view.rows::<Item>().next().expect("the row");
    assert_eq!((row.size, row.count), (Size::Small, 1));
}
