//! A proxy between a client and a real server, which can send what the server would not.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::broadcast;
use tokio::task::JoinHandle;

/// Bytes to send, and how many times.
#[derive(Debug, Clone)]
struct Injection {
    bytes: Arc<[u8]>,
    times: u64,
}

/// Forwards every byte, and sends other bytes to clients on request, as if they came from the
/// server.
pub struct Interposer {
    port: u16,
    injections: broadcast::Sender<Injection>,
    injected: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

impl Interposer {
    /// Starts a proxy for the server with this socket. The first clients are not connected to the server:
    /// each gets one of `greetings`, and nothing else.
    pub async fn start(socket: std::path::PathBuf, greetings: Vec<Vec<u8>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (injections, _) = broadcast::channel::<Injection>(16);
        let injected = Arc::new(AtomicU64::new(0));
        let (sender, counter) = (injections.clone(), injected.clone());
        let task = tokio::spawn(async move {
            let mut greetings = greetings.into_iter();
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((mut client, _)) = listener.accept().await {
                match greetings.next() {
                    Some(greeting) => drop(connections.spawn(async move {
                        let _ = client.write_all(&greeting).await;
                        let mut sink = [0; 1024];
                        while client.read(&mut sink).await.is_ok_and(|count| count > 0) {}
                    })),
                    None => {
                        let server = UnixStream::connect(&socket).await.unwrap();
                        let injections = sender.subscribe();
                        let counter = counter.clone();
                        connections.spawn(async move {
                            // An error is the end of the connection, which the client sees.
                            let _ = pass(client, server, injections, counter).await;
                        });
                    }
                }
            }
        });
        Self {
            port,
            injections,
            injected,
            task,
        }
    }

    pub fn remote(&self) -> String {
        format!("tcp:127.0.0.1:{}", self.port)
    }

    /// Sends `bytes` this many times to all clients. The server must not send at the same time, or `bytes`
    /// may land in the middle of a message.
    pub fn inject(&self, bytes: impl Into<Arc<[u8]>>, times: u64) {
        let bytes = bytes.into();
        self.injections.send(Injection { bytes, times }).unwrap();
    }

    /// How many bytes were injected so far, over all connections.
    pub fn injected(&self) -> u64 {
        self.injected.load(Ordering::Relaxed)
    }
}

impl Drop for Interposer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Forwards a connection in both directions, and injects into it, until either side ends it.
async fn pass(
    mut client: TcpStream,
    mut server: UnixStream,
    mut injections: broadcast::Receiver<Injection>,
    injected: Arc<AtomicU64>,
) -> std::io::Result<()> {
    let (mut up, mut down) = (vec![0; 64 * 1024], vec![0; 64 * 1024]);
    loop {
        tokio::select! {
            count = client.read(&mut up) => match count? {
                0 => return Ok(()),
                count => server.write_all(&up[..count]).await?,
            },
            count = server.read(&mut down) => match count? {
                0 => return Ok(()),
                count => client.write_all(&down[..count]).await?,
            },
            Ok(injection) = injections.recv() => {
                for _ in 0..injection.times {
                    client.write_all(&injection.bytes).await?;
                    injected.fetch_add(injection.bytes.len() as u64, Ordering::Relaxed);
                }
            }
        }
    }
}
