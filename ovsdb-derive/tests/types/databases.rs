// Tables of one database in a client of another.
use ovsdb::{Cache, Client, nb, vswitch};

async fn tables(client: Client<nb::Database>, cache: Cache<nb::Database>) {
    let _ = client.cache().table::<vswitch::Bridge>(); //~ E0271
    let mut transaction = client.transaction();
    transaction.insert(vswitch::Bridge::default()); //~ E0271
    let view = cache.snapshot();
    let _ = view.get_by(vswitch::Bridge::NAME, "br-int"); //~ E0271
    // Nor a key of another type.
    let _ = view.get_by(nb::LogicalSwitchPort::NAME, &5_i64); //~ E0277
    // Nor by a column that the schema does not make unique.
    let _ = view.get_by(nb::LogicalSwitch::NAME, "sw0"); //~ no index finds a row
    let _ = view.get_by(nb::Bfd::LOGICAL_PORT, "p"); //~ no index finds a row
    let _ = view.get_by(nb::Bfd::LOGICAL_PORT_AND_DST_IP, ("p", "192.0.2.1"));
    let _ = view.get_by(nb::Bfd::LOGICAL_PORT_AND_DST_IP, ("p", &5_i64)); //~ E0277
    // `referrers` needs a table with a column that can refer to the row.
    let port = ovsdb::Ref::<nb::LogicalSwitchPort>::default();
    let _ = view.referrers::<nb::LogicalSwitch>(port);
    let _ = view.referrers::<nb::LogicalRouter>(port); //~ no column of `LogicalRouter` can refer to a row of `LogicalSwitchPort`
    let _ = view.scan_by(nb::LogicalSwitch::NAME, "sw0").count();
    let _ = view.get_by(&ovsdb::cache::Index::column(nb::LogicalSwitch::NAME), "sw0");
}

fn main() {}
