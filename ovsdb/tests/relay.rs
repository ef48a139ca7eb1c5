//! A relay serves the database of another server.

#![cfg(feature = "server")]

mod support;

use std::time::Duration;

use ovsdb::protocol::ErrorKind;
use ovsdb::server::Server;
use ovsdb::{CommitError, nb};
use support::bundled_server;

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
async fn what_is_written_through_a_relay_is_at_its_source_and_the_other_way_round() {
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
    // The reply comes after the change.
    assert_eq!(names(&cache.snapshot()), ["before", "through"]);
    insert(&direct, "beside").await;
    let all = |view: &nb::Snapshot| (names(view).len() == 3).then(|| names(view));
    let found = cache
        .wait_until(Duration::from_secs(20), all)
        .await
        .expect("it comes");
    assert_eq!(found, ["before", "beside", "through"]);

    // The source decides: it knows of what the relay does not know yet.
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
        .expect_err("two ports with one name");
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
                    // Sent before the relay knew of the end of its source, which is dead: it is not
                    // committed.
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
