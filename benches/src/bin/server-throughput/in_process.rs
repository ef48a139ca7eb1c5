//! The server within the process of its clients.

use std::time::Instant;

use ovsdb::nb::{Database, LogicalSwitchPort as Port};
use ovsdb::schema::bundled;
use ovsdb::server::Server;
use ovsdb::{Client, Ref};
use ovsdb_benches::{Result, median, process};
use serde::Serialize;

/// How many ports each server has.
const ROWS: usize = 100;

/// The figures of the server within the process of its clients.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Figures {
    /// From the start of a commit until the change stream of another client delivers it.
    pub(crate) change_p50_us: f64,
    /// From the start of a commit until its reply.
    pub(crate) commit_p50_us: f64,
    pub(crate) made: usize,
    /// The time to make, fill and drop all servers, one after the other.
    pub(crate) made_s: f64,
    /// The processor time for the same.
    pub(crate) made_cpu_s: f64,
    /// The time to fork all servers from a filled one, read each by a client, and drop it.
    pub(crate) forked_s: f64,
}

pub(crate) fn measure(transactions: usize, made: usize) -> Result<Figures> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let (change_p50_us, commit_p50_us) = latency(transactions).await?;
        let (start, start_cpu) = (Instant::now(), cpu_us()?);
        for _ in 0..made {
            drop(filled().await?);
        }
        let made_s = start.elapsed().as_secs_f64();
        let made_cpu_s = (cpu_us()? - start_cpu) / 1e6;
        let seed = filled().await?;
        let start = Instant::now();
        for _ in 0..made {
            let fork = seed.fork();
            let client = connect(&fork).await?;
            let cache = client.cache().table::<Port>().start().await?;
            if cache.snapshot().rows::<Port>().len() != ROWS {
                return Err("a fork lacks rows".into());
            }
        }
        Ok(Figures {
            change_p50_us,
            commit_p50_us,
            made,
            made_s,
            made_cpu_s,
            forked_s: start.elapsed().as_secs_f64(),
        })
    })
}

fn cpu_us() -> Result<f64> {
    Ok(process::cpu_us(std::process::id())? as f64)
}

fn empty() -> Result<Server> {
    let schema = bundled("OVN_Northbound").ok_or("no northbound schema")?;
    Ok(Server::memory(schema)?)
}

async fn connect(server: &Server) -> Result<Client<Database>> {
    Ok(Client::<Database>::builder()
        .server(server)
        .connect()
        .await?)
}

async fn insert_ports(client: &Client<Database>) -> Result {
    let mut txn = client.transaction();
    let switch = ovsdb::nb::LogicalSwitch {
        name: "switch".into(),
        ports: (0..ROWS)
            .map(|number| {
                txn.insert(Port {
                    name: format!("port-{number}").into(),
                    addresses: ["0a:58:0a:00:00:03 10.0.0.3"].into(),
                    external_ids: [("pod", "true"), ("namespace", "default")].into(),
                    ..Default::default()
                })
            })
            .collect::<Vec<_>>()
            .into(),
        ..Default::default()
    };
    txn.insert(switch);
    txn.commit().await?;
    Ok(())
}

async fn filled() -> Result<Server> {
    let server = empty()?;
    let client = connect(&server).await?;
    insert_ports(&client).await?;
    Ok(server)
}

/// The times from the start of a commit until the change stream of another client delivers it, and
/// until its reply.
async fn latency(transactions: usize) -> Result<(f64, f64)> {
    let server = filled().await?;
    let (writer, follower) = (connect(&server).await?, connect(&server).await?);
    let cache = follower.cache().all_tables().start().await?;
    let ports: Vec<Ref<Port>> = cache
        .snapshot()
        .rows::<Port>()
        .map(ovsdb::Row::reference)
        .collect();
    let mut changes = cache.changes::<Port>();
    drop(changes.try_next());
    let (mut until_change, mut until_reply) = (Vec::new(), Vec::new());
    for (number, port) in (0..transactions).zip(ports.iter().cycle()) {
        let start = Instant::now();
        let mut txn = writer.transaction();
        txn.update(*port)
            .set(Port::OPTIONS, [("iface-id-ver", number.to_string())]);
        let commit = async {
            let outcome = txn.commit().await;
            until_reply.push(start.elapsed().as_secs_f64() * 1e6);
            outcome
        };
        let change = async {
            let batch = changes.next().await;
            until_change.push(start.elapsed().as_secs_f64() * 1e6);
            batch
        };
        let (outcome, batch) = tokio::join!(commit, change);
        outcome?;
        batch.ok_or("the client ended")?;
    }
    Ok((median(until_change), median(until_reply)))
}
