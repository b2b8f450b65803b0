//! Connections whose protocol the proxy does not know: an instance for each, bytes both ways.
//!
//! A connection is a call of its edge: the breaker learns whether an instance took it, and it holds its place in the
//! bulkhead until it ends, so `concurrency` of the edge's limits bounds the connections.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use brick_core::Drain;
use brick_discovery::{Balancer, Guard};
use brick_resilience::edge::Failure;
use brick_resilience::{Edges, Outcome, Permit};
use brick_telemetry::SpanSink;
use brick_telemetry::context::SpanContext;
use brick_telemetry::span::{Kind, SpanRecord, Status, unix_ns_now};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

use crate::figures::OfPassage;

/// Bytes that wait at most in each direction.
const BUFFER_BYTES: usize = 8 * 1024;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
const ACCEPT_BACKOFF: Duration = Duration::from_millis(50);

/// The way to one brick.
#[derive(Debug)]
pub(crate) struct Passage {
    pub(crate) callee: String,
    pub(crate) balancer: Balancer,
    pub(crate) edges: Edges,
    pub(crate) figures: OfPassage,
    pub(crate) spans: SpanSink,
    pub(crate) idle: Duration,
}

/// An instance that took a connection, with what is held while it lasts.
struct Joined {
    upstream: TcpStream,
    _permit: Permit,
    _guard: Guard,
}

/// When bytes moved last.
#[derive(Debug)]
struct Activity {
    begun: Instant,
    last_ms: AtomicU64,
}

/// Takes connections until the drain is requested; those that are open then end with it.
pub(crate) async fn serve(listener: TcpListener, passage: Arc<Passage>, drain: Drain) {
    loop {
        let accepted = tokio::select! {
            () = drain.requested() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                // The edge's bulkhead bounds how many of these there are.
                tokio::spawn(pass(stream, Arc::clone(&passage), drain.clone()));
            }
            Err(error) => {
                tracing::warn!(callee = passage.callee, %error, "cannot accept connections; trying again");
                tokio::time::sleep(ACCEPT_BACKOFF).await;
            }
        }
    }
}

async fn pass(mut stream: TcpStream, passage: Arc<Passage>, drain: Drain) {
    let joined = tokio::select! {
        () = drain.requested() => return,
        joined = passage.join() => joined,
    };
    let Some(mut joined) = joined else {
        return;
    };
    passage.figures.open.add(1.0);
    // Without NODELAY it works too, slower.
    let _ = stream.set_nodelay(true);
    let _ = joined.upstream.set_nodelay(true);
    let activity = Activity::new();
    {
        let (from_caller, to_caller) = stream.split();
        let (from_callee, to_callee) = joined.upstream.split();
        let figures = &passage.figures;
        let sent = copy(from_caller, to_callee, |count| figures.sent.add(count), &activity);
        let received = copy(
            from_callee,
            to_caller,
            |count| figures.received.add(count),
            &activity,
        );
        tokio::select! {
            ended = async { tokio::try_join!(sent, received) } => {
                if let Err(error) = ended {
                    tracing::debug!(callee = passage.callee, %error, "a connection broke");
                }
            }
            () = activity.idle(passage.idle) => {
                tracing::info!(callee = passage.callee, "a connection was closed: nothing moved on it");
            }
            () = drain.requested() => {}
        }
    }
    passage.figures.open.add(-1.0);
}

impl Passage {
    /// Connects with an instance, where the edge lets the connection pass and an instance takes it.
    async fn join(&self) -> Option<Joined> {
        let followed = self.edges.edge(&self.callee);
        let edge = followed.get();
        let limit = edge.policy().timeout;
        let begun = Instant::now();
        let span = SpanRecord::start(SpanContext::root(), None, "connect");
        let permit = match edge.enter(begun.into_std(), limit).await {
            Ok(permit) => permit,
            Err(rejected) => {
                self.figures.refused.inc();
                self.tell(span, Some(rejected.code()));
                return None;
            }
        };
        let joined = self.connect(&permit, begun + limit).await;
        match joined {
            Some((upstream, guard)) => {
                self.figures.opened.inc();
                self.tell(span, None);
                Some(Joined {
                    upstream,
                    _permit: permit,
                    _guard: guard,
                })
            }
            None => {
                self.figures.failed.inc();
                self.tell(span, Some("upstream_unreachable"));
                None
            }
        }
    }

    /// One instance after the other, as often as the edge's policy has it.
    async fn connect(&self, permit: &Permit, deadline: Instant) -> Option<(TcpStream, Guard)> {
        let mut tried = Vec::new();
        loop {
            let pick = self.balancer.pick_excluding(&tried)?;
            let begun = Instant::now();
            let within = deadline.min(begun + CONNECT_TIMEOUT);
            let connected = tokio::time::timeout_at(within, TcpStream::connect(pick.endpoint.addr)).await;
            let now = Instant::now();
            if let Ok(Ok(upstream)) = connected {
                pick.guard.observe(now - begun, true);
                permit.outcome(&Outcome::Good, now - begun, now.into_std());
                return Some((upstream, pick.guard));
            }
            pick.guard.connect_failed();
            permit.outcome(&Outcome::Unconnected, now - begun, now.into_std());
            tried.push(pick.endpoint.incarnation);
            let wait = permit.retry(Failure {
                outcome: &Outcome::Unconnected,
                unconnected: u32::try_from(tried.len()).unwrap_or(u32::MAX),
                repeated: 0,
                repeatable: false,
                left: deadline.saturating_duration_since(now),
            })?;
            tokio::time::sleep(wait).await;
        }
    }

    /// The span of a connection is the time until it is there: how long it lasts says nothing of the callee.
    fn tell(&self, mut span: SpanRecord, error: Option<&'static str>) {
        span.kind = Kind::Client;
        span.end_unix_ns = unix_ns_now();
        let mut text = |key: &'static str, value: &str| {
            span.attributes.push((key.into(), value.to_owned().into()));
        };
        text("server.address", &self.callee);
        text("peer.service", &self.callee);
        text("network.transport", "tcp");
        if let Some(error) = error {
            text("error.type", error);
            span.status = Status::Error(error.into());
        }
        self.spans.record(span);
    }
}

impl Activity {
    fn new() -> Self {
        Self {
            begun: Instant::now(),
            last_ms: AtomicU64::new(0),
        }
    }

    fn touch(&self) {
        let ms = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last_ms.store(ms, Ordering::Relaxed);
    }

    /// Resolves when nothing has moved for that long.
    async fn idle(&self, limit: Duration) {
        loop {
            let last = self.begun + Duration::from_millis(self.last_ms.load(Ordering::Relaxed));
            if last.elapsed() >= limit {
                return;
            }
            tokio::time::sleep_until(last + limit).await;
        }
    }
}

/// Passes bytes on until the input ends, then ends the output.
async fn copy(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    count: impl Fn(u64),
    activity: &Activity,
) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        let read = from.read(&mut buffer).await?;
        activity.touch();
        if read == 0 {
            return to.shutdown().await;
        }
        to.write_all(&buffer[..read]).await?;
        count(read as u64);
        activity.touch();
    }
}
