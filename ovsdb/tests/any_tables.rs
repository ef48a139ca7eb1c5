//! Tables known at run time only: databases, schemas, replicas, conditions and operations by name.

mod support;

use std::time::Duration;

use ovsdb::cache::{AnyChange, AnyRow, Freshness, WorkQueue};
use ovsdb::model::{AllOf, AnyColumn, AnyTable, Condition};
use ovsdb::protocol::{Columns, ErrorKind, Function, Mutation, Mutator, Until, Wire};
use ovsdb::testing::{Dump, Server};
use ovsdb::transaction::{AnyOperations, BuildError};
use ovsdb::value::{Atom, Datum};
use ovsdb::{
    AnyDatabase, Cache, Client, ColumnValue, CommitError, Error, MismatchReason, MonitorVersion,
    RowIdentity, SchemaMismatch, Skew, Uuid, nb,
};
use support::inventory::{self, Item};
use support::peer::Peer;
use support::replica::Fold;
use support::scale::size;
use support::seed::Seed;
use support::{INVENTORY, bundled_server, connect, inventory_server, item};
use tokio::time::timeout;

/// Longer than anything here takes, so that a test that hangs fails.
const HANG: Duration = Duration::from_secs(60);

const VERSIONS: [MonitorVersion; 3] = [
    MonitorVersion::Monitor,
    MonitorVersion::MonitorCond,
    MonitorVersion::MonitorCondSince,
];

async fn open(server: &Server, database: &str) -> Client<AnyDatabase> {
    let client = Client::builder().remotes(server.remote());
    let client = client.database(database).connect().await;
    client.expect("a client")
}

/// The differences between the replica and the server. No client may write meanwhile.
fn differences(
    cache: &Cache<AnyDatabase>,
    server: &Server,
    database: &str,
) -> (usize, Vec<String>) {
    let dump = server.dump(database, None).expect("a dump");
    let dump: Dump = dump.parse().expect("understood");
    let (tables, found) = dump.differences(&cache.snapshot());
    (tables, found.iter().map(ToString::to_string).collect())
}

fn column(name: &str) -> AnyColumn {
    AnyColumn::new(name)
}

/// The only row of a table.
fn only<'a>(rows: Option<impl Iterator<Item = &'a dyn AnyRow>>) -> &'a dyn AnyRow {
    let rows: Vec<_> = rows.expect("the table").collect();
    assert_eq!(rows.len(), 1, "{rows:?}");
    rows[0]
}

fn text(row: &dyn AnyRow, column: &str) -> String {
    row.get(column).expect(column).to_datum().to_string()
}

fn mismatch(error: Error) -> SchemaMismatch {
    match error {
        Error::SchemaMismatch(mismatch) => mismatch,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_server_lists_its_databases_and_their_schemas() {
    let server = bundled_server("OVN_Northbound");
    // Without a database name, this is a client of `_Server`, in which the server describes itself.
    let client: Client<AnyDatabase> = connect(&server).await;
    assert_eq!(client.database(), "_Server");
    let databases = client.databases().await.expect("databases");
    let names: Vec<_> = databases.iter().map(|database| &*database.name).collect();
    assert_eq!(names, ["OVN_Northbound", "_Server"]);
    for database in &databases {
        assert_eq!(database.model.as_deref(), Some("standalone"));
        assert!(database.connected && database.leader && database.cluster.is_none());
    }
    let schema = client.get_schema("OVN_Northbound").await.expect("a schema");
    assert!(schema.tables.contains_key("Logical_Switch"));
    let description = client.cache().any_table("Database").start().await;
    let description = description.expect("a cache");
    assert_eq!(description.snapshot().len(), 2);

    let client = open(&server, "OVN_Northbound").await;
    assert_eq!(*client.server_schema(), schema);
    assert_eq!(client.databases().await.expect("databases"), databases);
    let missing = Client::<AnyDatabase>::builder().remotes(server.remote());
    let missing = missing.database("Nobody").connect().await;
    let error = ovsdb::ErrorChain::new(&missing.expect_err("no such database")).to_string();
    assert!(error.contains("no database Nobody"), "{error}");
}

#[tokio::test]
async fn rows_of_compiled_tables_are_read_by_name() {
    let server = inventory_server();
    let client: Client<inventory::Database> = connect(&server).await;
    let cache = client.cache().all_tables().start().await.expect("a cache");
    let mut txn = client.transaction();
    let mut bolt = item("bolt", 5);
    bolt.notes = [("k", "v")].into();
    txn.insert(bolt.clone());
    txn.commit().await.expect("a commit");

    let view = cache.snapshot();
    let row = only(view.any_rows("Item"));
    assert_eq!(
        (row.table(), text(row, "name"), text(row, "total")),
        ("Item", r#""bolt""#.into(), "5".into())
    );
    assert_eq!(text(row, "notes"), r#"["map",[["k","v"]]]"#);
    assert!(row.get("nothing").is_none() && view.any_rows("Nothing").is_none());
    assert_eq!(row.values().count(), row.columns().len());
    let typed = row
        .as_any()
        .downcast_ref::<ovsdb::Row<Item>>()
        .expect("an item");
    assert_eq!(**typed, bolt);
    assert_eq!(
        view.any_row("Item", row.uuid()).expect("the row").uuid(),
        row.uuid()
    );

    // A client of a compiled database may also use tables by name, with the same contents.
    let both = client.cache().table::<Item>().any_tables().start().await;
    let both = both.expect("a cache").snapshot();
    assert_eq!(
        both.table_names().collect::<Vec<_>>(),
        ["Item", "Part", "Slot"]
    );
    assert_eq!(both.rows::<Item>().len(), 1);
    let named = client
        .cache()
        .any_table("Item")
        .start()
        .await
        .expect("a cache");
    let named = named.snapshot();
    let same = only(named.any_rows("Item"));
    assert!(same.as_any().downcast_ref::<ovsdb::Row<Item>>().is_none());
    assert_eq!(same.to_columns(), row.to_columns());
    let twice = client
        .cache()
        .table::<Item>()
        .any_table("Item")
        .start()
        .await;
    assert!(matches!(twice, Err(Error::TableTwice(table)) if table == "Item"));
}

/// Inserts switches with ports.
async fn fill(client: &Client<nb::Database>, from: usize, to: usize) {
    let mut txn = client.transaction();
    for number in from..to {
        let port = txn.insert(nb::LogicalSwitchPort {
            name: format!("port{number}").into(),
            addresses: ["unknown", "dynamic"].into(),
            tag: Some(1 + number as i64),
            r#type: if number % 2 == 0 { "router" } else { "" }.into(),
            ..Default::default()
        });
        txn.insert(nb::LogicalSwitch {
            name: format!("switch{number}").into(),
            ports: [port].into(),
            external_ids: [("number", number.to_string())].into(),
            ..Default::default()
        });
    }
    txn.commit().await.expect("a commit");
}

#[tokio::test]
async fn a_replica_of_a_whole_database_is_what_the_server_holds() {
    let server = bundled_server("OVN_Northbound");
    let writer: Client<nb::Database> = connect(&server).await;
    fill(&writer, 0, 20).await;
    let client = open(&server, "OVN_Northbound").await;
    for version in VERSIONS {
        let cache = client.cache().any_tables().newest_monitor(version);
        let cache = cache.start().await.expect("a cache");
        assert!(cache.skew().is_empty(), "{}", cache.skew());
        let whole = client.server_schema().tables.len();
        assert_eq!(
            differences(&cache, &server, "OVN_Northbound"),
            (whole, vec![])
        );
    }
    let cache = client.cache().any_tables().start().await.expect("a cache");
    let mut changes = cache.all_changes();
    let mut fold = Fold::default();
    fold.take(&changes.next().await.expect("the start"));
    // Changes of another client, and a connection that is lost meanwhile.
    let mut txn = writer.transaction();
    txn.update(nb::LogicalSwitch::NAME.eq("switch3"))
        .set(nb::LogicalSwitch::NAME, "renamed");
    txn.mutate(nb::LogicalSwitch::NAME.eq("switch4"))
        .insert(nb::LogicalSwitch::EXTERNAL_IDS, [("more", "1")]);
    txn.delete(nb::LogicalSwitch::NAME.eq("switch5"));
    txn.commit().await.expect("a commit");
    let batch = timeout(HANG, changes.next())
        .await
        .expect("no hang")
        .expect("a batch");
    let mut changed: Vec<_> = batch.any_table("Logical_Switch").expect("the table");
    assert_eq!(changed.len(), 3);
    assert_eq!(batch.all().len(), 4, "its port is deleted too");
    changed.retain(|change| matches!(change, AnyChange::Modified { .. }));
    let renamed = changed
        .iter()
        .find(|change| change.columns().any(|name| name == "name"));
    let renamed = renamed.expect("the switch that was renamed");
    let names = [renamed.before(), renamed.after()].map(|row| text(row.expect("a row"), "name"));
    assert_eq!(names, [r#""switch3""#, r#""renamed""#]);
    fold.take(&batch);
    client.reconnect();
    fill(&writer, 20, 25).await;
    timeout(HANG, async {
        while !fold.is(&cache.snapshot())
            || cache
                .snapshot()
                .any_rows("Logical_Switch")
                .map_or(0, |rows| rows.len())
                < 24
        {
            fold.take(&changes.next().await.expect("a batch"));
        }
    })
    .await
    .expect("no hang");
    assert_eq!(fold.deleted, 2);
    assert_eq!(
        differences(&cache, &server, "OVN_Northbound").1,
        [] as [&str; 0]
    );
}

#[tokio::test]
async fn columns_and_rows_are_chosen_by_name() {
    let server = bundled_server("OVN_Northbound");
    let writer: Client<nb::Database> = connect(&server).await;
    fill(&writer, 0, 10).await;
    let client = open(&server, "OVN_Northbound").await;
    let ports = client
        .cache()
        .any_columns("Logical_Switch_Port", ["_uuid", "name", "tag"])
        .any_table_where(
            "Logical_Switch_Port",
            column("type").eq("router").or(column("tag").gt(9)),
        );
    let ports = ports.start().await.expect("a cache");
    let count = || {
        ports
            .snapshot()
            .any_rows("Logical_Switch_Port")
            .map(Iterator::count)
    };
    assert_eq!(count(), Some(6));
    let view = ports.snapshot();
    let row = view
        .any_rows("Logical_Switch_Port")
        .into_iter()
        .flatten()
        .next();
    let row = row.expect("a row");
    assert_eq!(row.columns().names().collect::<Vec<_>>(), ["name", "tag"]);
    let by_uuid = column("_uuid").eq(row.uuid());
    for (condition, rows) in [
        (column("name").eq("port3"), 1),
        (column("tag").le(4), 4),
        (column("addresses").includes(Datum::set(["dynamic"])), 10),
        (column("external_ids").includes(Datum::map([("a", "b")])), 0),
        (by_uuid, 1),
        (Condition::all(), 10),
    ] {
        let shown = condition.to_string();
        ports
            .set_any_condition("Logical_Switch_Port", condition)
            .await
            .expect("in force");
        assert_eq!(count(), Some(rows), "{shown}");
    }
    let error = ports
        .set_any_condition("Logical_Switch", column("name").eq("a"))
        .await;
    let error = mismatch(error.expect_err("not in the cache"));
    assert!(
        matches!(&*error.reason, MismatchReason::NotCached { .. }),
        "{error}"
    );
    let error = ports
        .set_any_condition("Logical_Switch_Port", column("nam").eq("a"))
        .await;
    assert_eq!(
        error.expect_err("no such column").to_string(),
        r#"column "nam" of the table "Logical_Switch_Port": the table has no such column; did you mean `name`?"#
    );
    assert_eq!(count(), Some(10), "the condition stays");
}

#[tokio::test]
async fn names_and_values_that_the_schema_lacks_are_errors_that_help() {
    let server = inventory_server();
    let client = open(&server, "Inventory").await;
    let caches = [
        client.cache().any_table("Itm"),
        client.cache().any_columns("Item", ["name", "tag"]),
        client
            .cache()
            .any_table_where("Item", column("weigth").gt(1)),
        client
            .cache()
            .any_table_where("Item", column("count").eq("one")),
        client
            .cache()
            .any_table_where("Item", column("name").lt("a")),
        client
            .cache()
            .any_table_where("Item", column("class").eq("larg")),
        client
            .cache()
            .any_table_where("Item", column("count").eq(2_000_000)),
        client
            .cache()
            .any_table_where("Item", column("count").eq(Datum::empty())),
    ];
    let mut errors = Vec::new();
    for cache in caches {
        errors.push(cache.start().await.expect_err("a mistake").to_string());
    }
    assert_eq!(
        errors,
        [
            r#"table "Itm": the database has no such table; did you mean `Item`?"#,
            r#"column "tag" of the table "Item": the table has no such column; did you mean `tags`?"#,
            r#"column "weigth" of the table "Item": the table has no such column; did you mean `weight`?"#,
            r#"column "count" of the table "Item": expected integer, found "one""#,
            r#"column "name" of the table "Item": the function "<" cannot be applied to a column of the type string"#,
            r#"column "class" of the table "Item": the value "larg" is not allowed: expected one of large, small; did you mean `large`?"#,
            r#"column "count" of the table "Item": the value 2000000 is not allowed: expected -1000 to 1000000"#,
            r#"column "count" of the table "Item": expected 1 value, found 0"#,
        ]
    );
}

async fn build_error(txn: ovsdb::Transaction<AnyDatabase>) -> SchemaMismatch {
    match txn.commit().await {
        Err(CommitError::Build(BuildError::SchemaMismatch(mismatch))) => mismatch,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn operations_name_tables_and_columns() {
    for identity in [RowIdentity::ClientChosen, RowIdentity::Named] {
        let server = inventory_server();
        let client = Client::<AnyDatabase>::builder().remotes(server.remote());
        let client = client
            .database("Inventory")
            .row_identity(identity)
            .connect();
        let client = client.await.expect("a client");
        let cache = client.cache().any_tables().start().await.expect("a cache");

        let mut txn = client.transaction();
        let part = txn.any_table("Part").insert([("label", "p")]);
        let row: [(&str, Datum); 4] = [
            ("name", "bolt".into()),
            ("only", "sole".into()),
            ("ratio", 2.into()),
            ("parts", part.into()),
        ];
        let bolt = txn.any_table("Item").insert(row);
        let outcome = txn.commit().await.expect("a commit");
        let [part, bolt] = [part, bolt].map(|row| outcome.inserted_uuid(row).expect("a row"));
        let view = cache.snapshot();
        let row = only(view.any_rows("Item"));
        assert_eq!(row.uuid(), bolt);
        assert_eq!(
            row.get("parts").map(ColumnValue::to_datum),
            Some(part.into())
        );
        // The value has its column's type, although it was written as an integer.
        assert_eq!(
            row.get("ratio")
                .map(|ratio| format!("{:?}", ratio.to_datum())),
            Some(format!("{:?}", Datum::from(2.0)))
        );

        let mut txn = client.transaction();
        let mut items = txn.any_table("Item");
        let is_bolt = || column("name").eq("bolt");
        items.wait(is_bolt(), ["total"], Until::Equal, [[("total", 0)].into()]);
        let updated = items.update(
            is_bolt(),
            [("total", Datum::from(7)), ("tags", Datum::set(["a"]))],
        );
        let mutated = items.mutate(
            column("_uuid").eq(bolt),
            [
                Mutation::new("tags", Mutator::Insert, "b"),
                Mutation::new("total", Mutator::Add, 1),
                Mutation::new("notes", Mutator::Insert, Datum::map([("k", "v")])),
            ],
        );
        let selected = items.select(AllOf::from(Condition::all()), ["_uuid", "tags", "total"]);
        let outcome = txn.commit().await.expect("a commit");
        assert_eq!((outcome.count(updated), outcome.count(mutated)), (1, 1));
        let tags: Datum = Datum::set(["a", "b"]);
        let expected: Columns =
            [("_uuid", bolt.into()), ("tags", tags), ("total", 8.into())].into();
        assert_eq!(outcome.any_rows(&selected), [expected]);
        let view = cache.snapshot();
        assert_eq!(
            text(only(view.any_rows("Item")), "notes"),
            r#"["map",[["k","v"]]]"#
        );

        let mut txn = client.transaction();
        let deleted = txn.any_table("Item").delete(column("total").ge(8));
        let outcome = txn.commit().await.expect("a commit");
        assert_eq!(outcome.count(deleted), 1);
        assert!(cache.snapshot().is_empty());
    }
}

type Write = fn(&mut AnyOperations<'_, AnyDatabase>);

fn any() -> Condition<AnyTable> {
    Condition::all()
}

#[tokio::test]
async fn operations_that_do_not_fit_the_schema_are_not_sent() {
    let server = inventory_server();
    let client = open(&server, "Inventory").await;
    let sent = client.stats().committed;
    let writes: [(&str, Write); 10] = [
        ("Items", |table| _ = table.insert(Columns::new())),
        ("Item", |table| _ = table.insert([("nam", "a")])),
        ("Item", |table| _ = table.insert([("_uuid", Uuid::nil())])),
        ("Item", |table| {
            let sizes = (0..4).map(|number| (number.to_string(), number));
            table.insert([("sizes", Datum::map(sizes))]);
        }),
        ("Item", |table| _ = table.insert([("name", "a")])),
        ("Item", |table| _ = table.update(any(), [("name", "a")])),
        ("Item", |table| _ = table.update(any(), [("parts", "a")])),
        ("Item", |table| {
            table.mutate(any(), [Mutation::new("active", Mutator::Add, 1)]);
        }),
        ("Item", |table| {
            table.mutate(any(), [Mutation::new("ratio", Mutator::Modulo, 1)]);
        }),
        ("Item", |table| drop(table.select(any(), ["label"]))),
    ];
    let mut errors = Vec::new();
    for (table, write) in writes {
        let mut txn = client.transaction();
        txn.comment("the first operation");
        write(&mut txn.any_table(table));
        let error = build_error(txn).await;
        assert_eq!(error.operation, Some(1));
        errors.push(error.to_string());
    }
    assert_eq!(
        errors,
        [
            r#"operation 1, table "Items": the database has no such table; did you mean `Item`?"#,
            r#"operation 1, column "nam" of the table "Item": the table has no such column; did you mean `name`?"#,
            r#"operation 1, column "_uuid" of the table "Item": only the server sets this column"#,
            r#"operation 1, column "sizes" of the table "Item": expected 0 to 3 values, found 4"#,
            r#"operation 1, column "only" of the table "Item": the value "" is not allowed: expected one of sole"#,
            r#"operation 1, column "name" of the table "Item": the column cannot be changed after its row was inserted: insert another row instead"#,
            r#"operation 1, column "parts" of the table "Item": expected set of uuid, found "a""#,
            r#"operation 1, column "active" of the table "Item": the mutator "+=" cannot be applied to a column of the type boolean"#,
            r#"operation 1, column "ratio" of the table "Item": the mutator "%=" cannot be applied to a column of the type real"#,
            r#"operation 1, column "label" of the table "Item": the table has no such column"#,
        ]
    );
    assert_eq!(client.stats().committed, sent);
}

fn some_atom(random: &mut fastrand::Rng) -> Atom {
    match random.u8(..9) {
        0 => Atom::from(random.i64(-3..3)),
        1 => Atom::from(5_000_000),
        2 => Atom::from(1.5),
        3 => Atom::from(2.0),
        4 => Atom::from(random.bool()),
        5 => Atom::from("small"),
        6 => Atom::from("sole"),
        7 => Atom::from("other"),
        _ => Atom::from(Uuid::from_u128(1)),
    }
}

fn some_datum(random: &mut fastrand::Rng) -> Datum {
    let count = random.usize(..3);
    match random.u8(..4) {
        0 => Datum::map(
            (0..count)
                .map(|_| (some_atom(random), some_atom(random)))
                .collect::<Vec<_>>(),
        ),
        1 => Datum::set((0..count).map(|_| some_atom(random)).collect::<Vec<_>>()),
        _ => Datum::from(some_atom(random)),
    }
}

/// The server refuses what the client's check refuses, except values for a column that only the server
/// sets (`_uuid`). The reverse holds too, as far as the schema alone shows it.
#[tokio::test]
async fn the_check_agrees_with_the_server() {
    let server = inventory_server();
    let client = open(&server, "Inventory").await;
    let schema = client.server_schema();
    let seed = Seed::new();
    let random = &mut seed.random();
    let mut columns: Vec<_> = schema.tables["Item"]
        .columns
        .keys()
        .map(String::as_str)
        .collect();
    columns.push("_uuid");
    let (mut passed, mut refused) = (0, 0);
    // A row that the conditions of `select` can find. The updates and mutations below match no row.
    let mut txn = client.transaction();
    txn.any_table("Item")
        .insert([("name", "a"), ("only", "sole")]);
    txn.commit().await.expect("a row");
    for _ in 0..size(2000, 50_000) {
        let name = *random.choice(&columns).expect("a column");
        let datum = some_datum(random);
        let function = *random
            .choice(&[
                Function::Equal,
                Function::NotEqual,
                Function::Less,
                Function::GreaterOrEqual,
                Function::Includes,
                Function::Excludes,
            ])
            .expect("a function");
        let mutator = *random
            .choice(&[
                Mutator::Add,
                Mutator::Divide,
                Mutator::Modulo,
                Mutator::Insert,
                Mutator::Delete,
            ])
            .expect("a mutator");
        let nothing = || Condition::<AnyTable>::none();
        let (mut checked, mut plain) = (client.transaction(), client.transaction());
        let mut table = checked.any_table("Item");
        match random.u8(..4) {
            0 => drop(table.select(column(name).compare(function, datum), ["name"])),
            1 => {
                let mut row: Columns = [("only", "sole")].into();
                row.insert(name, datum);
                table.insert(row);
            }
            2 => {
                table.update(nothing(), [(name, datum)]);
            }
            _ => {
                table.mutate(nothing(), [Mutation::new(name, mutator, datum)]);
            }
        }
        for operation in checked.operations() {
            plain.operation(operation.clone());
        }
        // The database must not change.
        checked.abort();
        plain.abort();
        let shown = plain.operations()[0].to_json();
        let verdict = match checked.commit().await {
            Err(CommitError::Build(BuildError::SchemaMismatch(mismatch))) => Some(mismatch),
            _ => None,
        };
        let refusal = match plain.commit().await {
            Err(CommitError::Refused(refusal)) => refusal,
            other => panic!("{shown}: {other:?}"),
        };
        let by_schema = refusal.operation == Some(0);
        match verdict {
            Some(mismatch) if matches!(*mismatch.reason, MismatchReason::OfServer) => {}
            Some(mismatch) => {
                assert!(by_schema, "{shown}: {mismatch}, but the server: {refusal}");
                refused += 1;
            }
            None => {
                assert!(!by_schema, "{shown}: {refusal}");
                assert_eq!(refusal.error.kind(), ErrorKind::Aborted, "{shown}");
                passed += 1;
            }
        }
    }
    assert!(
        passed > size(100, 1000) && refused > size(100, 1000),
        "{passed} and {refused}"
    );
}

async fn convert(client: &Client<AnyDatabase>, schema: &str) {
    let schema = Wire::from_json(schema).expect("json");
    let converted = timeout(HANG, client.convert(schema)).await;
    converted.expect("no hang").expect("converted");
}

#[tokio::test]
async fn rows_get_the_columns_of_a_schema_that_changes() {
    let server = inventory_server();
    let client = open(&server, "Inventory").await;
    let mut txn = client.transaction();
    txn.any_table("Item").insert([
        ("name", Datum::from("a")),
        ("only", "sole".into()),
        ("weight", 3.into()),
    ]);
    txn.any_table("Slot").insert([("number", 1)]);
    txn.commit().await.expect("a commit");
    let cache = client.cache().any_tables().start().await.expect("a cache");
    let some = client
        .cache()
        .any_columns("Item", ["name", "count", "weight"]);
    let some = some.start().await.expect("a cache");
    let mut changes = cache.all_changes();
    let mut fold = Fold::default();
    fold.take(&changes.next().await.expect("the start"));
    let before = cache.snapshot();

    // One column is new, one was removed, one now holds several values, one table is new, another was
    // removed.
    let new: &str = &INVENTORY
        .replacen(r#""total": {"type": "integer"}"#, r#""total": {"type": "integer"}, "grade": {"type": {"key": "integer", "min": 0}}"#, 1)
        .replacen(r#""count": {"type": {"key": {"type": "integer", "minInteger": -1000, "maxInteger": 1000000}}},"#, "", 1)
        .replacen(r#"["count", "total"]"#, r#"["total"]"#, 1)
        .replacen(r#""weight": {"type": {"key": "integer", "min": 0, "max": 1}}"#, r#""weight": {"type": {"key": "integer", "min": 0, "max": 5}}"#, 1)
        .replacen(r#""Slot""#, r#""Box""#, 1);
    convert(&client, new).await;
    let mut txn = client.transaction();
    let mut items = txn.any_table("Item");
    items.update(
        column("name").eq("a"),
        [("grade", Datum::from(9)), ("weight", Datum::set([3, 4]))],
    );
    txn.any_table("Box").insert([("number", 2)]);
    txn.commit().await.expect("a commit");

    let view = cache.snapshot();
    let row = only(view.any_rows("Item"));
    assert_eq!(
        (text(row, "grade"), text(row, "weight")),
        ("9".into(), r#"["set",[3,4]]"#.into())
    );
    assert!(row.get("count").is_none());
    assert_eq!(text(only(view.any_rows("Box")), "number"), "2");
    assert_eq!(view.any_rows("Slot").map(Iterator::count), Some(0));
    assert_eq!(
        cache.skew().differences,
        [Skew::MissingTable {
            table: "Slot".into()
        }]
    );
    // An earlier snapshot is unchanged.
    let old = only(before.any_rows("Item"));
    assert_eq!(
        (text(old, "count"), text(old, "weight")),
        ("0".into(), "3".into())
    );
    assert!(old.get("grade").is_none() && before.any_rows("Box").is_none());

    let mut schema_changes = 0;
    while let Some(batch) = changes.try_next() {
        schema_changes += usize::from(batch.kind().is_schema_change());
        let items = batch.any_table("Item").expect("the table");
        if batch.kind().is_schema_change() {
            let changed: Vec<_> = items[0].columns().collect();
            assert_eq!(changed, ["grade", "count"]);
        }
        fold.take(&batch);
    }
    assert_eq!(schema_changes, 1);
    assert!(fold.is(&view));

    // Columns that were selected by name: the removed one is reported.
    let view = some.snapshot();
    let row = only(view.any_rows("Item"));
    assert_eq!(
        row.columns().names().collect::<Vec<_>>(),
        ["name", "weight"]
    );
    let missing = Skew::MissingColumn {
        table: "Item".into(),
        column: "count".into(),
    };
    assert_eq!(some.skew().differences, [missing]);

    // And back again.
    let mut txn = client.transaction();
    let mut items = txn.any_table("Item");
    items.update(column("name").eq("a"), [("weight", 4)]);
    txn.commit().await.expect("a commit");
    convert(&client, INVENTORY).await;
    let mut txn = client.transaction();
    txn.any_table("Slot").insert([("number", 3)]);
    let mut items = txn.any_table("Item");
    items.update(column("name").eq("a"), [("count", 5)]);
    txn.commit().await.expect("a commit");
    let view = cache.snapshot();
    assert_eq!(text(only(view.any_rows("Slot")), "number"), "3");
    let row = only(view.any_rows("Item"));
    assert_eq!(
        (text(row, "count"), text(row, "weight")),
        ("5".into(), "4".into())
    );
    assert!(row.get("grade").is_none());
    let missing = Skew::MissingTable {
        table: "Box".into(),
    };
    assert_eq!(cache.skew().differences, [missing]);
    assert_eq!(text(only(some.snapshot().any_rows("Item")), "count"), "5");
    assert!(some.skew().is_empty());
}

#[tokio::test]
async fn a_condition_that_a_schema_change_makes_impossible_is_reported() {
    let server = inventory_server();
    let client = Client::<AnyDatabase>::builder()
        .remotes(server.remote())
        .backoff(Duration::from_millis(10), Duration::from_millis(100));
    let client = client.database("Inventory").connect().await;
    let client = client.expect("a client");
    let heavy = column("weight").gt(1);
    let heavy = client.cache().any_table_where("Item", heavy).start().await;
    let heavy = heavy.expect("a cache");
    let weight = r#""weight": {"type": {"key": "integer", "min": 0, "max": 1}},"#;
    assert!(INVENTORY.contains(weight));

    // The column was removed.
    convert(&client, &INVENTORY.replacen(weight, "", 1)).await;
    let error = refused(&heavy).await;
    assert!(
        matches!(&error, Error::ConditionColumn { table, column } if table == "Item" && column == "weight"),
        "{error}"
    );
    convert(&client, INVENTORY).await;
    followed(&heavy).await;

    // The column holds strings, which have no order.
    let strings = weight.replacen("integer", "string", 1);
    convert(&client, &INVENTORY.replacen(weight, &strings, 1)).await;
    let error = refused(&heavy).await;
    assert!(matches!(error, Error::Refused(_)), "{error}");
    let named = heavy.set_any_condition("Item", column("weight").eq("heavy"));
    timeout(HANG, named)
        .await
        .expect("no hang")
        .expect("in force");
    followed(&heavy).await;
    let row: [(&str, Datum); 2] = [("only", "sole".into()), ("weight", "heavy".into())];
    let mut txn = client.transaction();
    txn.any_table("Item").insert(row);
    txn.commit().await.expect("a commit");
    let view = heavy.snapshot();
    assert_eq!(text(only(view.any_rows("Item")), "weight"), r#""heavy""#);
}

async fn followed(cache: &Cache<AnyDatabase>) {
    let mut freshness = cache.freshness();
    let current = freshness.wait_for(|now| *now == Freshness::Current);
    let current = timeout(HANG, current).await.expect("no hang");
    current.expect("the client lives");
}

/// Waits until the cache's monitor cannot be started. Returns the reason.
async fn refused(cache: &Cache<AnyDatabase>) -> Error {
    let mut freshness = cache.freshness();
    let refused = freshness.wait_for(|now| matches!(now, Freshness::RefusedSince(_)));
    let refused = timeout(HANG, refused).await.expect("no hang");
    refused.expect("the client lives");
    cache.monitor_error().expect("the reason")
}

#[tokio::test]
async fn decisions_are_made_on_rows_by_name() {
    let server = inventory_server();
    let client = open(&server, "Inventory").await;
    let cache = client.cache().any_table("Item").start().await;
    let cache = cache.expect("a cache");
    let queue = WorkQueue::new();
    queue.feed_all(cache.all_changes(), |changes| {
        let changes = changes.any_table("Item").into_iter().flatten();
        let uuids = changes.map(|change| change.row().uuid());
        uuids.collect::<Vec<_>>()
    });
    // Get or create, twice.
    let mut rows = Vec::new();
    for _ in 0..2 {
        let ensured = client.apply(&cache, |view, txn| {
            let is_bolt = |row: &&dyn AnyRow| text(*row, "name") == r#""bolt""#;
            let known = view.any_rows("Item").into_iter().flatten().find(is_bolt);
            Ok::<_, CommitError>(match known {
                Some(row) => row.uuid(),
                None => txn
                    .any_table("Item")
                    .insert([("name", "bolt"), ("only", "sole")]),
            })
        });
        rows.push(ensured.await.expect("applied").0);
    }
    assert_eq!(rows[0], rows[1]);
    let work = timeout(HANG, queue.next()).await.expect("no hang");
    assert_eq!(*work.expect("the row").key(), rows[0]);
}

#[tokio::test]
async fn a_server_without_its_own_database_lists_only_names() {
    let peer = Peer::new();
    let connecting = Client::<AnyDatabase>::builder().remotes(peer.remote());
    let connecting = tokio::spawn(connecting.database("Inventory").connect());
    let mut connection = peer.accept().await;
    connection.give_schema(INVENTORY).await;
    let client = connecting.await.expect("no panic").expect("a client");
    let databases = tokio::spawn(async move { client.databases().await });
    let request = connection.request().await;
    assert_eq!(request.method, "list_dbs");
    connection.reply(&request, r#"["Other","Inventory"]"#).await;
    let request = connection.request().await;
    assert_eq!(request.method, "transact");
    let error = r#"{"error":"unknown database"}"#;
    connection.fail(&request, error).await;
    let databases = databases.await.expect("no panic").expect("databases");
    let names: Vec<_> = databases.iter().map(|database| &*database.name).collect();
    assert_eq!(names, ["Inventory", "Other"]);
    assert!(databases.iter().all(|database| database.model.is_none()));
}
