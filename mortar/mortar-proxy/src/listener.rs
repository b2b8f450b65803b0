//! Accepting connections: a cap that is counted, and a drain that lets what is under way finish.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use brick_core::Drain;
use http::{StatusCode, uri::Scheme};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

use crate::answer;
use crate::gate::{Client, Gate};
use crate::guard::{Bounds, Guard};
use crate::link::Link;
use crate::proxy::Proxy;

/// Refused connections that are answered at a time; further ones are closed without a word.
const REFUSALS_MAX: usize = 64;
const REFUSAL_TIMEOUT: Duration = Duration::from_millis(500);
const ACCEPT_BACKOFF: Duration = Duration::from_millis(50);

/// How a listener is served.
#[derive(Debug, Clone)]
pub struct Options {
    /// Open connections; further ones get 503.
    pub connections_max: usize,
    /// How long what is under way may take after the drain was requested.
    pub drain_timeout: Duration,
    /// Bounds of each connection's input.
    pub bounds: Bounds,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            connections_max: 10_000,
            drain_timeout: Duration::from_secs(10),
            bounds: Bounds::default(),
        }
    }
}

/// Open connections of a proxy.
#[derive(Debug, Default)]
pub(crate) struct Slots {
    open: AtomicUsize,
    refusing: AtomicUsize,
    changed: Notify,
}

/// One open connection, counted until it is dropped.
#[derive(Debug)]
pub(crate) struct Slot(Arc<Slots>);

impl Slots {
    pub(crate) fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    fn take(self: &Arc<Self>, max: usize) -> Option<Slot> {
        let slot = Slot(Arc::clone(self));
        (self.open.fetch_add(1, Ordering::AcqRel) < max).then_some(slot)
    }

    async fn empty(&self) {
        loop {
            let changed = self.changed.notified();
            if self.open.load(Ordering::Acquire) == 0 {
                return;
            }
            changed.await;
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if self.0.open.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.changed.notify_waiters();
        }
    }
}

/// Serves the listener until the drain is requested, then until what is under way is done or the time for it is up.
/// The listening socket is closed here; whoever holds another descriptor of it keeps it listening.
pub async fn serve<G: Gate>(listener: TcpListener, proxy: Proxy<G>, options: Options, drain: Drain) {
    let (kill, killed) = brick_core::drain::channel();
    loop {
        let accepted = tokio::select! {
            () = drain.requested() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => admit(stream, peer, &proxy, &options, &drain, &killed),
            Err(error) if is_of_connection(&error) => {}
            Err(error) => {
                tracing::warn!(listener = proxy.local.shared.name, %error, "cannot accept connections; trying again");
                tokio::time::sleep(ACCEPT_BACKOFF).await;
            }
        }
    }
    drop(listener);
    if tokio::time::timeout(options.drain_timeout, proxy.local.shared.slots.empty())
        .await
        .is_err()
    {
        let open = proxy.local.shared.slots.open();
        tracing::warn!(
            listener = proxy.local.shared.name,
            open,
            "connections were cut: they did not finish in time"
        );
    }
    kill.drain();
}

fn is_of_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset
    )
}

fn admit<G: Gate>(
    stream: TcpStream,
    peer: SocketAddr,
    proxy: &Proxy<G>,
    options: &Options,
    drain: &Drain,
    killed: &Drain,
) {
    let Some(slot) = proxy.local.shared.slots.take(options.connections_max) else {
        proxy
            .local
            .stats
            .connections_refused
            .fetch_add(1, Ordering::Relaxed);
        refuse(stream, Arc::clone(&proxy.local.shared.slots));
        return;
    };
    // Without NODELAY it works too, slower.
    let _ = stream.set_nodelay(true);
    let client = Client {
        ip: peer.ip(),
        scheme: Scheme::HTTP,
    };
    let link = Link::new(peer, client, slot);
    let (proxy, bounds) = (proxy.clone(), options.bounds);
    let (drain, killed) = (drain.clone(), killed.clone());
    tokio::spawn(async move {
        tokio::select! {
            () = connection(stream, link, proxy, bounds, drain) => {}
            () = killed.requested() => {}
        }
    });
}

async fn connection<G: Gate>(
    stream: TcpStream,
    link: Arc<Link>,
    proxy: Proxy<G>,
    bounds: Bounds,
    drain: Drain,
) {
    let guard = Guard::new(stream, Arc::clone(&link), bounds);
    let serving = Arc::clone(&link);
    let service = service_fn(move |request| proxy.clone().serve(Arc::clone(&serving), request));
    let mut builder = http1::Builder::new();
    // Heads are bounded and timed by the guard.
    builder.header_read_timeout(None);
    builder.max_header_size(bounds.head.head_bytes_max + 1024);
    let connection = builder
        .serve_connection(TokioIo::new(guard), service)
        .with_upgrades();
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = drain.requested() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(peer = %link.peer, %error, "a connection ended");
    }
}

/// 503, as long as not too many are being told.
fn refuse(mut stream: TcpStream, slots: Arc<Slots>) {
    if slots.refusing.fetch_add(1, Ordering::AcqRel) >= REFUSALS_MAX {
        slots.refusing.fetch_sub(1, Ordering::AcqRel);
        return;
    }
    let bytes = answer::raw(
        StatusCode::SERVICE_UNAVAILABLE,
        "too_many_connections",
        "this listener has as many connections as it takes; come back later",
        "",
    );
    tokio::spawn(async move {
        let told = async {
            stream.write_all(&bytes).await?;
            stream.shutdown().await?;
            // What the client sent is read, so that the answer is not lost in a reset.
            tokio::io::copy(&mut stream, &mut tokio::io::sink()).await
        };
        let _ = tokio::time::timeout(REFUSAL_TIMEOUT, told).await;
        slots.refusing.fetch_sub(1, Ordering::AcqRel);
    });
}
