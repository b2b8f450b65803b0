//! Names of bricks for whoever resolves names: a small server of DNS on loopback, for the zone `brick` alone.
//!
//! `order.brick` has the addresses of the instances that take requests (A, AAAA) and their ports (SRV); `order-2.order.brick`
//! is one of them, also in quarantine. Names below `brick` that are not there are NXDOMAIN, all others REFUSED: it
//! forwards nothing. Answers count for five seconds.
//!
//! What always holds: messages, connections and answers are bounded; whatever comes, the server goes on.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use brick_core::Drain;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::service::Handle;
use wire::Code;

pub mod wire;
mod zone;

/// Largest question that is read; the longest name makes some 300 bytes.
const MESSAGE_BYTES_MAX: usize = 4_096;
/// Connections at once; further ones wait.
const CONNECTIONS_MAX: usize = 64;
/// How long a connection may take for its next question, or to take an answer.
const IDLE_MAX: Duration = Duration::from_secs(10);
/// How long after an error of a socket it is read again.
const PAUSE: Duration = Duration::from_millis(100);

/// What was asked so far.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    /// Questions that were answered, also by that there is nothing of that kind.
    pub(crate) answered: AtomicU64,
    /// Names below `brick` that are not there.
    pub(crate) unknown: AtomicU64,
    /// Questions about other names, and what is no question.
    pub(crate) refused: AtomicU64,
}

/// The server, listening.
#[derive(Debug)]
pub struct Service {
    udp: UdpSocket,
    tcp: TcpListener,
}

impl Service {
    /// Listens by UDP and TCP on the same port.
    ///
    /// # Errors
    /// Somebody else has the port.
    pub async fn bind(at: SocketAddr) -> io::Result<Self> {
        let tcp = TcpListener::bind(at).await?;
        let udp = UdpSocket::bind(tcp.local_addr()?).await?;
        Ok(Self { udp, tcp })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// The system does not tell.
    pub fn addr(&self) -> io::Result<SocketAddr> {
        self.tcp.local_addr()
    }

    /// Answers until the drain is requested.
    pub async fn run(self, handle: Handle, drain: Drain) {
        let server = Server {
            handle,
            turn: Arc::default(),
        };
        tokio::select! {
            () = server.datagrams(&self.udp) => {}
            () = server.connections(&self.tcp) => {}
            () = drain.requested() => {}
        }
    }
}

#[derive(Clone)]
struct Server {
    handle: Handle,
    /// Who of several comes first in the next answer.
    turn: Arc<AtomicUsize>,
}

impl Server {
    fn answer(&self, message: &[u8], stream: bool) -> Option<Vec<u8>> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let state = self.handle.state();
        let (code, answer) =
            wire::respond(message, stream, |question| zone::look_up(&state, question, turn))?;
        let counts = self.handle.names();
        let count = match code {
            Code::Fine => &counts.answered,
            Code::NoName => &counts.unknown,
            _ => &counts.refused,
        };
        count.fetch_add(1, Ordering::Relaxed);
        Some(answer)
    }

    async fn datagrams(&self, udp: &UdpSocket) {
        let mut buffer = vec![0; MESSAGE_BYTES_MAX];
        loop {
            match udp.recv_from(&mut buffer).await {
                Ok((length, asker)) => {
                    if let Some(answer) = self.answer(&buffer[..length], false) {
                        // Who does not wait for it any more asks again.
                        let _ = udp.send_to(&answer, asker).await;
                    }
                }
                // An answer to a port that was closed meanwhile comes back as an error of the next read.
                Err(_) => tokio::time::sleep(PAUSE).await,
            }
        }
    }

    async fn connections(&self, tcp: &TcpListener) {
        let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        loop {
            let Ok(place) = Arc::clone(&room).acquire_owned().await else {
                return;
            };
            match tcp.accept().await {
                Ok((stream, _)) => {
                    let server = self.clone();
                    tokio::spawn(async move {
                        let _ = server.connection(stream).await;
                        drop(place);
                    });
                }
                Err(_) => tokio::time::sleep(PAUSE).await,
            }
        }
    }

    /// Questions one after the other, each behind its length (RFC 7766).
    async fn connection(&self, mut stream: TcpStream) -> io::Result<()> {
        let mut buffer = vec![0; MESSAGE_BYTES_MAX];
        loop {
            let Ok(length) = timeout(IDLE_MAX, stream.read_u16()).await else {
                return Ok(());
            };
            let Some(message) = buffer.get_mut(..usize::from(length?)) else {
                return Ok(());
            };
            timeout(IDLE_MAX, stream.read_exact(message)).await??;
            let Some(answer) = self.answer(message, true) else {
                return Ok(());
            };
            let length = u16::try_from(answer.len()).unwrap_or(u16::MAX);
            let framed = [&length.to_be_bytes(), &answer[..]].concat();
            timeout(IDLE_MAX, stream.write_all(&framed)).await??;
        }
    }
}
