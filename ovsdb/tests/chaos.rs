//! Faults of all kinds, one after another in random order, while two clients write and one reads.
//!
//! At full size, about a quarter of an hour:
//! `OVSDB_TEST_SCALE=full cargo test --release -p ovsdb --test chaos --test cluster --test hostile --test reconnect`

mod support;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use ovsdb::testing::{Cut, Drip, Proxy, Server};
use ovsdb::{Client, ClientBuilder, TlsConfig};
use support::INVENTORY;
use support::certificates::{Authority, Validity, server_files};
use support::inventory::Database;
use support::load::{Load, Settle, Writer};
use support::replica::{Fold, same_as_dump};
use support::scale::size;
use support::seed::Seed;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fault {
    /// The server is killed, and restarted a while later.
    Kill,
    /// The server is stopped for a while.
    Stop,
    /// Connections end, with or without a reset.
    Cut(bool),
    /// Nothing passes for a while, over connections that stay open.
    Stall,
    /// Connections end, and none can be made for a while.
    Refuse,
    /// Bytes pass slowly for a while.
    Drip,
}

const FAULTS: [Fault; 7] = [
    Fault::Kill,
    Fault::Stop,
    Fault::Cut(false),
    Fault::Cut(true),
    Fault::Stall,
    Fault::Refuse,
    Fault::Drip,
];

/// The server and its proxies.
struct World {
    server: Arc<Mutex<Server>>,
    proxies: Vec<Proxy>,
    random: fastrand::Rng,
}

impl World {
    /// Does something slow with the server.
    async fn with_server(&self, act: impl FnOnce(&mut Server) + Send + 'static) {
        let server = self.server.clone();
        tokio::task::spawn_blocking(move || act(&mut server.lock().expect("the server")))
            .await
            .expect("done");
    }

    /// One of the proxies, or all.
    fn some_proxies(&mut self) -> &[Proxy] {
        match self.random.usize(..=self.proxies.len()) {
            0 => &self.proxies,
            one => &self.proxies[one - 1..one],
        }
    }

    async fn strike(&mut self, fault: Fault) {
        let while_ = Duration::from_millis(self.random.u64(10..=500));
        match fault {
            Fault::Kill => {
                self.with_server(|server| server.kill().expect("killed"))
                    .await;
                tokio::time::sleep(while_).await;
                self.with_server(|server| server.start().expect("started"))
                    .await;
            }
            Fault::Stop => {
                self.with_server(|server| server.signal("STOP").expect("stopped"))
                    .await;
                tokio::time::sleep(while_).await;
                self.with_server(|server| server.signal("CONT").expect("continued"))
                    .await;
            }
            Fault::Cut(reset) => {
                let cut = if reset { Cut::Reset } else { Cut::Close };
                self.some_proxies().iter().for_each(|proxy| proxy.cut(cut));
            }
            Fault::Stall => {
                self.each(while_, Proxy::stall).await;
            }
            Fault::Refuse => {
                let refuse = |proxy: &Proxy, begin| {
                    proxy.refuse(begin);
                    if begin {
                        proxy.cut(Cut::Close);
                    }
                };
                self.each(while_, refuse).await;
            }
            Fault::Drip => {
                let drip = Drip {
                    bytes: self.random.usize(1..2000),
                    pause: Duration::from_millis(1),
                };
                self.each(while_, |proxy, begin| proxy.drip(begin.then_some(drip)))
                    .await;
            }
        }
    }

    /// Disturbs some proxies for a while.
    async fn each(&mut self, while_: Duration, act: impl Fn(&Proxy, bool)) {
        let some = self.some_proxies();
        some.iter().for_each(|proxy| act(proxy, true));
        tokio::time::sleep(while_).await;
        some.iter().for_each(|proxy| act(proxy, false));
    }
}

fn impatient(remotes: impl ovsdb::IntoRemotes) -> ClientBuilder<Database> {
    Client::builder()
        .remotes(remotes)
        .backoff(Duration::from_millis(5), Duration::from_millis(200))
        .probe_interval(Some(Duration::from_millis(150)))
        .connect_timeout(Duration::from_secs(2))
        .request_timeout(None)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_commit_is_stored_once_and_the_replica_equals_the_database() {
    let seed = Seed::new();
    let folder = tempfile::tempdir().expect("a folder");
    let authority = Authority::new("the authority");
    let issue = |name: &str| authority.issue(&[name], Validity::Now);
    let client = issue("client");
    let tls = TlsConfig::builder()
        .ca_pem(authority.pem())
        .client_pem(client.certificate, client.key)
        .build()
        .expect("TLS");
    let server = Server::builder()
        .schema(INVENTORY)
        .ssl(server_files(folder.path(), &issue("127.0.0.1"), &authority))
        .start()
        .expect("a server");

    // The second writing client uses TLS, which the proxies cannot read.
    let ssl = server.ssl_remote().expect("a port");
    let mut proxies = Vec::new();
    for target in [
        server.remote(),
        ssl.replace("ssl:", "tcp:"),
        server.remote(),
    ] {
        let proxy = Proxy::start(&target, seed.draw()).await;
        proxies.push(proxy.expect("a proxy"));
    }
    let first = impatient(proxies[0].remote()).connect();
    let second = impatient(proxies[1].remote().replace("tcp:", "ssl:")).tls(tls);
    let mut writers = Vec::new();
    for (client, settle) in [
        (first.await, Settle::ByLibrary),
        (second.connect().await, Settle::ByHand),
    ] {
        let client = client.expect("a client");
        // Each has several transactions in flight.
        for _ in 0..3 {
            let number = writers.len() as i64;
            let writer = Writer::new(client.clone(), number, settle, seed.random());
            writers.push(writer.await);
        }
    }

    let observer = impatient(proxies[2].remote()).connect().await;
    let observer = observer.expect("a client");
    let cache = observer.cache().all_tables().start().await;
    let cache = cache.expect("a cache");
    let fold = Fold::of(&cache);

    let transactions = size(2_000, 50_000);
    let faults = size(14, 200);
    let mut world = World {
        server: Arc::new(Mutex::new(server)),
        proxies,
        random: seed.random(),
    };
    let load = Load::start(writers);
    let mut order: Vec<_> = FAULTS.into_iter().cycle().take(faults).collect();
    world.random.shuffle(&mut order);
    for (at, fault) in order.into_iter().enumerate() {
        load.until(transactions * at / faults).await;
        world.strike(fault).await;
    }
    load.until(transactions).await;
    let writers = load.finish().await;

    let server = Arc::into_inner(world.server).expect("no other handle exists");
    let server = server.into_inner().expect("the server");
    same_as_dump(&cache, &server).await;
    let view = cache.snapshot();
    for writer in &writers {
        writer.check(&view);
    }
    // The stream ends with the client; what it delivered adds up to the replica.
    observer.close().await;
    let fold = fold.await.expect("every change fits");
    assert!(fold.is(&view));
    assert!(fold.deleted > 0 && fold.modified > 0);
    let unknown: usize = writers.iter().map(|writer| writer.tally.unknown).sum();
    assert!(
        faults < 100 || (unknown > 0 && fold.resyncs > 0),
        "no outcome was unknown or no resync happened: the faults were too few"
    );
}
