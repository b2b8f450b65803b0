//! Value of `faults/<caller>-><callee>` and of `faults/route-><route>`: what goes wrong on purpose.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What goes wrong on purpose, for tests. The first rule that fits a call applies.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Faults {
    /// The rules in the order in which they are tried.
    pub rules: Vec<FaultRule>,
}

/// One rule. Says for which calls (all unless said), and what happens to them.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaultRule {
    /// Share of the calls, 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share: Option<f64>,
    /// Only calls that carry this header.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header: Option<FaultHeader>,
    /// Waits this long first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delay_ms: Option<u64>,
    /// Answers with this status; the callee is not called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub abort: Option<u16>,
    /// Breaks the connection; the callee is not called.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub reset: bool,
    /// The answer's body comes no faster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_per_second: Option<u64>,
    /// When it ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

/// A header that a call must carry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaultHeader {
    /// Its name, in any case.
    pub name: String,
    /// Its whole value.
    pub value: String,
}
