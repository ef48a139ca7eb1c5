//! Handling the server's messages, in wire order.

use std::time::Instant;

use super::{Handled, Machine, Output, Step};
use crate::error::{DisconnectReason, Disconnected, Error};
use crate::error_chain::ErrorChain;
use crate::protocol::Request;
use crate::protocol::{
    LockReply, Message, Notification, OvsdbError, UpdateHeader, Wire as _, write_failure,
    write_reply,
};
use crate::session::command::{Answer, CallError};
use crate::session::connection::{Arrival, Connection};
use crate::session::get_schema;
use crate::session::job::{Applied, Decoded};
use crate::session::pending::{Effect, Waiter};
use crate::session::phase::{Phase, Serving};
use crate::session::server_database::{SERVER_MONITOR, ServerDatabases};
use crate::session::shown::Shown;
use crate::value::json::{Raw, Reader};

/// While a message is decoded, only messages shorter than this are parsed, to find keepalives. A
/// keepalive has a few dozen bytes, and parsing a long update only to queue it would be wasted work.
const KEEPALIVE: usize = 4096;

impl Machine {
    /// Handles the next message, if one has arrived and may be handled now.
    pub(super) fn next_message(&mut self, now: Instant) -> Step {
        // Before the connection serves, no message concerns a replica, so a job of an earlier connection
        // must not delay the greeting.
        let waits = self.decoding && self.phase.serving().is_some();
        let waits = waits && !planted!(DecodedOutOfOrder);
        let Some(connection) = self.phase.connection() else {
            return Step::Idle;
        };
        let message = if waits {
            None
        } else {
            connection.pop_backlog()
        };
        let message = match message {
            Some(message) => message,
            None => match connection.message() {
                Ok(Some(message)) => message,
                Ok(None) => return Step::Idle,
                Err(reason) => return Step::Done(Err(reason)),
            },
        };
        if waits {
            answer_keepalive_or_queue(connection, message);
            return Step::Done(Ok(()));
        }
        if std::mem::take(&mut self.published) {
            connection.push_front_backlog(message);
            return Step::Output(Output::Published);
        }
        Step::Done(self.handle_message(now, &message))
    }

    fn handle_message(&mut self, now: Instant, message: &Arrival) -> Handled {
        let text = std::str::from_utf8(&message.bytes).map_err(|_| DisconnectReason::NotUtf8)?;
        match Message::parse(text).map_err(DisconnectReason::Message)? {
            Message::Request { id, method, params } => {
                if let Some(connection) = self.phase.connection() {
                    answer(connection, id, &method, params);
                }
                Ok(())
            }
            Message::Notification { method, params } => {
                self.notified(now, message, &method, params)
            }
            Message::Reply { id, outcome } => self.replied(now, message, id, outcome),
        }
    }

    fn notified(
        &mut self,
        now: Instant,
        message: &Arrival,
        method: &str,
        params: Raw<'_>,
    ) -> Handled {
        let malformed = DisconnectReason::Message;
        if let Some(header) = UpdateHeader::parse(method, params).map_err(malformed)? {
            return self.updated(now, message, &header);
        }
        match method {
            "locked" | "stolen" | "monitor_canceled" => {}
            other => {
                let database = &*self.options.database;
                tracing::debug!(method = other, database, "unknown notification");
                return Ok(());
            }
        }
        match Notification::parse(method, params).map_err(malformed)? {
            Notification::MonitorCanceled { id } => {
                if let Ok(wire) = id.as_str().parse() {
                    self.monitors.canceled(wire, now);
                }
                self.request_schema();
            }
            Notification::Locked { name } => self.locks.set_held(&name, true),
            Notification::Stolen { .. } if planted!(LockStaysTaken) => {}
            Notification::Stolen { name } => self.locks.set_held(&name, false),
            _ => {}
        }
        Ok(())
    }

    fn updated(&mut self, now: Instant, message: &Arrival, header: &UpdateHeader<'_>) -> Handled {
        let Ok(wire) = header.monitor.text.parse() else {
            return Ok(());
        };
        if wire == SERVER_MONITOR {
            return self.server_changed(now, header.updates);
        }
        // An update may arrive after its monitor was ended.
        if let Some(applied) = self.monitors.update(wire, message, header) {
            return self.applied(now, applied);
        }
        Ok(())
    }

    fn replied(
        &mut self,
        now: Instant,
        message: &Arrival,
        id: Raw<'_>,
        outcome: Result<Raw<'_>, Raw<'_>>,
    ) -> Handled {
        let database = &*self.options.database.clone();
        let Some(connection) = self.phase.connection() else {
            return Ok(());
        };
        let id = id.text.parse().ok();
        let Some(waiter) = id.and_then(|id| connection.pending.take(id)) else {
            if id.is_some_and(|id| connection.pending.knows(id)) {
                tracing::debug!(
                    id,
                    database,
                    "reply to a request that was answered before, or abandoned by its caller"
                );
            } else {
                tracing::warn!(id, database, "reply to an unknown request");
            }
            return Ok(());
        };
        let outcome = match outcome {
            Ok(result) => Ok(result),
            Err(error) => {
                Err(OvsdbError::read(&mut Reader::of(error)).map_err(DisconnectReason::Message)?)
            }
        };
        match waiter {
            Waiter::Call { reply, effect, .. } => {
                let answer = outcome.map(|result| Answer {
                    text: result.text.to_owned(),
                    shown: self.effect_shown(effect),
                });
                let _ = reply.send(answer.map_err(CallError::Refused));
                Ok(())
            }
            Waiter::Monitor { key, wire } => {
                let mut applied = None;
                self.with_server(now, |monitors, server| {
                    if let Some(server) = server {
                        applied = monitors.reply(key, wire, message, outcome, server);
                    }
                });
                applied.map_or(Ok(()), |applied| self.applied(now, applied))
            }
            Waiter::Conditions { key, wire } => {
                self.monitors
                    .conditions_answered(key, wire, outcome, connection);
                Ok(())
            }
            Waiter::Lock { name, number } => {
                let held = match outcome {
                    Ok(result) => LockReply::read(&mut Reader::of(result))
                        .map(|reply| reply.locked)
                        .map_err(Error::Answer),
                    Err(error) => Err(Error::Refused(error)),
                };
                if self.locks.answered(&name, number, held) {
                    connection.send_request(Waiter::None, &Request::Unlock { name });
                }
                Ok(())
            }
            Waiter::ServerDatabases => self.server_arrived(now, outcome),
            Waiter::Schema => self.schema_arrived(now, outcome),
            Waiter::None => {
                if let Err(error) = outcome {
                    let error = ErrorChain::new(&error);
                    tracing::debug!(%error, database, "a request of the session was refused");
                }
                Ok(())
            }
        }
    }

    /// What the caller must wait for until the replicas show the effect of its call.
    fn effect_shown(&mut self, effect: Effect) -> Option<Shown> {
        match effect {
            Effect::None => None,
            Effect::Transaction => self.monitors.committed(false),
            Effect::Conversion => {
                self.request_schema();
                self.monitors.committed(true)
            }
        }
    }

    // The server's databases, and the schema.

    fn server_arrived(&mut self, now: Instant, outcome: Result<Raw<'_>, OvsdbError>) -> Handled {
        let Phase::Greeting(greeting) = &mut self.phase else {
            return Ok(());
        };
        greeting.server_known = true;
        if let Ok(result) = outcome {
            let mut databases = ServerDatabases::default();
            databases.apply(result).map_err(DisconnectReason::Message)?;
            greeting.databases = Some(databases);
        }
        self.greeted(now)
    }

    fn server_changed(&mut self, now: Instant, updates: Raw<'_>) -> Handled {
        let database = &*self.options.database.clone();
        let databases = match &mut self.phase {
            Phase::Greeting(greeting) => greeting.databases.as_mut(),
            Phase::Serving(serving) | Phase::Closing(serving) => serving.databases.as_mut(),
            Phase::Waiting | Phase::Connecting { .. } | Phase::Ended => None,
        };
        let Some(databases) = databases else {
            return Ok(());
        };
        let before = databases.schema(database).cloned();
        let index = databases.index(database);
        databases
            .apply(updates)
            .map_err(DisconnectReason::Message)?;
        let after = databases.schema(database);
        let converted = after.is_some() && after != before.as_ref();
        let grows = databases.index(database) > index;
        if self.phase.serving().is_some() {
            self.check_server()?;
            if converted {
                self.with_server(now, |monitors, server| {
                    if let Some(server) = server {
                        monitors.converted(server);
                    }
                });
                self.request_schema();
            }
            return Ok(());
        }
        if let Phase::Greeting(greeting) = &mut self.phase {
            if converted && greeting.schema.take().is_some() {
                let request = get_schema(database);
                greeting.connection.send_request(Waiter::Schema, &request);
            }
            self.greeted(now)?;
            if grows {
                // Has no effect unless the session stands by.
                let elapsed = self.elapsed(now);
                self.reconnect.hint(elapsed);
            }
        }
        Ok(())
    }

    /// Checks that the session can stay with the server.
    fn check_server(&mut self) -> Handled {
        match self.phase.serving() {
            Some(Serving {
                databases: Some(databases),
                ..
            }) => self.requirements.check(databases, &self.options.database),
            _ => Ok(()),
        }
    }

    /// Requests the schema again, since it may have changed.
    fn request_schema(&mut self) {
        if let Some(serving) = self.phase.serving()
            && !serving.schema_requested
        {
            serving.schema_requested = true;
            let request = get_schema(&self.options.database);
            serving.connection.send_request(Waiter::Schema, &request);
        }
    }

    fn schema_arrived(&mut self, now: Instant, outcome: Result<Raw<'_>, OvsdbError>) -> Handled {
        let schema = outcome.map_err(DisconnectReason::Refused)?.text;
        if let Phase::Greeting(greeting) = &mut self.phase {
            greeting.schema = Some(schema.to_owned());
            return self.greeted(now);
        }
        self.shared.take_schema(schema)?;
        if let Some(serving) = self.phase.serving() {
            serving.schema_requested = false;
        }
        self.start_monitors(now);
        Ok(())
    }

    // Replicas.

    /// Takes a monitor back if its message was applied or could not be. Hands a long message to the driver.
    fn applied(&mut self, now: Instant, applied: Applied) -> Handled {
        match applied {
            Applied::Done(decoded) => self.take_decoded(now, decoded),
            Applied::Large(job) => {
                self.decoding = true;
                self.outputs.push_back(Output::Decode(job));
            }
            Applied::Panicked => {
                let lost = Disconnected::new(DisconnectReason::DecoderPanicked);
                self.monitors.discard_lent(&lost);
                return Err(DisconnectReason::DecoderPanicked);
            }
        }
        Ok(())
    }

    /// Takes a monitor back after its message was applied or could not be.
    pub(super) fn take_decoded(&mut self, now: Instant, decoded: Decoded) {
        self.published = true;
        self.with_server(now, |monitors, server| {
            monitors.decoded(now, decoded, server);
        });
    }
}

/// Answers a short request of the server, such as a keepalive, at once, and queues any other message:
/// keepalives cannot wait, and need no order.
fn answer_keepalive_or_queue(connection: &mut Connection, message: Arrival) {
    if message.bytes.len() < KEEPALIVE
        && let Ok(text) = std::str::from_utf8(&message.bytes)
        && let Ok(Message::Request { id, method, params }) = Message::parse(text)
    {
        answer(connection, id, &method, params);
    } else {
        connection.push_backlog(message);
    }
}

fn answer(connection: &mut Connection, id: Raw<'_>, method: &str, params: Raw<'_>) {
    let mut reply = String::new();
    if method == "echo" {
        write_reply(&mut reply, id.text, params.text);
    } else {
        let error = OvsdbError::new("unknown method").to_json();
        write_failure(&mut reply, id.text, &error);
    }
    connection.send_text(&reply);
}
