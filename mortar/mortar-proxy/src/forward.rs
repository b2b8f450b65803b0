//! Sending a request to an instance, and to another one where that is safe.
//!
//! Safe means: nothing was sent (the connection was refused, or a pooled one was dead), for any method; or the request
//! may be repeated (its method is idempotent, RFC 9110 §9.2.2, or it has an idempotency key), its body is at hand, and
//! the edge's policy has another try for what happened.

mod hedge;
mod plain;
mod request;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use brick_core::Incarnation;
use brick_discovery::Lead;
use brick_discovery::balancer::Guard;
use brick_resilience::{FaultsOf, Outcome, Permit};
use http::request::Parts;
use http::{HeaderMap, Method, Response, StatusCode};

use crate::answer::Answer;
use crate::body::{Filter, RequestBody};
use crate::call::Call;
use crate::crossing::{self, Crossing};
use crate::http1::Failed as Attempt;
use crate::link::{Fault, Link};
use crate::pool::{Lease, Pool, Transport};
use crate::proxy::Local;
use crate::route::{Picked, Target};
use crate::tls;

pub(crate) use plain::{Plain, connect};
pub(crate) use request::{Outgoing, http2};

/// Dead pooled connections that are passed over before the request is given up.
const STALE_MAX: usize = 16;

/// An instance's answer, its body still to come.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) response: Response<()>,
    /// Gives the body, and whose connection it is.
    pub(crate) lease: Lease,
    /// Counts as in flight until the body ended.
    pub(crate) load: Load,
    /// A fault on purpose: the body comes no faster, in bytes a second.
    pub(crate) pace: Option<u64>,
    /// Sees the body pass.
    pub(crate) seen: Option<Box<dyn Filter>>,
}

/// What counts a request as in flight until it is dropped: at the balancer, and in the edge's bulkhead.
#[derive(Debug, Default)]
pub(crate) struct Load {
    _guard: Option<Guard>,
    permit: Option<Permit>,
    passed: usize,
}

/// How much of an answer a place in the bulkhead is kept for, in bytes: less than the kernel takes for a client that
/// reads nothing.
const PLACE_BYTES_MAX: usize = 64 * 1024;

impl Load {
    /// So many bytes more of the answer passed. Its place in the bulkhead is for what the instance works on: what is
    /// longer than a client's buffers comes as fast as the client reads, and clients that do not read fill no bulkhead.
    pub(crate) fn passed(&mut self, bytes: usize) {
        self.passed = self.passed.saturating_add(bytes);
        if self.passed > PLACE_BYTES_MAX {
            self.permit = None;
        }
    }
}

/// Where a request is to go, and within which bounds.
pub(crate) struct Errand<'a> {
    pub(crate) local: &'a Arc<Local>,
    /// The client's connection; none where the gateway itself asks.
    pub(crate) link: Option<&'a Link>,
    pub(crate) target: &'a Target,
    /// Which of its instances.
    pub(crate) lead: Lead,
    /// Time limit of the whole exchange, and when that is.
    pub(crate) limit: Duration,
    pub(crate) deadline: Instant,
    /// What goes wrong on purpose with requests of the route.
    pub(crate) faults: Option<&'a FaultsOf>,
    pub(crate) body_bytes_max: u64,
    /// Whether it is to become a tunnel, which HTTP/1.1 alone can.
    pub(crate) upgrade: bool,
    /// Whether it passes none of the edge's limits and counts for none.
    pub(crate) aside: bool,
}

/// Why an attempt gave no answer.
enum Failed {
    /// The request never left.
    Unsent,
    /// The connection died with the request on it.
    Died(io::Error),
    /// It took longer than a try may.
    Late,
}

/// An instance that took the connection.
struct Connected {
    addr: SocketAddr,
    incarnation: Option<Incarnation>,
    load: Option<Guard>,
    lease: Lease,
    /// Time that the try may take, where it is less than all that is left.
    limit: Option<Duration>,
}

/// What a try came to, and what the client gets where it was the last.
type Judged = (Outcome, Result<Response<()>, Answer>);

/// Instances that were tried in vain.
#[derive(Default)]
struct Tried {
    avoid: Vec<Incarnation>,
    refused: usize,
    stale: usize,
    /// What the last one that was not connected to has against us, where that is more than that it is away.
    why: Option<String>,
    /// The last one took the request and died; it may be picked again where there is no other.
    died: bool,
}

/// Sends the request, as often as the edge allows; at most three instances refuse a connection.
pub(crate) async fn send(
    errand: &Errand<'_>,
    parts: &mut Parts,
    body: RequestBody,
    call: &mut Call,
) -> Result<Reply, Answer> {
    errand.target.address(parts);
    let mut crossing = Crossing::enter(errand, &parts.method, &parts.headers, call).await?;
    let pace = faults(errand, &parts.headers, &mut crossing, call).await?;
    let mut request = Outgoing::new(parts, body, crossing.is_repeatable());
    let mut tried = Tried::default();
    loop {
        let mut connected = connected(errand, &mut tried, &mut crossing, call).await?;
        crossing::tell_left(errand.deadline, errand.target, request.head.headers_mut());
        let mut begun = Instant::now();
        let outcome = match crossing.hedges(connected.limit) {
            None => attempt(&mut connected.lease, &mut request, connected.limit).await,
            Some(hedge) => {
                let on_the_way = (&mut crossing, &mut *call);
                let tries = hedge::hedged(errand, connected, &mut request, hedge, &tried, on_the_way);
                // Apart: few edges have hedges.
                let ended = Box::pin(tries).await;
                (connected, begun) = (ended.connected, ended.begun);
                ended.outcome
            }
        };
        let Connected {
            addr,
            incarnation,
            load,
            lease,
            ..
        } = connected;
        call.done(outcome.as_ref().ok().map(Response::status), addr);
        observed(load.as_ref(), &outcome, begun);
        let Some((came_to, last)) = judged(errand, &mut tried, outcome, addr)? else {
            continue;
        };
        crossing.ended(&came_to, call);
        let again = match came_to.is_failure() && request.rewind() {
            true => crossing.again(&came_to, call),
            false => None,
        };
        let Some(wait) = again else {
            let load = Load {
                _guard: load,
                permit: crossing.arrived(),
                passed: 0,
            };
            return Ok(Reply {
                response: last?,
                lease,
                load,
                pace,
                seen: None,
            });
        };
        drop((lease, load));
        tried.avoid.extend(incarnation);
        tried.died = true;
        errand.local.stats.retries.fetch_add(1, Ordering::Relaxed);
        if !wait.is_zero() {
            Box::pin(tokio::time::sleep(wait)).await;
        }
    }
}

/// Judges a try; none where the next costs nothing, for nothing was sent.
fn judged(
    errand: &Errand<'_>,
    tried: &mut Tried,
    outcome: Result<Response<()>, Failed>,
    addr: SocketAddr,
) -> Result<Option<Judged>, Answer> {
    match outcome {
        Ok(response) => {
            let came_to = crossing::outcome(response.status(), response.headers());
            Ok(Some((came_to, Ok(response))))
        }
        Err(Failed::Unsent) if tried.stale < STALE_MAX => {
            tried.stale += 1;
            errand.local.stats.retries.fetch_add(1, Ordering::Relaxed);
            Ok(None)
        }
        Err(failed) => {
            let (came_to, answer) = without_answer(errand, failed, addr)?;
            Ok(Some((came_to, Err(answer))))
        }
    }
}

/// Lets the balancer know how the instance did.
fn observed(load: Option<&Guard>, outcome: &Result<Response<()>, Failed>, begun: Instant) {
    if let Some(load) = load
        && !matches!(outcome, Err(Failed::Unsent))
    {
        let good = matches!(outcome, Ok(response) if !response.status().is_server_error());
        load.observe(begun.elapsed(), good);
    }
}

/// A connection to an instance, at last.
async fn connected(
    errand: &Errand<'_>,
    tried: &mut Tried,
    crossing: &mut Crossing,
    call: &mut Call,
) -> Result<Connected, Answer> {
    loop {
        let Picked {
            addr,
            instance,
            transport,
        } = pick(errand.target, &errand.lead, tried)?;
        let (incarnation, load) = instance.unzip();
        let limit = crossing.begin();
        let transport = if errand.upgrade {
            transport.http1()
        } else {
            transport
        };
        match lease(&errand.local.pool, addr, &transport).await {
            Ok(lease) => {
                return Ok(Connected {
                    addr,
                    incarnation,
                    load,
                    lease,
                    limit,
                });
            }
            Err(error) => {
                call.done(None, addr);
                tried.why = explained(errand.target, addr, &error);
                tracing::debug!(to = errand.target.name(), %addr, %error, "an instance refused the connection");
                if let Some(load) = load {
                    load.connect_failed();
                }
                refused(errand, tried, incarnation, crossing, call)?;
            }
        }
    }
}

/// An instance refused the connection: nothing was sent, so another may be asked.
fn refused(
    errand: &Errand<'_>,
    tried: &mut Tried,
    incarnation: Option<Incarnation>,
    crossing: &mut Crossing,
    call: &mut Call,
) -> Result<(), Answer> {
    crossing.ended(&Outcome::Unconnected, call);
    tried.refused += 1;
    tried.died = false;
    let has_others = incarnation.is_some() || errand.target.remote().is_some();
    if !has_others || tried.why.is_some() || crossing.again(&Outcome::Unconnected, call).is_none() {
        return Err(unreachable(errand.target, tried.why.take()));
    }
    tried.avoid.extend(incarnation);
    errand.local.stats.retries.fetch_add(1, Ordering::Relaxed);
    Ok(())
}

/// What an attempt without an answer counts as, and what the client is told where it was the last.
fn without_answer(
    errand: &Errand<'_>,
    failed: Failed,
    addr: SocketAddr,
) -> Result<(Outcome, Answer), Answer> {
    Ok(match failed {
        Failed::Unsent => (Outcome::Reset, reset(errand.target)),
        Failed::Late => (Outcome::TimedOut, timed_out(errand)),
        Failed::Died(error) => {
            fault(errand)?;
            tracing::debug!(to = errand.target.name(), %addr, %error, "a connection died before its answer");
            match explained(errand.target, addr, &error) {
                Some(why) => (Outcome::Reset, unreachable(errand.target, Some(why))),
                None => (Outcome::Reset, reset(errand.target)),
            }
        }
    })
}

/// What goes wrong on purpose, for the route and for the edge. Gives how fast the answer's body may come.
async fn faults(
    errand: &Errand<'_>,
    headers: &HeaderMap,
    crossing: &mut Crossing,
    call: &mut Call,
) -> Result<Option<u64>, Answer> {
    let edges = errand.local.shared.edges().filter(|_| !errand.aside);
    let of_edge = match (edges, errand.target.brick()) {
        (Some(edges), Some(brick)) => edges.edge(brick).inject(headers),
        _ => None,
    };
    let of_route = errand.faults.and_then(|faults| faults.inject(headers));
    let mut pace = None;
    for injection in [of_route, of_edge].into_iter().flatten() {
        call.note("fault.injected");
        crossing.begin();
        if let Some(delay) = injection.delay {
            Box::pin(tokio::time::sleep(delay)).await;
        }
        if injection.reset {
            crossing.ended(&Outcome::Reset, call);
            return Err(reset(errand.target));
        }
        if let Some(status) = injection.abort {
            crossing.ended(&Outcome::of_status(status.as_u16(), None), call);
            return Err(Answer::new(
                status,
                "fault_injected",
                "this answer is a fault on purpose",
            ));
        }
        crossing.ended(&Outcome::Void, call);
        pace = pace.or(injection.bytes_per_second);
    }
    Ok(pace)
}

/// 413.
pub(crate) fn too_large(bytes_max: u64) -> Answer {
    Answer::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        "body_too_large",
        format!("the request body is larger than the {bytes_max} bytes that this route takes"),
    )
    .closing()
}

/// 504, or 408 where it is the client that is slow.
pub(crate) fn timed_out(errand: &Errand<'_>) -> Answer {
    late(errand.link, errand.target, errand.limit)
}

/// The same for who is waited for before the request is sent.
pub(crate) fn late(link: Option<&Link>, target: &Target, limit: Duration) -> Answer {
    let limit_ms = limit.as_millis();
    if link.is_some_and(Link::is_uploading) {
        let detail = format!("the request body did not arrive within {limit_ms} ms");
        return Answer::new(StatusCode::REQUEST_TIMEOUT, "body_timeout", detail).closing();
    }
    let detail = format!("{} did not answer within {limit_ms} ms", target.name());
    Answer::new(StatusCode::GATEWAY_TIMEOUT, "upstream_timeout", detail)
}

async fn lease(pool: &Arc<Pool>, addr: SocketAddr, transport: &Transport) -> io::Result<Lease> {
    match pool.take(addr, transport) {
        Some(lease) => Ok(lease),
        // Few requests open a connection; the others need no room for it.
        None => Box::pin(pool.connect(addr, transport)).await,
    }
}

/// One try, within a limit of its own where it has one. The request is borrowed: a future that holds it is a large one,
/// and each around it would be as large again.
async fn attempt(
    lease: &mut Lease,
    request: &mut Outgoing,
    limit: Option<Duration>,
) -> Result<Response<()>, Failed> {
    let answered = lease.exchange(request);
    let answered = match limit {
        None => answered.await,
        Some(limit) => match Box::pin(tokio::time::timeout(limit, answered)).await {
            Ok(answered) => answered,
            Err(_) => return Err(Failed::Late),
        },
    };
    answered.map_err(|failed| match failed {
        Attempt::Unsent => Failed::Unsent,
        Attempt::Died(error) => Failed::Died(error),
    })
}

fn pick(target: &Target, lead: &Lead, tried: &mut Tried) -> Result<Picked, Answer> {
    if let Some(picked) = target.pick(lead, &tried.avoid) {
        return Ok(picked);
    }
    if std::mem::take(&mut tried.died) {
        tried.avoid.pop();
        if let Some(picked) = target.pick(lead, &tried.avoid) {
            return Ok(picked);
        }
    }
    Err(if tried.refused > 0 {
        unreachable(target, tried.why.take())
    } else if let Some(remote) = target.remote() {
        remote.absent()
    } else {
        Answer::unavailable("no_instance", format!("no instance of {} is up", target.name()))
    })
}

/// The connection may have died because the request's own body ended early; then the client is told that.
fn fault(errand: &Errand<'_>) -> Result<(), Answer> {
    match errand.link.map_or(Fault::None, Link::fault) {
        Fault::None => Ok(()),
        Fault::TooLarge => Err(too_large(errand.body_bytes_max)),
        Fault::Framing => Err(Answer::new(
            StatusCode::BAD_REQUEST,
            "invalid_chunk",
            "the request body's framing is malformed (RFC 9112 section 7.1)",
        )
        .closing()),
        Fault::Gone => Err(Answer::new(
            StatusCode::BAD_REQUEST,
            "client_gone",
            "the request body ended early",
        )
        .closing()),
    }
}

/// What TLS has against the other side, for the log and for the answer; none where the connection failed otherwise.
fn explained(target: &Target, addr: SocketAddr, error: &(dyn std::error::Error + 'static)) -> Option<String> {
    let why = tls::explain(target.name(), error)?;
    tracing::warn!(to = target.name(), %addr, why, "TLS was not agreed on");
    Some(why)
}

fn unreachable(target: &Target, why: Option<String>) -> Answer {
    if let Some(why) = why {
        return Answer::new(StatusCode::BAD_GATEWAY, "upstream_tls", why);
    }
    Answer::unavailable(
        "upstream_unreachable",
        format!("no instance of {} takes connections", target.name()),
    )
}

pub(crate) fn reset(target: &Target) -> Answer {
    Answer::new(
        StatusCode::BAD_GATEWAY,
        "upstream_reset",
        format!("{} closed the connection before it answered", target.name()),
    )
}

pub(crate) fn is_idempotent(method: &Method) -> bool {
    matches!(
        *method,
        Method::GET | Method::HEAD | Method::OPTIONS | Method::PUT | Method::DELETE | Method::TRACE
    )
}
