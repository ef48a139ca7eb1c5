//! Many workers on several clients do the same operations at the same time, while their connections are
//! cut.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::time::Duration;

use operations::{
    Result, Table, Transaction, address_set, load_balancer, port_group, router, switch,
};
use ovsdb::nb::{
    AddressSet, LoadBalancer, LogicalRouter, LogicalRouterPolicy as Policy,
    LogicalRouterPolicyAction as Action, LogicalSwitch, LogicalSwitchPort as Port, Nat, PortGroup,
};
use ovsdb::testing::{Cut, Proxy};
use ovsdb::transaction::BuildError;
use ovsdb::{CommitError, ErrorChain, RetryPolicy, Row};
use tokio::task::JoinSet;

use crate::{Setting, connect_to, setting};

const CLIENTS: u64 = 4;
const WORKERS: u64 = 4;

/// How many operations each worker does.
fn rounds() -> usize {
    match std::env::var("OVSDB_TEST_SCALE").as_deref() {
        Ok("full") => 2_000,
        _ => 30,
    }
}

/// Does one of the operations, or fails if a row that it needs does not exist.
fn operate(txn: &mut Transaction, what: usize, number: usize) -> Result {
    let (switch, router) = (format!("sw{}", number % 2), format!("rtr{}", number % 2));
    let (port, hop) = (format!("p{number}"), format!("10.0.0.{number}"));
    let is_policy = |policy: &Row<Policy>| policy.priority == 100 + number as i64 / 4;
    match what {
        0 => {
            switch::ensure(txn, &switch, |_| {});
            switch::ensure_port(txn, &switch, &port, |port| port.enabled = Some(true))?;
        }
        1 => switch::delete_ports(txn, &switch, &[&port])?,
        2 => drop(switch::update_port(txn, &switch, &port, |port| {
            port.addresses.insert(&*hop);
        })?),
        3 => switch::delete_ports_where(txn, &switch, |port| port.addresses.len() > 1)?,
        4 => {
            router::ensure(txn, &router, |_| {});
            let wanted = Policy {
                priority: 100 + number as i64 / 4,
                action: Action::Reroute,
                nexthops: [hop].into(),
                ..Default::default()
            };
            router::add_next_hops(txn, &router, is_policy, &wanted)?;
        }
        5 => router::remove_next_hops(txn, &router, is_policy, &[&hop])?,
        6 => {
            router::ensure(txn, &router, |_| {});
            let nat = router::dnat_and_snat(hop.parse().ok(), None);
            router::ensure_nat(txn, &router, &nat)?;
        }
        7 => {
            let nat = router::dnat_and_snat(hop.parse().ok(), None);
            router::delete_nats(txn, &router, &[nat])?;
        }
        8 => {
            port_group::create(txn, "group", |_| {})?;
            let port = txn.one(Port::NAME, &*port)?;
            port_group::add_ports(txn, "group", &[port])?;
        }
        9 => port_group::delete(txn, &["group"])?,
        10 => {
            address_set::ensure(txn, "set", |_| {});
            address_set::add_addresses(txn, "set", &[&hop])?;
        }
        11 => drop(address_set::remove_addresses(txn, "set", &[&hop])?),
        12 => {
            let balancer = load_balancer::ensure(txn, &port, |_| {});
            switch::ensure(txn, &switch, |_| {});
            switch::add_balancers(txn, &switch, &[balancer])?;
        }
        13 => load_balancer::delete(txn, &[&port])?,
        14 => router::delete(txn, &router)?,
        _ => switch::delete(txn, &switch)?,
    }
    Ok(())
}

/// Checks that no two rows have the same key.
fn assert_distinct<T: Table, K: Ord + Debug>(setting: &Setting, key: impl Fn(&T) -> K) {
    let rows = setting.rows::<T>();
    let keys: BTreeSet<_> = rows.iter().map(|row| key(row)).collect();
    assert_eq!(keys.len(), rows.len(), "{}: {keys:?}", T::TABLE);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_inserted_twice_by_many_clients() {
    let setting = setting(|_| {}).await;
    let proxy = Proxy::start(&setting.server.remote(), 1).await.unwrap();
    let mut workers = JoinSet::new();
    for number in 0..CLIENTS * WORKERS {
        if number % WORKERS == 0 {
            let (client, cache) = connect_to(proxy.remote()).await;
            for worker in number..number + WORKERS {
                let (client, cache) = (client.clone(), cache.clone());
                let mut random = fastrand::Rng::with_seed(worker);
                workers.spawn(async move {
                    let policy = RetryPolicy::default().tries(10_000);
                    let policy = policy.max_wait(Duration::from_millis(50));
                    for _ in 0..rounds() {
                        let (what, number) = (random.usize(0..16), random.usize(0..8));
                        let apply = client.apply_with(policy, &cache, |_, txn| {
                            Ok::<_, CommitError>(operate(txn, what, number)?)
                        });
                        match apply.await {
                            Ok(_) | Err(CommitError::Build(BuildError::NotFound { .. })) => {}
                            Err(CommitError::Unknown(_) | CommitError::NotSent(_)) => {}
                            Err(error) => panic!("{what}: {}", ErrorChain::new(&error)),
                        }
                    }
                });
            }
        }
    }
    let cuts = async {
        loop {
            tokio::time::sleep(Duration::from_millis(300)).await;
            proxy.cut(Cut::Reset);
        }
    };
    tokio::select! {
        () = cuts => {}
        _ = workers.join_all() => {}
    }
    let sync = setting.edit(|txn| txn.ensure(AddressSet::NAME, "the last one", |_| {}));
    sync.await;

    assert_distinct(&setting, |row: &LogicalSwitch| row.name.clone());
    assert_distinct(&setting, |row: &LogicalRouter| row.name.clone());
    assert_distinct(&setting, |row: &LoadBalancer| row.name.clone());
    let view = setting.view();
    for router in view.rows::<LogicalRouter>() {
        let policies: Vec<_> = view
            .get_all(&router.policies)
            .map(|row| row.priority)
            .collect();
        let distinct: BTreeSet<_> = policies.iter().collect();
        assert_eq!(distinct.len(), policies.len(), "{policies:?}");
        let nats: Vec<_> = view
            .get_all(&router.nat)
            .map(|row: &Row<Nat>| &row.external_ip)
            .collect();
        let distinct: BTreeSet<_> = nats.iter().collect();
        assert_eq!(distinct.len(), nats.len(), "{nats:?}");
    }
    let mut owners = BTreeMap::<_, usize>::new();
    for switch in view.rows::<LogicalSwitch>() {
        for port in &switch.ports {
            *owners.entry(*port).or_default() += 1;
        }
    }
    assert!(owners.values().all(|switches| *switches == 1), "{owners:?}");
    assert_eq!(owners.len(), view.rows::<Port>().len());
    assert!(view.rows::<PortGroup>().len() <= 1);
}
