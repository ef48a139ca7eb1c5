use ovsdb::{Set, Str, Table};

#[derive(Debug, Clone, PartialEq, Default, Table)]
#[ovsdb(database = ovsdb::vswitch::Database, table = "NetFlow", schema = "Open_vSwitch")]
struct SaysNothing {
    targets: Set<Str>,
    active_timeout: Option<i64>,
}

#[derive(Debug, Clone, PartialEq, Table)]
#[ovsdb(database = ovsdb::vswitch::Database, table = "NetFlow", default = true)]
struct WithoutSchema {
    targets: Set<Str>,
}

fn main() {}
