//! What the peer sends, in the order of the wire.

use super::{Handled, Task, get_schema};
use crate::error::{DisconnectReason, Error};
use crate::protocol::{LockReply, Message, OvsdbError, Request, Wire, write_failure, write_reply};
use crate::session::job::{Applied, Job};
use crate::session::link::{Arrival, Link};
use crate::session::pending::{Effect, Waiter};
use crate::session::server_database::{SERVER_MONITOR, ServerDatabases};
use crate::session::shown::Shown;
use crate::session::{Answer, CallError};
use crate::value::Str;
use crate::value::json::{DecodeError, Raw, Reader};

impl Task {
    pub(super) async fn received(&mut self) -> Handled {
        while let Some(link) = &mut self.link
            && let Some(message) = link.message()?
        {
            self.give_way().await;
            self.arrived(message)?;
        }
        Ok(())
    }

    /// After an update was published: lets who follows take it up before the next one is made.
    async fn give_way(&mut self) {
        if std::mem::take(&mut self.published) {
            tokio::task::yield_now().await;
        }
    }

    /// Takes a message off the wire: at once, or behind a running job.
    fn arrived(&mut self, message: Arrival) -> Handled {
        if self.job.is_none() {
            return self.handle(&message);
        }
        let Some(link) = &mut self.link else {
            return Ok(());
        };
        // Keepalives need no order, and cannot wait.
        if message.bytes.len() < 4096
            && let Ok(text) = std::str::from_utf8(&message.bytes)
            && let Ok(Message::Request { id, method, params }) = Message::parse(text)
        {
            answer(link, id, &method, params);
        } else {
            link.put_back(message);
        }
        Ok(())
    }

    /// Handles what waited for a job, as long as no other one starts.
    pub(super) async fn catch_up(&mut self) -> Handled {
        while self.job.is_none()
            && let Some(link) = &mut self.link
            && let Some(message) = link.take_back()
        {
            self.give_way().await;
            self.handle(&message)?;
        }
        Ok(())
    }

    fn handle(&mut self, message: &Arrival) -> Handled {
        let text = std::str::from_utf8(&message.bytes).map_err(|_| DisconnectReason::NotUtf8)?;
        match Message::parse(text).map_err(DisconnectReason::Message)? {
            Message::Request { id, method, params } => {
                if let Some(link) = &mut self.link {
                    answer(link, id, &method, params);
                }
                Ok(())
            }
            Message::Notification { method, params } => self.notified(message, &method, params),
            Message::Reply { id, outcome } => self.replied(message, id, outcome),
        }
    }

    fn notified(&mut self, message: &Arrival, method: &str, params: Raw<'_>) -> Handled {
        let malformed = DisconnectReason::Message;
        match method {
            "update" | "update2" | "update3" => {
                let Some(wire) = first_number(params).map_err(malformed)? else {
                    return Ok(());
                };
                if wire == SERVER_MONITOR {
                    return self.server_changed(method, params);
                }
                let method = match method {
                    "update" => "update",
                    "update2" => "update2",
                    _ => "update3",
                };
                // An update may cross the end of its monitor.
                let applied = self.monitors.update(wire, method, message, params);
                if let Some(applied) = applied {
                    self.applied(applied);
                }
                Ok(())
            }
            "monitor_canceled" => {
                if let Some(wire) = first_number(params).map_err(malformed)? {
                    self.monitors.canceled(wire);
                }
                self.ask_schema();
                Ok(())
            }
            "locked" | "stolen" => {
                let name = first_text(params).map_err(malformed)?;
                self.locks.set_held(&name, method == "locked");
                Ok(())
            }
            other => {
                let database = self.options.database;
                tracing::debug!(method = other, database, "unknown notification");
                Ok(())
            }
        }
    }

    fn replied(
        &mut self,
        message: &Arrival,
        id: Raw<'_>,
        outcome: Result<Raw<'_>, Raw<'_>>,
    ) -> Handled {
        let database = self.options.database;
        let Some(link) = &mut self.link else {
            return Ok(());
        };
        let id = id.text.parse().ok();
        let Some(waiter) = id.and_then(|id| link.pending.take(id)) else {
            if id.is_some_and(|id| link.pending.knows(id)) {
                tracing::debug!(id, database, "reply to a request that was given up");
            } else {
                tracing::warn!(id, database, "reply to no request");
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
                self.with_server(|monitors, server| {
                    if let Some(server) = server {
                        applied = monitors.reply(key, wire, message, outcome, server);
                    }
                });
                if let Some(applied) = applied {
                    self.applied(applied);
                }
                Ok(())
            }
            Waiter::Conditions { key, wire } => {
                self.monitors.conditions_answered(key, wire, outcome, link);
                Ok(())
            }
            Waiter::Lock(name) => {
                let held = match outcome {
                    Ok(result) => LockReply::read(&mut Reader::of(result))
                        .map(|reply| reply.locked)
                        .map_err(Error::Answer),
                    Err(error) => Err(Error::Refused(error)),
                };
                if self.locks.answered(&name, held) {
                    link.send_request(Waiter::Nobody, &Request::Unlock { name });
                }
                Ok(())
            }
            Waiter::ServerDatabases => {
                link.greeting.server_known = true;
                if let Ok(result) = outcome {
                    let mut databases = ServerDatabases::default();
                    databases.apply(result).map_err(DisconnectReason::Message)?;
                    link.databases = Some(databases);
                }
                self.greeted()
            }
            Waiter::Schema => self.schema_arrived(outcome),
            Waiter::Nobody => {
                if let Err(error) = outcome {
                    tracing::debug!(%error, database, "a request of the session was refused");
                }
                Ok(())
            }
        }
    }

    /// What the caller has to wait for before the effect of its call is seen.
    fn effect_shown(&mut self, effect: Effect) -> Option<Shown> {
        match effect {
            Effect::None => None,
            Effect::Transaction => self.monitors.committed(false),
            Effect::Conversion => {
                self.ask_schema();
                self.monitors.committed(true)
            }
        }
    }

    // The server's databases, and the schema.

    fn server_changed(&mut self, method: &str, params: Raw<'_>) -> Handled {
        let Some(link) = &mut self.link else {
            return Ok(());
        };
        let Some(databases) = &mut link.databases else {
            return Ok(());
        };
        let before = databases.schema(self.options.database).cloned();
        let index = databases.index(self.options.database);
        let updates = payload(method, params).map_err(DisconnectReason::Message)?;
        databases
            .apply(updates)
            .map_err(DisconnectReason::Message)?;
        let after = databases.schema(self.options.database);
        let converted = after.is_some() && after != before.as_ref();
        if link.serves {
            self.demands.check(databases, self.options.database)?;
            if converted {
                self.ask_schema();
            }
            return Ok(());
        }
        let grows = databases.index(self.options.database) > index;
        if converted && link.greeting.schema.take().is_some() {
            link.send_request(Waiter::Schema, &get_schema(self.options.database));
        }
        self.greeted()?;
        if grows {
            // Of no effect unless the session stands by.
            let now = self.now();
            self.reconnect.hint(now);
        }
        Ok(())
    }

    /// Asks for the schema again: it has changed.
    pub(super) fn ask_schema(&mut self) {
        if let Some(link) = &mut self.link
            && link.serves
            && !link.schema_asked
        {
            link.schema_asked = true;
            link.send_request(Waiter::Schema, &get_schema(self.options.database));
        }
    }

    pub(super) fn schema_arrived(&mut self, outcome: Result<Raw<'_>, OvsdbError>) -> Handled {
        let schema = outcome.map_err(DisconnectReason::Refused)?.text;
        let Some(link) = &mut self.link else {
            return Ok(());
        };
        if !link.serves {
            link.greeting.schema = Some(schema.to_owned());
            return self.greeted();
        }
        link.schema_asked = false;
        self.take_schema(schema)?;
        self.start_monitors();
        Ok(())
    }

    /// Takes a monitor back, now or when a job has it.
    fn applied(&mut self, applied: Applied) {
        match applied {
            Ok(job) => self.decoded(job),
            Err(running) => self.job = Some(running),
        }
    }

    /// Takes a monitor back from decoding.
    pub(super) fn decoded(&mut self, job: Job) {
        self.published = true;
        self.with_server(|monitors, server| monitors.decoded(job, server));
    }
}

fn answer(link: &mut Link, id: Raw<'_>, method: &str, params: Raw<'_>) {
    let mut reply = String::new();
    if method == "echo" {
        write_reply(&mut reply, id.text, params.text);
    } else {
        write_failure(
            &mut reply,
            id.text,
            &OvsdbError::new("unknown method").to_json(),
        );
    }
    link.send_text(&reply);
}

/// The id of the monitor that a notification is for, when it is one of our numbers.
fn first_number(params: Raw<'_>) -> Result<Option<u64>, DecodeError> {
    let mut reader = Reader::of(params);
    reader.array()?;
    reader.demand("a monitor's id")?;
    Ok(reader.skip()?.text.parse().ok())
}

/// The name of the lock that a notification is for.
fn first_text(params: Raw<'_>) -> Result<Str, DecodeError> {
    let mut reader = Reader::of(params);
    reader.array()?;
    reader.demand("a lock's name")?;
    reader.text()
}

/// The updates behind a monitor's id, and behind a transaction's in an `update3`.
fn payload<'a>(method: &str, params: Raw<'a>) -> Result<Raw<'a>, DecodeError> {
    let mut reader = Reader::of(params);
    reader.array()?;
    reader.demand("a monitor's id")?;
    reader.skip()?;
    if method == "update3" {
        reader.demand("a transaction id")?;
        reader.skip()?;
    }
    reader.demand("updates")?;
    reader.skip()
}
