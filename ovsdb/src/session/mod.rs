//! The session: one task that owns the connection.
//!
//! Handles send it commands through a bounded channel, so that a caller waits when the session is
//! behind. It reads messages in the order of the wire: a reply is handed on only when every
//! update before it is in the replica and published.

mod pending;
mod task;

use tokio::sync::{mpsc, oneshot};

use crate::cache::{MonitorVersion, ReplicaMonitor};
use crate::error::{DisconnectReason, Disconnected, Error};
use crate::protocol::{Limits, OvsdbError, Request};
use crate::transport::{ReadHalf, WriteHalf};

pub(crate) use self::task::Task;

/// Commands that wait for the session at the most.
const QUEUE: usize = 256;

/// How a call ends: with the text of its result, with the server's error, or not at all.
#[derive(Debug)]
pub(crate) enum CallError {
    Refused(OvsdbError),
    /// Lost before it was sent.
    NotSent(Disconnected),
    /// Lost after it was, or may have been, sent.
    Lost(Disconnected),
}

impl From<CallError> for Error {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Refused(error) => Self::Refused(error),
            CallError::NotSent(lost) | CallError::Lost(lost) => Self::Disconnected(lost),
        }
    }
}

/// What handles ask of the session.
#[derive(Debug)]
pub(crate) enum Command {
    /// A request; the text of its result comes back.
    Call {
        method: &'static str,
        params: String,
        reply: oneshot::Sender<Result<String, CallError>>,
    },
    /// A monitor to start.
    Monitor {
        monitor: Box<ReplicaMonitor>,
        database: &'static str,
        started: oneshot::Sender<Result<(u64, MonitorVersion), Error>>,
    },
    /// A monitor to end.
    Cancel { id: u64 },
    /// The end.
    Close { done: oneshot::Sender<()> },
}

/// The handles' end of a session.
#[derive(Debug, Clone)]
pub(crate) struct Session {
    commands: mpsc::Sender<Command>,
    database: &'static str,
}

impl Session {
    /// Starts the task of a connection that was just made.
    pub(crate) fn spawn(
        read: ReadHalf,
        write: WriteHalf,
        limits: Limits,
        database: &'static str,
    ) -> Self {
        let (commands, receiver) = mpsc::channel(QUEUE);
        tokio::spawn(Task::new(read, write, limits, receiver).run());
        Self { commands, database }
    }

    /// Sends a request and waits for the text of its result.
    pub(crate) async fn call(&self, request: &Request) -> Result<String, CallError> {
        let mut params = String::new();
        request.write_params(&mut params);
        self.call_text(request.method(), params).await
    }

    async fn call_text(&self, method: &'static str, params: String) -> Result<String, CallError> {
        let (reply, answer) = oneshot::channel();
        let command = Command::Call {
            method,
            params,
            reply,
        };
        if self.commands.send(command).await.is_err() {
            return Err(CallError::NotSent(Disconnected::new(
                DisconnectReason::Closed,
            )));
        }
        match answer.await {
            Ok(answer) => answer,
            Err(_) => Err(CallError::Lost(Disconnected::new(
                DisconnectReason::RuntimeGone,
            ))),
        }
    }

    /// Starts a monitor and waits until its replica is whole.
    pub(crate) async fn monitor(
        &self,
        monitor: ReplicaMonitor,
    ) -> Result<(MonitorGuard, MonitorVersion), Error> {
        let (started, answer) = oneshot::channel();
        let monitor = Box::new(monitor);
        let command = Command::Monitor {
            monitor,
            database: self.database,
            started,
        };
        if self.commands.send(command).await.is_err() {
            return Err(Disconnected::new(DisconnectReason::Closed).into());
        }
        let (id, version) = match answer.await {
            Ok(answer) => answer?,
            Err(_) => return Err(Disconnected::new(DisconnectReason::RuntimeGone).into()),
        };
        Ok((
            MonitorGuard {
                id,
                commands: self.commands.downgrade(),
            },
            version,
        ))
    }

    /// Ends the session once what was asked for before is sent.
    pub(crate) async fn close(&self) {
        let (done, closed) = oneshot::channel();
        if self.commands.send(Command::Close { done }).await.is_ok() {
            // An error means that the session has ended: just what was wanted.
            let _ = closed.await;
        }
    }
}

/// Ends its monitor when dropped.
#[derive(Debug)]
pub(crate) struct MonitorGuard {
    id: u64,
    commands: mpsc::WeakSender<Command>,
}

impl Drop for MonitorGuard {
    fn drop(&mut self) {
        let Some(commands) = self.commands.upgrade() else {
            return;
        };
        let command = Command::Cancel { id: self.id };
        if let Err(mpsc::error::TrySendError::Full(command)) = commands.try_send(command) {
            // The queue is full for the moment: wait for a place elsewhere, a drop may not.
            if let Ok(runtime) = tokio::runtime::Handle::try_current() {
                runtime.spawn(async move { commands.send(command).await });
            }
        }
    }
}
