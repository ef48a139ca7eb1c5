mod tables {
    ovsdb::schema!("schemas/nowhere.ovsschema");
}

fn main() {}
