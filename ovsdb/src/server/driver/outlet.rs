//! The outgoing half of a connection. Both its session's task and the task of a session whose
//! transaction causes an update write to it. So no task has to be woken for each client that monitors a
//! change.

use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};
use std::task::{Context, Poll, Waker, ready};

use bytes::{Buf as _, Bytes};
use smallvec::SmallVec;
use tokio::io::AsyncWrite;
use tokio::sync::Notify;
use tokio::task::coop::unconstrained;

/// How many pieces are written in one call.
const PIECES: usize = 8;

/// The outgoing half of a connection.
#[derive(Debug)]
pub(super) struct Outlet {
    waker: Notify,
    output: Mutex<Output>,
}

/// A stream, and what is to be written to it.
pub(super) struct Output {
    stream: Box<dyn AsyncWrite + Send + Unpin>,
    unsent: VecDeque<Bytes>,
    /// Whether everything that was written has left the stream's own buffers (those of TLS).
    is_flushed: bool,
    /// The bytes written since the count was last taken.
    sent: usize,
    /// Whether only the session's task may write.
    is_reserved: bool,
}

impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Output")
            .field("unsent", &self.unsent.len())
            .finish_non_exhaustive()
    }
}

impl Outlet {
    pub(super) fn new(stream: impl AsyncWrite + Send + Unpin + 'static) -> Self {
        Self {
            waker: Notify::new(),
            output: Mutex::new(Output {
                stream: Box::new(stream),
                unsent: VecDeque::new(),
                is_flushed: true,
                sent: 0,
                is_reserved: false,
            }),
        }
    }

    /// Wakes the session's task.
    pub(super) fn wake(&self) {
        self.waker.notify_one();
    }

    /// Waits to be woken.
    pub(super) async fn woken(&self) {
        self.waker.notified().await;
    }

    /// Locks the output, for the session's task.
    pub(super) fn lock(&self) -> MutexGuard<'_, Output> {
        self.output.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Locks the output, for other tasks; `None` while another task is writing.
    pub(super) fn try_lock(&self) -> Option<MutexGuard<'_, Output>> {
        match self.output.try_lock() {
            Ok(output) => Some(output),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    /// Writes until there is progress to report. Returns how many bytes were written.
    pub(super) async fn send(&self) -> io::Result<usize> {
        poll_fn(|cx| {
            let mut output = self.lock();
            let polled = output.poll_send(cx);
            let sent = output.take_sent();
            match polled {
                Poll::Pending if sent == 0 => Poll::Pending,
                Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
                Poll::Pending | Poll::Ready(Ok(())) => Poll::Ready(Ok(sent)),
            }
        })
        .await
    }

    /// Closes the connection's outgoing half.
    pub(super) async fn shut_down(&self) -> io::Result<()> {
        poll_fn(|cx| Pin::new(&mut self.lock().stream).poll_shutdown(cx)).await
    }
}

impl Output {
    /// Whether everything was written.
    pub(super) fn is_idle(&self) -> bool {
        self.unsent.is_empty() && self.is_flushed
    }

    /// Whether tasks other than the session's may write.
    pub(super) const fn is_shared(&self) -> bool {
        !self.is_reserved
    }

    /// Lets only the session's task write from now on.
    pub(super) const fn reserve(&mut self) {
        self.is_reserved = true;
    }

    /// Lets `take` add bytes to the queue, to be written next. Called only for an idle output.
    pub(super) fn refill(&mut self, take: impl FnOnce(&mut VecDeque<Bytes>)) {
        take(&mut self.unsent);
    }

    /// How many bytes were written since the last call.
    pub(super) const fn take_sent(&mut self) -> usize {
        std::mem::replace(&mut self.sent, 0)
    }

    /// Writes what the stream accepts at once. Returns whether that was everything. The output must have
    /// been idle before it was refilled: otherwise the session's task is waiting to write, and this call
    /// would replace its waker. If not everything was written, the caller must wake that task.
    pub(super) fn send_now(&mut self) -> bool {
        // Do not spend the scheduling budget of the task that runs this, which is for its own work.
        let sending = pin!(unconstrained(poll_fn(|cx| Poll::Ready(self.poll_send(cx)))));
        let polled = sending.poll(&mut Context::from_waker(Waker::noop()));
        matches!(polled, Poll::Ready(Poll::Ready(Ok(()))))
    }

    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(first) = self.unsent.front() {
            self.is_flushed = false;
            let mut stream = Pin::new(&mut self.stream);
            let written = if self.unsent.len() == 1 {
                stream.as_mut().poll_write(cx, first)
            } else {
                let pieces = self.unsent.iter().take(PIECES);
                let pieces: SmallVec<[IoSlice<'_>; PIECES]> =
                    pieces.map(|bytes| IoSlice::new(bytes)).collect();
                stream.as_mut().poll_write_vectored(cx, &pieces)
            };
            match ready!(written)? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                count => self.advance(count),
            }
        }
        if !self.is_flushed {
            ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
            self.is_flushed = true;
        }
        Poll::Ready(Ok(()))
    }

    fn advance(&mut self, mut count: usize) {
        self.sent += count;
        while let Some(first) = self.unsent.front_mut() {
            let own = count.min(first.len());
            first.advance(own);
            count -= own;
            if !first.is_empty() {
                break;
            }
            self.unsent.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt as _;

    use super::*;

    #[tokio::test]
    async fn what_a_stream_takes_is_sent_at_once_and_the_rest_by_the_task() {
        let (stream, mut peer) = tokio::io::duplex(8);
        let outlet = Outlet::new(stream);
        {
            let mut output = outlet.try_lock().expect("no other task writes");
            assert!(outlet.try_lock().is_none());
            output.refill(|unsent| unsent.extend([&b"one,"[..], b"two,"].map(Bytes::from_static)));
            assert!(output.send_now());
            assert!(output.is_idle());
            output.refill(|unsent| unsent.push_back(Bytes::from_static(b"three,")));
            assert!(!output.send_now());
            assert_eq!(output.take_sent(), 8);
            assert!(!output.is_idle());
        }

        let mut received = String::new();
        let reading = async {
            peer.read_to_string(&mut received).await.expect("text");
        };
        let sending = async {
            assert_eq!(outlet.send().await.expect("sent"), 6);
            assert!(outlet.lock().is_idle());
            outlet.shut_down().await.expect("shut down");
        };
        tokio::join!(reading, sending);
        assert_eq!(received, "one,two,three,");
    }
}
