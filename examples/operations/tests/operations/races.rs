//! Two clients at the same time.

use operations::{SWITCHES, Transaction, children, router, switch};
use ovsdb::nb::{
    LogicalRouter, LogicalRouterPolicy as Policy, LogicalRouterPolicyAction as Action,
    LogicalSwitch, LogicalSwitchPort as Port,
};
use ovsdb::{CommitError, Retry};

use crate::{Setting, connect, setting};

/// The first client's transaction is committed after the second's, without having seen it.
async fn race(
    setting: &Setting,
    first: impl Fn(&mut Transaction),
    second: impl Fn(&mut Transaction),
) -> Result<(), CommitError> {
    let (other, others) = connect(&setting.server).await;
    let mut txn = setting.client.transaction_on(&setting.cache);
    first(&mut txn);
    other.edit(&others, |_, txn| second(txn)).await.unwrap();
    txn.commit().await.map(drop)
}

fn is_conflict(outcome: Result<(), CommitError>) -> bool {
    let error = outcome.expect_err("a conflict");
    let CommitError::Refused(refusal) = &error else {
        panic!("{error:?}");
    };
    error.retry() == Retry::Again && refusal.is_conflict()
}

#[tokio::test]
async fn two_clients_create_one_switch() {
    let setting = setting(|_| {}).await;
    let ensure = |txn: &mut Transaction| _ = switch::ensure(txn, "sw0", |_| {});
    assert!(is_conflict(race(&setting, ensure, ensure).await));
    assert_eq!(setting.rows::<LogicalSwitch>().len(), 1);
    // `apply` decides again, and finds the row.
    setting.edit(ensure).await;
    assert_eq!(setting.rows::<LogicalSwitch>().len(), 1);
}

#[tokio::test]
async fn two_clients_create_one_policy() {
    let setting = setting(|txn| _ = router::ensure(txn, "rtr", |_| {})).await;
    let ensure = |txn: &mut Transaction| {
        let is_meant = |policy: &ovsdb::Row<Policy>| policy.priority == 100;
        router::ensure_policy(txn, "rtr", is_meant, |policy| {
            policy.priority = 100;
            policy.action = Action::Allow;
        })
        .unwrap();
    };
    assert!(is_conflict(race(&setting, ensure, ensure).await));
    setting.edit(ensure).await;
    let policy = setting.only::<Policy>().reference();
    assert_eq!(setting.only::<LogicalRouter>().policies, [policy].into());
}

#[tokio::test]
async fn a_policy_is_added_while_the_router_gets_something_else() {
    let setting = setting(|txn| _ = router::ensure(txn, "rtr", |_| {})).await;
    let policy = |txn: &mut Transaction| {
        router::ensure_policy(
            txn,
            "rtr",
            |_| false,
            |policy| policy.action = Action::Allow,
        )
        .unwrap();
    };
    let other = |txn: &mut Transaction| {
        router::ensure_port(txn, "rtr", "p", |_| {}).unwrap();
        router::set_external_ids(txn, "rtr", &[("a", "1")]).unwrap();
    };
    race(&setting, policy, other).await.unwrap();
    let router = setting.only::<LogicalRouter>();
    assert_eq!((router.policies.len(), router.ports.len()), (1, 1));
}

#[tokio::test]
async fn two_clients_add_a_port_each_without_a_conflict() {
    let setting = setting(|txn| _ = switch::ensure(txn, "sw0", |_| {})).await;
    let add = |name: &'static str| {
        move |txn: &mut Transaction| {
            switch::ensure_port(txn, "sw0", name, |_| {}).unwrap();
        }
    };
    race(&setting, add("p1"), add("p2")).await.unwrap();
    assert_eq!(setting.only::<LogicalSwitch>().ports.len(), 2);
    assert_eq!(setting.rows::<Port>().len(), 2);
}

#[tokio::test]
async fn a_parent_that_is_deleted_meanwhile_is_a_conflict() {
    let setting = setting(|txn| _ = switch::ensure(txn, "sw0", |_| {})).await;
    let add = |txn: &mut Transaction| _ = switch::ensure_port(txn, "sw0", "p1", |_| {}).unwrap();
    let delete = |txn: &mut Transaction| switch::delete(txn, "sw0").unwrap();
    assert!(is_conflict(race(&setting, add, delete).await));
    setting
        .not_found(|txn| switch::ensure_port(txn, "sw0", "p1", |_| {}))
        .await;
}

#[tokio::test]
async fn a_parent_that_is_inserted_meanwhile_is_a_conflict() {
    let setting = setting(|_| {}).await;
    // The switch does not exist, so nothing is removed from it. The commit verifies that, too.
    let remove = |txn: &mut Transaction| {
        switch::ensure(txn, "sw1", |_| {});
        children::remove(txn, &*SWITCHES, "sw0", LogicalSwitch::PORTS, &[]).unwrap();
    };
    let create = |txn: &mut Transaction| _ = switch::ensure(txn, "sw0", |_| {});
    assert!(is_conflict(race(&setting, remove, create).await));
}
