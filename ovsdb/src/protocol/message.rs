//! The envelope of a message: its method and id, with the payload as raw JSON.

use std::borrow::Cow;

use super::wire::{Wire, read_object, required, unknown};
use crate::value::json::{DecodeError, DecodeErrorKind, Raw, Reader, write_string};

/// A message (RFC 7047 section 4; JSON-RPC 1.0) with its payload not decoded.
///
/// ```
/// use ovsdb::protocol::Message;
///
/// match Message::parse(r#"{"id":1,"method":"echo","params":["a"]}"#)? {
///     Message::Request { id, method, params } => {
///         assert_eq!((id.text, &*method, params.text), ("1", "echo", r#"["a"]"#));
///     }
///     other => panic!("{other:?}"),
/// }
/// # Ok::<(), ovsdb::value::json::DecodeError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message<'a> {
    /// A request, to be answered.
    Request {
        /// Any JSON value but null, to be echoed in the reply.
        id: Raw<'a>,
        /// The method.
        method: Cow<'a, str>,
        /// Its parameters, an array.
        params: Raw<'a>,
    },
    /// A notification, not to be answered: its id is null or missing.
    Notification {
        /// The method.
        method: Cow<'a, str>,
        /// Its parameters, an array.
        params: Raw<'a>,
    },
    /// The reply to a request.
    Reply {
        /// The request's id; null when the peer could not read the request.
        id: Raw<'a>,
        /// The result, or the error.
        outcome: Result<Raw<'a>, Raw<'a>>,
    },
}

const NULL: Raw<'static> = Raw {
    text: "null",
    offset: 0,
};

impl<'a> Message<'a> {
    /// Reads the envelope, and finds the payload.
    ///
    /// # Errors
    /// When the text is not a single well-formed message. The payload of a large message may be malformed
    /// all the same: only its decoder checks it.
    pub fn parse(text: &'a str) -> Result<Self, DecodeError> {
        if text.len() >= LARGE
            && let Some(message) = Self::parse_large(text)
        {
            return Ok(message);
        }
        let mut reader = Reader::new(text);
        let (mut id, mut method, mut params) = (None, None, None);
        let (mut result, mut error) = (None, None);
        read_object(&mut reader, |reader, key| {
            match &*key {
                "id" => id = Some(reader.skip()?),
                "method" => method = Some(reader.string()?),
                "params" => params = Some(reader.skip()?),
                "result" => result = Some(reader.skip()?),
                "error" => error = Some(reader.skip()?),
                other => return unknown(reader, "member", other),
            }
            Ok(())
        })?;
        reader.end()?;
        let given = |raw: Option<Raw<'a>>| raw.filter(|raw| raw.text != "null");

        let Some(method) = method else {
            let id = required(&reader, "id", id)?;
            if result.is_none() && error.is_none() {
                return reader.error(DecodeErrorKind::Missing("method"));
            }
            // An error reply may omit the result; a missing member counts as null.
            let outcome = match given(error) {
                Some(error) => Err(error),
                None => Ok(result.unwrap_or(NULL)),
            };
            return Ok(Self::Reply { id, outcome });
        };
        let params = required(&reader, "params", params)?;
        if !params.text.starts_with('[') {
            let offset = params.offset;
            return Err(DecodeError::new(
                offset,
                DecodeErrorKind::Expected("an array"),
            ));
        }
        Ok(match given(id) {
            Some(id) => Self::Request { id, method, params },
            None => Self::Notification { method, params },
        })
    }

    /// Finds the payload of a large message without reading through it, if the envelope has the form in
    /// which ovsdb-server writes it. The payload's decoder also checks that nothing follows the value, so
    /// no malformed part is missed.
    fn parse_large(text: &'a str) -> Option<Self> {
        let raw = |text: &'a str, offset| Raw { text, offset };
        if let Some(rest) = text.strip_prefix("{\"id\":null,\"method\":\"update") {
            let head = rest.split_once("\",\"params\":")?.0;
            let start = text.len() - rest.len() + head.len() + "\",\"params\":".len();
            let method = &text["{\"id\":null,\"method\":\"".len()..][..6 + head.len()];
            let params = text.get(start..)?.strip_suffix('}')?;
            // The parameters end the message, unless the peer made a mistake.
            let whole = params.starts_with('[') && params.ends_with(']');
            return (whole && matches!(head, "" | "2" | "3")).then(|| Self::Notification {
                method: Cow::Borrowed(method),
                params: raw(params, start),
            });
        }
        let rest = text.strip_prefix("{\"id\":")?;
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (id, rest) = rest.split_at(digits);
        let result = rest.strip_prefix(",\"result\":")?;
        let start = text.len() - result.len();
        // These characters can only be the last member, since an unescaped quote cannot be within a
        // string.
        let result = result.strip_suffix(",\"error\":null}")?;
        (!id.is_empty()).then(|| Self::Reply {
            id: raw(id, "{\"id\":".len()),
            outcome: Ok(raw(result, start)),
        })
    }
}

/// Messages of at least this length are not read through twice.
const LARGE: usize = 16 * 1024;

/// Appends a request up to its parameters. The text of a JSON array and `}` must follow.
pub(crate) fn write_request_head(out: &mut String, id: &impl Wire, method: &str) {
    out.push_str("{\"id\":");
    id.write(out);
    out.push_str(",\"method\":");
    write_string(out, method);
    out.push_str(",\"params\":");
}

/// Appends a request; `params` is the text of a JSON array.
///
/// ```
/// let mut out = String::new();
/// ovsdb::protocol::write_request(&mut out, &1_u64, "list_dbs", "[]");
/// assert_eq!(out, r#"{"id":1,"method":"list_dbs","params":[]}"#);
/// ```
pub fn write_request(out: &mut String, id: &impl Wire, method: &str, params: &str) {
    write_request_head(out, id, method);
    out.push_str(params);
    out.push('}');
}

/// Appends a notification; `params` is the text of a JSON array.
///
/// ```
/// let mut out = String::new();
/// ovsdb::protocol::write_notification(&mut out, "cancel", "[1]");
/// assert_eq!(out, r#"{"id":null,"method":"cancel","params":[1]}"#);
/// ```
pub fn write_notification(out: &mut String, method: &str, params: &str) {
    write_request(out, &None::<u64>, method, params);
}

/// Appends the reply to a request that succeeded; `id` and `result` are JSON texts.
///
/// ```
/// let mut out = String::new();
/// ovsdb::protocol::write_reply(&mut out, "1", "[]");
/// assert_eq!(out, r#"{"error":null,"id":1,"result":[]}"#);
/// ```
pub fn write_reply(out: &mut String, id: &str, result: &str) {
    for part in ["{\"error\":null,\"id\":", id, ",\"result\":", result, "}"] {
        out.push_str(part);
    }
}

/// Appends the reply to a request that failed; `id` and `error` are JSON texts.
///
/// ```
/// use ovsdb::protocol::{Message, OvsdbError, Wire, write_failure};
///
/// let mut out = String::new();
/// write_failure(&mut out, "1", &OvsdbError::new("not supported").to_json());
/// assert!(matches!(Message::parse(&out)?, Message::Reply { outcome: Err(_), .. }));
/// # Ok::<(), ovsdb::value::json::DecodeError>(())
/// ```
pub fn write_failure(out: &mut String, id: &str, error: &str) {
    for part in ["{\"error\":", error, ",\"id\":", id, ",\"result\":null}"] {
        out.push_str(part);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_message_is_distinguished() {
        let request = r#"{"method":"echo","id":"echo","params":[]}"#;
        assert!(
            matches!(Message::parse(request), Ok(Message::Request { id, .. })
            if id.text == "\"echo\"")
        );
        let notification = r#"{"id":null,"method":"locked","params":["l"]}"#;
        assert!(matches!(
            Message::parse(notification),
            Ok(Message::Notification { .. })
        ));
        let bare = r#"{"method":"locked","params":["l"]}"#;
        assert!(matches!(
            Message::parse(bare),
            Ok(Message::Notification { .. })
        ));
        let reply = r#"{"id":1,"result":{"a":1},"error":null}"#;
        assert!(
            matches!(Message::parse(reply), Ok(Message::Reply { outcome: Ok(raw), .. })
            if raw.text == "{\"a\":1}" && raw.offset == 17)
        );
        let failure = r#"{"id":1,"error":"unknown method"}"#;
        assert!(matches!(
            Message::parse(failure),
            Ok(Message::Reply {
                outcome: Err(_),
                ..
            })
        ));
        let nothing = r#"{"id":1,"error":null,"result":null}"#;
        assert!(matches!(
            Message::parse(nothing),
            Ok(Message::Reply { outcome: Ok(_), .. })
        ));
    }

    #[test]
    fn malformed_messages_are_refused() {
        for text in [
            "[]",
            "{}",
            r#"{"id":1}"#,
            r#"{"method":"echo","id":1}"#,
            r#"{"result":1}"#,
            r#"{"method":"echo","id":1,"params":"a"}"#,
            r#"{"method":1,"id":1,"params":[]}"#,
            r#"{"jsonrpc":"2.0","method":"echo","id":1,"params":[]}"#,
            r#"{"id":1,"result":1} x"#,
        ] {
            assert!(Message::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn written_messages_parse() {
        let mut out = String::new();
        write_request(&mut out, &7_u64, "transact", "[\"db\"]");
        assert!(matches!(Message::parse(&out), Ok(Message::Request { id, .. }) if id.text == "7"));
        out.clear();
        write_notification(&mut out, "cancel", "[7]");
        assert!(matches!(
            Message::parse(&out),
            Ok(Message::Notification { .. })
        ));
        out.clear();
        write_reply(&mut out, "7", "[]");
        assert!(matches!(
            Message::parse(&out),
            Ok(Message::Reply { outcome: Ok(_), .. })
        ));
        out.clear();
        write_failure(&mut out, "7", "\"no\"");
        assert!(matches!(
            Message::parse(&out),
            Ok(Message::Reply {
                outcome: Err(_),
                ..
            })
        ));
    }
}
