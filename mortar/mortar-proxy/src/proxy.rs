//! The proxy itself: one request in, one answer out, by the routes of this moment.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use brick_auth::OwnToken;
use brick_core::Drain;
use brick_telemetry::{SpanSink, Telemetry};
use http::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use http::request::Parts;
use http::{Method, Request, Response, StatusCode, Version};
use hyper::body::{Body as _, Incoming};
use hyper::upgrade::OnUpgrade;

use crate::answer::Answer;
use crate::body::{Body, Limit, RequestBody, Stopping, Stream};
use crate::exchange::Exchange;
use crate::forward::{self, Reply};
use crate::gate::{Gate, Synthetic};
use crate::headers;
use crate::link::Link;
use crate::listener::Slots;
use crate::pool::Pool;
use crate::route::{self, Route, Routes};
use crate::stats::Stats;
use crate::tunnel;

/// How a proxy behaves.
#[derive(Debug, Clone)]
pub struct Options {
    /// Name of the listener in metrics, `edge` or `admin`.
    pub name: String,
    /// Requests that take longer are logged at level info.
    pub slow: Duration,
    /// Whether requests get spans. What an operator's tools ask is not the system's own traffic.
    pub trace: bool,
}

/// A proxy: routes, pool, figures. Cheap to clone.
#[derive(Debug)]
pub struct Proxy<G> {
    pub(crate) shared: Arc<Shared>,
    gate: Arc<G>,
}

/// What the parts of a proxy share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) name: String,
    pub(crate) slow: Duration,
    pub(crate) trace: bool,
    pub(crate) routes: ArcSwap<Routes>,
    pub(crate) pool: Arc<Pool>,
    pub(crate) stats: Stats,
    pub(crate) slots: Arc<Slots>,
    pub(crate) spans: SpanSink,
    /// What `http.route` says of requests without one.
    pub(crate) no_route: Arc<str>,
    identity: Identity,
    pub(crate) drain: Drain,
}

/// The process's own token as a header value that is made once per token.
#[derive(Debug)]
struct Identity {
    token: OwnToken,
    cached: ArcSwapOption<(Arc<str>, HeaderValue)>,
}

impl<G> Clone for Proxy<G> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            gate: Arc::clone(&self.gate),
        }
    }
}

impl Identity {
    fn value(&self) -> Option<HeaderValue> {
        let token = self.token.get()?;
        if let Some(cached) = &*self.cached.load()
            && Arc::ptr_eq(&cached.0, &token)
        {
            return Some(cached.1.clone());
        }
        let mut value = HeaderValue::from_str(&token).ok()?;
        value.set_sensitive(true);
        self.cached.store(Some(Arc::new((token, value.clone()))));
        Some(value)
    }
}

impl<G: Gate> Proxy<G> {
    /// A proxy without routes; they come with [`Self::replace`].
    pub fn new(options: Options, gate: G, telemetry: &Telemetry, token: OwnToken, drain: Drain) -> Self {
        let shared = Arc::new(Shared {
            name: options.name,
            slow: options.slow,
            trace: options.trace,
            routes: ArcSwap::default(),
            pool: Arc::default(),
            stats: Stats::default(),
            slots: Arc::default(),
            spans: telemetry.spans().clone(),
            no_route: "".into(),
            identity: Identity {
                token,
                cached: ArcSwapOption::empty(),
            },
            drain,
        });
        Self {
            shared,
            gate: Arc::new(gate),
        }
    }

    /// Serves these routes from now on; requests under way keep theirs.
    pub fn replace(&self, routes: Routes) {
        self.shared.routes.store(Arc::new(routes));
    }

    /// How many routes are served.
    pub fn routes(&self) -> usize {
        self.shared.routes.load().len()
    }

    /// Closes idle connections that are too old. Called now and then.
    pub fn sweep(&self) {
        self.shared.pool.sweep();
    }

    pub(crate) async fn serve(
        self,
        link: Arc<Link>,
        request: Request<Incoming>,
    ) -> Result<Response<Body>, Infallible> {
        let (mut parts, incoming) = request.into_parts();
        let mut exchange = Exchange::begin(&self.shared, &link, &parts.method, &parts.uri, &parts.headers);
        let had_upgrade = parts.headers.contains_key(http::header::UPGRADE);
        let unread = !incoming.is_end_stream();
        let outcome = self.exchange(&link, &mut parts, incoming, &mut exchange).await;
        let granted =
            matches!(&outcome, Ok(reply) if reply.response.status() == StatusCode::SWITCHING_PROTOCOLS);
        let mut response = match outcome {
            Ok(reply) if granted => self.tunnel(&link, &mut parts, reply, exchange),
            Ok(reply) => self.answer(reply, exchange),
            Err(answer) => {
                if unread {
                    link.set_linger();
                }
                exchange.answered(answer.status, Some(answer.code));
                let (head, document) = answer.into_parts(&exchange.trace_id());
                Response::from_parts(head, Body::whole(document, exchange))
            }
        };
        if had_upgrade {
            link.decide(granted);
        }
        if self.shared.drain.is_requested() && !granted {
            response
                .headers_mut()
                .insert(CONNECTION, HeaderValue::from_static("close"));
        }
        Ok(response)
    }

    /// Everything up to the head of the instance's answer, or the answer that there is none.
    async fn exchange(
        &self,
        link: &Arc<Link>,
        parts: &mut Parts,
        incoming: Incoming,
        exchange: &mut Exchange,
    ) -> Result<Reply, Answer> {
        let route = self.route(parts)?;
        exchange.set_route(&route);
        self.gate.admit(parts, &route)?;
        let declared = parts.headers.get(CONTENT_LENGTH).and_then(|v| v.to_str().ok());
        if declared
            .and_then(|v| v.parse::<u64>().ok())
            .is_some_and(|n| n > route.body_bytes_max)
        {
            return Err(forward::too_large(&route));
        }
        let websocket = headers::asks_websocket(&parts.headers);
        if websocket && !route.websocket {
            return Err(Answer::new(
                StatusCode::FORBIDDEN,
                "upgrade_refused",
                format!(
                    "route {:?} lets no upgrade through; say `websocket = true` in its manifest entry",
                    route.pattern
                ),
            ));
        }
        headers::remove_hop(&mut parts.headers);
        headers::forward(
            &mut parts.headers,
            &parts.uri,
            link.peer.ip(),
            self.shared.identity.value(),
        );
        let synthetic = parts.extensions.remove::<Synthetic>();
        headers::baggage(&mut parts.headers, synthetic.as_ref());
        exchange.set_synthetic(synthetic);
        exchange.call(&mut parts.headers);
        if websocket {
            headers::upgrade(&mut parts.headers);
        }
        let body = RequestBody::new(incoming, route.body_bytes_max, link);
        let left = route.timeout.saturating_sub(exchange.begun().elapsed());
        let sent = forward::send(&self.shared, link, &route, parts, body, exchange);
        match tokio::time::timeout(left, sent).await {
            Ok(reply) => reply,
            Err(_) => Err(forward::timed_out(link, &route)),
        }
    }

    fn route(&self, parts: &Parts) -> Result<Arc<Route>, Answer> {
        if parts.method == Method::CONNECT {
            return Err(Answer::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "method_not_allowed",
                "CONNECT is not served here",
            )
            .closing());
        }
        let path = parts.uri.path();
        let Some(canonical) = route::canonical(path) else {
            return Err(Answer::new(
                StatusCode::BAD_REQUEST,
                "invalid_path",
                "expected a path without dot segments, backslashes and broken percent-encodings",
            ));
        };
        let routes = self.shared.routes.load();
        match routes.find(&canonical) {
            Some(route) => Ok(Arc::clone(route)),
            None if routes.is_empty() => Err(Answer::unavailable(
                "no_routes",
                "no routes are known yet; control did not tell them and no snapshot is on disk",
            )),
            None => {
                let shown: String = path.chars().take(200).collect();
                Err(Answer::new(
                    StatusCode::NOT_FOUND,
                    "no_route",
                    format!("no route serves {shown}; `brick status` lists the routes"),
                ))
            }
        }
    }

    fn answer(&self, reply: Reply, mut exchange: Box<Exchange>) -> Response<Body> {
        let (mut head, incoming) = reply.response.into_parts();
        headers::remove_hop(&mut head.headers);
        head.version = Version::HTTP_11;
        exchange.answered(head.status, None);
        let is_events = head
            .headers
            .get(CONTENT_TYPE)
            .is_some_and(|v| v.as_bytes().starts_with(b"text/event-stream"));
        let limit = if is_events {
            let drain = self.shared.drain.clone();
            Limit::Drain(Stopping(Box::pin(async move { drain.requested().await })))
        } else {
            Limit::Deadline((exchange.begun() + reply.timeout).into(), None)
        };
        let mut stream = Stream {
            incoming,
            lease: Some(reply.lease),
            load: reply.load,
            limit,
        };
        if stream.incoming.is_end_stream() {
            stream.give_back();
        }
        Response::from_parts(head, Body::stream(stream, exchange))
    }

    fn tunnel(
        &self,
        link: &Arc<Link>,
        parts: &mut Parts,
        reply: Reply,
        mut exchange: Box<Exchange>,
    ) -> Response<Body> {
        let mut response = reply.response;
        let upstream = hyper::upgrade::on(&mut response);
        if let Some(client) = parts.extensions.remove::<OnUpgrade>() {
            let (link, drain) = (Arc::clone(link), self.shared.drain.clone());
            tokio::spawn(async move { tunnel::run(client, upstream, drain, link).await });
        }
        let (mut head, _) = response.into_parts();
        headers::remove_hop(&mut head.headers);
        headers::upgrade(&mut head.headers);
        exchange.answered(head.status, None);
        Response::from_parts(head, Body::empty(exchange))
    }
}
