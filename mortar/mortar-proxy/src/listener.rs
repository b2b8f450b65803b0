//! Accepting connections: a cap that is counted, and a drain that lets what is under way finish.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use brick_core::Drain;
use http::StatusCode;
use socket2::SockRef;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

use crate::answer;
use crate::connection;
use crate::crowd::{Crowd, Stage};
use crate::gate::Gate;
use crate::proxy::Proxy;
use crate::tls;

/// Refused connections that are answered at a time; further ones are closed without a word.
const REFUSALS_MAX: usize = 64;
const REFUSAL_TIMEOUT: Duration = Duration::from_millis(500);
const ACCEPT_BACKOFF: Duration = Duration::from_millis(50);
/// What the kernel takes of an answer before the client's own window does, in bytes. A client that reads slowly would
/// otherwise have megabytes of kernel memory filled for it; one that reads fast never meets this bound.
const UNSENT_MAX: u32 = 128 * 1024;
/// How long a connection that waits for its next request stays open while the listener drains. A request may be on its
/// way when the drain begins; it is answered, and the answer says that it was the last.
const FAREWELL: Duration = Duration::from_millis(300);

/// A listening socket, and how its connections begin.
#[derive(Debug)]
pub struct Door {
    /// The socket.
    pub listener: TcpListener,
    /// With TLS.
    pub tls: Option<tls::Server>,
}

/// Open connections of a proxy.
#[derive(Debug, Default)]
pub(crate) struct Slots {
    open: AtomicUsize,
    refusing: AtomicUsize,
}

/// Open connections of one listener's loop.
#[derive(Debug, Default)]
struct Own {
    open: AtomicUsize,
    changed: Notify,
}

/// One open connection, counted until it is dropped.
#[derive(Debug)]
pub(crate) struct Slot {
    all: Arc<Slots>,
    own: Arc<Own>,
}

impl Slots {
    pub(crate) fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    fn take(self: &Arc<Self>, own: &Arc<Own>, max: usize) -> Option<Slot> {
        own.open.fetch_add(1, Ordering::AcqRel);
        let slot = Slot {
            all: Arc::clone(self),
            own: Arc::clone(own),
        };
        (self.open.fetch_add(1, Ordering::AcqRel) < max).then_some(slot)
    }
}

impl Own {
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
        self.all.open.fetch_sub(1, Ordering::AcqRel);
        if self.own.open.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.own.changed.notify_waiters();
        }
    }
}

/// Serves connections that were accepted, by whomever, and lets what is under way finish.
#[derive(Debug)]
pub struct Reception<G: Gate> {
    proxy: Proxy<G>,
    crowd: Arc<Crowd>,
    own: Arc<Own>,
}

impl<G: Gate> Reception<G> {
    /// Nobody is there yet.
    pub fn new(proxy: Proxy<G>) -> Self {
        Self {
            proxy,
            crowd: Arc::default(),
            own: Arc::default(),
        }
    }

    /// Serves a connection that the kernel led here, though it was headed elsewhere; 503 beyond the proxy's cap.
    pub fn take(&self, stream: TcpStream, peer: SocketAddr, bound_for: SocketAddr) {
        self.admit(stream, (peer, Some(bound_for)), None);
    }

    fn admit(
        &self,
        stream: TcpStream,
        (peer, bound_for): (SocketAddr, Option<SocketAddr>),
        tls: Option<&tls::Server>,
    ) {
        let shared = &self.proxy.local.shared;
        let settings = shared.settings.load_full();
        let Some(slot) = shared.slots.take(&self.own, settings.connections_max) else {
            let refused = &self.proxy.local.stats.connections_refused;
            refused.fetch_add(1, Ordering::Relaxed);
            refuse(stream, Arc::clone(&shared.slots));
            return;
        };
        // Without NODELAY it works too, slower.
        let _ = stream.set_nodelay(true);
        let taken = connection::Taken {
            peer,
            bound_for,
            slot,
            settings,
            tls: tls.map(tls::Server::config),
            crowd: Arc::clone(&self.crowd),
        };
        tokio::spawn(connection::run(stream, taken, self.proxy.clone()));
    }

    /// Resolves when what is under way is done, or the time for it is up. Nothing may be taken any more.
    pub async fn close(&self, drain_timeout: Duration) {
        let farewell = FAREWELL.min(drain_timeout);
        // Answers say `Connection: close` by now, so whoever uses a connection lets go of it.
        let _ = tokio::time::timeout(farewell, self.own.empty()).await;
        self.crowd.enter(Stage::Finish);
        let finished = tokio::time::timeout(drain_timeout - farewell, self.own.empty()).await;
        if finished.is_err() {
            let open = self.own.open.load(Ordering::Relaxed);
            tracing::warn!(
                listener = self.proxy.local.shared.name,
                open,
                "connections were cut: they did not finish in time"
            );
        }
        self.crowd.enter(Stage::Over);
    }
}

/// Serves the door until the drain is requested, then until what is under way is done or the time for it is up.
/// The listening socket is closed here; whoever holds another descriptor of it keeps it listening.
pub async fn serve<G: Gate>(door: Door, proxy: Proxy<G>, drain_timeout: Duration, drain: Drain) {
    let Door { listener, tls } = door;
    // Accepted connections inherit it. Where the kernel lacks it, slow readers cost more memory.
    let _ = SockRef::from(&listener).set_tcp_notsent_lowat(UNSENT_MAX);
    let reception = Reception::new(proxy);
    let mut requested = std::pin::pin!(drain.requested());
    loop {
        let accepted = tokio::select! {
            () = requested.as_mut() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => reception.admit(stream, (peer, None), tls.as_ref()),
            Err(error) if is_of_connection(&error) => {}
            Err(error) => {
                tracing::warn!(listener = reception.proxy.local.shared.name, %error, "cannot accept connections; trying again");
                tokio::time::sleep(ACCEPT_BACKOFF).await;
            }
        }
    }
    drop(listener);
    reception.close(drain_timeout).await;
}

fn is_of_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset
    )
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
