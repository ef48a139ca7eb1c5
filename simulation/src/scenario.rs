//! A scenario: the setting and the events of a run, all drawn from its seed.

use std::fmt;

use crate::controller::{WANTED, Wanted};
use crate::oracle::{ItemFilter, kind};
use crate::servers::{Kind, Member};
use crate::tls::Bad;

/// What a client does with the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Work {
    /// Inserts an item of a kind, with a value.
    Insert(u8, i64),
    /// The same by `commit_once`, which repeats it as long as the outcome is unknown.
    InsertOnce(u8, i64),
    /// Reads a counter and writes one more.
    Increment(u8),
    /// Adds one to a counter by a mutation.
    Add(u8),
    /// The same, by `edit`.
    AddApplied(u8),
    /// Creates the item of this number, or sets its value.
    Ensure(u8, i64),
    /// Deletes an item; number 4 stands for all blue items.
    Delete(u8),
    /// Adds a tag to an item, or removes it.
    Tag(u8, u8),
    /// Sets a label of an item.
    Label(u8, u8),
    /// Gives an item a part.
    Attach(u8),
    /// Makes an item refer to another one.
    Refer(u8, u8),
    /// Inserts an item if the client holds the lock.
    Locked(u8),
    /// Inserts a long item.
    Long(u8),
    /// Inserts an item after a `wait` until a counter has reached this value.
    Waiting(u8),
    /// Changes an item that another client may want to be different, in one of several ways.
    ChangeWanted(u8, u8),
    /// Sends an `echo` request.
    Echo,
}

/// An event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event {
    /// A client does something, and may give it up after this many milliseconds.
    Work(usize, Work, Option<u64>),
    /// A client does several things at once.
    Burst(usize, u8),
    /// A client brings items to a wanted state.
    Want(usize, Wanted),
    /// The condition on the items of a cache changes.
    Select(usize, usize, ItemFilter),
    /// A client starts another cache.
    Start(usize, ItemFilter),
    /// A client drops a cache.
    Drop(usize, usize),
    /// A stream is not read for this many milliseconds.
    Pause(usize, usize, u64),
    Lock(usize),
    Steal(usize),
    Unlock(usize),
    Reconnect(usize),
    /// A client's remotes are replaced. Each bit selects one: a server, or the place where nothing listens.
    SetRemotes(usize, u8),
    /// A client is closed while it inserts an item, and a new one takes its place.
    Close(usize),
    /// A client is dropped, and a new one takes its place.
    Replace(usize),
    Cut(usize),
    CutAfter(usize, usize),
    /// The next connection of a client is cut after this many bytes, or frozen.
    EndNext(usize, usize, bool),
    /// Something is wrong with the TLS of a server.
    BreakTls(usize, Bad),
    CutServer(usize),
    Freeze(usize),
    Thaw(usize),
    Separate(usize, usize),
    Refuse(usize),
    Pace(u64, usize),
    /// All faults end.
    Heal,
    /// All faults end, and everything has to come to rest.
    Rest,
    /// After everything has been at rest for a while, all connections are cut.
    CutAllAtRest,
    Restart(u64),
    /// The disk of the single server is full.
    Fill,
    /// The relay restarts.
    RestartRelay(u64),
    /// The relay loses its source.
    IsolateRelay,
    Remove,
    Convert(bool),
    /// The same, by a client.
    ConvertBy(usize, bool),
    Forget(usize),
    Hang(usize),
    Delay(usize, u64),
    DisconnectBefore(usize),
    DisconnectAfter(usize),
    RefuseNext(usize),
    Member(usize, Member),
}

/// An event and how long the run waits after it, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) event: Event,
    pub(crate) wait: u64,
}

/// How a client is configured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ClientSetting {
    pub(crate) leader_only: bool,
    /// Whether it may use members of a cluster that do not lead.
    pub(crate) uses_followers: bool,
    /// The newest monitor method that it uses: 0 for `monitor_cond_since`, 1 for `monitor_cond`, 2 for `monitor`.
    pub(crate) older_monitor: u8,
    /// Whether the server chooses the uuids of the rows that the client inserts.
    pub(crate) named_rows: bool,
    /// Whether a reconciler marks the items.
    pub(crate) reconciles: bool,
    /// Whether workers process a work queue of the items.
    pub(crate) has_queue: bool,
}

/// A scenario.
#[derive(Debug, Clone)]
pub(crate) struct Scenario {
    pub(crate) seed: u64,
    pub(crate) kind: Kind,
    /// Whether clients connect with TLS.
    pub(crate) has_tls: bool,
    /// Whether the single server keeps its database in a file.
    pub(crate) has_file: bool,
    pub(crate) clients: Vec<ClientSetting>,
    /// The pace of a healthy network: the longest delay, in milliseconds, and the longest piece.
    pub(crate) pace: (u64, usize),
    pub(crate) steps: Vec<Step>,
}

impl Scenario {
    /// The scenario of a seed.
    pub(crate) fn of(seed: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(seed ^ 0x5eed_0f5c_e9a2_1001);
        let kind = match random.u8(0..10) {
            0..4 => Kind::One,
            4..8 => Kind::Cluster,
            _ => Kind::Relay,
        };
        let has_tls = random.u8(0..10) == 0;
        let has_file = kind != Kind::Cluster && random.bool();
        let clients = random.usize(1..=3);
        let leader_only: Vec<_> = (0..clients).map(|_| random.u8(0..3) > 0).collect();
        let clients = leader_only.into_iter().map(|leader_only| ClientSetting {
            leader_only: kind == Kind::Cluster && leader_only,
            uses_followers: kind == Kind::Cluster && !leader_only,
            older_monitor: [0, 0, 0, 0, 1, 2][random.usize(0..6)],
            named_rows: random.u8(0..6) == 0,
            reconciles: random.u8(0..12) == 0,
            has_queue: random.u8(0..4) == 0,
        });
        let clients: Vec<_> = clients.collect();
        let pace = (
            [0, 0, 1, 5, 30][random.usize(0..5)],
            [64, 700, 4096][random.usize(0..3)],
        );
        let steps = random.usize(8..50);
        let mut draw = Draw {
            random,
            kind,
            has_tls,
            has_file,
            clients: clients.len(),
        };
        let steps = (0..steps).map(|_| draw.step()).collect();
        Self {
            seed,
            kind,
            has_tls,
            has_file,
            clients,
            pace,
            steps,
        }
    }

    /// The same scenario with only these of its steps.
    pub(crate) fn keeping(&self, kept: &[usize]) -> Self {
        let steps = kept.iter().filter_map(|at| self.steps.get(*at).copied());
        Self {
            steps: steps.collect(),
            ..self.clone()
        }
    }
}

struct Draw {
    random: fastrand::Rng,
    kind: Kind,
    has_tls: bool,
    has_file: bool,
    clients: usize,
}

impl Draw {
    fn client(&mut self) -> usize {
        self.random.usize(0..self.clients)
    }

    fn server(&mut self) -> usize {
        match self.kind {
            Kind::One => 0,
            Kind::Cluster => self.random.usize(0..3),
            Kind::Relay => self.random.usize(0..2),
        }
    }

    fn item_filter(&mut self) -> ItemFilter {
        match self.random.u8(0..8) {
            0 | 1 => ItemFilter::All,
            2..5 => ItemFilter::Kind(self.random.u8(0..3)),
            5 | 6 => ItemFilter::Below(self.random.i64(0..100)),
            _ => ItemFilter::None,
        }
    }

    fn work(&mut self) -> Work {
        let random = &mut self.random;
        let (key, kind, value) = (random.u8(0..5), random.u8(0..3), random.i64(0..100));
        match random.u8(0..32) {
            30.. => Work::ChangeWanted(random.u8(0..WANTED), random.u8(0..5)),
            0..3 => Work::Insert(kind, value),
            3..6 => Work::InsertOnce(kind, value),
            6..10 => Work::Increment(key % 2),
            10 => Work::Add(key % 2),
            11..13 => Work::AddApplied(key % 2),
            13..16 => Work::Ensure(key, value),
            16..18 => Work::Delete(key),
            18..20 => Work::Tag(key, random.u8(0..3)),
            20..22 => Work::Label(key, random.u8(0..3)),
            22..24 => Work::Attach(key),
            24 => Work::Refer(key, random.u8(0..5)),
            25 => Work::Locked(kind),
            26 | 27 => Work::Long(kind),
            28 => Work::Waiting(key),
            _ => Work::Echo,
        }
    }

    fn event(&mut self) -> Event {
        let (client, server) = (self.client(), self.server());
        let cache = self.random.usize(0..3);
        match self.random.u8(0..112) {
            0..40 => {
                let work = self.work();
                let gives_up_after = (self.random.u8(0..8) == 0).then(|| self.random.u64(0..200));
                Event::Work(client, work, gives_up_after)
            }
            40..44 => Event::Burst(client, self.random.u8(2..8)),
            44..48 => Event::Select(client, cache, self.item_filter()),
            48..51 => Event::Start(client, self.item_filter()),
            51 => Event::Drop(client, cache),
            52 => Event::Pause(client, cache, self.random.u64(1..4000)),
            53 | 54 => Event::Lock(client),
            55 => Event::Steal(client),
            56 => Event::Unlock(client),
            57 => Event::Reconnect(client),
            58 => Event::Replace(client),
            59..63 => Event::Cut(client),
            63..67 => Event::CutAfter(client, self.random.usize(1..1500)),
            67 => Event::CutServer(server),
            68..71 => Event::Freeze(client),
            71 => Event::Thaw(client),
            72 => Event::Separate(client, server),
            73 => Event::Refuse(server),
            74 => Event::Pace(
                [0, 1, 20, 150][self.random.usize(0..4)],
                [1, 64, 700, 4096][self.random.usize(0..4)],
            ),
            75..79 => Event::Heal,
            79 => Event::Rest,
            80 => Event::CutAllAtRest,
            81 => Event::Hang(server),
            82 => Event::Delay(server, self.random.u64(1..500)),
            83 => Event::DisconnectBefore(server),
            84..86 => Event::DisconnectAfter(server),
            86 => Event::RefuseNext(server),
            87 => Event::Forget(server),
            88 => Event::Convert(self.random.bool()),
            89 => Event::ConvertBy(client, self.random.bool()),
            100..103 if self.has_tls => {
                Event::BreakTls(server, Bad::ALL[self.random.usize(0..Bad::ALL.len())])
            }
            110.. => {
                let some = self.random.u8(0..1 << WANTED);
                let value = self.random.i64(0..100);
                Event::Want(client, Wanted { some, value })
            }
            104..106 => Event::SetRemotes(client, self.random.u8(1..16)),
            106 => Event::Close(client),
            107..109 if self.kind == Kind::Relay => Event::RestartRelay(self.random.u64(0..3000)),
            109 if self.kind == Kind::Relay => Event::IsolateRelay,
            107 if self.has_file => Event::Fill,
            108 if self.has_file => Event::Restart(self.random.u64(0..3000)),
            100.. => {
                let bytes = self.random.usize(1..4000);
                Event::EndNext(client, bytes, self.random.bool())
            }
            _ if self.kind == Kind::Cluster => {
                let member = match self.random.u8(0..36) {
                    35 => Member::Expel,
                    other => match other % 12 {
                        0..4 => Member::Transfer,
                        4 | 5 => Member::Stop,
                        6 | 7 => Member::Isolate,
                        8 => Member::HoldBack,
                        9 => Member::BackUp,
                        _ => Member::Restore,
                    },
                };
                Event::Member(server, member)
            }
            90..93 => Event::Restart(self.random.u64(0..3000)),
            93 => Event::Remove,
            _ => Event::Work(client, self.work(), None),
        }
    }

    fn step(&mut self) -> Step {
        let event = self.event();
        let wait = match self.random.u8(0..10) {
            0..3 => 0,
            3..7 if event != Event::IsolateRelay => self.random.u64(1..50),
            7..9 if event != Event::IsolateRelay => self.random.u64(50..1500),
            // Long enough for a relay to report that it has lost its source.
            _ if event == Event::IsolateRelay => self.random.u64(42_000..50_000),
            _ => self.random.u64(1500..9000),
        };
        Step { event, wait }
    }
}

impl fmt::Display for ItemFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all items"),
            Self::Kind(wanted) => write!(f, "the {} items", kind(*wanted)),
            Self::Below(limit) => write!(f, "the items with a value below {limit}"),
            Self::None => f.write_str("no items"),
        }
    }
}

impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Insert(of, value) => write!(f, "inserts a {} item of value {value}", kind(*of)),
            Self::InsertOnce(of, value) => {
                write!(
                    f,
                    "inserts a {} item of value {value}, by `commit_once`",
                    kind(*of)
                )
            }
            Self::Increment(counter) => write!(f, "reads counter {counter} and writes one more"),
            Self::Add(counter) => write!(f, "adds one to counter {counter} by a mutation"),
            Self::AddApplied(counter) => {
                write!(f, "adds one to counter {counter} by a mutation, in `edit`")
            }
            Self::Ensure(key, value) => write!(f, "ensures that item k{key} has the value {value}"),
            Self::Delete(4) => f.write_str("deletes all blue items"),
            Self::Delete(key) => write!(f, "deletes item k{key}"),
            Self::Tag(key, tag) => write!(f, "toggles tag {tag} of item k{key}"),
            Self::Label(key, label) => write!(f, "sets label {label} of item k{key}"),
            Self::Attach(key) => write!(f, "gives item k{key} a part"),
            Self::Refer(key, other) => write!(f, "makes item k{key} refer to item k{other}"),
            Self::Locked(of) => write!(f, "inserts a {} item, asserting the lock", kind(*of)),
            Self::Long(of) => write!(f, "inserts a long {} item", kind(*of)),
            Self::Waiting(limit) => {
                write!(f, "inserts an item once counter 0 is at least {limit}")
            }
            Self::ChangeWanted(of, how) => {
                let ways = [
                    "changes the value of",
                    "deletes",
                    "adds a tag to",
                    "removes the wanted tag of",
                    "removes the reference of",
                ];
                write!(f, "{} item d{of}", ways[usize::from(*how % 5)])
            }
            Self::Echo => f.write_str("sends an echo request"),
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Work(client, work, None) => write!(f, "client {client} {work}"),
            Self::Work(client, work, Some(gives_up_after)) => {
                write!(
                    f,
                    "client {client} {work}, and gives it up after {gives_up_after} ms"
                )
            }
            Self::Burst(client, count) => {
                write!(f, "client {client} inserts {count} items at once")
            }
            Self::Want(client, Wanted { some, value }) => {
                write!(
                    f,
                    "client {client} wants the items {some:06b} (bits) with values from {value} on"
                )
            }
            Self::Select(client, cache, which) => {
                write!(f, "client {client} selects {which} in cache {cache}")
            }
            Self::Start(client, which) => write!(f, "client {client} starts a cache of {which}"),
            Self::Drop(client, cache) => write!(f, "client {client} drops cache {cache}"),
            Self::Pause(client, cache, time) => {
                write!(
                    f,
                    "the stream of cache {cache} of client {client} is not read for {time} ms"
                )
            }
            Self::Lock(client) => write!(f, "client {client} asks for the lock"),
            Self::Steal(client) => write!(f, "client {client} steals the lock"),
            Self::Unlock(client) => write!(f, "client {client} releases the lock"),
            Self::Reconnect(client) => write!(f, "client {client} is told to reconnect"),
            Self::SetRemotes(client, some) => {
                write!(f, "client {client} gets the remotes {some:b} (bits)")
            }
            Self::Close(client) => {
                write!(
                    f,
                    "client {client} is closed while it inserts an item, and replaced"
                )
            }
            Self::Fill => f.write_str("the disk of server 0 is full"),
            Self::RestartRelay(down) => {
                write!(f, "the relay is killed, and starts again after {down} ms")
            }
            Self::IsolateRelay => f.write_str("the relay loses its source"),
            Self::Replace(client) => write!(f, "client {client} is dropped and replaced"),
            Self::Cut(client) => write!(f, "the connections of client {client} are cut"),
            Self::CutAfter(client, bytes) => {
                write!(
                    f,
                    "the connections of client {client} will be cut after {bytes} bytes"
                )
            }
            Self::EndNext(client, bytes, freezes) => {
                let ends = if *freezes { "go half-open" } else { "be cut" };
                write!(
                    f,
                    "the next connection of client {client} will {ends} after {bytes} bytes"
                )
            }
            Self::BreakTls(server, bad) => write!(f, "server {server} {bad}"),
            Self::CutServer(server) => write!(f, "the connections to server {server} are cut"),
            Self::Freeze(client) => write!(f, "the connections of client {client} go half-open"),
            Self::Thaw(client) => {
                write!(f, "the half-open connections of client {client} recover")
            }
            Self::Separate(client, server) => {
                write!(
                    f,
                    "nothing passes between client {client} and server {server}"
                )
            }
            Self::Refuse(server) => write!(f, "server {server} refuses connections"),
            Self::Pace(delay, piece) => {
                write!(
                    f,
                    "the network moves {piece} bytes at a time, up to {delay} ms late"
                )
            }
            Self::Heal => f.write_str("all faults end"),
            Self::Rest => f.write_str("all faults end, and everything comes to rest"),
            Self::CutAllAtRest => f.write_str(
                "all faults end; after ten seconds of rest all connections are cut at once",
            ),
            Self::Restart(down) => {
                write!(f, "server 0 is killed, and starts again after {down} ms")
            }
            Self::Remove => f.write_str("the database is removed from server 0"),
            Self::Convert(true) => f.write_str("the database is converted to its second schema"),
            Self::Convert(false) => f.write_str("the database is converted to its first schema"),
            Self::ConvertBy(client, second) => {
                let schema = if *second { "second" } else { "first" };
                write!(
                    f,
                    "client {client} converts the database to its {schema} schema"
                )
            }
            Self::Forget(server) => write!(f, "server {server} forgets its history"),
            Self::Hang(server) => write!(f, "server {server} hangs"),
            Self::Delay(server, delay) => {
                write!(f, "server {server} delays what it sends by {delay} ms")
            }
            Self::DisconnectBefore(server) => {
                write!(
                    f,
                    "server {server} will disconnect the next transaction's client before the commit"
                )
            }
            Self::DisconnectAfter(server) => {
                write!(
                    f,
                    "server {server} will disconnect the next transaction's client after the commit"
                )
            }
            Self::RefuseNext(server) => {
                write!(f, "server {server} will refuse the next transaction")
            }
            Self::Member(member, fault) => match fault {
                Member::Transfer => write!(f, "member {member} becomes the leader"),
                Member::Expel => write!(f, "member {member} is expelled"),
                Member::Stop => write!(f, "member {member} is killed"),
                Member::Isolate => write!(f, "member {member} loses the other members"),
                Member::HoldBack => write!(f, "member {member} lags"),
                Member::BackUp => write!(f, "the database of member {member} is copied"),
                Member::Restore => {
                    write!(f, "member {member} restarts with the copy, and lags")
                }
            },
        }
    }
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let servers = match self.kind {
            Kind::One => "one server",
            Kind::Cluster => "a cluster of three servers",
            Kind::Relay => "a server and its relay, to which the clients connect",
        };
        write!(f, "seed {}: {servers}", self.seed)?;
        let (delay, piece) = self.pace;
        let tls = if self.has_tls { ", with TLS" } else { "" };
        let file = if self.has_file { ", in a file" } else { "" };
        writeln!(
            f,
            "{file}, {piece} bytes at a time, up to {delay} ms late{tls}"
        )?;
        for (client, setting) in self.clients.iter().enumerate() {
            let leader = if setting.leader_only {
                ", the leader only"
            } else {
                ""
            };
            let monitor = ["monitor_cond_since", "monitor_cond", "monitor"];
            let monitor = monitor[usize::from(setting.older_monitor)];
            let named = if setting.named_rows {
                ", rows named by the server"
            } else {
                ""
            };
            let reconciles = if setting.reconciles {
                ", a reconciler"
            } else {
                ""
            };
            let queue = if setting.has_queue {
                ", a work queue"
            } else {
                ""
            };
            writeln!(
                f,
                "client {client}: {monitor}{leader}{named}{reconciles}{queue}"
            )?;
        }
        for Step { event, wait } in &self.steps {
            writeln!(f, "- {event}; {wait} ms")?;
        }
        Ok(())
    }
}
