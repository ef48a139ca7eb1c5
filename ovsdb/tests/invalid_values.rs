//! Values that a server refuses or cannot keep are refused before anything is sent, and the connection stays.

mod support;

use ovsdb::protocol::{InvalidReason, InvalidValue, Json, Operation, Wire};
use ovsdb::transaction::BuildError;
use ovsdb::value::{Atom, Datum};
use ovsdb::{Client, CommitError, Error, Real, RowIdentity, Transaction};
use support::inventory::{Database, Item, ItemOnly, Part};
use support::{connect, inventory_server};

const NUL: &str = "a\0b";

fn item() -> Item {
    Item {
        only: ItemOnly::Sole,
        ..Default::default()
    }
}

async fn refused(
    client: &Client<Database>,
    build: impl FnOnce(&mut Transaction<Database>),
) -> InvalidValue {
    let mut txn = client.transaction();
    txn.comment("before");
    build(&mut txn);
    match txn.commit().await {
        Err(CommitError::Build(BuildError::InvalidValue(invalid))) => invalid,
        other => panic!("expected an invalid value, got {other:?}"),
    }
}

fn invalid<T: std::fmt::Debug>(result: Result<T, Error>) -> InvalidReason {
    match result {
        Err(Error::InvalidValue(invalid)) => invalid.reason,
        other => panic!("expected an invalid value, got {other:?}"),
    }
}

fn json(text: &str) -> Json {
    Wire::from_json(text).expect("JSON")
}

#[tokio::test]
async fn a_nul_is_refused_wherever_a_string_goes() {
    let server = inventory_server();
    for identity in [RowIdentity::ClientChosen, RowIdentity::Named] {
        let client = Client::<Database>::builder()
            .remotes(server.remote())
            .row_identity(identity)
            .connect()
            .await
            .expect("a client");
        let cache = client.cache().table::<Item>().start().await.expect("it");

        // Other requests on the connection are not disturbed.
        let mut waiting = client.transaction();
        waiting
            .wait(Item::NAME.eq("signal"))
            .comparing(Item::NAME)
            .timeout(None)
            .until_not([]);
        let waiting = tokio::spawn(waiting.commit());

        let places = [
            refused(&client, |txn| {
                txn.insert(Item {
                    name: NUL.into(),
                    ..item()
                });
            })
            .await,
            refused(&client, |txn| {
                txn.insert(Item {
                    notes: [("key", NUL)].into(),
                    ..item()
                });
            })
            .await,
            refused(&client, |txn| {
                txn.update(Item::NAME.eq(NUL)).set(Item::COUNT, 1);
            })
            .await,
            refused(&client, |txn| {
                txn.mutate(Item::NAME.eq("n")).insert(Item::TAGS, [NUL]);
            })
            .await,
            refused(&client, |txn| {
                txn.delete(Item::TAGS.includes([NUL]));
            })
            .await,
            refused(&client, |txn| {
                let _ = txn.select::<Item>(Item::NAME.eq(NUL));
            })
            .await,
            refused(&client, |txn| {
                txn.wait(Item::COUNT.eq(1))
                    .comparing(Item::NAME)
                    .until([Item {
                        name: NUL.into(),
                        ..item()
                    }]);
            })
            .await,
        ];
        for place in places {
            assert_eq!(place.reason, InvalidReason::Nul(1), "{place}");
            assert_eq!(place.operation, Some(1), "{place}");
            assert_eq!(place.table.as_deref(), Some("Item"), "{place}");
            assert!(place.column.is_some(), "{place}");
        }
        let comment = refused(&client, |txn| {
            txn.comment(NUL);
        });
        assert_eq!(comment.await.reason, InvalidReason::Nul(1));
        let lock = refused(&client, |txn| {
            txn.assert_lock(NUL);
        });
        assert_eq!(lock.await.reason, InvalidReason::Nul(1));
        let raw = refused(&client, |txn| {
            txn.operation(Operation::Select {
                table: NUL.into(),
                conditions: Vec::new(),
                columns: None,
            });
        });
        assert_eq!(raw.await.reason, InvalidReason::Nul(1));

        let nul = InvalidReason::Nul(1);
        assert_eq!(invalid(client.lock(NUL).await), nul);
        assert_eq!(invalid(client.steal(NUL).await), nul);
        assert_eq!(invalid(client.get_schema(NUL).await), nul);
        let conditional = client.cache().table_where::<Item>(Item::NAME.eq(NUL));
        assert_eq!(invalid(conditional.start().await), nul);
        let condition = Item::NAME.eq("n").or(Item::NAME.eq(NUL));
        assert_eq!(invalid(cache.set_condition(condition).await), nul);

        assert!(!waiting.is_finished());
        let mut txn = client.transaction();
        txn.insert(Item {
            name: "signal".into(),
            total: identity as i64,
            ..item()
        });
        let signal = txn.commit().await.expect("a commit");
        assert_eq!(signal.results().len(), 1);
        waiting.await.expect("no panic").expect("a commit");
        let mut txn = client.transaction();
        txn.delete(Item::NAME.eq("signal"));
        txn.commit().await.expect("a commit");
        assert_eq!(client.stats().connections, 1);
    }
}

#[tokio::test]
async fn reals_that_a_server_cannot_keep_are_refused_and_all_others_are_kept() {
    let mut server = inventory_server();
    let client: Client<Database> = connect(&server).await;
    let cache = client.cache().table::<Item>().start().await.expect("it");
    for real in [
        f64::NAN,
        f64::INFINITY,
        f64::NEG_INFINITY,
        5e-324,
        -1e-310,
        f64::MIN_POSITIVE,
        f64::MAX,
        f64::MIN,
    ] {
        let reason = InvalidReason::Real(real.into());
        let inserted = refused(&client, |txn| {
            txn.insert(Item {
                ratio: real.into(),
                ..item()
            });
        });
        let place = inserted.await;
        assert_eq!(place.reason, reason);
        assert_eq!(place.column.as_deref(), Some("ratio"));
        let compared = refused(&client, |txn| {
            txn.delete(Item::RATIO.lt(real));
        });
        assert_eq!(compared.await.reason, reason);
        let added = refused(&client, |txn| {
            txn.mutate(Item::NAME.eq("n")).add(Item::RATIO, real);
        });
        assert_eq!(added.await.reason, reason);
        let raw = refused(&client, |txn| {
            txn.operation(Operation::Insert {
                table: "Item".into(),
                row: [("ratio", Datum::from(Atom::Real(real.into())))].into(),
                uuid_name: None,
                uuid: None,
            });
        });
        assert_eq!(raw.await.reason, reason);
        let condition = cache.set_condition(Item::RATIO.gt(real));
        assert_eq!(invalid(condition.await), reason);
    }

    let kept = [
        2.225_073_858_507_21e-308,
        -2.225_073_858_507_21e-308,
        1.797_693_134_862_31e308,
        -1.797_693_134_862_31e308,
        0.0,
        1e22,
        -2.5,
    ];
    let mut txn = client.transaction();
    for (total, real) in (0..).zip(kept) {
        txn.insert(Item {
            name: format!("{total}").into(),
            total,
            ratio: real.into(),
            ..item()
        });
    }
    txn.commit().await.expect("a commit");
    assert_eq!(client.stats().connections, 1);
    // The server can read its own file.
    server.kill().expect("killed");
    server.start().expect("started");
    let client: Client<Database> = connect(&server).await;
    let cache = client.cache().table::<Item>().start().await.expect("it");
    let view = cache.snapshot();
    assert_eq!(view.rows::<Item>().len(), kept.len());
    for row in view.rows::<Item>() {
        let place = usize::try_from(row.total).expect("a place");
        assert_eq!(row.ratio, Real::from(kept[place]));
    }
}

#[tokio::test]
async fn json_that_a_server_does_not_read_is_refused() {
    let server = inventory_server();
    let client: Client<Database> = connect(&server).await;
    let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
    client.echo(json(&nested(999))).await.expect("an echo");
    let deep = client.echo(json(&nested(1000))).await;
    assert_eq!(invalid(deep), InvalidReason::TooDeep(999));
    let object = client.echo(json("{}")).await;
    assert_eq!(invalid(object), InvalidReason::NotAnArray);
    let small = client.echo(json("[5e-324]")).await;
    assert_eq!(invalid(small), InvalidReason::Real(5e-324.into()));
    let schema = client.convert(json(&nested(999))).await;
    assert_eq!(invalid(schema), InvalidReason::TooDeep(998));
    // Exactly as deep as a server reads; the error is the server's.
    let schema = client.convert(json(&nested(998))).await;
    assert!(matches!(schema, Err(Error::Refused(_))), "{schema:?}");
    assert_eq!(client.stats().connections, 1);
}

#[tokio::test]
async fn a_database_whose_name_has_a_nul_is_not_requested() {
    #[derive(Debug)]
    struct Broken;
    impl ovsdb::Database for Broken {
        const NAME: &'static str = "a\0b";
    }
    let server = inventory_server();
    let connect = Client::<Broken>::builder()
        .remotes(server.remote())
        .wait_for_server(true)
        .connect();
    assert_eq!(invalid(connect.await), InvalidReason::Nul(1));
}

#[tokio::test]
async fn a_row_that_refers_to_another_is_checked_as_well() {
    let server = inventory_server();
    let client: Client<Database> = connect(&server).await;
    let invalid = refused(&client, |txn| {
        let part = txn.insert(Part { label: NUL.into() });
        txn.insert(Item {
            parts: [part].into(),
            ..item()
        });
    });
    let invalid = invalid.await;
    assert_eq!(
        invalid.to_string(),
        r#"operation 1, insert in Part, column "label": a string has a NUL character, at byte 1"#
    );
}
