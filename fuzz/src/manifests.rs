//! The fuzz target `manifests`: Kubernetes manifests and their annotations.

#![allow(unreachable_pub, reason = "a module of two crates")]

use std::sync::LazyLock;

use multihoming::apply::{Grants, Others, apply, steps};
use multihoming::assign::{Known, assign};
use multihoming::cluster::{Cluster, Options};
use multihoming::config::Profile;
use multihoming::connection::Connection;
use multihoming::database::Northbound;
use multihoming::error::{InputError, Place};
use multihoming::manifest::Manifests;
use ovsdb::server::Server;
use tokio::runtime::Runtime;

/// The manifests from which the second database is filled.
const SAMPLES: [(&str, &str); 4] = [
    (
        "nodes.yaml",
        include_str!("../../examples/manifests/nodes.yaml"),
    ),
    (
        "l3.yaml",
        include_str!("../../examples/manifests/l3-network.yaml"),
    ),
    (
        "l2.yaml",
        include_str!("../../examples/manifests/l2-network.yaml"),
    ),
    (
        "localnet.yaml",
        include_str!("../../examples/manifests/localnet-network.yaml"),
    ),
];

/// An empty database and a filled one, with the runtime of their clients.
static DATABASES: LazyLock<(Runtime, [Northbound; 2])> = LazyLock::new(|| {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let databases = runtime.block_on(async {
        let schema = ovsdb::schema::bundled("OVN_Northbound").expect("a bundled schema");
        let new = || Connection::embedded(Server::memory(schema).expect("a server"));
        let empty = Northbound::connect(new()).await.expect("a database");
        let filled = Northbound::connect(new()).await.expect("a database");
        let mut manifests = Manifests::default();
        for (name, text) in SAMPLES {
            manifests.add_text(&place(name), text).expect("manifests");
        }
        let cluster = Cluster::new(&manifests, &Options::default()).expect("a cluster");
        let done = apply(&filled, &cluster, &Grants::new(), Others::Keep, |_, _| {}).await;
        done.expect("applied");
        [empty, filled]
    });
    (runtime, databases)
});

fn place(file: &str) -> Place {
    Place {
        file: file.to_owned(),
        ..Place::default()
    }
}

/// Manifests are read, or errors name the place. What was read can be planned on an empty database and on a
/// filled one, unless objects conflict.
///
/// # Panics
/// When that does not hold.
pub fn manifests(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    for file in ["f.yaml", "f.json"] {
        let mut manifests = Manifests::default();
        if let Err(error) = manifests.add_text(&place(file), text) {
            named(&[error], file);
            continue;
        }
        named(&manifests.report.refused, file);
        for profile in [Profile::Mid2023, Profile::Central2026] {
            let options = Options {
                profile,
                ..Options::default()
            };
            plan(&manifests, &options, file);
        }
    }
}

fn plan(manifests: &Manifests, options: &Options, file: &str) {
    // `Cluster::new` fails only for wrong options, and these are right.
    let cluster = Cluster::new(manifests, options).expect("a cluster");
    named(&cluster.report.refused, file);
    for network in 0..cluster.networks.len() {
        let assigned = assign(&cluster, network, &Known::default()).expect("an assignment");
        named(&assigned.refused, file);
    }
    for northbound in &DATABASES.1 {
        for others in [Others::Keep, Others::Remove] {
            // Different objects may get the same name in the database.
            let Ok(planned) = steps(northbound, &cluster, &Grants::new(), others) else {
                continue;
            };
            named(&planned.refused, file);
            for step in planned.steps.steps() {
                assert!(!step.to_string().is_empty());
            }
        }
    }
}

/// Checks that each error names the file.
fn named(errors: &[InputError], file: &str) {
    for error in errors {
        assert_eq!(error.place().file, file, "{error}");
        assert!(error.to_string().starts_with(file), "{error}");
    }
}
