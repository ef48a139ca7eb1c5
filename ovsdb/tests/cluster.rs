//! Clients of a cluster whose leader is killed, transfers its leadership, or is stopped, and of which a member is
//! expelled or loses the majority.

mod support;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use ovsdb::testing::{Cluster, Server, ServerError};
use ovsdb::{Client, ClientBuilder, ConnectionState, Remote, Watched};
use support::INVENTORY;
use support::inventory::Database;
use support::load::{Load, Settle, Writer};
use support::replica::{Fold, same_as_dump};
use support::scale::size;
use support::seed::Seed;

fn builder(remotes: impl ovsdb::IntoRemotes) -> ClientBuilder<Database> {
    Client::builder()
        .remotes(remotes)
        .backoff(Duration::from_millis(10), Duration::from_millis(500))
        .probe_interval(Some(Duration::from_secs(1)))
        .request_timeout(None)
}

/// Does something slow with a cluster.
async fn with<R: Send + 'static>(
    cluster: &Arc<Mutex<Cluster>>,
    act: impl FnOnce(&mut Cluster) -> Result<R, ServerError> + Send + 'static,
) -> R {
    let cluster = cluster.clone();
    let done = tokio::task::spawn_blocking(move || act(&mut cluster.lock().expect("the cluster")));
    done.await.expect("no panic").expect("done")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_transaction_is_carried_out_once_while_leaders_fail() {
    let seed = Seed::new();
    let cluster = Cluster::start(INVENTORY, 3).expect("a cluster");
    let remotes = cluster.remotes();
    let relay = Server::builder().relay("Inventory", &remotes).start();
    let relay = relay.expect("a relay");
    relay.wait_until_connected("Inventory").expect("connected");

    let leader_only = || builder(remotes.clone()).leader_only(true);
    let mut writers = Vec::new();
    for (number, (client, settle)) in [
        (leader_only(), Settle::ByLibrary),
        (leader_only(), Settle::ByHand),
        // Its transactions go through the member that it is connected to.
        (builder(remotes.clone()), Settle::ByLibrary),
    ]
    .into_iter()
    .enumerate()
    {
        let client = client.connect().await.expect("a client");
        writers.push(Writer::new(client, number as i64, settle, seed.random()).await);
    }
    let mut observers = Vec::new();
    for client in [
        leader_only(),
        builder(remotes.clone()),
        builder(relay.remote()),
    ] {
        let client = client.connect().await.expect("a client");
        let cache = client.cache().all_tables().start().await.expect("a cache");
        let fold = Fold::of(&cache);
        observers.push((client, cache, fold));
    }

    let cluster = Arc::new(Mutex::new(cluster));
    let load = Load::start(writers);
    let mut random = seed.random();
    // At full size each happens 20 times.
    for round in 0..size(4, 60) {
        load.go_on(random.usize(20..200)).await;
        match round % 3 {
            0 => {
                let dead = with(&cluster, |cluster| {
                    let leader = cluster.leader()?;
                    cluster.member_mut(leader).kill()?;
                    Ok(leader)
                })
                .await;
                // The others continue, and the killed one joins again.
                load.go_on(random.usize(20..100)).await;
                with(&cluster, move |cluster| cluster.restart(dead)).await;
            }
            1 => drop(with(&cluster, |cluster| cluster.transfer_leadership()).await),
            _ => {
                // When the stopped leader continues, it does not know that another member was elected.
                let stopped = with(&cluster, |cluster| {
                    let leader = cluster.leader()?;
                    cluster.members()[leader].signal("STOP")?;
                    Ok(leader)
                })
                .await;
                load.go_on(random.usize(20..100)).await;
                with(&cluster, move |cluster| {
                    cluster.members()[stopped].signal("CONT")
                })
                .await;
            }
        }
    }
    load.go_on(50).await;
    let writers = load.finish().await;

    let cluster = Arc::into_inner(cluster).expect("no other handle exists");
    let cluster = cluster.into_inner().expect("the cluster");
    for (client, cache, fold) in observers {
        same_as_dump(&cache, &cluster).await;
        let view = cache.snapshot();
        for writer in &writers {
            writer.check(&view);
        }
        client.close().await;
        assert!(fold.await.expect("every change fits").is(&view));
    }
}

fn connected_to(state: &ConnectionState, remote: &str) -> bool {
    let wanted: Remote = remote.parse().expect("a remote");
    matches!(state, ConnectionState::Connected { remote } if *remote == wanted)
}

/// Waits until the client is connected to the leader, which may change on a busy machine.
async fn at_the_leader(cluster: &Cluster, state: &mut Watched<ConnectionState>) -> usize {
    loop {
        let leader = cluster.leader().expect("a leader");
        let remote = cluster.members()[leader].remote();
        let there = state.wait_for(|state| connected_to(state, &remote));
        if let Ok(there) = tokio::time::timeout(Duration::from_secs(5), there).await {
            drop(there.expect("the client lives"));
            return leader;
        }
    }
}

#[tokio::test]
async fn a_client_follows_the_leader() {
    let mut cluster = Cluster::start(INVENTORY, 3).expect("a cluster");
    let client = builder(cluster.remotes()).leader_only(true);
    let client = client.connect().await.expect("a client");
    let cache = client.cache().all_tables().start().await.expect("a cache");
    let mut state = client.state();
    let mut writer = Writer::new(client, 0, Settle::ByLibrary, fastrand::Rng::new()).await;
    for kill in [false, true, false] {
        let before = at_the_leader(&cluster, &mut state).await;
        if kill {
            cluster.member_mut(before).kill().expect("killed");
        } else {
            cluster.transfer_leadership().expect("another leader");
        }
        at_the_leader(&cluster, &mut state).await;
        writer.commit().await;
        same_as_dump(&cache, &cluster).await;
        if kill {
            cluster.restart(before).expect("it is back");
        }
    }
    writer.check(&cache.snapshot());
}

#[tokio::test]
async fn a_client_leaves_a_member_that_is_cut_off() {
    let mut cluster = Cluster::start(INVENTORY, 3).expect("a cluster");
    // Any member is accepted, but the first is tried first.
    let client = builder(cluster.remotes()).remote_order(ovsdb::RemoteOrder::Given);
    let client = client.connect().await.expect("a client");
    let cache = client.cache().all_tables().start().await.expect("a cache");
    let mut state = client.state();
    let mut writer = Writer::new(client, 0, Settle::ByLibrary, fastrand::Rng::new()).await;
    let remote = |cluster: &Cluster, member: usize| cluster.members()[member].remote();
    assert!(connected_to(&state.get(), &remote(&cluster, 0)));

    // Expelled: only the others have the database.
    cluster.kick(0).expect("expelled");
    let left = state.wait_for(|state| {
        connected_to(state, &remote(&cluster, 1)) || connected_to(state, &remote(&cluster, 2))
    });
    drop(left.await.expect("the client lives"));
    writer.commit().await;

    // One of the remaining two is killed: without a majority nothing can be written.
    let at_one = connected_to(&state.get(), &remote(&cluster, 1));
    let other = if at_one { 2 } else { 1 };
    cluster.member_mut(other).kill().expect("killed");
    let lost = state.wait_for(|state| !state.is_connected());
    drop(lost.await.expect("the client lives"));
    cluster.restart(other).expect("it is back");
    writer.commit().await;
    same_as_dump(&cache, &cluster).await;
    writer.check(&cache.snapshot());
}

#[tokio::test]
async fn a_client_that_changes_members_is_sent_only_what_it_missed() {
    let mut cluster = Cluster::start(INVENTORY, 3).expect("a cluster");
    let client = builder(cluster.remotes()).leader_only(true);
    let client = client.connect().await.expect("a client");
    let cache = client.cache().all_tables().start().await.expect("a cache");
    let fold = Fold::of(&cache);
    let mut state = client.state();
    let other = builder(cluster.remotes());
    let other = other.connect().await.expect("a client");
    let mut writer = Writer::new(other, 0, Settle::ByLibrary, fastrand::Rng::new()).await;
    for _ in 0..5 {
        writer.commit().await;
    }
    same_as_dump(&cache, &cluster).await;
    let leader = at_the_leader(&cluster, &mut state).await;
    cluster.member_mut(leader).kill().expect("killed");
    for _ in 0..5 {
        writer.commit().await;
    }
    at_the_leader(&cluster, &mut state).await;
    same_as_dump(&cache, &cluster).await;
    cluster.restart(leader).expect("it is back");
    assert_eq!(cache.stats().resyncs, 0);
    let view = cache.snapshot();
    client.close().await;
    assert!(fold.await.expect("every change fits").is(&view));
}
