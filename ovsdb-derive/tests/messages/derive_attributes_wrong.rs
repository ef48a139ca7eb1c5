use ovsdb::{Str, Table};

#[derive(Debug, Clone, PartialEq, Default, Table)]
#[ovsdb(databse = ovsdb::nb::Database, table = "Logical_Switch")]
struct Misspelt {
    name: Str,
}

#[derive(Debug, Clone, PartialEq, Default, Table)]
#[ovsdb(database = ovsdb::nb::Database, table = "Logical_Switch", table = "ACL")]
struct Twice {
    name: Str,
}

#[derive(Debug, Clone, PartialEq, Default, Table)]
#[ovsdb(database = ovsdb::nb::Database, table = "Logical_Switch")]
struct OfAField {
    #[ovsdb(rename = "name")]
    label: Str,
}

#[derive(Debug, Clone, PartialEq, Default, Table)]
#[ovsdb(database = ovsdb::nb::Database, table = Logical_Switch)]
struct NoString {
    name: Str,
}

fn main() {}
