//! Exchanges that become tunnels: WebSocket over HTTP/1.1 (RFC 6455) and HTTP/2 (RFC 8441), and CONNECT (RFC 9110
//! §9.3.6). Bytes go both ways until either side ends, or the proxy drains.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use brick_core::Drain;
use http::header::{HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, UPGRADE};
use http::request::Parts;
use http::{HeaderMap, Method, Response, StatusCode, Version};
use hyper::ext::Protocol;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::answer::Answer;
use crate::body::Body;
use crate::connection::Active;
use crate::forward::Load;
use crate::headers;
use crate::http1::Socket;
use crate::link::Link;
use crate::opening::Prefixed;

/// What a request wants to become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wish {
    /// An exchange as any.
    Nothing,
    /// Another protocol, by `Upgrade`.
    Upgrade,
    /// WebSocket on a stream of HTTP/2.
    Stream,
    /// A plain connection to an instance.
    Connect,
}

/// Keeps a connection of many streams from being idle while one of them is a tunnel.
#[derive(Debug, Clone)]
pub(crate) struct Held {
    _active: Arc<Active>,
}

/// What a tunnel holds on to while it lasts.
#[derive(Debug)]
pub(crate) struct Holds {
    link: Arc<Link>,
    _held: Option<Held>,
    /// Counts as in flight at the instance and in the edge's bulkhead.
    _load: Load,
}

impl Holds {
    pub(crate) fn new(link: &Arc<Link>, parts: &mut Parts, load: Load) -> Self {
        Self {
            link: Arc::clone(link),
            _held: parts.extensions.remove(),
            _load: load,
        }
    }
}

impl Held {
    pub(crate) fn new(active: Active) -> Self {
        Self {
            _active: Arc::new(active),
        }
    }
}

impl Wish {
    /// Of a request. One for WebSocket over HTTP/2 becomes what HTTP/1.1 says for it.
    pub(crate) fn of(parts: &mut Parts) -> Result<Self, Answer> {
        if parts.method != Method::CONNECT {
            return Ok(
                match parts.headers.contains_key(UPGRADE) && parts.version != Version::HTTP_2 {
                    true => Self::Upgrade,
                    false => Self::Nothing,
                },
            );
        }
        let Some(protocol) = parts.extensions.remove::<Protocol>() else {
            return Ok(Self::Connect);
        };
        if !protocol.as_str().eq_ignore_ascii_case("websocket") {
            let detail = "the only protocol for extended CONNECT is \"websocket\" (RFC 8441)";
            return Err(Answer::new(
                StatusCode::NOT_IMPLEMENTED,
                "protocol_unknown",
                detail,
            ));
        }
        parts.method = Method::GET;
        headers::upgrade(&mut parts.headers);
        // HTTP/2 has no use for the key, which HTTP/1.1 asks for (RFC 8441 §5).
        let key = STANDARD.encode(rand::random::<[u8; 16]>());
        if let Ok(key) = HeaderValue::try_from(key) {
            parts.headers.insert(SEC_WEBSOCKET_KEY, key);
        }
        Ok(Self::Stream)
    }

    /// Whether an instance may switch protocols.
    pub(crate) fn is_upgrade(self) -> bool {
        matches!(self, Self::Upgrade | Self::Stream)
    }

    /// Whether the client takes any success for a tunnel.
    pub(crate) fn is_connect(self) -> bool {
        matches!(self, Self::Stream | Self::Connect)
    }
}

/// The head with which an upgrade is granted, of what the instance said of it.
pub(crate) fn granted(wish: Wish, headers: &mut HeaderMap) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    headers::remove_hop(headers);
    if wish == Wish::Stream {
        headers.remove(SEC_WEBSOCKET_ACCEPT);
    } else {
        headers::upgrade(headers);
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    }
    *response.headers_mut() = std::mem::take(headers);
    response
}

/// An instance answered with success, and no tunnel came of it.
pub(crate) fn not_granted() -> Answer {
    let detail = "the brick answered the request, and did not switch to WebSocket";
    Answer::new(StatusCode::BAD_GATEWAY, "upgrade_failed", detail)
}

/// Joins the two sides of an upgrade.
pub(crate) async fn run(client: OnUpgrade, mut upstream: Prefixed<Socket>, drain: Drain, holds: Holds) {
    let peer = holds.link.peer;
    let joined = async {
        let mut client = TokioIo::new(client.await?);
        if let Err(error) = tokio::io::copy_bidirectional(&mut client, &mut upstream).await {
            tracing::debug!(%peer, %error, "a tunnel ended");
        }
        Ok::<(), hyper::Error>(())
    };
    tokio::select! {
        ended = joined => {
            if let Err(error) = ended {
                tracing::debug!(%peer, %error, "an upgrade was not completed");
            }
        }
        () = drain.requested() => {}
    }
    drop(holds);
}

/// Joins a client with a plain connection; one on which nothing moves for as long as `idle` ends.
pub(crate) async fn connected(
    client: OnUpgrade,
    upstream: TcpStream,
    idle: Duration,
    drain: Drain,
    holds: Holds,
) {
    let peer = holds.link.peer;
    let moved = Arc::new(Mutex::new(Instant::now()));
    let joined = async {
        let mut client = TokioIo::new(client.await.map_err(io::Error::other)?);
        let mut upstream = Watched {
            inner: upstream,
            moved: Arc::clone(&moved),
        };
        tokio::io::copy_bidirectional(&mut client, &mut upstream).await
    };
    tokio::select! {
        ended = joined => {
            if let Err(error) = ended {
                tracing::debug!(%peer, %error, "a tunnel ended");
            }
        }
        () = still(&moved, idle) => tracing::debug!(%peer, "a tunnel on which nothing moved was closed"),
        () = drain.requested() => {}
    }
    drop(holds);
}

/// Ready once nothing has moved for that long.
async fn still(moved: &Mutex<Instant>, idle: Duration) {
    loop {
        let deadline = *moved.lock() + idle;
        if Instant::now() >= deadline {
            return;
        }
        tokio::time::sleep_until(deadline).await;
    }
}

/// Says when something moved.
struct Watched {
    inner: TcpStream,
    moved: Arc<Mutex<Instant>>,
}

impl Watched {
    fn seen<T>(&self, polled: Poll<T>) -> Poll<T> {
        if polled.is_ready() {
            *self.moved.lock() = Instant::now();
        }
        polled
    }
}

impl AsyncRead for Watched {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.inner).poll_read(cx, out);
        this.seen(polled)
    }
}

impl AsyncWrite for Watched {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.inner).poll_write(cx, bytes);
        this.seen(polled)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_shutdown(cx)
    }
}
