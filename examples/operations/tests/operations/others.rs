//! Meters, and operations that need only the library and the functions for all tables: rules for
//! quality of service, DHCP options, template variables, static MAC bindings and control plane
//! protection.

use operations::{DHCP_OPTIONS, QOS_RULES, SWITCHES, Transaction, children, meter, rows, switch};
use ovsdb::nb::{
    ChassisTemplateVar, Copp, DhcpOptions, LogicalSwitch, LogicalSwitchPort as Port, Meter,
    MeterBand, MeterBandAction, MeterUnit, QoS, QoSActionKey, QoSDirection, StaticMacBinding,
};
use ovsdb::{Ref, Row};

use crate::setting;

fn band(rate: i64) -> MeterBand {
    MeterBand {
        action: MeterBandAction::Drop,
        rate,
        ..Default::default()
    }
}

fn with_bands(txn: &mut Transaction, bands: impl IntoIterator<Item = Ref<MeterBand>>) {
    txn.ensure(Meter::NAME, "m", |meter| {
        meter.unit = MeterUnit::Pktps;
        meter.bands = bands.into_iter().collect();
    });
}

#[tokio::test]
async fn an_equal_band_is_used_again() {
    let setting = setting(|txn| {
        let bands: Vec<_> = (0..3).map(|_| txn.insert(band(100))).collect();
        with_bands(txn, bands);
    });
    let setting = setting.await;
    let first = setting.rows::<MeterBand>()[0].reference();
    let found = setting.unchanged(|txn| Ok(meter::ensure_band(txn, &band(100))));
    assert_eq!(found.await, first, "the smallest uuid");
    let ensure = |txn: &mut Transaction| {
        let bands = [100, 200].map(|rate| meter::ensure_band(txn, &band(rate)));
        with_bands(txn, bands);
        Ok(())
    };
    setting.apply(ensure).await.unwrap();
    let mut rates: Vec<_> = setting
        .rows::<MeterBand>()
        .iter()
        .map(|band| band.rate)
        .collect();
    rates.sort_unstable();
    assert_eq!(rates, [100, 200]);
    assert!(setting.only::<Meter>().bands.contains(&first));
    setting.unchanged(ensure).await;
}

#[tokio::test]
async fn a_qos_rule_is_added_to_a_switch_and_removed() {
    let setting = setting(|txn| _ = switch::ensure(txn, "sw0", |_| {})).await;
    let ensure = |priority: i64| {
        move |txn: &mut Transaction| {
            let rule = txn.ensure(&*QOS_RULES, "rule", |rule| {
                rule.priority = priority;
                rule.direction = QoSDirection::ToLport;
                rule.r#match = "ip4".into();
                rule.action = [(QoSActionKey::Dscp, 40)].into();
            });
            children::add(txn, &*SWITCHES, "sw0", LogicalSwitch::QOS_RULES, &[rule])?;
            Ok(rule)
        }
    };
    let rule = setting.apply(ensure(1)).await.unwrap();
    assert_eq!(setting.apply(ensure(2)).await.unwrap(), rule);
    assert_eq!(
        (
            setting.only::<QoS>().reference(),
            setting.only::<QoS>().priority
        ),
        (rule, 2)
    );
    setting.unchanged(ensure(2)).await;
    let update = |id: &'static str| {
        move |txn: &mut Transaction| rows::update(txn, &*QOS_RULES, id, |rule| rule.priority = 3)
    };
    assert_eq!(setting.apply(update("rule")).await.unwrap(), rule);
    setting.not_found(update("none")).await;
    let delete = |txn: &mut Transaction| {
        children::delete(txn, &*SWITCHES, "sw0", LogicalSwitch::QOS_RULES, &[rule])
    };
    setting.apply(delete).await.unwrap();
    assert!(setting.rows::<QoS>().is_empty());
    assert!(setting.only::<LogicalSwitch>().qos_rules.is_empty());
}

#[tokio::test]
async fn dhcp_options_are_made_for_a_port() {
    let setting = setting(|txn| {
        switch::ensure(txn, "sw0", |_| {});
        switch::ensure_port(txn, "sw0", "p1", |_| {}).unwrap();
    });
    let setting = setting.await;
    let give = |port: &'static str, v6: bool| {
        move |txn: &mut Transaction| {
            let options = |txn: &mut Transaction, id: &str, cidr: &str| {
                txn.ensure(&*DHCP_OPTIONS, id, |options| options.cidr = cidr.into())
            };
            let v4 = options(txn, "v4", "10.0.0.0/24");
            let v6 = v6.then(|| options(txn, "v6", "fd00::/64"));
            rows::update(txn, Port::NAME, port, |port| {
                (port.dhcpv4_options, port.dhcpv6_options) = (Some(v4), v6);
            })
        }
    };
    setting.apply(give("p1", true)).await.unwrap();
    setting.unchanged(give("p1", true)).await;
    let port = setting.only::<Port>();
    assert!(port.dhcpv4_options.is_some() && port.dhcpv6_options.is_some());
    setting.not_found(give("none", true)).await;
    setting.apply(give("p1", false)).await.unwrap();
    assert_eq!(setting.only::<Port>().dhcpv4_options, port.dhcpv4_options);
    assert_eq!(setting.only::<Port>().dhcpv6_options, None);
    // The references are weak.
    let is_v4 = |options: &Row<DhcpOptions>| options.cidr == "10.0.0.0/24";
    setting.edit(|txn| rows::delete(txn, is_v4)).await;
    assert_eq!(setting.only::<Port>().dhcpv4_options, None);
    assert_eq!(setting.only::<DhcpOptions>().cidr, "fd00::/64");
}

#[tokio::test]
async fn template_variables_are_set_and_taken_from_one_chassis_or_all() {
    let set = |txn: &mut Transaction, chassis: &str, variables: &[(&str, &str)]| {
        txn.ensure(ChassisTemplateVar::CHASSIS, chassis, |row| {
            row.variables.extend(variables.iter().copied());
        })
    };
    let setting = setting(|txn| {
        set(txn, "node1", &[("a", "1"), ("b", "2"), ("c", "3")]);
        set(txn, "node2", &[("a", "4"), ("b", "5")]);
    });
    let setting = setting.await;
    let variables = |chassis: &str| {
        let view = setting.view();
        view.get_by(ChassisTemplateVar::CHASSIS, chassis)
            .unwrap()
            .variables
            .clone()
    };
    setting
        .edit(|txn| set(txn, "node2", &[("b", "6"), ("d", "7")]))
        .await;
    assert_eq!(
        variables("node2"),
        [("a", "4"), ("b", "6"), ("d", "7")].into()
    );
    let remove = |chassis: &'static str| {
        move |txn: &mut Transaction| {
            rows::optional(rows::update(
                txn,
                ChassisTemplateVar::CHASSIS,
                chassis,
                |row| {
                    row.variables.remove("a");
                },
            ))
        }
    };
    setting.unchanged(remove("none")).await;
    setting.apply(remove("node1")).await.unwrap();
    assert_eq!(variables("node1"), [("b", "2"), ("c", "3")].into());
    let remove = |row: &mut ChassisTemplateVar| row.variables.retain(|name, _| *name != "b");
    setting.edit(|txn| rows::edit(txn, |_| true, remove)).await;
    assert_eq!(variables("node1"), [("c", "3")].into());
    assert_eq!(variables("node2"), [("a", "4"), ("d", "7")].into());
    let delete = |txn: &mut _| rows::delete_one(txn, ChassisTemplateVar::CHASSIS, "node1");
    setting.apply(delete).await.unwrap();
    assert_eq!(setting.only::<ChassisTemplateVar>().chassis, "node2");
}

#[tokio::test]
async fn a_static_mac_binding_is_found_by_port_and_address() {
    let setting = setting(|_| {}).await;
    let key = StaticMacBinding::LOGICAL_PORT_AND_IP;
    let ensure = |mac: &'static str| {
        move |txn: &mut Transaction| {
            txn.ensure(key, ("rtr-ext", "192.0.2.1"), |binding| {
                binding.mac = mac.into();
            })
        }
    };
    let binding = setting.edit(ensure("0a:58:00:00:00:01")).await;
    assert_eq!(setting.edit(ensure("0a:58:00:00:00:02")).await, binding);
    assert_eq!(setting.only::<StaticMacBinding>().mac, "0a:58:00:00:00:02");
    let other = |txn: &mut _| rows::delete_one(txn, key, ("rtr-ext", "192.0.2.2"));
    setting.unchanged(other).await;
    let delete = |txn: &mut _| rows::delete_one(txn, key, ("rtr-ext", "192.0.2.1"));
    setting.apply(delete).await.unwrap();
    setting.edit(ensure("0a:58:00:00:00:03")).await;
    let of_port = |binding: &Row<StaticMacBinding>| binding.logical_port == "rtr-ext";
    setting.edit(|txn| rows::delete(txn, of_port)).await;
    assert!(setting.rows::<StaticMacBinding>().is_empty());
}

#[tokio::test]
async fn control_plane_protection_is_created_once_and_deleted_by_a_predicate() {
    let setting = setting(|_| {}).await;
    let ensure = |txn: &mut Transaction| {
        Ok(txn.ensure(Copp::NAME, "default", |copp| {
            copp.meters = [("arp", "m")].into();
        }))
    };
    let copp = setting.apply(ensure).await.unwrap();
    assert_eq!(setting.unchanged(ensure).await, copp);
    assert_eq!(setting.only::<Copp>().meters, [("arp", "m")].into());
    setting
        .edit(|txn| rows::delete(txn, |copp: &Row<Copp>| copp.name == "default"))
        .await;
    assert!(setting.rows::<Copp>().is_empty());
}
