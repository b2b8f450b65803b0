//! What a tab can watch, and which question to control or telemetry answers it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Most topics of one tab.
pub(crate) const TOPICS_PER_TAB_MAX: usize = 32;
/// Longest name of a metric or label, in bytes.
const NAME_BYTES_MAX: usize = 200;
/// Longest window, in seconds: a day.
const WINDOW_S_MAX: u32 = 86_400;
/// Most points of one series; telemetry answers no more.
const POINTS_MAX: u32 = 1_000;

/// One thing to watch. Equal topics of many tabs are asked for once.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "topic", rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) enum Topic {
    /// Name, bricks, routes, externals.
    System,
    /// All instances with their state.
    Instances,
    /// All processes as the agent sees them, those of the platform included.
    Bricks,
    /// Breakers and bulkheads of all edges, as callers report them.
    Edges,
    /// Who calls whom, from spans.
    Graph {
        /// Seconds that count.
        window: u32,
        /// Whether traffic of test suites counts; left out unless said.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        synthetic: Option<Synthetic>,
    },
    /// Which metrics there are.
    Metrics,
    /// One metric over time.
    Series {
        /// Name of the metric.
        name: String,
        /// What is told about it.
        #[serde(rename = "fn")]
        function: Function,
        /// Label that takes it apart, none for the sum.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<String>,
        /// Seconds up to now.
        window: u32,
        /// Seconds between two points.
        step: u32,
    },
    /// How full telemetry is and what it dropped.
    Stats,
}

/// Whether traffic of test suites counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Synthetic {
    /// Beside the other.
    True,
    /// Alone.
    Only,
}

/// What is told about a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Function {
    /// Change per second of a counter.
    Rate,
    /// Change of a counter within each step.
    Increase,
    /// The value itself.
    Raw,
    /// Median of a histogram.
    P50,
    /// 90th percentile of a histogram.
    P90,
    /// 99th percentile of a histogram.
    P99,
}

/// Who answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Upstream {
    /// Control.
    Control,
    /// Telemetry.
    Telemetry,
}

/// What a tab says: all that it watches from now on.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wish {
    /// The topics; what is not in here any more is no longer sent.
    pub(crate) sub: Vec<Topic>,
}

/// Reads a tab's message; the error says what was expected.
pub(crate) fn wish(text: &str) -> Result<Wish, String> {
    let wish: Wish = serde_json::from_str(text).map_err(|error| {
        format!("expected {{\"sub\":[{{\"topic\":\"graph\",\"window\":60}}, …]}}: {error}")
    })?;
    if wish.sub.len() > TOPICS_PER_TAB_MAX {
        return Err(format!(
            "expected at most {TOPICS_PER_TAB_MAX} topics, found {}",
            wish.sub.len()
        ));
    }
    wish.sub.iter().try_for_each(Topic::check)?;
    Ok(wish)
}

impl Topic {
    fn check(&self) -> Result<(), String> {
        match self {
            Self::System | Self::Instances | Self::Bricks | Self::Edges | Self::Metrics | Self::Stats => {
                Ok(())
            }
            Self::Graph { window, .. } => check_window(*window),
            Self::Series {
                name,
                by,
                window,
                step,
                ..
            } => {
                check_window(*window)?;
                if *step == 0 || window / step > POINTS_MAX {
                    return Err(format!(
                        "expected a step that gives 1 to {POINTS_MAX} points, found {step} s"
                    ));
                }
                check_name(name)?;
                by.as_deref().map_or(Ok(()), check_name)
            }
        }
    }

    /// Who answers it, and at which path. `now_s` is the Unix time in seconds.
    pub(crate) fn question(&self, now_s: i64) -> (Upstream, String) {
        match self {
            Self::System => (Upstream::Control, "/api/system/v1".to_owned()),
            Self::Instances => (
                Upstream::Control,
                "/api/registry/v1/instances?leases=false".to_owned(),
            ),
            Self::Bricks => (Upstream::Control, "/api/agent/v1/ps".to_owned()),
            Self::Edges => (Upstream::Control, "/api/limits/v1/edges".to_owned()),
            Self::Graph { window, synthetic } => {
                let kept = match synthetic {
                    None => "",
                    Some(Synthetic::True) => "&synthetic=true",
                    Some(Synthetic::Only) => "&synthetic=only",
                };
                let url = format!("/api/telemetry/v1/graph?window={window}s{kept}");
                (Upstream::Telemetry, url)
            }
            Self::Metrics => (Upstream::Telemetry, "/api/telemetry/v1/metrics".to_owned()),
            Self::Stats => (Upstream::Telemetry, "/api/telemetry/v1/stats".to_owned()),
            Self::Series {
                name,
                function,
                by,
                window,
                step,
            } => {
                let step_s = i64::from(*step);
                let to = now_s.div_euclid(step_s) * step_s;
                let from = to - i64::from(*window);
                let by = by.as_deref().map_or_else(String::new, |by| format!("&by={by}"));
                let function = function.as_str();
                let path = format!(
                    "/api/telemetry/v1/metrics/range?name={name}&fn={function}&from={from}&to={to}&step={step}{by}"
                );
                (Upstream::Telemetry, path)
            }
        }
    }

    /// Its name in messages.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::System => "system",
            Self::Instances => "instances",
            Self::Bricks => "bricks",
            Self::Edges => "edges",
            Self::Graph { .. } => "graph",
            Self::Metrics => "metrics",
            Self::Series { .. } => "series",
            Self::Stats => "stats",
        }
    }

    /// How often it is asked for, given the time for the fastest.
    pub(crate) fn interval(&self, fastest: Duration) -> Duration {
        match self {
            Self::Graph { .. } | Self::Instances | Self::Bricks | Self::Edges => fastest,
            Self::System | Self::Series { .. } => fastest * 2,
            Self::Metrics | Self::Stats => fastest * 5,
        }
    }
}

impl Function {
    fn as_str(self) -> &'static str {
        match self {
            Self::Rate => "rate",
            Self::Increase => "increase",
            Self::Raw => "raw",
            Self::P50 => "p50",
            Self::P90 => "p90",
            Self::P99 => "p99",
        }
    }
}

fn check_window(window: u32) -> Result<(), String> {
    if (1..=WINDOW_S_MAX).contains(&window) {
        return Ok(());
    }
    Err(format!(
        "expected a window of 1 to {WINDOW_S_MAX} seconds, found {window}"
    ))
}

/// Metric and label names as OpenMetrics allows them, so they need no escaping in a URL.
fn check_name(name: &str) -> Result<(), String> {
    let first = name
        .bytes()
        .next()
        .is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
    let rest = name
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b':'));
    if first && rest && name.len() <= NAME_BYTES_MAX {
        return Ok(());
    }
    let shown: String = name.chars().take(60).collect();
    Err(format!(
        "expected the name of a metric or label ([a-zA-Z_][a-zA-Z0-9_:]*), found \"{shown}\""
    ))
}

#[cfg(test)]
mod tests;
