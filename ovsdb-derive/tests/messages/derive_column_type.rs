use ovsdb::{Map, Ref, Set, Str, Table};

#[derive(Debug, Clone, PartialEq, Default, Table)]
#[ovsdb(database = ovsdb::nb::Database, table = "Logical_Switch_Port", schema = "OVN_Northbound")]
struct Port {
    // Standard types, which other libraries use.
    name: String,
    addresses: Vec<Str>,
    // A string where the schema says integer, an integer where it says optional.
    tag_request: Option<Str>,
    tag: i64,
    // One reference where the schema has none, a set where it has a map.
    options: Set<Str>,
    up: Option<Ref<ovsdb::nb::LogicalSwitch>>,
    external_ids: Map<Str, i64>,
}

fn main() {}
