//! A call that was let through: its place in the bulkhead, and what comes of its tries.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::{Decision, Edge, Failure};
use crate::breaker::{State, Ticket};
use crate::outcome::Outcome;
use crate::policy::Policy;

/// A call that was let through. It takes the outcome of each try; dropped, it gives up its place.
pub struct Permit {
    pub(super) edge: Arc<Edge>,
    pub(super) policy: Arc<Policy>,
    pub(super) ticket: Ticket,
    pub(super) told: AtomicBool,
}

impl Permit {
    /// The policy that the call was let through by.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Whether another try goes out beside a slow one: while the breaker is closed, and out of the retry budget. Counted,
    /// and told to the span.
    pub fn hedge(&self) -> bool {
        if self.edge.state() != State::Closed {
            return false;
        }
        let paid = self.edge.budget.withdraw();
        self.edge.decide(if paid {
            Decision::Hedge
        } else {
            Decision::RetryRefused
        });
        paid
    }

    /// The edge.
    pub fn edge(&self) -> &Arc<Edge> {
        &self.edge
    }

    /// What one try came to. [`Outcome::Void`] counts for nothing.
    pub fn outcome(&self, outcome: &Outcome, latency: Duration, now: Instant) {
        if *outcome == Outcome::Void {
            return;
        }
        if *outcome == Outcome::TimedOut {
            self.edge.decide(Decision::Timeout);
        }
        let (edge, policy) = (&self.edge, &self.policy);
        let dropped = matches!(outcome, Outcome::TimedOut | Outcome::Failed { status: 503, .. });
        edge.bulkhead.note(policy.concurrency, latency, dropped);
        // A probe's ticket counts once, whatever comes of further tries.
        let ticket = match self.told.swap(true, Ordering::Relaxed) {
            true => self.ticket.spent(),
            false => self.ticket,
        };
        let failed = outcome.is_failure();
        let change = edge
            .breaker
            .outcome(policy.breaker.as_ref(), ticket, failed, latency, now);
        if let Some(change) = change {
            edge.turned(change);
        }
    }

    /// Whether a failed try is made again, and after what wait.
    pub fn retry(&self, failure: Failure<'_>) -> Option<Duration> {
        self.edge.retry(&self.policy, failure)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.edge.bulkhead.leave();
        if !*self.told.get_mut() {
            self.edge.breaker.abandon(self.ticket);
        }
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit")
            .field("edge", &self.edge.name)
            .finish_non_exhaustive()
    }
}
