//! The trace of a run: a hash over everything that happened, which is the same in every run of a seed, and
//! the text if it is wanted.

use std::cell::RefCell;
use std::fmt::Write as _;

use tokio::time::Instant;

/// A trace. Each thread has its own, since a run takes one thread.
#[derive(Debug, Default)]
struct Trace {
    started: Option<Instant>,
    keep: bool,
    hash: u64,
    lines: Vec<String>,
    line: String,
}

thread_local! {
    static TRACE: RefCell<Trace> = RefCell::default();
}

/// Begins a trace at the current virtual time, with or without its text.
pub(crate) fn begin(keep: bool) {
    TRACE.set(Trace {
        started: Some(Instant::now()),
        keep,
        hash: 0xcbf2_9ce4_8422_2325,
        ..Trace::default()
    });
}

/// Ends the trace, and returns its hash and its text.
pub(crate) fn end() -> (u64, Vec<String>) {
    let trace = TRACE.take();
    (trace.hash, trace.lines)
}

/// The milliseconds since the run began.
pub(crate) fn elapsed() -> u64 {
    TRACE.with_borrow(|trace| {
        let elapsed = trace.started.map(|started| started.elapsed());
        elapsed.map_or(0, |elapsed| {
            u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)
        })
    })
}

/// Adds a line to the trace.
pub(crate) fn write(what: std::fmt::Arguments<'_>) {
    let at = elapsed();
    TRACE.with_borrow_mut(|trace| {
        let mut line = std::mem::take(&mut trace.line);
        line.clear();
        let _ = write!(line, "{:>4}.{:03}  {what}", at / 1000, at % 1000);
        for byte in line.bytes() {
            trace.hash = (trace.hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        if trace.keep {
            trace.lines.push(line.clone());
        }
        trace.line = line;
    });
}

/// Adds a line to the trace, formatted as by `println!`.
macro_rules! note {
    ($($what:tt)*) => {
        crate::trace::write(format_args!($($what)*))
    };
}
pub(crate) use note;
