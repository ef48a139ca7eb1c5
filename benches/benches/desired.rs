//! The cost of a plan: 100,000 ports of 1,000 switches are wanted, and almost all of them exist as wanted.

use criterion::{Criterion, criterion_group, criterion_main};
use ovsdb::Str;
use ovsdb::cache::Index;
use ovsdb::nb::{
    Database, Desired, LogicalSwitch as Switch, LogicalSwitchPort as Port, Snapshot, Transaction,
};
use ovsdb::testing::SnapshotBuilder;

const SWITCHES: usize = 1_000;
/// The number of ports of a switch.
const PORTS: usize = 100;

type Names = Index<Switch, Str>;

fn address(number: usize) -> String {
    let [.., a, b, c] = number.to_be_bytes();
    format!("0a:00:00:{a:02x}:{b:02x}:{c:02x}")
}

fn view(by_name: &Names) -> Snapshot {
    let mut rows = SnapshotBuilder::<Database>::new();
    rows.index(by_name);
    for switch in 0..SWITCHES {
        let ports = (0..PORTS).map(|port| {
            let number = switch * PORTS + port;
            rows.insert(Port {
                name: format!("port-{number}").into(),
                addresses: [address(number)].into(),
                external_ids: [("owner", "bench"), ("pod", "true")].into(),
                ..Default::default()
            })
        });
        let ports: Vec<_> = ports.collect();
        rows.insert(Switch {
            name: format!("switch-{switch}").into(),
            ports: ports.into(),
            external_ids: [("owner", "bench")].into(),
            ..Default::default()
        });
    }
    rows.build().expect("rows")
}

/// The wanted rows: all rows of the view, where the first `changed` ports get another address.
fn desired(by_name: &Names, changed: usize) -> Desired {
    let mut desired = Desired::new();
    desired.owned::<Port>(Port::EXTERNAL_IDS.includes([("owner", "bench")]));
    desired.owned::<Switch>(Switch::EXTERNAL_IDS.includes([("owner", "bench")]));
    for switch in 0..SWITCHES {
        let ports = (0..PORTS).map(|port| {
            let number = switch * PORTS + port;
            let other = if number < changed { 1 << 20 } else { 0 };
            let port = desired.row(Port::NAME, format!("port-{number}"));
            let port = port.set(Port::ADDRESSES, [address(number + other)]);
            port.part(Port::EXTERNAL_IDS, [("owner", "bench")])
                .reference()
        });
        let ports: Vec<_> = ports.collect();
        let row = desired.row(by_name, format!("switch-{switch}"));
        row.set(Switch::PORTS, ports)
            .part(Switch::EXTERNAL_IDS, [("owner", "bench")]);
    }
    desired
}

/// Prints the number of allocations, and the peak of allocated bytes.
#[expect(clippy::print_stdout, reason = "criterion prints times too")]
fn count<T>(name: &str, run: impl FnOnce() -> T) {
    let allocated = allocation_counter::measure(|| drop(run()));
    let (count, most) = (allocated.count_total, allocated.bytes_max);
    println!("{name}: {count} allocations, peak of {most} bytes");
}

fn plans(criterion: &mut Criterion) {
    let by_name = Index::column(Switch::NAME);
    let view = view(&by_name);
    let mut group = criterion.benchmark_group("desired, 100,000 ports");
    group.sample_size(10);
    count("describe the wanted rows", || desired(&by_name, 0));
    group.bench_function("describe the wanted rows", |bencher| {
        bencher.iter(|| desired(&by_name, 0));
    });
    for changed in [0, 1, 1_000] {
        let desired = desired(&by_name, changed);
        let plan = desired.plan(&view).expect("no conflict");
        assert_eq!(plan.changes().count(), changed);
        let name = format!("plan with {changed} ports to change");
        count(&name, || desired.plan(&view).expect("no conflict"));
        group.bench_function(name, |bencher| {
            bencher.iter(|| desired.plan(&view).expect("no conflict"));
        });
    }
    count("insert", inserts);
    group.bench_function("insert", |bencher| bencher.iter(inserts));
    group.finish();
}

/// A transaction that inserts the ports.
fn inserts() -> Transaction {
    let mut txn = Transaction::detached();
    for number in 0..SWITCHES * PORTS {
        txn.insert(Port {
            name: format!("port-{number}").into(),
            addresses: [address(number)].into(),
            external_ids: [("owner", "bench"), ("pod", "true")].into(),
            ..Default::default()
        });
    }
    txn
}

criterion_group!(benches, plans);
criterion_main!(benches);
