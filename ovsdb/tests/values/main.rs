//! Compares values of every type with a model of RFC 7047's rules that was written for this test.
//!
//! A seed determines a random schema with a column of every shape, and then random values, conditions,
//! mutations and differences. What the library reads, writes and computes is compared with the model,
//! and so are the results of ovsdb-server and of the embedded server.
//!
//! `OVSDB_TEST_SCALE=full` runs more than 10^6 cases, `OVSDB_TEST_SEED=N` reproduces a run.

#![cfg(feature = "server")]
#![allow(missing_docs, unreachable_pub)]

#[path = "../support/raw.rs"]
#[allow(dead_code)]
mod raw;
#[path = "../support/scale.rs"]
mod scale;
#[path = "../support/seed.rs"]
#[allow(dead_code)]
mod seed;

mod codec;
mod compiled;
mod draw;
mod edges;
mod model;
mod servers;
mod traits;

use codec::Replicas;
use ovsdb::schema::DatabaseSchema;
use scale::size;
use seed::Seed;
use servers::Servers;

/// How many cases each schema is used for.
const CASES: usize = 250;

#[test]
fn values_are_read_written_and_compared_as_the_rules_say() {
    let seed = Seed::new();
    for _ in 0..size(5_000, 400_000) / CASES {
        let mut random = seed.random();
        let columns = draw::columns(&mut random);
        let schema = DatabaseSchema::parse(&draw::schema(&columns)).expect("a schema");
        let mut replicas = Replicas::new(&schema);
        let first =
            r#"{"id":1,"error":null,"result":[false,"00000000-0000-0000-0000-000000000000",{}]}"#;
        assert!(replicas.receive(first));
        for _ in 0..CASES {
            codec::case(&mut random, &columns, &mut replicas);
        }
    }
}

#[tokio::test]
async fn servers_compute_as_the_rules_say() {
    let seed = Seed::new();
    let (mut compared, least) = (0, size(12_000, 1_000_000));
    while compared < least {
        let mut random = seed.random();
        let columns = draw::columns(&mut random);
        let mut servers = Servers::start(&draw::schema(&columns)).await;
        compared += servers.run(&mut random, &columns, CASES).await;
    }
}

#[tokio::test]
async fn servers_report_differences_as_the_rules_say() {
    let seed = Seed::new();
    for _ in 0..size(750, 100_000) / CASES {
        let mut random = seed.random();
        let columns = draw::columns(&mut random);
        servers::differences(&mut random, &columns, &draw::schema(&columns), CASES).await;
    }
}
