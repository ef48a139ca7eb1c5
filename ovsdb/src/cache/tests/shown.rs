//! The `Debug` and `Display` output of caches, streams and errors.

use std::time::Duration;

use super::*;
use crate::cache::{ApplyErrorReason, Freshness, Index, OrderedIndex, Skew, SkewReport, WorkQueue};
use crate::value::json::{DecodeError, DecodeErrorKind};

fn started() -> (ReplicaMonitor, Cache<Inventory>) {
    let mut monitor = monitor(MonitorVersion::MonitorCondSince);
    let rows = items(&[(1, initial("bolt", 5))]);
    monitor.start(raw(&since(false, 7, &rows))).expect("rows");
    let cache = cache(&monitor);
    (monitor, cache)
}

#[test]
fn streams_show_how_much_waits_and_batches_what_changed() {
    let (mut monitor, cache) = started();
    let (mut changes, mut all) = (cache.changes::<Item>(), cache.all_changes());
    apply(&mut monitor, 8, &[(1, modify(6))]);
    let shown = format!("{changes:?} {all:?}");
    let expected = r#"Changes { table: "Item", waiting: 2, .. } AllChanges { waiting: 2, .. }"#;
    assert_eq!(shown, expected);
    assert_eq!((changes.waiting(), all.waiting()), (2, 2));
    let batch = changes.try_next().expect("the start");
    let kind = format!("kind: {:?}", batch.kind());
    let shown = format!("{batch:?}");
    assert!(
        shown.starts_with("ChangeBatch { changes: [Inserted("),
        "{shown}"
    );
    assert!(
        shown.contains(r#"name: "bolt""#) && shown.contains(&kind),
        "{shown}"
    );
    let batch = all.try_next().expect("the start");
    let expected = format!(r#"DatabaseChanges {{ tables: ["Item"], {kind}, .. }}"#);
    assert_eq!(format!("{batch:?}"), expected);
    let expected = format!("Snapshot {{ last_txn_id: {} }}", uuid(7));
    assert_eq!(format!("{:?}", batch.snapshot()), expected);
}

#[test]
fn debug_output_of_queues_and_indexes_is_short() {
    let queue = WorkQueue::default();
    queue.add("a");
    queue.add("b");
    assert_eq!(format!("{queue:?}"), "WorkQueue { queued: 2, .. }");
    let hashed = Index::column(Item::NAME);
    let ordered = OrderedIndex::column(Item::COUNT);
    let shown = format!("{hashed:?} {ordered:?}");
    let expected = r#"Index { table: "Item", .. } OrderedIndex { table: "Item", .. }"#;
    assert_eq!(shown, expected);
}

#[test]
fn freshness_is_put_into_words() {
    let now = Instant::now();
    for (freshness, words) in [
        (Freshness::Current, "the cache follows the server"),
        (
            Freshness::StaleSince(now),
            "the cache does not follow the server now",
        ),
        (
            Freshness::RefusedSince(now + Duration::from_secs(1)),
            "the cache cannot follow the server",
        ),
        (
            Freshness::Ended,
            "the cache has ended: its client was closed or lost its runtime, or decoding a message panicked",
        ),
    ] {
        assert_eq!(freshness.to_string(), words);
    }
}

#[test]
fn each_difference_of_the_schema_is_put_into_words() {
    let (table, column) = (|| Str::from("T"), || Str::from("c"));
    let (compiled, server) = (|| "set of string".to_owned(), || "string".to_owned());
    let differences = [
        (Skew::MissingTable { table: table() }, "no table T", true),
        (
            Skew::MissingColumn {
                table: table(),
                column: column(),
            },
            "no column T.c",
            true,
        ),
        (
            Skew::OtherType {
                table: table(),
                column: column(),
                compiled: compiled(),
                server: server(),
            },
            "column T.c is string, not set of string",
            true,
        ),
        (
            Skew::Narrower {
                table: table(),
                column: column(),
                compiled: compiled(),
                server: server(),
            },
            "column T.c is string; set of string can hold each of its values",
            false,
        ),
        (
            Skew::Condition {
                table: table(),
                column: column(),
            },
            "no column T.c for the condition",
            true,
        ),
    ];
    for (difference, words, reads_default) in differences {
        assert_eq!(difference.to_string(), words);
        assert_eq!(difference.reads_default(), reads_default, "{words}");
        let report = SkewReport {
            differences: vec![difference],
            ..SkewReport::default()
        };
        assert!(!report.is_empty());
        assert_eq!(report.is_complete(), !reads_default, "{words}");
        let expected = format!("the server's schema ? differs from the request: {words}");
        assert_eq!(report.to_string(), expected);
    }
    let report = SkewReport::default();
    assert!(report.is_empty() && report.is_complete());
}

#[test]
fn an_update_that_does_not_fit_is_reported_with_its_place() {
    let error = |row, column: Option<&str>, reason| ApplyError {
        table: "T".into(),
        row,
        column: column.map(Str::from),
        reason,
    };
    let malformed = DecodeError::new(3, DecodeErrorKind::BadNumber);
    let outside = ApplyError {
        table: Str::default(),
        ..error(None, None, malformed.clone().into())
    };
    for (error, words) in [
        (
            outside,
            "outside any table: malformed number at byte 3".to_owned(),
        ),
        (
            error(None, None, ApplyErrorReason::UnknownTable),
            "table T: the update is for a table that was not requested".to_owned(),
        ),
        (
            error(Some(uuid(1)), None, ApplyErrorReason::UnknownRow),
            format!(
                "table T, row {}: the update changes or deletes a row that the replica does not have",
                uuid(1)
            ),
        ),
        (
            error(Some(uuid(1)), None, ApplyErrorReason::KnownRow),
            format!(
                "table T, row {}: the update inserts a row that the replica already has, or contains it twice",
                uuid(1)
            ),
        ),
        (
            error(Some(uuid(1)), Some("c"), malformed.into()),
            format!(
                "table T, row {}, column c: malformed number at byte 3",
                uuid(1)
            ),
        ),
    ] {
        assert_eq!(error.to_string(), words);
    }
}

#[cfg(feature = "testing")]
#[test]
fn debug_output_of_test_builders_names_their_tables() {
    use crate::AnyDatabase;
    use crate::cache::Tables;
    use crate::testing::{Replay, SnapshotBuilder};

    let replay = Replay::<AnyDatabase>::any_tables(&schema(SCHEMA));
    let expected = "ReplicaMonitor { tables: 2, version: MonitorCondSince, .. }";
    assert_eq!(format!("{replay:?}"), expected);
    let mut builder = SnapshotBuilder::<Inventory>::new();
    builder.insert(Part { label: "a".into() });
    let shown = format!("{builder:?}");
    assert!(shown.starts_with(r#"{"Part": "#), "{shown}");
    let mut tables = Tables::<Inventory>::default();
    tables.select::<Item>(None);
    let shown = format!("{tables:?}");
    assert!(shown.contains(r#"name: "Item""#), "{shown}");
}
