//! Schemas with names that have a meaning in Rust, or become the same Rust name.

mod support;

use ovsdb::testing::Server;
use ovsdb::{Client, Database as _, Row, Table};
use support::connect;

/// Tables, columns and values with the names of all keywords except `Self`, and of most items in the prelude.
mod names {
    ovsdb::schema!("tests/files/names.ovsschema");
}

/// Names that would become the same in Rust, and are given different ones.
mod collisions {
    ovsdb::schema!(
        "tests/files/collisions.ovsschema",
        tables = ["ACL", "Acl", "ACL_Mode", "Database"],
        rename = {
            "Acl" => OtherAcl,
            "ACL_Mode" => ModeTable,
            "Database" => DatabaseTable,
            "Database.self_" => own,
            "ACL.Name" => upper_name,
            "ACL.name" => type,
            "ACL.mode.a_b" => AUnderscoreB,
            "ACL.mode.A.B" => ADotB,
            "ACL.mode.é" => Accent,
            "ACL.mode.Unknown Value" => Other,
        },
    );
}

fn server(schema: &str) -> Server {
    Server::builder().schema(schema).start().expect("a server")
}

#[test]
fn the_library_has_an_alias_for_each_database_where_no_table_has_the_name() {
    assert_eq!(
        (names::Client::TABLE, names::Cache::TABLE),
        ("Client", "Cache")
    );
    let _: fn(names::Snapshot) -> ovsdb::Snapshot<names::Database> = |view| view;
    let _: fn(names::Transaction) -> ovsdb::Transaction<names::Database> = |txn| txn;
    let _: fn(collisions::Client) -> Client<collisions::Database> = |client| client;
    let _: fn(collisions::Cache) -> ovsdb::Cache<collisions::Database> = |cache| cache;
    let _: fn(collisions::AllChanges) -> ovsdb::cache::AllChanges<collisions::Database> = |all| all;
    let _: ovsdb::ClientBuilder<collisions::Database> =
        collisions::ClientBuilder::clone(&Client::builder());
    let _: fn(collisions::CacheBuilder) -> ovsdb::CacheBuilder<collisions::Database> =
        |cache| cache;
}

#[tokio::test]
async fn every_reserved_name_can_be_a_table_a_column_and_a_value() {
    let server = server(include_str!("files/names.ovsschema"));
    let client: Client<names::Database> = connect(&server).await;
    let cache = client.cache().all_tables().start().await.expect("a cache");
    let mut txn = client.transaction();
    let own = txn.insert(names::SelfTable {
        name: "self".into(),
    });
    let from = txn.insert(names::From::default());
    txn.insert(names::Names {
        r#gen: "gen".into(),
        self_: "self".into(),
        r#type: "type".into(),
        value: names::NamesValue::SelfValue,
        to_self: [own].into(),
        to_from: [from].into(),
        ..Default::default()
    });
    txn.commit().await.expect("a commit");
    let mut txn = client.transaction();
    txn.update(names::Names::GEN.eq("gen"))
        .set(names::Names::TRY, "try")
        .set(names::Names::VALUE, names::NamesValue::None);
    txn.commit().await.expect("a commit");
    let view = cache.snapshot();
    let row = view.rows::<names::Names>().next().expect("the row");
    assert_eq!((row.r#gen.as_str(), row.r#try.as_str()), ("gen", "try"));
    assert_eq!(row.self_.as_str(), "self");
    assert_eq!(row.value, names::NamesValue::None);
    assert_eq!(row.to_self, [own].into());
    assert_eq!(view.get(own).map(|row| row.name.as_str()), Some("self"));
}

#[tokio::test]
async fn tables_columns_and_values_can_be_renamed_and_tables_left_out() {
    use collisions::{Acl, AclMode, Database, DatabaseTable, ModeTable, OtherAcl};

    assert_eq!(Database::TABLES, ["ACL", "ACL_Mode", "Acl", "Database"]);
    assert_eq!((Acl::TABLE, OtherAcl::TABLE), ("ACL", "Acl"));
    assert_eq!(
        (ModeTable::TABLE, DatabaseTable::TABLE),
        ("ACL_Mode", "Database")
    );
    assert_eq!((Acl::UPPER_NAME.name(), Acl::TYPE.name()), ("Name", "name"));
    assert_eq!(
        (DatabaseTable::SELF.name(), DatabaseTable::OWN.name()),
        ("self", "self_")
    );
    for (mode, text) in [
        (AclMode::AB, "a-b"),
        (AclMode::AUnderscoreB, "a_b"),
        (AclMode::ADotB, "A.B"),
        (AclMode::V8021, "802.1"),
        (AclMode::Accent, "é"),
        (AclMode::Empty, ""),
        (AclMode::UnknownValue, "unknown"),
        (AclMode::Other, "Unknown Value"),
    ] {
        assert_eq!((AclMode::from(text), mode.as_str()), (mode.clone(), text));
    }

    let server = server(include_str!("files/collisions.ovsschema"));
    let client: Client<Database> = connect(&server).await;
    let cache = client.cache().all_tables().start().await.expect("a cache");
    assert!(cache.skew().is_empty(), "{}", cache.skew());
    let mut txn = client.transaction();
    let other = txn.insert(OtherAcl::default());
    let acl = Acl {
        upper_name: "upper".into(),
        r#type: "lower".into(),
        mode: AclMode::ADotB,
        to: [other].into(),
        // The table that this column refers to is left out, so the column is a plain uuid.
        left: None::<ovsdb::Uuid>,
    };
    txn.insert(acl.clone());
    txn.commit().await.expect("a commit");
    let view = cache.snapshot();
    assert_eq!(view.rows::<Acl>().next().map(Row::columns), Some(&acl));
}
