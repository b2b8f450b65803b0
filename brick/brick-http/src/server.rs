//! The server: HTTP/1.1 on hyper, around the routers that [`Access`] declares.
//!
//! Drain, in this order: unready, a short wait in which balancers let go, no new connections, open requests finish
//! (10 s at most), the rest is cut off and counted in the log. WebSocket handlers end by following the drain themselves.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, DefaultBodyLimit, Request};
use axum::response::{IntoResponse, Response};
use brick_auth::Verifier;
use brick_core::{Drain, drain};
use brick_resilience::Edges;
use brick_telemetry::Telemetry;
use brick_telemetry::metrics::HistogramFamily;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tower::ServiceExt as _;

use bear::Bearing;

use crate::access::Guard;
use crate::{Access, Problem};

mod bear;
mod host;
mod observe;

pub(crate) use bear::{Asked, CRITICALITY, TIMEOUT_MS};
pub(crate) use observe::{Mark, decimal, flag, method_name, remote_parent};

/// Largest request body in bytes, unless the options say otherwise.
pub const BODY_BYTES_MAX: usize = 1024 * 1024;
/// Most open connections; more wait in the listener's backlog.
pub const CONNECTIONS_MAX: usize = 10_000;
/// Time for a request's headers to arrive, and for an idle connection to stay; longer than clients keep theirs.
pub const HEADER_LIMIT: Duration = Duration::from_secs(60);
/// Time that open requests have to finish when the server drains.
pub const DRAIN_LIMIT: Duration = Duration::from_secs(10);

const OWN_PATHS: [&str; 5] = ["/info", "/health", "/health/live", "/health/ready", "/metrics"];

/// How a server serves.
#[derive(Debug, Clone)]
pub struct ServerOptions {
    /// Where spans, metrics and health go; its endpoints are served too.
    pub telemetry: Telemetry,
    /// Verifies the tokens of callers.
    pub verifier: Verifier,
    /// Name of the brick that serves: callers need the scope `call:<brick>`.
    pub brick: String,
    /// Largest request body in bytes; more is refused with 413.
    pub body_bytes_max: usize,
    /// Whether requests get a span.
    pub trace: bool,
    /// Requests whose path starts with one of these get no span.
    pub untraced: Vec<String>,
    /// Which `Host` headers are taken.
    pub hosts: Hosts,
    /// The brick's edges, where it has some: through them the server hears how much it is to serve at once
    /// (`serve/<brick>`), and counts what it turns away.
    pub edges: Option<Edges>,
    /// How long the server still takes connections after it said that it is unready.
    pub drain_wait: Duration,
}

/// Which `Host` headers are taken. A name that an attacker's page resolves to loopback (DNS rebinding) is not loopback's
/// own; requests with a valid platform identity may carry any.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Hosts {
    /// Every one.
    Any,
    /// `localhost`, loopback addresses and the listener's own address.
    #[default]
    Loopback,
}

/// Serves declared routes.
#[derive(Debug, Clone)]
pub struct Server {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    options: ServerOptions,
    guard: Guard,
    durations: HistogramFamily,
    bearing: Option<Bearing>,
}

impl ServerOptions {
    /// The usual: bodies of 1 MiB, spans, loopback names, 100 ms between unready and closed.
    pub fn new(telemetry: Telemetry, verifier: Verifier, brick: impl Into<String>) -> Self {
        Self {
            telemetry,
            verifier,
            brick: brick.into(),
            body_bytes_max: BODY_BYTES_MAX,
            trace: true,
            untraced: Vec::new(),
            hosts: Hosts::Loopback,
            edges: None,
            drain_wait: Duration::from_millis(100),
        }
    }
}

impl Server {
    /// A server with these options.
    pub fn new(options: ServerOptions) -> Self {
        let durations = options.telemetry.metrics().timer_with(
            "http_server_request_duration_seconds",
            "time to answer a request",
            &[
                "http_request_method",
                "http_route",
                "http_response_status_code",
                "synthetic",
            ],
        );
        let guard = Guard::new(options.verifier.clone(), &options.brick);
        let bearing = options.edges.clone();
        let bearing = bearing.map(|edges| Bearing::new(&options.brick, edges));
        Self {
            shared: Arc::new(Shared {
                options,
                guard,
                durations,
                bearing,
            }),
        }
    }

    /// The declared routes with everything around them but the `Host` check: what [`Server::serve`] serves.
    pub fn router(&self, access: Access) -> Router {
        let shared = Arc::clone(&self.shared);
        access
            .into_router(&self.shared.guard)
            .layer(DefaultBodyLimit::disable())
            .layer(axum::middleware::from_fn_with_state(shared, observe::observe))
    }

    /// Serves until the drain is requested and open requests have finished.
    pub async fn serve(&self, listener: TcpListener, access: Access, drain: Drain) {
        let app = App {
            routes: self.router(access),
            own: self.shared.options.telemetry.routes(),
            local: listener.local_addr().ok(),
            shared: Arc::clone(&self.shared),
        };
        let (close, closing) = drain::channel();
        let mut open = JoinSet::new();
        let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let drained = self.drained(&drain);
        tokio::pin!(drained);
        loop {
            tokio::select! {
                biased;
                () = &mut drained => break,
                Some(_) = open.join_next() => {}
                (slot, stream, peer) = accept(&listener, &slots) => {
                    let connection = connection(app.clone(), stream, peer, closing.clone());
                    open.spawn(async move {
                        connection.await;
                        drop(slot);
                    });
                }
            }
        }
        drop(listener);
        close.drain();
        let finished = async { while open.join_next().await.is_some() {} };
        if tokio::time::timeout(DRAIN_LIMIT, finished).await.is_err() {
            tracing::warn!(
                connections = open.len(),
                "requests did not finish in time and are cut off"
            );
        }
    }

    /// The drain was requested, the process said so, and balancers had time to hear it.
    async fn drained(&self, drain: &Drain) {
        drain.requested().await;
        self.shared.options.telemetry.health().set_ready(false);
        tokio::time::sleep(self.shared.options.drain_wait).await;
    }
}

/// What every connection serves.
#[derive(Clone)]
struct App {
    routes: Router,
    own: Router,
    local: Option<SocketAddr>,
    shared: Arc<Shared>,
}

impl App {
    async fn answer(self, request: Request<Incoming>, peer: SocketAddr) -> Response {
        let mut request = request.map(Body::new);
        if self.shared.options.hosts == Hosts::Loopback
            && !host::is_own(request.headers(), self.local)
            && !self.shared.guard.is_platform(request.headers())
        {
            return Problem::new(
                http::StatusCode::MISDIRECTED_REQUEST,
                "host_not_served",
                "this host name is not served here; use the address that the system printed",
            )
            .into_response();
        }
        request.extensions_mut().insert(ConnectInfo(peer));
        let router = if OWN_PATHS.contains(&request.uri().path()) {
            self.own
        } else {
            self.routes
        };
        let Ok(response) = router.oneshot(request).await;
        response
    }
}

async fn connection(app: App, stream: TcpStream, peer: SocketAddr, closing: Drain) {
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request| {
        let app = app.clone();
        async move { Ok::<_, std::convert::Infallible>(app.answer(request, peer).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_LIMIT)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    tokio::pin!(connection);
    let outcome = tokio::select! {
        outcome = connection.as_mut() => outcome,
        () = closing.requested() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = outcome {
        // Clients come and go; this is for whoever looks closely.
        tracing::debug!(%peer, reason = brick_core::chain(&error), "a connection broke");
    }
}

/// The next connection, as soon as there is room for it.
async fn accept(
    listener: &TcpListener,
    slots: &Arc<Semaphore>,
) -> (Option<tokio::sync::OwnedSemaphorePermit>, TcpStream, SocketAddr) {
    let slot = Arc::clone(slots).acquire_owned().await.ok();
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => return (slot, stream, peer),
            Err(error) => {
                // Out of descriptors or a connection that is gone already: neither ends the server.
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    }
}

#[cfg(test)]
mod tests;
