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
}

fn main() {}
