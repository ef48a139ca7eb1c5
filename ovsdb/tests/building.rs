//! A transaction before it is sent: incomplete operations are not sent, and neither are rows that the
//! server would delete at once.

mod support;

use std::time::Duration;

use ovsdb::protocol::{ErrorKind, Operation, Wire};
use ovsdb::testing::Server;
use ovsdb::transaction::BuildError;
use ovsdb::{Client, CommitError, RowIdentity, Transaction, Uuid};
use support::inventory::{Database, Item, ItemOnly, Part};
use support::{INVENTORY, connect, inventory_server};
use tokio::time::timeout;

/// Longer than anything here takes, so that a test that hangs fails.
const HANG: Duration = Duration::from_secs(30);

fn item(name: &str) -> Item {
    Item {
        name: name.into(),
        total: name.len() as i64,
        only: ItemOnly::Sole,
        ..Default::default()
    }
}

fn part() -> Part {
    Part {
        label: "wheel".into(),
    }
}

async fn client(server: &Server, identity: RowIdentity) -> Client<Database> {
    Client::builder()
        .remotes(server.remote())
        .row_identity(identity)
        .connect()
        .await
        .expect("a client")
}

#[tokio::test]
async fn an_incomplete_operation_is_not_sent() {
    let server = inventory_server();
    let client: Client<Database> = connect(&server).await;
    let requests = client.stats().requests;
    let mut txn = client.transaction();
    let _ = txn.update(Item::NAME.eq("a"));
    let _ = txn.mutate(Item::NAME.eq("a"));
    let _ = txn.wait(Item::NAME.eq("a"));
    let _ = txn
        .wait(Item::NAME.eq("a"))
        .comparing(Item::NAME)
        .timeout(None);
    assert!(txn.is_empty(), "{txn:?}");
    let outcome = txn.commit().await.expect("nothing to do");
    assert!(outcome.results().is_empty());
    assert_eq!(client.stats().requests, requests);

    // Among complete operations, an incomplete one is left out, and its count is 0.
    let mut txn = client.transaction();
    txn.insert(item("a"));
    let none = txn.update(Item::NAME.eq("a")).index();
    let set = txn.update(Item::NAME.eq("a")).set(Item::COUNT, 5).index();
    let _ = txn.wait(Item::NAME.eq("a"));
    let added = txn.mutate(Item::NAME.eq("a")).add(Item::COUNT, 1).index();
    let rows = txn.select::<Item>(Item::NAME.eq("a"));
    let outcome = txn.commit().await.expect("a commit");
    assert_eq!(outcome.results().len(), 4);
    let counts = [none, set, added].map(|index| outcome.count(index));
    assert_eq!(counts, [0, 1, 1]);
    assert_eq!(outcome.rows(&rows).expect("rows")[0].count, 6);
}

#[tokio::test]
async fn a_wait_accepts_the_longest_timeout() {
    let server = inventory_server();
    let client: Client<Database> = connect(&server).await;
    let mut txn = client.transaction();
    txn.wait(Item::NAME.eq("signal"))
        .comparing(Item::NAME)
        .timeout(Some(Duration::MAX))
        .until([item("signal")]);
    let waiting = tokio::spawn(txn.commit());
    while client.stats().in_flight == 0 && !waiting.is_finished() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    client.list_dbs().await.expect("names");
    assert!(!waiting.is_finished());
    let mut txn = client.transaction();
    txn.insert(item("signal"));
    txn.commit().await.expect("a commit");
    timeout(HANG, waiting)
        .await
        .expect("no hang")
        .expect("no panic")
        .expect("a commit");
}

#[tokio::test]
async fn a_uuid_that_the_caller_chooses_is_kept_with_either_row_identity() {
    let server = inventory_server();
    for (number, identity) in [(1, RowIdentity::ClientChosen), (2, RowIdentity::Named)] {
        let client = client(&server, identity).await;
        let uuid = Uuid::from_u128(number);
        let other = Uuid::from_u128(number + 10);
        let insert = |txn: &mut Transaction<Database>| {
            let name = number.to_string().repeat(number as usize);
            // The caller chooses the uuid of one part, but not of the other.
            let mine = txn.insert_with_uuid(other, part());
            let its = txn.insert(part());
            let row = txn.insert_with_uuid(
                uuid,
                Item {
                    parts: [mine, its].into(),
                    ..item(&name)
                },
            );
            txn.mutate(row).insert(Item::TAGS, ["t"]);
            (row, mine, its)
        };
        let mut txn = client.transaction();
        let (row, mine, its) = insert(&mut txn);
        let outcome = txn.commit_once().await.expect("a commit");
        assert_eq!(row.uuid(), uuid);
        assert_eq!(outcome.inserted(row), Some(row));
        assert_eq!(outcome.inserted(mine), Some(mine));
        let its = outcome.inserted(its).expect("a row");

        let mut txn = client.transaction();
        let rows = txn.select::<Item>(row);
        let outcome = txn.commit().await.expect("a commit");
        let rows = outcome.rows(&rows).expect("rows");
        assert_eq!(rows[0].parts, [mine, its].into());
        assert_eq!(rows[0].tags, ["t"].into());

        let mut txn = client.transaction();
        insert(&mut txn);
        let error = txn.commit().await.expect_err("a second try");
        assert_eq!(error.kind(), Some(ErrorKind::DuplicateUuid));
    }
}

type Build = fn(&mut Transaction<Database>);

fn raw(text: &str) -> Operation {
    Wire::from_json(text).expect("an operation")
}

#[tokio::test]
async fn a_row_that_the_server_would_delete_at_once_is_not_inserted() {
    let server = inventory_server();
    // Each error has the number of the operation that inserts such a row.
    let cases: [(&str, usize, Build); 8] = [
        ("alone", 0, |txn| {
            txn.insert(part());
        }),
        ("another one is referred to", 1, |txn| {
            let first = txn.insert(part());
            txn.insert(part());
            txn.insert(Item {
                parts: [first].into(),
                ..item("a")
            });
        }),
        ("by a weak reference", 0, |txn| {
            let part = txn.insert(part());
            txn.insert(Item {
                favourite: Some(part),
                ..item("a")
            });
        }),
        ("by a plain uuid", 0, |txn| {
            let part = txn.insert(part());
            txn.insert(Item {
                serial: Some(part.uuid()),
                ..item("a")
            });
        }),
        ("in a condition and a guard", 1, |txn| {
            txn.insert(item("a"));
            let part = txn.insert(part());
            txn.update(Item::PARTS.includes([part])).set(Item::COUNT, 1);
            txn.wait(Item::NAME.eq("a"))
                .comparing(Item::PARTS)
                .until_not([Item {
                    parts: [part].into(),
                    ..item("a")
                }]);
        }),
        ("where it is taken out", 0, |txn| {
            let part = txn.insert(part());
            txn.mutate(Item::NAME.eq("a")).delete(Item::PARTS, [part]);
        }),
        ("by hand, without a name", 0, |txn| {
            txn.operation(raw(r#"{"op":"insert","table":"Part","row":{}}"#));
        }),
        ("by hand, and another name is referred to", 0, |txn| {
            txn.operation(raw(
                r#"{"op":"insert","table":"Part","row":{},"uuid-name":"p"}"#,
            ));
            txn.operation(raw(
                r#"{"op":"insert","table":"Item","row":{"parts":["named-uuid","q"],"only":"sole"}}"#,
            ));
        }),
    ];
    for identity in [RowIdentity::ClientChosen, RowIdentity::Named] {
        let client = client(&server, identity).await;
        for (name, place, build) in &cases {
            let mut txn = client.transaction();
            build(&mut txn);
            match txn.commit_once().await {
                Err(CommitError::Build(BuildError::Unreferenced { operation, table })) => {
                    assert_eq!((operation, &*table), (*place, "Part"), "{name}");
                }
                other => panic!("{name}: {other:?}"),
            }
        }
        assert_eq!(client.stats().requests, 0);
    }
}

#[tokio::test]
async fn a_row_that_another_one_refers_to_is_inserted() {
    let server = inventory_server();
    let cases: [(&str, Build); 6] = [
        ("by an insert before it", |txn| {
            let part = Uuid::from_u128(77);
            txn.insert(Item {
                parts: [ovsdb::Ref::new(part)].into(),
                ..item("owner")
            });
            txn.insert_with_uuid(part, self::part());
        }),
        ("by an update", |txn| {
            txn.insert(item("owner"));
            let part = txn.insert(part());
            txn.update(Item::NAME.eq("owner")).set(Item::PARTS, [part]);
        }),
        ("by a mutation", |txn| {
            txn.insert(item("owner"));
            let part = txn.insert(part());
            txn.mutate(Item::NAME.eq("owner"))
                .insert(Item::PARTS, [part]);
        }),
        ("by an operation that was built by hand", |txn| {
            txn.insert(item("owner"));
            let part = Uuid::from_u128(78);
            txn.insert_with_uuid(part, self::part());
            txn.operation(raw(&format!(
                r#"{{"op":"mutate","table":"Item","where":[["name","==","owner"]],"mutations":[["parts","insert",["uuid","{part}"]]]}}"#
            )));
        }),
        ("by the name that was given by hand", |txn| {
            txn.operation(raw(
                r#"{"op":"insert","table":"Part","row":{},"uuid-name":"p"}"#,
            ));
            txn.operation(raw(
                r#"{"op":"insert","table":"Item","row":{"name":"owner","parts":["named-uuid","p"],"only":"sole"}}"#,
            ));
        }),
        ("a row of a root table", |txn| {
            txn.insert(item("owner"));
        }),
    ];
    for identity in [RowIdentity::ClientChosen, RowIdentity::Named] {
        let client = client(&server, identity).await;
        for (name, build) in &cases {
            let mut txn = client.transaction();
            build(&mut txn);
            if let Err(error) = txn.commit().await {
                panic!("{name}: {error}: {:?}", std::error::Error::source(&error));
            }
            let mut txn = client.transaction();
            let parts = txn.select::<Part>(Part::LABEL.ne("nothing"));
            txn.delete(Item::NAME.eq("owner"));
            let outcome = txn.commit().await.expect("a commit");
            let parts = outcome.rows(&parts).expect("rows").len();
            assert_eq!(
                parts,
                usize::from(*name != "a row of a root table"),
                "{name}"
            );
        }
    }
}

#[tokio::test]
async fn without_a_root_table_every_table_is_one() {
    let rootless = INVENTORY.replace("\"isRoot\": true,", "");
    assert!(!rootless.contains("isRoot"));
    let server = Server::builder().schema(rootless).start().expect("it");
    let client: Client<Database> = connect(&server).await;
    let mut txn = client.transaction();
    let part = txn.insert(part());
    txn.commit().await.expect("a commit");
    let mut txn = client.transaction();
    let rows = txn.select::<Part>(part);
    let outcome = txn.commit().await.expect("a commit");
    assert_eq!(outcome.rows(&rows).expect("rows").len(), 1);
}
