//! Metrics over time: raw values, per-second rates of counters, percentiles from histogram buckets, summed by labels.

mod math;

use std::collections::BTreeMap;

use crate::api;
use crate::store::{SeriesData, Store};

/// Points of one series in one answer.
pub const POINTS_MAX: u64 = 1_000;
/// Series in one answer; those behind, in order of labels, are left out.
const SERIES_MAX: usize = 500;
/// Shortest time that a rate is taken over, and for which a value stands: four scrapes of five seconds.
const LOOKBACK_MS: u64 = 20_000;

/// What to do with the values.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Function {
    /// The last value.
    Raw,
    /// Increase per second of what only grows; a smaller value is a reset.
    Rate,
    /// Increase within each step of what only grows; the steps of a time add up to what was counted in it.
    Increase,
    /// This quantile (0 to 1) of a histogram.
    Quantile(f64),
}

/// Which series, when, and what to make of them.
#[derive(Debug, Clone, PartialEq)]
pub struct Query {
    /// Name of the metric as the list of metrics has it.
    pub name: String,
    /// Labels that a series must carry.
    pub labels: Vec<(String, String)>,
    /// First step, milliseconds since 1970.
    pub from_ms: u64,
    /// Last step, milliseconds since 1970.
    pub to_ms: u64,
    /// Distance of steps in milliseconds, at least 1.
    pub step_ms: u64,
    /// Time that a rate or a quantile is taken over, in milliseconds: at least a step and four scrapes.
    pub window_ms: u64,
    /// What to do.
    pub function: Function,
    /// Labels to sum by; an empty list sums all into one. None keeps each series apart (but for percentiles, which are
    /// always of a sum).
    pub by: Option<Vec<String>>,
}

type Labels = BTreeMap<String, String>;

/// All metrics that are kept.
pub fn list(store: &dyn Store) -> api::Metrics {
    let said = |text: String| (!text.is_empty()).then_some(text);
    let items = store.families().into_iter().map(|(family, series)| api::Metric {
        name: family.name,
        kind: family.kind.as_str().to_owned(),
        unit: said(family.unit),
        help: said(family.help),
        series,
    });
    api::Metrics {
        items: items.collect(),
    }
}

/// Answers a query.
pub fn range(store: &dyn Store, query: &Query) -> api::Range {
    let step_ms = query
        .step_ms
        .max(query.to_ms.saturating_sub(query.from_ms) / POINTS_MAX)
        .max(1);
    let steps: Vec<u64> = (query.from_ms.div_ceil(step_ms)..=query.to_ms / step_ms)
        .map(|n| n * step_ms)
        .collect();
    let over_ms = step_ms.max(query.window_ms);
    let series = match query.function {
        Function::Quantile(q) => quantiles(&select(store, query, &["_bucket"]), query, &steps, over_ms, q),
        Function::Rate => sums(
            &select(store, query, &["", "_total", "_count"]),
            query,
            &steps,
            |points, at| math::rate(points, at, window(points, over_ms)),
        ),
        Function::Increase => sums(
            &select(store, query, &["", "_total", "_count"]),
            query,
            &steps,
            |points, at| math::increase(points, at, step_ms),
        ),
        Function::Raw => sums(
            &select(store, query, &["", "_total", "_count"]),
            query,
            &steps,
            |points, at| math::last(points, at, window(points, 0)),
        ),
    };
    api::Range { series }
}

/// The series of the first of these names that has any. What lies before `from` counts for the first steps.
fn select(store: &dyn Store, query: &Query, suffixes: &[&str]) -> Vec<SeriesData> {
    let from_ms = query.from_ms.saturating_sub(
        query
            .step_ms
            .max(LOOKBACK_MS)
            .saturating_mul(4)
            .max(query.window_ms),
    );
    let find = |suffix: &&str| {
        let stem = if suffix.is_empty() {
            &query.name
        } else {
            query.name.strip_suffix(*suffix).unwrap_or(&query.name)
        };
        store.series(&format!("{stem}{suffix}"), &query.labels, from_ms, query.to_ms)
    };
    suffixes
        .iter()
        .map(find)
        .find(|series| !series.is_empty())
        .unwrap_or_default()
}

/// A sender that reports less often than we scrape has a longer memory: three of its own intervals.
fn window(points: &[(u64, f64)], over_ms: u64) -> u64 {
    let interval = match (points.first(), points.last()) {
        (Some(first), Some(last)) if points.len() > 1 => (last.0 - first.0) / (points.len() as u64 - 1),
        _ => 0,
    };
    over_ms.max(LOOKBACK_MS).max(interval.min(300_000) * 3)
}

fn group(labels: &[(String, String)], by: Option<&Vec<String>>) -> Labels {
    let kept = labels
        .iter()
        .filter(|(name, _)| by.is_none_or(|by| by.contains(name)));
    kept.cloned().collect()
}

fn sums(
    series: &[SeriesData],
    query: &Query,
    steps: &[u64],
    value: impl Fn(&[(u64, f64)], u64) -> Option<f64>,
) -> Vec<api::Series> {
    let mut groups: BTreeMap<Labels, Vec<Option<f64>>> = BTreeMap::new();
    for one in series {
        let sums = groups
            .entry(group(&one.labels, query.by.as_ref()))
            .or_insert_with(|| vec![None; steps.len()]);
        for (sum, at) in sums.iter_mut().zip(steps) {
            if let Some(value) = value(&one.points, *at) {
                *sum = Some(sum.unwrap_or(0.0) + value);
            }
        }
    }
    told(groups, steps)
}

fn quantiles(series: &[SeriesData], query: &Query, steps: &[u64], over_ms: u64, q: f64) -> Vec<api::Series> {
    let all = Vec::new();
    let by = query.by.as_ref().unwrap_or(&all);
    // Of each group, for each step, the rate of each bucket.
    let mut groups: BTreeMap<Labels, Vec<math::Buckets>> = BTreeMap::new();
    for one in series {
        let bound = one
            .labels
            .iter()
            .find(|(name, _)| name == "le")
            .and_then(|(_, text)| math::bound(text));
        let Some(bound) = bound else { continue };
        let window_ms = window(&one.points, over_ms);
        let buckets = groups
            .entry(group(&one.labels, Some(by)))
            .or_insert_with(|| vec![math::Buckets::default(); steps.len()]);
        for (buckets, at) in buckets.iter_mut().zip(steps) {
            if let Some(rate) = math::rate(&one.points, *at, window_ms) {
                buckets.add(bound, rate);
            }
        }
    }
    let values = |buckets: Vec<math::Buckets>| buckets.iter().map(|b| b.quantile(q)).collect();
    told(
        groups
            .into_iter()
            .map(|(labels, buckets)| (labels, values(buckets)))
            .collect(),
        steps,
    )
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds below 2^53 are exact")]
fn told(groups: BTreeMap<Labels, Vec<Option<f64>>>, steps: &[u64]) -> Vec<api::Series> {
    let points = |values: Vec<Option<f64>>| -> Vec<[f64; 2]> {
        let told = steps
            .iter()
            .zip(values)
            .filter_map(|(at, value)| Some([*at as f64 / 1_000.0, value?]));
        told.filter(|[_, value]| value.is_finite()).collect()
    };
    groups
        .into_iter()
        .map(|(labels, values)| api::Series {
            labels,
            points: points(values),
        })
        .filter(|series| !series.points.is_empty())
        .take(SERIES_MAX)
        .collect()
}

#[cfg(test)]
mod tests;
