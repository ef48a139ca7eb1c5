//! Rows that exist as long as a parent refers to them: ports of a switch.

use operations::{Transaction, children, port_group, rows, switch};
use ovsdb::nb::{
    Acl, AclAction, AclDirection, LogicalSwitch, LogicalSwitchPort as Port, PortGroup,
};
use ovsdb::protocol::ErrorKind;
use ovsdb::transaction::BuildError;
use ovsdb::{CommitError, Ref, Row};

use crate::{Setting, setting, sorted};

const SWITCH: &str = "sw0";
const PORT: &str = "p1";

fn a_switch(txn: &mut Transaction) {
    switch::ensure(txn, SWITCH, |_| {});
}

fn with_port(txn: &mut Transaction) {
    a_switch(txn);
    switch::ensure_port(txn, SWITCH, PORT, |port| {
        port.addresses = ["old"].into();
        port.external_ids = [("one", "1")].into();
    })
    .unwrap();
}

impl Setting {
    /// The only port, which the only switch has.
    fn port(&self) -> Row<Port> {
        let port = self.only::<Port>();
        assert_eq!(
            self.only::<LogicalSwitch>().ports,
            [port.reference()].into()
        );
        port
    }
}

fn named(port: &Row<Port>) -> bool {
    port.name == PORT
}

#[tokio::test]
async fn a_port_is_created_on_a_switch_that_exists() {
    let setting = setting(a_switch).await;
    let before = setting.only::<LogicalSwitch>();
    let create = |txn: &mut _| switch::ensure_port(txn, SWITCH, PORT, |_| {});
    let port = setting.apply(create).await.unwrap();
    assert_eq!(
        (&*setting.port().name, setting.port().reference()),
        (PORT, port)
    );
    assert_eq!(setting.only::<LogicalSwitch>().uuid(), before.uuid());
}

#[tokio::test]
async fn a_port_is_created_by_a_predicate() {
    let setting = setting(a_switch).await;
    let create = |txn: &mut Transaction| {
        let by = &*operations::SWITCHES;
        children::ensure(txn, by, SWITCH, LogicalSwitch::PORTS, named, |port| {
            port.name = PORT.into();
        })
    };
    let port = setting.apply(create).await.unwrap();
    assert_eq!(setting.port().reference(), port);
    assert_eq!(setting.unchanged(create).await, port);
}

#[tokio::test]
async fn a_port_and_its_switch_are_created_together() {
    let setting = setting(|_| {}).await;
    let create = |txn: &mut Transaction| {
        a_switch(txn);
        switch::ensure_port(txn, SWITCH, PORT, |_| {})
    };
    let port = setting.apply(create).await.unwrap();
    assert_eq!(setting.port().reference(), port);
    setting.unchanged(create).await;
}

#[tokio::test]
async fn a_port_is_not_created_without_its_switch() {
    let setting = setting(|_| {}).await;
    setting
        .not_found(|txn| switch::ensure_port(txn, SWITCH, PORT, |_| {}))
        .await;
    // It must be referred to: otherwise the server would delete it at once.
    let alone = setting.apply(|txn| Ok(txn.ensure(Port::NAME, PORT, |_| {})));
    let error = alone.await.unwrap_err();
    assert!(
        matches!(error, CommitError::Build(BuildError::Unreferenced { .. })),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_port_is_created_and_the_ports_of_the_switch_are_set() {
    let setting = setting(with_port).await;
    let create = |txn: &mut Transaction| {
        let port = txn.ensure(Port::NAME, "p2", |_| {});
        switch::ensure(txn, SWITCH, |switch| switch.ports = [port].into());
        Ok(port)
    };
    let port = setting.apply(create).await.unwrap();
    assert_eq!(
        setting.port().reference(),
        port,
        "the server deletes the one that was there"
    );
}

#[tokio::test]
async fn a_port_that_exists_is_updated() {
    let setting = setting(with_port).await;
    let before = setting.port();
    let update = |txn: &mut Transaction| {
        switch::ensure_port(txn, SWITCH, PORT, |port| port.addresses = ["new"].into())
    };
    assert_eq!(setting.apply(update).await.unwrap(), before.reference());
    assert_eq!(setting.port().addresses, ["new"].into());
    assert_eq!(
        setting.port().external_ids,
        before.external_ids,
        "not given, not changed"
    );
    setting.unchanged(update).await;
}

#[tokio::test]
async fn elements_are_added_to_a_port_that_exists() {
    let setting = setting(with_port).await;
    let update = |txn: &mut Transaction| {
        switch::ensure_port(txn, SWITCH, PORT, |port| {
            port.addresses.insert("new");
        })
    };
    setting.apply(update).await.unwrap();
    assert_eq!(setting.port().addresses, ["old", "new"].into());
}

#[tokio::test]
async fn one_edit_replaces_a_column_and_adds_to_another() {
    let setting = setting(with_port).await;
    let update = |txn: &mut Transaction| {
        switch::ensure_port(txn, SWITCH, PORT, |port| {
            port.addresses = ["new"].into();
            port.external_ids.insert("two", "2");
        })
    };
    setting.apply(update).await.unwrap();
    assert_eq!(setting.port().addresses, ["new"].into());
    assert_eq!(
        setting.port().external_ids,
        [("one", "1"), ("two", "2")].into()
    );
}

#[tokio::test]
async fn a_new_port_has_what_would_be_added_to_an_existing_one() {
    let setting = setting(a_switch).await;
    let create = |txn: &mut Transaction| {
        switch::ensure_port(txn, SWITCH, PORT, |port| {
            port.addresses.insert("new");
        })
    };
    setting.apply(create).await.unwrap();
    assert_eq!(setting.port().addresses, ["new"].into());
}

#[tokio::test]
async fn a_port_that_exists_is_not_changed_if_no_column_is_given() {
    let setting = setting(with_port).await;
    let before = setting.port();
    let same = |txn: &mut Transaction| switch::ensure_port(txn, SWITCH, PORT, |_| {});
    assert_eq!(setting.unchanged(same).await, before.reference());
}

#[tokio::test]
async fn only_a_port_that_exists_is_updated() {
    let setting = setting(with_port).await;
    let update = |name: &'static str| {
        move |txn: &mut Transaction| {
            switch::update_port(txn, SWITCH, name, |port| port.enabled = Some(false))
        }
    };
    setting.not_found(update("p2")).await;
    setting.apply(update(PORT)).await.unwrap();
    assert_eq!(setting.port().enabled, Some(false));
}

#[tokio::test]
async fn what_is_sent_is_the_difference() {
    let setting = setting(with_port).await;
    let sent = |change: fn(&mut Port)| {
        let mut txn = setting.client.transaction_on(&setting.cache);
        let port = txn.one(Port::NAME, PORT).unwrap();
        txn.edit(port, change);
        let operations = txn.operations().iter();
        let mutations = operations.filter_map(|operation| match operation {
            ovsdb::protocol::Operation::Mutate { mutations, .. } => Some(format!("{mutations:?}")),
            _ => None,
        });
        mutations.collect::<String>()
    };
    // A key with another value is removed and inserted; others are not touched.
    let map = sent(|port| port.external_ids.extend([("one", "2"), ("two", "2")]));
    assert!(map.contains("Delete") && map.contains("Insert"), "{map}");
    let map = sent(|port| drop(port.external_ids.insert("two", "2")));
    assert!(!map.contains("Delete") && map.contains("Insert"), "{map}");
    let map = sent(|port| drop(port.external_ids.remove("one")));
    assert!(map.contains("Delete") && !map.contains("Insert"), "{map}");
    let set = sent(|port| _ = port.addresses.insert("new"));
    assert!(!set.contains("Delete") && set.contains("Insert"), "{set}");
    // If nothing changes, nothing is sent.
    let nothing: [fn(&mut Port); 4] = [
        |port| port.external_ids.extend([("one", "1")]),
        |port| port.external_ids.extend(<[(&str, &str); 0]>::default()),
        |port| port.addresses.extend(["old"]),
        |port| _ = port.addresses.remove("none"),
    ];
    for change in nothing {
        assert_eq!(sent(change), "");
    }
}

#[tokio::test]
async fn deleting_a_port_that_does_not_exist_changes_nothing() {
    let setting = setting(a_switch).await;
    setting
        .unchanged(|txn| switch::delete_ports(txn, SWITCH, &[PORT]))
        .await;
    setting
        .unchanged(|txn| switch::delete_ports(txn, SWITCH, &[]))
        .await;
    setting
        .unchanged(|txn| switch::delete_ports_where(txn, SWITCH, named))
        .await;
    setting
        .unchanged(|txn| switch::delete_ports(txn, "none", &[PORT]))
        .await;
    setting
        .unchanged(|txn| switch::delete_ports_where(txn, "none", named))
        .await;
}

#[tokio::test]
async fn ports_are_deleted_by_a_predicate_and_taken_from_the_switch() {
    let setting = setting(with_port).await;
    let more = |txn: &mut Transaction| switch::ensure_port(txn, SWITCH, "p2", |_| {});
    setting.apply(more).await.unwrap();
    setting
        .apply(|txn| switch::delete_ports_where(txn, SWITCH, named))
        .await
        .unwrap();
    assert_eq!(setting.port().name, "p2");
}

#[tokio::test]
async fn ports_are_deleted_by_their_names_and_taken_from_the_switch() {
    let setting = setting(with_port).await;
    setting
        .apply(|txn| switch::delete_ports(txn, SWITCH, &[PORT, "none"]))
        .await
        .unwrap();
    assert!(setting.rows::<Port>().is_empty());
    assert!(setting.only::<LogicalSwitch>().ports.is_empty());
}

#[tokio::test]
async fn a_port_that_a_switch_still_has_is_not_deleted() {
    let setting = setting(with_port).await;
    let alone = setting.apply(|txn| {
        let port = txn.one(Port::NAME, PORT)?;
        txn.delete(port);
        Ok(())
    });
    let error = alone.await.unwrap_err();
    assert_eq!(
        error.kind(),
        Some(ErrorKind::ReferentialIntegrityViolation),
        "{error:?}"
    );
    setting.port();
}

fn acl(txn: &mut Transaction, action: AclAction) -> Ref<Acl> {
    txn.insert(Acl {
        action,
        direction: AclDirection::ToLport,
        r#match: "ip4".into(),
        ..Default::default()
    })
}

#[tokio::test]
async fn acls_are_deleted_by_a_predicate_and_taken_from_their_group() {
    let setting = setting(|txn| {
        let acls = [acl(txn, AclAction::Allow), acl(txn, AclAction::Drop)];
        port_group::ensure(txn, "group", |group| group.acls = acls.into());
    });
    let setting = setting.await;
    let delete = |txn: &mut Transaction| {
        let allowed = rows::find(txn, |acl: &Row<Acl>| acl.action == AclAction::Allow);
        children::delete(txn, PortGroup::NAME, "group", PortGroup::ACLS, &allowed)
    };
    setting.apply(delete).await.unwrap();
    let left = setting.only::<Acl>();
    assert_eq!(left.action, AclAction::Drop);
    assert_eq!(setting.only::<PortGroup>().acls, [left.reference()].into());
    setting.unchanged(delete).await;
}

#[tokio::test]
async fn a_row_of_two_parents_outlives_one_of_them() {
    let setting = setting(|txn| {
        a_switch(txn);
        let acl = acl(txn, AclAction::Allow);
        switch::add_acls(txn, SWITCH, &[acl]).unwrap();
        port_group::ensure(txn, "group", |group| group.acls = [acl].into());
    });
    let setting = setting.await;
    let acl = setting.only::<Acl>().reference();
    // The server refuses to delete it, since the switch refers to it.
    let delete = |txn: &mut Transaction| {
        children::delete(txn, PortGroup::NAME, "group", PortGroup::ACLS, &[acl])
    };
    let error = setting.apply(delete).await.unwrap_err();
    assert_eq!(
        error.kind(),
        Some(ErrorKind::ReferentialIntegrityViolation),
        "{error:?}"
    );
    setting
        .apply(|txn| port_group::remove_acls(txn, &["group"], &[acl]))
        .await
        .unwrap();
    assert_eq!(setting.only::<Acl>().reference(), acl);
    setting
        .edit(|txn| switch::remove_acls(txn, |_| true, &[acl]))
        .await;
    assert!(setting.rows::<Acl>().is_empty());
}

#[tokio::test]
async fn many_operations_are_one_transaction_or_none() {
    let setting = setting(|_| {}).await;
    let many = |fails: bool| {
        move |txn: &mut Transaction| {
            a_switch(txn);
            let mut ports = Vec::new();
            for number in 0..100 {
                let name = format!("p{number}");
                ports.push(switch::ensure_port(txn, SWITCH, &name, |port| {
                    port.addresses.insert("dynamic");
                })?);
            }
            port_group::ensure(txn, "all", |group| group.ports = ports.clone().into());
            switch::delete_ports(txn, SWITCH, &["p0"])?;
            port_group::remove_ports(txn, "all", &ports[..1])?;
            let group = if fails { "none" } else { "all" };
            port_group::add_ports(txn, group, &ports[1..])
        }
    };
    setting.not_found(many(true)).await;
    assert!(setting.rows::<LogicalSwitch>().is_empty());
    setting.apply(many(false)).await.unwrap();
    let ports = sorted(setting.rows::<Port>().iter().map(Row::reference));
    assert_eq!(ports.len(), 99);
    assert_eq!(*setting.only::<LogicalSwitch>().ports, ports);
    assert_eq!(*setting.only::<PortGroup>().ports, ports);
}
