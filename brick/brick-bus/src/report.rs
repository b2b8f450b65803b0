//! What a process tells control of its edges, posted to `/bus/v1/reports`: at each change of a breaker and every 5 s.

use brick_core::Incarnation;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::limits::Forced;

/// Edges of one process at most.
pub const EDGES_MAX: usize = 1_024;

/// All edges of one process as they are now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The process.
    pub incarnation: Incarnation,
    /// Its edges.
    pub edges: Vec<EdgeReport>,
}

/// One edge as the caller sees it. Counts are those of the breaker's window.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EdgeReport {
    /// `caller->callee`.
    pub edge: String,
    /// State of the breaker.
    pub state: BreakerState,
    /// Since when.
    pub since: Timestamp,
    /// What an operator made of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forced: Option<Forced>,
    /// How far back the counts go, in milliseconds; 0 where they count the last calls.
    #[serde(default)]
    pub window_ms: u64,
    /// Tries that were answered or failed.
    pub calls: u64,
    /// Those that failed.
    pub errors: u64,
    /// Those that were slow.
    pub slow: u64,
    /// Calls that were not let through.
    pub rejected: u64,
    /// Half of the tries took no longer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p50_ms: Option<f64>,
    /// 99 of 100 tries took no longer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p99_ms: Option<f64>,
    /// Calls that may be under way at once.
    pub limit: u32,
    /// Calls under way.
    pub in_flight: u32,
}

/// State of a breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BreakerState {
    /// Calls pass.
    Closed,
    /// Some calls pass, to see.
    HalfOpen,
    /// No call passes.
    Open,
}
