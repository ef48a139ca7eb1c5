//! After a reconnect, streams deliver only what changed meanwhile.

use super::*;
use crate::cache::{Freshness, Skew};
use crate::protocol::Clause;

/// The counts before and after a batch, for each row.
fn counts(batch: &ChangeBatch<Item>) -> BTreeMap<Uuid, (Option<i64>, Option<i64>)> {
    let count = |row: Option<&Arc<Row<Item>>>| row.map(|row| row.count);
    batch
        .iter()
        .map(|change| {
            (
                change.uuid(),
                (count(change.before()), count(change.after())),
            )
        })
        .collect()
}

#[test]
fn a_server_that_resumes_a_monitor_sends_only_the_changes() {
    let mut monitor = monitor(MonitorVersion::MonitorCondSince);
    let cache = cache(&monitor);
    assert_eq!(asked(&monitor).1, Uuid::nil());
    assert!(!cache.is_current());
    let dump = items(&[(1, initial("a", 1)), (2, initial("b", 2))]);
    monitor.start(raw(&since(false, 100, &dump))).expect("rows");
    assert!(cache.is_current() && cache.staleness().is_none());
    let mut changes = cache.changes::<Item>();
    let mut folded = Folded::default();
    folded.take(&changes.try_next().expect("the start"));

    apply(&mut monitor, 101, &[(3, insert("c", 3))]);
    folded.take(&changes.try_next().expect("a batch"));
    monitor.shared().set_stale(0, Instant::now());
    assert!(matches!(cache.freshness().get(), Freshness::StaleSince(_)));
    assert_eq!(
        cache.snapshot().rows::<Item>().len(),
        3,
        "readable meanwhile"
    );

    // The same request resumes after the last transaction.
    monitor.apply_schema(&schema(SCHEMA));
    assert_eq!(asked(&monitor).1, uuid(101));
    let delta = items(&[(1, delete()), (2, modify(7)), (4, insert("d", 4))]);
    monitor.start(raw(&since(true, 105, &delta))).expect("rows");
    let batch = changes.try_next().expect("a batch");
    let expected = [
        (uuid(1), (Some(1), None)),
        (uuid(2), (Some(2), Some(7))),
        (uuid(4), (None, Some(4))),
    ];
    assert_eq!(counts(&batch), expected.into());
    assert!(batch.kind().is_resync() && !batch.kind().is_coalesced());
    folded.take(&batch);
    assert!(folded.is(&cache) && changes.try_next().is_none());
    assert_eq!(asked(&monitor).1, uuid(105));
    assert!(cache.is_current());
}

#[test]
fn all_rows_of_a_server_that_cannot_resume_are_compared() {
    for version in [
        MonitorVersion::Monitor,
        MonitorVersion::MonitorCond,
        MonitorVersion::MonitorCondSince,
    ] {
        let mut monitor = monitor(version);
        let cache = cache(&monitor);
        let dump = |rows: &[(usize, &str, i64)]| match version {
            MonitorVersion::Monitor => {
                let new = |name, count| format!(r#""new":{{"name":"{name}","count":{count}}}"#);
                let rows = rows.iter().map(|(n, name, count)| (*n, new(name, *count)));
                items(&rows.collect::<Vec<_>>())
            }
            _ => {
                let rows = rows.iter().map(|(n, name, c)| (*n, initial(name, *c)));
                let updates = items(&rows.collect::<Vec<_>>());
                if version == MonitorVersion::MonitorCondSince {
                    since(false, 0, &updates)
                } else {
                    updates
                }
            }
        };
        let many = |skip: usize| (10 + skip..300).map(|n| (n, "many", 0));
        let mut rows = vec![(1, "a", 1), (2, "b", 2), (3, "c", 3)];
        rows.extend(many(0));
        monitor.start(raw(&dump(&rows))).expect("rows");
        assert_eq!(cache.monitor_version(), version);
        let before = cache.snapshot();
        let mut changes = cache.changes::<Item>();
        assert_eq!(changes.try_next().expect("the start").len(), rows.len());

        let mut rows = vec![(2, "b", 20), (3, "c", 3), (4, "d", 4)];
        rows.extend(many(55));
        monitor.shared().set_stale(0, Instant::now());
        monitor.start(raw(&dump(&rows))).expect("rows");
        let batch = changes.try_next().expect("a batch");
        let mut expected: BTreeMap<_, _> = (10..65).map(|n| (uuid(n), (Some(0), None))).collect();
        expected.insert(uuid(1), (Some(1), None));
        expected.insert(uuid(2), (Some(2), Some(20)));
        expected.insert(uuid(4), (None, Some(4)));
        assert_eq!(counts(&batch), expected);
        assert!(batch.kind().is_resync());

        // A row that did not change is the same object as before.
        let view = cache.snapshot();
        for number in [3, 100, 299] {
            let row = |view: &crate::Snapshot<Inventory>| {
                view.get_shared(crate::Ref::<Item>::new(uuid(number)))
            };
            let (old, new) = (row(&before), row(&view));
            assert!(Arc::ptr_eq(&old.expect("a row"), &new.expect("a row")));
        }

        // When nothing changed, no stream delivers a batch.
        monitor.start(raw(&dump(&rows))).expect("rows");
        assert!(changes.try_next().is_none());
        assert_eq!(
            view.rows::<Item>().len(),
            cache.snapshot().rows::<Item>().len()
        );
        monitor.start(raw(&dump(&[]))).expect("no rows");
        assert_eq!(changes.try_next().expect("a batch").len(), rows.len());
        assert_eq!(cache.snapshot().len(), 0);
    }
}

#[test]
fn a_last_transaction_is_valid_only_for_the_same_request() {
    let mut monitor = monitor(MonitorVersion::MonitorCondSince);
    let cache = cache(&monitor);
    let dump = items(&[(1, initial("a", 1))]);
    monitor.start(raw(&since(false, 100, &dump))).expect("rows");

    // An older schema: one column fewer is requested, so every row must be sent again.
    let older = SCHEMA.replace(r#","count":{"type":"integer"}"#, "");
    assert_ne!(older, SCHEMA);
    monitor.apply_schema(&schema(&older));
    let missing = Skew::MissingColumn {
        table: "Item".into(),
        column: "count".into(),
    };
    assert_eq!(cache.skew().differences, [missing]);
    assert_eq!(asked(&monitor).1, Uuid::nil());
    // The same schema again: the replica is still what that request selects.
    monitor.apply_schema(&schema(SCHEMA));
    assert!(cache.skew().is_empty());
    assert_eq!(asked(&monitor).1, uuid(100));

    // A server that claims to resume although it was not asked to has sent every row: the earlier rows
    // are dropped.
    monitor.apply_schema(&schema(&older));
    let bare = items(&[(2, r#""initial":{"name":"b"}"#.to_owned())]);
    monitor.start(raw(&since(true, 101, &bare))).expect("rows");
    let view = cache.snapshot();
    assert_eq!(
        view.rows::<Item>().map(Row::uuid).collect::<Vec<_>>(),
        [uuid(2)]
    );
    assert_eq!(asked(&monitor).1, uuid(101));
    monitor.forget();
    assert_eq!(asked(&monitor).1, Uuid::nil());
}

#[test]
fn an_update_that_cannot_be_applied_changes_nothing_and_forces_a_resync() {
    let mut monitor = monitor(MonitorVersion::MonitorCondSince);
    let cache = cache(&monitor);
    let dump = items(&[(1, initial("a", 1)), (2, initial("b", 2))]);
    monitor.start(raw(&since(false, 100, &dump))).expect("rows");
    let mut changes = cache.changes::<Item>();
    assert_eq!(changes.try_next().expect("the start").len(), 2);
    for broken in [
        items(&[(1, modify(5)), (9, modify(1))]),
        items(&[(1, delete()), (1, delete())]),
        items(&[(3, insert("c", 3)), (3, insert("c", 3))]),
        items(&[(1, r#""modify":{"count":"x"}"#.to_owned())]),
        items(&[(1, r#""modify":{"colour":1}"#.to_owned())]),
        r#"{"Wheel":{}}"#.to_owned(),
    ] {
        let params = update3(101, &broken);
        let error = update(&mut monitor, "update3", &params).expect_err(&broken);
        assert!(!error.to_string().is_empty());
        assert_eq!(asked(&monitor).1, Uuid::nil(), "{broken}");
        assert!(
            monitor.start(raw(&since(false, 100, &broken))).is_err(),
            "{broken}"
        );
        assert_eq!(cache.snapshot().rows::<Item>().len(), 2);
        assert!(changes.try_next().is_none());
        // Every row is sent again, and none has changed, so no stream gets a batch.
        monitor.start(raw(&since(false, 100, &dump))).expect("rows");
        assert!(changes.try_next().is_none());
    }
    apply(&mut monitor, 101, &[(1, modify(9))]);
    assert_eq!(
        counts(&changes.try_next().expect("a batch")),
        [(uuid(1), (Some(1), Some(9)))].into()
    );
}

#[test]
fn columns_that_a_whole_row_omits_are_at_their_default() {
    let mut monitor = monitor(MonitorVersion::Monitor);
    let cache = cache(&monitor);
    let rows = items(&[(1, r#""new":{"name":"a","count":1}"#.to_owned())]);
    monitor.start(raw(&rows)).expect("rows");
    let mut changes = cache.changes::<Item>();
    assert_eq!(changes.try_next().expect("the start").len(), 1);
    let rows = items(&[(1, r#""old":{"name":"a"},"new":{"count":1}"#.to_owned())]);
    let params = format!("[1,{rows}]");
    update(&mut monitor, "update", &params).expect("an update");
    let batch = changes.try_next().expect("a batch");
    let changed: Vec<_> = batch
        .iter()
        .map(|change| change.changed(Item::NAME))
        .collect();
    assert_eq!(changed, [true]);
    let snapshot = cache.snapshot();
    let names = snapshot.rows::<Item>().map(|item| item.name.as_str());
    assert_eq!(names.collect::<Vec<_>>(), [""]);
}

#[test]
fn a_monitor_is_resumed_with_conditions_that_the_server_has_acknowledged() {
    let mut monitor = monitor(MonitorVersion::MonitorCondSince);
    let dump = items(&[(1, initial("a", 1))]);
    monitor.start(raw(&since(false, 100, &dump))).expect("rows");
    assert_eq!(asked(&monitor).1, uuid(100));
    monitor.set_condition("Item", Some(vec![Clause::Always(false)]));
    monitor.begin_change();
    assert_eq!(asked(&monitor).1, Uuid::nil(), "between the conditions");
    monitor.acknowledge();
    assert_eq!(asked(&monitor).1, uuid(100));
}

#[test]
fn rows_of_a_request_that_was_given_up_do_not_make_the_replica_current() {
    let mut monitor = monitor(MonitorVersion::MonitorCondSince);
    let (freshness, now) = (monitor.shared().freshness(), Instant::now());
    let reply = since(false, 1, "{}");
    monitor.begin_request(5, now);
    // The connection is lost while the rows are decoded.
    monitor.shared().set_stale(0, now);
    monitor.start(raw(&reply)).expect("rows");
    assert!(matches!(*freshness.borrow(), Freshness::StaleSince(_)));
    monitor.begin_request(6, now);
    monitor.start(raw(&reply)).expect("rows");
    assert_eq!(*freshness.borrow(), Freshness::Current);
}

#[test]
fn a_row_that_is_fetched_again_has_its_new_version() {
    let mut monitor = monitor(MonitorVersion::MonitorCondSince);
    monitor.row_versions = true;
    monitor.apply_schema(&schema(SCHEMA));
    let cache = cache(&monitor);
    for number in [7, 8] {
        let version = uuid(number);
        let row = format!(r#""initial":{{"name":"a","_version":["uuid","{version}"]}}"#);
        let dump = items(&[(1, row)]);
        monitor.start(raw(&since(false, 100, &dump))).expect("rows");
        let view = cache.snapshot();
        let row = view.get(crate::Ref::<Item>::new(uuid(1))).expect("a row");
        assert_eq!(row.version(), Some(version));
    }
}

#[test]
fn transactions_on_two_replicas_do_not_have_the_same_basis() {
    use crate::cache::Basis;

    let version = MonitorVersion::MonitorCondSince;
    let [one, other] = [monitor(version), monitor(version)];
    let basis = |monitor: &ReplicaMonitor| Basis::of(monitor.shared());
    assert!(basis(&one).is_same(&basis(&one)));
    assert!(!basis(&one).is_same(&basis(&other)));
}

#[test]
fn a_refused_replica_is_stale_when_its_monitor_is_not_requested_any_more() {
    let monitor = monitor(MonitorVersion::MonitorCondSince);
    let cache = cache(&monitor);
    let (refused, later) = (Instant::now(), Instant::now());
    let shared = monitor.shared();
    let error: Arc<crate::cache::shared::Cause> = Arc::new(std::io::Error::other("no such table"));
    assert!(shared.set_refused(error, refused));
    let since = match cache.freshness().get() {
        Freshness::RefusedSince(since) => since,
        other => panic!("{other:?}"),
    };
    // Requested again: the reason stays until the server answers.
    shared.set_stale(7, later);
    assert_eq!(cache.freshness().get(), Freshness::RefusedSince(since));
    // The connection is lost.
    shared.set_stale(0, later);
    assert_eq!(cache.freshness().get(), Freshness::StaleSince(since));
}
