//! The proxy itself: one request in, one answer out, by the routes of this moment.

mod state;
mod tunnelling;

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use brick_auth::OwnToken;
use brick_core::Drain;
use brick_resilience::Edges;
use brick_telemetry::Telemetry;
use http::header::{ACCEPT, ALLOW, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue, UPGRADE};
use http::request::Parts;
use http::{HeaderMap, Method, Request, Response, StatusCode, Version};
use hyper::body::{Body as _, Incoming};

use crate::answer::Answer;
use crate::body::{Body, Limit, Pace, RequestBody, Stopping, Stream};
use crate::exchange::Exchange;
use crate::fallback::{self, Given};
use crate::forward::{self, Errand, Plain, Reply};
use crate::forwarded;
use crate::gate::{CalledBy, Client, Gate, Passing, Synthetic, Verdict};
use crate::headers;
use crate::link::Link;
use crate::remote;
use crate::route::{self, Access, Route, Routes, Sought};
use crate::settings::Settings;
use crate::shadow;
use crate::timer::Timer;
use crate::tunnel::{self, Wish};

pub(crate) use state::{Local, Part, Shared};

/// How a proxy behaves.
#[derive(Debug, Clone)]
pub struct Options {
    /// Name of the listener in metrics, `edge` or `admin`.
    pub name: String,
    /// How connections are taken and bounded; [`Proxy::set`] changes it.
    pub settings: Settings,
    /// Whether requests get spans. What an operator's tools ask is not the system's own traffic.
    pub trace: bool,
    /// Who is at the other end.
    pub side: Side,
}

/// Who is at the other end of a proxy's connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Side {
    /// Anybody: what only the platform may say is removed from requests, and a request is one that the proxy serves.
    #[default]
    Outside,
    /// A brick that the gate has recognised: what it says of trace, time limit, class and baggage goes along, and a
    /// request is one that the brick makes, in its name.
    Inside,
    /// Those who call one brick that stands behind the proxy: requests are ones that the brick serves, in its name. Of
    /// whom the gate has recognised ([`crate::CalledBy`]) everything goes along, as it would reach the brick itself.
    Before,
}

/// A proxy: routes, pool, figures. Cheap to clone; a clone shares all of it, [`Self::worker`] gives one with
/// connections and figures of its own.
#[derive(Debug)]
pub struct Proxy<G> {
    pub(crate) local: Arc<Local>,
    gate: Arc<G>,
}

/// How far a request came.
enum Outcome {
    /// An instance answered.
    Reply(Box<Reply>, Duration, Timer),
    /// A tunnel leads to one.
    Connected(Box<Plain>),
    /// The gate did.
    Answer(Box<Response<Body>>),
}

/// What is kept of a request for its answer.
struct Kept<N> {
    note: N,
    route: Option<Arc<Route>>,
    accept: Option<HeaderValue>,
    wish: Wish,
}

impl<G> Clone for Proxy<G> {
    fn clone(&self) -> Self {
        Self {
            local: Arc::clone(&self.local),
            gate: Arc::clone(&self.gate),
        }
    }
}

impl<G: Gate> Proxy<G> {
    /// A proxy without routes; they come with [`Self::replace`].
    pub fn new(options: Options, gate: G, telemetry: &Telemetry, token: OwnToken, drain: Drain) -> Self {
        let shared = Shared::new(options, telemetry.spans().clone(), token, drain);
        Self {
            local: shared.local(),
            gate: Arc::new(gate),
        }
    }

    /// The same proxy for another thread: routes and gate are shared, connections and figures are its own.
    #[must_use]
    pub fn worker(&self) -> Self {
        Self {
            local: self.local.shared.local(),
            gate: Arc::clone(&self.gate),
        }
    }

    /// Serves these routes from now on; requests under way keep theirs.
    pub fn replace(&self, routes: Routes) {
        self.local.shared.routes.store(Arc::new(routes));
    }

    /// Takes and bounds connections to come in this way.
    pub fn set(&self, settings: Settings) {
        self.local.shared.settings.store(Arc::new(settings));
    }

    /// Requests carry this token from now on.
    pub fn identify(&self, token: OwnToken) {
        self.local.shared.identify(token);
    }

    /// Requests to bricks pass these edges from now on.
    pub fn follow(&self, edges: Edges) {
        self.local.shared.follow(edges);
    }

    /// How many routes are served.
    pub fn routes(&self) -> usize {
        self.local.shared.routes.load().len()
    }

    /// Closes idle connections that are too old. Called now and then.
    pub fn sweep(&self) {
        for part in self.local.shared.parts() {
            part.pool.sweep();
        }
    }

    pub(crate) async fn serve(
        self,
        link: Arc<Link>,
        request: Request<Incoming>,
    ) -> Result<Response<Body>, Infallible> {
        let (mut parts, incoming) = request.into_parts();
        let mut exchange = Exchange::begin(&self.local, &link, &parts.method, &parts.uri, &parts.headers);
        let version = parts.version;
        let is_undecided = version != Version::HTTP_2
            && (parts.headers.contains_key(UPGRADE) || parts.method == Method::CONNECT);
        let unread = !incoming.is_end_stream();
        let mut kept = Kept {
            note: G::Note::default(),
            route: None,
            accept: parts.headers.get(ACCEPT).cloned(),
            wish: Wish::Nothing,
        };
        let outcome = self
            .exchange(&link, &mut parts, incoming, &mut exchange, &mut kept)
            .await;
        let switched = matches!(&outcome, Ok(Outcome::Reply(reply, ..)) if reply.response.status() == StatusCode::SWITCHING_PROTOCOLS);
        let granted = switched && kept.wish.is_upgrade() || matches!(&outcome, Ok(Outcome::Connected(_)));
        let mut response = match outcome {
            Ok(Outcome::Reply(reply, ..)) if granted => {
                self.tunnel(&link, &mut parts, kept.wish, *reply, &mut exchange)
            }
            Ok(Outcome::Connected(plain)) => {
                let idle = kept.route.as_ref().and_then(|route| route.tunnel_idle);
                self.joined(&link, &mut parts, (*plain, idle), &mut exchange)
            }
            Ok(Outcome::Reply(reply, limit, timer)) => {
                let response = self.answer(*reply, limit, timer, &mut exchange);
                self.gate.respond(kept.route.as_ref(), kept.note, response)
            }
            Ok(Outcome::Answer(response)) => {
                if unread {
                    link.set_linger();
                }
                exchange.answered(response.status(), None);
                self.gate.respond(kept.route.as_ref(), kept.note, *response)
            }
            Err(answer) => {
                if unread {
                    link.set_linger();
                }
                exchange.answered(answer.status, Some(answer.code));
                let response = self.problem(answer, kept.accept.as_ref(), &exchange);
                self.gate.respond(kept.route.as_ref(), kept.note, response)
            }
        };
        // To the client, a success without a tunnel would be one.
        if !granted && (switched || kept.wish.is_connect() && response.status().is_success()) {
            let answer = tunnel::not_granted();
            exchange.answered(answer.status, Some(answer.code));
            response = self.problem(answer, kept.accept.as_ref(), &exchange);
        }
        if !granted {
            exchange.answered(response.status(), None);
        }
        if is_undecided {
            link.decide(granted);
        }
        // HTTP/2 says it by GOAWAY.
        if self.local.shared.drain.is_requested() && !granted && version != Version::HTTP_2 {
            response
                .headers_mut()
                .insert(CONNECTION, HeaderValue::from_static("close"));
        }
        Ok(response.map(|body| body.recorded(exchange)))
    }

    /// Everything up to the head of the answer, or why there is none.
    async fn exchange(
        &self,
        link: &Arc<Link>,
        parts: &mut Parts,
        incoming: Incoming,
        exchange: &mut Exchange,
        kept: &mut Kept<G::Note>,
    ) -> Result<Outcome, Answer> {
        if parts.version == Version::HTTP_2 {
            headers::join_cookies(&mut parts.headers);
        }
        kept.wish = Wish::of(parts)?;
        let told = forwarded::client(&link.client, &self.local.shared.settings.load(), &parts.headers);
        if let Some(told) = &told {
            exchange.set_client(told);
        }
        let client = told.as_ref().unwrap_or(&link.client);
        let route = self.route(parts, kept.wish)?;
        exchange.set_route(&route);
        kept.route = Some(Arc::clone(&route));
        let mut passing = Passing {
            head: parts,
            route: &route,
            client,
            target: None,
            filter: None,
            local: &self.local,
            within: exchange.context(),
        };
        let verdict = self.gate.admit(&mut passing, &mut kept.note)?;
        let Passing { target, filter, .. } = passing;
        if let Some(response) = wait(verdict, link, &route, exchange).await? {
            return Ok(Outcome::Answer(response));
        }
        if let Some(target) = &target {
            exchange.set_target(target);
        }
        if declared_length(&parts.headers).is_some_and(|length| length > route.body_bytes_max) {
            return Err(forward::too_large(route.body_bytes_max));
        }
        let limit = self.limit(&route, &parts.headers);
        self.rewrite(client, parts, &route, exchange)?;
        let to = target.as_ref().unwrap_or(&route.target);
        if route.access != Access::Public && to.remote().is_some() {
            remote::forget_credentials(&mut parts.headers);
        }
        self.gate.lead(&mut parts.headers);
        let lead = to.lead(&mut parts.headers, self.local.shared.side == Side::Inside);
        let errand = Errand {
            local: &self.local,
            link: Some(link),
            target: to,
            lead,
            limit,
            deadline: exchange.begun() + limit,
            faults: route.faults.as_deref(),
            body_bytes_max: route.body_bytes_max,
            upgrade: parts.headers.contains_key(UPGRADE),
            aside: false,
        };
        shadow::send(&self.local, to, &errand.lead, parts, &exchange.context());
        if kept.wish == Wish::Connect {
            return tunnelling::connect(&errand, parts, exchange).await;
        }
        let body = RequestBody::new(incoming, route.body_bytes_max, link, filter);
        send(&errand, link, parts, body, exchange).await
    }

    /// Time limit of the exchange: the route's, and no more than a brick has left.
    fn limit(&self, route: &Route, headers: &HeaderMap) -> Duration {
        match self.local.shared.side {
            Side::Outside => route.timeout,
            Side::Inside | Side::Before => {
                headers::left(headers).map_or(route.timeout, |left| left.min(route.timeout))
            }
        }
    }

    /// Fields as the instance gets them.
    fn rewrite(
        &self,
        client: &Client,
        parts: &mut Parts,
        route: &Route,
        exchange: &mut Exchange,
    ) -> Result<(), Answer> {
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
        let identity = self.local.shared.identity();
        match self.local.shared.side {
            Side::Outside => {
                headers::forward(&mut parts.headers, &parts.uri, client, identity);
                let synthetic = parts.extensions.remove::<Synthetic>();
                headers::baggage(&mut parts.headers, synthetic.as_ref());
                exchange.set_synthetic(synthetic);
            }
            Side::Inside => {
                exchange.set_synthetic(headers::synthetic(&parts.headers));
                headers::introduce(&mut parts.headers, &parts.uri, identity);
            }
            Side::Before => match parts.extensions.remove::<CalledBy>() {
                Some(CalledBy(caller)) => {
                    exchange.set_synthetic(headers::synthetic(&parts.headers));
                    exchange.set_caller(caller);
                }
                None => headers::unknown(&mut parts.headers),
            },
        }
        if websocket {
            headers::upgrade(&mut parts.headers);
        }
        Ok(())
    }

    fn route(&self, parts: &Parts, wish: Wish) -> Result<Arc<Route>, Answer> {
        if wish == Wish::Connect {
            return self.tunnel_route(parts);
        }
        let path = parts.uri.path();
        let Some(canonical) = route::canonical(path) else {
            return Err(Answer::new(
                StatusCode::BAD_REQUEST,
                "invalid_path",
                "expected a path without dot segments, backslashes and broken percent-encodings",
            ));
        };
        let routes = self.local.shared.routes.load();
        let sought = Sought::new(parts, &canonical);
        match routes.find(&sought) {
            Some(route) => Ok(Arc::clone(route)),
            None if routes.is_empty() => Err(Answer::unavailable(
                "no_routes",
                "no routes are known yet; control did not tell them and no snapshot is on disk",
            )),
            None => Err(no_route(path, &routes.allowed(&sought))),
        }
    }

    fn problem(&self, answer: Answer, accept: Option<&HeaderValue>, exchange: &Exchange) -> Response<Body> {
        let trace_id = exchange.trace_id();
        let page = self.gate.page(accept, &answer, &trace_id);
        let (mut head, document) = answer.into_parts(&trace_id);
        let document = match page {
            Some((kind, page)) => {
                head.headers.insert(CONTENT_TYPE, kind);
                page
            }
            None => document,
        };
        Response::from_parts(head, Body::whole(document))
    }

    fn answer(&self, reply: Reply, limit: Duration, timer: Timer, exchange: &mut Exchange) -> Response<Body> {
        let (mut head, ()) = reply.response.into_parts();
        headers::remove_hop(&mut head.headers);
        head.version = Version::HTTP_11;
        exchange.answered(head.status, None);
        let is_events = head
            .headers
            .get(CONTENT_TYPE)
            .is_some_and(|v| v.as_bytes().starts_with(b"text/event-stream"));
        let limit = if is_events {
            let drain = self.local.shared.drain.clone();
            Limit::Drain(Stopping(Box::pin(async move { drain.requested().await })))
        } else {
            Limit::Deadline((exchange.begun() + limit).into(), timer)
        };
        let mut stream = Stream {
            lease: Some(reply.lease),
            load: reply.load,
            pace: reply.pace.map(|rate| Box::new(Pace::new(rate))),
            limit,
        };
        if stream.is_end() {
            stream.give_back();
        }
        let body = Body::stream(stream);
        let body = match reply.seen {
            Some(filter) => body.filtered(filter),
            None => body,
        };
        Response::from_parts(head, body)
    }
}

fn declared_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// 405 where another method would do, else 404.
fn no_route(path: &str, allowed: &[Method]) -> Answer {
    let shown: String = path.chars().take(200).collect();
    if allowed.is_empty() {
        let detail = format!("no route serves {shown}; `brick status` lists the routes");
        return Answer::new(StatusCode::NOT_FOUND, "no_route", detail);
    }
    let allowed: Vec<&str> = allowed.iter().map(Method::as_str).collect();
    let allowed = allowed.join(", ");
    let detail = format!("{shown} takes {allowed}");
    let answer = Answer::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail);
    match HeaderValue::from_str(&allowed) {
        Ok(value) => answer.with_header(ALLOW, value),
        Err(_) => answer,
    }
}

/// Lets an instance answer.
async fn send(
    errand: &Errand<'_>,
    link: &Link,
    parts: &mut Parts,
    body: RequestBody,
    exchange: &mut Exchange,
) -> Result<Outcome, Answer> {
    let call = exchange.call(&mut parts.headers);
    if let Some(fallback) = fallback::of(errand) {
        let sent = fallback::send(errand, fallback, parts, body, call);
        // Apart: few edges have one.
        return Ok(match Box::pin(sent).await? {
            Given::Reply(reply) => Outcome::Reply(reply, errand.limit, link.lend_timer()),
            Given::Instead(response) => Outcome::Answer(response),
        });
    }
    let sent = pin!(forward::send(errand, parts, body, call));
    let mut timer = link.lend_timer();
    let sent = timer.within(errand.deadline.into(), sent).await;
    match sent {
        Some(Ok(reply)) => Ok(Outcome::Reply(Box::new(reply), errand.limit, timer)),
        Some(Err(answer)) => {
            link.return_timer(timer);
            Err(answer)
        }
        None => {
            link.return_timer(timer);
            Err(forward::timed_out(errand))
        }
    }
}

/// The answer that the gate has, now or later; none where the request goes on.
async fn wait(
    mut verdict: Verdict,
    link: &Link,
    route: &Route,
    exchange: &Exchange,
) -> Result<Option<Box<Response<Body>>>, Answer> {
    loop {
        verdict = match verdict {
            Verdict::Forward => return Ok(None),
            Verdict::Answer(response) => return Ok(Some(response)),
            Verdict::Later(later) => {
                let left = route.timeout.saturating_sub(exchange.begun().elapsed());
                match Box::pin(tokio::time::timeout(left, later)).await {
                    Ok(verdict) => verdict?,
                    Err(_) => return Err(forward::late(Some(link), &route.target, route.timeout)),
                }
            }
        };
    }
}
