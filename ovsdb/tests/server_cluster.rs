//! Servers in this process that behave like the members of a cluster.

#![cfg(feature = "server")]
#![allow(missing_docs)]

mod support;

use std::time::Duration;

use ovsdb::server::{Cluster, ClusterError, Committed, Server, ServerError, TransactionFault};
use ovsdb::testing::{self, ServerKind};
use ovsdb::{Client, ConnectionState, Remote, RemoteOrder, Transaction};
use serde_json::{Value, json};
use support::inventory::{Database, Item, Snapshot};
use support::raw::Raw;
use support::{INVENTORY, item};
use tokio::time::timeout;

/// A test that takes longer hangs.
const HANG: Duration = Duration::from_secs(60);
const NAME: &str = "Inventory";

fn cluster() -> Cluster {
    Server::cluster(INVENTORY, 3).expect("a cluster")
}

/// A client of these members, in this order.
async fn client(cluster: &Cluster, members: &[usize], leader_only: bool) -> Client<Database> {
    let all = cluster.remotes();
    let remotes: Vec<Remote> = members.iter().map(|member| all[*member].clone()).collect();
    let builder = Client::builder()
        .remotes(remotes)
        .remote_order(RemoteOrder::Given)
        .leader_only(leader_only)
        .backoff(Duration::from_millis(1), Duration::from_millis(20));
    builder.connect().await.expect("a client")
}

async fn raw(cluster: &Cluster, member: usize) -> Raw {
    Raw::connect(&cluster.members()[member].remote()).await
}

async fn insert(client: &Client<Database>, name: &str, total: i64) {
    let mut txn = client.transaction();
    txn.insert(item(name, total));
    txn.commit_once().await.expect("a commit");
}

fn insertion(name: &str, total: i64) -> Value {
    let row = json!({"name": name, "only": "sole", "total": total});
    json!([NAME, {"op": "insert", "table": "Item", "row": row}])
}

async fn commit(member: &mut Raw, name: &str, total: i64) {
    let result = member.result("transact", insertion(name, total)).await;
    assert_eq!(result.as_array().map(Vec::len), Some(1), "{result}");
    assert!(result[0].get("uuid").is_some(), "{result}");
}

async fn names(member: &mut Raw) -> Vec<String> {
    let rows = member.select(NAME, "Item", &["name"]).await;
    let names = rows.iter().map(|row| row["name"].as_str());
    let mut names: Vec<_> = names.map(|name| name.expect("text").to_owned()).collect();
    names.sort();
    names
}

/// What a member says of the database in `_Server`.
#[derive(Debug, Clone, PartialEq)]
struct Status {
    model: Value,
    connected: bool,
    leader: bool,
    cid: Value,
    sid: Value,
    schema: Value,
    index: i64,
}

async fn status(member: &mut Raw) -> Status {
    let columns = [
        "name",
        "model",
        "connected",
        "leader",
        "cid",
        "sid",
        "schema",
        "index",
    ];
    let rows = member.select("_Server", "Database", &columns).await;
    let row = rows.iter().find(|row| row["name"] == NAME);
    let row = row.expect("the database");
    let schema = row["schema"].as_str().expect("a schema");
    Status {
        model: row["model"].clone(),
        connected: row["connected"].as_bool().expect("a boolean"),
        leader: row["leader"].as_bool().expect("a boolean"),
        cid: row["cid"].clone(),
        sid: row["sid"].clone(),
        schema: serde_json::from_str(schema).expect("JSON"),
        index: row["index"].as_i64().expect("an index"),
    }
}

/// Waits until the reports of these members meet the condition. A real cluster needs some time.
async fn until(members: &mut [Raw], is: impl Fn(&[Status]) -> bool) -> Vec<Status> {
    let wait = async {
        loop {
            let mut found = Vec::new();
            for member in &mut *members {
                found.push(status(member).await);
            }
            if is(&found) {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(HANG, wait)
        .await
        .expect("the cluster reaches the state")
}

/// Whether these are the members of a working, idle cluster.
fn is_whole(members: &[Status]) -> bool {
    let first = &members[0];
    members.iter().filter(|member| member.leader).count() == 1
        && members.iter().all(|member| member.connected)
        && members.iter().all(|member| member.index == first.index)
}

#[tokio::test]
async fn embedded_and_real_members_report_the_same_status() {
    for kind in [ServerKind::Reference, ServerKind::Embedded] {
        let cluster = testing::Cluster::start_kind(kind, INVENTORY, 3);
        let mut cluster = cluster.expect("a cluster");
        let mut members = Vec::new();
        for member in cluster.members() {
            let remote: Remote = member.remote().parse().expect("a remote");
            members.push(Raw::connect(&remote).await);
        }
        let before = until(&mut members, is_whole).await;
        for member in &before {
            assert_eq!(member.model, "clustered", "{kind:?}");
            assert_eq!(member.cid, before[0].cid, "{kind:?}");
            assert_eq!(member.cid[0], "uuid", "{kind:?}");
            assert_eq!(member.sid[0], "uuid", "{kind:?}");
            assert_eq!(member.schema, before[0].schema, "{kind:?}");
            assert!(member.index > 0, "{kind:?}");
        }
        assert_ne!(before[0].sid, before[1].sid, "{kind:?}");
        assert_ne!(before[0].sid, before[2].sid, "{kind:?}");
        assert_ne!(before[1].sid, before[2].sid, "{kind:?}");

        // A commit through a follower.
        let follower = before.iter().position(|member| !member.leader);
        let follower = follower.expect("a follower");
        commit(&mut members[follower], "one", 101).await;
        for member in &mut members {
            let applied = async {
                while names(member).await != ["one"] {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            };
            timeout(HANG, applied).await.expect("the row");
        }
        let after = until(&mut members, is_whole).await;
        assert!(after[0].index > before[0].index, "{kind:?}");
        assert_eq!(after[0].cid, before[0].cid, "{kind:?}");
        assert_eq!(after[0].sid, before[0].sid, "{kind:?}");

        // A leader dies.
        let leader = cluster.leader().expect("a leader");
        cluster.member_mut(leader).kill().expect("killed");
        members.remove(leader);
        until(&mut members, is_whole).await;

        // The next one is killed too: the remaining one has no majority.
        let next = cluster.leader().expect("a leader");
        cluster.member_mut(next).kill().expect("killed");
        members.remove(if next > leader { next - 1 } else { next });
        let alone = |members: &[Status]| !members[0].connected && !members[0].leader;
        until(&mut members, alone).await;
        assert_eq!(names(&mut members[0]).await, ["one"], "{kind:?}");

        // A transaction that changes something waits, and is carried out once there is a majority.
        let waits = members[0].send("transact", insertion("two", 106)).await;
        assert_eq!(names(&mut members[0]).await, ["one"], "{kind:?}");
        cluster.restart(leader).expect("it is back");
        let reply = members[0].reply(waits).await;
        assert_eq!(reply["error"], Value::Null, "{kind:?}: {reply}");
        assert_eq!(names(&mut members[0]).await, ["one", "two"], "{kind:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_that_commit_at_once_agree_on_one_order() {
    const ROUNDS: i64 = 100;
    let cluster = cluster();
    let first = client(&cluster, &[0], false).await;
    let mut txn = first.transaction();
    let counter = txn.insert(item("counter", 0));
    txn.commit().await.expect("a commit");
    let mut writers = Vec::new();
    for member in 0..3 {
        let client = client(&cluster, &[member], false).await;
        writers.push(tokio::spawn(async move {
            for round in 0..ROUNDS {
                let mut txn = client.transaction();
                txn.mutate(counter).add(Item::TOTAL, 1);
                let number = (member as i64 + 1) * 1_000 + round;
                txn.insert(item(&format!("item {number}"), -number));
                txn.commit().await.expect("a commit");
            }
        }));
    }
    for writer in writers {
        timeout(HANG, writer)
            .await
            .expect("no hang")
            .expect("ended");
    }
    let transactions = |member: usize| {
        let committed = cluster.members()[member].transactions::<Database>();
        committed.iter().map(Committed::id).collect::<Vec<_>>()
    };
    assert_eq!(transactions(0).len(), 3 * ROUNDS as usize + 1);
    assert_eq!(transactions(1), transactions(0));
    assert_eq!(transactions(2), transactions(0));
    for member in 0..3 {
        let client = client(&cluster, &[member], false).await;
        let cache = client.cache().all_tables().start().await.expect("a cache");
        let view = cache.snapshot();
        let total = view.get(counter).map(|row| row.total);
        assert_eq!(total, Some(3 * ROUNDS), "at member {member}");
        assert_eq!(view.rows::<Item>().len(), 3 * ROUNDS as usize + 1);
    }
}

#[test]
fn detached_commits_at_different_members_all_succeed() {
    const ROUNDS: i64 = 300;
    let cluster = cluster();
    let mut txn = Transaction::<Database>::detached();
    txn.insert(item("counter", 0));
    txn.commit_on(&cluster.members()[0]).expect("a commit");
    std::thread::scope(|scope| {
        for member in cluster.members() {
            scope.spawn(move || {
                for _ in 0..ROUNDS {
                    let mut txn = Transaction::<Database>::detached();
                    txn.mutate(Item::NAME.eq("counter")).add(Item::TOTAL, 1);
                    txn.commit_on(member).expect("a commit");
                }
            });
        }
    });
    for member in cluster.members() {
        let committed = member.transactions::<Database>();
        let last = committed.last().expect("transactions");
        assert_eq!(last.updated::<Item>()[0].1.total, 3 * ROUNDS);
    }
}

async fn at(client: &Client<Database>, cluster: &Cluster, member: usize) {
    let wanted = cluster.members()[member].remote();
    let mut state = client.state();
    let there = state.wait_for(
        |state| matches!(state, ConnectionState::Connected { remote } if *remote == wanted),
    );
    let there = timeout(HANG, there).await;
    drop(there.expect("no hang").expect("the client lives"));
}

#[tokio::test]
async fn a_client_of_the_leader_follows_it_and_resumes_its_monitors() {
    let cluster = cluster();
    let client = client(&cluster, &[0, 1, 2], true).await;
    let cache = client.cache().all_tables().start().await.expect("a cache");
    at(&client, &cluster, 0).await;
    insert(&client, "one", 1).await;

    cluster.transfer_leadership(1).expect("it leads");
    assert_eq!(cluster.leader(), Some(1));
    at(&client, &cluster, 1).await;
    insert(&client, "two", 2).await;

    // The leader commits, disconnects the client instead of replying, and is stopped: the outcome is settled on
    // another member.
    let fault = TransactionFault::DisconnectAfter;
    let faults = cluster.members()[1].faults();
    faults.next_transaction(NAME, fault).expect("it");
    let refusing = faults.refuse_connections();
    let mut state = client.state();
    let (_stopped, ()) = tokio::join!(
        async {
            let lost = state.wait_for(|state| !state.is_connected()).await;
            drop(lost.expect("the client lives"));
            cluster.stop(1)
        },
        insert(&client, "three", 3)
    );
    drop(refusing);
    assert_eq!(cluster.leader(), Some(2));
    at(&client, &cluster, 2).await;
    let three = |view: &ovsdb::Snapshot<Database>| (view.rows::<Item>().len() == 3).then_some(());
    cache.wait_until(HANG, three).await.expect("three rows");
    assert_eq!(cache.stats().resyncs, 0);

    // A member that has forgotten what was committed meanwhile sends all rows.
    let refusing = cluster.members()[2].faults().refuse_connections();
    cluster.members()[2].faults().disconnect();
    let mut member = raw(&cluster, 0).await;
    commit(&mut member, "four", 102).await;
    let faults = cluster.members()[0].faults();
    faults.forget_history(NAME).expect("it");
    cluster.transfer_leadership(0).expect("it leads");
    at(&client, &cluster, 0).await;
    drop(refusing);
    let four = |view: &ovsdb::Snapshot<Database>| (view.rows::<Item>().len() == 4).then_some(());
    cache.wait_until(HANG, four).await.expect("four rows");
    assert_eq!(cache.stats().resyncs, 1);
}

#[tokio::test]
async fn a_conversion_without_a_majority_fails() {
    let cluster = cluster();
    let stopped = [cluster.stop(0), cluster.stop(1)];
    assert_eq!(cluster.leader(), None);
    assert_eq!(
        cluster.transfer_leadership(2),
        Err(ClusterError::Unreachable(2))
    );
    let error = cluster.members()[2].convert(NAME, INVENTORY);
    assert_eq!(error.expect_err("no majority").error, "cluster error");
    drop(stopped);
    let converted = cluster.members()[2].convert(NAME, INVENTORY);
    converted.expect("there is a majority");
}

#[tokio::test]
async fn a_conversion_at_one_member_converts_all_members() {
    let cluster = cluster();
    let client = client(&cluster, &[2], false).await;
    let cache = client.cache().all_tables().start().await.expect("a cache");
    insert(&client, "one", 1).await;
    let fewer = INVENTORY.replace(r#""ratio": {"type": "real"},"#, "");
    assert_ne!(fewer, INVENTORY);
    let converted = cluster.members()[0].convert(NAME, &fewer);
    converted.expect("converted");
    let skewed = async {
        while cache.skew().is_empty() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(HANG, skewed).await.expect("the new schema");
    insert(&client, "two", 2).await;
    let mut members = Vec::new();
    for member in 0..3 {
        let mut member = raw(&cluster, member).await;
        assert_eq!(names(&mut member).await, ["one", "two"]);
        members.push(member);
    }
    let found = until(&mut members, is_whole).await;
    let ratio = &found[1].schema["tables"]["Item"]["columns"]["ratio"];
    assert_eq!(ratio, &Value::Null);
}

#[tokio::test]
async fn a_follower_that_is_held_back_lags_and_does_not_lead() {
    let cluster = cluster();
    let held_back = cluster.hold_back(2);
    let (mut fast, mut slow) = (raw(&cluster, 0).await, raw(&cluster, 2).await);
    // The follower has not missed anything yet.
    commit(&mut slow, "zero", 103).await;
    commit(&mut fast, "one", 104).await;
    assert_eq!(names(&mut fast).await, ["one", "zero"]);
    assert_eq!(names(&mut slow).await, ["zero"]);
    assert!(status(&mut slow).await.index < status(&mut fast).await.index);
    let refused = cluster.transfer_leadership(2);
    assert_eq!(refused, Err(ClusterError::Behind(2)));
    let waits = slow.send("transact", insertion("two", 107)).await;
    assert_eq!(names(&mut slow).await, ["zero"]);
    // The follower is not elected while another member can be.
    let stopped = cluster.stop(0);
    assert_eq!(cluster.leader(), Some(1));
    drop(stopped);

    drop(held_back);
    let reply = slow.reply(waits).await;
    assert_eq!(reply["error"], Value::Null, "{reply}");
    assert_eq!(names(&mut slow).await, ["one", "two", "zero"]);
    cluster.transfer_leadership(2).expect("it can lead");
}

#[tokio::test]
async fn a_client_does_not_go_back_to_an_older_index() {
    let cluster = cluster();
    let client = client(&cluster, &[2, 1], false).await;
    let cache = client.cache().all_tables().start().await.expect("a cache");
    insert(&client, "one", 1).await;
    let backup = cluster.backup(2);
    insert(&client, "two", 2).await;
    at(&client, &cluster, 2).await;

    let held_back = cluster.hold_back(2);
    cluster.restore(2, &backup);
    let mut restored = raw(&cluster, 2).await;
    assert_eq!(names(&mut restored).await, ["one"]);
    at(&client, &cluster, 1).await;
    insert(&client, "three", 3).await;
    assert_eq!(cache.snapshot().rows::<Item>().len(), 3);

    drop(held_back);
    assert_eq!(names(&mut restored).await, ["one", "three", "two"]);
    // After the next restore, the member lacks more entries than the log keeps, so it gets the whole database.
    for total in 10..150 {
        insert(&client, &format!("item {total}"), total).await;
    }
    cluster.restore(2, &backup);
    let mut restored = raw(&cluster, 2).await;
    assert_eq!(names(&mut restored).await.len(), 143);
    assert!(cluster.members()[2].transactions::<Database>().is_empty());
}

#[tokio::test]
async fn a_backup_of_an_expelled_member_is_as_old_as_what_it_had() {
    let cluster = cluster();
    let client = client(&cluster, &[2, 1], false).await;
    let cache = client.cache().all_tables().start().await.expect("a cache");
    insert(&client, "one", 1).await;
    // The member hangs, so it does not notice that it is expelled.
    let _hanging = cluster.hang(0);
    insert(&client, "two", 2).await;
    cluster.expel(0);
    let backup = cluster.backup(0);

    at(&client, &cluster, 2).await;
    let held_back = cluster.hold_back(2);
    cluster.restore(2, &backup);
    let mut restored = raw(&cluster, 2).await;
    assert_eq!(names(&mut restored).await, ["one"]);
    assert_eq!(
        cache.snapshot().rows::<Item>().len(),
        2,
        "it did not go back"
    );
    drop(held_back);
    assert_eq!(names(&mut restored).await, ["one", "two"]);
    let all = |view: &Snapshot| (view.rows::<Item>().len() == 3).then_some(());
    insert(&client, "three", 3).await;
    cache
        .wait_until(Duration::from_secs(10), all)
        .await
        .expect("three");
}

#[tokio::test]
async fn a_leader_that_is_isolated_or_hangs_is_replaced() {
    let cluster = cluster();
    let client = client(&cluster, &[0, 1, 2], true).await;
    let cache = client.cache().all_tables().start().await.expect("a cache");
    let mut first = raw(&cluster, 0).await;
    at(&client, &cluster, 0).await;

    let isolated = cluster.isolate(0);
    assert_eq!(cluster.leader(), Some(1));
    let alone = status(&mut first).await;
    assert!(!alone.connected && !alone.leader, "{alone:?}");
    at(&client, &cluster, 1).await;
    insert(&client, "one", 1).await;
    assert_eq!(names(&mut first).await, [""; 0]);
    drop(isolated);
    assert_eq!(names(&mut first).await, ["one"]);
    assert!(status(&mut first).await.connected);

    // While the member hangs, the client cannot notice that another member leads, until a probe fails.
    let hanging = cluster.hang(1);
    assert_eq!(cluster.leader(), Some(2));
    commit(&mut first, "two", 105).await;
    assert_eq!(cache.snapshot().rows::<Item>().len(), 1);
    drop(hanging);
    at(&client, &cluster, 2).await;
    insert(&client, "three", 3).await;
    assert_eq!(cache.snapshot().rows::<Item>().len(), 3);
}

#[tokio::test]
async fn an_expelled_member_serves_nothing_and_has_no_vote() {
    let cluster = cluster();
    let client = client(&cluster, &[0, 1, 2], false).await;
    at(&client, &cluster, 0).await;
    cluster.expel(0);
    assert_eq!(cluster.leader(), Some(1));
    assert!(cluster.members()[0].databases().is_empty());
    at(&client, &cluster, 1).await;
    insert(&client, "one", 1).await;
    // Two members remain; one of them alone is not a majority.
    let stopped = cluster.stop(2);
    assert_eq!(cluster.leader(), None);
    drop(stopped);
    assert_eq!(cluster.leader(), Some(2));
}

#[tokio::test]
async fn a_stopped_member_does_not_execute_transactions_that_waited() {
    let cluster = cluster();
    let stopped = [cluster.stop(0), cluster.stop(1)];
    let mut third = raw(&cluster, 2).await;
    third.send("transact", insertion("waits", 108)).await;
    third.result("list_dbs", json!([])).await;
    drop(cluster.stop(2));
    drop(stopped);
    while third.message().await.is_some() {}
    let mut third = raw(&cluster, 2).await;
    assert_eq!(names(&mut third).await, [""; 0]);
}

#[test]
fn a_cluster_without_members_or_in_a_file_is_an_error() {
    let none = Server::cluster(INVENTORY, 0).expect_err("no members");
    assert!(matches!(none, ServerError::NoMembers), "{none}");
    let file = Server::builder().file("/tmp/inventory.db").start_cluster(3);
    let file = file.expect_err("a file");
    assert!(matches!(file, ServerError::ClusterInFile(_)), "{file}");
    let twice = Server::builder().memory(INVENTORY).memory(INVENTORY);
    let twice = twice.start_cluster(1).expect_err("the same name twice");
    assert!(matches!(twice, ServerError::TwoDatabases(_)), "{twice}");
    let cluster = cluster();
    let lost = cluster.members()[0].faults().lose_leadership(NAME);
    let error = lost.expect_err("the cluster decides who leads");
    let shown = error.to_string();
    assert!(
        shown.contains("use Cluster::transfer_leadership"),
        "{shown}"
    );
    let reserved = Server::cluster(r#"{"name": "_Server", "tables": {}}"#, 3);
    let reserved = reserved.expect_err("the name of the server's own database");
    let shown = reserved.to_string();
    assert!(
        shown.contains("two databases with the name \"_Server\""),
        "{shown}"
    );
}

#[tokio::test]
async fn a_restored_member_reports_its_older_schema() {
    let schema = || {
        let columns = json!({"op": "select", "table": "Database", "columns": ["schema"],
            "where": [["name", "==", NAME]]});
        json!(["_Server", columns])
    };
    let cluster = cluster();
    let backup = cluster.backup(2);
    let newer = INVENTORY.replace("1.2.3", "1.3.0");
    cluster.members()[0]
        .convert(NAME, &newer)
        .expect("a conversion");
    let held_back = cluster.hold_back(2);
    cluster.restore(2, &backup);
    let mut member = raw(&cluster, 2).await;
    let old = member.result("transact", schema()).await.to_string();
    assert!(old.contains("1.2.3") && !old.contains("1.3.0"), "{old}");
    drop(held_back);
    // The conversion has disconnected clients that are not aware of database changes.
    let mut member = raw(&cluster, 2).await;
    let new = member.result("transact", schema()).await.to_string();
    assert!(new.contains("1.3.0"), "{new}");
}

#[tokio::test]
#[should_panic(expected = "there is no member 3 in a cluster of 3")]
async fn a_cluster_has_no_member_beyond_the_last() {
    let _ = cluster().transfer_leadership(3);
}
