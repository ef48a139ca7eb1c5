//! The wire trace: every message, as an event with the target [`TARGET`] at the level TRACE.

use std::fmt;

use crate::transport::Remote;
use crate::value::Str;

/// The target of the events.
const TARGET: &str = "ovsdb::wire";

/// A longer message is cut to this many bytes.
const LONGEST: usize = 4096;

/// Names the connection in the events.
#[derive(Debug)]
pub(super) struct WireLog {
    pub(super) database: Str,
    pub(super) remote: Remote,
}

impl WireLog {
    /// A whole message was taken off the wire.
    pub(super) fn received(&self, message: &[u8]) {
        self.log("received", message);
    }

    /// A whole message, of these parts, is about to be written.
    pub(super) fn sent(&self, parts: &[&str]) {
        if tracing::enabled!(target: TARGET, tracing::Level::TRACE) {
            self.log("sent", parts.concat().as_bytes());
        }
    }

    fn log(&self, direction: &'static str, message: &[u8]) {
        // The fields are evaluated only if the target is enabled.
        tracing::trace!(
            target: TARGET,
            direction,
            remote = %self.remote,
            database = &*self.database,
            size = message.len(),
            "{}",
            Excerpt(message)
        );
    }
}

/// The beginning of a message, safe to print in a log line.
struct Excerpt<'a>(&'a [u8]);

impl fmt::Display for Excerpt<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use fmt::Write as _;
        let mut end = self.0.len().min(LONGEST);
        // Do not cut within a character.
        while end > 0 && end < self.0.len() && self.0[end] & 0xc0 == 0x80 {
            end -= 1;
        }
        for character in String::from_utf8_lossy(&self.0[..end]).chars() {
            // A peer must not be able to begin a new log line, or to move the cursor.
            if character.is_control() {
                write!(f, "{}", character.escape_default())?;
            } else {
                f.write_char(character)?;
            }
        }
        if end < self.0.len() {
            f.write_str("...")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_messages_are_cut_between_characters() {
        assert_eq!(Excerpt(b"[1]").to_string(), "[1]");
        assert_eq!(
            Excerpt("[\n\u{1b}\"\u{e9}\"]".as_bytes()).to_string(),
            "[\\n\\u{1b}\"\u{e9}\"]"
        );
        let long = "\u{e9}".repeat(LONGEST);
        for text in [long.clone(), format!("x{long}")] {
            let shown = Excerpt(text.as_bytes()).to_string();
            let start = shown.strip_suffix("...").expect("cut");
            assert!(
                text.starts_with(start) && start.len() > LONGEST - 4,
                "{}",
                start.len()
            );
        }
        // Not UTF-8; then a message of continuation bytes only.
        assert_eq!(Excerpt(&[b'[', 0xff]).to_string(), "[\u{fffd}");
        assert_eq!(Excerpt(&[0x80; 5000]).to_string(), "...");
    }
}
