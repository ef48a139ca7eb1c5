//! A relay serves the database of another server.

#![cfg(feature = "server")]

mod support;

use std::collections::BTreeMap;
use std::time::Duration;

use ovsdb::protocol::ErrorKind;
use ovsdb::server::Server;
use ovsdb::testing::{self, ServerKind};
use ovsdb::{CommitError, nb};
use serde_json::{Value, json};
use support::bundled_server;
use support::raw::Raw;

fn switch(name: &str) -> nb::LogicalSwitch {
    nb::LogicalSwitch {
        name: name.into(),
        ..Default::default()
    }
}

async fn insert(client: &nb::Client, name: &str) {
    let mut transaction = client.transaction();
    transaction.insert(switch(name));
    transaction.commit().await.expect("committed");
}

async fn client_of(server: &Server) -> nb::Client {
    let builder = nb::Client::builder().server(server).leader_only(false);
    builder.connect().await.expect("a client")
}

fn names(view: &nb::Snapshot) -> Vec<String> {
    let mut names: Vec<_> = view
        .rows::<nb::LogicalSwitch>()
        .map(|switch| switch.name.to_string())
        .collect();
    names.sort();
    names
}

#[tokio::test]
async fn writes_through_a_relay_reach_its_source_and_the_reverse() {
    let source = bundled_server("OVN_Northbound");
    let direct = nb::Client::builder()
        .remotes(source.remote())
        .connect()
        .await
        .expect("a client");
    insert(&direct, "before").await;
    let relay = Server::relay("OVN_Northbound", source.remote())
        .await
        .expect("a relay");
    let client = client_of(&relay).await;
    let cache = client.cache().all_tables().start().await.expect("a cache");
    assert_eq!(names(&cache.snapshot()), ["before"]);

    insert(&client, "through").await;
    // The relay sends the change before the reply.
    assert_eq!(names(&cache.snapshot()), ["before", "through"]);
    insert(&direct, "beside").await;
    let all = |view: &nb::Snapshot| (names(view).len() == 3).then(|| names(view));
    let found = cache
        .wait_until(Duration::from_secs(20), all)
        .await
        .expect("it comes");
    assert_eq!(found, ["before", "beside", "through"]);

    // The relay tries the transaction on its own rows first, and finds the duplicate.
    let mut transaction = client.transaction();
    let port = || nb::LogicalSwitchPort {
        name: "p".into(),
        ..Default::default()
    };
    let (a, b) = (transaction.insert(port()), transaction.insert(port()));
    transaction.insert(nb::LogicalSwitch {
        ports: [a, b].into(),
        ..switch("double")
    });
    let error = transaction
        .commit()
        .await
        .expect_err("two ports with the same name");
    let CommitError::Refused(refusal) = error else {
        panic!("{error}")
    };
    assert_eq!(refusal.error.kind(), ErrorKind::ConstraintViolation);
    assert_eq!(names(&cache.snapshot()).len(), 3);
}

#[tokio::test]
async fn a_relay_serves_on_while_its_source_restarts() {
    let mut source = bundled_server("OVN_Northbound");
    let relay = Server::relay("OVN_Northbound", source.remote())
        .await
        .expect("a relay");
    let client = client_of(&relay).await;
    insert(&client, "early").await;
    let databases = client.databases().await.expect("databases");
    let relayed = databases
        .iter()
        .find(|database| database.name == *"OVN_Northbound")
        .expect("the relayed one");
    assert_eq!(relayed.model.as_deref(), Some("relay"));

    source.kill().expect("killed");
    let waits = tokio::spawn({
        let client = client.clone();
        async move {
            loop {
                let mut transaction = client.transaction();
                transaction.insert(switch("later"));
                match transaction.commit().await {
                    Ok(_) => return,
                    // The relay sent the transaction to its source before it noticed that the source was
                    // dead, so the transaction is not committed.
                    Err(CommitError::Unknown(_)) => {}
                    Err(error) => panic!("{error}"),
                }
            }
        }
    });
    let cache = client.cache().all_tables().start().await.expect("a cache");
    assert_eq!(names(&cache.snapshot()), ["early"]);
    assert!(!waits.is_finished());
    source.start().expect("started");
    tokio::time::timeout(Duration::from_secs(30), waits)
        .await
        .expect("in time")
        .expect("sent");
    let both = |view: &nb::Snapshot| (names(view) == ["early", "later"]).then_some(());
    let found = cache.wait_until(Duration::from_secs(20), both).await;
    found.expect("both rows");
}

#[tokio::test]
async fn a_relay_follows_a_conversion_and_a_relay_of_a_relay_too() {
    let schema = ovsdb::schema::bundled("OVN_Northbound").expect("a bundled schema");
    let source = Server::memory(schema).expect("a source");
    let first = Server::relay("OVN_Northbound", source.remote())
        .await
        .expect("a relay");
    let second = Server::relay("OVN_Northbound", first.remote())
        .await
        .expect("a relay");
    let client = client_of(&second).await;
    insert(&client, "sw0").await;
    let cache = client.cache().all_tables().start().await.expect("a cache");
    assert_eq!(names(&cache.snapshot()), ["sw0"]);

    let changed = schema.replacen("\"ports\":", "\"ports_of_old\":", 1);
    assert_ne!(changed, schema);
    source
        .convert("OVN_Northbound", &changed)
        .expect("converted");
    let skewed = async {
        while cache.skew().is_complete() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), skewed)
        .await
        .expect("the new schema comes");
    insert(&client, "sw1").await;
    let both = |view: &nb::Snapshot| (names(view) == ["sw0", "sw1"]).then_some(());
    cache
        .wait_until(Duration::from_secs(20), both)
        .await
        .expect("both rows");
}

#[tokio::test]
async fn the_servers_own_database_is_not_relayed() {
    let source = Server::memory(NOTES).expect("a source");
    let relay = Server::relay("_Server", source.remote()).await;
    let error = relay.expect_err("each server has its own");
    assert!(matches!(error, ovsdb::Error::Schema(_)), "{error}");
}

const NOTES: &str = r#"{"name": "Notes", "tables": {"Note": {"isRoot": true, "columns": {
    "name": {"type": "string"},
    "size": {"type": "integer"},
    "next": {"type": {"key": {"type": "uuid", "refTable": "Note", "refType": "weak"}, "min": 0}}}}}}"#;

/// The versions of the notes, by their names.
async fn versions(server: &mut Raw) -> BTreeMap<String, Value> {
    let rows = server.select("Notes", "Note", &["name", "_version"]).await;
    let versions = rows.iter().map(|row| {
        let name = row["name"].as_str().expect("text");
        (name.to_owned(), row["_version"].clone())
    });
    versions.collect()
}

/// Waits until all of these notes have other versions than before. Returns all versions.
async fn renewed(
    server: &mut Raw,
    before: &BTreeMap<String, Value>,
    names: &[&str],
) -> BTreeMap<String, Value> {
    let wait = async {
        loop {
            let now = versions(server).await;
            let is_new =
                |name: &&str| now.contains_key(*name) && now.get(*name) != before.get(*name);
            if names.iter().all(is_new) {
                return now;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let renewed = tokio::time::timeout(Duration::from_secs(60), wait).await;
    renewed.unwrap_or_else(|_| panic!("other versions of {names:?} than {before:?}"))
}

async fn raw(server: &testing::Server) -> Raw {
    Raw::connect(&server.remote().parse().expect("a remote")).await
}

async fn transact(server: &mut Raw, operation: Value) {
    let result = server.result("transact", json!(["Notes", operation])).await;
    assert!(result[0].get("error").is_none(), "{result}");
}

/// The behaviour of ovsdb-server's relay and of this library's, each with a source of either kind.
#[tokio::test]
async fn a_relay_gives_its_rows_versions_of_its_own_that_change_with_those_of_the_source() {
    use ServerKind::{Embedded, Reference};
    for (of_source, of_relay) in [
        (Reference, Reference),
        (Reference, Embedded),
        (Embedded, Reference),
        (Embedded, Embedded),
    ] {
        let case = format!("source {of_source:?}, relay {of_relay:?}");
        let builder = testing::Server::builder().kind(of_source);
        let mut server = builder.schema(NOTES).start().expect("a source");
        let builder = testing::Server::builder().kind(of_relay);
        let relay = builder.relay("Notes", &server.remote()).start();
        let relay = relay.expect("a relay");
        relay.wait_until_connected("Notes").expect("connected");
        let (mut source, mut relay) = (raw(&server).await, raw(&relay).await);

        for name in ["a", "b"] {
            let row = json!({"name": name});
            transact(
                &mut source,
                json!({"op": "insert", "table": "Note", "row": row}),
            )
            .await;
        }
        let first = renewed(&mut relay, &BTreeMap::new(), &["a", "b"]).await;
        let at_source = versions(&mut source).await;
        for name in ["a", "b"] {
            assert_ne!(first[name], at_source[name], "{case}");
        }
        assert_ne!(first["a"], first["b"], "{case}");

        // A client of the relay that monitors versions gets the same.
        let columns = json!({"Note": {"columns": ["name", "_version"]}});
        let mut monitored = relay
            .result("monitor_cond", json!(["Notes", "m", columns]))
            .await;
        let rows = monitored["Note"].take();
        let rows = rows.as_object().expect("rows");
        let inserts = rows.values().map(|update| &update["initial"]);
        for row in inserts {
            let name = row["name"].as_str().expect("text");
            assert_eq!(row["_version"], first[name], "{case}");
        }

        let update = |name: &str, row: Value| json!({"op": "update", "table": "Note", "where": [["name", "==", name]], "row": row});
        transact(&mut source, update("a", json!({"size": 1}))).await;
        let second = renewed(&mut relay, &first, &["a"]).await;
        assert_eq!(second["b"], first["b"], "{case}");

        // The weak reference to a row that does not exist is removed, so the version is the only change.
        let nowhere = json!(["uuid", "11111111-1111-4111-8111-111111111111"]);
        transact(&mut source, update("a", json!({"next": nowhere}))).await;
        let third = renewed(&mut relay, &second, &["a"]).await;
        assert_eq!(third["b"], first["b"], "{case}");
        assert_ne!(third["a"], versions(&mut source).await["a"], "{case}");

        // The first update changes nothing, the second one changes the other row.
        transact(&mut source, update("a", json!({"size": 1}))).await;
        transact(&mut source, update("b", json!({"size": 1}))).await;
        let fourth = renewed(&mut relay, &third, &["b"]).await;
        assert_eq!(fourth["a"], third["a"], "{case}");

        // The relay's version differs from the source's, so the `wait` fails at the source.
        let wait = json!({"op": "wait", "timeout": 0, "table": "Note", "where": [["name", "==", "a"]],
            "columns": ["_version"], "until": "==", "rows": [{"_version": fourth["a"]}]});
        let params = json!(["Notes", wait, update("a", json!({"size": 2}))]);
        let results = relay.result("transact", params).await;
        assert_eq!(results[0]["error"], "timed out", "{case}: {results}");

        // No server keeps versions in its file.
        let at_source = versions(&mut source).await;
        server.kill().expect("killed");
        server.start().expect("started");
        let mut source = raw(&server).await;
        let restarted = versions(&mut source).await;
        assert_ne!(restarted["a"], at_source["a"], "{case}");
        renewed(&mut relay, &fourth, &["a", "b"]).await;
    }
}
