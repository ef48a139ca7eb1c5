//! Shared by the tests: real servers, a database with every type, and a peer that follows a script.
#![allow(dead_code, reason = "each test file uses its own part")]
#![allow(clippy::unwrap_used, unreachable_pub, missing_docs)]

pub mod capture;
pub mod certificates;
pub mod interposer;
pub mod load;
pub mod peer;
pub mod raw;
pub mod replica;
pub mod scale;
pub mod seed;

use std::io::Write as _;

use ovsdb::testing::{Server, ServerKind};
use ovsdb::{Client, Database};

/// The tables of tests/files/inventory.ovsschema, which has columns of every type.
pub mod inventory {
    #![allow(missing_docs)]
    ovsdb::schema!("tests/files/inventory.ovsschema");
}

pub const INVENTORY: &str = include_str!("../files/inventory.ovsschema");

/// A private server with the database of [`inventory`].
pub fn inventory_server() -> Server {
    Server::builder()
        .schema(INVENTORY)
        .start()
        .expect("a server")
}

/// Whether the tests run on the embedded server, which lacks what this test needs. If so, the test must
/// return; the terminal shows its name and what it needs, although output is captured.
pub fn embedded_server_lacks(what: &str) -> bool {
    let kind = ServerKind::from_environment().expect("a kind of server");
    if kind == ServerKind::Reference {
        return false;
    }
    let thread = std::thread::current();
    let test = thread.name().unwrap_or("a test").to_owned();
    let line = format!("not on the embedded server: {test} needs {what}\n");
    std::io::stderr()
        .write_all(line.as_bytes())
        .expect("a terminal");
    true
}

/// A row of the table `Item`, whose name and total must be unique.
pub fn item(name: &str, total: i64) -> inventory::Item {
    inventory::Item {
        name: name.into(),
        total,
        only: inventory::ItemOnly::Sole,
        ..Default::default()
    }
}

/// A private server with the bundled schema of this database.
pub fn bundled_server(database: &str) -> Server {
    let schema = ovsdb::schema::bundled(database).expect("a bundled schema");
    Server::builder().schema(schema).start().expect("a server")
}

pub async fn connect<D: Database>(server: &Server) -> Client<D> {
    Client::builder()
        .remotes(server.remote())
        .connect()
        .await
        .expect("a client")
}
