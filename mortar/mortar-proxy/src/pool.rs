//! Connections to instances: taken for one exchange, given back when its body ended, last in first out.
//!
//! A connection that is given back is used again only once its task said it is ready, so neither a half-read answer
//! nor a half-sent request can leak into the next exchange.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::body::RequestBody;

/// Idle connections kept for each address; a further one is closed.
const IDLE_MAX: usize = 256;
/// An idle connection older than this is not used again: shorter than what common servers keep.
const IDLE_FOR: Duration = Duration::from_secs(15);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// The idle connections of one proxy.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    idle: Mutex<HashMap<SocketAddr, Vec<Idle>>>,
    opened: AtomicU64,
    failed: AtomicU64,
}

#[derive(Debug)]
struct Idle {
    sender: SendRequest<RequestBody>,
    since: Instant,
}

/// A connection in use. Dropping it closes the connection.
#[derive(Debug)]
pub(crate) struct Lease {
    pub(crate) sender: SendRequest<RequestBody>,
    addr: SocketAddr,
    pool: Arc<Pool>,
}

impl Pool {
    /// A connection that was used before; none where none is ready.
    pub(crate) fn take(self: &Arc<Self>, addr: SocketAddr) -> Option<Lease> {
        let mut idle = self.idle.lock();
        let connections = idle.get_mut(&addr)?;
        let now = Instant::now();
        let fresh = |c: &Idle| !c.sender.is_closed() && now.duration_since(c.since) < IDLE_FOR;
        while let Some(last) = connections.pop_if(|last| !fresh(last)) {
            drop(last);
        }
        let at = connections
            .iter()
            .rposition(|c| c.sender.is_ready() && fresh(c))?;
        let Idle { sender, .. } = connections.remove(at);
        Some(self.lease(addr, sender))
    }

    /// A new connection.
    pub(crate) async fn connect(self: &Arc<Self>, addr: SocketAddr) -> io::Result<Lease> {
        let opened = tokio::time::timeout(CONNECT_TIMEOUT, open(addr)).await;
        match opened.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
            Ok(sender) => {
                self.opened.fetch_add(1, Ordering::Relaxed);
                Ok(self.lease(addr, sender))
            }
            Err(error) => {
                self.failed.fetch_add(1, Ordering::Relaxed);
                Err(error)
            }
        }
    }

    /// Closes what was idle for too long, and forgets addresses without connections.
    pub(crate) fn sweep(&self) {
        let now = Instant::now();
        self.idle.lock().retain(|_, connections| {
            connections.retain(|c| !c.sender.is_closed() && now.duration_since(c.since) < IDLE_FOR);
            !connections.is_empty()
        });
    }

    /// Connections opened, connections that could not be opened, idle now.
    pub(crate) fn figures(&self) -> (u64, u64, u64) {
        let idle = self.idle.lock().values().map(Vec::len).sum::<usize>();
        (
            self.opened.load(Ordering::Relaxed),
            self.failed.load(Ordering::Relaxed),
            idle as u64,
        )
    }

    fn lease(self: &Arc<Self>, addr: SocketAddr, sender: SendRequest<RequestBody>) -> Lease {
        Lease {
            sender,
            addr,
            pool: Arc::clone(self),
        }
    }
}

impl Lease {
    /// The exchange is over; the connection may serve the next.
    pub(crate) fn give_back(self) {
        if self.sender.is_closed() {
            return;
        }
        let mut idle = self.pool.idle.lock();
        let connections = idle.entry(self.addr).or_default();
        if connections.len() < IDLE_MAX {
            connections.push(Idle {
                sender: self.sender,
                since: Instant::now(),
            });
        }
    }
}

async fn open(addr: SocketAddr) -> io::Result<SendRequest<RequestBody>> {
    let stream = TcpStream::connect(addr).await?;
    stream.set_nodelay(true)?;
    let (sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(io::Error::other)?;
    tokio::spawn(async move {
        if let Err(error) = connection.with_upgrades().await {
            tracing::debug!(%addr, %error, "a connection to an instance ended");
        }
    });
    Ok(sender)
}
