// Columns that cannot change after the insert of their row.
use ovsdb::vswitch::{Bridge, Database};
use ovsdb::{Client, Column, Immutable, Ref, Row, Set, Snapshot, Str, Table};

#[derive(Debug, Clone, PartialEq, Default, Table)]
#[ovsdb(database = Database, table = "Interface", schema = "Open_vSwitch")]
struct Interface {
    name: Str,
    mtu_request: Option<i64>,
}

// Without a schema, the macro does not know that a column is immutable.
#[derive(Debug, Clone, PartialEq, Default, Table)]
#[ovsdb(database = Database, table = "Interface")]
struct WithoutSchema {
    name: Str,
}

#[derive(Debug, Clone, PartialEq, Default, Table)]
#[ovsdb(database = Database, table = "Bridge")]
struct Written {
    count: i64,
    ports: Set<Ref<Interface>>,
    fail_mode: Option<Str>,
}

impl Written {
    const COUNT_FOR_EVER: Column<Self, i64, Immutable> = Column::new(0, |row| &row.count);
    const PORTS_FOR_EVER: Column<Self, Set<Ref<Interface>>, Immutable> = Column::new(1, |row| &row.ports);
}

fn reading(client: &Client<Database>, view: &Snapshot<Database>, row: &Row<Bridge>) {
    let _ = view.get_by(Bridge::NAME, "br-int");
    let _ = (Bridge::NAME.eq("br-int"), Interface::NAME.ne("eth0"));
    let _ = (Bridge::NAME.get(row), Bridge::NAME.name(), client.has_column(Bridge::NAME));
    let _ = ovsdb::cache::Index::column(Bridge::NAME);
    let mut transaction = client.transaction();
    transaction.insert(Bridge { name: "br-int".into(), ..Default::default() });
    transaction.verify(row, Bridge::NAME);
    let _ = transaction.wait(Bridge::NAME.eq("br-int")).comparing(Bridge::NAME).until([]);
}

fn changing(client: &Client<Database>, interface: Ref<Interface>, written: Ref<Written>) {
    let mut transaction = client.transaction();
    let _ = transaction.update(interface).set(Interface::MTU_REQUEST, 1500);
    let _ = transaction.update(WithoutSchema::NAME.eq("eth0")).set(WithoutSchema::NAME, "eth1");
    let _ = transaction.update(Bridge::NAME.eq("br-int")).set(Bridge::NAME, "br"); //~ this column cannot be changed after its row was inserted
    let _ = transaction.update(interface).set(Interface::NAME, "eth1"); //~ this column cannot be changed after its row was inserted
    let _ = transaction.mutate(written).add(Written::COUNT_FOR_EVER, 1); //~ this column cannot be changed after its row was inserted
    let _ = transaction.mutate(written).insert(Written::PORTS_FOR_EVER, [interface]); //~ this column cannot be changed after its row was inserted
    let _ = transaction.mutate(written).delete_keys(Written::PORTS_FOR_EVER, [interface]); //~ this column cannot be changed after its row was inserted
}

fn main() {}
