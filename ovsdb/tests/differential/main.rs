//! Compares the embedded server with ovsdb-server, answer by answer.
//!
//! A seed determines a random schema, then steps: transactions of several clients, valid, half valid
//! and invalid; monitors by all methods with conditions, changes of these, and locks. Both servers get
//! the same steps. Every message that a client receives must be the same from both, apart from the
//! uuids that a server chooses and what `README.md` lists as not compared. Steps that fail are shrunk
//! to the few that matter.
//!
//! `OVSDB_TEST_SCALE=full` compares 10^6 transactions and the files of 2,000 databases, `OVSDB_TEST_SEED=N`
//! reproduces a run, and a `PATH` with another ovsdb-server compares with that one.

#![cfg(feature = "server")]
#![allow(missing_docs, unreachable_pub)]

#[path = "../support/scale.rs"]
mod scale;
#[path = "../support/seed.rs"]
#[allow(dead_code)]
mod seed;

mod draw;
mod files;
mod normal;
mod pair;

use draw::{Drawn, Step};
use pair::Pair;
use scale::size;
use seed::Seed;

/// How many steps each database goes through.
const STEPS: usize = 120;

/// Runs the steps on both servers. The error is the first difference.
async fn compare(schema: &str, steps: &[Step]) -> Result<(), String> {
    let mut pair = Pair::start(schema).await?;
    for (number, step) in steps.iter().enumerate() {
        let step_done = pair.step(step).await;
        if !step_done.map_err(|difference| format!("step {number}, {step}: {difference}"))? {
            break;
        }
    }
    Ok(())
}

/// Leaves out steps and operations as long as a difference remains.
async fn shrink(schema: &str, mut steps: Vec<Step>, mut difference: String) -> (Vec<Step>, String) {
    let mut length = steps.len() / 2;
    while length > 0 {
        let mut start = 0;
        while start < steps.len() {
            let mut fewer = steps.clone();
            let mut at = 0;
            // Without a conversion, the steps after it would fit the schema less.
            fewer.retain(|step| {
                at += 1;
                !(start..start + length).contains(&(at - 1)) || step.is_conversion()
            });
            if fewer.len() == steps.len() {
                start += length;
                continue;
            }
            match compare(schema, &fewer).await {
                Err(other) => (steps, difference) = (fewer, other),
                Ok(()) => start += length,
            }
        }
        length /= 2;
    }
    for at in 0..steps.len() {
        let mut operation = 0;
        while let Some(fewer) = steps[at].without(operation) {
            let mut changed = steps.clone();
            changed[at] = fewer;
            match compare(schema, &changed).await {
                Err(other) => (steps, difference) = (changed, other),
                Ok(()) => operation += 1,
            }
        }
    }
    (steps, difference)
}

#[tokio::test]
async fn both_servers_answer_the_same() {
    let seed = Seed::new();
    let transactions = size(2_000, 1_000_000);
    let mut done = 0;
    while done < transactions {
        let mut random = seed.random();
        let Drawn { schema, steps } = draw::draw(&mut random, STEPS);
        done += steps.iter().filter(|step| step.is_transaction()).count();
        if let Err(difference) = compare(&schema, &steps).await {
            let (steps, difference) = shrink(&schema, steps, difference).await;
            let story: Vec<_> = steps.iter().map(|step| format!("  {step}\n")).collect();
            panic!(
                "the servers differ among the first {done} transactions\n{difference}\nafter these \
                 steps:\n{}with this schema:\n{schema}",
                story.concat()
            );
        }
    }
}
