//! Tables known at run time only, whose columns follow the server's schema.

use super::*;
use crate::cache::any::{AnyChange, AnyRow};
use crate::value::{Datum, Str};

fn named() -> (ReplicaMonitor, Cache<Inventory>) {
    let tables = vec![TableReplica::named(Str::from("Item"))];
    let version = MonitorVersion::MonitorCondSince;
    let monitor = ReplicaMonitor::new(tables, &[None], &schema(SCHEMA), None, version);
    let cache = cache(&monitor);
    (monitor, cache)
}

fn get(row: &dyn AnyRow, column: &str) -> Option<Datum> {
    Some(row.get(column)?.to_datum())
}

#[test]
fn a_server_resumes_a_monitor_unless_its_columns_differ() {
    let (mut monitor, cache) = named();
    let dump = items(&[(1, initial("a", 1)), (2, initial("b", 2))]);
    monitor.start(raw(&since(false, 100, &dump))).expect("rows");
    apply(&mut monitor, 101, &[(1, modify(3))]);
    let before = cache.snapshot();
    let row = before.any_row("Item", uuid(1)).expect("a row");
    assert_eq!(get(&*row, "count"), Some(Datum::from(3)));
    assert_eq!(get(&*row, "tags"), Some(Datum::empty()));

    // The same schema: the server resumes, and a row that did not change is the same object.
    monitor.apply_schema(&schema(SCHEMA));
    assert_eq!(asked(&monitor).1, uuid(101));
    let delta = items(&[(1, delete())]);
    monitor.start(raw(&since(true, 102, &delta))).expect("rows");
    let kept = cache.snapshot().any_row("Item", uuid(2)).expect("a row");
    assert!(Arc::ptr_eq(
        &kept,
        &before.any_row("Item", uuid(2)).expect("a row")
    ));

    // The column can now hold several numbers: its name is the same, but rows hold something else.
    let several = r#""count":{"type":{"key":"integer","min":0,"max":9}}"#;
    let wider = SCHEMA.replace(r#""count":{"type":"integer"}"#, several);
    assert_ne!(wider, SCHEMA);
    let mut changes = cache.all_changes();
    assert!(changes.try_next().expect("the start").kind().is_start());
    monitor.apply_schema(&schema(&wider));
    assert!(cache.skew().is_empty());
    assert_eq!(asked(&monitor).1, Uuid::nil());
    let dump = items(&[(2, initial("b", 2))]);
    monitor.start(raw(&since(false, 103, &dump))).expect("rows");
    let batch = changes.try_next().expect("a batch");
    assert!(batch.kind().is_schema_change());
    apply(
        &mut monitor,
        104,
        &[(2, r#""modify":{"count":["set",[4,5]]}"#.to_owned())],
    );
    let row = cache.snapshot().any_row("Item", uuid(2)).expect("a row");
    assert_eq!(get(&*row, "count"), Some(Datum::set([2, 4, 5])));
    assert_eq!(get(&*kept, "count"), Some(Datum::from(2)));
}

#[test]
fn rows_with_versions_are_all_fetched_again() {
    let (mut monitor, _cache) = named();
    monitor.row_versions = true;
    monitor.apply_schema(&schema(SCHEMA));
    let version = Uuid::from_u128(7);
    let row = format!(r#""initial":{{"name":"a","_version":["uuid","{version}"]}}"#);
    let dump = items(&[(1, row)]);
    monitor.start(raw(&since(false, 100, &dump))).expect("rows");
    // Another server, or the same one after a restart, has other versions.
    monitor.apply_schema(&schema(SCHEMA));
    assert_eq!(asked(&monitor).1, Uuid::nil());
}

#[test]
fn all_rows_are_fetched_again_when_the_columns_of_several_tables_have_changed() {
    let tables = ["Item", "Part"].map(|name| TableReplica::named(Str::from(name)));
    let version = MonitorVersion::MonitorCondSince;
    let types = [None, None];
    let mut monitor = ReplicaMonitor::new(tables.into(), &types, &schema(SCHEMA), None, version);
    monitor.start(raw(&since(false, 100, "{}"))).expect("rows");
    assert_eq!(asked(&monitor).1, uuid(100));
    let renamed = SCHEMA.replace(r#""name":{"#, r#""title":{"#);
    let renamed = renamed.replace(r#""label":{"#, r#""text":{"#);
    let mut changes = cache(&monitor).all_changes();
    assert!(changes.try_next().expect("the start").kind().is_start());
    monitor.apply_schema(&schema(&renamed));
    assert_eq!(asked(&monitor).1, Uuid::nil());
    monitor.start(raw(&since(false, 101, "{}"))).expect("rows");
    let batch = changes.try_next().expect("a batch");
    assert!(batch.kind().is_schema_change());
}

#[test]
fn a_batch_has_the_rows_of_a_table_that_the_schema_did_not_have_before() {
    let (mut monitor, cache) = named();
    monitor.all_tables = true;
    let without = r#"{"name":"Inventory","version":"1.0.0","tables":{
        "Item":{"columns":{"name":{"type":"string"}}}}}"#;
    monitor.apply_schema(&schema(without));
    monitor.start(raw(&since(false, 100, "{}"))).expect("rows");
    let mut changes = cache.all_changes();
    assert!(changes.try_next().expect("the start").kind().is_start());

    monitor.apply_schema(&schema(SCHEMA));
    let part = format!(
        r#"{{"Part":{{"{}":{{"initial":{{"label":"l"}}}}}}}}"#,
        uuid(1)
    );
    monitor.start(raw(&since(false, 101, &part))).expect("rows");
    let batch = changes.try_next().expect("a batch");
    assert!(batch.kind().is_schema_change());
    assert_eq!(batch.tables().collect::<Vec<_>>(), ["Part"]);
    let rows: Vec<_> = batch
        .all()
        .iter()
        .map(|change| change.row().uuid())
        .collect();
    assert_eq!(rows, [uuid(1)]);

    // A new table without rows has no changes.
    let more = SCHEMA.replace(
        r#""Part""#,
        r#""Box":{"columns":{"label":{"type":"string"}}},"Part""#,
    );
    monitor.apply_schema(&schema(&more));
    monitor.start(raw(&since(false, 102, &part))).expect("rows");
    let batch = changes.try_next().expect("a batch");
    assert!(batch.kind().is_schema_change());
    assert_eq!(batch.tables().count(), 0);
}

#[test]
fn a_value_of_another_type_is_not_applied() {
    let (mut monitor, cache) = named();
    monitor.start(raw(&since(false, 100, "{}"))).expect("rows");
    for wrong in [
        r#""insert":{"count":"1"}"#,
        r#""insert":{"name":["set",["a","b"]]}"#,
        r#""insert":{"tags":["map",[]]}"#,
        r#""insert":{"other":1}"#,
    ] {
        let params = update3(101, &items(&[(1, wrong.to_owned())]));
        let error = update(&mut monitor, "update3", &params).expect_err(wrong);
        assert_eq!((&*error.table, error.row), ("Item", Some(uuid(1))));
        assert!(cache.snapshot().is_empty());
    }
}

#[test]
fn columns_are_found_by_their_names_and_numbers() {
    let (mut monitor, cache) = named();
    let dump = items(&[(1, initial("a", 1))]);
    monitor.start(raw(&since(false, 100, &dump))).expect("rows");
    let row = cache.snapshot().any_row("Item", uuid(1)).expect("a row");
    let compiled = Row::new(uuid(1), Item::default());
    for row in [&*row, &compiled as &dyn AnyRow] {
        let columns = row.columns();
        assert_eq!((columns.len(), columns.names().len()), (3, 3));
        assert_eq!(row.to_columns().len(), 3);
        assert!(!columns.is_empty());
        let mut names: Vec<_> = columns.names().collect();
        names.sort_unstable();
        assert_eq!(names, ["count", "name", "tags"]);
        for (at, (name, kind)) in columns.iter().enumerate() {
            assert_eq!(columns.position(name), Some(at));
            assert_eq!(columns.get(at), Some((name, kind)));
            assert_eq!(kind.scalar, name != "tags", "{name}");
        }
        assert_eq!((columns.position("other"), columns.get(3)), (None, None));
        assert_eq!((row.table(), row.uuid()), ("Item", uuid(1)));
    }
}

#[test]
fn a_change_tells_what_was_and_what_is() {
    let (mut monitor, cache) = named();
    let dump = items(&[(1, initial("a", 1))]);
    monitor.start(raw(&since(false, 100, &dump))).expect("rows");
    let mut changes = cache.all_changes();
    let mut next = || changes.try_next().expect("a batch").all();
    let sides = |change: &AnyChange| {
        let count = |row: Option<&dyn AnyRow>| get(row?, "count");
        let mut columns: Vec<_> = change.columns().map(str::to_owned).collect();
        columns.sort();
        let of_row = get(change.row(), "count");
        (
            count(change.before()),
            count(change.after()),
            of_row,
            columns,
        )
    };
    let number = |count: i64| Some(Datum::from(count));
    let all = || ["count", "name", "tags"].map(str::to_owned).to_vec();
    let [inserted] = &next()[..] else {
        panic!("one row is in the start");
    };
    assert_eq!(sides(inserted), (None, number(1), number(1), all()));
    apply(&mut monitor, 101, &[(1, modify(2))]);
    let [modified] = &next()[..] else {
        panic!("one row was modified");
    };
    let changed = vec!["count".to_owned()];
    assert_eq!(sides(modified), (number(1), number(2), number(2), changed));
    apply(&mut monitor, 102, &[(1, delete())]);
    let [deleted] = &next()[..] else {
        panic!("one row was deleted");
    };
    assert_eq!(sides(deleted), (number(2), None, number(2), all()));
}
