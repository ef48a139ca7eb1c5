// A reference to a type that is not a table.
use ovsdb::{Ref, Set, Table, nb};

#[derive(Debug, Clone, PartialEq, Default, Table)] //~ E0277
#[ovsdb(database = nb::Database, table = "Logical_Switch", schema = "OVN_Northbound")]
struct Switch {
    acls: Set<Ref<u8>>, //~ `u8` is not a table of a database
}

#[derive(Debug, Clone, PartialEq, Default, Table)] //~ E0277
#[ovsdb(database = nb::Database, table = "Logical_Switch")]
struct WithoutSchema {
    acls: Set<Ref<Vec<u8>>>, //~ `Vec<u8>` is not a table of a database
}

fn main() {}
