//! The handles' end of a session.

use std::sync::Arc;
use std::time::Duration;

use ovsdb_schema::DatabaseSchema;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, timeout_at};
use tracing::Instrument as _;

use super::command::{Answer, Call, CallError, Order, Ticket};
use super::driver::Driver;
use super::{ConnectionState, Options, Shared};
use crate::cache::{Basis, ReplicaMonitor};
use crate::error::{DisconnectReason, Disconnected, Error};
use crate::protocol::{Clause, Request, check_conditions, check_text};
use crate::stats::Stats;
use crate::transport::Remote;
use crate::value::Str;

/// The handles' end of a session; it ends with the last of them.
#[derive(Debug, Clone)]
pub(crate) struct Session {
    calls: mpsc::Sender<Call>,
    orders: mpsc::UnboundedSender<Order>,
    shared: Arc<Shared>,
}

/// Runs the driver as a task. A function by itself, so that it is compiled in this crate and not in each
/// that connects a client.
fn spawn(driver: Driver, database: &str) {
    let span = tracing::info_span!("ovsdb_session", database);
    tokio::spawn(driver.run().instrument(span));
}

impl Session {
    /// Starts a session, and waits until it is connected for the first time.
    pub(crate) async fn start(options: Options) -> Result<Self, Error> {
        let database = options.database.clone();
        let (calls, call_receiver) = mpsc::channel(options.window);
        // Orders are as many as there are handles; a handle that is dropped cannot wait.
        let (orders, order_receiver) = mpsc::unbounded_channel();
        let (first, connected) = oneshot::channel();
        let shared = Arc::new(Shared::new(&database));
        let driver = Driver::new(
            options,
            call_receiver,
            order_receiver,
            shared.clone(),
            first,
        );
        spawn(driver, &database);
        let session = Self {
            calls,
            orders,
            shared,
        };
        match connected.await {
            Ok(connected) => connected.map(|()| session),
            Err(_) => Err(Disconnected::new(DisconnectReason::RuntimeGone).into()),
        }
    }

    pub(crate) fn stats(&self) -> Stats {
        let waiting = self.calls.max_capacity() - self.calls.capacity();
        self.shared.counters.stats(waiting)
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }

    /// Sends a request and waits for the text of its result: for ever, or up to `limit`.
    pub(crate) async fn call(
        &self,
        request: &Request,
        limit: Option<Duration>,
    ) -> Result<String, CallError> {
        let mut params = String::new();
        request
            .write_params(&mut params)
            .map_err(CallError::Invalid)?;
        self.call_text(request.method(), params, None, limit).await
    }

    /// As [`call`](Self::call), with the parameters written already. With a basis it is sent only
    /// as long as that holds.
    pub(crate) async fn call_text(
        &self,
        method: &'static str,
        params: String,
        basis: Option<Basis>,
        limit: Option<Duration>,
    ) -> Result<String, CallError> {
        let ticket = Arc::new(Ticket::default());
        let mut guard = CallGuard {
            ticket: ticket.clone(),
            orders: &self.orders,
            armed: true,
        };
        let (reply, answer) = oneshot::channel();
        let call = Call {
            method,
            params,
            basis,
            ticket,
            reply,
        };
        let exchange = async {
            if self.calls.send(call).await.is_err() {
                let closed = Disconnected::new(DisconnectReason::Closed);
                return Err(if planted!(LateCountsAsSent) {
                    CallError::Lost(closed)
                } else {
                    CallError::NotSent(closed)
                });
            }
            match answer.await {
                Ok(answer) => answer,
                Err(_) => Err(CallError::Lost(Disconnected::new(
                    DisconnectReason::RuntimeGone,
                ))),
            }
        };
        // A limit beyond the range of the clock is no limit.
        let deadline = limit.and_then(|limit| Instant::now().checked_add(limit));
        let deadline = deadline.filter(|_| !planted!(RequestUnlimited));
        let answer = match deadline {
            None => exchange.await,
            Some(deadline) => match timeout_at(deadline, exchange).await {
                Ok(answer) => answer,
                Err(_) => {
                    let late = Disconnected::new(DisconnectReason::TimedOut);
                    if guard.ticket.abandon() || planted!(TimedOutCountsAsNotSent) {
                        guard.armed = false;
                        return Err(CallError::NotSent(late));
                    }
                    return Err(CallError::Lost(late));
                }
            },
        };
        guard.armed = false;
        let Answer { text, shown } = answer?;
        if let Some(shown) = shown {
            // Shown, too late, or the connection is lost: the result is known in any case.
            match deadline {
                None => drop(shown.await),
                Some(deadline) => drop(timeout_at(deadline, shown).await),
            }
        }
        Ok(text)
    }

    /// Gives an order; when the session has ended, the caller learns that by
    /// the order being dropped.
    fn order(&self, order: Order) {
        let _ = self.orders.send(order);
    }

    /// Starts a monitor and waits until its replica is whole: for ever, or up to `limit`.
    pub(crate) async fn monitor(
        &self,
        monitor: ReplicaMonitor,
        limit: Option<Duration>,
        request_timeout: Option<Duration>,
    ) -> Result<MonitorGuard, Error> {
        let (started, answer) = oneshot::channel();
        let monitor = Box::new(monitor);
        self.order(Order::Monitor { monitor, started });
        // When the caller has stopped waiting, the session notices that, and ends the monitor.
        let key = self.answer(answer, limit).await?;
        let session = self.clone();
        Ok(MonitorGuard {
            key,
            session,
            request_timeout,
        })
    }

    /// Waits for the answer to an order: for ever, or up to `limit`.
    async fn answer<T>(
        &self,
        answer: oneshot::Receiver<Result<T, Error>>,
        limit: Option<Duration>,
    ) -> Result<T, Error> {
        let deadline = limit.and_then(|limit| Instant::now().checked_add(limit));
        let answer = match deadline {
            None => answer.await,
            Some(deadline) => match timeout_at(deadline, answer).await {
                Ok(answer) => answer,
                Err(_) => return Err(self.late().into()),
            },
        };
        answer.map_err(|_| self.ended())?
    }

    /// Asks for a lock, and waits for the server's first answer: for ever, or up to `limit`.
    pub(crate) async fn lock(
        &self,
        name: Str,
        steal: bool,
        limit: Option<Duration>,
    ) -> Result<watch::Receiver<bool>, Error> {
        check_text(&name, "the name of the lock")?;
        let (reply, answer) = oneshot::channel();
        self.order(Order::Lock { name, steal, reply });
        // When the caller has stopped waiting, the session notices that, and releases the lock.
        self.answer(answer, limit).await
    }

    pub(crate) fn unlock(&self, name: Str) {
        self.order(Order::Unlock { name });
    }

    pub(crate) fn set_remotes(&self, remotes: Vec<Remote>) {
        self.order(Order::SetRemotes(remotes));
    }

    pub(crate) fn reconnect(&self) {
        self.order(Order::Reconnect);
    }

    /// Ends the session once everything that was asked for before is answered.
    pub(crate) async fn close(&self) {
        let (done, closed) = oneshot::channel();
        self.order(Order::Close { done });
        // An error means that the session has ended, as it should.
        let _ = closed.await;
    }

    /// Why an answer did not come in time: the reason why there is no connection, if there is none.
    fn late(&self) -> Disconnected {
        match self.shared.lost.load_full() {
            Some(lost) => Disconnected::clone(&lost),
            None => Disconnected::new(DisconnectReason::TimedOut),
        }
    }

    /// Why a session that answers no more has ended.
    fn ended(&self) -> Error {
        let state = self.shared.state.borrow();
        match &*state {
            ConnectionState::Closed { lost } => lost.clone().into(),
            _ => Disconnected::new(DisconnectReason::RuntimeGone).into(),
        }
    }
}

/// Tells the task when a call's future is dropped before its answer came.
struct CallGuard<'a> {
    ticket: Arc<Ticket>,
    orders: &'a mpsc::UnboundedSender<Order>,
    armed: bool,
}

impl Drop for CallGuard<'_> {
    fn drop(&mut self) {
        if self.armed && !self.ticket.abandon() {
            let _ = self.orders.send(Order::Abandon(self.ticket.clone()));
        }
    }
}

/// Ends its monitor when dropped; until then the session lives.
#[derive(Debug)]
pub(crate) struct MonitorGuard {
    key: u64,
    session: Session,
    /// How long a change of a condition may take.
    request_timeout: Option<Duration>,
}

impl MonitorGuard {
    /// The schema of the server.
    pub(crate) fn schema(&self) -> Arc<DatabaseSchema> {
        self.session.shared().schema.load_full()
    }

    /// Changes which rows of a table are selected, and waits until that is in force.
    pub(crate) async fn set_condition(
        &self,
        table: Str,
        clauses: Vec<Clause>,
    ) -> Result<(), Error> {
        check_conditions(&table, &clauses)?;
        let (reply, answer) = oneshot::channel();
        self.session.order(Order::SetCondition {
            key: self.key,
            table,
            clauses,
            reply,
        });
        self.session.answer(answer, self.request_timeout).await
    }
}

impl Drop for MonitorGuard {
    fn drop(&mut self) {
        self.session.order(Order::EndMonitor { key: self.key });
    }
}
