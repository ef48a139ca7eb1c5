//! The fuzz targets `framing`, `message` and `replica`: what holds for any bytes that a peer may send.

#![allow(unreachable_pub, reason = "a module of two crates")]

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use bytes::{Bytes, BytesMut};
use ovsdb::protocol::{
    FrameError, Framer, Json, Limits, LockReply, Message, MonitorSinceReply, Notification,
    OperationResult, OvsdbError, Request, TableUpdates, TableUpdates2, Wire,
};
use ovsdb::schema::DatabaseSchema;
use ovsdb::testing::Replay;
use ovsdb::value::json::Raw;
use ovsdb::{Row, Snapshot, Table, Uuid};

use super::inventory::{Database, Item, Part, Slot};

/// Small limits, so that the fuzzer's inputs reach them.
const LIMITS: Limits = Limits::new().message_bytes(4096).depth(24);

/// A stream is split into the same messages wherever its reads end.
///
/// The first byte is the number of read lengths that follow; the rest is the stream.
///
/// # Panics
/// When it is split differently, a message is neither an object nor an array, or the framer fails at the end for
/// another reason than a truncated message.
pub fn framing(data: &[u8]) {
    let Some((&count, rest)) = data.split_first() else {
        return;
    };
    let (cuts, stream) = rest.split_at(usize::from(count).min(rest.len()));
    let whole = frames(stream, &[]);
    assert_eq!(frames(stream, cuts), whole, "cut into {cuts:?}");
    let bytes = vec![1; stream.len()];
    assert_eq!(frames(stream, &bytes), whole, "byte by byte");
    assert_eq!(found(stream), whole, "by the framer alone");
}

/// The messages of a stream, and whether the stream is invalid or truncated after them.
#[derive(Debug, PartialEq, Eq)]
struct Frames {
    messages: Vec<Bytes>,
    broken: bool,
}

/// The messages of a stream that arrives in reads of these lengths; the rest arrives in one read.
fn frames(stream: &[u8], reads: &[u8]) -> Frames {
    let mut framer = Framer::new(LIMITS);
    let mut buffer = BytesMut::new();
    let mut messages = Vec::new();
    let mut rest = stream;
    for length in reads
        .iter()
        .map(|length| usize::from(*length))
        .chain([stream.len()])
    {
        let (read, behind) = rest.split_at(length.min(rest.len()));
        rest = behind;
        buffer.extend_from_slice(read);
        loop {
            match framer.take(&mut buffer) {
                Ok(Some(message)) => messages.push(message),
                Ok(None) => break,
                Err(_) => {
                    return Frames {
                        messages,
                        broken: true,
                    };
                }
            }
        }
    }
    let broken = match framer.end() {
        Ok(()) => false,
        Err(FrameError::Truncated) => true,
        Err(other) => panic!("the buffer was read to its end, and then: {other:?}"),
    };
    Frames { messages, broken }
}

/// The messages that the framer finds when the whole stream is in one buffer.
fn found(stream: &[u8]) -> Frames {
    let mut framer = Framer::new(LIMITS);
    let mut messages = Vec::new();
    let mut rest = stream;
    loop {
        match framer.find(rest) {
            Ok(Some(range)) => {
                let message = &rest[range.clone()];
                assert!(matches!(message, [b'{' | b'[', .., b'}' | b']']));
                messages.push(Bytes::copy_from_slice(message));
                rest = &rest[range.end..];
            }
            Ok(None) => {
                let broken = framer.end().is_err();
                return Frames { messages, broken };
            }
            Err(_) => {
                return Frames {
                    messages,
                    broken: true,
                };
            }
        }
    }
}

/// Any text is a message or an error, and a message that is parsed and written again stays the same.
///
/// # Panics
/// When it does not, or the lenient parser reads a valid schema differently.
pub fn message(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    // The text may also be a schema, without the message that would carry it.
    if let Ok(schema) = DatabaseSchema::parse(text) {
        assert_eq!(DatabaseSchema::parse_lenient(text), Ok(schema));
    }
    let Ok(message) = Message::parse(text) else {
        return;
    };
    match message {
        Message::Request { id, method, params } => {
            assert_ne!(id.text, "null");
            request(&method, params);
        }
        Message::Notification { method, params } => notification(&method, params),
        Message::Reply {
            outcome: Ok(result),
            ..
        } => {
            same::<Vec<OperationResult>>(result);
            same::<MonitorSinceReply>(result);
            same::<TableUpdates>(result);
            same::<TableUpdates2>(result);
            same::<LockReply>(result);
            same::<Json>(result);
        }
        Message::Reply {
            outcome: Err(error),
            ..
        } => same::<OvsdbError>(error),
    }
}

fn request(method: &str, params: Raw<'_>) {
    let Ok(request) = Request::parse(method, params) else {
        return;
    };
    assert_eq!(request.method(), method);
    let mut written = String::new();
    if request.write_params(&mut written).is_err() {
        // The request has a real that servers write but refuse to read, so it cannot be sent.
        return;
    }
    assert_eq!(
        Request::parse(method, raw(&written)),
        Ok(request),
        "{written}"
    );
}

fn notification(method: &str, params: Raw<'_>) {
    let Ok(notification) = Notification::parse(method, params) else {
        return;
    };
    assert_eq!(notification.method(), method);
    let mut written = String::new();
    notification.write_params(&mut written);
    assert_eq!(
        Notification::parse(method, raw(&written)),
        Ok(notification),
        "{written}"
    );
}

/// A text that parses as `T` is written and parsed again as the same `T`.
fn same<T: Wire + PartialEq + std::fmt::Debug>(raw: Raw<'_>) {
    if let Ok(value) = T::from_json(raw.text) {
        let written = value.to_json();
        assert_eq!(T::from_json(&written), Ok(value), "{written}");
    }
}

const fn raw(text: &str) -> Raw<'_> {
    Raw { text, offset: 0 }
}

/// A message of any kind is applied entirely or not at all, and the indexes of the replica agree with its
/// rows.
///
/// The input is a stream of messages; a message that cannot be applied is skipped.
///
/// # Panics
/// When that does not hold.
pub fn replica(data: &[u8]) {
    static SCHEMA: LazyLock<DatabaseSchema> = LazyLock::new(|| {
        let schema = include_str!("../../ovsdb/tests/files/inventory.ovsschema");
        DatabaseSchema::parse(schema).expect("a good schema")
    });
    let mut replay = Replay::<Database>::new(&SCHEMA);
    for message in frames(data, &[]).messages {
        let Ok(text) = std::str::from_utf8(&message) else {
            continue;
        };
        let before = Rows::of(&replay.snapshot());
        let applied = replay.receive(text);
        let view = replay.snapshot();
        if applied.is_err() {
            assert_eq!(Rows::of(&view), before, "half of {text}");
        }
        indexes_agree(&view);
    }
}

/// All rows, in order.
#[derive(Debug, PartialEq)]
pub struct Rows {
    items: BTreeMap<Uuid, Arc<Row<Item>>>,
    parts: BTreeMap<Uuid, Arc<Row<Part>>>,
    slots: BTreeMap<Uuid, Arc<Row<Slot>>>,
}

impl Rows {
    /// The rows of this snapshot.
    pub fn of(view: &Snapshot<Database>) -> Self {
        Self {
            items: sorted(view),
            parts: sorted(view),
            slots: sorted(view),
        }
    }
}

fn sorted<T: Table<Database = Database>>(view: &Snapshot<Database>) -> BTreeMap<Uuid, Arc<Row<T>>> {
    view.table::<T>()
        .rows_shared()
        .map(|row| (row.uuid(), row))
        .collect()
}

/// Checks that the indexes of a snapshot find its rows.
pub fn indexes_agree(view: &Snapshot<Database>) {
    let mut keys = BTreeMap::new();
    for row in view.rows::<Item>() {
        assert_eq!(view.get(row.reference()), Some(row));
        keys.entry(row.name.clone())
            .or_insert_with(Vec::new)
            .push(row);
    }
    assert_eq!(view.rows::<Item>().count(), view.rows::<Item>().len());
    for (name, rows) in keys {
        // A peer may send two rows with the same key; the index then finds one of them.
        let found = view.get_by(Item::NAME, name.as_str()).expect("indexed");
        assert!(rows.contains(&found));
        let (row, key) = (rows[0], (&rows[0].count, &rows[0].total));
        let found = view.get_by(Item::COUNT_AND_TOTAL, key).expect("indexed");
        assert_eq!((found.count, found.total), (row.count, row.total));
    }
}
