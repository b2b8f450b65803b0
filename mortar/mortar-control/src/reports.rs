//! How the edges of every process are, as the processes report it. In memory, for it is told anew every few seconds.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use brick_core::Incarnation;
use jiff::Timestamp;
use parking_lot::Mutex;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::state::INSTANCES_MAX;

/// A process that says nothing for three reports is not counted any more.
const SILENT: Duration = Duration::from_secs(16);

/// State of a breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum BreakerState {
    /// Calls pass.
    Closed,
    /// Some pass, to see.
    HalfOpen,
    /// None passes.
    Open,
}

/// What an operator made of a breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Forced {
    /// No call passes.
    Open,
    /// Every call passes.
    Closed,
}

/// One edge as a caller sees it. Counts are those of the breaker's window.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct EdgeFigures {
    /// `caller->callee`.
    pub(crate) edge: String,
    /// State of the breaker; of several the worst.
    pub(crate) state: BreakerState,
    /// Since when, RFC 3339.
    #[schemars(with = "String")]
    pub(crate) since: Timestamp,
    /// What an operator made of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) forced: Option<Forced>,
    /// How far back the counts go; 0 where they are of the last calls.
    #[serde(default)]
    pub(crate) window_ms: u64,
    /// Tries that were answered or failed.
    pub(crate) calls: u64,
    /// Those that failed.
    pub(crate) errors: u64,
    /// Those that were slow.
    pub(crate) slow: u64,
    /// Calls that were not let through.
    pub(crate) rejected: u64,
    /// Median of the latency; of several the mean, by calls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) p50_ms: Option<f64>,
    /// 99th percentile of the latency; of several the worst.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) p99_ms: Option<f64>,
    /// Calls that may be under way at once.
    pub(crate) limit: u32,
    /// Calls under way.
    pub(crate) in_flight: u32,
}

/// What one process said last.
#[derive(Debug, Clone)]
pub(crate) struct Held {
    /// The brick, or the platform's process.
    pub(crate) brick: String,
    pub(crate) edges: Vec<EdgeFigures>,
    heard: Instant,
    /// When it said so.
    pub(crate) at: Timestamp,
}

/// What every process said last.
#[derive(Debug, Default)]
pub(crate) struct Reports {
    by_process: Mutex<BTreeMap<Incarnation, Held>>,
    pub(crate) taken: AtomicU64,
    pub(crate) ignored: AtomicU64,
}

impl Reports {
    /// Takes a report in place of what the process said before.
    pub(crate) fn take(&self, incarnation: Incarnation, brick: String, edges: Vec<EdgeFigures>) {
        let mut by_process = self.by_process.lock();
        let now = Instant::now();
        by_process.retain(|_, held| now - held.heard < SILENT);
        if by_process.len() >= INSTANCES_MAX && !by_process.contains_key(&incarnation) {
            self.ignored.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let held = Held {
            brick,
            edges,
            heard: now,
            at: Timestamp::now(),
        };
        by_process.insert(incarnation, held);
        self.taken.fetch_add(1, Ordering::Relaxed);
    }

    /// Those that were heard of lately.
    pub(crate) fn all(&self) -> Vec<(Incarnation, Held)> {
        let now = Instant::now();
        let by_process = self.by_process.lock();
        let lately = by_process.iter().filter(|(_, held)| now - held.heard < SILENT);
        lately
            .map(|(incarnation, held)| (*incarnation, held.clone()))
            .collect()
    }

    /// Processes that are remembered.
    pub(crate) fn len(&self) -> usize {
        self.by_process.lock().len()
    }
}

impl EdgeFigures {
    /// Adds what another process sees of the same edge.
    pub(crate) fn add(&mut self, other: &Self) {
        let worse =
            (other.state, std::cmp::Reverse(other.since)) > (self.state, std::cmp::Reverse(self.since));
        if worse {
            (self.state, self.since, self.forced) = (other.state, other.since, other.forced);
        }
        self.p50_ms = match (self.p50_ms, other.p50_ms) {
            (Some(own), Some(others)) => {
                let (own_calls, other_calls) = (self.calls as f64, other.calls as f64);
                let all = (own_calls + other_calls).max(1.0);
                Some(((own * own_calls + others * other_calls) / all * 100.0).round() / 100.0)
            }
            (own, others) => own.or(others),
        };
        self.p99_ms = self.p99_ms.into_iter().chain(other.p99_ms).reduce(f64::max);
        self.window_ms = self.window_ms.max(other.window_ms);
        self.calls = self.calls.saturating_add(other.calls);
        self.errors = self.errors.saturating_add(other.errors);
        self.slow = self.slow.saturating_add(other.slow);
        self.rejected = self.rejected.saturating_add(other.rejected);
        self.limit = self.limit.saturating_add(other.limit);
        self.in_flight = self.in_flight.saturating_add(other.in_flight);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn figures(state: &str, calls: u64, p50_ms: f64) -> EdgeFigures {
        let value = json!({ "edge": "a->b", "state": state, "since": "2026-01-01T00:00:00Z", "calls": calls,
            "errors": 1, "slow": 0, "rejected": 2, "p50_ms": p50_ms, "p99_ms": p50_ms * 2.0, "limit": 8, "in_flight": 1 });
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn several_callers_make_one_edge_in_the_worst_state() {
        let mut edge = figures("closed", 30, 10.0);
        edge.add(&figures("open", 10, 20.0));
        edge.add(&figures("half-open", 0, 5.0));
        assert_eq!(
            (edge.state, edge.calls, edge.errors, edge.limit),
            (BreakerState::Open, 40, 3, 24)
        );
        assert_eq!((edge.p50_ms, edge.p99_ms), (Some(12.5), Some(40.0)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_process_that_says_nothing_is_forgotten() {
        let reports = Reports::default();
        reports.take(
            Incarnation::new(),
            "order".to_owned(),
            vec![figures("closed", 1, 1.0)],
        );
        assert_eq!(reports.all().len(), 1);
        tokio::time::advance(SILENT).await;
        assert!(reports.all().is_empty());
    }

    #[test]
    fn what_processes_send_is_what_is_read() {
        let sent = brick_bus::EdgeReport {
            edge: "a->b".to_owned(),
            state: brick_bus::report::BreakerState::HalfOpen,
            since: Timestamp::now(),
            forced: Some(brick_bus::limits::Forced::Open),
            window_ms: 1,
            calls: 2,
            errors: 3,
            slow: 4,
            rejected: 5,
            p50_ms: Some(6.0),
            p99_ms: None,
            limit: 7,
            in_flight: 8,
        };
        let sent = serde_json::to_value(&sent).unwrap();
        let read: EdgeFigures = serde_json::from_value(sent.clone()).unwrap();
        assert_eq!(serde_json::to_value(&read).unwrap(), sent);
    }
}
