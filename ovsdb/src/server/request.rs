//! A single request from the same process, without a connection and without a task.

use std::collections::VecDeque;
use std::time::Duration;

use super::Server;
use super::driver::now;
use crate::protocol::{Message, OvsdbError, Wire as _};

/// The server's immediate answer to a transaction.
pub(crate) enum Answer {
    /// The results, as JSON.
    Results(String),
    /// The request as a whole was refused.
    Refused(OvsdbError),
    /// The transaction has to wait. It was cancelled.
    Waits,
    /// No immediate reply: it would come later, or never. The transaction may have been carried
    /// out.
    None,
}

impl Server {
    /// Executes a transaction with these parameters, given as JSON.
    pub(crate) fn transact(&self, params: &str) -> Answer {
        let full = || Answer::Refused(OvsdbError::new("resources exhausted"));
        let message = format!(r#"{{"id":0,"method":"transact","params":{params}}}"#);
        let (sent, waits) = {
            let connected =
                |hub: &mut super::Hub| hub.handle_connected(now(), Duration::ZERO, false);
            let Some(id) = self.shared.with_hub(connected) else {
                return full();
            };
            self.shared.with_hub(|hub| {
                hub.handle_message(id, &message, now());
                // Another member of the cluster may have committed since this one was last notified.
                while hub.is_waiting(id) && hub.handle_cluster(now()) {}
                let mut sent = VecDeque::new();
                hub.poll_transmit(id, &mut sent);
                let sent: Vec<u8> = sent.iter().flatten().copied().collect();
                let waits = hub.is_waiting(id);
                hub.handle_closed(id);
                (sent, waits)
            })
        };
        let text = String::from_utf8_lossy(&sent);
        match Message::parse(&text) {
            Ok(Message::Reply {
                outcome: Ok(results),
                ..
            }) => Answer::Results(results.text.into()),
            Ok(Message::Reply {
                outcome: Err(error),
                ..
            }) => {
                let unclear = || OvsdbError::new(error.text);
                Answer::Refused(OvsdbError::from_json(error.text).unwrap_or_else(|_| unclear()))
            }
            _ if waits => Answer::Waits,
            _ => Answer::None,
        }
    }
}
