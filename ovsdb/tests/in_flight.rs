//! The number of requests in flight, as a caller reads it after its request has ended.

mod support;

use ovsdb::Client;
use support::inventory::{Database, Item};
use support::inventory_server;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_is_not_in_flight_once_its_caller_has_the_result() {
    let mut server = inventory_server();
    let client: Client<Database> = Client::builder()
        .remotes(server.remote())
        .connect()
        .await
        .expect("a client");
    for number in 0..3000 {
        let mut txn = client.transaction();
        txn.mutate(Item::NAME.eq("none")).add(Item::TOTAL, 1);
        txn.commit().await.expect("a commit");
        assert_eq!(client.stats().in_flight, 0, "after commit {number}");
    }
    for _ in 0..20 {
        server.signal("STOP").expect("stopped");
        let asking = client.list_dbs();
        let killed = async {
            while client.stats().in_flight == 0 {
                tokio::task::yield_now().await;
            }
            server.kill().expect("killed");
        };
        let (asked, ()) = tokio::join!(asking, killed);
        asked.expect_err("the connection is lost");
        assert_eq!(client.stats().in_flight, 0);
        server.start().expect("started");
        client.reconnect();
        client.list_dbs().await.expect("an answer");
    }
}
