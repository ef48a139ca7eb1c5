// Schemas that cannot become types, and files that are no schema.
mod broken {
    ovsdb::schema!("files/broken.ovsschema"); //~ broken schema `files/broken.ovsschema`: tables.Port.columns.tag.type.key.minInteger:
}

mod no_json {
    ovsdb::schema!("files/no_json.ovsschema"); //~ broken schema `files/no_json.ovsschema`:
}

mod tables {
    ovsdb::schema!("files/same_tables.ovsschema"); //~ both the table `ACL` and the table `Acl` would be called `Acl`
}

mod columns {
    ovsdb::schema!("files/same_columns.ovsschema"); //~ both columns `Name` and `name` of `T` would be one field
}

mod values {
    ovsdb::schema!("files/same_values.ovsschema"); //~ the values of `T.mode`: both `a-b` and `a_b` would be `AB`
}

fn main() {}
