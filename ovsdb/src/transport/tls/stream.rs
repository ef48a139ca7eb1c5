//! The two halves of a TLS stream.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::client::TlsStream;

use super::error::{ClientCertificate, TlsError};

struct Shared<S> {
    stream: TlsStream<S>,
    client: ClientCertificate,
    /// The task that waits to write.
    writer: Option<Waker>,
}

/// The half for reading. Reading also sends what TLS has not sent yet: data that the socket had no room
/// for, and TLS's own messages.
pub(super) struct TlsReadHalf<S>(Arc<Mutex<Shared<S>>>);

/// The half for writing.
pub(super) struct TlsWriteHalf<S>(Arc<Mutex<Shared<S>>>);

/// Splits a stream. `client` determines what an alert of the server means.
pub(super) fn split<S>(
    stream: TlsStream<S>,
    client: ClientCertificate,
) -> (TlsReadHalf<S>, TlsWriteHalf<S>) {
    let shared = Arc::new(Mutex::new(Shared {
        stream,
        client,
        writer: None,
    }));
    (TlsReadHalf(shared.clone()), TlsWriteHalf(shared))
}

/// Nothing panics while the lock is held, and the stream would stay valid anyway.
fn lock<S>(shared: &Mutex<Shared<S>>) -> MutexGuard<'_, Shared<S>> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for TlsReadHalf<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let shared = &mut *lock(&self.0);
        // The error of a failed flush is ignored, since what the server sent before can still be read.
        if Pin::new(&mut shared.stream).poll_flush(context).is_ready()
            && let Some(writer) = shared.writer.take()
        {
            writer.wake();
        }
        match Pin::new(&mut shared.stream).poll_read(context, buffer) {
            // A killed server does not end TLS properly. This is harmless: a truncated message is never
            // handled, since the framer returns whole messages only.
            Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(TlsError::in_io(error, shared.client))),
            other => other,
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for TlsWriteHalf<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let shared = &mut *lock(&self.0);
        let written = Pin::new(&mut shared.stream).poll_write(context, bytes);
        match written {
            Poll::Ready(Ok(count)) => Poll::Ready(Ok(count)),
            // With TLS 1.3, a server refuses the client's certificate only after the handshake, and
            // closes the connection. Writing then fails, but reading returns the server's alert with
            // the reason.
            Poll::Ready(Err(_)) => Poll::Pending,
            Poll::Pending => {
                shared.writer = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut lock(&self.0).stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut lock(&self.0).stream).poll_shutdown(context)
    }
}
