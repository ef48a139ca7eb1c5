//! A subscriber that records every event, for tests of logs.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex};

use tracing::field::{Field, Visit};
use tracing::{Level, Metadata, span};

/// One event.
#[derive(Debug, Clone)]
pub struct Logged {
    pub level: Level,
    pub target: String,
    /// The fields as a formatter shows them, the message among them.
    pub fields: BTreeMap<&'static str, String>,
}

impl Logged {
    pub fn message(&self) -> &str {
        &self["message"]
    }
}

impl std::ops::Index<&str> for Logged {
    type Output = str;
    fn index(&self, field: &str) -> &str {
        self.fields.get(field).map_or("", String::as_str)
    }
}

/// The events so far.
#[derive(Debug, Clone, Default)]
pub struct Log {
    events: Arc<Mutex<Vec<Logged>>>,
}

impl Log {
    /// Keeps the events of this thread from now on.
    pub fn capture() -> (Self, tracing::subscriber::DefaultGuard) {
        let log = Self::default();
        let guard = tracing::subscriber::set_default(log.clone());
        (log, guard)
    }

    pub fn all(&self) -> Vec<Logged> {
        self.events.lock().unwrap().clone()
    }

    /// The events of this level or a more severe one.
    pub fn at_least(&self, level: Level) -> Vec<Logged> {
        let mut events = self.all();
        events.retain(|event| event.level <= level);
        events
    }

    /// The events with this message.
    pub fn with_message(&self, message: &str) -> Vec<Logged> {
        let mut events = self.all();
        events.retain(|event| event.message() == message);
        events
    }

    /// Waits until there are this many events with this message.
    pub async fn has(&self, count: usize, message: &str) -> Vec<Logged> {
        let found = async {
            loop {
                let events = self.with_message(message);
                if events.len() >= count {
                    return events;
                }
                tokio::time::sleep(std::time::Duration::from_millis(2)).await;
            }
        };
        let found = tokio::time::timeout(std::time::Duration::from_secs(60), found).await;
        found.unwrap_or_else(|_| panic!("no {count} {message:?} in {:#?}", self.all()))
    }
}

struct Fields<'a>(&'a mut BTreeMap<&'static str, String>);

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name(), format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name(), value.to_owned());
    }
}

impl tracing::Subscriber for Log {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn event(&self, event: &tracing::Event<'_>) {
        let mut fields = BTreeMap::new();
        event.record(&mut Fields(&mut fields));
        self.events.lock().unwrap().push(Logged {
            level: *event.metadata().level(),
            target: event.metadata().target().to_owned(),
            fields,
        });
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
}
