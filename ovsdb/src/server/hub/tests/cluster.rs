//! Members of a cluster.

use super::*;
use crate::server::consensus::{Consensus, Membership};

#[test]
fn a_member_catches_up_with_several_databases_at_once() {
    let now = Now {
        instant: Instant::now(),
        date: 1,
    };
    let names = ["D", "E"];
    let databases = names.map(|name| {
        let schema = SCHEMA.replace(r#""D""#, &format!(r#""{name}""#));
        let schema = ovsdb_schema::DatabaseSchema::parse(&schema).expect("a schema");
        Database::new(Arc::new(Schema::new(schema).expect("a schema")), 1)
    });
    let consensus = Arc::new(Consensus::new(2));
    let logs = databases.each_ref().map(|database| consensus.add(database));
    let [mut leader, mut follower] = [0, 1].map(|member| {
        let mut hub = Hub::new(Quotas::new(), 1);
        for (database, log) in databases.iter().zip(logs) {
            let ids = (Uuid::from_u128(1), Uuid::from_u128(2));
            let membership = Membership::new(consensus.clone(), (member, log), ids);
            assert!(hub.add_member(database.fork(1), membership, now));
        }
        hub
    });
    assert!(!follower.handle_cluster(now));

    let client = leader.handle_connected(now, Duration::from_secs(5), false);
    let client = client.expect("a session");
    for name in names.into_iter().chain(names) {
        let insert = format!(
            r#"{{"id":0,"method":"transact","params":["{name}",{{"op":"insert","table":"T","row":{{}}}}]}}"#
        );
        leader.handle_message(client, &insert, now);
    }
    assert!(leader.poll_appended());
    assert!(leader.handle_cluster(now));
    assert!(follower.handle_cluster(now));
    for name in names {
        let database = follower.database(name).expect("a database");
        assert_eq!(database.state().table(0).len(), 2, "{name}");
    }
    assert!(!follower.handle_cluster(now));
}
