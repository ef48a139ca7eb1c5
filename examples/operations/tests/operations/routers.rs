//! Routers: ports, policies, routes, BFD sessions and NATs.

use operations::{ROUTERS, Transaction, load_balancer, router, rows};
use ovsdb::nb::{
    Bfd, GatewayChassis, LoadBalancer, LogicalRouter, LogicalRouterPolicy as Policy,
    LogicalRouterPolicyAction as Action, LogicalRouterPort as Port,
    LogicalRouterStaticRoute as Route, LogicalRouterStaticRoutePolicy as Kind,
};
use ovsdb::transaction::BuildError;
use ovsdb::{CommitError, Row};

use crate::{Setting, setting, sorted};

pub(crate) fn routers(txn: &mut Transaction) {
    for (name, key) in [("rtr1", "a"), ("rtr2", "a"), ("rtr3", "b")] {
        router::ensure(txn, name, |router| {
            router.external_ids.insert("key", key);
        });
    }
}

impl Setting {
    pub(crate) fn router(&self, name: &str) -> Row<LogicalRouter> {
        self.view().get_by(&*ROUTERS, name).unwrap().clone()
    }
}

#[tokio::test]
async fn routers_are_deleted_by_a_predicate_and_by_name() {
    let setting = setting(routers).await;
    let has_a = |router: &Row<LogicalRouter>| router.external_ids["key"] == "a";
    setting.edit(|txn| rows::delete(txn, has_a)).await;
    assert_eq!(setting.only::<LogicalRouter>().name, "rtr3");
    setting.unchanged(|txn| router::delete(txn, "rtr1")).await;
    setting
        .apply(|txn| router::delete(txn, "rtr3"))
        .await
        .unwrap();
    assert!(setting.rows::<LogicalRouter>().is_empty());
}

#[tokio::test]
async fn external_ids_of_a_router_are_set_and_removed() {
    let setting = setting(routers).await;
    let set = |txn: &mut _| router::set_external_ids(txn, "rtr1", &[("key", ""), ("new", "1")]);
    setting.apply(set).await.unwrap();
    assert_eq!(setting.router("rtr1").external_ids, [("new", "1")].into());
    assert_eq!(setting.router("rtr2").external_ids, [("key", "a")].into());
    setting
        .not_found(|txn| router::set_external_ids(txn, "none", &[]))
        .await;
}

#[tokio::test]
async fn load_balancers_of_a_router_are_added_and_removed() {
    let setting = setting(|txn| {
        routers(txn);
        load_balancer::ensure(txn, "lb", |_| {});
    });
    let setting = setting.await;
    let balancer = [setting.only::<LoadBalancer>().reference()];
    setting
        .apply(|txn| router::add_balancers(txn, "rtr1", &balancer))
        .await
        .unwrap();
    assert_eq!(setting.router("rtr1").load_balancer, balancer.into());
    setting
        .unchanged(|txn| router::remove_balancers(txn, "none", &balancer))
        .await;
    setting
        .apply(|txn| router::remove_balancers(txn, "rtr1", &balancer))
        .await
        .unwrap();
    assert!(setting.router("rtr1").load_balancer.is_empty());
    setting
        .not_found(|txn| router::add_balancers(txn, "none", &balancer))
        .await;
}

#[tokio::test]
async fn a_port_gets_its_gateway_chassis_and_is_deleted_with_it() {
    let setting = setting(routers).await;
    let ensure = |chassis: &'static str| {
        move |txn: &mut Transaction| {
            let port = router::ensure_port(txn, "rtr1", "rtr1-ext", |port| {
                port.mac = "0a:58:64:40:00:01".into();
                port.networks = ["100.64.0.1/16"].into();
            })?;
            let name = format!("rtr1-ext-{chassis}");
            router::ensure_gateway(txn, port, &name, |gateway| {
                gateway.chassis_name = chassis.into();
                gateway.priority = 1;
            });
            Ok(port)
        }
    };
    let port = setting.apply(ensure("node1")).await.unwrap();
    setting.unchanged(ensure("node1")).await;
    assert_eq!(setting.apply(ensure("node2")).await.unwrap(), port);
    let gateway = setting.only::<GatewayChassis>();
    assert_eq!(
        gateway.chassis_name, "node2",
        "the other one is deleted with the last reference"
    );
    assert_eq!(
        setting.only::<Port>().gateway_chassis,
        [gateway.reference()].into()
    );
    assert_eq!(setting.router("rtr1").ports, [port].into());
    setting
        .not_found(|txn| router::ensure_port(txn, "none", "p", |_| {}))
        .await;

    setting
        .unchanged(|txn| router::delete_ports(txn, "rtr1", &["none"]))
        .await;
    let both = ["rtr1-ext", "none"];
    setting
        .apply(|txn| router::delete_ports(txn, "rtr1", &both))
        .await
        .unwrap();
    assert!(setting.rows::<Port>().is_empty() && setting.rows::<GatewayChassis>().is_empty());
    assert!(setting.router("rtr1").ports.is_empty());
}

fn policy(hops: &[&str]) -> Policy {
    Policy {
        priority: 100,
        r#match: "ip4.src == 10.0.0.1".into(),
        action: Action::Reroute,
        nexthops: hops.iter().copied().collect(),
        ..Default::default()
    }
}

fn is_policy(row: &Row<Policy>) -> bool {
    (row.priority, &*row.r#match) == (100, "ip4.src == 10.0.0.1")
}

#[tokio::test]
async fn a_policy_is_found_among_those_of_its_router() {
    let setting = setting(routers).await;
    let ensure = |router: &'static str, hop: &'static str| {
        move |txn: &mut Transaction| {
            router::ensure_policy(txn, router, is_policy, |row| *row = policy(&[hop]))
        }
    };
    let first = setting.apply(ensure("rtr1", "100.64.0.2")).await.unwrap();
    let second = setting.apply(ensure("rtr2", "100.64.0.2")).await.unwrap();
    assert_ne!(first, second);
    assert_eq!(
        setting.apply(ensure("rtr1", "100.64.0.3")).await.unwrap(),
        first
    );
    assert_eq!(
        setting.view().get(first).unwrap().nexthops,
        ["100.64.0.3"].into()
    );
    assert_eq!(
        setting.view().get(second).unwrap().nexthops,
        ["100.64.0.2"].into()
    );
    let find = |txn: &mut Transaction| router::find_policies(txn, "rtr1", is_policy);
    assert_eq!(setting.unchanged(find).await, [first]);
    let find = |txn: &mut Transaction| router::find_policies(txn, "rtr1", |_| false);
    assert!(setting.unchanged(find).await.is_empty());
    setting.not_found(ensure("none", "")).await;

    setting
        .unchanged(|txn| router::delete_policies(txn, "none", |_| true))
        .await;
    setting
        .unchanged(|txn| router::delete_policies(txn, "rtr3", |_| true))
        .await;
    setting
        .apply(|txn| router::delete_policies(txn, "rtr1", is_policy))
        .await
        .unwrap();
    assert_eq!(setting.only::<Policy>().reference(), second);
    assert!(setting.router("rtr1").policies.is_empty());
}

#[tokio::test]
async fn several_policies_are_an_error_where_one_is_expected() {
    let setting = setting(|txn| {
        routers(txn);
        let policies = [txn.insert(policy(&["a"])), txn.insert(policy(&["b"]))];
        router::ensure(txn, "rtr1", |router| router.policies = policies.into());
    });
    let setting = setting.await;
    let ensure = |txn: &mut Transaction| router::ensure_policy(txn, "rtr1", is_policy, |_| {});
    let error = setting.apply(ensure).await.unwrap_err();
    let is_several = matches!(
        error,
        CommitError::Build(BuildError::Several {
            table: "Logical_Router_Policy",
            count: 2,
            ..
        })
    );
    assert!(is_several, "{error:?}");
}

#[tokio::test]
async fn next_hops_are_added_and_a_policy_without_any_is_deleted() {
    let setting = setting(routers).await;
    let add = |hops: &'static [&str]| {
        move |txn: &mut Transaction| router::add_next_hops(txn, "rtr1", is_policy, &policy(hops))
    };
    let created = setting.apply(add(&["a", "b"])).await.unwrap();
    assert_eq!(setting.only::<Policy>().action, Action::Reroute);
    assert_eq!(setting.apply(add(&["b", "c"])).await.unwrap(), created);
    assert_eq!(setting.only::<Policy>().nexthops, ["a", "b", "c"].into());
    let remove = |hops: &'static [&str]| {
        move |txn: &mut Transaction| router::remove_next_hops(txn, "rtr1", is_policy, hops)
    };
    setting.unchanged(remove(&["z"])).await;
    setting.apply(remove(&["a", "z"])).await.unwrap();
    assert_eq!(setting.only::<Policy>().nexthops, ["b", "c"].into());
    setting.apply(remove(&["b", "c"])).await.unwrap();
    assert!(setting.rows::<Policy>().is_empty());
    assert!(setting.router("rtr1").policies.is_empty());
}

fn route(prefix: &str, hop: &str) -> Route {
    Route {
        ip_prefix: prefix.into(),
        nexthop: hop.into(),
        ..Default::default()
    }
}

fn is_route(row: &Row<Route>) -> bool {
    row.ip_prefix == "10.0.0.0/16" && router::same_kind(row.policy.as_ref(), None)
}

#[tokio::test]
async fn a_route_is_created_and_updated() {
    let setting = setting(routers).await;
    let ensure = |hop: &'static str| {
        move |txn: &mut Transaction| {
            router::ensure_route(txn, "rtr1", is_route, |row| {
                *row = route("10.0.0.0/16", hop);
            })
        }
    };
    let created = setting.apply(ensure("a")).await.unwrap();
    assert_eq!(setting.apply(ensure("b")).await.unwrap(), created);
    assert_eq!(setting.only::<Route>().nexthop, "b");
    assert_eq!(setting.router("rtr1").static_routes, [created].into());
    setting
        .not_found(|txn| router::ensure_route(txn, "none", is_route, |_| {}))
        .await;
    setting
        .unchanged(|txn| router::delete_routes(txn, "none", is_route))
        .await;
    setting
        .unchanged(|txn| router::delete_routes(txn, "rtr2", is_route))
        .await;
    setting
        .apply(|txn| router::delete_routes(txn, "rtr1", is_route))
        .await
        .unwrap();
    assert!(setting.rows::<Route>().is_empty());
}

#[tokio::test]
async fn one_of_several_routes_is_kept_and_updated() {
    let setting = setting(|txn| {
        routers(txn);
        let mut routes: Vec<_> = ["a", "b", "c"]
            .map(|hop| txn.insert(route("10.0.0.0/16", hop)))
            .into();
        routes.push(txn.insert(route("10.1.0.0/16", "d")));
        routes.push(txn.insert(Route {
            policy: Some(Kind::SrcIp),
            ..route("10.0.0.0/16", "e")
        }));
        router::ensure(txn, "rtr1", |router| router.static_routes = routes.into());
    });
    let setting = setting.await;
    let replace = |txn: &mut Transaction| {
        router::replace_route(txn, "rtr1", is_route, |route| route.nexthop = "new".into())
    };
    let route = setting.apply(replace).await.unwrap();
    let hops = setting
        .rows::<Route>()
        .into_iter()
        .map(|route| route.nexthop.to_string());
    assert_eq!(sorted(hops), ["d", "e", "new"]);
    assert!(setting.router("rtr1").static_routes.contains(&route));
    assert_eq!(setting.router("rtr1").static_routes.len(), 3);
    assert_eq!(setting.unchanged(replace).await, route);
}

#[test]
fn routes_are_by_destination_unless_they_say_otherwise() {
    let (dst, src) = (Some(&Kind::DstIp), Some(&Kind::SrcIp));
    for (a, b, same) in [
        (None, None, true),
        (None, dst, true),
        (dst, None, true),
        (src, src, true),
        (None, src, false),
        (src, None, false),
        (dst, src, false),
    ] {
        assert_eq!(router::same_kind(a, b), same, "{a:?} {b:?}");
    }
}

#[tokio::test]
async fn a_bfd_session_is_found_by_port_and_address() {
    let setting = setting(|_| {}).await;
    let ensure = |interval: i64| {
        move |txn: &mut Transaction| {
            router::ensure_bfd(txn, "rtr1-ext", "192.0.2.1", |bfd| {
                bfd.min_tx = Some(interval);
            })
        }
    };
    let created = setting.edit(ensure(100)).await;
    assert_eq!(setting.edit(ensure(200)).await, created);
    assert_eq!(setting.only::<Bfd>().min_tx, Some(200));
    let key = Bfd::LOGICAL_PORT_AND_DST_IP;
    let find = |txn: &mut Transaction| txn.one(key, ("rtr1-ext", "192.0.2.1"));
    assert_eq!(setting.unchanged(find).await, created);
    setting
        .not_found(|txn| txn.one(key, ("rtr1-ext", "192.0.2.2")))
        .await;
    setting
        .unchanged(|txn| router::delete_bfd(txn, "rtr1-ext", "192.0.2.2"))
        .await;
    setting
        .apply(|txn| router::delete_bfd(txn, "rtr1-ext", "192.0.2.1"))
        .await
        .unwrap();
    assert!(setting.rows::<Bfd>().is_empty());
}
