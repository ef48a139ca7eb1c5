//! The methods that clients call (RFC 7047 section 4.1; ovsdb-server(7)).

use std::sync::Arc;

use super::{Hub, Now, SessionCaller, UNREAD, elements, exhausted, first_element, string};
use crate::protocol::{LockReply, MonitorVersion, OvsdbError, Wire};
use crate::server::SessionId;
use crate::server::consensus::{EntryKind, Seat};
use crate::server::engine::error::{error, syntax, syntax_of};
use crate::server::engine::id::is_id;
use crate::server::engine::{Executed, Proposal};
use crate::server::hosted::{Forward, Hosted, Unsynced, Waiting};
use crate::value::json::{Raw, write_string};

impl Hub {
    pub(super) fn request(
        &mut self,
        id: SessionId,
        request: &str,
        method: &str,
        params: Raw<'_>,
        now: Now,
    ) {
        let outcome = match method {
            "transact" => self.transact_request(id, request, params, now),
            "convert" => self.convert_request(id, request, params, now),
            "monitor" => self.monitor(id, params, method, MonitorVersion::Monitor),
            "monitor_cond" => self.monitor(id, params, method, MonitorVersion::MonitorCond),
            "monitor_cond_since" => {
                self.monitor(id, params, method, MonitorVersion::MonitorCondSince)
            }
            "monitor_cond_change" => self.change_conditions(id, params),
            "monitor_cancel" => {
                let Some(session) = self.sessions.get_mut(&id) else {
                    return;
                };
                let [monitor] = elements(params)[..] else {
                    return session.fail_with_word(request, "invalid parameters");
                };
                let Some(at) = session.monitor(monitor.text) else {
                    return session.fail_with_word(request, "unknown monitor");
                };
                session.monitors.remove(at);
                Ok(Some("{}".into()))
            }
            "get_schema" => self
                .lookup(method, params)
                .map(|(_, hosted)| Some(hosted.database.schema().text.to_string())),
            "list_dbs" => {
                let names: Vec<crate::value::Str> =
                    self.databases.keys().map(|name| (&**name).into()).collect();
                Ok(Some(names.to_json()))
            }
            "get_server_id" => Ok(Some(self.id.to_json())),
            "lock" | "steal" => {
                if self.refuse_lock(id, request) {
                    return;
                }
                self.lock(id, method, params).map(Some)
            }
            "unlock" => {
                if self.refuse_lock(id, request) {
                    return;
                }
                self.unlock_request(id, method, params).map(Some)
            }
            "set_db_change_aware" => self.set_db_change_aware(id, method, params).map(Some),
            "echo" => Ok(Some(params.text.into())),
            _ => {
                if let Some(session) = self.sessions.get_mut(&id) {
                    session.fail_with_word(request, "unknown method");
                }
                return;
            }
        };
        match outcome {
            Ok(Some(result)) => self.reply(id, request, result),
            // The reply follows later, or was sent already.
            Ok(None) => {}
            Err(error) => {
                self.flush(id);
                if let Some(session) = self.sessions.get_mut(&id) {
                    session.fail(request, &error);
                }
            }
        }
    }

    /// The database that a request's first parameter names.
    pub(super) fn lookup(
        &mut self,
        method: &str,
        params: Raw<'_>,
    ) -> Result<(Arc<str>, &mut Hosted), OvsdbError> {
        let Some(name) = first_element(params).and_then(string) else {
            let details = format!("{method} request params must begin with <db-name>");
            return Err(syntax(params.text, details));
        };
        match self
            .databases
            .get_key_value(&*name)
            .map(|(name, _)| name.clone())
        {
            Some(key) => match self.databases.get_mut(&key) {
                Some(hosted) => Ok((key, hosted)),
                None => Err(OvsdbError::new("unknown database")),
            },
            None => {
                let details = format!("{method} request specifies unknown database {name}");
                Err(syntax_of("unknown database", params.text, details))
            }
        }
    }

    fn transact_request(
        &mut self,
        id: SessionId,
        request: &str,
        params: Raw<'_>,
        now: Now,
    ) -> Result<Option<String>, OvsdbError> {
        let quota = self.quotas.monitors;
        let (database, hosted) = self.lookup("transact", params)?;
        let is_known = hosted
            .waiting
            .iter()
            .any(|waiting| waiting.session == id && *waiting.id == *request);
        if is_known {
            return Err(syntax(params.text, "transact: duplicate request ID"));
        }
        let own = hosted
            .waiting
            .iter()
            .filter(|waiting| waiting.session == id);
        if own.count() >= quota {
            return Err(exhausted(quota, "transactions that wait"));
        }
        let waiting = Waiting {
            session: id,
            id: request.into(),
            params: "".into(),
            since: now.instant,
            timeout: None,
        };
        if let Some(waiting) = self.transact(&database, waiting, params, now)
            && let Some(hosted) = self.databases.get_mut(&database)
        {
            hosted.waiting.push(waiting);
        }
        Ok(None)
    }

    /// Tries a transaction. Returns it if it must wait.
    fn transact(
        &mut self,
        database: &Arc<str>,
        mut waiting: Waiting,
        params: Raw<'_>,
        now: Now,
    ) -> Option<Waiting> {
        let hosted = self.databases.get_mut(database)?;
        let session = self.sessions.get(&waiting.session)?;
        let caller = SessionCaller {
            session: waiting.session,
            locks: &self.locks,
            read_only: session.read_only,
        };
        let elapsed = now.instant.saturating_duration_since(waiting.since);
        let operations = elements(params);
        let operations = operations.get(1..).unwrap_or_default();
        match hosted.database.execute(operations, &caller, elapsed) {
            Executed::Failed { results } => self.reply(waiting.session, &waiting.id, results),
            Executed::Waits { timeout } => {
                waiting.timeout = timeout;
                return Some(waiting.with(params));
            }
            Executed::Ready(proposal) => {
                if proposal.writes
                    && let Some(forwards) = &mut hosted.forwards
                {
                    forwards.push_back(Forward {
                        session: waiting.session,
                        id: waiting.id,
                        params: params.text.into(),
                    });
                    self.forwarding = true;
                    if let Some(session) = self.sessions.get_mut(&waiting.session) {
                        session.forwarded += 1;
                    }
                    return None;
                }
                let fault = hosted.faults.pop_front();
                let is_done = match &fault {
                    Some(fault) => self.fail(database, &waiting, proposal, fault, now),
                    None => self.commit(database, &waiting, proposal, now),
                };
                if !is_done {
                    let hosted = self.databases.get_mut(database)?;
                    if let Some(fault) = fault {
                        hosted.faults.push_front(fault);
                    }
                    // It waits until the cluster changes, without a time limit.
                    waiting.timeout = None;
                    return Some(waiting.with(params));
                }
            }
        }
        None
    }

    /// Commits a transaction, publishes its changes to the clients that monitor them, and replies; the
    /// reply to a durable transaction waits for the disk. Returns false when the transaction must first
    /// wait for the cluster: the member has no majority, or has not applied the whole log.
    pub(super) fn commit(
        &mut self,
        database: &Arc<str>,
        waiting: &Waiting,
        proposal: Proposal,
        now: Now,
    ) -> bool {
        let Some(hosted) = self.databases.get_mut(database) else {
            return true;
        };
        let seat = proposal.commit().and_then(|_| hosted.seat());
        let slot = seat.as_ref().map(Seat::begin);
        if matches!(slot, Some(None)) {
            return false;
        }
        let position = match hosted.write(&proposal, now.date) {
            Ok(position) => position,
            Err(error) => {
                let results = proposal.refuse(&error);
                self.reply(waiting.session, &waiting.id, results);
                return true;
            }
        };
        if position.is_some() && !self.written.contains(database) {
            self.written.push(database.clone());
        }
        let durable = proposal.durable;
        let commit = proposal.commit().cloned();
        let results = hosted.database.commit(proposal);
        if let Some(commit) = &commit {
            hosted.history.add(commit.clone());
            if let Some(slot) = slot.flatten() {
                slot.append(EntryKind::Commit(commit.clone()), &hosted.database);
                self.appended = true;
            }
            if planted!(ServerRepliesFirst) {
                self.reply(waiting.session, &waiting.id, results);
                self.publish(database, commit);
                self.retry(database, now, true);
                return true;
            }
            self.publish(database, commit);
        }
        match (
            position.filter(|_| durable),
            self.databases.get_mut(database),
        ) {
            (Some(position), Some(hosted)) => {
                hosted.unsynced.push(Unsynced {
                    position,
                    session: waiting.session,
                    id: waiting.id.clone(),
                    results,
                });
                if let Some(session) = self.sessions.get_mut(&waiting.session) {
                    session.unsynced += 1;
                }
            }
            _ => self.reply(waiting.session, &waiting.id, results),
        }
        if commit.is_some() {
            self.retry(database, now, true);
        }
        true
    }

    /// Tries waiting transactions again: all of them if the database or the cluster has changed, otherwise
    /// those whose time limit has passed.
    pub(super) fn retry(&mut self, database: &Arc<str>, now: Now, changed: bool) {
        let Some(hosted) = self.databases.get_mut(database) else {
            return;
        };
        if hosted.waiting.is_empty() {
            return;
        }
        let is_due = |waiting: &Waiting| {
            changed
                || waiting
                    .deadline()
                    .is_some_and(|deadline| deadline <= now.instant)
        };
        let all = std::mem::take(&mut hosted.waiting);
        let (due, left): (Vec<_>, Vec<_>) = all.into_iter().partition(is_due);
        hosted.waiting = left;
        for waiting in due {
            // A session that is being closed gets no more updates, and its transactions end with it.
            let session = self.sessions.get(&waiting.session);
            if session.is_none_or(|session| session.closing.is_some()) {
                continue;
            }
            let params = waiting.params.clone();
            let raw = Raw {
                text: &params,
                offset: 0,
            };
            if let Some(waiting) = self.transact(database, waiting, raw, now)
                && let Some(hosted) = self.databases.get_mut(database)
            {
                hosted.waiting.push(waiting);
            }
        }
    }

    /// A client cancels a waiting transaction.
    pub(super) fn cancel(&mut self, id: SessionId, params: Raw<'_>) {
        let [request] = elements(params)[..] else {
            return;
        };
        let mut cancelled = false;
        for hosted in self.databases.values_mut() {
            let before = hosted.waiting.len();
            hosted
                .waiting
                .retain(|waiting| waiting.session != id || *waiting.id != *request.text);
            cancelled |= hosted.waiting.len() < before;
        }
        // As with ovsdb-server, only a client that is aware of database changes gets a reply.
        if let Some(session) = self.sessions.get_mut(&id)
            && cancelled
            && session.db_change_aware
        {
            session.fail_with_word(request.text, "canceled");
        }
    }

    fn refuse_lock(&mut self, id: SessionId, request: &str) -> bool {
        match self.sessions.get_mut(&id) {
            Some(session) if session.read_only => {
                let word = "lock and unlock methods not allowed, DB server is read only.";
                session.fail_with_word(request, word);
                true
            }
            _ => false,
        }
    }

    fn lock(&mut self, id: SessionId, method: &str, params: Raw<'_>) -> Result<String, OvsdbError> {
        let name = lock_name(method, params)?;
        let quota = self.quotas.monitors;
        let Some(session) = self.sessions.get_mut(&id) else {
            return Err(error("internal error", "no such session"));
        };
        if session.locks.len() >= quota {
            return Err(exhausted(quota, "locks"));
        }
        if !session.locks.insert(name.clone()) {
            let details = format!("must issue \"unlock\" before new \"{method}\"");
            return Err(syntax(params.text, details));
        }
        let locked = if method == "steal" {
            if let Some(victim) = self.locks.steal(id, &name) {
                self.notify_lock(victim, "stolen", &name);
            }
            true
        } else {
            self.locks.lock(id, &name)
        };
        Ok(LockReply { locked }.to_json())
    }

    fn unlock_request(
        &mut self,
        id: SessionId,
        method: &str,
        params: Raw<'_>,
    ) -> Result<String, OvsdbError> {
        let name = lock_name(method, params)?;
        let session = self.sessions.get_mut(&id);
        if !session.is_some_and(|session| session.locks.remove(&name)) {
            let details = "unlock: \"unlock\" without \"lock\" or \"steal\"";
            return Err(syntax(params.text, details));
        }
        self.unlock(id, &name);
        Ok("{}".into())
    }

    /// Removes the session from a lock, and notifies the session that holds it now.
    pub(super) fn unlock(&mut self, id: SessionId, name: &str) {
        if let Some(next) = self.locks.unlock(id, name) {
            self.notify_lock(next, "locked", name);
        }
    }

    fn notify_lock(&mut self, id: SessionId, method: &str, name: &str) {
        self.flush(id);
        if let Some(session) = self.sessions.get_mut(&id) {
            let mut quoted = String::new();
            write_string(&mut quoted, name);
            session.notify(method, &quoted);
            if session.outgoing.unsent() > UNREAD {
                session.close("the client does not read what it is sent".into());
            }
            self.ready.push(id);
        }
    }

    fn set_db_change_aware(
        &mut self,
        id: SessionId,
        method: &str,
        params: Raw<'_>,
    ) -> Result<String, OvsdbError> {
        let aware = match elements(params)[..] {
            [Raw { text: "true", .. }] => true,
            [Raw { text: "false", .. }] => false,
            _ => {
                let details = format!("{method}: true or false parameter expected");
                return Err(syntax(params.text, details));
            }
        };
        if let Some(session) = self.sessions.get_mut(&id) {
            session.db_change_aware = aware;
        }
        Ok("{}".into())
    }
}

fn lock_name(method: &str, params: Raw<'_>) -> Result<Box<str>, OvsdbError> {
    if let [name] = elements(params)[..]
        && let Some(name) = string(name)
        && is_id(&name)
    {
        return Ok(name.into());
    }
    let details = format!("{method} request params must be <id>");
    Err(syntax(params.text, details))
}
