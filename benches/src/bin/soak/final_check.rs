//! Compares the leader's rows at the end with the records of the writers.

use std::collections::{BTreeMap, BTreeSet};

use ovsdb::Ref;
use ovsdb::nb::{Client, LoadBalancer, LogicalSwitchPort as Port, NbGlobal};
use ovsdb::testing::{Cluster, Dump};
use ovsdb_benches::{Result, port_uuid};

use crate::ledger::{Ledger, Wrong};
use crate::writers::PORT_KEY;

/// What was written, and what is wrong with it.
#[derive(Debug)]
pub(crate) struct Writes {
    pub(crate) ledger: Ledger,
    pub(crate) wrong: Wrong,
}

/// Compares the records with the rows of a new cache, and the cache with the leader's rows.
pub(crate) async fn check(cluster: &Cluster, mut ledger: Ledger) -> Result<Writes> {
    let client = Client::builder().remotes(cluster.remotes());
    let client = client.leader_only(true).connect().await?;
    let cache = client.cache().all_tables().start().await?;
    let view = cache.snapshot();
    let dump: Dump = cluster.dump()?.parse()?;
    let (_, differences) = dump.differences(&view);
    if let Some(difference) = differences.first() {
        return Err(format!("a new cache differs from the leader: {difference}").into());
    }

    let mut wrong = Wrong::default();
    let mut names: BTreeMap<&str, usize> = BTreeMap::new();
    for row in view.rows::<LoadBalancer>() {
        *names.entry(row.name.as_str()).or_default() += 1;
    }
    let mut known: BTreeSet<&str> = ledger.late.iter().map(String::as_str).collect();
    for (name, expected) in ledger.rows.iter().chain(&ledger.suspects) {
        let found = names.get(name.as_str()).copied().unwrap_or_default();
        let before = wrong;
        wrong.note(found, *expected);
        if wrong != before {
            eprintln!("{name} exists {found} times, expected {expected:?}");
        }
        known.insert(name);
    }
    // A deleted row must not exist again.
    for (name, _) in names.iter().filter(|(name, _)| !known.contains(*name)) {
        eprintln!("{name} was found and deleted, and exists again");
        wrong.duplicates += 1;
    }
    for (port, values) in &ledger.ports {
        let row = view.get(Ref::<Port>::new(port_uuid(*port)));
        let row = row.ok_or("a port does not exist any more")?;
        let value = row.options.get(PORT_KEY);
        let value: Option<u64> = value.and_then(|value| value.parse().ok());
        let maybe = value.is_some_and(|value| values.unknown.contains(&value));
        if value != values.committed && !maybe {
            eprintln!("port {port} has {value:?}, expected one of {values:?}");
            wrong.lost += 1;
        }
    }
    let global = view
        .rows::<NbGlobal>()
        .next()
        .ok_or("NB_Global has no row")?;
    let most = ledger.increments + ledger.unknown_increments;
    wrong.lost += u64::try_from(ledger.increments - global.sb_cfg).unwrap_or_default();
    wrong.duplicates += u64::try_from(global.sb_cfg - most).unwrap_or_default();
    ledger.checked += (ledger.rows.len() + ledger.suspects.len()) as u64;
    Ok(Writes { ledger, wrong })
}

#[cfg(test)]
mod tests {
    use ovsdb::schema::bundled;

    use super::*;
    use crate::ledger::{Expected, PortValues};

    #[tokio::test]
    async fn duplicated_lost_and_reappeared_rows_are_found() {
        let schema = bundled("OVN_Northbound").expect("a schema");
        let cluster = Cluster::start(schema, 1).expect("a cluster");
        let client = Client::builder().remotes(cluster.remotes());
        let client = client.connect().await.expect("a client");
        let mut txn = client.transaction();
        for name in [
            "once", "twice", "twice", "refused", "unknown", "late", "back",
        ] {
            txn.insert(LoadBalancer {
                name: name.into(),
                ..Default::default()
            });
        }
        let ports = [0, 1, 2].map(|port| {
            let row = Port {
                name: format!("port-{port}").into(),
                options: [(PORT_KEY, "5")].into(),
                ..Default::default()
            };
            txn.insert_with_uuid(port_uuid(port), row)
        });
        txn.insert(ovsdb::nb::LogicalSwitch {
            ports: ports.into(),
            ..Default::default()
        });
        txn.insert(NbGlobal {
            sb_cfg: 3,
            ..Default::default()
        });
        txn.commit().await.expect("a commit");

        let values = |committed, unknown: &[u64]| PortValues {
            committed: Some(committed),
            unknown: unknown.to_vec(),
        };
        let row = |name: &str, expected| (name.to_owned(), expected);
        let ledger = Ledger {
            rows: [
                row("once", Expected::Once),
                row("twice", Expected::Once),
                row("unknown", Expected::AtMostOnce),
            ]
            .into(),
            suspects: vec![row("gone", Expected::Once), row("refused", Expected::Never)],
            late: ["late".to_owned()].into(),
            ports: [
                (0, values(5, &[])),
                (1, values(4, &[5])),
                (2, values(4, &[])),
            ]
            .into(),
            increments: 4,
            unknown_increments: 1,
            ..Ledger::default()
        };
        let writes = check(&cluster, ledger).await.expect("a check");
        let expected = Wrong {
            // One of the rows, and the deleted row that exists again.
            duplicates: 2,
            // A row, the value of a port, an increment.
            lost: 3,
            refused_but_present: 1,
        };
        assert_eq!(writes.wrong, expected);
    }
}
