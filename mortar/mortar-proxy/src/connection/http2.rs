//! HTTP/2 towards a client: bounds against floods, and a clock of its own for connections that are idle, and for
//! clients that do not take what they asked for.
//!
//! Rapid resets, streams beyond the limit, header lists and CONTINUATION frames are bounded by h2.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::{Method, Request, Response};
use hyper::body::Incoming;
use hyper::rt::bounds::Http2ServerConnExec;
use hyper::rt::{Read, Write};
use hyper::server::conn::http2;
use hyper::service::{HttpService, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;

use super::Serving;
use crate::body::Body;
use crate::gate::{Client, Gate};
use crate::link::Link;
use crate::opening::Prefixed;
use crate::proxy::Proxy;
use crate::settings::Settings;
use crate::timer::Timer;
use crate::tunnel::Held;

/// Requests of one connection at a time.
const STREAMS_MAX: u32 = 128;
/// Streams that the client reset before they were served; beyond, the connection is closed (CVE-2023-44487).
const RESETS_MAX: usize = 32;
/// Streams reset here for the client's mistakes; beyond, the connection is closed (CVE-2025-8671).
const LOCAL_RESETS_MAX: usize = 256;
/// What a stream's client may send ahead.
const STREAM_WINDOW: u32 = 64 * 1024;
/// What all streams of a connection may send ahead.
const CONNECTION_WINDOW: u32 = 256 * 1024;
/// What is buffered of a stream's answer.
const SEND_BYTES_MAX: usize = 64 * 1024;
/// A client that does not answer a ping for this long is gone.
const PING_TIMEOUT: Duration = Duration::from_secs(20);
/// What a connection that was told to go may still take.
const GOING: Duration = Duration::from_secs(1);

/// The requests of one connection.
#[derive(Debug, Default)]
struct Streams(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    begun: u64,
    /// Those under way, and since when a piece of the answer waits for the client.
    active: HashMap<u64, Option<Instant>>,
}

/// One request under way.
#[derive(Debug)]
pub(crate) struct Active {
    streams: Arc<Streams>,
    id: u64,
}

impl Streams {
    fn begin(self: &Arc<Self>) -> Active {
        let mut table = self.0.lock();
        table.begun += 1;
        let id = table.begun;
        table.active.insert(id, None);
        Active {
            streams: Arc::clone(self),
            id,
        }
    }
}

impl Active {
    /// A piece of the answer was given to the connection: now it waits for the client, until the next is asked for.
    pub(crate) fn gave(&self) {
        self.set(Some(Instant::now()));
    }

    /// The next piece is waited for.
    pub(crate) fn waits(&self) {
        self.set(None);
    }

    fn set(&self, at: Option<Instant>) {
        self.streams.0.lock().active.insert(self.id, at);
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        self.streams.0.lock().active.remove(&self.id);
    }
}

pub(super) fn serve<S, G>(
    stream: Prefixed<S>,
    peer: SocketAddr,
    client: Client,
    settings: &Settings,
    proxy: Proxy<G>,
) -> impl Serving
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    G: Gate,
{
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .max_pending_accept_reset_streams(RESETS_MAX)
        .max_local_error_reset_streams(LOCAL_RESETS_MAX)
        .max_header_list_size(u32::try_from(settings.head.head_bytes_max).unwrap_or(u32::MAX))
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BYTES_MAX)
        .keep_alive_interval(settings.idle_timeout / 2)
        .keep_alive_timeout(PING_TIMEOUT)
        .enable_connect_protocol();
    let streams = Arc::<Streams>::default();
    let clock = Clock {
        streams: Arc::clone(&streams),
        seen: 0,
        idle: settings.idle_timeout,
        stalled: settings.send_timeout,
        deadline: Instant::now() + settings.idle_timeout,
        going: false,
        timer: Timer::default(),
    };
    let service = service_fn(move |mut request: Request<Incoming>| {
        let active = streams.begin();
        if *request.method() == Method::CONNECT {
            request.extensions_mut().insert(Held::new(streams.begin()));
        }
        let link = Link::new(peer, client.clone(), None);
        let proxy = proxy.clone();
        async move {
            let response: Response<Body> = proxy.serve(link, request).await?;
            Ok::<_, Infallible>(response.map(|body| body.watched(active)))
        }
    });
    Connection {
        inner: Box::pin(builder.serve_connection(TokioIo::new(stream), service)),
        clock,
    }
}

/// When a connection is over without its client saying so.
struct Clock {
    streams: Arc<Streams>,
    /// Requests begun at the last look.
    seen: u64,
    idle: Duration,
    stalled: Duration,
    deadline: Instant,
    /// It was told to go.
    going: bool,
    timer: Timer,
}

impl Clock {
    /// Ready once nothing was asked for as long as a connection may be idle, or an answer was not taken in time.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            ready!(self.timer.poll(cx, self.deadline));
            let now = Instant::now();
            let mut table = self.streams.0.lock();
            let is_late = |at: &Option<Instant>| at.is_some_and(|at| now.duration_since(at) >= self.stalled);
            let is_idle = table.active.is_empty() && table.begun == self.seen;
            if is_idle || table.active.values().any(is_late) {
                return Poll::Ready(());
            }
            self.seen = table.begun;
            if table.active.is_empty() {
                table.active.shrink_to_fit();
            }
            self.deadline = now + self.idle.min(self.stalled);
        }
    }
}

/// A connection with its clock.
struct Connection<I, S>
where
    S: HttpService<Incoming>,
{
    inner: Pin<Box<http2::Connection<I, S, TokioExecutor>>>,
    clock: Clock,
}

impl<I, S> Future for Connection<I, S>
where
    I: Read + Write + Unpin,
    S: HttpService<Incoming, ResBody = Body, Error = Infallible>,
    TokioExecutor: Http2ServerConnExec<S::Future, Body>,
{
    type Output = hyper::Result<()>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        while this.clock.poll(cx).is_ready() {
            if std::mem::replace(&mut this.clock.going, true) {
                return Poll::Ready(Ok(()));
            }
            this.clock.deadline = Instant::now() + GOING;
            this.inner.as_mut().graceful_shutdown();
        }
        this.inner.as_mut().poll(cx)
    }
}

impl<I, S> Serving for Connection<I, S>
where
    I: Read + Write + Unpin,
    S: HttpService<Incoming, ResBody = Body, Error = Infallible>,
    TokioExecutor: Http2ServerConnExec<S::Future, Body>,
{
    fn finish(self: Pin<&mut Self>) {
        self.get_mut().inner.as_mut().graceful_shutdown();
    }
}
