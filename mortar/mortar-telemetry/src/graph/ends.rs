//! Both ends of a call: what the caller saw against what the callee saw. A call that failed for the caller alone was
//! lost on the way: refused, reset, cut off, or turned away by a fault on purpose.

use crate::record::{Span, Status, Value};

use super::{Outcome, Service, cell::Cell, outcome};

/// Spans come in batches, those of the two ends not in the same one: what is younger is not compared.
pub(super) const SETTLED_S: u64 = 5;

const STATUS: &str = "http.response.status_code";
/// Nobody waited for the answer.
const GIVEN_UP: i64 = 499;
/// Why a caller did not send a call at all; these never were on the way.
const HELD: [&str; 3] = ["breaker_open", "bulkhead_full", "rate_limited"];

/// A request as its callee served it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Served {
    pub(super) by: Service,
    outcome: Outcome,
    /// Answered with 4xx, which a brick's client span calls an error and the edge's does not.
    refused: bool,
}

impl Served {
    pub(super) fn new(by: Service, span: &Span) -> Self {
        let status = status(span);
        let mut outcome = outcome(span);
        outcome.error |= status.is_some_and(|status| status >= 500 || status == GIVEN_UP);
        Self {
            by,
            outcome,
            refused: status.is_some_and(|status| (400..500).contains(&status)),
        }
    }

    /// The outcome by the measure of who called, so that both ends can be compared.
    pub(super) fn measured(self, by_edge: bool) -> Outcome {
        Outcome {
            error: self.outcome.error || (self.refused && !by_edge),
            ..self.outcome
        }
    }
}

fn status(span: &Span) -> Option<i64> {
    let (_, value) = span.attributes.iter().find(|(name, _)| name == STATUS)?;
    match value {
        Value::Int(status) => Some(*status),
        Value::Text(status) => status.parse().ok(),
        _ => None,
    }
}

/// Whether the caller kept the call back itself.
pub(super) fn is_held(span: &Span) -> bool {
    span.status == Status::Error
        && super::attribute(span, "error.type").is_some_and(|why| HELD.contains(&why))
        && status(span).is_none()
}

/// Calls that both ends had time to tell of.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Tally {
    calls: u64,
    failed: u64,
}

impl Tally {
    pub(super) fn add(&mut self, cell: &Cell) {
        self.calls += cell.sent();
        self.failed += cell.sent_errors();
    }

    #[expect(clippy::cast_precision_loss, reason = "counts are small")]
    fn share(self) -> f64 {
        if self.calls == 0 {
            0.0
        } else {
            self.failed as f64 / self.calls as f64
        }
    }
}

/// The share of calls that failed for the caller and not for the callee.
pub(super) fn lost(caller: Tally, callee: Tally) -> f64 {
    (caller.share() - callee.share()).max(0.0)
}
