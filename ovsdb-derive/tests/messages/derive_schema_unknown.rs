use ovsdb::{Str, Table};

#[derive(Debug, Clone, PartialEq, Default, Table)]
#[ovsdb(database = ovsdb::nb::Database, table = "Logical_Switch", schema = "ovn_northbound")]
struct Switch {
    name: Str,
}

fn main() {}
