//! Which spans exist. The test has its own process, since `tracing` caches for all threads whether a span is
//! enabled.

mod support;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use ovsdb::Client;
use support::inventory::{Database, Slot};
use support::{connect, inventory_server};

/// The names of the spans that were made, and of those that were entered.
#[derive(Default)]
struct Spans {
    names: Mutex<Vec<&'static str>>,
    entered: Arc<Mutex<BTreeSet<&'static str>>>,
}

impl tracing::Subscriber for Spans {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, span: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        let mut names = self.names.lock().expect("no panic");
        names.push(span.metadata().name());
        tracing::span::Id::from_u64(names.len() as u64)
    }

    fn enter(&self, span: &tracing::span::Id) {
        let names = self.names.lock().expect("no panic");
        let at = usize::try_from(span.into_u64() - 1).expect("a small number");
        self.entered.lock().expect("no panic").insert(names[at]);
    }

    fn exit(&self, _: &tracing::span::Id) {}
    fn event(&self, _: &tracing::Event<'_>) {}
    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
}

#[tokio::test]
async fn sessions_and_transactions_are_spans() {
    let spans = Spans::default();
    let entered = spans.entered.clone();
    let _guard = tracing::subscriber::set_default(spans);
    let server = inventory_server();
    let client: Client<Database> = connect(&server).await;
    let mut txn = client.transaction();
    txn.insert(Slot::default());
    txn.commit().await.expect("a commit");
    let entered = entered.lock().expect("no panic");
    for name in ["ovsdb_session", "ovsdb_transaction"] {
        assert!(entered.contains(name), "{entered:?}");
    }
}
