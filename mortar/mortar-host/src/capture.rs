//! Connections that the kernel led here: what a brick opened to somewhere else, without knowing of a proxy.
//!
//! Where a connection was headed says what becomes of it: to the address that stands for a brick, it goes to that brick,
//! as HTTP or on a passage for what is not HTTP. Elsewhere its first bytes are looked at: HTTP for `NAME.brick` is taken
//! all the same (a program may have been told of a proxy outside); everything else is passed on to where it was headed,
//! within bounds and counted.

mod first;

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use brick_core::Drain;
use brick_telemetry::SpanSink;
use brick_telemetry::context::SpanContext;
use brick_telemetry::span::SpanRecord;
use mortar_proxy::listener::Reception;
use mortar_proxy::relay::{self, End};
use rustix::net::sockopt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;

use crate::figures::OfPassage;
use crate::gate::HostGate;
use crate::tcp::{self, Passage};

/// What connections to elsewhere are counted and shown as.
pub(crate) const OUTSIDE: &str = "outside";
/// How long a connection to elsewhere may take until it is there.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long nothing may move on one.
const IDLE: Duration = Duration::from_secs(3_600);
const ACCEPT_BACKOFF: Duration = Duration::from_millis(50);

/// What is done with the connections of one caller.
#[derive(Debug)]
pub(crate) struct Captured {
    /// The caller's slot.
    pub(crate) slot: String,
    /// The addresses that stand for bricks.
    pub(crate) names: HashMap<Ipv4Addr, String>,
    /// Ways to bricks that speak no HTTP.
    pub(crate) passages: HashMap<String, Arc<Passage>>,
    /// Serves what is HTTP.
    pub(crate) reception: Reception<HostGate>,
    pub(crate) figures: OfPassage,
    pub(crate) spans: SpanSink,
    /// Connections to elsewhere that may be open.
    pub(crate) seats: Arc<Semaphore>,
}

/// Takes connections until the drain is requested, then lets requests that are under way finish.
pub(crate) async fn serve(
    listeners: Vec<TcpListener>,
    captured: Arc<Captured>,
    limit: Duration,
    drain: Drain,
) {
    let mut accepting = JoinSet::new();
    for listener in listeners {
        accepting.spawn(accept(listener, Arc::clone(&captured), drain.clone()));
    }
    while accepting.join_next().await.is_some() {}
    captured.reception.close(limit).await;
}

async fn accept(listener: TcpListener, captured: Arc<Captured>, drain: Drain) {
    loop {
        let accepted = tokio::select! {
            () = drain.requested() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => match Arc::clone(&captured.seats).try_acquire_owned() {
                Ok(seat) => drop(tokio::spawn(lead(
                    stream,
                    peer,
                    seat,
                    Arc::clone(&captured),
                    drain.clone(),
                ))),
                Err(_) => captured.figures.refused.inc(),
            },
            Err(error) => {
                tracing::warn!(caller = captured.slot, %error, "cannot accept connections; trying again");
                tokio::time::sleep(ACCEPT_BACKOFF).await;
            }
        }
    }
}

/// Where a connection was headed before the kernel led it here; none where it was opened to this listener.
fn bound_for(stream: &TcpStream) -> Option<SocketAddr> {
    let here = stream.local_addr().ok()?;
    let there = match here {
        SocketAddr::V4(_) => sockopt::ip_original_dst(stream).map(SocketAddr::V4),
        SocketAddr::V6(_) => sockopt::ipv6_original_dst(stream).map(SocketAddr::V6),
    };
    there.ok().filter(|there| *there != here)
}

async fn lead(
    stream: TcpStream,
    peer: SocketAddr,
    seat: OwnedSemaphorePermit,
    captured: Arc<Captured>,
    drain: Drain,
) {
    let Some(there) = bound_for(&stream) else {
        // Somebody else on this machine: that the kernel led a connection here is what shows whose it is.
        captured.figures.refused.inc();
        return;
    };
    let brick = match there.ip() {
        IpAddr::V4(ip) => captured.names.get(&ip),
        IpAddr::V6(_) => None,
    };
    if let Some(brick) = brick {
        return match captured.passages.get(brick) {
            // The edge's bulkhead bounds these.
            Some(passage) => tcp::pass(stream, Arc::clone(passage), drain).await,
            None => captured.reception.take(stream, peer, there),
        };
    }
    if first::is_for_a_brick(&stream).await {
        captured.reception.take(stream, peer, there);
        return;
    }
    tokio::select! {
        () = captured.pass(stream, there) => {}
        () = drain.requested() => {}
    }
    drop(seat);
}

impl Captured {
    /// Passes bytes on to where the connection was headed.
    async fn pass(&self, mut stream: TcpStream, there: SocketAddr) {
        let span = SpanRecord::start(SpanContext::root(), None, "connect");
        let connected = tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect(there)).await;
        let upstream = match connected.unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into())) {
            Ok(upstream) => upstream,
            Err(error) => {
                self.figures.failed.inc();
                tcp::tell(&self.spans, OUTSIDE, span, Some("upstream_unreachable"));
                tracing::debug!(caller = self.slot, %there, %error, "what it connects to does not answer");
                // The caller believes that it is connected: a reset tells it better than an orderly end.
                let _ = stream.set_zero_linger();
                return;
            }
        };
        tcp::tell(&self.spans, OUTSIDE, span, None);
        self.figures.opened.inc();
        self.figures.open.add(1.0);
        // Without NODELAY it works too, slower.
        let _ = stream.set_nodelay(true);
        let _ = upstream.set_nodelay(true);
        let open = Open(&self.figures);
        let count = |way, bytes| self.figures.moved(way, bytes);
        match relay::join(&mut stream, upstream, Some(IDLE), count).await {
            End::Over => {}
            End::Broken(error) => tracing::debug!(caller = self.slot, %there, %error, "a connection broke"),
            End::Still => {
                tracing::info!(caller = self.slot, %there, "a connection was closed: nothing moved on it");
            }
        }
        drop(open);
    }
}

/// Counted as open until it is dropped, which a drain does at any moment.
struct Open<'f>(&'f OfPassage);

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.open.add(-1.0);
    }
}
