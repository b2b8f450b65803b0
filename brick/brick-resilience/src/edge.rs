//! One edge: how this process calls one callee. The policy of the moment and the state of every mechanism.

mod permit;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use brick_bus::EdgeReport;
use rand::RngExt as _;
use tokio::sync::Notify;

use crate::breaker::{Breaker, Change, State, Ticket};
use crate::budget::Budget;
use crate::bulkhead::{Bulkhead, Full};
use crate::outcome::Outcome;
use crate::policy::Policy;
use crate::rate::RateLimit;

pub use permit::Permit;

/// Instances beside the first that a call is tried at when connections cannot be made.
pub const CONNECTS_MAX: u32 = 2;
/// Target of events that belong to a span alone: `brick-telemetry` writes no line for them.
const EVENT: &str = brick_telemetry::SPAN_EVENT;

/// One edge.
pub struct Edge {
    name: String,
    policy: ArcSwap<Policy>,
    breaker: Breaker,
    budget: Budget,
    bulkhead: Bulkhead,
    rate: RateLimit,
    decisions: [AtomicU64; Decision::ALL.len()],
    /// Told when the breaker changes.
    changed: Arc<Notify>,
}

/// What fault tolerance decided about a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Decision {
    /// It is tried again.
    Retry,
    /// It would be tried again, but the budget is spent.
    RetryRefused,
    /// A second try is sent beside the first.
    Hedge,
    /// A second try answered first.
    HedgeWon,
    /// The breaker is open.
    RejectedBreaker,
    /// The bulkhead is full.
    RejectedBulkhead,
    /// The rate is reached.
    RejectedRate,
    /// Something else was answered instead of the failure.
    Fallback,
    /// The server turned it away.
    Shed,
    /// A try or the whole call took too long.
    Timeout,
    /// There was no time left for it.
    Deadline,
}

/// Why a call was not let through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rejected {
    /// The breaker is open.
    Breaker {
        /// When to come again.
        retry_after: Duration,
    },
    /// The bulkhead is full.
    Bulkhead {
        /// Calls that may be under way.
        limit: u32,
    },
    /// The rate is reached.
    Rate {
        /// When to come again.
        retry_after: Duration,
    },
}

/// A try that failed, for the question whether there is another.
#[derive(Debug, Clone, Copy)]
pub struct Failure<'a> {
    /// What it came to.
    pub outcome: &'a Outcome,
    /// Tries so far that could not connect, this one included.
    pub unconnected: u32,
    /// Further tries so far that were made for another reason.
    pub repeated: u32,
    /// Whether the call may be repeated at all ([`Policy::is_repeatable`]).
    pub repeatable: bool,
    /// What is left of the call's time.
    pub left: Duration,
}

impl Decision {
    /// All of them, in the order of their counters.
    pub const ALL: [Self; 11] = [
        Self::Retry,
        Self::RetryRefused,
        Self::Hedge,
        Self::HedgeWon,
        Self::RejectedBreaker,
        Self::RejectedBulkhead,
        Self::RejectedRate,
        Self::Fallback,
        Self::Shed,
        Self::Timeout,
        Self::Deadline,
    ];

    /// As metrics have it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::RetryRefused => "retry_refused",
            Self::Hedge => "hedge",
            Self::HedgeWon => "hedge_won",
            Self::RejectedBreaker => "rejected_breaker",
            Self::RejectedBulkhead => "rejected_bulkhead",
            Self::RejectedRate => "rejected_rate",
            Self::Fallback => "fallback",
            Self::Shed => "shed",
            Self::Timeout => "timeout",
            Self::Deadline => "deadline",
        }
    }

    /// As an event of the call's span.
    pub(crate) fn tell(self, edge: &str) {
        match self {
            Self::Retry => tracing::info!(target: EVENT, edge, "resilience.retry"),
            Self::RetryRefused => {
                tracing::info!(target: EVENT, edge, reason = "retry_budget_exhausted", "resilience.retry_refused");
            }
            Self::Hedge => tracing::info!(target: EVENT, edge, "resilience.hedge"),
            Self::HedgeWon => tracing::info!(target: EVENT, edge, "resilience.hedge_won"),
            Self::RejectedBreaker => tracing::info!(target: EVENT, edge, "resilience.rejected_breaker"),
            Self::RejectedBulkhead => tracing::info!(target: EVENT, edge, "resilience.rejected_bulkhead"),
            Self::RejectedRate => tracing::info!(target: EVENT, edge, "resilience.rejected_rate"),
            Self::Fallback => tracing::info!(target: EVENT, edge, "resilience.fallback"),
            Self::Shed => tracing::info!(target: EVENT, edge, "resilience.shed"),
            Self::Timeout => tracing::info!(target: EVENT, edge, "resilience.timeout"),
            Self::Deadline => tracing::info!(target: EVENT, edge, "resilience.deadline"),
        }
    }
}

impl Rejected {
    /// Stable, as problems carry it.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Breaker { .. } => "breaker_open",
            Self::Bulkhead { .. } => "bulkhead_full",
            Self::Rate { .. } => "rate_limited",
        }
    }

    fn decision(self) -> Decision {
        match self {
            Self::Breaker { .. } => Decision::RejectedBreaker,
            Self::Bulkhead { .. } => Decision::RejectedBulkhead,
            Self::Rate { .. } => Decision::RejectedRate,
        }
    }
}

impl Edge {
    /// The edge of this name (`order->payment`) with everything in order. `changed` is told of the breaker's changes.
    pub fn new(name: impl Into<String>, policy: Policy, changed: Arc<Notify>, now: Instant) -> Arc<Self> {
        let edge = Self {
            name: name.into(),
            breaker: Breaker::new(policy.breaker.as_ref(), now),
            budget: Budget::default(),
            bulkhead: Bulkhead::new(policy.concurrency),
            rate: RateLimit::new(now),
            policy: ArcSwap::from_pointee(policy.clone()),
            decisions: Default::default(),
            changed,
        };
        let unforced = policy.breaker.map(|breaker| crate::policy::Breaker {
            forced: None,
            ..breaker
        });
        edge.breaker
            .apply(unforced.as_ref(), policy.breaker.as_ref(), now);
        Arc::new(edge)
    }

    /// `caller->callee`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The policy in force.
    pub fn policy(&self) -> Arc<Policy> {
        self.policy.load_full()
    }

    /// Puts another policy into force; what was learnt stays where it still means something.
    pub fn apply(&self, policy: Policy, now: Instant) {
        let old = self.policy.swap(Arc::new(policy.clone()));
        if old.concurrency != policy.concurrency {
            self.bulkhead.apply(policy.concurrency);
        }
        let (before, after) = (old.breaker.as_ref(), policy.breaker.as_ref());
        if before != after
            && let Some(change) = self.breaker.apply(before, after, now)
        {
            self.turned(change);
        }
    }

    /// Lets a call pass that wants a place at once.
    pub fn admit(self: &Arc<Self>, now: Instant) -> Result<Permit, Rejected> {
        let (policy, ticket) = self.first(now)?;
        let entered = self.bulkhead.try_enter();
        self.second(policy, ticket, entered, now)
    }

    /// Lets a call pass, which may wait for a place as the policy says, but no longer than `most`.
    pub async fn enter(self: &Arc<Self>, now: Instant, most: Duration) -> Result<Permit, Rejected> {
        let (policy, ticket) = self.first(now)?;
        // Whoever gives the wait up leaves a probe's place to others.
        let held = Held {
            edge: self,
            ticket,
            armed: true,
        };
        let entered = self.bulkhead.enter(policy.concurrency, most).await;
        held.release();
        self.second(policy, ticket, entered, now)
    }

    fn first(&self, now: Instant) -> Result<(Arc<Policy>, Ticket), Rejected> {
        let policy = self.policy.load_full();
        let ticket = self
            .breaker
            .admit(policy.breaker.as_ref(), now)
            .map_err(|retry_after| self.reject(Rejected::Breaker { retry_after }, now))?;
        if let Some(rate) = policy.rate
            && let Err(retry_after) = self.rate.admit(rate, now)
        {
            self.breaker.abandon(ticket);
            return Err(self.reject(Rejected::Rate { retry_after }, now));
        }
        Ok((policy, ticket))
    }

    fn second(
        self: &Arc<Self>,
        policy: Arc<Policy>,
        ticket: Ticket,
        entered: Result<(), Full>,
        now: Instant,
    ) -> Result<Permit, Rejected> {
        if let Err(Full { limit }) = entered {
            self.breaker.abandon(ticket);
            return Err(self.reject(Rejected::Bulkhead { limit }, now));
        }
        if let Some(retry) = &policy.retry {
            self.budget.deposit(retry.budget_milli);
        }
        Ok(Permit {
            edge: Arc::clone(self),
            policy,
            ticket,
            told: AtomicBool::new(false),
        })
    }

    fn reject(&self, rejected: Rejected, now: Instant) -> Rejected {
        self.breaker.rejected(now);
        self.decide(rejected.decision());
        rejected
    }

    /// Counts a decision and tells the present span of it.
    pub fn decide(&self, decision: Decision) {
        if let Some(count) = self.decisions.get(decision as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        decision.tell(&self.name);
    }

    /// How often that was decided.
    pub fn decided(&self, decision: Decision) -> u64 {
        self.decisions
            .get(decision as usize)
            .map_or(0, |count| count.load(Ordering::Relaxed))
    }

    /// State of the breaker.
    pub fn state(&self) -> State {
        self.breaker.state()
    }

    /// Calls under way.
    pub fn in_flight(&self) -> u32 {
        self.bulkhead.in_flight()
    }

    /// Calls that may be under way.
    pub fn limit(&self) -> u32 {
        self.bulkhead.limit()
    }

    /// What control is told.
    pub fn report(&self, now: Instant) -> EdgeReport {
        let figures = self.breaker.figures(now);
        let window = self.policy.load().breaker.map(|breaker| match breaker.calls {
            0 => breaker.window,
            _ => Duration::ZERO,
        });
        let window = window.unwrap_or(Duration::from_secs(10));
        EdgeReport {
            edge: self.name.clone(),
            state: figures.state,
            since: figures.since,
            forced: figures.forced,
            window_ms: u64::try_from(window.as_millis()).unwrap_or(u64::MAX),
            calls: figures.counts.calls,
            errors: figures.counts.errors,
            slow: figures.counts.slow,
            rejected: figures.counts.rejected,
            p50_ms: figures.p50_ms,
            p99_ms: figures.p99_ms,
            limit: self.limit(),
            in_flight: self.in_flight(),
        }
    }

    /// Whether a failed try is made again, and after what wait. Counted, and told to the span.
    pub fn retry(&self, policy: &Policy, failure: Failure<'_>) -> Option<Duration> {
        let retry = policy.retry.as_ref()?;
        if failure.left.is_zero() || !failure.outcome.is_covered(&retry.on) {
            return None;
        }
        if *failure.outcome == Outcome::Unconnected {
            // Nothing was sent: another instance costs neither the callee nor the budget anything.
            if failure.unconnected > CONNECTS_MAX {
                return None;
            }
            self.decide(Decision::Retry);
            return Some(Duration::ZERO);
        }
        if !failure.repeatable || failure.repeated >= retry.max || self.state() != State::Closed {
            return None;
        }
        let wait = wait(retry.base, retry.cap, failure.repeated, &mut rand::rng());
        let asked = match failure.outcome {
            Outcome::Failed { retry_after, .. } => retry_after.unwrap_or_default(),
            _ => Duration::ZERO,
        };
        let wait = wait.max(asked);
        if wait >= failure.left {
            return None;
        }
        if !self.budget.withdraw() {
            self.decide(Decision::RetryRefused);
            return None;
        }
        self.decide(Decision::Retry);
        Some(wait)
    }

    fn turned(&self, change: Change) {
        let (edge, counts) = (self.name.as_str(), change.counts);
        match change.state {
            State::Open => tracing::warn!(
                edge,
                calls = counts.calls,
                errors = counts.errors,
                slow = counts.slow,
                "the breaker opened: calls are stopped for a while"
            ),
            State::HalfOpen => tracing::info!(edge, "the breaker is half open: a few calls pass to see"),
            State::Closed => tracing::info!(edge, "the breaker closed: calls pass again"),
        }
        self.changed.notify_one();
    }
}

/// Full jitter (Brooker, "Exponential Backoff And Jitter"): between nothing and the doubled base.
fn wait(base: Duration, cap: Duration, repeated: u32, rng: &mut impl rand::Rng) -> Duration {
    let most = base
        .saturating_mul(1_u32.checked_shl(repeated).unwrap_or(u32::MAX))
        .min(cap);
    most.mul_f64(rng.random::<f64>())
}

/// A ticket while its call waits for a place.
struct Held<'a> {
    edge: &'a Edge,
    ticket: Ticket,
    armed: bool,
}

impl Held<'_> {
    fn release(mut self) {
        self.armed = false;
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        if self.armed {
            self.edge.breaker.abandon(self.ticket);
        }
    }
}

impl fmt::Debug for Edge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Edge")
            .field("name", &self.name)
            .field("state", &self.state())
            .field("in_flight", &self.in_flight())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
