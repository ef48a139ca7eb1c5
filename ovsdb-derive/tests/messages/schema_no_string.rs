mod tables {
    ovsdb::schema!(OVN_Northbound);
}

fn main() {}
