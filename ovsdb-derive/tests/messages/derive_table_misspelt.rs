use ovsdb::{Str, Table};

#[derive(Debug, Clone, PartialEq, Default, Table)]
#[ovsdb(database = ovsdb::nb::Database, table = "Logical_Swich", schema = "OVN_Northbound")]
struct Switch {
    name: Str,
}

fn main() {}
