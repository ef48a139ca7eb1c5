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
    /// Who waits to write.
    writer: Option<Waker>,
}

/// The half that is read from. Reading also sends what TLS has not sent yet: records that the
/// socket had no room for, and TLS's own answers.
pub(super) struct TlsReadHalf<S>(Arc<Mutex<Shared<S>>>);

/// The half that is written to.
pub(super) struct TlsWriteHalf<S>(Arc<Mutex<Shared<S>>>);

/// Splits a stream. `client` says what an alert of the server means.
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

/// Nothing panics under the lock, and the stream is sound in any case.
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
        // A stream that cannot be written to any more still has the server's last words.
        if Pin::new(&mut shared.stream).poll_flush(context).is_ready()
            && let Some(writer) = shared.writer.take()
        {
            writer.wake();
        }
        match Pin::new(&mut shared.stream).poll_read(context, buffer) {
            // A server that is killed says no farewell; messages show themselves where they end.
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
            // With TLS 1.3 a server refuses our certificate after the handshake, and closes the
            // connection on what we have sent by then. The reason is there to be read.
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
