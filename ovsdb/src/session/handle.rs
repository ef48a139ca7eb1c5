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

/// The handles' end of a session. The session ends when the last clone is dropped.
#[derive(Debug, Clone)]
pub(crate) struct Session {
    calls: mpsc::Sender<Call>,
    orders: mpsc::UnboundedSender<Order>,
    shared: Arc<Shared>,
}

/// Runs the driver as a task. Not generic, so that it is compiled in this crate, and not in each crate
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
        // Unbounded, since a handle that is dropped cannot wait. Few orders are queued, since the
        // session always reads them.
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

    /// Sends a request and waits for the text of its result: without a limit, or up to `limit`.
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

    /// Like [`call`](Self::call), with parameters that are text already. With a basis, the request is
    /// sent only while the basis holds.
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
                let closed = self.ended();
                return Err(if planted!(LateCountsAsSent) {
                    CallError::Lost(closed)
                } else {
                    CallError::NotSent(closed)
                });
            }
            match answer.await {
                Ok(answer) => answer,
                Err(_) => Err(CallError::Lost(self.ended())),
            }
        };
        // A deadline beyond the range of the clock means no limit.
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
            // The result is known even if this times out or the connection is lost.
            match deadline {
                None => drop(shown.await),
                Some(deadline) => drop(timeout_at(deadline, shown).await),
            }
        }
        Ok(text)
    }

    /// Sends an order. When the session has ended, the order is dropped, and the caller learns that
    /// from its closed channel.
    fn order(&self, order: Order) {
        let _ = self.orders.send(order);
    }

    /// Starts a monitor and waits until its replica has all rows: without a limit, or up to `limit`.
    pub(crate) async fn monitor(
        &self,
        monitor: ReplicaMonitor,
        limit: Option<Duration>,
        request_timeout: Option<Duration>,
    ) -> Result<MonitorGuard, Error> {
        let (started, answer) = oneshot::channel();
        let monitor = Box::new(monitor);
        self.order(Order::Monitor { monitor, started });
        // If the caller stops waiting, the session sees the closed channel and ends the monitor.
        let key = self.answer(answer, limit).await?;
        let session = self.clone();
        Ok(MonitorGuard {
            key,
            session,
            request_timeout,
        })
    }

    /// Waits for the answer to an order: without a limit, or up to `limit`.
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
        answer.map_err(|_| Error::from(self.ended()))?
    }

    /// Requests a lock, and waits for the server's first answer: without a limit, or up to `limit`.
    pub(crate) async fn lock(
        &self,
        name: Str,
        steal: bool,
        limit: Option<Duration>,
    ) -> Result<watch::Receiver<bool>, Error> {
        check_text(&name, "the name of the lock")?;
        let (reply, answer) = oneshot::channel();
        self.order(Order::Lock { name, steal, reply });
        // If the caller stops waiting, the session sees the closed channel and releases the lock.
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

    /// Ends the session: once every earlier call is answered, or at once if there is no connection.
    pub(crate) async fn close(&self) {
        let (done, closed) = oneshot::channel();
        self.order(Order::Close { done });
        // An error means that the session has ended.
        let _ = closed.await;
    }

    /// Why no answer came in time: the reason why there is no connection, otherwise the time limit.
    fn late(&self) -> Disconnected {
        match self.shared.lost.load_full() {
            Some(lost) => Disconnected::clone(&lost),
            None => Disconnected::new(DisconnectReason::TimedOut),
        }
    }

    /// Why the session has ended or is ending, for a caller whose channel was closed.
    pub(crate) fn ended(&self) -> Disconnected {
        let is_closed = self.orders.is_closed();
        if let ConnectionState::Closed { lost } = &*self.shared.state.borrow() {
            return lost.clone();
        }
        // A client that is being closed still takes orders. The driver publishes the state `Closed`
        // before it closes the channel of orders. If that channel was closed without the state, the driver
        // was dropped with its runtime.
        Disconnected::new(match is_closed {
            true => DisconnectReason::RuntimeGone,
            false => DisconnectReason::Closed,
        })
    }
}

/// Makes the session abandon a call if its time limit passes, or its future is dropped, before the
/// answer has come.
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

/// Ends its monitor when dropped, and keeps the session alive until then.
#[derive(Debug)]
pub(crate) struct MonitorGuard {
    key: u64,
    session: Session,
    /// The time allowed for a change of a condition.
    request_timeout: Option<Duration>,
}

impl MonitorGuard {
    /// The session's state.
    pub(crate) fn state(&self) -> watch::Receiver<ConnectionState> {
        self.session.shared().state.subscribe()
    }

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
