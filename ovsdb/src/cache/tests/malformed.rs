//! Updates that are malformed or do not fit: the error says where, and nothing of them is applied.

use super::*;
use crate::cache::ApplyErrorReason;
use crate::value::json::DecodeErrorKind;

/// What is wrong, without the place in the message.
fn kind(reason: ApplyErrorReason) -> Result<DecodeErrorKind, ApplyErrorReason> {
    match reason {
        ApplyErrorReason::Decode(error) => Ok(error.kind),
        other => Err(other),
    }
}

/// An update, the number of the row and the column in its error, and what is wrong.
type Case<'a> = (
    &'a str,
    Option<usize>,
    Option<&'a str>,
    Result<DecodeErrorKind, ApplyErrorReason>,
);

/// Applies updates, each of which must fail, to a replica with the rows 1 and 2.
fn each_fails(version: MonitorVersion, start: &str, cases: &[Case<'_>]) {
    let mut monitor = monitor(version);
    monitor.start(raw(start)).expect("rows");
    let cache = cache(&monitor);
    let mut changes = cache.changes::<Item>();
    assert_eq!(changes.try_next().expect("the start").len(), 2);
    let known: Vec<_> = [1, 2]
        .map(|row| cache.snapshot().any_row("Item", uuid(row)))
        .into();
    for (updates, row, column, expected) in cases {
        let mut updates = (*updates).to_owned();
        for number in 1..=3 {
            updates = updates.replace(&format!("ROW{number}"), &uuid(number).to_string());
        }
        let (method, params) = match version {
            MonitorVersion::Monitor => ("update", format!("[1,{updates}]")),
            _ => ("update3", update3(9, &updates)),
        };
        let error = update(&mut monitor, method, &params).expect_err(&updates);
        assert_eq!(error.row, row.map(uuid), "{updates}");
        assert_eq!(error.column.as_deref(), *column, "{updates}");
        assert_eq!(kind(error.reason), *expected, "{updates}");
        let same = [1, 2].map(|row| cache.snapshot().any_row("Item", uuid(row)));
        for (known, same) in known.iter().zip(&same) {
            let (Some(known), Some(same)) = (known, same) else {
                panic!("{updates}: a row is gone");
            };
            assert!(Arc::ptr_eq(known, same), "{updates}");
        }
        assert_eq!(cache.snapshot().len(), 2, "{updates}");
        assert!(changes.try_next().is_none(), "{updates}");
    }
    // What follows is applied as if nothing had been wrong.
    monitor.start(raw(start)).expect("rows");
    let fits = match version {
        MonitorVersion::Monitor => format!(r#"[1,{{"Item":{{"{}":{{"old":{{}}}}}}}}]"#, uuid(1)),
        _ => update3(10, &items(&[(1, delete())])),
    };
    let method = match version {
        MonitorVersion::Monitor => "update",
        _ => "update3",
    };
    update(&mut monitor, method, &fits).expect("an update");
    assert_eq!(cache.snapshot().len(), 1);
}

#[test]
fn a_difference_that_does_not_fit_changes_nothing() {
    use DecodeErrorKind::{BadUuid, Expected};
    let start = since(
        false,
        1,
        &items(&[(1, initial("a", 1)), (2, initial("b", 2))]),
    );
    let kinds = Expected("initial, insert, modify or delete");
    let several = Expected("exactly one kind of change");
    each_fails(
        MonitorVersion::MonitorCondSince,
        &start,
        &[
            (
                r#"{"Item":{"ROW1":{}}}"#,
                Some(1),
                None,
                Ok(several.clone()),
            ),
            (r#"{"Item":{"ROW1":{"new":{}}}}"#, Some(1), None, Ok(kinds)),
            (
                r#"{"Item":{"ROW2":{"delete":null},"ROW1":{"delete":null,"modify":{}}}}"#,
                Some(1),
                None,
                Ok(several),
            ),
            (
                r#"{"Item":{"ROW1":{"modify":{"count":9}},"ROW3":{"delete":null}}}"#,
                Some(3),
                None,
                Err(ApplyErrorReason::UnknownRow),
            ),
            (
                r#"{"Item":{"ROW3":{"modify":{"count":9}}}}"#,
                Some(3),
                None,
                Err(ApplyErrorReason::UnknownRow),
            ),
            (
                r#"{"Item":{"ROW1":{"insert":{"name":"c"}}}}"#,
                Some(1),
                None,
                Err(ApplyErrorReason::KnownRow),
            ),
            (
                r#"{"Item":{"ROW3":{"insert":{}},"ROW1":{"modify":{"count":true}}}}"#,
                Some(1),
                Some("count"),
                Ok(Expected("a number")),
            ),
            (
                r#"{"Item":{"row":{"delete":null}}}"#,
                None,
                None,
                Ok(BadUuid),
            ),
            (
                r#"{"Item":{"ROW1":{"delete":null}},"Other":{}}"#,
                None,
                None,
                Err(ApplyErrorReason::UnknownTable),
            ),
            ("[]", None, None, Ok(Expected("an object"))),
        ],
    );
}

#[test]
fn a_row_that_a_message_contains_twice_is_named_whatever_follows_it() {
    let twice = |version, row: &str, next: &str| {
        let rows = format!(
            r#"{{"Item":{{"{one}":{row},"{one}":{row},"{two}":{next}}}}}"#,
            one = uuid(1),
            two = uuid(2)
        );
        let start = match version {
            MonitorVersion::MonitorCondSince => since(false, 1, &rows),
            _ => rows,
        };
        let error = monitor(version).start(raw(&start)).expect_err(&start);
        assert_eq!(error.row, Some(uuid(1)), "{start}");
        assert_eq!(error.reason, ApplyErrorReason::KnownRow, "{start}");
    };
    let new = r#"{"new":{"name":"a"}}"#;
    for next in [new, r#"{"old":{}}"#, r#"{"old":{},"new":{"name":"b"}}"#] {
        twice(MonitorVersion::Monitor, new, next);
    }
    let initial = r#"{"initial":{"name":"a"}}"#;
    for next in [initial, r#"{"delete":null}"#, r#"{"modify":{"count":1}}"#] {
        twice(MonitorVersion::MonitorCondSince, initial, next);
    }
}

#[test]
fn a_change_with_whole_rows_that_does_not_fit_changes_nothing() {
    let start = format!(
        r#"{{"Item":{{"{}":{{"new":{{"name":"a"}}}},"{}":{{"new":{{"name":"b"}}}}}}}}"#,
        uuid(1),
        uuid(2)
    );
    let kinds = DecodeErrorKind::Expected("old or new");
    each_fails(
        MonitorVersion::Monitor,
        &start,
        &[
            (
                r#"{"Item":{"ROW1":{"insert":{}}}}"#,
                Some(1),
                None,
                Ok(kinds),
            ),
            (
                r#"{"Item":{"ROW2":{"old":{}},"ROW3":{"old":{}}}}"#,
                Some(3),
                None,
                Err(ApplyErrorReason::UnknownRow),
            ),
            (
                r#"{"Item":{"ROW3":{"old":{"name":"c"},"new":{"name":"d"}}}}"#,
                Some(3),
                None,
                Err(ApplyErrorReason::UnknownRow),
            ),
            (
                r#"{"Item":{"ROW1":{"new":{"name":"c"}}}}"#,
                Some(1),
                None,
                Err(ApplyErrorReason::KnownRow),
            ),
            (
                r#"{"Item":{"ROW1":{"old":{"name":"a"},"new":{"name":5}}}}"#,
                Some(1),
                Some("name"),
                Ok(DecodeErrorKind::Expected("a string")),
            ),
        ],
    );
}
