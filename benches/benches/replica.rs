//! A replica of 100,000 ports: updates of 100 rows each, decoded and applied while readers hold
//! earlier states, as change streams do; look-ups of rows all over the table; a scan of all rows.
#![allow(missing_docs, reason = "criterion generates a function")]

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use ovsdb::nb::{Database, LogicalSwitchPort as Port};
use ovsdb::schema::{DatabaseSchema, bundled};
use ovsdb::testing::Replay;
use ovsdb::{Ref, Row, Uuid};
use ovsdb_benches::{Northbound, port_uuid};

const PORTS: usize = 100_000;
const ROWS: usize = 100;

/// The cases: a name, the interval at which a reader takes snapshots, and the time for which it holds each,
/// both counted in updates.
const READERS: [(&str, u64, u64); 3] = [
    ("a reader is one behind", 1, 1),
    ("a reader is six behind", 1, 6),
    ("a reader holds every tenth for five", 10, 5),
];

/// An update of ports all over the table, in the form in which a server sends it.
fn message(next: &mut usize, version: u64) -> String {
    let mut rows = String::new();
    for at in 0..ROWS {
        *next = (*next + 7919) % PORTS;
        let comma = if at == 0 { "" } else { "," };
        let uuid = port_uuid(*next);
        write!(
            rows,
            r#"{comma}"{uuid}":{{"modify":{{"options":["map",[["iface-id-ver","{version:016}"]]]}}}}"#
        )
        .expect("written");
    }
    let nil = Uuid::nil();
    format!(
        r#"{{"id":null,"method":"update3","params":[1,"{nil}",{{"Logical_Switch_Port":{{{rows}}}}}]}}"#
    )
}

fn replica(criterion: &mut Criterion) {
    let database = Northbound::with_ports(PORTS).expect("a loaded database");
    let reply = database.initial_reply().expect("a reply");
    let schema = bundled("OVN_Northbound").expect("a schema");
    let schema = DatabaseSchema::parse(schema).expect("a schema");
    let mut replay = Replay::<Database>::new(&schema);
    replay.receive(&reply).expect("a good reply");
    drop((reply, database));

    let (mut next, mut version) = (0, 0);
    let mut group = criterion.benchmark_group("updates of 100 rows in 100,000");
    group
        .throughput(Throughput::Elements(ROWS as u64))
        .sample_size(20);
    for (name, every, updates) in READERS {
        let mut held = VecDeque::new();
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|times| {
                let mut taken = Duration::ZERO;
                for _ in 0..times {
                    version += 1;
                    let message = message(&mut next, version);
                    let start = Instant::now();
                    if version % every == 0 {
                        held.push_back((version + updates, replay.snapshot()));
                    }
                    replay.receive(&message).expect("a good update");
                    while held.front().is_some_and(|(until, _)| *until <= version + 1) {
                        held.pop_front();
                    }
                    taken += start.elapsed();
                }
                taken
            });
        });
    }
    group.finish();

    let view = replay.snapshot();
    let mut keys: Vec<(Ref<Port>, String)> = view
        .rows::<Port>()
        .step_by(7)
        .map(|port| (port.reference(), port.name.to_string()))
        .collect();
    // In an order that is independent of the positions of the rows.
    keys.sort_unstable_by(|(_, a), (_, b)| a.bytes().rev().cmp(b.bytes().rev()));
    let mut group = criterion.benchmark_group("reads");
    group.throughput(Throughput::Elements(keys.len() as u64));
    group.bench_function("every seventh row by its uuid", |bencher| {
        bencher.iter(|| {
            keys.iter()
                .filter(|(port, _)| view.get(*port).is_some())
                .count()
        });
    });
    group.bench_function("every seventh row by its name", |bencher| {
        let found = |name: &String| view.get_by(Port::NAME, name.as_str()).is_some();
        bencher.iter(|| keys.iter().filter(|(_, name)| found(name)).count());
    });
    group.throughput(Throughput::Elements(PORTS as u64));
    group.bench_function("all rows", |bencher| {
        let size = |port: &Row<Port>| port.name.len() + port.addresses.len();
        bencher.iter(|| view.rows::<Port>().map(size).sum::<usize>());
    });
    group.finish();
}

criterion_group!(benches, replica);
criterion_main!(benches);
