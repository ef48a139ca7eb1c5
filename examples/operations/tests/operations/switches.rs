//! Switches, and the ACLs and load balancers that they refer to.

use operations::{ACLS, Transaction, acl, load_balancer, rows, switch};
use ovsdb::nb::{Acl, AclAction, AclDirection, AclSeverity, LogicalSwitch, LogicalSwitchPort};
use ovsdb::{Ref, Row};

use crate::{Setting, allow, setting, sorted};

fn switches(txn: &mut Transaction) {
    for (name, key) in [("sw1", "a"), ("sw2", "a"), ("sw3", "b")] {
        switch::ensure(txn, name, |switch| {
            switch.external_ids.insert("key", key);
        });
    }
}

impl Setting {
    fn switch_names(&self) -> Vec<String> {
        let switches = self.rows::<LogicalSwitch>();
        sorted(switches.iter().map(|switch| switch.name.to_string()))
    }
}

#[tokio::test]
async fn switches_are_deleted_by_a_predicate_and_by_name() {
    let setting = setting(switches).await;
    let has = |key: &'static str| move |row: &Row<LogicalSwitch>| row.external_ids["key"] == key;
    let none = |txn: &mut _| {
        rows::delete(txn, has("z"));
        switch::delete(txn, "none")
    };
    setting.unchanged(none).await;
    setting.edit(|txn| rows::delete(txn, has("a"))).await;
    assert_eq!(setting.switch_names(), ["sw3"]);
    setting
        .apply(|txn| switch::delete(txn, "sw3"))
        .await
        .unwrap();
    assert!(setting.switch_names().is_empty());
}

#[tokio::test]
async fn keys_are_set_and_removed_and_others_stay() {
    let setting = setting(|txn| {
        switch::ensure(txn, "sw0", |switch| {
            switch.external_ids = [("gone", "1"), ("other", "2"), ("changed", "3")].into();
            switch.other_config = [("subnet", "10.0.0.0/24")].into();
        });
        switch::ensure_port(txn, "sw0", "p1", |port| port.options = [("a", "1")].into()).unwrap();
    });
    let setting = setting.await;
    let set = |txn: &mut Transaction| {
        let ids = [("gone", ""), ("changed", "4"), ("new", "5"), ("never", "")];
        switch::set_external_ids(txn, "sw0", &ids)?;
        switch::set_other_config(txn, "sw0", &[("subnet", ""), ("mcast_snoop", "true")])?;
        switch::set_port_options(txn, "p1", &[("a", ""), ("requested-chassis", "node1")])
    };
    setting.apply(set).await.unwrap();
    let switch = setting.only::<LogicalSwitch>();
    assert_eq!(
        switch.external_ids,
        [("other", "2"), ("changed", "4"), ("new", "5")].into()
    );
    assert_eq!(switch.other_config, [("mcast_snoop", "true")].into());
    let options = setting.only::<LogicalSwitchPort>().options.clone();
    assert_eq!(options, [("requested-chassis", "node1")].into());
    setting.unchanged(set).await;
    setting
        .not_found(|txn| switch::set_external_ids(txn, "none", &[("a", "1")]))
        .await;
    setting
        .not_found(|txn| switch::set_other_config(txn, "none", &[("a", "1")]))
        .await;
    setting
        .not_found(|txn| switch::set_port_options(txn, "none", &[("a", "1")]))
        .await;
}

#[tokio::test]
async fn acls_are_taken_from_all_switches_that_have_them() {
    let setting = setting(|txn| {
        switches(txn);
        let acls = ["acl1", "acl2"].map(|id| acl::ensure(txn, id, allow));
        switch::add_acls(txn, "sw1", &acls[..1]).unwrap();
        switch::add_acls(txn, "sw2", &acls).unwrap();
    });
    let setting = setting.await;
    let acls: Vec<_> = setting.rows::<Acl>().iter().map(Row::reference).collect();
    assert_eq!(acls.len(), 2);
    setting
        .unchanged(|txn| {
            let _: () = switch::remove_acls(txn, |row| row.name == "sw3", &acls);
            Ok(())
        })
        .await;
    setting
        .unchanged(|txn| {
            let _: () = switch::remove_acls(txn, |_| false, &acls);
            Ok(())
        })
        .await;
    setting
        .edit(|txn| switch::remove_acls(txn, |_| true, &acls))
        .await;
    assert!(
        setting
            .rows::<LogicalSwitch>()
            .iter()
            .all(|switch| switch.acls.is_empty())
    );
    assert!(
        setting.rows::<Acl>().is_empty(),
        "no row refers to them any more"
    );
    // Removing them again is not an error.
    setting
        .unchanged(|txn| {
            let _: () = switch::remove_acls(txn, |_| true, &acls);
            Ok(())
        })
        .await;
    setting
        .not_found(|txn| switch::add_acls(txn, "none", &[]))
        .await;
}

#[tokio::test]
async fn load_balancers_are_added_and_removed() {
    let setting = setting(|txn| {
        switches(txn);
        load_balancer::ensure(txn, "lb", |_| {});
    });
    let setting = setting.await;
    let balancer = |txn: &mut Transaction| txn.one(&*operations::LOAD_BALANCERS, "lb");
    let add = |txn: &mut Transaction| {
        let balancer = balancer(txn)?;
        switch::add_balancers(txn, "sw1", &[balancer])
    };
    setting.apply(add).await.unwrap();
    setting.unchanged(add).await;
    let with = |row: &LogicalSwitch| !row.load_balancer.is_empty();
    assert_eq!(
        setting
            .rows::<LogicalSwitch>()
            .iter()
            .filter(|row| with(row))
            .count(),
        1
    );
    let remove = |name: &'static str| {
        move |txn: &mut Transaction| {
            let balancer = balancer(txn)?;
            switch::remove_balancers(txn, name, &[balancer])
        }
    };
    setting.unchanged(remove("none")).await;
    setting.unchanged(remove("sw2")).await;
    setting.apply(remove("sw1")).await.unwrap();
    assert!(!setting.rows::<LogicalSwitch>().iter().any(|row| with(row)));
    setting
        .not_found(|txn| switch::add_balancers(txn, "none", &[]))
        .await;
}

/// A switch with one ACL that has every column.
async fn with_acl() -> (Setting, Ref<Acl>) {
    let setting = setting(|txn| {
        switch::ensure(txn, "sw1", |_| {});
        let acl = acl::ensure(txn, "acl1", |acl| {
            acl.action = AclAction::Allow;
            acl.direction = AclDirection::ToLport;
            acl.log = true;
            acl.r#match = "ip4".into();
            acl.meter = Some("acl-logging".into());
            acl.name = acl::name("acl1");
            acl.options = [("key", "value")].into();
            acl.priority = 1;
            acl.severity = Some(AclSeverity::Info);
        });
        switch::add_acls(txn, "sw1", &[acl]).unwrap();
    });
    let setting = setting.await;
    let acl = setting.only::<Acl>().reference();
    (setting, acl)
}

/// Changes the ACL, and compares all its columns with the expected ones.
async fn changed(change: fn(&mut Acl)) {
    let (setting, acl) = with_acl().await;
    let mut expected = setting.only::<Acl>().into_columns();
    change(&mut expected);
    setting.edit(|txn| txn.edit(acl, change)).await;
    let row = setting.only::<Acl>();
    assert_eq!(row.reference(), acl);
    assert_eq!(row.into_columns(), expected);
}

#[tokio::test]
async fn an_acl_loses_its_severity() {
    changed(|acl| acl.severity = None).await;
}

#[tokio::test]
async fn an_acl_loses_its_name() {
    changed(|acl| acl.name = None).await;
}

#[tokio::test]
async fn an_acl_loses_its_options() {
    changed(|acl| acl.options = Default::default()).await;
}

#[tokio::test]
async fn an_acl_loses_its_external_ids() {
    changed(|acl| acl.external_ids = Default::default()).await;
}

#[tokio::test]
async fn an_acl_gets_another_tier() {
    changed(|acl| acl.tier = 2).await;
}

#[tokio::test]
async fn an_acl_is_found_by_the_id_that_its_owner_gives_it() {
    let (setting, acl) = with_acl().await;
    assert_eq!(setting.unchanged(|txn| txn.one(&*ACLS, "acl1")).await, acl);
    let update = |txn: &mut Transaction| acl::update(txn, "acl1", |acl| acl.priority = 7);
    assert_eq!(setting.apply(update).await.unwrap(), acl);
    assert_eq!(setting.only::<Acl>().priority, 7);
    let ensured = setting
        .edit(|txn| acl::ensure(txn, "acl1", |acl| acl.priority = 8))
        .await;
    assert_eq!((ensured, setting.only::<Acl>().priority), (acl, 8));
    setting
        .not_found(|txn| acl::update(txn, "acl2", |_| {}))
        .await;
}

#[tokio::test]
async fn logging_is_changed_and_nothing_else() {
    let (setting, _) = with_acl().await;
    let before = setting.only::<Acl>();
    setting
        .apply(|txn| acl::set_logging(txn, "acl1", None))
        .await
        .unwrap();
    let row = setting.only::<Acl>();
    assert_eq!((row.log, row.severity.clone()), (false, None));
    setting
        .apply(|txn| acl::set_logging(txn, "acl1", Some(AclSeverity::Info)))
        .await
        .unwrap();
    assert_eq!(setting.only::<Acl>(), before);
    setting
        .not_found(|txn| acl::set_logging(txn, "acl2", None))
        .await;
}

#[test]
fn names_of_acls_are_cut_to_what_the_schema_allows() {
    assert_eq!(acl::name(""), None);
    assert_eq!(acl::name("a").as_deref(), Some("a"));
    assert_eq!(
        acl::name(&"ä".repeat(64)).as_deref(),
        Some(&*"ä".repeat(63))
    );
}
