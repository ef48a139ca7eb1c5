//! Port groups and load balancers.

use operations::{Transaction, acl, load_balancer, port_group, router, rows, switch};
use ovsdb::nb::{
    Acl, LoadBalancer, LoadBalancerGroup, LoadBalancerProtocol, LogicalRouter, LogicalSwitch,
    LogicalSwitchPort as Port, PortGroup,
};
use ovsdb::{Ref, Row};

use crate::{Setting, allow, setting};

fn groups(txn: &mut Transaction) {
    switch::ensure(txn, "sw0", |_| {});
    for name in ["p1", "p2"] {
        switch::ensure_port(txn, "sw0", name, |_| {}).unwrap();
    }
    let acls = ["acl1", "acl2"].map(|id| acl::ensure(txn, id, allow));
    for name in ["pg1", "pg2"] {
        port_group::ensure(txn, name, |group| group.acls = acls.into());
    }
}

impl Setting {
    fn group(&self, name: &str) -> Row<PortGroup> {
        self.view().get_by(PortGroup::NAME, name).unwrap().clone()
    }

    fn port_named(&self, name: &str) -> Ref<Port> {
        self.view().get_by(Port::NAME, name).unwrap().reference()
    }
}

#[tokio::test]
async fn a_port_group_is_created_updated_or_left_alone() {
    let setting = setting(groups).await;
    let port = setting.port_named("p1");
    let give = |group: &mut PortGroup| group.ports = [port].into();
    let found = setting
        .unchanged(|txn| port_group::create(txn, "pg1", give))
        .await;
    assert_eq!(found, setting.group("pg1").reference());
    setting
        .apply(|txn| port_group::create(txn, "pg3", give))
        .await
        .unwrap();
    assert_eq!(setting.group("pg3").ports, [port].into());
    let before = setting.group("pg1");
    setting
        .edit(|txn| port_group::ensure(txn, "pg1", give))
        .await;
    let after = setting.group("pg1");
    assert_eq!((after.uuid(), &after.acls), (before.uuid(), &before.acls));
    assert_eq!(after.ports, [port].into());
}

#[tokio::test]
async fn ports_are_added_to_a_group_and_removed() {
    let setting = setting(groups).await;
    let ports = ["p1", "p2"].map(|name| setting.port_named(name));
    setting
        .apply(|txn| port_group::add_ports(txn, "pg1", &ports))
        .await
        .unwrap();
    setting
        .unchanged(|txn| port_group::add_ports(txn, "pg1", &[]))
        .await;
    setting
        .apply(|txn| port_group::remove_ports(txn, "pg1", &ports[..1]))
        .await
        .unwrap();
    assert_eq!(setting.group("pg1").ports, [ports[1]].into());
    setting
        .unchanged(|txn| port_group::remove_ports(txn, "pg1", &ports[..1]))
        .await;
    setting
        .unchanged(|txn| port_group::remove_ports(txn, "none", &ports))
        .await;
    setting
        .not_found(|txn| port_group::add_ports(txn, "none", &ports))
        .await;
    // The reference is weak: a port that is deleted leaves the group.
    setting
        .apply(|txn| switch::delete_ports(txn, "sw0", &["p2"]))
        .await
        .unwrap();
    assert!(setting.group("pg1").ports.is_empty());
}

#[tokio::test]
async fn acls_are_added_to_groups_set_and_removed() {
    let setting = setting(groups).await;
    let acls: Vec<_> = setting.rows::<Acl>().iter().map(Row::reference).collect();
    setting
        .apply(|txn| port_group::set_acls(txn, "pg1", &acls[1..]))
        .await
        .unwrap();
    assert_eq!(setting.group("pg1").acls, [acls[1]].into());
    setting
        .apply(|txn| port_group::add_acls(txn, "pg1", &acls))
        .await
        .unwrap();
    assert_eq!(setting.group("pg1").acls.len(), 2);
    let remove = |txn: &mut Transaction| port_group::remove_acls(txn, &["pg1", "none"], &acls[..1]);
    setting.apply(remove).await.unwrap();
    assert_eq!(setting.group("pg1").acls, [acls[1]].into());
    assert_eq!(setting.group("pg2").acls.len(), 2);
    setting
        .edit(|txn| port_group::remove_acls_from_all(txn, &acls))
        .await;
    assert!(
        setting
            .rows::<PortGroup>()
            .iter()
            .all(|group| group.acls.is_empty())
    );
    assert!(setting.rows::<Acl>().is_empty());
    setting
        .unchanged(|txn| {
            port_group::remove_acls_from_all(txn, &acls);
            Ok(())
        })
        .await;
    setting
        .not_found(|txn| port_group::set_acls(txn, "none", &[]))
        .await;
    setting
        .not_found(|txn| port_group::add_acls(txn, "none", &[]))
        .await;
}

#[tokio::test]
async fn port_groups_are_deleted_with_their_acls() {
    let setting = setting(groups).await;
    setting
        .apply(|txn| port_group::delete(txn, &["pg1", "none"]))
        .await
        .unwrap();
    assert_eq!(setting.rows::<Acl>().len(), 2, "the other group has them");
    setting
        .edit(|txn| rows::delete(txn, |group: &Row<PortGroup>| group.name == "pg2"))
        .await;
    assert!(setting.rows::<PortGroup>().is_empty() && setting.rows::<Acl>().is_empty());
}

#[tokio::test]
async fn a_load_balancer_is_created_and_updated() {
    let setting = setting(|_| {}).await;
    let created = setting.edit(|txn| {
        load_balancer::ensure(txn, "lb", |balancer| {
            balancer.protocol = Some(LoadBalancerProtocol::Tcp);
            balancer.vips = [("192.0.2.1:80", "10.0.0.1:8080"), ("192.0.2.2:80", "")].into();
        })
    });
    let created = created.await;
    let updated = setting.edit(|txn| {
        load_balancer::ensure(txn, "lb", |balancer| {
            balancer.options = [("reject", "true")].into();
        })
    });
    assert_eq!(updated.await, created);
    let row = setting.only::<LoadBalancer>();
    assert_eq!(
        (row.vips.len(), row.options["reject"].as_str()),
        (2, "true")
    );
    let remove = |txn: &mut _| load_balancer::remove_vips(txn, "lb", &["192.0.2.2:80", "none"]);
    setting.apply(remove).await.unwrap();
    let vips = setting.only::<LoadBalancer>().vips.clone();
    assert_eq!(vips, [("192.0.2.1:80", "10.0.0.1:8080")].into());
    setting.unchanged(remove).await;
    setting
        .not_found(|txn| load_balancer::remove_vips(txn, "none", &[]))
        .await;
}

#[tokio::test]
async fn a_deleted_load_balancer_is_removed_from_all_rows_that_refer_to_it() {
    let setting = setting(|txn| {
        switch::ensure(txn, "sw0", |_| {});
        router::ensure(txn, "r0", |_| {});
        load_balancer::ensure_group(txn, "group");
        let balancers = ["lb1", "lb2"].map(|name| load_balancer::ensure(txn, name, |_| {}));
        switch::add_balancers(txn, "sw0", &balancers).unwrap();
        router::add_balancers(txn, "r0", &balancers).unwrap();
        load_balancer::add_to_group(txn, "group", &balancers).unwrap();
    });
    let setting = setting.await;
    setting
        .apply(|txn| load_balancer::delete(txn, &["lb1", "none"]))
        .await
        .unwrap();
    let left = setting.only::<LoadBalancer>();
    assert_eq!(left.name, "lb2");
    let left = [left.reference()].into();
    assert_eq!(setting.only::<LogicalSwitch>().load_balancer, left);
    assert_eq!(setting.only::<LogicalRouter>().load_balancer, left);
    assert_eq!(setting.only::<LoadBalancerGroup>().load_balancer, left);
}

#[tokio::test]
async fn a_group_of_load_balancers_is_created_once() {
    let setting = setting(|_| {}).await;
    let add = |txn: &mut Transaction| {
        load_balancer::ensure_group(txn, "group");
        let balancer = load_balancer::ensure(txn, "lb", |_| {});
        load_balancer::add_to_group(txn, "group", &[balancer])
    };
    setting.apply(add).await.unwrap();
    setting.unchanged(add).await;
    let balancer = setting.only::<LoadBalancer>().reference();
    let remove = |group: &'static str| {
        move |txn: &mut Transaction| load_balancer::remove_from_group(txn, group, &[balancer])
    };
    setting.unchanged(remove("none")).await;
    setting.apply(remove("group")).await.unwrap();
    assert!(setting.only::<LoadBalancerGroup>().load_balancer.is_empty());
    setting
        .not_found(|txn| load_balancer::add_to_group(txn, "none", &[balancer]))
        .await;
}
