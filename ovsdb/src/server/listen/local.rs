//! A connection on a unix socket.

use std::io::{self, Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::net;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::UnixStream;

/// How many bytes are read at once; this much of the buffer is zeroed first.
const READ: usize = 8 * 1024;
/// About how many bytes are read before the received messages are handled.
const MOST: usize = 64 * 1024;

/// A connection on a unix socket. The runtime watches it for reading; for writing only from the time
/// it is full until everything was written.
///
/// tokio's streams always watch both directions, and the kernel reports room for writing each time the
/// client reads. With many monitoring clients, most wake-ups of the server would be for that.
#[derive(Debug)]
pub(crate) struct LocalStream {
    socket: AsyncFd<net::UnixStream>,
    /// A duplicate of the socket, registered for writing; kept from the time there is no room to write until
    /// everything was written.
    full: Option<AsyncFd<net::UnixStream>>,
}

impl LocalStream {
    pub(crate) fn new(stream: UnixStream) -> io::Result<Self> {
        let socket = register(stream.into_std()?, Interest::READABLE)?;
        Ok(Self { socket, full: None })
    }

    /// Writes once there is room.
    fn poll_io(
        &mut self,
        context: &mut Context<'_>,
        write: impl Fn(&net::UnixStream) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        loop {
            let Some(full) = &self.full else {
                match write(self.socket.get_ref()) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        let same = self.socket.get_ref().try_clone()?;
                        self.full = Some(register(same, Interest::WRITABLE)?);
                        continue;
                    }
                    written => return Poll::Ready(written),
                }
            };
            let mut room = ready!(full.poll_write_ready(context))?;
            if let Ok(written) = room.try_io(|socket| write(socket.get_ref())) {
                return Poll::Ready(written);
            }
        }
    }
}

#[expect(
    deprecated,
    reason = "the replacement is unsafe, since a descriptor may be closed elsewhere; a stream owns its descriptor"
)]
fn register(socket: net::UnixStream, interest: Interest) -> io::Result<AsyncFd<net::UnixStream>> {
    AsyncFd::with_interest(socket, interest)
}

impl AsyncRead for LocalStream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        while buffer.remaining() > 0 && buffer.filled().len() - before < MOST {
            let has_some = buffer.filled().len() > before;
            let mut arrived = match self.socket.poll_read_ready(context) {
                Poll::Ready(arrived) => arrived?,
                Poll::Pending if has_some => break,
                Poll::Pending => return Poll::Pending,
            };
            let length = buffer.remaining().min(READ);
            let unfilled = buffer.initialize_unfilled_to(length);
            let Ok(received) = arrived.try_io(|socket| socket.get_ref().read(unfilled)) else {
                continue;
            };
            let count = match received {
                Ok(count) => count,
                // The next call reports the end of the stream.
                Err(_) if has_some => break,
                Err(error) => return Poll::Ready(Err(error)),
            };
            buffer.advance(count);
            if count < length {
                // Nothing more can be read now. The end of the stream is not lost, since later reads
                // report it again.
                if count > 0 {
                    arrived.clear_ready();
                }
                break;
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for LocalStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_io(context, |mut socket| socket.write(bytes))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_io(context, |mut socket| socket.write_vectored(pieces))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// Everything was written: stop watching for room.
    fn poll_flush(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.full = None;
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.socket.get_ref().shutdown(Shutdown::Write))
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[tokio::test]
    async fn a_socket_that_is_full_is_written_to_when_there_is_room() {
        let (own, mut peer) = UnixStream::pair().expect("sockets");
        let mut own = LocalStream::new(own).expect("registered");
        let text = vec![b'x'; 1024 * 1024];
        let mut received = Vec::new();
        let writing = async {
            own.write_all(&text).await.expect("written");
            assert!(own.full.is_some());
            own.flush().await.expect("flushed");
            assert!(own.full.is_none());
            own.shutdown().await.expect("shut down");
        };
        let reading = async {
            // The socket is full now.
            tokio::task::yield_now().await;
            peer.read_to_end(&mut received).await.expect("read");
        };
        tokio::join!(writing, reading);
        assert_eq!(received, text);

        peer.write_all(b"one").await.expect("written");
        let mut bytes = [0; 8];
        assert_eq!(own.read(&mut bytes).await.expect("read"), 3);
        let (count, written) = tokio::join!(own.read(&mut bytes), peer.write(b"two"));
        assert_eq!((count.expect("read"), written.expect("written")), (3, 3));
        let long = vec![b'x'; 3 * READ + 1];
        peer.write_all(&long).await.expect("written");
        let mut buffer = vec![0; 2 * READ];
        assert_eq!(own.read(&mut buffer).await.expect("read"), 2 * READ);
        assert_eq!(own.read(&mut buffer).await.expect("read"), READ + 1);
        // The bytes fill exactly one system call, so the next one would block. The end of the stream is
        // reported all the same.
        peer.write_all(&long[..READ]).await.expect("written");
        assert_eq!(own.read(&mut buffer).await.expect("read"), READ);
        drop(peer);
        assert_eq!(own.read(&mut bytes).await.expect("the end"), 0);
        let error = own
            .write_all(b"x")
            .await
            .expect_err("the other end is closed");
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    }

    #[tokio::test]
    async fn a_reset_is_an_error_if_nothing_arrived_before() {
        let (own, peer) = UnixStream::pair().expect("sockets");
        let mut own = LocalStream::new(own).expect("registered");
        own.write_all(b"unread").await.expect("written");
        drop(peer);
        let error = own.read(&mut [0; 8]).await.expect_err("a reset");
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    }

    #[tokio::test]
    async fn what_arrived_before_a_reset_is_not_lost() {
        let (own, mut peer) = UnixStream::pair().expect("sockets");
        let mut own = LocalStream::new(own).expect("registered");
        peer.write_all(&[b'x'; READ]).await.expect("written");
        own.write_all(b"unread").await.expect("written");
        // The system resets the connection, since there are bytes that the peer has not read.
        drop(peer);
        let mut buffer = vec![0; 2 * READ];
        assert_eq!(own.read(&mut buffer).await.expect("read"), READ);
        assert_eq!(own.read(&mut buffer).await.expect("the end"), 0);
    }
}
