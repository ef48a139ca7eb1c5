//! `Client::apply`: on which view the closure decides, and when it is run again.

mod support;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ovsdb::protocol::{ErrorKind, Json, Wire};
use ovsdb::server;
use ovsdb::testing::{Cut, Proxy, Server};
use ovsdb::{
    Cache, Client, ClientBuilder, CommitError, DisconnectReason, Outcome, Ref, Retry, Row,
    RowIdentity, Snapshot, Transaction, Uuid,
};
use support::inventory::{Database, Item, Part};
use support::peer::{Connection, Peer, Received};
use support::{INVENTORY, connect, inventory_server, item};
use tokio::time::timeout;

/// Longer than anything here takes, so that a test that hangs fails.
const HANG: Duration = Duration::from_secs(30);

fn quick(remote: String) -> ClientBuilder<Database> {
    Client::builder()
        .remotes(remote)
        .backoff(Duration::from_millis(10), Duration::from_millis(100))
}

async fn items(client: &Client<Database>) -> Cache<Database> {
    let start = client.cache().table::<Item>().start();
    timeout(HANG, start)
        .await
        .expect("no hang")
        .expect("a cache")
}

async fn stale(cache: &Cache<Database>) {
    let mut freshness = cache.freshness();
    let stale = freshness.wait_for(|now| *now != ovsdb::cache::Freshness::Current);
    timeout(HANG, stale)
        .await
        .expect("no hang")
        .expect("the client lives");
}

fn tags(view: &Snapshot<Database>) -> Vec<String> {
    let row = view.get_by(Item::NAME, "shared").expect("the row");
    row.tags.iter().map(ToString::to_string).collect()
}

/// The row "shared", a client that writes to it, and another client that connects through a proxy.
struct Setting {
    _server: Server,
    proxy: Proxy,
    other: Client<Database>,
    client: Client<Database>,
    cache: Cache<Database>,
}

impl Setting {
    async fn new() -> Self {
        let server = inventory_server();
        let proxy = Proxy::start(&server.remote(), 1).await.expect("a proxy");
        let other: Client<Database> = connect(&server).await;
        let mut txn = other.transaction();
        txn.insert(item("shared", 1));
        txn.commit().await.expect("a commit");
        let client = quick(proxy.remote()).connect().await.expect("a client");
        let cache = items(&client).await;
        Self {
            _server: server,
            proxy,
            other,
            client,
            cache,
        }
    }

    async fn other_writes(&self, tag: &str) {
        other_writes(&self.other, tag).await;
    }
}

async fn other_writes(other: &Client<Database>, tag: &str) {
    let mut txn = other.transaction();
    txn.mutate(Item::NAME.eq("shared"))
        .insert(Item::TAGS, [tag.to_owned()]);
    txn.commit().await.expect("a commit");
}

/// Writes the tags in the view and one more. Without a guard, what another client wrote meanwhile would
/// be lost.
fn add_tag(view: &Snapshot<Database>, txn: &mut Transaction<Database>) {
    let row = view.get_by(Item::NAME, "shared").expect("the row");
    let tags = row.tags.iter().cloned().chain(["ours".into()]);
    txn.update(row)
        .set(Item::TAGS, tags.collect::<ovsdb::Set<_>>());
}

#[tokio::test]
async fn without_a_connection_the_closure_waits_for_the_rows_of_the_next_one() {
    let setting = Setting::new().await;
    setting.proxy.refuse(true);
    setting.proxy.cut(Cut::Reset);
    stale(&setting.cache).await;
    let runs = Arc::new(Mutex::new(Vec::new()));
    let (client, cache, seen) = (setting.client.clone(), setting.cache.clone(), runs.clone());
    let apply = tokio::spawn(async move {
        let change = |view: &Snapshot<Database>, txn: &mut Transaction<Database>| {
            seen.lock().expect("no panic").push(tags(view));
            add_tag(view, txn);
        };
        client.edit(&cache, change).await
    });
    tokio::time::sleep(Duration::from_millis(50)).await;
    setting.other_writes("theirs").await;
    setting.proxy.refuse(false);
    timeout(HANG, apply)
        .await
        .expect("no hang")
        .expect("no panic")
        .expect("a commit");
    assert_eq!(*runs.lock().expect("no panic"), [["theirs"]]);
    assert_eq!(tags(&setting.cache.snapshot()), ["ours", "theirs"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_closure_is_run_again_when_the_connection_is_lost_before_sending() {
    let setting = Setting::new().await;
    let mut runs = Vec::new();
    let change = |view: &Snapshot<Database>, txn: &mut Transaction<Database>| {
        runs.push(tags(view));
        add_tag(view, txn);
        if runs.len() == 1 {
            // The connection is lost while the closure decides.
            setting.proxy.cut(Cut::Reset);
            let meanwhile = async {
                stale(&setting.cache).await;
                setting.other_writes("theirs").await;
            };
            tokio::task::block_in_place(|| {
                tokio::runtime::Handle::current().block_on(meanwhile);
            });
        }
        Ok::<_, CommitError>(())
    };
    let applied = setting.client.apply(&setting.cache, change);
    timeout(HANG, applied)
        .await
        .expect("no hang")
        .expect("a commit");
    assert_eq!(runs, [vec![], vec!["theirs".to_owned()]]);
    assert_eq!(tags(&setting.cache.snapshot()), ["ours", "theirs"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_closure_is_run_again_when_the_schema_is_converted_before_sending() {
    let setting = Setting::new().await;
    let wider = INVENTORY.replace("\"maxRows\": 2", "\"maxRows\": 3");
    let schema: Json = Wire::from_json(&wider).expect("json");
    let mut runs = Vec::new();
    let change = |view: &Snapshot<Database>, txn: &mut Transaction<Database>| {
        runs.push(tags(view));
        add_tag(view, txn);
        if runs.len() == 1 {
            let mut freshness = setting.cache.freshness();
            let meanwhile = async {
                setting
                    .other
                    .convert(schema.clone())
                    .await
                    .expect("a conversion");
                // The replica is stale, or current again already.
                let stale = timeout(HANG, freshness.changed()).await;
                stale.expect("no hang").expect("the client lives");
                setting.other_writes("theirs").await;
            };
            tokio::task::block_in_place(|| {
                tokio::runtime::Handle::current().block_on(meanwhile);
            });
        }
        Ok::<_, CommitError>(())
    };
    let applied = setting.client.apply(&setting.cache, change);
    timeout(HANG, applied)
        .await
        .expect("no hang")
        .expect("a commit");
    assert_eq!(runs.len(), 2, "{runs:?}");
    assert_eq!(tags(&setting.cache.snapshot()), ["ours", "theirs"]);
}

#[tokio::test]
async fn a_transaction_that_requires_a_current_replica_is_not_sent_after_an_outage() {
    let setting = Setting::new().await;
    let mut kept = setting.client.transaction();
    kept.require_current(&setting.cache);
    kept.comment("sent");
    kept.clone().commit().await.expect("a commit");
    setting.proxy.cut(Cut::Reset);
    stale(&setting.cache).await;
    let mut late = setting.client.transaction();
    late.require_current(&setting.cache);
    late.comment("the replica is stale from the beginning");
    timeout(HANG, setting.cache.current())
        .await
        .expect("no hang")
        .expect("current");
    for outdated in [kept, late] {
        let error = outdated.commit().await.expect_err("not sent");
        assert!(matches!(&error, CommitError::NotSent(_)), "{error:?}");
        assert_eq!(error.retry(), Retry::Again);
    }
}

#[tokio::test]
async fn the_time_limit_bounds_the_wait_for_the_replica() {
    let setting = Setting::new().await;
    let client = quick(setting.proxy.remote())
        .request_timeout(Some(Duration::from_millis(50)))
        .connect()
        .await
        .expect("a client");
    let cache = items(&client).await;
    setting.proxy.refuse(true);
    setting.proxy.cut(Cut::Reset);
    stale(&cache).await;
    let change = |_: &Snapshot<Database>, _: &mut Transaction<Database>| -> Result<(), _> {
        panic!("run on a replica that is not current")
    };
    let refused: Result<_, CommitError> = timeout(HANG, client.apply(&cache, change))
        .await
        .expect("no hang");
    assert!(matches!(
        refused,
        Err(CommitError::NotSent(lost)) if matches!(lost.reason(), DisconnectReason::TimedOut)
    ));
    client.close().await;
    let change = |_: &Snapshot<Database>, _: &mut Transaction<Database>| Ok::<_, CommitError>(());
    let refused = timeout(HANG, setting.client.apply(&cache, change))
        .await
        .expect("no hang");
    assert!(matches!(
        refused,
        Err(CommitError::NotSent(lost)) if matches!(lost.reason(), DisconnectReason::Closed)
    ));
}

#[tokio::test]
async fn a_permanent_refusal_is_returned_at_once() {
    let server = inventory_server();
    let client: Client<Database> = connect(&server).await;
    let cache = items(&client).await;
    type Write = fn(&mut Transaction<Database>);
    let writes: [(ErrorKind, Write); 4] = [
        (ErrorKind::ConstraintViolation, |txn| {
            txn.insert(Item {
                count: -1001,
                ..item("low", 1)
            });
        }),
        (ErrorKind::NotOwner, |txn| {
            txn.assert_lock("missing");
        }),
        (ErrorKind::Aborted, |txn| {
            txn.abort();
        }),
        (ErrorKind::DomainError, |txn| {
            txn.insert(item("zero", 2));
            txn.mutate(Item::NAME.eq("zero")).divide(Item::COUNT, 0);
        }),
    ];
    for (kind, write) in writes {
        let mut runs = 0;
        let error = client
            .apply(&cache, |_, txn| {
                runs += 1;
                write(txn);
                Ok::<_, CommitError>(())
            })
            .await
            .expect_err("a refusal");
        assert_eq!((error.kind(), error.retry()), (Some(kind), Retry::Never));
        assert_eq!(runs, 1, "{error}");
    }
}

#[tokio::test]
async fn a_conversion_cancels_what_is_in_flight_and_the_closure_is_run_again() {
    let server = inventory_server();
    let client: Client<Database> = connect(&server).await;
    let other: Client<Database> = connect(&server).await;
    let cache = items(&client).await;
    let runs = Arc::new(AtomicUsize::new(0));
    let counted = runs.clone();
    let (writer, of_writer) = (client.clone(), cache.clone());
    let apply = tokio::spawn(async move {
        writer
            .apply(&of_writer, |_, txn| {
                if counted.fetch_add(1, Ordering::SeqCst) == 0 {
                    // No client inserts this row: only the conversion ends the wait.
                    txn.wait(Item::NAME.eq("missing"))
                        .comparing(Item::NAME)
                        .timeout(None)
                        .until_not([]);
                }
                txn.insert(item("new", 1));
                Ok::<_, CommitError>(())
            })
            .await
    });
    let waits = async {
        while client.stats().in_flight == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        // The server reads requests in order, so it has received the transaction.
        client.list_dbs().await.expect("names");
    };
    timeout(HANG, waits).await.expect("no hang");
    let wider = INVENTORY.replace("\"maxRows\": 2", "\"maxRows\": 3");
    let schema: Json = Wire::from_json(&wider).expect("json");
    other.convert(schema).await.expect("a conversion");
    timeout(HANG, apply)
        .await
        .expect("no hang")
        .expect("no panic")
        .expect("a commit");
    assert_eq!(runs.load(Ordering::SeqCst), 2);
    assert_eq!(cache.snapshot().rows::<Item>().len(), 1);
}

// Unknown outcomes, with a peer that follows a script.

/// The row of the scripted peer.
const ROW: Uuid = Uuid::from_u128(7);

async fn greet(peer: &Peer) -> Connection {
    let mut connection = timeout(HANG, peer.accept()).await.expect("a connection");
    connection.give_schema(INVENTORY).await;
    connection
}

/// Answers the request for the monitor with one row, with this count.
async fn give_rows(connection: &mut Connection, count: i64) {
    let request = connection.request().await;
    assert_eq!(request.method, "monitor_cond_since");
    let nil = Uuid::nil();
    let rows = format!(
        r#"[false,"{nil}",{{"Item":{{"{ROW}":{{"initial":{{"name":"shared","count":{count},"only":"sole"}}}}}}}}]"#
    );
    connection.reply(&request, &rows).await;
}

type Change = fn(&Snapshot<Database>, &mut Transaction<Database>) -> Option<Ref<Item>>;

type Applied = Result<(Option<Ref<Item>>, Outcome), CommitError>;

/// The task that runs an `apply`.
type Applying = tokio::task::JoinHandle<Applied>;

/// Applies `change` on a replica whose row has the count 0. Returns the request with its transaction, the
/// peer, the connection on which the request arrived, and the task.
async fn first_try(
    identity: RowIdentity,
    change: Change,
) -> (Received, Peer, Connection, Applying) {
    let peer = Peer::new();
    let builder = quick(peer.remote())
        .probe_interval(None)
        .row_identity(identity);
    let applied = tokio::spawn(async move {
        let client = builder.connect().await.expect("a client");
        let cache = items(&client).await;
        let change = |view: &Snapshot<Database>, txn: &mut Transaction<Database>| {
            Ok::<_, CommitError>(change(view, txn))
        };
        timeout(HANG, client.apply(&cache, change))
            .await
            .expect("no hang")
    });
    let mut connection = greet(&peer).await;
    give_rows(&mut connection, 0).await;
    let first = connection.request().await;
    assert_eq!(first.method, "transact");
    (first, peer, connection, applied)
}

/// Like [`first_try`], but the connection is lost after the transaction was sent. The connection
/// that is returned is the next one, on which the row has the count 1.
async fn lost_after_sending(
    identity: RowIdentity,
    change: Change,
) -> (Received, Peer, Connection, Applying) {
    let (first, peer, connection, applied) = first_try(identity, change).await;
    drop(connection);
    let mut connection = greet(&peer).await;
    give_rows(&mut connection, 1).await;
    (first, peer, connection, applied)
}

#[tokio::test]
async fn a_change_without_inserts_is_decided_again_on_what_the_next_connection_shows() {
    let (first, _peer, mut connection, applied) =
        lost_after_sending(RowIdentity::ClientChosen, |view, txn| {
            let row = view.rows::<Item>().next().expect("the row");
            txn.update(row).set(Item::TOTAL, row.count + 10);
            None
        })
        .await;
    assert!(first.params.contains(r#"{"total":10}"#), "{first:?}");
    let second = connection.request().await;
    assert!(second.params.contains(r#"{"total":11}"#), "{second:?}");
    connection.reply(&second, r#"[{"count":1}]"#).await;
    applied.await.expect("no panic").expect("a commit");
}

/// The peer closes the next eight connections before it sends the rows on them.
#[tokio::test]
async fn connections_that_are_lost_while_the_rows_are_fetched_do_not_end_apply() {
    let (_, peer, connection, applied) = first_try(RowIdentity::ClientChosen, |view, txn| {
        let row = view.rows::<Item>().next().expect("the row");
        txn.update(row).set(Item::TOTAL, row.count + 10);
        None
    })
    .await;
    drop(connection);
    for _ in 0..8 {
        let mut connection = greet(&peer).await;
        let request = connection.request().await;
        assert_eq!(request.method, "monitor_cond_since");
    }
    let mut connection = greet(&peer).await;
    give_rows(&mut connection, 1).await;
    let second = connection.request().await;
    assert!(second.params.contains(r#"{"total":11}"#), "{second:?}");
    connection.reply(&second, r#"[{"count":1}]"#).await;
    applied.await.expect("no panic").expect("a commit");
}

#[tokio::test]
async fn a_change_whose_outcome_cannot_be_settled_is_not_made_twice() {
    for (identity, change) in [
        (
            RowIdentity::ClientChosen,
            (|_, txn| {
                txn.mutate(Ref::<Item>::new(ROW)).add(Item::COUNT, 1);
                None
            }) as Change,
        ),
        (RowIdentity::Named, |_, txn| {
            Some(txn.insert(item("new", 1)))
        }),
    ] {
        let (_, _peer, connection, applied) = first_try(identity, change).await;
        drop(connection);
        let error = applied.await.expect("no panic").expect_err("unknown");
        assert_eq!(error.retry(), Retry::Unknown);
        assert!(!error.nothing_changed());
    }
}

/// An edit that a second one undoes.
fn toggle(item: &mut Item) {
    if !item.tags.remove("on") {
        item.tags.insert("on");
    }
}

#[tokio::test]
async fn a_change_that_may_have_been_made_is_not_reported_as_made_by_a_later_run() {
    // Only the first run inserts a row, which shows whether that run was carried out.
    let (_first, peer, mut connection, applied) =
        lost_after_sending(RowIdentity::ClientChosen, |view, txn| {
            let row = view.rows::<Item>().next().expect("the row");
            txn.edit(row, toggle);
            (row.count == 0).then(|| txn.insert(item("new", 1)))
        })
        .await;
    let second = connection.request().await;
    assert!(second.params.contains(r#""on""#), "{second:?}");
    drop(connection);
    let mut connection = greet(&peer).await;
    give_rows(&mut connection, 2).await;
    // The third run would perhaps undo what the second one did. So it finds out only whether the first run was
    // carried out.
    let third = connection.request().await;
    assert!(!third.params.contains(r#""on""#), "{third:?}");
    let results = vec!["{}"; third.params.matches(r#""op":"#).count()];
    let results = format!("[{}]", results.join(","));
    connection.reply(&third, &results).await;
    let error = applied.await.expect("no panic");
    let error = error.expect_err("it is unknown what the second run did");
    assert_eq!(error.retry(), Retry::Unknown, "{error}");
}

#[tokio::test]
async fn a_run_that_only_finds_out_what_an_earlier_one_did_is_repeated() {
    let (_first, peer, mut connection, applied) =
        lost_after_sending(RowIdentity::ClientChosen, |view, txn| {
            let row = view.rows::<Item>().next().expect("the row");
            txn.edit(row, toggle);
            if row.count == 2 {
                // A run that has sent this cannot be repeated, but this is never sent.
                txn.mutate(row).add(Item::COUNT, 1);
            }
            (row.count == 0).then(|| txn.insert(item("new", 1)))
        })
        .await;
    let second = connection.request().await;
    assert!(second.params.contains(r#""on""#), "{second:?}");
    for is_answered in [false, false, true] {
        drop(connection);
        connection = greet(&peer).await;
        give_rows(&mut connection, 2).await;
        let request = connection.request().await;
        assert!(!request.params.contains("mutate"), "{request:?}");
        if is_answered {
            let mut results = vec!["null"; request.params.matches(r#""op":"#).count()];
            results[0] = r#"{"error":"timed out","details":"\"wait\" timed out"}"#;
            let results = format!("[{}]", results.join(","));
            connection.reply(&request, &results).await;
        }
    }
    // The first run was carried out.
    let (row, outcome) = applied.await.expect("no panic").expect("a commit");
    assert!(row.is_some() && outcome.is_settled());
}

#[tokio::test]
async fn an_insert_is_made_once_and_its_first_result_holds() {
    // If the first attempt was carried out, the row exists on the server, but not in the replica, whose
    // condition may exclude it.
    for carried_out in [true, false] {
        let (first, _peer, mut connection, applied) =
            lost_after_sending(RowIdentity::ClientChosen, |view, txn| {
                let row = view.rows::<Item>().next().expect("the row");
                txn.mutate(row).add(Item::COUNT, 1);
                Some(txn.insert(item("new", row.count)))
            })
            .await;
        let uuid = first
            .params
            .split(r#""uuid":""#)
            .nth(1)
            .and_then(|rest| rest.get(..36))
            .expect("the uuid of the insert");
        let second = connection.request().await;
        let guard = format!(
            r#"["Inventory",{{"op":"wait","table":"Item","timeout":0,"where":[["_uuid","==",["uuid","{uuid}"]]],"columns":["_uuid"],"until":"==","rows":[]}},"#
        );
        assert!(second.params.starts_with(&guard), "{second:?}");
        // The closure has decided again: the replica shows 1 now.
        assert!(second.params.contains(r#""total":1"#), "{second:?}");
        if carried_out {
            let answer = r#"[{"error":"timed out","details":"\"wait\" timed out"},null,null]"#;
            connection.reply(&second, answer).await;
        } else {
            let other = Uuid::from_u128(9);
            let answer = format!(r#"[{{}},{{"count":1}},{{"uuid":["uuid","{other}"]}}]"#);
            connection.reply(&second, &answer).await;
        }
        let (row, outcome) = applied.await.expect("no panic").expect("a commit");
        assert_eq!(outcome.is_settled(), carried_out);
        let row = row.expect("a reference");
        assert_eq!(row.uuid().to_string() == uuid, carried_out);
        assert!(outcome.inserted(row).is_some());
    }
}

#[tokio::test]
async fn an_unknown_outcome_is_never_reported_as_a_refusal() {
    for whole in [true, false] {
        let (_, _peer, mut connection, applied) =
            lost_after_sending(RowIdentity::ClientChosen, |_, txn| {
                Some(txn.insert(item("new", 1)))
            })
            .await;
        let second = connection.request().await;
        if whole {
            // The request as a whole is refused, which says nothing about the first attempt.
            let error = r#"{"error":"unknown database"}"#;
            connection.fail(&second, error).await;
        } else {
            // The guard passes: the first attempt was not carried out yet, but may still be on its way.
            let results = r#"[{},{"error":"constraint violation"}]"#;
            connection.reply(&second, results).await;
        }
        let error = applied.await.expect("no panic").expect_err("unknown");
        assert!(matches!(error, CommitError::Unknown(_)), "{error:?}");
    }
}

/// Why a closure does not write, or a commit fails.
#[cfg(feature = "server")]
#[derive(Debug)]
enum Failure {
    Exists,
    Commit(CommitError),
}

#[cfg(feature = "server")]
impl From<CommitError> for Failure {
    fn from(error: CommitError) -> Self {
        Self::Commit(error)
    }
}

#[cfg(feature = "server")]
#[tokio::test]
async fn what_an_earlier_run_may_have_made_is_not_reported_as_the_closures_error() {
    use ovsdb::server::{self, TransactionFault};

    let server = server::Server::memory(INVENTORY).expect("a server");
    let client = Client::<Database>::builder().server(&server);
    let client = client.connect().await.expect("a client");
    let cache = client.cache().all_tables().start().await.expect("a cache");
    let fail = |fault| {
        let faults = server.faults();
        faults
            .next_transaction("Inventory", fault)
            .expect("a fault");
    };
    let insert = async |name: &str| {
        let mut runs = 0;
        let apply = client.apply(&cache, |_, txn| {
            runs += 1;
            if txn.get_by(Item::NAME, name).is_some() {
                return Err(Failure::Exists);
            }
            Ok((txn.insert(item(name, name.len() as i64)), runs))
        });
        let apply = timeout(HANG, apply);
        apply.await.expect("no hang").map(|(result, _)| result)
    };
    let delete = async |name: &str| {
        let apply = client.apply(&cache, |_, txn| {
            let row = txn.one(Item::NAME, name)?;
            txn.delete(row);
            Ok::<_, CommitError>(())
        });
        timeout(HANG, apply).await.expect("no hang")
    };
    let find = |name: &str| {
        let view = cache.snapshot();
        view.get_by(Item::NAME, name).map(Row::reference)
    };

    // The second run finds the row that the first run inserted: the result of the first run is returned.
    fail(TransactionFault::DisconnectAfter);
    let (row, run) = insert("a").await.expect("inserted by the first run");
    assert_eq!((find("a"), run), (Some(row), 1));
    // If the row existed before, the closure's own error is returned.
    match insert("a").await.expect_err("it exists") {
        Failure::Exists => {}
        Failure::Commit(error) => panic!("{error:?}"),
    }
    // The first run was not carried out, and the second one is.
    fail(TransactionFault::DisconnectBefore);
    let (row, run) = insert("bb").await.expect("inserted by the second run");
    assert_eq!((find("bb"), run), (Some(row), 2));

    // The same if the second run does not fail, but finds nothing left to do.
    fail(TransactionFault::DisconnectAfter);
    let mut runs = 0;
    let apply = client.edit(&cache, |_, txn| {
        runs += 1;
        match txn.get_by(Item::NAME, "ccc") {
            Some(_) => (runs, "found"),
            None => {
                txn.insert(item("ccc", 3));
                (runs, "made")
            }
        }
    });
    let (result, outcome) = timeout(HANG, apply).await.expect("no hang").expect("made");
    assert_eq!(result, (1, "made"));
    let row = find("ccc").expect("the row");
    assert_eq!(outcome.inserted(row), Some(row));

    // A missing row does not show whether the first run deleted it.
    fail(TransactionFault::DisconnectAfter);
    let error = delete("a").await.expect_err("the outcome is unknown");
    assert!(matches!(error, CommitError::Unknown(_)), "{error:?}");
    assert_eq!(find("a"), None);
    let error = delete("a").await.expect_err("there is none");
    assert!(matches!(error, CommitError::Build(_)), "{error:?}");
    fail(TransactionFault::DisconnectBefore);
    delete("bb").await.expect("deleted by the second run");
    assert_eq!(find("bb"), None);
}

/// A server in this process with the item "shared", a client and its cache.
async fn embedded(identity: RowIdentity) -> (server::Server, Client<Database>, Cache<Database>) {
    let server = server::Server::memory(INVENTORY).expect("a server");
    let builder = Client::builder().server(&server).row_identity(identity);
    let client = builder.connect().await.expect("a client");
    let mut txn = client.transaction();
    txn.insert(item("shared", 1));
    txn.commit().await.expect("a commit");
    let cache = client.cache().all_tables().start().await.expect("a cache");
    (server, client, cache)
}

#[tokio::test]
async fn an_edit_that_toggles_is_not_made_twice() {
    for edit in [toggle as fn(&mut Item), |item: &mut Item| {
        if item.notes.remove("on").is_none() {
            item.notes.insert("on", "");
        }
    }] {
        let (server, client, cache) = embedded(RowIdentity::ClientChosen).await;
        let fault = server::TransactionFault::DisconnectAfter;
        let lost = server.faults().next_transaction("Inventory", fault);
        lost.expect("the database");
        let applied = client.edit(&cache, |_, txn| {
            let row = txn.get_by(Item::NAME, "shared").expect("the row");
            txn.edit(&row, edit);
        });
        let error = timeout(HANG, applied).await.expect("no hang");
        let error = error.expect_err("it is unknown whether it is on");
        assert_eq!(error.retry(), Retry::Unknown, "{error}");
        assert_eq!(server.transactions::<Database>().len(), 2);
    }
}

#[tokio::test]
async fn a_row_named_by_the_server_is_not_inserted_twice_despite_guards() {
    let (server, client, cache) = embedded(RowIdentity::Named).await;
    let fault = server::TransactionFault::DisconnectAfter;
    let lost = server.faults().next_transaction("Inventory", fault);
    lost.expect("the database");
    let applied = client.edit(&cache, |_, txn| {
        let row = txn.get_by(Item::NAME, "shared").expect("the row");
        let part = txn.insert(Part {
            label: "new".into(),
        });
        txn.edit(&row, |item| {
            item.parts.insert(part);
        });
    });
    let error = timeout(HANG, applied).await.expect("no hang");
    let error = error.expect_err("it is unknown whether the part exists");
    assert_eq!(error.retry(), Retry::Unknown, "{error}");
    let inserted = server.transactions::<Database>();
    let inserted = inserted
        .iter()
        .map(|commit| commit.inserted::<Part>().len());
    assert_eq!(inserted.sum::<usize>(), 1);
}
