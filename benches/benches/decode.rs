//! The initial reply of 10,000 ports: finding its end, parsing its envelope, decoding it into rows, and,
//! for comparison, the time in which serde_json parses and discards the same bytes.
#![allow(missing_docs, reason = "criterion generates a function")]

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use ovsdb::nb::{Database, LogicalSwitchPort};
use ovsdb::protocol::{Framer, Limits, Message};
use ovsdb::schema::{DatabaseSchema, bundled};
use ovsdb::testing::Replay;
use ovsdb_benches::Northbound;
use serde::de::IgnoredAny;

const PORTS: usize = 10_000;
const READ: usize = 64 << 10;

fn reply() -> String {
    let database = Northbound::with_ports(PORTS).expect("a loaded database");
    database.initial_reply().expect("a reply")
}

fn decode(criterion: &mut Criterion) {
    let reply = reply();
    let schema = bundled("OVN_Northbound").expect("a schema");
    let schema = DatabaseSchema::parse(schema).expect("a schema");
    let empty = || Replay::<Database>::new(&schema);
    let mut filled = empty();
    filled.receive(&reply).expect("a good reply");
    assert_eq!(filled.snapshot().rows::<LogicalSwitchPort>().len(), PORTS);

    let mut group = criterion.benchmark_group("initial reply");
    group
        .throughput(Throughput::Bytes(reply.len() as u64))
        .sample_size(20);
    group.bench_function("find its end, in reads of 64 KiB", |bencher| {
        bencher.iter(|| {
            let mut framer = Framer::new(Limits::default());
            (READ..reply.len() + READ).step_by(READ).find_map(|end| {
                framer
                    .find(&reply.as_bytes()[..end.min(reply.len())])
                    .ok()?
            })
        });
    });
    group.bench_function("parse its envelope", |bencher| {
        bencher.iter(|| Message::parse(&reply).is_ok());
    });
    group.bench_function("decode it into the replica", |bencher| {
        let receive = |mut replay: Replay<Database>| {
            replay.receive(&reply).expect("a good reply");
            // Returned, so that it is dropped outside of the measurement.
            replay
        };
        bencher.iter_batched(empty, receive, BatchSize::PerIteration);
    });
    group.bench_function("discard it by serde_json IgnoredAny", |bencher| {
        bencher.iter(|| serde_json::from_str::<IgnoredAny>(&reply).is_ok());
    });
    group.finish();
}

criterion_group!(benches, decode);
criterion_main!(benches);
