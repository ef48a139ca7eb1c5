//! Which rows look-ups in a view find, and how many.

use super::*;
use crate::cache::{Index, OrderedIndex, Snapshot};
use crate::testing::SnapshotBuilder;
use crate::value::Ref;

/// More rows than a scan downcasts together.
const ROWS: usize = 150;

struct Setting {
    view: Snapshot<Inventory>,
    rows: Vec<Ref<Item>>,
    /// The items have three names in turn, and each has its own count.
    by_name: Index<Item, Str>,
    by_count: OrderedIndex<Item, i64>,
}

fn setting() -> Setting {
    let by_name = Index::column(Item::NAME);
    let by_count = OrderedIndex::column(Item::COUNT);
    let mut builder = SnapshotBuilder::<Inventory>::default();
    builder.index(&by_name).ordered_index(&by_count);
    let rows = (0..ROWS).map(|number| {
        builder.insert(Item {
            name: ["a", "b", "c"][number % 3].into(),
            count: number as i64,
            ..Item::default()
        })
    });
    let rows = rows.collect();
    builder.insert(Item {
        name: "alone".into(),
        count: -1,
        ..Item::default()
    });
    Setting {
        view: builder.build().expect("a view"),
        rows,
        by_name,
        by_count,
    }
}

#[test]
fn an_iterator_of_found_rows_knows_how_many_are_left() {
    let Setting {
        view,
        by_name,
        by_count,
        ..
    } = setting();
    for (name, count) in [("a", ROWS / 3), ("alone", 1), ("none", 0)] {
        let mut found = view.find(&by_name, name);
        for left in (0..count).rev() {
            assert_eq!(
                (found.len(), found.size_hint()),
                (left + 1, (left + 1, Some(left + 1)))
            );
            assert_eq!(found.next().map(|row| &*row.name), Some(name));
        }
        assert_eq!((found.len(), found.next()), (0, None));
    }
    let mut range = view.range(&by_count, 10..=13);
    let counts = |row: Option<&Row<Item>>| row.map(|row| row.count);
    assert_eq!(range.len(), 4);
    assert_eq!(counts(range.next_back()), Some(13));
    assert_eq!(counts(range.next()), Some(10));
    assert_eq!(range.len(), 2);
    assert_eq!(counts(range.next_back()), Some(12));
    assert_eq!(counts(range.next()), Some(11));
    assert_eq!(
        (range.len(), counts(range.next_back()), counts(range.next())),
        (0, None, None)
    );
}

#[test]
fn all_rows_are_scanned_however_the_scan_is_split() {
    let Setting { view, .. } = setting();
    for first in [0, 1, 63, 64, 65, ROWS, ROWS + 1] {
        let mut rows = view.rows::<Item>();
        assert_eq!(rows.len(), ROWS + 1);
        let mut sum: i64 = rows.by_ref().take(first).map(|row| row.count).sum();
        assert_eq!(rows.len(), ROWS + 1 - first);
        sum += rows.map(|row| row.count).sum::<i64>();
        assert_eq!(sum, (0..ROWS as i64).sum::<i64>() - 1, "{first}");
    }
    let table = view.table::<Item>();
    assert_eq!((table.len(), table.is_empty()), (ROWS + 1, false));
    assert_eq!((view.len(), view.is_empty()), (ROWS + 1, false));
    assert_eq!(table.rows_shared().count(), ROWS + 1);
    assert_eq!(view.any_rows("Item").map(|rows| rows.len()), Some(ROWS + 1));
    assert!(view.any_rows("Part").is_none() && view.try_table::<Part>().is_none());
    let named = table.scan_by(Item::NAME, "b").map(|row| row.count % 3);
    assert_eq!(named.sum::<i64>(), (ROWS / 3) as i64);
}

#[test]
fn references_are_followed_in_their_order_and_missing_rows_left_out() {
    let Setting { view, rows, .. } = setting();
    let wanted = [rows[7], Ref::new(uuid(1)), rows[2], rows[7]];
    let counts: Vec<_> = view.get_all(&wanted).map(|row| row.count).collect();
    assert_eq!(counts, [7, 2, 7]);
    let shared: Vec<_> = view.get_all_shared(&wanted).collect();
    let counts: Vec<_> = shared.iter().map(|row| row.count).collect();
    assert_eq!(counts, [7, 2, 7]);
    assert!(
        Arc::ptr_eq(&shared[0], &shared[2]),
        "the row of the view itself"
    );
    assert_eq!(view.get_shared(wanted[1]), None);
    assert_eq!(view.get(rows[3]).map(Row::uuid), Some(rows[3].uuid()));
}

#[test]
fn a_table_shows_its_indexes() {
    let Setting { view, .. } = setting();
    let shown = format!("{:?}", view.table::<Item>());
    for index in ["HashRows { keys: 4, .. }", "OrderedRows { rows: 151, .. }"] {
        assert!(shown.contains(index), "{index}");
    }
}

#[cfg(feature = "nb")]
#[test]
fn referrers_show_how_many_they_are() {
    use ovsdb::nb::{self, LogicalSwitch, LogicalSwitchPort};

    let mut builder = SnapshotBuilder::<nb::Database>::new();
    let port = builder.insert(LogicalSwitchPort::default());
    for _ in 0..2 {
        builder.insert(LogicalSwitch {
            ports: [port].into(),
            ..LogicalSwitch::default()
        });
    }
    builder.index_references_to::<LogicalSwitchPort>();
    let view = builder.build().expect("a view");
    let mut switches = view.referrers::<LogicalSwitch>(port);
    let expected = r#"Referrers { table: "Logical_Switch", len: 2, .. }"#;
    assert_eq!(format!("{switches:?}"), expected);
    assert!(switches.next().is_some());
    assert_eq!((switches.len(), switches.size_hint()), (1, (1, Some(1))));
    let shown = format!("{:?}", view.table::<LogicalSwitch>());
    let index = r#"References { target: "Logical_Switch_Port", rows: Groups { keys: 1, .. }, .. }"#;
    assert!(shown.contains(index), "{shown}");
}
