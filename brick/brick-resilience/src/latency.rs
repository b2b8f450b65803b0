//! Latency of the last seconds, for the figures of an edge: counts by size, exact to a fifth.

use std::time::{Duration, Instant};

/// How long one half collects; figures are those of the last one to two halves.
const HALF: Duration = Duration::from_secs(5);
/// Four sizes for each doubling, from 64 µs on to above a minute.
const SIZES: usize = 84;
const FIRST_NS: f64 = 64_000.0;

/// Latencies of the last 5 to 10 s.
#[derive(Debug)]
pub(crate) struct Latency {
    halves: [[u32; SIZES]; 2],
    present: usize,
    turned: Instant,
}

impl Latency {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            halves: [[0; SIZES]; 2],
            present: 0,
            turned: now,
        }
    }

    pub(crate) fn note(&mut self, latency: Duration, now: Instant) {
        self.turn(now);
        let Some(half) = self.halves.get_mut(self.present) else {
            return;
        };
        if let Some(count) = half.get_mut(size(latency)) {
            *count = count.saturating_add(1);
        }
    }

    /// Half and 99 of 100 took no longer, in milliseconds; none where nothing was seen.
    pub(crate) fn figures(&mut self, now: Instant) -> (Option<f64>, Option<f64>) {
        self.turn(now);
        (self.percentile(0.50), self.percentile(0.99))
    }

    fn turn(&mut self, now: Instant) {
        let age = now.saturating_duration_since(self.turned);
        if age < HALF {
            return;
        }
        if age >= HALF * 2 {
            self.halves = [[0; SIZES]; 2];
        }
        self.present ^= 1;
        if let Some(half) = self.halves.get_mut(self.present) {
            *half = [0; SIZES];
        }
        self.turned = now;
    }

    fn percentile(&self, share: f64) -> Option<f64> {
        let [one, other] = &self.halves;
        let counts = || one.iter().zip(other).map(|(a, b)| u64::from(*a) + u64::from(*b));
        let total: u64 = counts().sum();
        if total == 0 {
            return None;
        }
        let wanted = (total as f64 * share).ceil() as u64;
        let mut below = 0;
        let at = counts().position(|count| {
            below += count;
            below >= wanted
        })?;
        // The middle of the size, on its logarithmic scale.
        let ns = FIRST_NS * 2_f64.powf((at as f64 - 0.5) / 4.0);
        Some((ns / 1e4).round() / 100.0)
    }
}

fn size(latency: Duration) -> usize {
    let ns = latency.as_nanos().max(1) as f64;
    let at = ((ns / FIRST_NS).log2() * 4.0).ceil();
    (at.max(0.0) as usize).min(SIZES - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_near_the_truth_and_the_past_is_forgotten() {
        let start = Instant::now();
        let mut latency = Latency::new(start);
        for ms in 1..=100_u64 {
            latency.note(Duration::from_millis(ms), start);
        }
        let (p50, p99) = latency.figures(start);
        assert!((40.0..=60.0).contains(&p50.unwrap()), "{p50:?}");
        assert!((80.0..=120.0).contains(&p99.unwrap()), "{p99:?}");
        assert_eq!(latency.figures(start + Duration::from_secs(6)).0, p50);
        assert_eq!(latency.figures(start + Duration::from_secs(30)), (None, None));
    }

    #[test]
    fn anything_has_a_size() {
        let mut latency = Latency::new(Instant::now());
        for odd in [Duration::ZERO, Duration::from_nanos(1), Duration::MAX] {
            latency.note(odd, Instant::now());
        }
        assert!(latency.figures(Instant::now()).1.is_some());
    }
}
