//! NATs of routers.

use std::net::IpAddr;

use operations::{Transaction, router, rows};
use ovsdb::Row;
use ovsdb::nb::{Nat, NatType};

use crate::routers::routers;
use crate::{Setting, setting};

fn fake(number: u8) -> Nat {
    let (external_ip, r#type, name) = match number {
        1 => ("192.168.1.110", NatType::Snat, None),
        2 => ("192.168.1.110", NatType::DnatAndSnat, None),
        3 => ("192.168.1.111", NatType::Snat, Some("nat3")),
        _ => ("192.168.1.112", NatType::Snat, Some("nat4")),
    };
    let external_ids = name.iter().map(|name| ("name", *name)).collect();
    let external_ip = external_ip.into();
    Nat {
        external_ip,
        r#type,
        external_ids,
        ..Default::default()
    }
}

fn with_nats(txn: &mut Transaction) {
    routers(txn);
    for (name, nats) in [("rtr1", &[1][..]), ("rtr2", &[2, 3])] {
        for nat in nats {
            router::ensure_nat(txn, name, &fake(*nat)).unwrap();
        }
    }
}

impl Setting {
    /// What distinguishes the NATs of a router.
    fn nats(&self, router: &str) -> Vec<(String, NatType)> {
        let view = self.view();
        let router = self.router(router);
        let nats = view.get_all(&router.nat);
        let mut nats: Vec<_> = nats
            .map(|nat| (nat.external_ip.to_string(), nat.r#type.clone()))
            .collect();
        nats.sort_by(|a, b| a.0.cmp(&b.0));
        nats
    }
}

#[tokio::test]
async fn a_predicate_finds_no_nat_all_and_one() {
    let setting = setting(with_nats).await;
    let find = async |is_meant: fn(&Row<Nat>) -> bool| {
        let found = setting.unchanged(|txn| Ok(rows::find(txn, is_meant))).await;
        let of_router = setting
            .unchanged(|txn| router::find_nats(txn, "rtr2", is_meant))
            .await;
        (found.len(), of_router.len())
    };
    assert_eq!(find(|_| false).await, (0, 0));
    assert_eq!(find(|_| true).await, (3, 2));
    let named = |nat: &Row<Nat>| {
        nat.external_ids
            .get("name")
            .is_some_and(|name| *name == "nat3")
    };
    assert_eq!(find(named).await, (1, 1));
    let of_none = setting.unchanged(|txn| router::find_nats(txn, "none", |_| true));
    assert!(of_none.await.is_empty());
}

#[tokio::test]
async fn no_nat_is_deleted_from_a_router_that_does_not_exist_or_lacks_it() {
    let setting = setting(with_nats).await;
    let all = [1, 2, 3, 4].map(fake);
    setting
        .unchanged(|txn| router::delete_nats(txn, "", &all))
        .await;
    setting
        .unchanged(|txn| router::delete_nats(txn, "none", &all))
        .await;
    setting
        .unchanged(|txn| router::delete_nats(txn, "rtr1", &[2, 3, 4].map(fake)))
        .await;
}

#[tokio::test]
async fn one_nat_is_deleted_from_its_router() {
    let setting = setting(with_nats).await;
    setting
        .apply(|txn| router::delete_nats(txn, "rtr2", &[2, 4].map(fake)))
        .await
        .unwrap();
    assert_eq!(
        setting.nats("rtr1"),
        [("192.168.1.110".into(), NatType::Snat)]
    );
    assert_eq!(
        setting.nats("rtr2"),
        [("192.168.1.111".into(), NatType::Snat)]
    );
    assert_eq!(setting.rows::<Nat>().len(), 2);
}

#[tokio::test]
async fn all_nats_are_deleted_from_one_router() {
    let setting = setting(with_nats).await;
    let delete = |txn: &mut _| router::delete_nats(txn, "rtr2", &[1, 2, 3, 4].map(fake));
    setting.apply(delete).await.unwrap();
    assert_eq!(setting.nats("rtr1").len(), 1);
    assert!(setting.nats("rtr2").is_empty());
    assert_eq!(setting.rows::<Nat>().len(), 1);
}

#[tokio::test]
async fn nats_are_deleted_from_all_routers() {
    let setting = setting(with_nats).await;
    let is_snat = |nat: &Row<Nat>| nat.r#type == NatType::Snat;
    setting
        .edit(|txn| router::delete_nats_where(txn, is_snat))
        .await;
    assert!(setting.nats("rtr1").is_empty());
    assert_eq!(
        setting.nats("rtr2"),
        [("192.168.1.110".into(), NatType::DnatAndSnat)]
    );
    setting
        .unchanged(|txn| {
            let _: () = router::delete_nats_where(txn, is_snat);
            Ok(())
        })
        .await;
}

#[tokio::test]
async fn an_equivalent_nat_is_updated() {
    let setting = setting(with_nats).await;
    let wanted = Nat {
        external_mac: Some("0a:58:00:00:00:01".into()),
        logical_ip: "10.0.0.5".into(),
        ..router::dnat_and_snat(ip("192.168.1.110"), None)
    };
    let ensure = |txn: &mut Transaction| router::ensure_nat(txn, "rtr2", &wanted);
    let updated = setting.apply(ensure).await.unwrap();
    assert_eq!(setting.nats("rtr2").len(), 2);
    let row = setting.view().get(updated).unwrap().clone();
    assert_eq!(
        (row.external_mac.as_deref(), &*row.logical_ip),
        (Some("0a:58:00:00:00:01"), "10.0.0.5")
    );
    assert_eq!(row.options, [("stateless", "false")].into());
    setting.unchanged(ensure).await;
    // Columns that are not given are kept.
    let less = router::dnat_and_snat(ip("192.168.1.110"), None);
    assert_eq!(
        setting
            .unchanged(|txn| router::ensure_nat(txn, "rtr2", &less))
            .await,
        updated
    );
    setting
        .not_found(|txn| router::ensure_nat(txn, "none", &wanted))
        .await;
}

fn ip(text: &str) -> Option<IpAddr> {
    Some(text.parse().unwrap())
}

#[test]
fn what_makes_two_nats_equivalent() {
    let nat = || Nat {
        logical_port: Some("p1".into()),
        external_ids: [("name", "a"), ("other", "b")].into(),
        ..router::snat(ip("192.0.2.1"), (ip("10.0.0.1").unwrap(), 32))
    };
    let same = |change: fn(&mut Nat)| {
        let mut wanted = nat();
        change(&mut wanted);
        router::is_equivalent(&nat(), &wanted)
    };
    assert!(same(|_| {}));
    assert!(same(|nat| nat.external_ip = "".into()));
    assert!(same(|nat| nat.logical_port = None));
    assert!(same(|nat| nat.external_ids = [("name", "a")].into()));
    assert!(!same(|nat| nat.external_ip = "192.0.2.2".into()));
    assert!(!same(|nat| nat.logical_ip = "10.0.0.2".into()));
    assert!(!same(|nat| nat.logical_port = Some("p2".into())));
    assert!(!same(|nat| nat.r#match = "ip4".into()));
    assert!(!same(|nat| nat.r#type = NatType::DnatAndSnat));
    assert!(!same(|nat| nat.external_ids = [("name", "b")].into()));
    let (a, b) = (ip("10.0.0.1"), ip("10.0.0.2"));
    let dnat = |logical_ip| router::dnat_and_snat(ip("192.0.2.1"), logical_ip);
    assert!(
        router::is_equivalent(&dnat(a), &dnat(b)),
        "the external address is enough"
    );
}

#[test]
fn a_network_of_one_host_is_written_without_its_prefix() {
    for (network, prefix, expected) in [
        ("10.0.0.1", 32, "10.0.0.1"),
        ("10.0.0.0", 24, "10.0.0.0/24"),
        ("fd00::1", 128, "fd00::1"),
        ("fd00::", 32, "fd00::/32"),
    ] {
        let nat = router::snat(None, (network.parse().unwrap(), prefix));
        assert_eq!((&*nat.logical_ip, &*nat.external_ip), (expected, ""));
    }
}
