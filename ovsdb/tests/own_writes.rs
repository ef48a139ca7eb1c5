//! Reading through a transaction: its view with its own writes applied, and what edits send.

mod support;

use ovsdb::cache::Index;
use ovsdb::protocol::{Operation, Wire};
use ovsdb::testing::Server;
use ovsdb::transaction::BuildError;
use ovsdb::{Cache, Client, CommitError, Ref, RowIdentity, Str, Transaction};
use support::inventory::{Database, Item, Part, Slot};
use support::{connect, inventory_server, item};

/// A client of a server that has the items "a" and "b", and its replica with three declared indexes.
struct Setting {
    _server: Server,
    client: Client<Database>,
    cache: Cache<Database>,
    by_owner: Index<Item, Str>,
    by_tag: Index<Item, Str>,
    by_length: Index<Item, usize>,
}

async fn setting() -> Setting {
    let server = inventory_server();
    let client: Client<Database> = connect(&server).await;
    let mut txn = client.transaction();
    let mut a = item("a", 1);
    a.notes = [("owner", "me"), ("color", "red")].into();
    a.tags = ["x", "y"].into();
    a.sizes = [("s", 1)].into();
    txn.insert(a);
    txn.insert(item("b", 2));
    txn.commit().await.expect("a commit");
    let by_owner = Index::map_key(Item::NOTES, "owner");
    let by_tag = Index::elements(Item::TAGS);
    let by_length = Index::function(|item: &Item| [item.name.len()]);
    let start = client
        .cache()
        .all_tables()
        .index(&by_owner)
        .index(&by_tag)
        .index(&by_length);
    let cache = start.start().await.expect("a cache");
    Setting {
        _server: server,
        client,
        cache,
        by_owner,
        by_tag,
        by_length,
    }
}

fn named(txn: &mut Transaction<Database>, name: &str) -> Option<Ref<Item>> {
    txn.get_by(Item::NAME, name).map(|row| row.reference())
}

/// The operations as JSON, without the guards of what was read.
fn written(txn: &Transaction<Database>) -> Vec<String> {
    let operations = txn.operations().iter();
    operations.map(Wire::to_json).collect()
}

#[tokio::test]
async fn a_transaction_shows_its_own_writes() {
    let Setting {
        client,
        cache,
        by_owner,
        by_tag,
        by_length,
        _server,
    } = setting().await;
    let mut txn = client.transaction_on(&cache);
    let a = named(&mut txn, "a").expect("a row");
    let b = named(&mut txn, "b").expect("a row");

    // Inserted.
    let c = txn.insert(Item {
        notes: [("owner", "me")].into(),
        ..item("c", 3)
    });
    assert_eq!(named(&mut txn, "c"), Some(c));
    assert_eq!(txn.get(c).expect("the row").total, 3);
    let mine = txn.find(&by_owner, "me");
    let mut expected = [a, c];
    expected.sort_by_key(|row| row.uuid());
    assert!(mine.iter().map(|row| row.reference()).eq(expected));
    assert_eq!(txn.find(&by_length, 1_usize).len(), 3);

    // Edited: found by its new keys, and not by the old ones.
    assert!(txn.edit(a, |a| {
        a.notes.insert("owner", "you");
        a.tags.remove("x");
        a.tags.insert("z");
    }));
    assert!(
        txn.find(&by_owner, "me")
            .iter()
            .map(|row| row.reference())
            .eq([c])
    );
    assert!(
        txn.find(&by_owner, "you")
            .iter()
            .map(|row| row.reference())
            .eq([a])
    );
    assert!(txn.get_by(&by_tag, "x").is_none());
    assert_eq!(txn.get_by(&by_tag, "z").expect("a row").reference(), a);
    assert_eq!(
        txn.get(a)
            .expect("a row")
            .notes
            .get("color")
            .map(Str::as_str),
        Some("red")
    );

    // Deleted: a row of the view, and rows that the transaction has inserted.
    txn.delete(b);
    let part = txn.insert(Part { label: "p".into() });
    txn.delete(part);
    assert!(txn.peek().rows::<Part>().next().is_none());
    assert!(txn.get(b).is_none() && named(&mut txn, "b").is_none());
    txn.delete(c);
    assert!(txn.get(c).is_none() && named(&mut txn, "c").is_none());

    let peek = txn.peek();
    assert!(peek.get(b).is_none() && peek.get_by(Item::NAME, "c").is_none());
    assert_eq!(peek.find(&by_tag, "z").len(), 1);
    let names: Vec<_> = peek
        .rows::<Item>()
        .map(|row| row.name.to_string())
        .collect();
    assert_eq!(names, ["a"]);
    assert_eq!(
        txn.view().expect("a view").rows::<Item>().len(),
        2,
        "the view stays as it is"
    );

    txn.commit().await.expect("a commit");
    let view = cache.snapshot();
    let rows: Vec<_> = view.rows::<Item>().collect();
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].notes, [("owner", "you"), ("color", "red")].into());
    assert_eq!(rows[0].tags, ["y", "z"].into());
}

#[tokio::test]
async fn an_edit_sends_only_what_differs() {
    let Setting {
        client,
        cache,
        _server,
        ..
    } = setting().await;
    let view = cache.snapshot();
    let a = view.get_by(Item::NAME, "a").expect("a row");
    let mut txn = client.transaction();
    assert!(!txn.edit(a, |_| {}));
    assert!(!txn.edit(a, |a| a.notes = [("color", "red"), ("owner", "me")].into()));
    assert!(txn.is_empty());

    assert!(txn.edit(a, |a| {
        a.total = 7;
        a.weight = Some(3);
        a.tags = ["y", "z"].into();
        a.notes = [("owner", "you"), ("shape", "round")].into();
    }));
    let uuid = a.uuid();
    let row = format!(r#""where":[["_uuid","==",["uuid","{uuid}"]]"#);
    assert_eq!(
        written(&txn),
        [
            format!(r#"{{"op":"update","table":"Item",{row}],"row":{{"total":7,"weight":3}}}}"#),
            format!(
                r#"{{"op":"mutate","table":"Item",{row}],"mutations":[["notes","delete",["set",["color","owner"]]],["notes","insert",["map",[["owner","you"],["shape","round"]]]],["tags","delete","x"],["tags","insert","z"]]}}"#
            ),
            format!(
                r#"{{"op":"wait","table":"Item","timeout":0,{row},["notes","includes",["map",[["shape","round"]]]]],"columns":["_uuid"],"until":"==","rows":[{{"_uuid":["uuid","{uuid}"]}}]}}"#
            ),
        ]
    );
    txn.commit().await.expect("a commit");
    let view = cache.snapshot();
    let a = view.get_by(Item::NAME, "a").expect("a row");
    assert_eq!((a.total, a.weight), (7, Some(3)));
    assert_eq!(a.tags, ["y", "z"].into());
    assert_eq!(a.notes, [("owner", "you"), ("shape", "round")].into());
}

#[tokio::test]
async fn edits_of_one_row_merge() {
    let Setting {
        client,
        cache,
        _server,
        ..
    } = setting().await;
    let mut txn = client.transaction_on(&cache);
    let a = named(&mut txn, "a").expect("a row");
    let part = txn.insert(Part { label: "p".into() });
    let c = txn.insert(item("c", 3));
    txn.edit(a, |a| a.total = 7);
    txn.edit(c, |c| {
        assert!(c.parts.insert(part), "a new part");
    });
    txn.edit(a, |a| {
        a.tags.insert("z");
    });
    txn.edit(a, |a| a.total = 8);
    txn.edit(c, |c| c.total = 4);
    let names: Vec<_> = txn.operations().iter().map(Operation::name).collect();
    assert_eq!(names, ["insert", "insert", "update", "mutate"]);
    // An edit that undoes the previous ones leaves nothing to change.
    txn.edit(a, |a| {
        a.total = 1;
        a.tags.remove("z");
    });
    // Edits keep their order relative to the operations between them.
    txn.edit(a, |a| a.total = 9);
    txn.mutate(Item::TOTAL.eq(9)).insert(Item::TAGS, ["nine"]);
    txn.edit(a, |a| a.total = 10);
    txn.edit(c, |c| c.weight = Some(1));
    txn.commit().await.expect("a commit");
    let view = cache.snapshot();
    let a = view.get_by(Item::NAME, "a").expect("a row");
    assert_eq!((a.total, &a.tags), (10, &["nine", "x", "y"].into()));
    let c = view.get_by(Item::NAME, "c").expect("a row");
    assert_eq!((c.total, c.weight, c.parts.len()), (4, Some(1), 1));
}

#[tokio::test]
async fn edits_work_with_rows_that_the_server_names() {
    let server = inventory_server();
    let builder = Client::<Database>::builder().remotes(server.remote());
    let client = builder
        .row_identity(RowIdentity::Named)
        .connect()
        .await
        .expect("a client");
    let cache = client.cache().all_tables().start().await.expect("a cache");
    let (c, _) = client
        .edit(&cache, |_, txn| {
            let part = txn.insert(Part { label: "p".into() });
            let c = txn.insert(item("c", 3));
            txn.comment("between");
            txn.edit(c, |c| {
                c.parts.insert(part);
                c.notes.insert("k", "v");
            });
            c
        })
        .await
        .expect("a commit");
    assert!(
        cache.snapshot().get(c).is_none(),
        "the server chose another uuid"
    );
    let view = cache.snapshot();
    let c = view.get_by(Item::NAME, "c").expect("a row");
    assert_eq!((c.parts.len(), c.notes.len()), (1, 1));
}

#[tokio::test]
async fn columns_with_a_maximum_can_be_edited() {
    let Setting {
        client,
        cache,
        _server,
        ..
    } = setting().await;
    let edit = client.edit(&cache, |_, txn| {
        txn.ensure(Item::NAME, "a", |a| {
            a.sizes = [("t", 1), ("u", 2), ("v", 3)].into();
            a.ratio = 0.1.into();
        });
    });
    edit.await.expect("a commit");
    let row = || {
        cache
            .snapshot()
            .get_by(Item::NAME, "a")
            .cloned()
            .expect("a row")
    };
    assert_eq!(row().sizes, [("t", 1), ("u", 2), ("v", 3)].into());

    // The map is full, so the old keys are removed first.
    let edit = client.edit(&cache, |_, txn| {
        txn.ensure(Item::NAME, "a", |a| {
            a.sizes = [("x", 1), ("y", 2), ("z", 3)].into();
        });
    });
    edit.await.expect("a commit");
    assert_eq!(row().sizes, [("x", 1), ("y", 2), ("z", 3)].into());

    let mut txn = client.transaction_on(&cache);
    txn.ensure(Item::NAME, "a", |a| {
        a.sizes.insert("w", 4);
    });
    let error = txn.commit().await.expect_err("too many");
    let CommitError::Build(BuildError::Count {
        column: "sizes",
        count: 4,
        most: Some(3),
        ..
    }) = error
    else {
        panic!("{error:?}");
    };
}

#[tokio::test]
async fn ensure_finds_or_inserts_a_row() {
    let Setting {
        client,
        cache,
        by_owner,
        _server,
        ..
    } = setting().await;
    let edit = client.edit(&cache, |_, txn| {
        let a = txn.ensure(Item::NAME, "a", |a| a.weight = Some(1));
        let c = txn.ensure(Item::NAME, "c", |c| {
            *c = Item {
                name: c.name.clone(),
                ..item("", 3)
            }
        });
        // The transaction's own row is found too.
        assert_eq!(txn.ensure(Item::NAME, "c", |c| c.weight = Some(2)), c);
        let (count, total) = (5, 50);
        let d = txn.ensure(Item::COUNT_AND_TOTAL, (count, total), |d| {
            d.name = "d".into();
            d.only = support::inventory::ItemOnly::Sole;
        });
        assert_eq!(txn.ensure(&by_owner, "me", |a| a.active = true), a);
        let slot = txn.ensure_where(Slot::NUMBER.gt(4), |slot| slot.number = 5);
        assert_eq!(txn.ensure_where(Slot::NUMBER.gt(4), |_| {}), slot);
        (a, c, d)
    });
    let ((a, c, d), _) = edit.await.expect("a commit");
    let view = cache.snapshot();
    let row = |row| view.get(row).expect("a row");
    assert_eq!(
        (row(a).weight, row(a).total, row(a).active),
        (Some(1), 1, true)
    );
    assert_eq!((row(c).weight, row(c).total), (Some(2), 3));
    assert_eq!((row(d).count, row(d).total), (5, 50));
    assert_eq!(view.rows::<Slot>().len(), 1);

    // The second time nothing differs, and nothing is sent.
    let before = client.stats();
    let edit = client.edit(&cache, |_, txn| {
        txn.ensure(Item::NAME, "a", |a| a.weight = Some(1));
        txn.ensure_where(Slot::NUMBER.gt(4), |_| {});
        assert!(txn.is_empty());
    });
    edit.await.expect("nothing to do");
    assert_eq!(client.stats().committed, before.committed);
}

#[tokio::test]
async fn mistakes_are_the_commits_error_and_nothing_is_sent() {
    let Setting {
        client,
        cache,
        by_owner,
        _server,
        ..
    } = setting().await;
    let undeclared = Index::<Item, Str>::column(Item::NAME);
    let parts = client
        .cache()
        .table::<Part>()
        .start()
        .await
        .expect("a cache");
    type Write<'a> = Box<dyn Fn(&mut Transaction<Database>) + 'a>;
    let view = cache.snapshot();
    let a = view.get_by(Item::NAME, "a").expect("a row");
    let cases: Vec<(Transaction<Database>, Write<'_>, &str)> = vec![
        (
            client.transaction(),
            Box::new(|txn| drop(txn.get_by(Item::NAME, "a"))),
            "cannot read rows of Item: the transaction has no view; make it with `transaction_on` or `apply`",
        ),
        (
            client.transaction(),
            Box::new(|txn| {
                txn.ensure(Item::NAME, "new", |_| {});
            }),
            "cannot read rows of Item: the transaction has no view; make it with `transaction_on` or `apply`",
        ),
        (
            client.transaction_on(&parts),
            Box::new(|txn| drop(txn.get(Ref::<Item>::new(ovsdb::Uuid::nil())))),
            "cannot read rows of Item: the cache was started without the table",
        ),
        (
            client.transaction_on(&cache),
            Box::new(|txn| drop(txn.find(&undeclared, "a"))),
            "cannot look up rows of Item: the cache was started without the index",
        ),
        (
            client.transaction_on(&cache),
            Box::new(|txn| {
                txn.edit(Ref::<Item>::new(ovsdb::Uuid::nil()), |_| {});
            }),
            "cannot edit the row 00000000-0000-0000-0000-000000000000 of Item: it is not in the view, or the transaction has deleted it",
        ),
        (
            client.transaction_on(&cache),
            Box::new(|txn| {
                txn.delete(a);
                txn.edit(a, |a| a.total = 5);
            }),
            "of Item: it is not in the view, or the transaction has deleted it",
        ),
        (
            client.transaction(),
            Box::new(|txn| {
                txn.edit(a, |a| a.name = "z".into());
            }),
            "cannot change the column Item.name: it is immutable after the insert",
        ),
        (
            client.transaction_on(&cache),
            Box::new(|txn| {
                txn.ensure(&by_owner, "them", |item| {
                    item.notes = [("owner", "you")].into();
                });
            }),
            "the row that was inserted into Item would not be found again: it does not meet the condition of the search",
        ),
        (
            client.transaction_on(&cache),
            Box::new(|txn| {
                txn.ensure_where(Slot::NUMBER.eq(3), |slot| slot.number = 4);
            }),
            "the row that was inserted into Slot would not be found again: it does not meet the condition of the search",
        ),
    ];
    for (mut txn, write, expected) in cases {
        write(&mut txn);
        txn.insert(Slot { number: 1 });
        let error = match txn.commit().await {
            Err(CommitError::Build(error)) => error.to_string(),
            other => panic!("{expected}: {other:?}"),
        };
        assert!(error.ends_with(expected), "{error}");
    }
    assert!(view.rows::<Slot>().len() == 0 && cache.snapshot().rows::<Slot>().len() == 0);
}

#[tokio::test]
async fn a_detached_transaction_on_a_view_can_be_read() {
    let Setting { cache, _server, .. } = setting().await;
    let mut txn = Transaction::detached_on(cache.snapshot());
    let a = txn.get_by(Item::NAME, "a").expect("a row");
    txn.edit(&a, |a| a.total = 5);
    let request = txn.to_json().expect("no mistake");
    assert_eq!(
        request.matches(r#""op":"#).count(),
        2,
        "the guard and the update: {request}"
    );
    assert!(request.contains(r#""until":"==""#) && request.contains(r#""row":{"total":5}"#));
    assert_eq!(
        txn.operations().len(),
        1,
        "the guard is not an operation of the transaction"
    );
    // A transaction without a view also shows the rows that it edits.
    let mut txn = Transaction::detached();
    assert!(txn.edit(&a, |a| a.total = 6));
    let rows = txn.peek().rows::<Item>();
    let totals: Vec<_> = rows.map(|row| (row.uuid(), row.total)).collect();
    assert_eq!(totals, [(a.uuid(), 6)]);
}

/// A condition on another column than `_uuid` makes servers before Open vSwitch 3.6 read every row of the
/// table.
#[tokio::test]
async fn where_the_schema_keeps_keys_unique_no_guard_looks_through_the_table() {
    let Setting {
        client,
        cache,
        by_owner,
        _server,
        ..
    } = setting().await;
    let waits = |write: fn(&mut Transaction<Database>)| {
        let mut txn = client.transaction_on(&cache);
        write(&mut txn);
        let request = txn.to_json().expect("no mistake");
        let waits = request.matches(r#""op":"wait""#).count();
        let of_rows = request.matches(r#""where":[["_uuid","==","#).count();
        let written = txn
            .operations()
            .iter()
            .filter(|operation| operation.name() != "insert");
        (waits, waits + written.count() == of_rows)
    };
    let new = |txn: &mut Transaction<Database>| {
        txn.ensure(Item::NAME, "new", |new| new.total = 9);
        txn.ensure(Item::COUNT_AND_TOTAL, (7, 7), |new| {
            new.name = "seven".into();
        });
    };
    assert_eq!(waits(new), (0, true), "no other row can get the key");
    let found = |txn: &mut Transaction<Database>| {
        txn.ensure(Item::NAME, "a", |a| a.total = 9);
    };
    assert_eq!(
        waits(found),
        (2, true),
        "the row has the name, and the old total"
    );
    let read = |txn: &mut Transaction<Database>| {
        let a = txn.get_by(Item::NAME, "a").expect("a row");
        txn.edit(&a, |a| a.total = 9);
    };
    assert_eq!(waits(read), (1, true), "the row is as it was read");
    let mut txn = client.transaction_on(&cache);
    txn.ensure(&by_owner, "nobody", |_| {});
    assert!(
        txn.to_json()
            .expect("no mistake")
            .contains(r#""op":"wait""#),
        "no index of the schema"
    );
}

#[tokio::test]
async fn a_pair_of_a_map_can_be_edited_again_after_other_operations() {
    let Setting {
        client,
        cache,
        _server,
        ..
    } = setting().await;
    let mut txn = client.transaction_on(&cache);
    let a = named(&mut txn, "a").expect("a row");
    for value in ["blue", "green", "yellow"] {
        txn.edit(a, |a| {
            a.notes.insert("color", value);
            a.notes.insert("new", value);
        });
        txn.comment("between");
    }
    txn.commit().await.expect("no other client writes");
    let view = cache.snapshot();
    let notes = &view.get(a).expect("a row").notes;
    assert_eq!(
        *notes,
        [("owner", "me"), ("color", "yellow"), ("new", "yellow")].into()
    );
}

#[tokio::test]
async fn a_row_with_a_real_that_is_sent_rounded_can_be_read_and_edited() {
    let Setting {
        client,
        cache,
        _server,
        ..
    } = setting().await;
    let mut txn = client.transaction();
    txn.insert(Item {
        ratio: (0.1 + 0.2).into(),
        ..item("c", 3)
    });
    txn.commit().await.expect("a commit");
    let mut txn = client.transaction_on(&cache);
    let c = txn.get_by(Item::NAME, "c").expect("a row");
    txn.edit(&c, |c| c.ratio = 5.0.into());
    txn.commit().await.expect("no other client writes");
}
