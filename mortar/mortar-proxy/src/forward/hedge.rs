//! Hedged requests (Dean and Barroso, "The Tail at Scale", 2013): where an instance is slow, another is asked beside it,
//! out of the retry budget. The first good answer counts; who is slower is hung up on.

use std::pin::Pin;
use std::time::{Duration, Instant};

use brick_core::Incarnation;
use brick_discovery::balancer::Guard;
use brick_resilience::Outcome;
use brick_resilience::policy::Hedge;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use http::Response;

use super::{Connected, Errand, Failed, Outgoing, Tried, attempt, lease, observed, pick};
use crate::call::Call;
use crate::crossing::{self, Crossing};
use crate::route::Picked;

/// A try that was hung up on after this long says something of its instance.
const GIVEN_UP: Duration = Duration::from_millis(250);

/// What a try came to.
pub(super) struct Ended {
    pub(super) connected: Connected,
    pub(super) outcome: Result<Response<()>, Failed>,
    pub(super) begun: Instant,
    beside: bool,
}

type Running<'f> = FuturesUnordered<Pin<Box<dyn Future<Output = Option<Ended>> + Send + 'f>>>;

/// Tells the balancer of a try that is dropped before it ended.
struct Watched {
    load: Option<Guard>,
    begun: Instant,
}

impl Drop for Watched {
    fn drop(&mut self) {
        if let Some(load) = &self.load
            && self.begun.elapsed() >= GIVEN_UP
        {
            load.observe(self.begun.elapsed(), false);
        }
    }
}

/// One try, and others beside it while it is slow.
pub(super) async fn hedged(
    errand: &Errand<'_>,
    first: Connected,
    request: &mut Outgoing,
    hedge: Hedge,
    tried: &Tried,
    (crossing, call): (&mut Crossing, &mut Call),
) -> Ended {
    let (begun, limit) = (Instant::now(), first.limit);
    let mut asked: Vec<Incarnation> = tried.avoid.clone();
    asked.extend(first.incarnation);
    let spare = request.spare();
    let mut running: Running<'_> = FuturesUnordered::new();
    running.push(Box::pin(async move {
        Some(watched(first, request, limit, false).await)
    }));
    let mut more = hedge.max;
    let mut last = None;
    loop {
        tokio::select! {
            biased;
            ended = running.next() => match ended {
                Some(Some(ended)) if is_good(&ended.outcome) => {
                    crossing.hedged(ended.begun, ended.beside, call);
                    return ended;
                }
                Some(Some(ended)) => {
                    if let Some(before) = last.replace(ended) {
                        observed(before.connected.load.as_ref(), &before.outcome, before.begun);
                        crossing.also_ended(&came_to(&before.outcome), before.begun);
                    }
                }
                // It was not connected: nothing was sent.
                Some(None) => {}
                // All have ended, the first at least with something to tell.
                None => if let Some(last) = last {
                    crossing.hedged(last.begun, false, call);
                    return last;
                }
            },
            () = tokio::time::sleep(hedge.after), if more > 0 => {
                let left = limit.map(|limit| limit.saturating_sub(begun.elapsed()));
                let copy = spare.as_ref().filter(|copy| copy.is_whole()).and_then(Outgoing::spare);
                let picked = other(errand, &mut asked);
                more -= 1;
                match (picked, copy) {
                    (Some(picked), Some(copy)) if crossing.hedge(call) => {
                        running.push(Box::pin(beside(errand, picked, copy, left)));
                    }
                    _ => more = 0,
                }
            }
        }
    }
}

/// Another instance than those that were asked.
fn other(errand: &Errand<'_>, asked: &mut Vec<Incarnation>) -> Option<Picked> {
    let mut tried = Tried {
        avoid: asked.clone(),
        ..Tried::default()
    };
    let picked = pick(errand.target, &errand.lead, &mut tried).ok()?;
    asked.extend(picked.instance.as_ref().map(|(incarnation, _)| *incarnation));
    Some(picked)
}

/// A try beside a slow one; none where it cannot be connected.
async fn beside(
    errand: &Errand<'_>,
    picked: Picked,
    mut request: Outgoing,
    limit: Option<Duration>,
) -> Option<Ended> {
    let (incarnation, load) = picked.instance.unzip();
    let Ok(lease) = lease(&errand.local.pool, picked.addr, &picked.transport).await else {
        if let Some(load) = load {
            load.connect_failed();
        }
        return None;
    };
    crossing::tell_left(errand.deadline, errand.target, request.head.headers_mut());
    let connected = Connected {
        addr: picked.addr,
        incarnation,
        load,
        lease,
        limit,
    };
    Some(watched(connected, &mut request, limit, true).await)
}

async fn watched(
    mut connected: Connected,
    request: &mut Outgoing,
    limit: Option<Duration>,
    beside: bool,
) -> Ended {
    let begun = Instant::now();
    let mut watched = Watched {
        load: connected.load.take(),
        begun,
    };
    let outcome = attempt(&mut connected.lease, request, limit).await;
    connected.load = watched.load.take();
    Ended {
        connected,
        outcome,
        begun,
        beside,
    }
}

fn is_good(outcome: &Result<Response<()>, Failed>) -> bool {
    !came_to(outcome).is_failure()
}

/// What a try counts as at the edge.
fn came_to(outcome: &Result<Response<()>, Failed>) -> Outcome {
    match outcome {
        Ok(response) => crossing::outcome(response.status(), response.headers()),
        Err(Failed::Late) => Outcome::TimedOut,
        Err(Failed::Unsent | Failed::Died(_)) => Outcome::Reset,
    }
}
