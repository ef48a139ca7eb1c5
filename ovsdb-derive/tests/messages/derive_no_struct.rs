use ovsdb::{Str, Table};

#[derive(Debug, Clone, PartialEq, Default, Table)]
#[ovsdb(database = ovsdb::nb::Database, table = "Logical_Switch")]
struct Tuple(Str);

#[derive(Debug, Clone, PartialEq, Default, Table)]
#[ovsdb(database = ovsdb::nb::Database, table = "Logical_Switch")]
enum Enumeration {
    #[default]
    Only,
}

#[derive(Debug, Clone, PartialEq, Default, Table)]
#[ovsdb(database = ovsdb::nb::Database, table = "Logical_Switch")]
struct Generic<T> {
    name: T,
}

fn main() {}
