//! A table that is implemented by hand works like generated ones.

mod support;

use ovsdb::{Client, Column, ColumnInfo, ColumnValue, Map, Set, Str, Unique, nb};
use support::{bundled_server, connect};

#[derive(Debug)]
struct Northbound;

impl ovsdb::Database for Northbound {
    const NAME: &'static str = "OVN_Northbound";
}

#[derive(Debug, Clone, PartialEq, Default)]
struct AddressSet {
    name: Str,
    addresses: Set<Str>,
    external_ids: Map<Str, Str>,
}

impl AddressSet {
    const NAME: Column<Self, Str, Unique> = Column::new(0, |row| &row.name);
    const ADDRESSES: Column<Self, Set<Str>> = Column::new(1, |row| &row.addresses);
    const EXTERNAL_IDS: Column<Self, Map<Str, Str>> = Column::new(2, |row| &row.external_ids);
}

impl ovsdb::Table for AddressSet {
    type Database = Northbound;
    const TABLE: &'static str = "Address_Set";
    const COLUMNS: &'static [ColumnInfo] = &[
        ColumnInfo::new::<Str>("name"),
        ColumnInfo::new::<Set<Str>>("addresses"),
        ColumnInfo::new::<Map<Str, Str>>("external_ids"),
    ];
    const INDEXES: &'static [&'static [usize]] = &[&[0]];

    fn column(&self, index: usize) -> Option<&dyn ColumnValue> {
        match index {
            0 => Some(&self.name),
            1 => Some(&self.addresses),
            2 => Some(&self.external_ids),
            _ => None,
        }
    }

    fn column_mut(&mut self, index: usize) -> Option<&mut dyn ColumnValue> {
        match index {
            0 => Some(&mut self.name),
            1 => Some(&mut self.addresses),
            2 => Some(&mut self.external_ids),
            _ => None,
        }
    }
}

#[tokio::test]
async fn a_table_written_by_hand_is_written_followed_and_looked_up() {
    const SETS: usize = 200;
    let server = bundled_server("OVN_Northbound");
    let client: Client<Northbound> = connect(&server).await;
    let cache = client.cache().table::<AddressSet>().start();
    let cache = cache.await.expect("a cache");
    let mut txn = client.transaction();
    for number in 0..SETS {
        txn.insert(AddressSet {
            name: format!("a set with a long name, {number}").into(),
            addresses: ["192.0.2.1"].into(),
            external_ids: [("key", "value")].into(),
        });
    }
    txn.commit().await.expect("a commit");
    assert_eq!(cache.snapshot().rows::<AddressSet>().len(), SETS);

    // One update changes all rows, and the replica prefetches them.
    let mut changes = cache.changes::<AddressSet>();
    assert!(changes.next().await.expect("the start").kind().is_start());
    let mut txn = client.transaction();
    txn.mutate(AddressSet::NAME.ne(""))
        .insert(AddressSet::ADDRESSES, ["192.0.2.2"])
        .insert(AddressSet::EXTERNAL_IDS, [("another", "value")]);
    txn.commit().await.expect("a commit");
    let batch = changes.next().await.expect("the update");
    assert_eq!(batch.iter().len(), SETS);
    for change in &batch {
        assert!(change.before().is_some());
        let changed: Vec<_> = change.columns().map(|column| column.name).collect();
        assert_eq!(changed, ["addresses", "external_ids"]);
    }

    let view = cache.snapshot();
    let found = view.get_by(AddressSet::NAME, "a set with a long name, 7");
    let found = found.expect("by the schema's index");
    assert_eq!(found.addresses.len(), 2);
    assert_eq!(found.external_ids["another"], "value");

    // What one client writes, another reads with the generated table.
    let other: Client<nb::Database> = connect(&server).await;
    let cache = other.cache().table::<nb::AddressSet>().start();
    let view = cache.await.expect("a cache").snapshot();
    let same = view.get_by(nb::AddressSet::NAME, found.name.as_str());
    assert_eq!(same.map(|set| &set.addresses), Some(&found.addresses));
    let same = same.expect("the same row").reference();
    assert_eq!(same.cast(), found.reference());
}
