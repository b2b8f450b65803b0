//! A request's way over its edge: breaker, bulkhead, rate and retry budget, as the SDK's clients have them.
//!
//! Only bricks have an edge. What leads to one address, as the admin listener's routes do, goes as it always did: two
//! more connections where one cannot be made, one repetition where the connection died.

use std::time::{Duration, Instant};

use brick_resilience::edge::Failure;
use brick_resilience::policy::Hedge;
use brick_resilience::{Decision, Outcome, Permit, Rejected};
use http::header::{HeaderValue, RETRY_AFTER};
use http::{HeaderMap, Method, StatusCode};

use crate::answer::Answer;
use crate::call::Call;
use crate::forward::{Errand, is_idempotent};
use crate::headers::X_BRICK_TIMEOUT_MS;
use crate::route::Target;

/// Connections that are tried beside the first, where there is no edge.
const CONNECTS_MAX: u32 = 2;
/// Given up this close to the end of its time, a request timed out.
const CLOSE: Duration = Duration::from_millis(5);

/// One request on its way.
pub(crate) struct Crossing {
    permit: Option<Permit>,
    deadline: Instant,
    /// When the present try began; none between tries.
    trying: Option<Instant>,
    unconnected: u32,
    repeated: u32,
    repeatable: bool,
}

impl Crossing {
    /// Lets the request pass, or says why not.
    pub(crate) async fn enter(
        errand: &Errand<'_>,
        method: &Method,
        headers: &HeaderMap,
        call: &mut Call,
    ) -> Result<Self, Answer> {
        let has_key = headers.contains_key("idempotency-key");
        let mut crossing = Self {
            permit: None,
            deadline: errand.deadline,
            trying: None,
            unconnected: 0,
            repeated: 0,
            repeatable: is_idempotent(method),
        };
        let edges = errand.local.shared.edges().filter(|_| !errand.aside);
        let (Some(edges), Some(brick)) = (edges, errand.target.brick()) else {
            return Ok(crossing);
        };
        let followed = edges.edge(brick);
        let now = Instant::now();
        let left = errand.deadline.saturating_duration_since(now);
        match followed.get().enter(now, left).await {
            Ok(permit) => {
                crossing.repeatable = permit.policy().is_repeatable(method, has_key);
                crossing.permit = Some(permit);
                Ok(crossing)
            }
            Err(rejected) => {
                call.note(event(rejected));
                Err(answer(errand.target, rejected))
            }
        }
    }

    /// Whether the request may be sent again at all.
    pub(crate) fn is_repeatable(&self) -> bool {
        self.repeatable
    }

    /// A try begins; gives how long it may take, where that is less than the whole exchange.
    pub(crate) fn begin(&mut self) -> Option<Duration> {
        self.trying = Some(Instant::now());
        self.permit
            .as_ref()
            .and_then(|permit| permit.policy().try_timeout)
    }

    /// When further tries go out beside a try that may take this long; none for never.
    pub(crate) fn hedges(&self, limit: Option<Duration>) -> Option<Hedge> {
        let hedge = self.permit.as_ref()?.policy().hedge?;
        let in_time = limit.is_none_or(|limit| hedge.after < limit);
        (self.repeatable && in_time).then_some(hedge)
    }

    /// Whether another try goes out beside a slow one.
    pub(crate) fn hedge(&self, call: &mut Call) -> bool {
        let paid = self.permit.as_ref().is_some_and(Permit::hedge);
        if paid {
            call.note("resilience.hedge");
        }
        paid
    }

    /// The try that counts is one that began then.
    pub(crate) fn hedged(&mut self, begun: Instant, won: bool, call: &mut Call) {
        self.trying = Some(begun);
        if let Some(permit) = self.permit.as_ref().filter(|_| won) {
            permit.edge().decide(Decision::HedgeWon);
            call.note("resilience.hedge_won");
        }
    }

    /// A try beside the one that counts ended.
    pub(crate) fn also_ended(&self, outcome: &Outcome, begun: Instant) {
        if let Some(permit) = &self.permit {
            let now = Instant::now();
            permit.outcome(outcome, now - begun, now);
        }
    }

    /// The try ended.
    pub(crate) fn ended(&mut self, outcome: &Outcome, call: &mut Call) {
        let Some(begun) = self.trying.take() else { return };
        if *outcome == Outcome::TimedOut {
            call.note("resilience.timeout");
        }
        if let Some(permit) = &self.permit {
            let now = Instant::now();
            permit.outcome(outcome, now - begun, now);
        }
    }

    /// Whether there is another try, and after what wait.
    pub(crate) fn again(&mut self, outcome: &Outcome, call: &mut Call) -> Option<Duration> {
        let unconnected = *outcome == Outcome::Unconnected;
        self.unconnected += u32::from(unconnected);
        let again = match &self.permit {
            Some(permit) => {
                let refused = permit.edge().decided(Decision::RetryRefused);
                let again = permit.retry(Failure {
                    outcome,
                    unconnected: self.unconnected,
                    repeated: self.repeated,
                    repeatable: self.repeatable,
                    left: self.deadline.saturating_duration_since(Instant::now()),
                });
                if again.is_none() && permit.edge().decided(Decision::RetryRefused) > refused {
                    call.note("resilience.retry_refused");
                }
                again
            }
            None if unconnected => (self.unconnected <= CONNECTS_MAX).then_some(Duration::ZERO),
            None => {
                let may = *outcome == Outcome::Reset && self.repeatable && self.repeated == 0;
                may.then_some(Duration::ZERO)
            }
        };
        if again.is_some() {
            self.repeated += u32::from(!unconnected);
            call.note("resilience.retry");
        }
        again
    }

    /// The answer began; its place in the bulkhead is kept until its body has ended, or enough of it has passed.
    pub(crate) fn arrived(mut self) -> Option<Permit> {
        self.permit.take()
    }
}

impl Drop for Crossing {
    /// Given up: by its time limit, or because the client went away.
    fn drop(&mut self) {
        let (Some(permit), Some(begun)) = (&self.permit, self.trying) else {
            return;
        };
        let now = Instant::now();
        if now + CLOSE >= self.deadline {
            permit.outcome(&Outcome::TimedOut, now - begun, now);
        }
    }
}

/// Tells a brick of the system what is left until the deadline, in milliseconds.
pub(crate) fn tell_left(deadline: Instant, target: &Target, headers: &mut HeaderMap) {
    if target.brick().is_some() && target.remote().is_none() {
        let left = deadline.saturating_duration_since(Instant::now());
        let left_ms = u64::try_from(left.as_millis()).unwrap_or(u64::MAX).max(1);
        headers.insert(X_BRICK_TIMEOUT_MS, HeaderValue::from(left_ms));
    }
}

/// How long the instance asks to wait.
pub(crate) fn outcome(status: StatusCode, headers: &HeaderMap) -> Outcome {
    let asked = headers.get(RETRY_AFTER).filter(|_| status.is_server_error());
    let asked = asked.and_then(|value| value.to_str().ok()?.trim().parse().ok());
    Outcome::of_status(status.as_u16(), asked.map(Duration::from_secs))
}

fn event(rejected: Rejected) -> &'static str {
    match rejected {
        Rejected::Breaker { .. } => "resilience.rejected_breaker",
        Rejected::Bulkhead { .. } => "resilience.rejected_bulkhead",
        Rejected::Rate { .. } => "resilience.rejected_rate",
    }
}

fn answer(target: &Target, rejected: Rejected) -> Answer {
    let name = target.name();
    let (status, detail, wait) = match rejected {
        Rejected::Breaker { retry_after } => (
            StatusCode::SERVICE_UNAVAILABLE,
            format!("{name} is not called for now: too many requests of the last while failed"),
            retry_after,
        ),
        Rejected::Bulkhead { limit } => (
            StatusCode::SERVICE_UNAVAILABLE,
            format!("{limit} requests to {name} are under way already, no more may be"),
            Duration::from_secs(1),
        ),
        Rejected::Rate { retry_after } => (
            StatusCode::TOO_MANY_REQUESTS,
            format!("the rate of requests to {name} is reached"),
            retry_after,
        ),
    };
    let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    Answer::new(status, rejected.code(), detail).with_header(RETRY_AFTER, HeaderValue::from(seconds.max(1)))
}
