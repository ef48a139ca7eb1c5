//! The protocol: framing, messages, operations, conditions, updates and errors of RFC 7047 and of
//! ovsdb-server's extensions (ovsdb-server(7)).
//!
//! Nothing here does I/O or reads a clock. The types on the wire can be both read and written, most by
//! [`Wire`], so client and server share them.

mod check;
mod condition;
mod error;
mod framing;
mod message;
mod monitor;
mod mutation;
mod notification;
mod operation;
mod request;
mod update;
mod wire;

pub use self::check::{InvalidReason, InvalidValue};
pub(crate) use self::check::{check_conditions, check_operations, check_text};
pub use self::condition::{Clause, Function};
pub use self::error::{ErrorKind, OvsdbError};
pub use self::framing::{FrameError, Framer, Limits};
pub(crate) use self::message::write_request_head;
pub use self::message::{Message, write_failure, write_notification, write_reply, write_request};
pub use self::monitor::{MonitorRequest, MonitorRequests, MonitorVersion, Select};
pub use self::mutation::{Mutation, Mutator};
pub use self::notification::Notification;
pub use self::operation::{Columns, Operation, OperationResult, Until};
pub use self::request::{LockReply, Request};
pub use self::update::{
    MonitorSinceReply, RowUpdate, RowUpdate2, TableUpdates, TableUpdates2, UpdateHeader,
};
pub use self::wire::{Json, Wire};
