//! A run: makes the events of a scenario happen one after the other. After each event it checks the claims that
//! hold at every moment; at rest and at the end, those about the outcome.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::Duration;

use ovsdb::protocol::{Json, OvsdbError, Wire as _};
use ovsdb::server::TransactionFault;
use tokio::runtime::{Builder, RngSeed};
use tokio::task::{LocalSet, spawn_local, yield_now};
use tokio::time::{Instant, sleep, timeout};

use crate::client::{Agent, LOCK, PROBE, REQUEST};
use crate::controller::{Wanted, converge, converge_at_rest};
use crate::network::{Network, Pace};
use crate::oracle::Oracle;
use crate::scenario::{Event, Scenario, Step, Work};
use crate::servers::{Kind, RELAY, RELAY_CLIENT, SOURCE, Servers};
use crate::tables::{Counter, FIRST, SECOND, Transaction};
use crate::trace::{self, note};
use crate::verdict::{self, Violation, claim, violated};
use crate::work::{End, Entries, Entry, close, settle, work};

/// How long everything may take to come to rest once all faults have ended.
const REST: Duration = Duration::from_secs(60);
/// After this time no client is connected to a relay that has lost its source, in milliseconds. The relay
/// notices after two of its probe intervals (10 s), and reports the loss 30 s later. Its clients get two of
/// their own probe intervals more.
const STRANDED: u64 = 41_000 + 2 * PROBE.as_millis() as u64;
/// The time, in milliseconds, within which every client leaves a cluster member that has lost the others.
const ALONE: u64 = 10_000;
/// How long work with a single request may take, in milliseconds.
const REQUEST_BOUND: u64 = REQUEST.as_millis() as u64 + 2000;
/// How long work that is retried may take, in milliseconds.
const RETRIED_BOUND: u64 = 120_000;

/// The result of a run.
#[derive(Debug, Clone)]
pub(crate) struct Report {
    /// The claim that does not hold, if any.
    pub(crate) violation: Option<Violation>,
    /// A hash over the trace.
    pub(crate) hash: u64,
    /// The trace, if it was wanted.
    pub(crate) lines: Vec<String>,
    pub(crate) counts: Counts,
}

/// How much a run has done.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Counts {
    pub(crate) steps: u64,
    pub(crate) works: u64,
    pub(crate) unknown: u64,
    pub(crate) states: u64,
    pub(crate) virtual_ms: u64,
}

/// Something that must end, within `bound` milliseconds if there is a bound.
struct Waiting {
    what: String,
    since: u64,
    bound: Option<u64>,
}

struct World {
    network: Network,
    pace: Pace,
    servers: Servers,
    agents: Vec<Rc<Agent>>,
    oracle: Rc<RefCell<Oracle>>,
    entries: Entries,
    numbers: Cell<u32>,
    waiting: RefCell<BTreeMap<u64, Waiting>>,
    waits: Cell<u64>,
    second: Cell<bool>,
    /// Whether all clients are to end.
    has_ended: Cell<bool>,
    /// The items that were wanted last.
    wanted: Cell<Option<Wanted>>,
}

/// Runs a scenario.
pub(crate) fn run(scenario: &Scenario, keep_trace: bool) -> Report {
    fastrand::seed(scenario.seed);
    verdict::reset();
    let runtime = Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .rng_seed(RngSeed::from_bytes(&scenario.seed.to_le_bytes()))
        .build();
    let mut counts = Counts::default();
    match runtime {
        Ok(runtime) => {
            let local = LocalSet::new();
            let run = local.run_until(async {
                trace::begin(keep_trace);
                // In virtual time, so this finds a run that waits without end. `command::watch` finds one that
                // loops without end.
                let live = live(scenario, &mut counts);
                if timeout(Duration::from_secs(100_000), live).await.is_err() {
                    violated("a run ends", String::new());
                }
                counts.virtual_ms = trace::elapsed();
            });
            // The hook reports the panic.
            drop(catch_unwind(AssertUnwindSafe(|| runtime.block_on(run))));
        }
        Err(error) => violated("the runtime starts", error.to_string()),
    }
    let (hash, lines) = trace::end();
    Report {
        violation: verdict::first(),
        hash,
        lines,
        counts,
    }
}

async fn live(scenario: &Scenario, counts: &mut Counts) {
    let (delay, piece) = scenario.pace;
    let pace = Pace { delay, piece };
    let network = Network::new(pace, scenario.has_tls);
    let oracle = Rc::new(RefCell::new(Oracle::default()));
    let kind = (scenario.kind, scenario.has_file);
    let servers = match Servers::start(kind, network.clone(), &oracle).await {
        Ok(servers) => servers,
        Err(error) => return violated("servers start", error),
    };
    let mut counters = Transaction::detached();
    for name in ["c0", "c1"] {
        counters.insert(Counter {
            name: name.into(),
            value: 0,
        });
    }
    let leader = servers.leader().unwrap_or(0);
    if let Some(Err(error)) = servers.with(leader, |server| counters.commit_on(server)) {
        return violated("servers start", error.to_string());
    }
    sleep(Duration::from_millis(500)).await;
    oracle.borrow_mut().take();
    let agents = scenario.clients.iter().enumerate();
    let agents = agents.map(|(number, setting)| Rc::new(Agent::new(number, *setting)));
    let world = Rc::new(World {
        network,
        pace,
        servers,
        agents: agents.collect(),
        oracle,
        entries: Entries::default(),
        numbers: Cell::new(0),
        waiting: RefCell::default(),
        waits: Cell::new(0),
        second: Cell::new(false),
        has_ended: Cell::new(false),
        wanted: Cell::new(None),
    });
    for agent in &world.agents {
        world.begin(agent);
    }
    sleep(Duration::from_millis(500)).await;
    for Step { event, wait } in &scenario.steps {
        counts.steps += 1;
        note!("- {event}");
        world.handle(*event).await;
        match wait {
            0 => yield_now().await,
            wait => sleep(Duration::from_millis(*wait)).await,
        }
        world.check();
        if verdict::is_violated() {
            break;
        }
    }
    if !verdict::is_violated() {
        world.rest_as_wanted().await;
    }
    if !verdict::is_violated() {
        world.end().await;
    }
    let entries = world.entries.borrow();
    counts.works = entries.len() as u64;
    let unknown = entries
        .values()
        .filter(|entry| entry.end == Some(End::Unknown));
    counts.unknown = unknown.count() as u64;
    counts.states = world.oracle.borrow().states();
}

impl World {
    /// Runs something that must end.
    fn spawn(
        self: &Rc<Self>,
        what: String,
        bound: Option<u64>,
        future: impl Future<Output = ()> + 'static,
    ) {
        let number = self.waits.get();
        self.waits.set(number + 1);
        let waiting = Waiting {
            what,
            since: trace::elapsed(),
            bound,
        };
        self.waiting.borrow_mut().insert(number, waiting);
        let world = self.clone();
        let task = spawn_local(async move {
            future.await;
            world.waiting.borrow_mut().remove(&number);
        });
        spawn_local(async move {
            if let Err(error) = task.await {
                violated("nothing panics", error.to_string());
            }
        });
    }

    fn begin(self: &Rc<Self>, agent: &Rc<Agent>) {
        let (world, agent) = (self.clone(), agent.clone());
        self.spawn(
            format!("client {} begins", agent.number),
            None,
            async move {
                agent
                    .connect((&world.servers, &world.network), &world.oracle)
                    .await;
                world.watch(&agent);
            },
        );
    }

    /// Notes what the server had at the beginning of each connection of a client after the first.
    fn watch(self: &Rc<Self>, agent: &Rc<Agent>) {
        let Some(connected) = agent.connected() else {
            return;
        };
        let mut state = connected.client.state();
        let (world, agent) = (Rc::downgrade(self), Rc::downgrade(agent));
        let connected = Rc::downgrade(&connected);
        spawn_local(async move {
            while let Ok(state) = state.changed().await {
                let Some(((world, agent), connected)) = world
                    .upgrade()
                    .zip(agent.upgrade())
                    .zip(connected.upgrade())
                else {
                    return;
                };
                let place = (&world.servers, &world.network);
                agent.note_state(&connected, &state, place, &world.oracle);
            }
        });
    }

    fn work(self: &Rc<Self>, client: usize, what: Work, gives_up_after: Option<u64>) {
        let agent = self.agents[client].clone();
        let Some(connected) = agent.connected() else {
            return;
        };
        let number = self.numbers.get();
        self.numbers.set(number + 1);
        let entry = Entry {
            client,
            work: what,
            end: None,
        };
        self.entries.borrow_mut().insert(number, entry);
        let bound = match what {
            Work::Insert(..)
            | Work::Add(_)
            | Work::Delete(_)
            | Work::Locked(_)
            | Work::Long(_)
            | Work::Waiting(_)
            | Work::Echo => REQUEST_BOUND,
            _ => RETRIED_BOUND,
        };
        let world = self.clone();
        let what_it_is = format!("work {number} of client {client}: {what}");
        self.spawn(what_it_is, Some(bound), async move {
            // The client may have been replaced meanwhile.
            let replicas = || match agent.connected() {
                Some(now) if Rc::ptr_eq(&now, &connected) => agent.replicas(),
                _ => vec![connected.main.clone()],
            };
            let worked = work(number, what, &connected, replicas, &world.oracle);
            let end = match gives_up_after {
                Some(gives_up_after) => {
                    let gives_up_after = Duration::from_millis(gives_up_after);
                    timeout(gives_up_after, worked)
                        .await
                        .unwrap_or(End::Unknown)
                }
                None => worked.await,
            };
            if let Some(entry) = world.entries.borrow_mut().get_mut(&number) {
                entry.end = Some(end);
            }
        });
    }

    async fn handle(self: &Rc<Self>, event: Event) {
        let agent = |client: usize| self.agents[client].clone();
        match event {
            Event::Work(client, what, gives_up_after) => self.work(client, what, gives_up_after),
            Event::Burst(client, count) => {
                for count in 0..count {
                    self.work(client, Work::Insert(count % 3, i64::from(count) * 7), None);
                }
            }
            Event::Want(client, wanted) => self.want(client, wanted),
            Event::Select(client, cache, which) => {
                if let Some(replica) = agent(client).replica(cache) {
                    let what = format!("{} is to have {which:?}", replica.name);
                    self.spawn(what, Some(REQUEST_BOUND), async move {
                        replica.select(which).await;
                    });
                }
            }
            Event::Start(client, which) => {
                let (world, agent) = (self.clone(), agent(client));
                let what = format!("client {client} starts a cache");
                self.spawn(what, Some(REQUEST_BOUND), async move {
                    agent.start(which, &world.servers, &world.oracle).await;
                });
            }
            Event::Drop(client, cache) => agent(client).drop_cache(cache),
            Event::Pause(client, cache, time) => {
                if let Some(replica) = agent(client).replica(cache) {
                    replica.pause(Instant::now() + Duration::from_millis(time));
                }
            }
            Event::Lock(client) => self.lock(client, false),
            Event::Steal(client) => self.lock(client, true),
            Event::Unlock(client) => drop(agent(client).lock.take()),
            Event::Reconnect(client) => {
                if let Some(connected) = agent(client).connected() {
                    connected.client.reconnect();
                }
            }
            Event::SetRemotes(client, some) => agent(client).set_remotes(some),
            Event::Close(client) => self.close(client),
            Event::RestartRelay(down) => self.restart_relay(down),
            Event::Replace(client) => {
                let agent = agent(client);
                if agent.connected().is_some() {
                    agent.end();
                    self.begin(&agent);
                }
            }
            Event::ConvertBy(client, second) => self.convert(client, second),
            Event::Rest => self.rest_as_wanted().await,
            Event::CutAllAtRest => self.cut_all_at_rest().await,
            network_or_server => self.disturb(network_or_server).await,
        }
    }

    /// Handles an event of the network or of the servers.
    async fn disturb(&self, event: Event) {
        let network = &self.network;
        match event {
            Event::Cut(client) => network.cut_client(client),
            Event::CutAfter(client, bytes) => network.cut_after(client, bytes),
            Event::EndNext(client, bytes, freezes) => network.end_next(client, bytes, freezes),
            Event::IsolateRelay => network.isolate_relay(),
            Event::BreakTls(server, bad) => network.break_tls(server, bad),
            Event::CutServer(server) => network.cut_server(server),
            Event::Freeze(client) => network.freeze(client),
            Event::Thaw(client) => network.thaw(client),
            Event::Separate(client, server) => network.separate(client, server),
            Event::Refuse(server) => network.refuse(server),
            Event::Pace(delay, piece) => network.set_pace(Pace { delay, piece }),
            Event::Heal => self.heal().await,
            of_servers => self.disturb_servers(of_servers).await,
        }
    }

    /// Handles an event of the servers.
    async fn disturb_servers(&self, event: Event) {
        let servers = &self.servers;
        self.network.disturb_attempts();
        match event {
            Event::Restart(down) => {
                let down = Duration::from_millis(down);
                servers.restart(&self.oracle, down).await;
            }
            Event::Fill => servers.fill(true),
            Event::Remove => servers.remove_database().await,
            Event::Convert(second) => {
                self.second.set(second);
                servers.convert(second);
            }
            Event::Forget(server) => servers.forget(server),
            Event::Hang(server) => servers.hang(server),
            Event::Delay(server, delay) => servers.delay(server, Duration::from_millis(delay)),
            Event::DisconnectBefore(server) => {
                servers.next_transaction(server, TransactionFault::DisconnectBefore);
            }
            Event::DisconnectAfter(server) => {
                servers.next_transaction(server, TransactionFault::DisconnectAfter);
            }
            Event::RefuseNext(server) => {
                let refused = TransactionFault::Refuse(OvsdbError::new("I/O error"));
                servers.next_transaction(server, refused);
            }
            Event::Member(member, fault) => servers.member(member, fault),
            _ => {}
        }
    }

    /// Has a client bring the items to a wanted state.
    fn want(self: &Rc<Self>, client: usize, wanted: Wanted) {
        let Some(connected) = self.agents[client].connected() else {
            return;
        };
        self.wanted.set(Some(wanted));
        let what = format!("client {client} wants {wanted:?}");
        self.spawn(what, Some(RETRIED_BOUND), async move {
            converge(&connected.client, &connected.main.cache, wanted).await;
        });
    }

    /// Restarts the relay. It is not up again before its source can be reached.
    fn restart_relay(self: &Rc<Self>, down: u64) {
        self.network.disturb_attempts();
        let world = self.clone();
        self.spawn("the relay restarts".to_owned(), None, async move {
            let down = Duration::from_millis(down);
            world.servers.restart_relay(&world.oracle, down).await;
        });
    }

    /// Closes a client while it inserts an item.
    fn close(self: &Rc<Self>, client: usize) {
        let agent = self.agents[client].clone();
        let Some(connected) = agent.connected() else {
            return;
        };
        agent.end();
        let number = self.numbers.get();
        self.numbers.set(number + 1);
        let entry = Entry {
            client,
            work: Work::Insert(0, 1),
            end: None,
        };
        self.entries.borrow_mut().insert(number, entry);
        let world = self.clone();
        let what = format!("client {client} is closed while it does work {number}");
        self.spawn(what, Some(REQUEST_BOUND), async move {
            let end = close(number, &connected, &agent).await;
            if let Some(entry) = world.entries.borrow_mut().get_mut(&number) {
                entry.end = Some(end);
            }
            drop(connected);
            if !world.has_ended.get() {
                world.begin(&agent);
            }
        });
    }

    fn lock(self: &Rc<Self>, client: usize, steal: bool) {
        let agent = self.agents[client].clone();
        let Some(connected) = agent.connected() else {
            return;
        };
        let what = format!("client {client} asks for the lock");
        self.spawn(what, Some(REQUEST_BOUND), async move {
            let lock = if steal {
                connected.client.steal(LOCK).await
            } else {
                connected.client.lock(LOCK).await
            };
            let is_same = agent
                .connected()
                .is_some_and(|now| Rc::ptr_eq(&now, &connected));
            match lock {
                Ok(lock) if is_same => {
                    agent.stole.set(agent.stole.get() || steal);
                    let before = agent.lock.replace(Some(lock));
                    drop(before);
                }
                Ok(_) => {}
                Err(error) => note!("client {client} gets no lock: {error}"),
            }
        });
    }

    fn convert(self: &Rc<Self>, client: usize, second: bool) {
        // The embedded server refuses to convert a relayed database.
        if self.servers.kind == Kind::Relay {
            return;
        }
        let Some(connected) = self.agents[client].connected() else {
            return;
        };
        let what = format!("client {client} converts the database");
        self.spawn(what, Some(REQUEST_BOUND), async move {
            let schema = if second { SECOND } else { FIRST };
            if let Ok(schema) = Json::from_json(schema) {
                let converted = connected.client.convert(schema).await;
                note!(
                    "client {client} has converted the database: {}",
                    converted.is_ok()
                );
            }
        });
    }

    /// Ends all faults.
    async fn heal(&self) {
        self.network.disturb_attempts();
        self.servers.end_faults();
        self.network.heal(self.pace);
        self.agents.iter().for_each(|agent| agent.reset_remotes());
        if self.servers.is_removed() {
            self.servers
                .restart(&self.oracle, Duration::from_millis(10))
                .await;
        }
    }

    /// Checks what has to hold at every moment.
    fn check(&self) {
        self.oracle.borrow_mut().take();
        let now = trace::elapsed();
        for agent in &self.agents {
            agent.check(&self.oracle);
            agent.check_attempts(&self.network);
            let links = self.network.links_of(agent.number);
            let is_frozen = links.iter().any(|(_, since)| since.is_some());
            // A server that owes the first rows of a cache may be silent for nine intervals. The client does
            // not notice at once that the caller who started the cache has given up.
            let owed = agent.awaits_rows() || (is_frozen && agent.was_owed_rows.get());
            agent.was_owed_rows.set(owed);
            let intervals = if owed { 9 } else { 2 };
            let bound = intervals * PROBE.as_millis() as u64 + 1000;
            let is_dead = |since: Option<u64>| since.is_some_and(|since| now > since + bound);
            let all_dead = !links.is_empty() && links.iter().all(|(_, since)| is_dead(*since));
            // The client may not know yet about a connection that ended at this very moment.
            let stays = persists(&agent.dead_since, agent.is_connected() && all_dead, now);
            claim("a silent connection is given up", !stays, || {
                format!("client {}: {links:?} at {now} ms", agent.number)
            });
        }
        for Waiting { what, since, bound } in self.waiting.borrow().values() {
            let waits = now - since;
            claim(
                "nothing waits for ever",
                bound.is_none_or(|bound| waits <= bound),
                || format!("{what}: for {waits} ms"),
            );
        }
        // While the network is slow, reports may take longer.
        let quick = self.network.quick_since();
        let is_over = |since: Option<u64>, time: u64| {
            let begun = since.zip(quick);
            begun.is_some_and(|(since, quick)| now > since.max(quick) + time)
        };
        if is_over(self.network.stranded_since(), STRANDED) {
            let connected = self.agents.iter().find(|agent| agent.is_connected());
            claim(
                "a relay reports that it has lost its source",
                connected.is_none(),
                || format!("client {:?}", connected.map(|agent| agent.number)),
            );
        }
        for agent in &self.agents {
            let links = self.network.links_of(agent.number);
            // On a frozen connection, the report may take longer, too.
            let alone = |(member, frozen): &(usize, Option<u64>)| {
                frozen.is_none() && is_over(self.servers.isolated_since(*member), ALONE)
            };
            let all_alone = !links.is_empty() && links.iter().all(alone);
            // The client may not know yet about a connection that ended at this very moment. The only connection
            // left may then be an attempt that the client has given up, at a member that hangs.
            let stays = persists(&agent.alone_since, agent.is_connected() && all_alone, now);
            claim(
                "a cluster member reports that it has lost the others",
                !stays,
                || format!("client {}: {links:?}", agent.number),
            );
        }
        for place in 0..3 {
            let unsent = self
                .servers
                .with(place, |server| server.simulated_sessions(LOCK).2);
            claim(
                "a server's queues are bounded",
                unsent.unwrap_or(0) < 1 << 20,
                || format!("server {place}: {unsent:?} bytes"),
            );
        }
    }

    /// Ends all faults, and waits until everything is at rest.
    async fn rest(&self) {
        self.heal().await;
        let begun = Instant::now();
        // Servers that hung now handle the requests that arrived meanwhile.
        sleep(Duration::from_millis(500)).await;
        while let Some(missing) = self.unfinished() {
            self.check();
            if verdict::is_violated() {
                return;
            }
            if begun.elapsed() > REST {
                return violated(
                    "everything comes to rest once all faults have ended",
                    missing,
                );
            }
            sleep(Duration::from_millis(100)).await;
        }
        note!("at rest");
        self.check();
        settle(&self.entries, &self.oracle);
        for agent in &self.agents {
            if let Some(connected) = agent.connected() {
                connected.check_at_rest();
            }
        }
    }

    /// Ends all faults, and has one client bring the items to the state that was wanted last.
    async fn rest_as_wanted(&self) {
        self.rest().await;
        let connected = self.agents.iter().find_map(|agent| agent.connected());
        if let (Some(wanted), Some(connected)) = (self.wanted.get(), connected)
            && !verdict::is_violated()
        {
            let (client, main) = (&connected.client, &connected.main);
            let is_relayed = self.servers.kind == Kind::Relay;
            converge_at_rest(client, main, wanted, (&self.oracle, is_relayed)).await;
            if !verdict::is_violated() {
                self.rest().await;
            }
        }
    }

    /// What still keeps the run from rest; `None` when everything is at rest.
    fn unfinished(&self) -> Option<String> {
        if let Some(waiting) = self.waiting.borrow().values().next() {
            return Some(waiting.what.clone());
        }
        if self.servers.kind == Kind::Relay && !self.is_relayed() {
            return Some("the relay does not have what its source has".to_owned());
        }
        let mut holders = Vec::new();
        let mut wanted = false;
        for agent in &self.agents {
            if !agent.is_connected() {
                return Some(format!("client {} is not connected", agent.number));
            }
            let connected = agent.connected();
            let unfinished = connected.and_then(|connected| connected.unfinished(agent.number));
            if unfinished.is_some() {
                return unfinished;
            }
            let unfinished = agent
                .replicas()
                .iter()
                .find_map(|replica| replica.unfinished(&self.oracle));
            if unfinished.is_some() {
                return unfinished;
            }
            let links = self.network.links_of(agent.number);
            let leader = self.servers.leader();
            if agent.setting.leader_only && !links.iter().any(|(server, _)| Some(*server) == leader)
            {
                return Some(format!("client {} is not at the leader", agent.number));
            }
            let is_expelled = |(server, _): &(usize, _)| Some(*server) == self.servers.expelled();
            if links.iter().any(is_expelled) {
                return Some(format!("client {} is at an expelled member", agent.number));
            }
            if agent.holds_lock() {
                holders.push(agent.number);
            }
            wanted |= agent.lock.borrow().is_some();
        }
        // A client that stole the lock does not wait for it after another client has stolen it in turn, as with
        // ovsdb-server.
        let thieves = self.agents.iter().filter(|agent| agent.stole.get()).count();
        let is_lost = thieves > 0 && holders.is_empty();
        let is_right = holders.len() == usize::from(wanted) || is_lost;
        if self.servers.kind != Kind::Cluster && !is_right {
            return Some(format!("the lock is held by clients {holders:?}"));
        }
        None
    }

    /// Whether the relay is connected to its source and has the same rows.
    fn is_relayed(&self) -> bool {
        let mut oracle = self.oracle.borrow_mut();
        oracle.take();
        let (source, relay) = (
            oracle.lineages[SOURCE].last(),
            oracle.lineages[RELAY].last(),
        );
        let is_same = source.items == relay.items
            && source.parts == relay.parts
            && source.counters == relay.counters;
        // On a new connection, the relay first passes on the transactions that it kept while it was disconnected.
        let begun = self.network.last_link_of(RELAY_CLIENT);
        let settled = 500 + self.slowness().as_millis() as u64;
        is_same && begun.is_some_and(|begun| trace::elapsed() >= begun + settled)
    }

    /// How long it takes at most to connect and to fetch every row.
    fn slowness(&self) -> Duration {
        let pieces = 30_000 / self.pace.piece as u64 + 30;
        Duration::from_millis(self.pace.delay * pieces)
    }

    /// Cuts all connections after everything has been at rest for a while, and checks that clients, except those
    /// of a relay, are back at once.
    async fn cut_all_at_rest(&self) {
        self.rest().await;
        if verdict::is_violated() {
            return;
        }
        sleep(Duration::from_secs(10)).await;
        self.network.cut_all();
        note!("all connections are cut");
        sleep(Duration::from_secs(1) + self.slowness()).await;
        for agent in &self.agents {
            for replica in agent.replicas() {
                claim(
                    "clients are back at once after a short outage",
                    replica.cache.is_current() || self.servers.kind == Kind::Relay,
                    || replica.name.clone(),
                );
            }
        }
    }

    /// Drops all clients, and checks that their connections end.
    async fn end(&self) {
        self.has_ended.set(true);
        for agent in &self.agents {
            agent.end();
        }
        sleep(Duration::from_secs(10)).await;
        let left: Vec<_> = self.agents.iter().map(|agent| agent.number).collect();
        let left = left
            .into_iter()
            .flat_map(|client| self.network.links_of(client))
            .count();
        let relayed = self.network.links_of(RELAY_CLIENT).len();
        claim("sessions end with their handles", left == 0, || {
            format!("{left} connections are left, and {relayed} of the relay")
        });
    }
}

/// Whether something holds now that held at an earlier moment too. `since` remembers when it began to hold.
fn persists(since: &Cell<Option<u64>>, holds: bool, now: u64) -> bool {
    let begun = since.get().filter(|_| holds).or(holds.then_some(now));
    since.set(begun);
    begun.is_some_and(|begun| begun != now)
}
