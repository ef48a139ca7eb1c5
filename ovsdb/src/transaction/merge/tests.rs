//! How two transactions become one.

use std::collections::BTreeMap;

use super::super::touched::EditPlaces;
use super::*;
use crate::value::Str;

struct Inventory;

impl Database for Inventory {
    const NAME: &'static str = "Inventory";
}

#[derive(Debug, Clone, PartialEq, Default, ovsdb::Table)]
#[ovsdb(database = Inventory, table = "Item")]
struct Item {
    name: Str,
    weight: Option<i64>,
    tags: Set<i64>,
    notes: Map<Str, i64>,
}

fn item(name: &str, weight: Option<i64>, tags: &[i64], notes: &[(&str, i64)]) -> Item {
    Item {
        name: name.into(),
        weight,
        tags: tags.iter().copied().collect(),
        notes: notes.iter().copied().collect(),
    }
}

/// A row that a transaction changes.
fn written(before: Option<&Item>, now: Option<&Item>) -> Written<Item> {
    let row = |columns: &Item| Arc::new(Row::new(Uuid::nil(), columns.clone()));
    Written {
        before: before.map(row),
        base: before.map(row),
        now: now.map(row),
        is_inserted: false,
        epoch: 0,
        places: EditPlaces::default(),
        replaced: BTreeSet::new(),
        replaced_pairs: BTreeMap::new(),
        moved: BTreeMap::new(),
    }
}

#[test]
fn the_changes_of_both_transactions_are_in_the_row() {
    let before = item(
        "a",
        Some(1),
        &[1, 2],
        &[("a", 1), ("b", 2), ("c", 3), ("d", 4)],
    );
    let own = item("b", Some(1), &[1, 3], &[("a", 1), ("b", 5), ("d", 4)]);
    let other = item(
        "a",
        None,
        &[2, 4],
        &[("a", 9), ("b", 2), ("c", 3), ("e", 6)],
    );
    let joined = joined(&before, &own, &other);
    let both = item("b", None, &[3, 4], &[("a", 9), ("b", 5), ("e", 6)]);
    assert_eq!(joined, both);
    assert_eq!(super::joined(&before, &own, &before), own);
    assert_eq!(super::joined(&before, &before, &other), other);
}

#[test]
fn two_transactions_that_count_in_the_same_column_conflict() {
    let before = item("a", Some(1), &[], &[]);
    let counted = item("a", Some(2), &[], &[]);
    let weight = 1;
    assert_eq!(Item::COLUMNS[weight].name, "weight");
    let row = Uuid::from_u128(9);
    let column = || MergeConflict::Column {
        table: "Item",
        row,
        column: "weight",
    };
    for (own, other, expected) in [
        (false, false, None),
        (true, false, None),
        (false, true, None),
        (true, true, Some(column())),
    ] {
        let change = |replaces: bool| {
            let mut written = written(Some(&before), Some(&counted));
            if replaces {
                written.replaced.insert(weight);
            }
            written
        };
        assert_eq!(conflict(row, &change(own), &change(other)), expected);
    }
}

#[test]
fn changes_of_a_map_conflict_if_they_concern_the_same_key() {
    let map = |pairs: &[(&str, i64)]| Datum::map(pairs.iter().copied());
    let before = map(&[("a", 1), ("b", 2)]);
    for (own, other, differ) in [
        (map(&[("a", 1), ("b", 2)]), map(&[]), false),
        (map(&[("b", 2)]), map(&[("a", 1)]), false),
        (
            map(&[("a", 5), ("b", 2)]),
            map(&[("a", 1), ("b", 6)]),
            false,
        ),
        (map(&[("a", 5), ("b", 2)]), map(&[("a", 6), ("b", 2)]), true),
        // The second would replace or remove a value that the first has already replaced.
        (map(&[("a", 5), ("b", 2)]), map(&[("a", 5), ("b", 2)]), true),
        (map(&[("a", 5), ("b", 2)]), map(&[("b", 2)]), true),
        (
            map(&[("a", 1), ("b", 2), ("c", 3)]),
            map(&[("a", 1), ("b", 2), ("c", 3)]),
            false,
        ),
        (
            map(&[("a", 1), ("b", 2), ("c", 3)]),
            map(&[("a", 1), ("b", 2), ("c", 4)]),
            true,
        ),
        (
            map(&[("a", 1), ("b", 2), ("c", 3)]),
            map(&[("a", 1), ("b", 2), ("d", 4)]),
            false,
        ),
    ] {
        assert_eq!(
            maps_conflict(&before, &own, &other),
            differ,
            "{own} {other}"
        );
        assert_eq!(
            maps_conflict(&before, &other, &own),
            differ,
            "{other} {own}"
        );
    }
    assert!(!maps_conflict(
        &Datum::empty(),
        &map(&[("a", 1)]),
        &map(&[("b", 1)])
    ));
    assert!(maps_conflict(
        &Datum::empty(),
        &map(&[("a", 1)]),
        &map(&[("a", 2)])
    ));
}

#[test]
fn two_transactions_conflict_in_a_row_or_in_a_column() {
    let before = item("a", Some(1), &[1], &[("a", 1)]);
    let renamed = Item {
        name: "b".into(),
        ..before.clone()
    };
    let lighter = Item {
        weight: None,
        ..before.clone()
    };
    let noted = Item {
        notes: [("a", 2)].into(),
        ..before.clone()
    };
    let edit = |now: &Item, columns: &[usize]| Written {
        replaced: columns.iter().copied().collect(),
        ..written(Some(&before), Some(now))
    };
    let deleted = || written(Some(&before), None);
    let inserted = || Written {
        is_inserted: true,
        ..written(None, Some(&before))
    };
    let row = || {
        Some(MergeConflict::Row {
            table: "Item",
            row: Uuid::nil(),
        })
    };
    let column = |column| {
        Some(MergeConflict::Column {
            table: "Item",
            row: Uuid::nil(),
            column,
        })
    };
    for (a, b, expected) in [
        (edit(&renamed, &[0]), edit(&lighter, &[1]), None),
        (edit(&renamed, &[0]), edit(&renamed, &[0]), column("name")),
        (edit(&lighter, &[1]), edit(&lighter, &[1]), column("weight")),
        (edit(&noted, &[]), edit(&noted, &[]), column("notes")),
        (edit(&noted, &[]), edit(&renamed, &[0]), None),
        // The first transaction has set the column, and then set it back.
        (edit(&before, &[0]), edit(&renamed, &[0]), None),
        (deleted(), deleted(), None),
        (deleted(), edit(&renamed, &[0]), row()),
        (inserted(), inserted(), row()),
        (inserted(), edit(&renamed, &[0]), row()),
        (written(None, Some(&before)), edit(&renamed, &[0]), row()),
        (
            written(Some(&renamed), Some(&lighter)),
            edit(&renamed, &[0]),
            row(),
        ),
    ] {
        assert_eq!(conflict(Uuid::nil(), &a, &b), expected, "{a:?} {b:?}");
        assert_eq!(conflict(Uuid::nil(), &b, &a), expected, "{b:?} {a:?}");
    }
}

#[test]
fn a_look_up_is_changed_by_rows_that_it_finds_before_or_after() {
    let (found, other) = (item("a", None, &[], &[]), item("b", None, &[], &[]));
    let heavier = Item {
        weight: Some(1),
        ..found.clone()
    };
    let read = |is_whole, rows: Vec<Arc<Row<Item>>>| KeyRead {
        condition: Item::NAME.eq("a").into(),
        rows,
        is_whole,
        is_guarded: true,
    };
    let row = || vec![Arc::new(Row::new(Uuid::nil(), found.clone()))];
    for (rows, before, now, of_keys, of_rows) in [
        (vec![], Some(&other), Some(&other), false, false),
        (vec![], None, Some(&other), false, false),
        (vec![], None, Some(&found), true, true),
        (vec![], Some(&other), Some(&found), true, true),
        (row(), Some(&found), Some(&other), true, true),
        (row(), Some(&found), None, true, true),
        (row(), None, None, true, true),
        (row(), Some(&found), Some(&heavier), false, true),
    ] {
        let write = written(before, now);
        let changed = |is_whole| read(is_whole, rows.clone()).is_changed_by(Uuid::nil(), &write);
        assert_eq!(
            (changed(false), changed(true)),
            (of_keys, of_rows),
            "{write:?}"
        );
    }
    assert!(written(Some(&found), Some(&found)).is_unchanged());
    assert!(!written(Some(&found), Some(&heavier)).is_unchanged());
    assert!(!written(Some(&found), None).is_unchanged() && !written(None, None).is_unchanged());
    let gone_again = Written {
        is_inserted: true,
        ..written(None, None)
    };
    assert!(gone_again.is_unchanged());
}

#[test]
fn operations_of_the_second_transaction_are_counted_after_those_of_the_first() {
    let transaction = |operations| {
        let mut txn = Transaction::<Inventory>::detached();
        for _ in 0..operations {
            txn.comment("c");
        }
        txn
    };
    let (mut first, mut second) = (transaction(3), transaction(2));
    first.edit_waits = [2].into();
    second.edit_waits = [0, 1].into();
    let row = Uuid::from_u128(9);
    second.inserted.insert(row, 1);
    assert_eq!(first.merge(&second), Ok(3));
    assert_eq!(first.operations.len(), 5);
    assert_eq!(first.edit_waits, [2, 3, 4].into());
    assert_eq!(first.inserted, [(row, 4)].into());
}

#[test]
fn edits_after_a_merge_are_operations_after_those_of_the_second_transaction() {
    let row = |number| {
        Arc::new(Row::new(
            Uuid::from_u128(number),
            item("a", Some(1), &[], &[]),
        ))
    };
    let mut first = Transaction::<Inventory>::detached();
    assert!(first.edit(&row(1), |item| item.name = "b".into()));
    let mut second = Transaction::<Inventory>::detached();
    assert!(second.edit(&row(2), |item| item.name = "c".into()));
    assert_eq!(first.merge(&second), Ok(1));
    let merged = first.operations().to_vec();
    // The second transaction was written without this edit, so its operations come first.
    assert!(first.edit(&row(1), |item| item.weight = None));
    assert_eq!(&first.operations()[..2], merged);
    assert_eq!(first.operations().len(), 3);
}
