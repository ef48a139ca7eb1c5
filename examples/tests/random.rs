//! Random clusters, one after the other on one database: a single `apply` brings the database to the
//! state that a cluster requests, whatever it contained before.

use std::collections::BTreeSet;

use fastrand::Rng;
use multihoming::apply::{Grants, Others, apply, steps};
use multihoming::cluster::{Cluster, Options};
use multihoming::config::Profile;
use multihoming::connection::Connection;
use multihoming::database::{Northbound, is_of, is_owned};
use multihoming::error::Place;
use multihoming::manifest::Manifests;
use ovsdb::nb::{AddressSet, LogicalSwitch};
use ovsdb::server::Server;
use serde_json::{Value, json};

const NETWORKS: usize = 4;

fn network(random: &mut Rng, number: usize) -> Value {
    let usual = ["layer2", "layer3", "localnet", "layer3"][number];
    let others = ["layer2", "layer3", "localnet"];
    let topology = if random.u8(..10) < 7 {
        usual
    } else {
        others[random.usize(..3)]
    };
    let subnets = match topology {
        "layer3" => format!("10.{number}.0.0/16/24"),
        _ => format!("10.1{number}.0.0/26"),
    };
    let config = json!({"name": format!("net{number}"), "type": "ovn-k8s-cni-overlay", "topology": topology,
        "netAttachDefName": format!("ns/n{number}"), "subnets": subnets});
    json!({"apiVersion": "k8s.cni.cncf.io/v1", "kind": "NetworkAttachmentDefinition",
        "metadata": {"name": format!("n{number}"), "namespace": "ns"}, "spec": {"config": config.to_string()}})
}

fn pod(random: &mut Rng, number: usize, networks: &[usize]) -> Value {
    let mut networks = networks.to_vec();
    random.shuffle(&mut networks);
    let networks = networks.iter().take(random.usize(1..3));
    let networks: Vec<String> = networks.map(|number| format!("ns/n{number}")).collect();
    let app = if random.bool() { "web" } else { "db" };
    let phase = if random.u8(..10) == 0 {
        "Failed"
    } else {
        "Running"
    };
    let node = ["a", "b", "c"][random.usize(..3)];
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": format!("p{number}"),
        "namespace": if number > 6 { "x" } else { "ns" }, "uid": format!("{number}-{}", random.u8(..2)),
        "labels": {"app": app}, "annotations": {"k8s.v1.cni.cncf.io/networks": networks.join(",")}},
        "spec": {"nodeName": node}, "status": {"phase": phase}})
}

fn policy(random: &mut Rng, number: usize, networks: &[usize]) -> Value {
    let network = networks[random.usize(..networks.len())];
    let peers = json!([{"podSelector": {"matchLabels": {"app": "db"}}},
        {"namespaceSelector": {"matchLabels": {"team": "r"}}}, {"ipBlock": {"cidr": "10.0.0.0/8"}}]);
    let rule = json!({"from": peers, "ports": [{"protocol": "TCP", "port": 80}]});
    let subject = if random.bool() {
        json!({})
    } else {
        json!({"matchLabels": {"app": "web"}})
    };
    let types = if random.bool() {
        json!(["Ingress"])
    } else {
        json!(["Ingress", "Egress"])
    };
    json!({"apiVersion": "k8s.cni.cncf.io/v1beta1", "kind": "MultiNetworkPolicy",
        "metadata": {"name": format!("policy{number}"), "namespace": "ns",
            "annotations": {"k8s.v1.cni.cncf.io/policy-for": format!("n{network}")}},
        "spec": {"podSelector": subject, "policyTypes": types, "ingress": [rule]}})
}

fn cluster(random: &mut Rng, profile: Profile) -> Cluster {
    let networks: Vec<usize> = (0..NETWORKS).filter(|_| random.u8(..10) < 8).collect();
    let mut items: Vec<Value> = networks
        .iter()
        .map(|number| network(random, *number))
        .collect();
    for name in ["a", "b", "c"].into_iter().filter(|_| random.u8(..10) < 8) {
        items.push(json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}}));
    }
    for name in ["ns", "x"] {
        let team = if random.bool() { "r" } else { "b" };
        items.push(json!({"apiVersion": "v1", "kind": "Namespace",
            "metadata": {"name": name, "labels": {"team": team}}}));
    }
    if !networks.is_empty() {
        let pods = (0..10).filter(|_| random.u8(..10) < 8).collect::<Vec<_>>();
        items.extend(
            pods.into_iter()
                .map(|number| pod(random, number, &networks)),
        );
        let policies = (0..3).filter(|_| random.bool()).collect::<Vec<_>>();
        items.extend(
            policies
                .into_iter()
                .map(|number| policy(random, number, &networks)),
        );
    }
    let list = json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string();
    let mut manifests = Manifests::default();
    manifests.add_text(&Place::default(), &list).expect("JSON");
    let options = Options {
        profile,
        ..Options::default()
    };
    Cluster::new(&manifests, &options).expect("a cluster")
}

/// Addresses in the address sets of a network that none of its ports has.
fn strays(northbound: &Northbound) -> Vec<String> {
    let view = northbound.cache.snapshot();
    let mut strays = Vec::new();
    for number in 0..NETWORKS {
        let network = format!("net{number}");
        let switches = view.rows::<LogicalSwitch>();
        let switches = switches.filter(|switch| is_of(&switch.external_ids, &network));
        let ports = view.get_all(switches.flat_map(|switch| switch.ports.iter()));
        let texts = ports.flat_map(|port| port.addresses.iter());
        let held: BTreeSet<&str> = texts.flat_map(|text| text.split(' ').skip(1)).collect();
        let sets = view.rows::<AddressSet>();
        for set in sets.filter(|set| is_owned(&set.external_ids, &network)) {
            let stray = set
                .addresses
                .iter()
                .filter(|address| !held.contains(address.as_str()));
            strays.extend(stray.map(|address| format!("{network}: {address}")));
        }
    }
    strays
}

#[tokio::test]
async fn one_apply_is_enough_whatever_existed_before() {
    let schema = ovsdb::schema::bundled("OVN_Northbound").expect("a bundled schema");
    for seed in 0..25 {
        let mut random = Rng::with_seed(seed);
        let profile = if random.bool() {
            Profile::Mid2023
        } else {
            Profile::Central2026
        };
        let memory = Connection::embedded(Server::memory(schema).expect("a server"));
        let northbound = Northbound::connect(memory).await.expect("a database");
        for step in 0..6 {
            let cluster = cluster(&mut random, profile);
            let others = if random.bool() {
                Others::Keep
            } else {
                Others::Remove
            };
            let done = apply(&northbound, &cluster, &Grants::new(), others, |_, _| {}).await;
            done.unwrap_or_else(|error| panic!("seed {seed}, step {step}: {error}"));
            let rest = steps(&northbound, &cluster, &Grants::new(), others).expect("a plan");
            let rest: Vec<_> = rest.steps.steps().iter().map(ToString::to_string).collect();
            assert!(
                rest.is_empty(),
                "seed {seed}, step {step}: {}",
                rest.join("\n")
            );
            assert_eq!(
                strays(&northbound),
                [""; 0],
                "seed {seed}, step {step}, {others:?}"
            );
        }
    }
}
