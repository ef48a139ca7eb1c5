// Schemas for which no types can be generated, and files that are not schemas.
mod broken {
    ovsdb::schema!("files/broken.ovsschema"); //~ broken schema `files/broken.ovsschema`: tables.Port.columns.tag.type.key.minInteger:
}

mod no_json {
    ovsdb::schema!("files/no_json.ovsschema"); //~ broken schema `files/no_json.ovsschema`:
}

mod tables {
    ovsdb::schema!("files/same_tables.ovsschema"); //~ both the table `ACL` and the table `Acl` would be called `Acl`; give one of them another name: `rename = { "Acl" => ... }`
}

mod columns {
    ovsdb::schema!("files/same_columns.ovsschema"); //~ both columns `Name` and `name` of `T` would be one field, `name`; give one of them another name: `rename = { "T.name" => ... }`
}

mod indexes {
    ovsdb::schema!("files/same_indexes.ovsschema"); //~ both the column `a_and_b` and the index over `a`, `b` would be one constant, `A_AND_B`; give one of them another name: `rename = { "T.a" => ... }`
}

mod renamed_indexes {
    ovsdb::schema!("files/same_indexes.ovsschema", rename = { "T.a_and_b" => both });

    const _: ovsdb::UniqueIndex<T, (ovsdb::Str, ovsdb::Str)> = T::A_AND_B;
}

mod values {
    ovsdb::schema!("files/same_values.ovsschema"); //~ the values of `T.mode`: both `a-b` and `a_b` would be `AB`; give one of them another name: `rename = { "T.mode.a_b" => ... }`
}

mod label {
    ovsdb::schema!("files/label.ovsschema"); //~ both the type of the database and the table `Database` would be called `Database`; give one of them another name: `rename = { "Database" => ... }`
}

fn main() {}
