//! The tokio task of a session: it owns the socket and the clock, and carries out what the [`Machine`]
//! decides.

use std::future::Future as _;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinError, JoinHandle};
use tracing::Instrument as _;

use super::command::{Call, CallError, Order};
use super::job::{Decoded, Job};
use super::machine::{Machine, Output};
use super::{Options, Shared};
use crate::error::{DisconnectReason, Disconnected, Error};
use crate::transport::{self, ConnectError, ReadHalf, TlsConfig, WriteHalf};

/// The time allowed for closing a connection.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

type Connected = Result<(ReadHalf, WriteHalf), ConnectError>;

/// The task's state.
pub(super) struct Driver {
    /// Dropped first: a caller that gets no answer looks whether orders are still taken.
    orders: mpsc::UnboundedReceiver<Order>,
    machine: Machine,
    tls: Option<TlsConfig>,
    calls: mpsc::Receiver<Call>,
    attempt: Option<JoinHandle<Connected>>,
    stream: Option<(ReadHalf, WriteHalf)>,
    decoding: Option<JoinHandle<Decoded>>,
    /// Whether every handle was dropped.
    no_handles: bool,
}

/// What woke the task.
enum Event {
    Received(io::Result<usize>),
    Transmitted(io::Result<usize>),
    Connected(Result<Connected, JoinError>),
    Call(Option<Call>),
    Order(Option<Order>),
    Decoded(Result<Decoded, JoinError>),
    Timeout,
}

impl Driver {
    pub(super) fn new(
        options: Options,
        calls: mpsc::Receiver<Call>,
        orders: mpsc::UnboundedReceiver<Order>,
        shared: Arc<Shared>,
        first: oneshot::Sender<Result<(), Error>>,
    ) -> Self {
        let tls = options.tls.clone();
        let machine = Machine::new(now(), fastrand::u64(..), options, shared, first);
        Self {
            orders,
            machine,
            tls,
            calls,
            attempt: None,
            stream: None,
            decoding: None,
            no_handles: false,
        }
    }

    /// Runs the session until it is over.
    pub(super) async fn run(mut self) {
        loop {
            while let Some(output) = self.machine.poll_output(now()) {
                match output {
                    Output::Connect(remote) => {
                        let tls = self.tls.clone();
                        let attempt =
                            async move { transport::connect(&remote, tls.as_ref()).await };
                        self.attempt = Some(tokio::spawn(attempt.in_current_span()));
                    }
                    Output::Disconnect => self.disconnect(),
                    Output::Decode(job) => {
                        self.decoding = Some(decode(job));
                    }
                    Output::Published => tokio::task::yield_now().await,
                    Output::Ended(lost) => return self.end(lost).await,
                }
            }
            if self.machine.is_closing() {
                self.calls.close();
            }
            let event = self.event().await;
            self.handle(event);
        }
    }

    async fn event(&mut self) -> Event {
        let takes_calls = self.machine.takes_calls();
        let timeout = self
            .machine
            .poll_timeout()
            .map(tokio::time::Instant::from_std);
        let (buffer, bytes) = self.machine.buffers();
        let (read, write) = match &mut self.stream {
            Some((read, write)) => (Some(read), Some(write)),
            None => (None, None),
        };
        tokio::select! {
            decoded = join(&mut self.decoding) => Event::Decoded(decoded),
            order = self.orders.recv(), if !self.no_handles => Event::Order(order),
            received = async { match (read, buffer) {
                (Some(read), Some(buffer)) => read.read_buf(buffer).await,
                _ => std::future::pending().await,
            }} => Event::Received(received),
            transmitted = async { match write {
                Some(write) if !bytes.is_empty() => write.write(bytes).await,
                _ => std::future::pending().await,
            }} => Event::Transmitted(transmitted),
            call = self.calls.recv(), if takes_calls => Event::Call(call),
            connected = join(&mut self.attempt) => Event::Connected(connected),
            () = async { match timeout {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }} => Event::Timeout,
        }
    }

    fn handle(&mut self, event: Event) {
        let machine = &mut self.machine;
        match event {
            Event::Received(Ok(count)) => machine.handle_received(now(), count),
            Event::Received(Err(error)) => machine.handle_read_failed(now(), error.into()),
            Event::Transmitted(Ok(0)) => machine.handle_write_failed(DisconnectReason::ByServer),
            Event::Transmitted(Ok(count)) => machine.handle_transmitted(count),
            Event::Transmitted(Err(error)) => machine.handle_write_failed(error.into()),
            Event::Connected(connected) => {
                self.attempt = None;
                let connected =
                    connected.unwrap_or_else(|error| Err(io::Error::other(error).into()));
                let connected = connected.map(|stream| self.stream = Some(stream));
                self.machine.handle_connected(now(), connected);
            }
            Event::Call(Some(call)) => machine.handle_call(call),
            Event::Call(None) => machine.handle_drained(),
            Event::Order(None) => {
                self.no_handles = true;
                self.machine.handle_drained();
            }
            Event::Order(Some(order)) => machine.handle_order(now(), order),
            Event::Decoded(decoded) => {
                self.decoding = None;
                match decoded {
                    Ok(decoded) => self.machine.handle_decoded(now(), decoded),
                    Err(error) => self.machine.handle_decode_lost(now(), error.is_panic()),
                }
            }
            // If bytes wait to be read, the peer is not silent: read them before the time limit is
            // checked.
            Event::Timeout => self.try_read(),
        }
    }

    /// Reads what can be read without waiting.
    fn try_read(&mut self) {
        let (Some((read, _)), (Some(buffer), _)) = (&mut self.stream, self.machine.buffers())
        else {
            return;
        };
        let mut attempt = std::pin::pin!(read.read_buf(buffer));
        let mut context = Context::from_waker(Waker::noop());
        if let Poll::Ready(received) = attempt.as_mut().poll(&mut context) {
            self.handle(Event::Received(received));
        }
    }

    fn disconnect(&mut self) {
        if let Some(attempt) = self.attempt.take() {
            attempt.abort();
        }
        self.stream = None;
    }

    /// Tells all waiting callers that the session is over.
    async fn end(mut self, lost: Disconnected) {
        if let Some((_, mut write)) = self.stream.take() {
            let _ = tokio::time::timeout(CLOSE_TIMEOUT, write.shutdown()).await;
        }
        self.disconnect();
        let mut closers = self.machine.finish(&lost);
        self.orders.close();
        self.calls.close();
        while let Some(call) = self.calls.recv().await {
            let _ = call.reply.send(Err(CallError::NotSent(lost.clone())));
        }
        while let Ok(order) = self.orders.try_recv() {
            if let Order::Close { done } = order {
                closers.push(done);
            }
        }
        if let Some(decoding) = self.decoding.take() {
            // Wait for the job: it holds a replica, whose streams end only when the job drops it.
            let _ = decoding.await;
        }
        for done in closers {
            let _ = done.send(());
        }
    }
}

/// Runs a job on one of tokio's threads for blocking work.
#[cfg(not(simulation))]
fn decode(job: Box<Job>) -> JoinHandle<Decoded> {
    tokio::task::spawn_blocking(move || job.run())
}

/// Runs a job on this thread, after a delay that stands for the time it takes.
#[cfg(simulation)]
fn decode(job: Box<Job>) -> JoinHandle<Decoded> {
    let took = Duration::from_millis(fastrand::u64(0..40));
    tokio::spawn(async move {
        tokio::time::sleep(took).await;
        job.run()
    })
}

fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

async fn join<T>(task: &mut Option<JoinHandle<T>>) -> Result<T, JoinError> {
    match task {
        Some(task) => task.await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::parse_remotes;

    #[tokio::test]
    async fn bytes_that_have_arrived_are_read_before_a_time_limit_is_checked() {
        let options = Options {
            remotes: parse_remotes("tcp:192.0.2.1:6641").expect("remotes"),
            ..Options::new("Inventory")
        };
        let (_calls, calls) = mpsc::channel(1);
        let (_orders, orders) = mpsc::unbounded_channel();
        let (first, _connected) = oneshot::channel();
        let shared = Arc::new(Shared::new("Inventory"));
        let mut driver = Driver::new(options, calls, orders, shared, first);
        let output = driver.machine.poll_output(now());
        assert!(matches!(output, Some(Output::Connect(_))));
        let (stream, mut peer) = tokio::io::duplex(64);
        let (read, write) = tokio::io::split(stream);
        driver.handle(Event::Connected(Ok(Ok((Box::new(read), Box::new(write))))));
        peer.write_all(b"{").await.expect("sent");
        driver.handle(Event::Timeout);
        let (buffer, _) = driver.machine.buffers();
        assert_eq!(buffer.map(|buffer| &buffer[..]), Some(&b"{"[..]));
    }
}
