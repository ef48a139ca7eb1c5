use ovsdb::{Map, Set, Str, Table};

#[derive(Debug, Clone, PartialEq, Default, Table)]
#[ovsdb(database = ovsdb::nb::Database, table = "Logical_Switch", schema = "OVN_Northbound")]
struct Switch {
    name: Str,
    // Each mistake is shown, not the first one only.
    external_id: Map<Str, Str>,
    #[ovsdb(column = "port")]
    ports: Set<ovsdb::Uuid>,
    nothing_alike: Str,
}

fn main() {}
