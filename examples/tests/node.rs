//! The node side, on private servers with the schema of Open vSwitch 3.1; one test also uses the bundled
//! schema.
#![allow(clippy::unwrap_used, missing_docs)]

use std::process::{Command, Output};
use std::time::Duration;

use multihoming::node::{Attachment, Bandwidth, Effect, Node, NodeError, Setup};
use ovsdb::testing::{Cut, Proxy, Server};
use ovsdb::vswitch::{Bridge, BridgeFailMode, Database, Interface, OpenVSwitch, Port, QoS};
use ovsdb::{Client, Map, Snapshot, Str};

const OLD_SCHEMA: &str = include_str!("../../schemas/tests/files/ovs-3.1/vswitch.ovsschema");
const LONG: Duration = Duration::from_secs(30);

/// A server, the node under test, and another client.
struct Bench {
    server: Server,
    node: Node,
    client: Client<Database>,
}

impl Bench {
    async fn start(schema: &str) -> Self {
        let server = Server::builder().schema(schema).start().unwrap();
        let node = Node::connect(&server.remote()).await.unwrap();
        let builder = Client::builder().remotes(server.remote());
        let client = builder.connect().await.unwrap();
        Self {
            server,
            node,
            client,
        }
    }

    /// A node that has its integration bridge.
    async fn set_up() -> Self {
        let bench = Self::start(OLD_SCHEMA).await;
        bench.node.set_up(&setup()).await.unwrap();
        bench
    }

    /// The contents of the database.
    async fn view(&self) -> Snapshot<Database> {
        let cache = self.client.cache().all_tables().start().await.unwrap();
        cache.snapshot()
    }

    /// The `external_ids` of the table Open_vSwitch.
    async fn root_ids(&self) -> Map<Str, Str> {
        let view = self.view().await;
        let root = view.rows::<OpenVSwitch>().next().unwrap();
        root.external_ids.clone()
    }

    async fn mappings(&self) -> Option<Str> {
        let ids = self.root_ids().await;
        ids.get("ovn-bridge-mappings").cloned()
    }

    async fn interface(&self, name: &str) -> Interface {
        let view = self.view().await;
        let row = view.get_by(Interface::NAME, name).expect(name);
        row.clone().into_columns()
    }

    async fn port(&self, name: &str) -> Port {
        let view = self.view().await;
        let row = view.get_by(Port::NAME, name).expect(name);
        row.clone().into_columns()
    }

    /// The numbers of rows in the tables Port, Interface and QoS.
    async fn counts(&self) -> [usize; 3] {
        let view = self.view().await;
        [
            view.table::<Port>().len(),
            view.table::<Interface>().len(),
            view.table::<QoS>().len(),
        ]
    }

    /// Does what ovn-controller does once the flows are installed.
    async fn install(&self, interface: &str) {
        let mut txn = self.client.transaction();
        txn.mutate(Interface::NAME.eq(interface))
            .insert(Interface::EXTERNAL_IDS, [("ovn-installed", "true")]);
        txn.commit().await.unwrap();
    }

    fn multihoming(&self, arguments: &str) -> Output {
        Command::new(env!("CARGO_BIN_EXE_multihoming"))
            .args(["node", "--ovs", &self.server.remote()])
            .args(arguments.split_whitespace())
            .output()
            .unwrap()
    }
}

fn setup() -> Setup {
    Setup {
        system_id: "work001".into(),
        hostname: "work001".into(),
        ovn_remote: "unix:/nowhere/sb.sock".into(),
        encap_type: "geneve".into(),
        encap_ip: "172.31.0.2".parse().unwrap(),
        integration_bridge: "br-int".into(),
        datapath_type: "netdev".into(),
    }
}

/// The pod `nginx1-l3` of golden.json, on its layer3 network.
fn attachment() -> Attachment {
    Attachment {
        interface: "4a1c0f2b9d77e_3".into(),
        iface_id: "kube.system.l3.network_default_nginx1-l3".into(),
        pod_uid: "a7fad855-9a37-4918-8aaa-b10627cdfe91".into(),
        sandbox: "4a1c0f2b9d77e5a8".into(),
        mac: "0a:58:0a:21:02:03".into(),
        addresses: vec!["10.33.2.3/24".parse().unwrap()],
        network: Some(("l3-network".into(), "kube-system/l3-network".into())),
        bandwidth: Bandwidth::default(),
    }
}

#[tokio::test]
async fn a_node_is_set_up_once() {
    for schema in [OLD_SCHEMA, ovsdb::schema::bundled("Open_vSwitch").unwrap()] {
        let bench = Bench::start(schema).await;
        let error = bench.node.uplink("br-out", "ens3f1", None).await;
        assert!(matches!(error, Err(NodeError::NotSetUp)), "{error:?}");

        assert_eq!(bench.node.set_up(&setup()).await.unwrap(), Effect::Changed);
        let again = bench.node.set_up(&setup()).await.unwrap();
        assert_eq!(again, Effect::Unchanged);
        let moved = Setup {
            encap_ip: "172.31.0.9".parse().unwrap(),
            ..setup()
        };
        assert_eq!(bench.node.set_up(&moved).await.unwrap(), Effect::Changed);

        let other = Setup {
            integration_bridge: "br-ovn".into(),
            ..moved.clone()
        };
        bench.node.set_up(&other).await.unwrap();
        assert_eq!(bench.root_ids().await["ovn-bridge"], "br-ovn");
        bench.node.set_up(&moved).await.unwrap();

        let view = bench.view().await;
        let root = view.rows::<OpenVSwitch>().next().unwrap();
        let expected = [
            ("hostname", "work001"),
            ("ovn-bridge-datapath-type", "netdev"),
            ("ovn-encap-ip", "172.31.0.9"),
            ("ovn-encap-type", "geneve"),
            ("ovn-remote", "unix:/nowhere/sb.sock"),
            ("system-id", "work001"),
        ];
        assert_eq!(root.external_ids, expected.into());
        let bridge = view.get_by(Bridge::NAME, "br-int").unwrap();
        assert!(root.bridges.contains(&bridge.reference()));
        assert_eq!(bridge.fail_mode, Some(BridgeFailMode::Secure));
        assert_eq!(bridge.datapath_type, "netdev");
        let interface = view.get_by(Interface::NAME, "br-int").unwrap();
        assert_eq!(interface.r#type, "internal");
    }
}

#[tokio::test]
async fn a_bridge_mapping_leaves_the_others_alone() {
    let bench = Bench::set_up().await;
    let map = async |text: &str| {
        let mapping = text.parse().unwrap();
        bench.node.set_bridge_mapping(&mapping).await.unwrap()
    };
    let localnet = "localnet.network_br-localnet:br-out";
    assert_eq!(map("physnet:brens3f2").await, Effect::Changed);
    assert_eq!(map(localnet).await, Effect::Changed);
    assert_eq!(map(localnet).await, Effect::Unchanged);
    assert_eq!(
        bench.mappings().await.unwrap(),
        "physnet:brens3f2,localnet.network_br-localnet:br-out"
    );
    map("physnet:br-ex").await;
    assert_eq!(
        bench.mappings().await.unwrap(),
        "physnet:br-ex,localnet.network_br-localnet:br-out"
    );
    for (network, left) in [
        ("physnet", Some(localnet)),
        ("nobody", Some(localnet)),
        ("localnet.network_br-localnet", None),
    ] {
        bench.node.remove_bridge_mapping(network).await.unwrap();
        assert_eq!(bench.mappings().await.as_deref(), left);
    }
}

#[tokio::test]
async fn mappings_that_are_added_at_the_same_time_all_stay() {
    let bench = Bench::set_up().await;
    let mut tasks = Vec::new();
    for index in 0..8 {
        let remote = bench.server.remote();
        tasks.push(tokio::spawn(async move {
            let node = Node::connect(&remote).await.unwrap();
            let mapping = format!("net{index}:br{index}").parse().unwrap();
            node.set_bridge_mapping(&mapping).await
        }));
    }
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    let mappings = bench.mappings().await.unwrap();
    let mut networks: Vec<_> = mappings.split(',').collect();
    networks.sort_unstable();
    let expected: Vec<_> = (0..8).map(|i| format!("net{i}:br{i}")).collect();
    assert_eq!(networks, expected);
}

#[tokio::test]
async fn malformed_mappings_are_refused_and_kept() {
    let bench = Bench::set_up().await;
    let key = "ovn-bridge-mappings";
    let mut txn = bench.client.transaction();
    txn.mutate(ovsdb::model::Condition::<OpenVSwitch>::all())
        .insert(OpenVSwitch::EXTERNAL_IDS, [(key, "physnet")]);
    txn.commit().await.unwrap();
    let mapping = "a:b".parse().unwrap();
    let error = bench.node.set_bridge_mapping(&mapping).await.unwrap_err();
    assert!(matches!(error, NodeError::Mapping(_)), "{error}");
    assert_eq!(bench.mappings().await.unwrap(), "physnet");
}

#[tokio::test]
async fn an_uplink_is_a_bridge_with_a_port() {
    let bench = Bench::set_up().await;
    let node = &bench.node;
    let effect = node.uplink("br-out", "ens3f1", None).await.unwrap();
    assert_eq!(effect, Effect::Changed);
    let effect = node.uplink("br-out", "ens3f1", None).await.unwrap();
    assert_eq!(effect, Effect::Unchanged);
    let effect = node.uplink("br-out", "ens3f3", Some("netdev")).await;
    assert_eq!(effect.unwrap(), Effect::Changed);
    let error = node.uplink("br-ex", "ens3f1", None).await.unwrap_err();
    assert!(
        matches!(&error, NodeError::OnOtherBridge { bridge, .. } if bridge == "br-out"),
        "{error}"
    );

    let view = bench.view().await;
    assert!(view.get_by(Bridge::NAME, "br-ex").is_none());
    let bridge = view.get_by(Bridge::NAME, "br-out").unwrap();
    assert_eq!(bridge.datapath_type, "netdev");
    assert_eq!(bridge.fail_mode, None);
    let ports = view.get_all(&bridge.ports);
    let mut ports: Vec<_> = ports.map(|port| port.name.clone()).collect();
    ports.sort_unstable();
    assert_eq!(ports, ["br-out", "ens3f1", "ens3f3"]);
}

#[tokio::test]
async fn two_clients_that_create_one_bridge_agree() {
    let bench = Bench::set_up().await;
    let other = Node::connect(&bench.server.remote()).await.unwrap();
    let (one, two) = tokio::join!(
        bench.node.uplink("br-out", "ens3f1", None),
        other.uplink("br-out", "ens3f2", None),
    );
    assert_eq!([one.unwrap(), two.unwrap()], [Effect::Changed; 2]);
    let view = bench.view().await;
    let bridge = view.get_by(Bridge::NAME, "br-out").unwrap();
    assert_eq!(bridge.ports.len(), 3);
}

#[tokio::test]
async fn a_lost_connection_only_delays() {
    let mut bench = Bench::set_up().await;
    bench.server.start().unwrap();
    let node = &bench.node;
    let effect = node.uplink("br-out", "ens3f1", None).await.unwrap();
    assert_eq!(effect, Effect::Changed);

    // The connection is lost after the transaction was sent; the server never receives it.
    let proxy = Proxy::start(&bench.server.remote(), 1).await.unwrap();
    let node = Node::connect(&proxy.remote()).await.unwrap();
    let cut = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        proxy.cut(Cut::Reset);
        proxy.stall(false);
    };
    proxy.stall(true);
    let (effect, ()) = tokio::join!(node.uplink("br-ex", "ens3f2", None), cut);
    assert_eq!(effect.unwrap(), Effect::Changed);
    let view = bench.view().await;
    for name in ["br-out", "br-ex"] {
        assert_eq!(view.get_by(Bridge::NAME, name).unwrap().ports.len(), 2);
    }
}

#[tokio::test]
async fn an_interface_has_what_a_cni_plugin_writes() {
    let bench = Bench::set_up().await;
    let wanted = Attachment {
        addresses: vec![
            "10.33.2.3/24".parse().unwrap(),
            "fd00:44:0:1::3/64".parse().unwrap(),
        ],
        ..attachment()
    };
    let attach = async || bench.node.attach("br-int", &wanted).await.unwrap();
    assert_eq!(attach().await, Effect::Changed);
    assert_eq!(attach().await, Effect::Unchanged);
    let interface = bench.interface(&wanted.interface).await;
    let expected = [
        ("attached_mac", "0a:58:0a:21:02:03"),
        ("iface-id", "kube.system.l3.network_default_nginx1-l3"),
        ("iface-id-ver", "a7fad855-9a37-4918-8aaa-b10627cdfe91"),
        ("ip_addresses", "10.33.2.3/24,fd00:44:0:1::3/64"),
        ("k8s.ovn.org/nad", "kube-system/l3-network"),
        ("k8s.ovn.org/network", "l3-network"),
        ("sandbox", "4a1c0f2b9d77e5a8"),
    ];
    assert_eq!(interface.external_ids, expected.into());
    assert_eq!(interface.r#type, "");
    assert_eq!(interface.mtu_request, None);
    let port = bench.port(&wanted.interface).await;
    assert_eq!(port.other_config, [("transient", "true")].into());

    // Without addresses, and on the default network, keys are absent.
    let plain = Attachment {
        interface: "4a1c0f2b9d77e5a".into(),
        iface_id: "default_nginx1-l3".into(),
        addresses: Vec::new(),
        network: None,
        ..attachment()
    };
    bench.node.attach("br-int", &plain).await.unwrap();
    let interface = bench.interface(&plain.interface).await;
    let keys: Vec<_> = interface.external_ids.keys().cloned().collect();
    assert_eq!(
        keys,
        ["attached_mac", "iface-id", "iface-id-ver", "sandbox"]
    );
}

#[tokio::test]
async fn what_others_wrote_on_an_interface_stays_when_addresses_change() {
    let bench = Bench::set_up().await;
    let wanted = attachment();
    bench.node.attach("br-int", &wanted).await.unwrap();
    bench.install(&wanted.interface).await;
    let moved = Attachment {
        addresses: Vec::new(),
        ..wanted
    };
    bench.node.attach("br-int", &moved).await.unwrap();
    let ids = bench.interface(&moved.interface).await.external_ids;
    assert_eq!(ids.get("ip_addresses"), None);
    assert_eq!(ids["ovn-installed"], "true");
}

#[tokio::test]
async fn an_interface_of_an_earlier_pod_is_removed_from_the_bridge() {
    let bench = Bench::set_up().await;
    let first = Attachment {
        bandwidth: Bandwidth {
            ingress: Some("1M".parse().unwrap()),
            egress: None,
        },
        ..attachment()
    };
    bench.node.attach("br-int", &first).await.unwrap();
    bench.install(&first.interface).await;
    let counts = bench.counts().await;

    // Another interface, of another sandbox.
    let second = Attachment {
        interface: "77d9b2f0c1a4_5".into(),
        sandbox: "77d9b2f0c1a4".into(),
        ..first.clone()
    };
    bench.node.attach("br-int", &second).await.unwrap();
    assert_eq!(bench.counts().await, counts);
    let ids = bench.interface(&second.interface).await.external_ids;
    assert_eq!(ids["sandbox"], "77d9b2f0c1a4");

    // The same interface, of another pod with this name: the installed flows are not the new pod's.
    bench.install(&second.interface).await;
    let third = Attachment {
        pod_uid: "00000000-0000-4000-8000-000000000020".into(),
        ..second
    };
    bench.node.attach("br-int", &third).await.unwrap();
    assert_eq!(bench.counts().await, counts);
    let ids = bench.interface(&third.interface).await.external_ids;
    assert_eq!(ids["iface-id-ver"], *third.pod_uid);
    assert_eq!(ids.get("ovn-installed"), None);
}

#[tokio::test]
async fn a_name_that_is_taken_is_refused() {
    let bench = Bench::set_up().await;
    bench.node.attach("br-int", &attachment()).await.unwrap();
    bench.node.uplink("br-out", "ens3f1", None).await.unwrap();
    let before = bench.server.dump("Open_vSwitch", None).unwrap();
    let refuse = async |bridge: &str, wanted: Attachment| {
        bench.node.attach(bridge, &wanted).await.unwrap_err()
    };

    let other_pod = Attachment {
        iface_id: "kube.system.l3.network_default_nginx2-l3".into(),
        ..attachment()
    };
    let error = refuse("br-int", other_pod).await;
    assert!(matches!(error, NodeError::Taken { .. }), "{error}");
    assert_eq!(
        error.to_string(),
        format!(
            "the interface {:?} belongs to the logical port {:?} of the network \"kube-system/l3-network\"",
            attachment().interface,
            attachment().iface_id
        )
    );
    let other_nad = Attachment {
        network: Some(("l3-network".into(), "default/l3".into())),
        ..attachment()
    };
    let error = refuse("br-int", other_nad).await;
    assert!(matches!(error, NodeError::Taken { .. }), "{error}");
    let uplink = Attachment {
        interface: "ens3f1".into(),
        iface_id: "somebody".into(),
        ..attachment()
    };
    let error = refuse("br-int", uplink.clone()).await;
    assert!(matches!(error, NodeError::OnOtherBridge { .. }), "{error}");
    let error = refuse("br-out", uplink).await;
    assert!(matches!(error, NodeError::Taken { .. }), "{error}");
    assert_eq!(
        error.to_string(),
        r#"the interface "ens3f1" belongs to no pod"#
    );
    let error = refuse("br-none", attachment()).await;
    assert!(matches!(error, NodeError::NoBridge(_)), "{error}");
    // Detaching never removes an interface that belongs to no pod.
    let error = bench.node.detach("br-out", "ens3f1").await.unwrap_err();
    assert!(matches!(error, NodeError::NotAttached(_)), "{error}");
    assert_eq!(bench.server.dump("Open_vSwitch", None).unwrap(), before);
}

#[tokio::test]
async fn a_pod_waits_for_its_flows() {
    let bench = Bench::set_up().await;
    let wanted = attachment();
    let error = bench.node.installed(&wanted, LONG).await.unwrap_err();
    assert!(matches!(error, NodeError::Gone { .. }), "{error}");
    bench.node.attach("br-int", &wanted).await.unwrap();

    let short = Duration::from_millis(50);
    let error = bench.node.installed(&wanted, short).await.unwrap_err();
    assert!(matches!(error, NodeError::Timeout { .. }), "{error}");

    let (installed, ()) = tokio::join!(
        bench.node.installed(&wanted, LONG),
        bench.install(&wanted.interface),
    );
    installed.unwrap();
}

#[tokio::test]
async fn a_pod_whose_interface_is_removed_gets_an_error() {
    let bench = Bench::set_up().await;
    let wanted = attachment();
    let other = async || Node::connect(&bench.server.remote()).await.unwrap();

    bench.node.attach("br-int", &wanted).await.unwrap();
    let other_node = other().await;
    let (waited, detached) = tokio::join!(
        bench.node.installed(&wanted, LONG),
        other_node.detach("br-int", &wanted.interface),
    );
    assert_eq!(detached.unwrap(), Effect::Changed);
    assert!(matches!(waited, Err(NodeError::Gone { .. })), "{waited:?}");

    bench.node.attach("br-int", &wanted).await.unwrap();
    let successor = Attachment {
        pod_uid: "another".into(),
        ..wanted.clone()
    };
    let other_node = other().await;
    let (waited, attached) = tokio::join!(
        bench.node.installed(&wanted, LONG),
        other_node.attach("br-int", &successor),
    );
    assert_eq!(attached.unwrap(), Effect::Changed);
    assert!(
        matches!(waited, Err(NodeError::NotOwned { .. })),
        "{waited:?}"
    );
}

#[tokio::test]
async fn what_the_switch_refuses_is_reported_and_inserted_again() {
    let bench = Bench::set_up().await;
    let wanted = attachment();
    bench.node.attach("br-int", &wanted).await.unwrap();
    let mut txn = bench.client.transaction();
    txn.update(Interface::NAME.eq(wanted.interface.as_str()))
        .set(Interface::ERROR, Some("no such device".into()));
    txn.commit().await.unwrap();
    let waited = bench.node.installed(&wanted, LONG).await;
    assert!(
        matches!(&waited, Err(NodeError::Switch { error, .. }) if error == "no such device"),
        "{waited:?}"
    );
    let opened = bench.node.opened(&wanted.interface, LONG).await;
    assert!(
        matches!(opened, Err(NodeError::Switch { .. })),
        "{opened:?}"
    );
    bench.node.attach("br-int", &wanted).await.unwrap();
    assert_eq!(bench.interface(&wanted.interface).await.error, None);
}

#[tokio::test]
async fn bandwidth_is_set_changed_and_lifted() {
    let bench = Bench::set_up().await;
    let wanted = Attachment {
        bandwidth: Bandwidth {
            ingress: Some("10M".parse().unwrap()),
            egress: Some("25M".parse().unwrap()),
        },
        ..attachment()
    };
    let empty = bench.counts().await;
    bench.node.attach("br-int", &wanted).await.unwrap();
    let queue = async || {
        let port = bench.port(&wanted.interface).await;
        let view = bench.view().await;
        let row = port.qos.map(|qos| view.get(qos).unwrap().clone());
        row.map(ovsdb::Row::into_columns)
    };
    let policing = async || {
        let row = bench.interface(&wanted.interface).await;
        (row.ingress_policing_rate, row.ingress_policing_burst)
    };
    let row = queue().await.unwrap();
    assert_eq!(row.r#type, "linux-htb");
    assert_eq!(row.other_config, [("max-rate", "10000000")].into());
    assert_eq!(row.external_ids, [("sandbox", "4a1c0f2b9d77e5a8")].into());
    assert_eq!(policing().await, (25_000, 2_500));

    let limit = async |ingress: Option<&str>, egress: Option<&str>| {
        let rate = |text: Option<&str>| text.map(|text| text.parse().unwrap());
        let bandwidth = Bandwidth {
            ingress: rate(ingress),
            egress: rate(egress),
        };
        let interface = &wanted.interface;
        bench
            .node
            .set_bandwidth(interface, bandwidth)
            .await
            .unwrap()
    };
    assert_eq!(limit(Some("10M"), Some("25M")).await, Effect::Unchanged);
    assert_eq!(limit(Some("20M"), None).await, Effect::Changed);
    let row = queue().await.unwrap();
    assert_eq!(row.other_config, [("max-rate", "20000000")].into());
    assert_eq!(policing().await, (0, 0));
    assert_eq!(bench.counts().await[2], 1);
    assert_eq!(limit(None, None).await, Effect::Changed);
    assert_eq!(queue().await, None);
    assert_eq!(bench.counts().await[2], 0);

    // A pod with two interfaces: each has its own limits, and keeps them.
    let second = Attachment {
        interface: "4a1c0f2b9d77e_7".into(),
        iface_id: "kube.system.l2.network_default_nginx1-l3".into(),
        network: Some(("l2-network".into(), "kube-system/l2-network".into())),
        ..wanted.clone()
    };
    limit(Some("10M"), None).await;
    bench.node.attach("br-int", &second).await.unwrap();
    assert_eq!(bench.counts().await[2], 2);
    let detach = async |interface: &str| bench.node.detach("br-int", interface).await.unwrap();
    assert_eq!(detach(&second.interface).await, Effect::Changed);
    assert!(queue().await.is_some());
    assert_eq!(detach(&wanted.interface).await, Effect::Changed);
    assert_eq!(detach(&wanted.interface).await, Effect::Unchanged);
    assert_eq!(bench.counts().await, empty);

    let error = bench.node.set_bandwidth("br-int", Bandwidth::default());
    let error = error.await.unwrap_err();
    assert!(matches!(error, NodeError::NotAttached(_)), "{error}");
}

#[tokio::test]
async fn limits_without_an_interface_are_deleted() {
    let bench = Bench::set_up().await;
    let mut txn = bench.client.transaction();
    for sandbox in ["4a1c0f2b9d77e5a8", "another"] {
        txn.insert(QoS {
            r#type: "linux-htb".into(),
            external_ids: [("sandbox", sandbox)].into(),
            ..Default::default()
        });
    }
    txn.commit().await.unwrap();
    bench.node.attach("br-int", &attachment()).await.unwrap();
    let view = bench.view().await;
    let left: Vec<_> = view.rows::<QoS>().collect();
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].external_ids["sandbox"], "another");
}

#[tokio::test]
async fn the_program_sets_up_a_node_and_attaches_pods() {
    let bench = Bench::start(OLD_SCHEMA).await;
    let succeed = |arguments: &str| {
        let output = bench.multihoming(arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments}: {said}");
        String::from_utf8(output.stdout).unwrap()
    };
    let init = "init --system-id work001 --ovn-remote unix:/sb --encap-ip 172.31.0.2";
    assert_eq!(succeed(init), "node work001: changed\n");
    assert_eq!(succeed(init), "node work001: unchanged\n");
    succeed("uplink br-out ens3f1 --no-wait");
    succeed("bridge-mapping physnet:brens3f2");
    succeed("bridge-mapping localnet.network_br-localnet:br-out");
    succeed("bridge-mapping --remove physnet");
    let mappings = bench.mappings().await.unwrap();
    assert_eq!(mappings, "localnet.network_br-localnet:br-out");
    let attach = "attach --sandbox 4a1c0f2b9d77e5a8 --ifindex 3 --pod default/nginx1-l3 \
                  --uid a7fad855-9a37-4918-8aaa-b10627cdfe91 --network l3-network \
                  --nad kube-system/l3-network --mac 0a:58:0a:21:02:03 --ip 10.33.2.3/24";
    let said = succeed(&format!("{attach} --no-wait"));
    assert_eq!(said, "interface 4a1c0f2b9d77e_3: changed\n");
    bench.install("4a1c0f2b9d77e_3").await;
    // The program and the library do the same.
    let effect = bench.node.attach("br-int", &attachment()).await.unwrap();
    assert_eq!(effect, Effect::Unchanged);
    assert_eq!(succeed(attach), "interface 4a1c0f2b9d77e_3: unchanged\n");
    succeed("bandwidth 4a1c0f2b9d77e_3 --ingress 10M --egress 1M");
    assert_eq!(bench.counts().await[2], 1);
    succeed("detach --sandbox 4a1c0f2b9d77e5a8 --ifindex 3");
    assert_eq!(bench.counts().await, [3, 3, 0]);

    for (arguments, status, message) in [
        ("bridge-mapping physnet", 2, "must be NETWORK:BRIDGE"),
        (
            "attach --sandbox x --pod a/b --uid u --network n --nad c/d --mac 0a:58:0a:21:02:03",
            2,
            "--ifindex",
        ),
        ("attach --sandbox x --pod a/b --uid u --mac 0a:58", 2, "MAC"),
        ("attach --sandbox x --pod b --uid u", 2, "NAMESPACE/NAME"),
        ("bandwidth x --ingress 1", 2, "must be a quantity"),
        ("bandwidth x --ingress 10M", 1, "no interface \"x\""),
        ("detach --sandbox x --interface ens3f1", 1, "\"br-out\""),
    ] {
        let output = bench.multihoming(arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(status), "{arguments}: {said}");
        assert!(said.contains(message), "{arguments}: {said}");
    }
}
