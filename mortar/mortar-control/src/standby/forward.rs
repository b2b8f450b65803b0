//! Hands a request to the control that leads, as it is, and its answer back as it comes: streams and upgraded
//! connections (the console's WebSocket) too.

use std::net::SocketAddr;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use brick_http::Problem;
use http::header::{
    CONNECTION, HeaderName, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, RETRY_AFTER, TE, TRAILER,
    TRANSFER_ENCODING, UPGRADE,
};
use http::uri::{Authority, Scheme};
use http::{HeaderMap, HeaderValue, StatusCode, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};

use super::Leader;

/// Where a request was handed on: by whom. One that comes back was handed on by somebody who knew less.
const BY: HeaderName = HeaderName::from_static("x-brick-handed-on-by");
const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
/// What counts for one connection alone (RFC 9110 §7.6.1).
const HOP_BY_HOP: [HeaderName; 7] = [
    CONNECTION,
    KEEP_ALIVE,
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
];

/// Hands requests on.
#[derive(Debug, Clone)]
pub(super) struct Forward {
    leader: Leader,
    at: SocketAddr,
    client: Client<HttpConnector, Body>,
}

impl Forward {
    pub(super) fn new(leader: Leader, at: SocketAddr) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(std::time::Duration::from_secs(1)));
        let mut builder = Client::builder(TokioExecutor::new());
        builder.pool_timer(TokioTimer::new()).pool_max_idle_per_host(16);
        Self {
            leader,
            at,
            client: builder.build(connector),
        }
    }
}

pub(super) async fn forward(State(forward): State<Forward>, mut request: Request) -> Response {
    let leader = forward.leader.at();
    let Some(leader) = leader.filter(|_| !request.headers().contains_key(BY)) else {
        return nobody("no control leads at this moment; one of those that stand by will");
    };
    let upgrade = upgrade(request.headers());
    let client_side = upgrade.is_some().then(|| hyper::upgrade::on(&mut request));
    let Some(uri) = uri(leader, request.uri()) else {
        return Problem::bad_request("uri_invalid", "the target of the request cannot be handed on")
            .into_response();
    };
    *request.uri_mut() = uri;
    let headers = request.headers_mut();
    forget_hop(headers, upgrade.as_ref());
    if let Ok(at) = HeaderValue::from_str(&forward.at.to_string()) {
        headers.insert(BY, at);
    }
    let mut answer = match forward.client.request(request).await {
        Ok(answer) => answer,
        Err(error) if error.is_connect() => {
            return nobody("the control that led is gone; one of those that stand by will lead");
        }
        Err(error) => {
            tracing::warn!(%leader, error = brick_core::chain(&error), "the leading control did not answer");
            let hint = "the leading control did not answer; whether it did what was asked is not known";
            return retry(Problem::new(StatusCode::BAD_GATEWAY, "leader_lost", hint));
        }
    };
    let switched = answer.status() == StatusCode::SWITCHING_PROTOCOLS;
    if let (true, Some(client_side)) = (switched, client_side) {
        let leader_side = hyper::upgrade::on(&mut answer);
        tokio::spawn(async move {
            if let (Ok(client), Ok(leader)) = tokio::join!(client_side, leader_side) {
                let (mut client, mut leader) = (TokioIo::new(client), TokioIo::new(leader));
                // Either side ends it; there is nobody to tell how.
                let _ = tokio::io::copy_bidirectional(&mut client, &mut leader).await;
            }
        });
    }
    forget_hop(answer.headers_mut(), upgrade.as_ref().filter(|_| switched));
    answer.map(Body::new)
}

/// Same target at another place.
fn uri(leader: SocketAddr, target: &Uri) -> Option<Uri> {
    let mut parts = target.clone().into_parts();
    parts.scheme = Some(Scheme::HTTP);
    parts.authority = Some(leader.to_string().parse::<Authority>().ok()?);
    Uri::from_parts(parts).ok()
}

/// The protocol that is asked for in place of HTTP.
fn upgrade(headers: &HeaderMap) -> Option<HeaderValue> {
    let asked = headers.get(CONNECTION)?.to_str().ok()?;
    let asked = asked
        .split(',')
        .any(|token| token.trim().eq_ignore_ascii_case("upgrade"));
    headers.get(UPGRADE).filter(|_| asked).cloned()
}

fn forget_hop(headers: &mut HeaderMap, upgrade: Option<&HeaderValue>) {
    for name in HOP_BY_HOP {
        headers.remove(name);
    }
    headers.remove(UPGRADE);
    if let Some(protocol) = upgrade {
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, protocol.clone());
    }
}

fn nobody(hint: &str) -> Response {
    retry(Problem::unavailable("no_leader", hint))
}

fn retry(problem: Problem) -> Response {
    ([(RETRY_AFTER, HeaderValue::from_static("1"))], problem).into_response()
}
