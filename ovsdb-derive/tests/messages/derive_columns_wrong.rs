use ovsdb::{Str, Table};

#[derive(Debug, Clone, PartialEq, Default, Table)]
#[ovsdb(database = ovsdb::nb::Database, table = "Logical_Switch")]
struct SameColumn {
    name: Str,
    #[ovsdb(column = "name")]
    label: Str,
}

#[derive(Debug, Clone, PartialEq, Default, Table)]
#[ovsdb(database = ovsdb::nb::Database, table = "Logical_Switch")]
struct NoColumnsName {
    #[ovsdb(column = "external-ids")]
    name: Str,
}

#[derive(Debug, Clone, PartialEq, Default, Table)]
#[ovsdb(database = ovsdb::nb::Database, table = "Logical_Switch")]
struct NoColumns {}

#[derive(Debug, Clone, PartialEq, Default, Table)]
#[ovsdb(database = ovsdb::nb::Database, table = "Logical_Switch")]
struct SameConstant {
    name: Str,
    #[ovsdb(column = "Name")]
    label: Str,
}

#[derive(Debug, Clone, PartialEq, Default, Table)]
#[ovsdb(database = ovsdb::nb::Database, table = "Logical_Switch")]
struct OtherConstant {
    name: Str,
    #[ovsdb(column = "Name", constant = LABEL)]
    label: Str,
}

fn main() {
    let _ = OtherConstant::LABEL;
}
