//! Rates of counters and quantiles of cumulative buckets, as Prometheus defines them
//! (<https://prometheus.io/docs/prometheus/latest/querying/functions/>), but for extrapolation, which we leave out.

/// The points at most `window_ms` older than `at`, and not younger.
fn within(points: &[(u64, f64)], at: u64, window_ms: u64) -> &[(u64, f64)] {
    let end = points.partition_point(|(time, _)| *time <= at);
    let start = points.partition_point(|(time, _)| *time < at.saturating_sub(window_ms));
    points.get(start..end).unwrap_or_default()
}

/// The last value.
pub(super) fn last(points: &[(u64, f64)], at: u64, window_ms: u64) -> Option<f64> {
    within(points, at, window_ms).last().map(|(_, value)| *value)
}

/// Increase per second.
#[expect(clippy::cast_precision_loss, reason = "milliseconds below 2^53 are exact")]
pub(super) fn rate(points: &[(u64, f64)], at: u64, window_ms: u64) -> Option<f64> {
    let points = within(points, at, window_ms);
    let (first, last) = (points.first()?, points.last()?);
    let seconds = (last.0 - first.0) as f64 / 1_000.0;
    (seconds > 0.0).then(|| growth(points) / seconds)
}

/// What was counted in the `step_ms` before `at`, so that the steps of a time add up to what was counted in it: from
/// the last value known before.
pub(super) fn increase(points: &[(u64, f64)], at: u64, step_ms: u64) -> Option<f64> {
    let end = points.partition_point(|(time, _)| *time <= at);
    let start = points.partition_point(|(time, _)| *time <= at.saturating_sub(step_ms));
    let known = points.get(start.saturating_sub(1)..end)?;
    (!known.is_empty()).then(|| growth(known))
}

/// How much a counter grew; a value smaller than the one before it counts from zero.
fn growth(points: &[(u64, f64)]) -> f64 {
    let grown = points.windows(2).map(|pair| match pair {
        [(_, before), (_, after)] if after >= before => after - before,
        [_, (_, after)] => *after,
        _ => 0.0,
    });
    grown.sum()
}

/// Upper bound of a bucket as `le` writes it.
pub(super) fn bound(text: &str) -> Option<f64> {
    match text {
        "+Inf" | "Inf" => Some(f64::INFINITY),
        _ => text.parse().ok().filter(|bound: &f64| !bound.is_nan()),
    }
}

/// Cumulative buckets: upper bound and how much lies at or below it, sorted by bound.
#[derive(Debug, Clone, Default)]
pub(super) struct Buckets(Vec<(f64, f64)>);

impl Buckets {
    pub(super) fn add(&mut self, bound: f64, value: f64) {
        match self.0.binary_search_by(|(known, _)| known.total_cmp(&bound)) {
            Ok(at) => {
                if let Some((_, known)) = self.0.get_mut(at) {
                    *known += value;
                }
            }
            Err(at) => self.0.insert(at, (bound, value)),
        }
    }

    /// The value below which the share `q` lies, by linear interpolation within its bucket; the highest finite bound
    /// where it lies above that. None without observations.
    pub(super) fn quantile(&self, q: f64) -> Option<f64> {
        let (_, total) = self
            .0
            .last()
            .filter(|(bound, total)| bound.is_infinite() && *total > 0.0)?;
        let rank = q * total;
        let (mut from, mut below) = (0.0, 0.0);
        for (bound, count) in &self.0 {
            if *count >= rank {
                if bound.is_infinite() {
                    return (self.0.len() > 1).then_some(from);
                }
                // A first bucket at or below zero has no lower end to start from.
                if below <= 0.0 && *bound <= 0.0 {
                    return Some(*bound);
                }
                let share = if *count > below {
                    (rank - below) / (count - below)
                } else {
                    1.0
                };
                return Some(from + (bound - from) * share);
            }
            (from, below) = (*bound, *count);
        }
        None
    }
}
