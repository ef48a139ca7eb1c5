//! Look-ups in declared indexes on real servers find the same as a scan of all rows.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound::{Excluded, Included};
use std::panic::AssertUnwindSafe;

use ovsdb::cache::{Index, OrderedIndex};
use ovsdb::{Client, Map, Ref, Row, Snapshot, Str, Uuid, nb};
use support::inventory::{Database, Item, ItemOnly, Part};
use support::{bundled_server, connect, inventory_server};

struct Indexes {
    count: Index<Item, i64>,
    tag: Index<Item, Str>,
    note: Index<Item, Str>,
    size: Index<Item, i64>,
    owner: Index<Item, Ref<Part>>,
    initial: Index<Item, char>,
    by_count: OrderedIndex<Item, i64>,
    by_weight: OrderedIndex<Item, i64>,
    by_name: OrderedIndex<Item, Str>,
}

impl Indexes {
    fn new() -> Self {
        Self {
            count: Index::column(Item::COUNT),
            tag: Index::elements(Item::TAGS),
            note: Index::map_key(Item::NOTES, "k"),
            size: Index::map_values(Item::SIZES),
            owner: Index::elements(Item::PARTS),
            initial: Index::function(|item: &Item| item.name.chars().next()),
            by_count: OrderedIndex::column(Item::COUNT),
            by_weight: OrderedIndex::elements(Item::WEIGHT),
            by_name: OrderedIndex::column(Item::NAME),
        }
    }

    /// Compares what each index finds with a scan for the same rows.
    fn agree(&self, view: &Snapshot<Database>) {
        let scan = |is: &dyn Fn(&Item) -> bool| -> BTreeSet<Uuid> {
            let rows = view.rows::<Item>().filter(|row| is(row));
            rows.map(Row::uuid).collect()
        };
        let set = |found: Vec<Uuid>| {
            let set: BTreeSet<Uuid> = found.iter().copied().collect();
            assert_eq!(set.len(), found.len(), "each once");
            set
        };
        macro_rules! found {
            ($index:ident, $key:expr) => {{
                let found = view.find(&self.$index, $key);
                let expected = found.len();
                let found: Vec<_> = found.map(|row| row.uuid()).collect();
                assert_eq!(found.len(), expected);
                set(found)
            }};
        }
        for number in -1..6 {
            assert_eq!(found!(count, &number), scan(&|item| item.count == number));
            let has_size = |item: &Item| item.sizes.values().any(|size| *size == number);
            assert_eq!(found!(size, &number), scan(&has_size));
            let tag = format!("t{number}");
            assert_eq!(
                found!(tag, tag.as_str()),
                scan(&|item| item.tags.contains(tag.as_str()))
            );
            let note = number.to_string();
            let has_note = |item: &Item| item.notes.get("k").is_some_and(|value| *value == note);
            assert_eq!(found!(note, note.as_str()), scan(&has_note));
        }
        for part in view.rows::<Part>() {
            let part = part.reference();
            assert_eq!(
                found!(owner, &part),
                scan(&|item| item.parts.contains(&part))
            );
        }
        for first in ['i', 'x'] {
            assert_eq!(
                found!(initial, &first),
                scan(&|item| item.name.starts_with(first))
            );
        }
        let counts: Vec<i64> = view
            .range(&self.by_count, ..)
            .map(|row| row.count)
            .collect();
        assert!(counts.is_sorted() && counts.len() == view.rows::<Item>().len());
        let some = view.range(&self.by_count, 1..3).map(Row::uuid).collect();
        assert_eq!(set(some), scan(&|item| (1..3).contains(&item.count)));
        let mut heaviest = view.range(&self.by_weight, 2..);
        let all = heaviest.len();
        assert_eq!(all, scan(&|item| item.weight.is_some_and(|w| w >= 2)).len());
        let most = view.rows::<Item>().filter_map(|item| item.weight).max();
        let most = most.filter(|weight| *weight >= 2);
        assert_eq!(heaviest.next_back().and_then(|item| item.weight), most);
        let names =
            view.range::<_, _, str>(&self.by_name, (Included("item-1"), Excluded("item-2")));
        assert_eq!(
            set(names.map(Row::uuid).collect()),
            scan(&|item| item.name.starts_with("item-1"))
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn declared_indexes_find_what_a_scan_does() {
    let server = inventory_server();
    let client: Client<Database> = connect(&server).await;
    let indexes = Indexes::new();
    let Indexes {
        count, tag, note, ..
    } = &indexes;
    let builder = client.cache().index(count).index(tag).index(note);
    let Indexes {
        size,
        owner,
        initial,
        ..
    } = &indexes;
    let builder = builder.index(size).index(owner).index(initial);
    let builder = builder.ordered_index(&indexes.by_count);
    let builder = builder.ordered_index(&indexes.by_weight);
    let builder = builder.ordered_index(&indexes.by_name);
    let cache = builder.table::<Part>().start().await.expect("a cache");
    let mut random = fastrand::Rng::with_seed(0x1234_5678_9abc_def1);
    let mut views = vec![cache.snapshot()];
    for step in 0..400 {
        let name = format!("item-{}", random.u64(..30));
        let mut txn = client.transaction();
        match random.u64(..5) {
            0 => drop(txn.delete::<Item>(Item::NAME.eq(name))),
            1 | 2 => {
                txn.delete::<Item>(Item::NAME.eq(name.as_str()));
                let part = txn.insert(Part { label: "p".into() });
                let number = random.i64(0..6);
                txn.insert(Item {
                    name: name.into(),
                    count: number,
                    total: step,
                    weight: (number < 5).then_some(number),
                    tags: [format!("t{number}"), "t0".to_owned()].into(),
                    notes: [("k", number.to_string()), ("l", "x".to_owned())].into(),
                    sizes: [("a", number), ("b", number), ("c", 1)].into(),
                    parts: [part].into(),
                    only: ItemOnly::Sole,
                    ..Default::default()
                });
            }
            3 => {
                let number = random.i64(0..6);
                txn.update::<Item>(Item::NAME.eq(name))
                    .set(Item::WEIGHT, Some(number))
                    .set(
                        Item::NOTES,
                        Map::<Str, Str>::from([("k", number.to_string())]),
                    );
            }
            _ => drop(
                txn.mutate::<Item>(Item::NAME.eq(name))
                    .insert(Item::TAGS, [format!("t{}", random.u64(..6))])
                    .add(Item::TOTAL, 1 << 20),
            ),
        }
        txn.commit().await.expect("a commit");
        indexes.agree(&cache.snapshot());
        if step % 50 == 0 {
            views.push(cache.snapshot());
        }
    }
    // Earlier snapshots are unchanged, and their indexes too.
    for view in &views {
        indexes.agree(view);
    }
    assert!(cache.snapshot().rows::<Item>().len() > 5);
}

#[tokio::test]
async fn a_row_that_refers_to_another_twice_is_found_until_both_references_are_gone() {
    let server = bundled_server("OVN_Northbound");
    let client: Client<nb::Database> = connect(&server).await;
    let caches = client.cache().all_tables();
    let cache = caches.index_references_to::<nb::AddressSet>().start();
    let cache = cache.await.expect("a cache");
    let mut txn = client.transaction();
    let set = txn.insert(nb::AddressSet {
        name: "as0".into(),
        ..Default::default()
    });
    let nat = txn.insert(nb::Nat {
        r#type: nb::NatType::Snat,
        allowed_ext_ips: Some(set),
        exempted_ext_ips: Some(set),
        ..Default::default()
    });
    txn.insert(nb::LogicalRouter {
        nat: [nat].into(),
        ..Default::default()
    });
    txn.commit().await.expect("a commit");
    let referrers = || cache.snapshot().referrers::<nb::Nat>(set).len();
    assert_eq!(referrers(), 1);
    let mut txn = client.transaction();
    txn.update(nat).set(nb::Nat::ALLOWED_EXT_IPS, None);
    txn.commit().await.expect("a commit");
    assert_eq!(referrers(), 1);
    let mut txn = client.transaction();
    txn.update(nat).set(nb::Nat::EXEMPTED_EXT_IPS, None);
    txn.commit().await.expect("a commit");
    assert_eq!(referrers(), 0);
}

#[tokio::test]
async fn the_switch_of_a_port_is_found_by_its_references() {
    let server = bundled_server("OVN_Northbound");
    let client: Client<nb::Database> = connect(&server).await;
    let owner = Index::elements(nb::LogicalSwitch::PORTS);
    let never = Index::column(nb::LogicalSwitchPort::TYPE);
    let cache = client
        .cache()
        .index(&owner)
        .all_tables()
        .index_references_to::<nb::LogicalSwitchPort>()
        .start()
        .await
        .expect("a cache");
    let mut txn = client.transaction();
    let mut ports = BTreeMap::new();
    for name in ["sw0", "sw1"] {
        let of_this: Vec<_> = (0..3)
            .map(|number| {
                txn.insert(nb::LogicalSwitchPort {
                    name: format!("{name}-{number}").into(),
                    ..Default::default()
                })
            })
            .collect();
        let switch = txn.insert(nb::LogicalSwitch {
            name: name.into(),
            ports: of_this.clone().into(),
            ..Default::default()
        });
        ports.insert(switch, of_this);
    }
    txn.commit().await.expect("a commit");
    let view = cache.snapshot();
    for (switch, ports) in &ports {
        // A column of references can be looked up as it is, and so can any list of references: the rows
        // come in the order of the list.
        let row = view.get(*switch).expect("a switch");
        let found: Vec<_> = view.get_all(&row.ports).map(Row::reference).collect();
        assert!(found.iter().eq(row.ports.iter()) && found.len() == 3);
        let missing = Ref::new(Uuid::nil());
        let found = view.get_all([&ports[2], &missing, &ports[0]]);
        assert!(found.map(Row::reference).eq([ports[2], ports[0]]));
        for port in ports {
            let owners: Vec<_> = view.find(&owner, port).map(Row::reference).collect();
            assert_eq!(owners, [*switch]);
            let referrers = view.referrers::<nb::LogicalSwitch>(*port);
            assert_eq!(referrers.len(), 1);
            assert!(referrers.map(Row::reference).eq([*switch]));
            let port = view.get(*port).expect("a port");
            assert_eq!(view.referrers::<nb::PortGroup>(port).len(), 0);
        }
    }
    // A port that moves.
    let [(from, moving), (to, _)] = &ports.iter().collect::<Vec<_>>()[..] else {
        panic!("two switches")
    };
    let mut txn = client.transaction();
    txn.mutate(**from)
        .delete(nb::LogicalSwitch::PORTS, [moving[0]]);
    txn.mutate(**to)
        .insert(nb::LogicalSwitch::PORTS, [moving[0]]);
    txn.commit().await.expect("a commit");
    let now = cache.snapshot();
    let owners = |view: &Snapshot<nb::Database>| -> Vec<_> {
        view.find(&owner, &moving[0]).map(Row::reference).collect()
    };
    assert_eq!((owners(&view), owners(&now)), (vec![**from], vec![**to]));
    let referrers = |view: &Snapshot<nb::Database>| -> Vec<_> {
        let switches = view.referrers::<nb::LogicalSwitch>(moving[0]);
        switches.map(Row::reference).collect()
    };
    assert_eq!(
        (referrers(&view), referrers(&now)),
        (vec![**from], vec![**to])
    );

    // References to other tables are not indexed; looking them up is an error, not a scan and not an
    // empty result.
    let acl = Ref::<nb::Acl>::new(Uuid::nil());
    let error = now.try_referrers::<nb::LogicalSwitch>(acl);
    let error = error.expect_err("an index that the cache does not have");
    assert_eq!((error.from, error.to), ("Logical_Switch", "ACL"));
    assert!(error.to_string().contains("`index_references_to`"));

    let unknown = std::panic::catch_unwind(AssertUnwindSafe(|| now.find(&never, "").len()));
    assert!(unknown.is_err(), "an index that the cache does not have");
}

#[tokio::test]
async fn a_row_that_refers_by_several_columns_is_found_once() {
    let server = inventory_server();
    let client: Client<Database> = connect(&server).await;
    let builder = client.cache().all_tables();
    let cache = builder.index_references_to::<Part>().start().await;
    let cache = cache.expect("a cache");
    let mut txn = client.transaction();
    let parts = ["a", "b"].map(|label| {
        txn.insert(Part {
            label: label.into(),
        })
    });
    let item = |name: &str, parts: &[Ref<Part>], favourite: Option<Ref<Part>>| Item {
        name: name.into(),
        count: name.len().try_into().expect("a short name"),
        only: ItemOnly::Sole,
        parts: parts.iter().copied().collect(),
        favourite,
        ..Default::default()
    };
    let both = txn.insert(item("both", &parts, Some(parts[0])));
    txn.insert(item("one", &parts, None));
    txn.commit().await.expect("a commit");

    let names = |part: Ref<Part>| -> Vec<Str> {
        let view = cache.snapshot();
        let items = view.referrers::<Item>(part);
        let mut names: Vec<_> = items.map(|item| item.name.clone()).collect();
        names.sort_unstable();
        names
    };
    assert_eq!(names(parts[0]), ["both", "one"]);
    assert_eq!(names(parts[1]), ["both", "one"]);

    // One of two references is removed, then the other; another column changes.
    let mut txn = client.transaction();
    txn.mutate(both).delete(Item::PARTS, [parts[0]]);
    txn.update(both).set(Item::TOTAL, 5);
    txn.commit().await.expect("a commit");
    assert_eq!(names(parts[0]), ["both", "one"]);
    let mut txn = client.transaction();
    txn.update(both).set(Item::FAVOURITE, Some(parts[1]));
    txn.commit().await.expect("a commit");
    assert_eq!(names(parts[1]), ["both", "one"]);
    assert_eq!(names(parts[0]), ["one"]);
    let mut txn = client.transaction();
    txn.delete(both);
    txn.commit().await.expect("a commit");
    assert_eq!(names(parts[1]), ["one"]);
}
