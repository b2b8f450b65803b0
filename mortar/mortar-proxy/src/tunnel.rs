//! Exchanges that become tunnels: WebSocket over HTTP/1.1 (RFC 6455) and HTTP/2 (RFC 8441), and CONNECT (RFC 9110
//! §9.3.6). Bytes go both ways until either side ends, or the proxy drains.

use std::net::SocketAddr;
use std::sync::Arc;
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
use tokio::net::TcpStream;

use crate::answer::Answer;
use crate::body::Body;
use crate::connection::Active;
use crate::forward::Load;
use crate::headers;
use crate::http1::Socket;
use crate::link::Link;
use crate::opening::Prefixed;
use crate::relay::{self, End};

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
pub(crate) async fn run(client: OnUpgrade, upstream: Prefixed<Socket>, drain: Drain, holds: Holds) {
    let peer = holds.link.peer;
    let joined = async {
        let mut client = TokioIo::new(client.await?);
        Ok(relay::join(&mut client, upstream, None, |_, _| {}).await)
    };
    attend(peer, joined, drain).await;
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
    let joined = async {
        let mut client = TokioIo::new(client.await?);
        Ok(relay::join(&mut client, upstream, Some(idle), |_, _| {}).await)
    };
    attend(peer, joined, drain).await;
    drop(holds);
}

/// Lets a tunnel run until it ends or the proxy drains.
async fn attend(peer: SocketAddr, joined: impl Future<Output = hyper::Result<End>>, drain: Drain) {
    tokio::select! {
        ended = joined => match ended {
            Ok(End::Over) => {}
            Ok(End::Broken(error)) => tracing::debug!(%peer, %error, "a tunnel ended"),
            Ok(End::Still) => tracing::debug!(%peer, "a tunnel on which nothing moved was closed"),
            Err(error) => tracing::debug!(%peer, %error, "an upgrade was not completed"),
        },
        () = drain.requested() => {}
    }
}
