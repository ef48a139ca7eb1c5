//! Alternating states: a state that a reader holds never changes, and each next state agrees with the
//! updates.

use std::fmt::Write as _;

use super::*;
use crate::cache::{AllChanges, Changes, Index, OrderedIndex, Snapshot};
use crate::value::{Map, Ref};

#[derive(Debug)]
struct Northbound;

impl ovsdb::Database for Northbound {
    const NAME: &'static str = "OVN_Northbound";
    const VERSION: Option<&'static str> = None;
}

/// A table with an index of the schema's, over its first column.
#[derive(Debug, Clone, PartialEq, Default, ovsdb::Table)]
#[ovsdb(database = Northbound, table = "Logical_Switch_Port", schema = "OVN_Northbound")]
struct Port {
    name: Str,
    #[ovsdb(column = "type")]
    kind: Str,
    options: Map<Str, Str>,
}

/// What a row has: its name, its kind, its option `zone`.
type Columns = (String, String, String);
type Model = BTreeMap<usize, Columns>;

fn kind_of(random: &mut fastrand::Rng) -> String {
    ["router", "localnet", "patch", ""][random.usize(0..4)].to_owned()
}

fn whole((name, kind, zone): &Columns) -> String {
    format!(r#"{{"name":"{name}","type":"{kind}","options":["map",[["zone","{zone}"]]]}}"#)
}

fn updates(rows: &[(usize, String)]) -> String {
    let mut text = String::new();
    for (number, change) in rows {
        let comma = if text.is_empty() { "" } else { "," };
        write!(text, r#"{comma}"{}":{{{change}}}"#, uuid(*number)).expect("written");
    }
    format!(r#"{{"Logical_Switch_Port":{{{text}}}}}"#)
}

struct World {
    random: fastrand::Rng,
    monitor: ReplicaMonitor,
    cache: Cache<Northbound>,
    model: Model,
    /// Makes names unique.
    count: usize,
    kinds: Index<Port, Str>,
    zones: OrderedIndex<Port, Str>,
}

impl World {
    fn new() -> Self {
        let schema = ovsdb_schema::bundled("OVN_Northbound").expect("a schema");
        let kinds = Index::column(Port::TYPE);
        let zones = OrderedIndex::map_key(Port::OPTIONS, "zone");
        let mut table = TableReplica::new(TableType::of::<Port>(), None);
        table.declare(kinds.build());
        table.declare(zones.build());
        let tables = vec![table];
        let types = [Some(TypeId::of::<Port>())];
        let version = MonitorVersion::MonitorCondSince;
        let monitor = ReplicaMonitor::new(tables, &types, &self::schema(schema), None, version);
        let cache = Cache::of(Handle::detached(monitor.shared().clone()));
        let mut world = Self {
            random: fastrand::Rng::with_seed(0x0ddb),
            monitor,
            cache,
            model: Model::new(),
            count: 0,
            kinds,
            zones,
        };
        for number in 0..50 {
            let columns = world.columns();
            world.model.insert(number, columns);
        }
        world.restart();
        world
    }

    fn columns(&mut self) -> Columns {
        self.count += 1;
        let zone = self.random.usize(0..9);
        let name = format!("a port with a name, {}", self.count);
        (name, kind_of(&mut self.random), format!("zone {zone}"))
    }

    /// Sends every row again, as a server that cannot resume does.
    fn restart(&mut self) {
        let initial = |(number, columns): (&usize, &Columns)| {
            (*number, format!(r#""initial":{}"#, whole(columns)))
        };
        let rows: Vec<_> = self.model.iter().map(initial).collect();
        let reply = since(false, 1, &updates(&rows));
        self.monitor.start(raw(&reply)).expect("rows");
    }

    /// A change of a row that may or may not be in the model.
    fn change(&mut self, number: usize) -> String {
        let fresh = self.columns();
        let Some((_, kind, zone)) = self.model.get_mut(&number) else {
            let change = format!(r#""insert":{}"#, whole(&fresh));
            self.model.insert(number, fresh);
            return change;
        };
        match self.random.u32(0..8) {
            0 => {
                self.model.remove(&number);
                delete()
            }
            1 => self.rename(number),
            2 | 3 => {
                *kind = fresh.1;
                format!(r#""modify":{{"type":"{kind}"}}"#)
            }
            _ if *zone == fresh.2 => r#""modify":{}"#.to_owned(),
            _ => {
                // A map's change replaces the value.
                *zone = fresh.2;
                format!(r#""modify":{{"options":["map",[["zone","{zone}"]]]}}"#)
            }
        }
    }

    /// A new name for a row that exists.
    fn rename(&mut self, number: usize) -> String {
        let (name, ..) = self.columns();
        let change = format!(r#""modify":{{"name":"{name}"}}"#);
        self.model.get_mut(&number).expect("a row").0 = name;
        change
    }

    fn send(&mut self, rows: &[(usize, String)]) -> Result<(), ApplyError> {
        let params = update3(self.count, &updates(rows));
        update(&mut self.monitor, "update3", &params)
    }

    fn step(&mut self) {
        match self.random.u32(0..60) {
            // One of the rows does not fit: nothing is applied.
            0 => {
                let before = self.model.clone();
                let mut rows: Vec<_> = (0..5).map(|n| (n, self.change(n))).collect();
                rows.push((5000, modify(1)));
                self.send(&rows).expect_err("an unknown row");
                self.model = before;
            }
            // The same row twice.
            1 => {
                let known: Vec<_> = self.model.keys().copied().take(3).collect();
                let twice = known.first().copied();
                let rows = known.into_iter().chain(twice);
                let rows: Vec<_> = rows.map(|n| (n, self.rename(n))).collect();
                self.send(&rows).expect("an update");
            }
            // More changes than are recorded, and then back again.
            2 => {
                for _ in 0..2 {
                    let rows: Vec<_> = (100..1300).map(|n| (n, self.change(n))).collect();
                    self.send(&rows).expect("an update");
                }
                let known: Vec<_> = self.model.range(100..).map(|(n, _)| *n).collect();
                let rows: Vec<_> = known.into_iter().map(|n| (n, delete())).collect();
                self.model.split_off(&100);
                self.send(&rows).expect("an update");
            }
            3 => {
                let _ = self.change(7);
                self.restart();
            }
            4 => self.restart(),
            _ => {
                let first = self.random.usize(0..60);
                let rows = first..first + self.random.usize(1..20);
                let rows: Vec<_> = rows.map(|n| (n, self.change(n))).collect();
                self.send(&rows).expect("an update");
            }
        }
    }

    /// Checks that the view has these rows, by every kind of look-up.
    fn check(&self, view: &Snapshot<Northbound>, model: &Model) {
        assert_eq!(view.rows::<Port>().len(), model.len());
        let columns = |port: &Row<Port>| {
            let zone = port.options["zone"].to_string();
            (port.name.to_string(), port.kind.to_string(), zone)
        };
        let rows = view.rows::<Port>();
        let rows: BTreeMap<_, _> = rows.map(|row| (row.uuid(), columns(row))).collect();
        let expected = model.iter().map(|(n, columns)| (uuid(*n), columns.clone()));
        assert_eq!(rows, expected.collect());
        for (number, (name, ..)) in model {
            let found = view.get_by(Port::NAME, name.as_str()).expect("by name");
            assert_eq!(found.uuid(), uuid(*number));
            assert!(view.get(Ref::<Port>::new(uuid(*number))).is_some());
        }
        for kind in ["router", "localnet", "patch", ""] {
            let expected = model.values().filter(|(_, other, _)| other == kind);
            assert_eq!(view.find(&self.kinds, kind).count(), expected.count());
        }
        let zones = view.range::<_, _, str>(&self.zones, ..);
        let zones: Vec<_> = zones.map(|port| port.options["zone"].to_string()).collect();
        let mut expected: Vec<_> = model.values().map(|(.., zone)| zone.clone()).collect();
        expected.sort();
        assert_eq!(zones, expected);
    }
}

/// A stream of one table, a stream of all tables, and the table that the batches of each add up to.
struct Follower {
    ports: Changes<Port>,
    all: AllChanges<Northbound>,
    folded: [Folded<Port>; 2],
}

impl Follower {
    fn new(cache: &Cache<Northbound>) -> Self {
        Self {
            ports: cache.changes(),
            all: cache.all_changes(),
            folded: Default::default(),
        }
    }

    /// Takes at most this many batches.
    fn take(&mut self, most: usize) {
        let [ports, all] = &mut self.folded;
        for _ in 0..most {
            if let Some(batch) = self.ports.try_next() {
                ports.take(&batch);
            }
            if let Some(batch) = self.all.try_next() {
                let changes = batch.table::<Port>();
                assert_eq!(batch.all().len(), changes.len());
                all.take(&changes);
            }
        }
    }
}

#[test]
fn alternating_states_agree_with_the_updates() {
    let mut world = World::new();
    let mut prompt = Follower::new(&world.cache);
    let mut slow = Follower::new(&world.cache);
    let mut held: Vec<(usize, Snapshot<Northbound>, Model)> = Vec::new();
    for step in 0..4000 {
        world.step();
        prompt.take(3);
        slow.take(world.random.usize(0..3));
        assert!(prompt.folded.iter().all(|folded| folded.is(&world.cache)));
        let view = world.cache.snapshot();
        if step % 10 == 0 {
            world.check(&view, &world.model);
        }
        // Phases without readers, with at most two, and with at most four.
        if held.len() < step / 200 % 3 * 2 {
            let until = step + world.random.usize(1..30);
            held.push((until, view, world.model.clone()));
        }
        held.retain(|(until, view, model)| {
            if *until <= step {
                world.check(view, model);
            }
            *until > step
        });
    }
    slow.take(10_000);
    assert!(slow.folded.iter().all(|folded| folded.is(&world.cache)));
}
