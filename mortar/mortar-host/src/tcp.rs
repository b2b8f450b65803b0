//! Connections whose protocol the proxy does not know: an instance for each, bytes both ways.
//!
//! A connection is a call of its edge: the breaker learns whether an instance took it, and it holds its place in the
//! bulkhead until it ends, so `concurrency` of the edge's limits bounds the connections.

use std::sync::Arc;
use std::time::Duration;

use brick_core::Drain;
use brick_discovery::{Balancer, Guard};
use brick_resilience::edge::Failure;
use brick_resilience::{Edges, Outcome, Permit};
use brick_telemetry::SpanSink;
use brick_telemetry::context::SpanContext;
use brick_telemetry::span::{Kind, SpanRecord, Status, unix_ns_now};
use mortar_proxy::relay::{self, End};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

use crate::figures::OfPassage;

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

/// Joins a connection with an instance, and passes bytes on until it ends.
pub(crate) async fn pass(mut stream: TcpStream, passage: Arc<Passage>, drain: Drain) {
    let joined = tokio::select! {
        () = drain.requested() => return,
        joined = passage.join() => joined,
    };
    let Some(joined) = joined else {
        return;
    };
    passage.figures.open.add(1.0);
    // Without NODELAY it works too, slower.
    let _ = stream.set_nodelay(true);
    let _ = joined.upstream.set_nodelay(true);
    let count = |way, bytes| passage.figures.moved(way, bytes);
    tokio::select! {
        end = relay::join(&mut stream, joined.upstream, Some(passage.idle), count) => match end {
            End::Over => {}
            End::Broken(error) => tracing::debug!(callee = passage.callee, %error, "a connection broke"),
            End::Still => {
                tracing::info!(callee = passage.callee, "a connection was closed: nothing moved on it");
            }
        },
        () = drain.requested() => {}
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
                tell(&self.spans, &self.callee, span, Some(rejected.code()));
                return None;
            }
        };
        let joined = self.connect(&permit, begun + limit).await;
        match joined {
            Some((upstream, guard)) => {
                self.figures.opened.inc();
                tell(&self.spans, &self.callee, span, None);
                Some(Joined {
                    upstream,
                    _permit: permit,
                    _guard: guard,
                })
            }
            None => {
                self.figures.failed.inc();
                tell(&self.spans, &self.callee, span, Some("upstream_unreachable"));
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
}

/// The span of a connection is the time until it is there: how long it lasts says nothing of the callee.
pub(crate) fn tell(spans: &SpanSink, callee: &str, mut span: SpanRecord, error: Option<&'static str>) {
    span.kind = Kind::Client;
    span.end_unix_ns = unix_ns_now();
    let mut text = |key: &'static str, value: &str| {
        span.attributes.push((key.into(), value.to_owned().into()));
    };
    text("server.address", callee);
    text("peer.service", callee);
    text("network.transport", "tcp");
    if let Some(error) = error {
        text("error.type", error);
        span.status = Status::Error(error.into());
    }
    spans.record(span);
}
