//! What the crate `simulation` reads from the servers in its thread: every change of every database,
//! except the restoring of a backup.

use std::cell::RefCell;
use std::marker::PhantomData;
use std::sync::Arc;

use super::committed::{Committed, typed};
use super::engine::{Commit, Schema, State};
use super::{Server, hosted::Hosted};
use crate::model::{Database, Row, Table};
use crate::value::Uuid;

/// An event of a database.
#[doc(hidden)]
#[derive(Debug)]
pub enum Event<D> {
    /// A transaction was committed.
    Commit(Committed<D>),
    /// All rows were replaced: the database was converted, or a member of a cluster that lagged got the
    /// whole database.
    FullState(FullState),
}

/// All rows of a database.
#[doc(hidden)]
#[derive(Debug)]
pub struct FullState {
    state: State,
    last: Uuid,
}

impl FullState {
    /// The id of the last transaction.
    #[must_use]
    pub const fn last(&self) -> Uuid {
        self.last
    }

    /// The rows of a table; none if the schema lacks it.
    #[must_use]
    pub fn rows<T: Table>(&self) -> Vec<Row<T>> {
        let schema = &self.state.schema;
        let Some(table) = schema.find(T::TABLE) else {
            return Vec::new();
        };
        let rows = self.state.table(table).rows();
        rows.map(|row| typed(&schema.tables[table], row)).collect()
    }
}

enum Recorded {
    Commit(Arc<Schema>, Arc<Commit>),
    FullState(FullState),
}

thread_local! {
    static EVENTS: RefCell<Vec<(Uuid, String, Recorded)>> = const { RefCell::new(Vec::new()) };
}

pub(super) fn committed(server: Uuid, hosted: &Hosted, commit: &Arc<Commit>) {
    let schema = hosted.database.schema().clone();
    let name = schema.name().to_string();
    EVENTS.with_borrow_mut(|events| {
        events.push((server, name, Recorded::Commit(schema, commit.clone())));
    });
}

pub(super) fn replaced(server: Uuid, hosted: &Hosted) {
    let name = hosted.database.schema().name().to_string();
    let state = FullState {
        state: hosted.database.state().clone(),
        last: hosted.database.last_transaction(),
    };
    EVENTS.with_borrow_mut(|events| events.push((server, name, Recorded::FullState(state))));
}

/// The events of the database `D` since the last call, with the ids of the servers. Events of other
/// databases are discarded.
#[must_use]
pub fn take_events<D: Database>() -> Vec<(Uuid, Event<D>)> {
    let events = EVENTS.take().into_iter();
    let events = events.filter(|(_, name, _)| *name == D::NAME);
    let events = events.map(|(server, _, event)| match event {
        Recorded::Commit(schema, commit) => {
            let database = PhantomData;
            let committed = Committed {
                commit,
                schema,
                database,
            };
            (server, Event::Commit(committed))
        }
        Recorded::FullState(state) => (server, Event::FullState(state)),
    });
    events.collect()
}

pub use super::file::simulated::MemoryFile;

impl Server {
    /// The server's id, as clients see it.
    #[must_use]
    pub fn simulated_id(&self) -> Uuid {
        self.shared.hub().id()
    }

    /// The database as it is now.
    #[must_use]
    pub fn simulated_state(&self, database: &str) -> Option<FullState> {
        let hub = self.shared.hub();
        let database = hub.database(database)?;
        Some(FullState {
            state: database.state().clone(),
            last: database.last_transaction(),
        })
    }

    /// How many sessions the server has, how many of them hold this lock, and the most unsent bytes of
    /// any session.
    #[must_use]
    pub fn simulated_sessions(&self, lock: &str) -> (usize, usize, usize) {
        self.shared.hub().simulated_sessions(lock)
    }
}
