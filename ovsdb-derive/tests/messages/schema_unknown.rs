// A bundled schema, misspelt.
mod tables {
    ovsdb::schema!("OVN_Nortbound");
}

// A name that resembles none.
mod others {
    ovsdb::schema!("Hardware_VTEP");
}

fn main() {}
