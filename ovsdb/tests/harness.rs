//! The harness leaves nothing behind.

mod support;

use std::path::Path;

use ovsdb::testing::{Server, ServerError};

#[test]
fn a_dropped_server_leaves_no_process_and_no_folder() {
    let server = support::inventory_server();
    let (folder, id) = (
        server.folder().to_owned(),
        server.process_id().expect("it runs"),
    );
    let process = format!("/proc/{id}");
    assert!(folder.exists() && Path::new(&process).exists());
    drop(server);
    assert!(!folder.exists() && !Path::new(&process).exists());
}

#[test]
fn a_killed_server_comes_back_with_its_data() {
    let mut server = support::inventory_server();
    let before = server.dump("Inventory", None).expect("a dump");
    server.kill().expect("killed");
    assert!(server.dump("Inventory", None).is_err());
    server.start().expect("started");
    assert_eq!(server.dump("Inventory", None).expect("a dump"), before);
    server.signal("STOP").expect("stopped");
    server.signal("CONT").expect("continued");
    assert!(
        before.contains("\"Item table\"") && before.contains("\"Slot table\""),
        "{before}"
    );
}

#[test]
fn a_server_that_cannot_start_says_why() {
    let error = Server::builder()
        .schema("{}")
        .start()
        .expect_err("a broken schema");
    assert!(matches!(error, ServerError::Schema(_)));
}
