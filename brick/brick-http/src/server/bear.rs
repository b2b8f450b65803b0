//! What the server does with more than it can serve: deadlines, a bounded number of requests at once, load shedding.
//!
//! A request says with `x-brick-timeout-ms` how long whoever asked still waits. It is not begun when that is over,
//! stopped when it becomes over, and what is left goes along with the calls that it makes.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use brick_bus::{Follower, Resource, Serve};
use brick_resilience::bulkhead::Bulkhead;
use brick_resilience::policy::{Concurrency, TIMEOUT_MAX};
use brick_resilience::shed::{self, Criticality, Shedder};
use brick_resilience::{Decision, Edges};
use http::{HeaderMap, HeaderName, StatusCode};
use serde::Deserialize as _;
use tokio::time::Instant;

use crate::Problem;

/// How long whoever asked still waits, in milliseconds, when the request was sent.
pub(crate) const TIMEOUT_MS: HeaderName = HeaderName::from_static("x-brick-timeout-ms");
/// How much a request matters: `critical`, `default`, `sheddable`.
pub(crate) const CRITICALITY: HeaderName = HeaderName::from_static("x-brick-criticality");
/// The same as baggage.
const CRITICALITY_BAGGAGE: &str = "brick.criticality";
/// Requests at once where shedding is asked for and no number is said.
const CONCURRENCY: u32 = 256;
/// Requests that may wait for their turn.
const QUEUE_MAX: u32 = 10_000;
/// How long a request waits for its turn where nothing is shed.
const WAIT_MAX: Duration = Duration::from_secs(10);

/// How much longer a request is worked on than whoever asked waits: the caller's own clock decides, not the race of two.
const GRACE: Duration = Duration::from_millis(50);

/// When whoever asked stops waiting, and how much it matters: for the request's context.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Asked {
    pub(crate) deadline: Option<Instant>,
    pub(crate) criticality: Criticality,
}

/// How the server bears its load.
#[derive(Debug)]
pub(super) struct Bearing {
    edges: Edges,
    /// Of `serve/<brick>`, which `gate` is made from.
    follower: Follower,
    gate: ArcSwapOption<Gate>,
}

/// The queue before the routes.
#[derive(Debug)]
struct Gate {
    bulkhead: Bulkhead,
    policy: Concurrency,
    shed: Option<shed::Policy>,
    shedder: Shedder,
}

/// A place among those that are worked on.
struct Place(Arc<Gate>);

impl Bearing {
    pub(super) fn new(brick: &str, edges: Edges) -> Self {
        Self {
            follower: Follower::new(edges.watch().clone(), format!("serve/{brick}")),
            edges,
            gate: ArcSwapOption::empty(),
        }
    }

    /// The gate as the bus has it now; none where everything passes.
    fn gate(&self) -> Option<Arc<Gate>> {
        self.follower.refresh(|resource| self.adopt(resource));
        self.gate.load_full()
    }

    /// Those that are in the old gate leave through it.
    fn adopt(&self, resource: Option<&Resource>) {
        let Some(resource) = resource else {
            self.gate.store(None);
            return;
        };
        let refused = match Serve::deserialize(&resource.value) {
            Ok(serve) => {
                self.gate.store(Gate::new(&serve).map(Arc::new));
                None
            }
            Err(error) => Some(error.to_string()),
        };
        self.follower
            .watch()
            .acknowledge(&resource.name, resource.revision, refused);
    }

    async fn enter(&self, asked: Asked) -> Result<Option<Place>, Problem> {
        let Some(gate) = self.gate() else { return Ok(None) };
        let Asked {
            deadline,
            criticality,
        } = asked;
        let left = deadline.map_or(WAIT_MAX, |deadline| {
            deadline.saturating_duration_since(Instant::now())
        });
        let patience = gate
            .shed
            .map_or(WAIT_MAX, |policy| gate.shedder.patience(policy, criticality));
        let begun = Instant::now();
        let entered = match patience.is_zero() {
            true => gate.bulkhead.try_enter(),
            false => gate.bulkhead.enter(gate.policy, patience.min(left)).await,
        };
        if let Some(policy) = gate.shed.filter(|_| !patience.is_zero()) {
            let now = Instant::now();
            gate.shedder.waited(policy, now - begun, now.into_std());
        }
        match entered {
            Ok(()) => Ok(Some(Place(gate))),
            Err(_) => {
                self.edges.decide_serving(Decision::Shed);
                let hint = "more requests wait than can be served in time; try again later";
                Err(Problem::unavailable("shed", hint).with_retry_after(Duration::from_secs(1)))
            }
        }
    }

    fn late(&self) -> Response {
        self.edges.decide_serving(Decision::Deadline);
        late()
    }
}

impl Gate {
    fn new(serve: &Serve) -> Option<Self> {
        if serve.shed.is_none() && serve.concurrency.is_none() {
            return None;
        }
        let policy = Concurrency {
            max: serve.concurrency.unwrap_or(CONCURRENCY).max(1),
            queue: QUEUE_MAX,
            wait: WAIT_MAX,
            adaptive: false,
        };
        Some(Self {
            bulkhead: Bulkhead::new(policy),
            policy,
            shed: serve.shed.as_ref().map(|shed| shed::Policy {
                target: Duration::from_millis(shed.target_ms),
                interval: Duration::from_millis(shed.interval_ms),
            }),
            shedder: Shedder::new(Instant::now().into_std()),
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.bulkhead.leave();
    }
}

/// Serves a request within what it may take.
pub(super) async fn serve(bearing: Option<&Bearing>, mut request: Request, next: Next) -> Response {
    let asked = read(request.headers());
    let turned_away = || bearing.map_or_else(late, Bearing::late);
    if asked.deadline.is_some_and(|deadline| deadline <= Instant::now()) {
        return turned_away();
    }
    let place = match bearing {
        Some(bearing) => match bearing.enter(asked).await {
            Ok(place) => place,
            Err(problem) => return problem.into_response(),
        },
        None => None,
    };
    request.extensions_mut().insert(asked);
    let served = next.run(request);
    let response = match asked.deadline {
        None => served.await,
        Some(deadline) => match tokio::time::timeout_at(deadline + GRACE, served).await {
            Ok(response) => response,
            Err(_) => turned_away(),
        },
    };
    drop(place);
    response
}

fn late() -> Response {
    let hint = "whoever asked does not wait any more (x-brick-timeout-ms)";
    Problem::new(StatusCode::GATEWAY_TIMEOUT, "deadline_exceeded", hint).into_response()
}

/// What the request says of itself. What is no number, or no class, says nothing.
fn read(headers: &HeaderMap) -> Asked {
    let text = |name: &HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let deadline = text(&TIMEOUT_MS)
        .and_then(|ms| ms.trim().parse().ok())
        .map(|ms| Instant::now() + Duration::from_millis(ms).min(TIMEOUT_MAX));
    let baggage = || {
        let members = text(&HeaderName::from_static("baggage"))?.split(',');
        let mut pairs = members.filter_map(|member| member.split(';').next()?.split_once('='));
        let found = pairs.find(|(key, _)| key.trim() == CRITICALITY_BAGGAGE);
        found.map(|(_, value)| value.trim())
    };
    let criticality = text(&CRITICALITY)
        .or_else(baggage)
        .and_then(|class| class.parse().ok());
    Asked {
        deadline,
        criticality: criticality.unwrap_or_default(),
    }
}
