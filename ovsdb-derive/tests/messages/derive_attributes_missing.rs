use ovsdb::{Str, Table};

#[derive(Debug, Clone, PartialEq, Default, Table)]
struct Nothing {
    name: Str,
}

#[derive(Debug, Clone, PartialEq, Default, Table)]
#[ovsdb(database = ovsdb::nb::Database)]
struct NoTable {
    name: Str,
}

fn main() {}
