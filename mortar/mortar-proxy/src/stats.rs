//! Counters of the hot path: each worker adds to its own, a scrape sums them.
//!
//! Durations go into log-linear buckets, nine to a power of ten from 100 µs to 90 s, so that the error of any quantile
//! is below one tenth of its decade; what is exported are the 1-2-5 bounds among them, which are exact.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use brick_telemetry::metrics::Snapshot;
use http::{Method, StatusCode};
use parking_lot::Mutex;

/// Series of one worker; what is beyond is counted together.
const SERIES_MAX: usize = 1_000;
const DECADES: usize = 6;
const STEPS: usize = 9;
/// One more than bounds: the last holds what is longer than all of them.
const BUCKETS: usize = DECADES * STEPS + 1;
const FIRST_NS: u64 = 100_000;

/// Upper bounds of the buckets in nanoseconds: 1…9 × 10^k × 100 µs.
const BOUNDS_NS: [u64; BUCKETS - 1] = {
    let mut bounds = [0; BUCKETS - 1];
    let mut decade = FIRST_NS;
    let mut at = 0;
    while at < BUCKETS - 1 {
        bounds[at] = decade * (at % STEPS + 1) as u64;
        at += 1;
        if at % STEPS == 0 {
            decade *= 10;
        }
    }
    bounds
};

/// What a series is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Key {
    pub(crate) method: &'static str,
    pub(crate) status: u16,
    /// `http.route` of server series, `server.address` of client series.
    pub(crate) what: Arc<str>,
    /// Whether it is an acceptance suite's traffic.
    pub(crate) synthetic: bool,
}

/// A distribution of durations.
#[derive(Debug, Clone)]
pub(crate) struct Durations {
    counts: [u64; BUCKETS],
    sum_ns: u128,
}

/// One family of series, of one worker.
#[derive(Debug, Default)]
pub(crate) struct Family {
    series: Mutex<Series>,
    overflow: AtomicU64,
}

/// Series in order of their first request, and where each is.
#[derive(Debug, Default)]
struct Series {
    all: Vec<(Key, Durations)>,
    index: HashMap<Key, usize>,
    /// The last one that was added to: most often it is the next one too.
    recent: usize,
}

/// What a proxy counts besides.
#[derive(Debug, Default)]
pub(crate) struct Stats {
    pub(crate) server: Family,
    pub(crate) client: Family,
    pub(crate) connections_refused: AtomicU64,
    pub(crate) handshakes_failed: AtomicU64,
    pub(crate) retries: AtomicU64,
    pub(crate) bytes_out: AtomicU64,
}

impl Default for Durations {
    fn default() -> Self {
        Self {
            counts: [0; BUCKETS],
            sum_ns: 0,
        }
    }
}

impl Durations {
    fn add(&mut self, took: Duration) {
        let ns = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        let at = BOUNDS_NS.partition_point(|bound| *bound < ns);
        self.counts[at] += 1;
        self.sum_ns += u128::from(ns);
    }

    fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.counts.iter_mut().zip(&other.counts) {
            *mine += theirs;
        }
        self.sum_ns += other.sum_ns;
    }

    /// As exposed: the bounds of steps 1, 2 and 5.
    pub(crate) fn snapshot(&self) -> Snapshot {
        let mut snapshot = Snapshot {
            sum: self.sum_ns as f64 / 1e9,
            ..Snapshot::default()
        };
        let mut below = 0;
        for (at, count) in self.counts.iter().enumerate() {
            below += count;
            match BOUNDS_NS.get(at) {
                Some(bound) if matches!(at % STEPS, 0 | 1 | 4) => {
                    snapshot.bounds.push(*bound as f64 / 1e9);
                    snapshot.counts.push(std::mem::take(&mut below));
                }
                Some(_) => {}
                None => snapshot.counts.push(below),
            }
        }
        snapshot
    }
}

impl Family {
    pub(crate) fn add(
        &self,
        method: &Method,
        status: StatusCode,
        what: &Arc<str>,
        synthetic: bool,
        took: Duration,
    ) {
        let (method, status) = (method_name(method), status.as_u16());
        let mut series = self.series.lock();
        if let Some((key, durations)) = series.recent()
            && Arc::ptr_eq(&key.what, what)
            && (key.method, key.status, key.synthetic) == (method, status, synthetic)
        {
            durations.add(took);
            return;
        }
        let key = Key {
            method,
            status,
            what: Arc::clone(what),
            synthetic,
        };
        if series.all.len() >= SERIES_MAX && !series.index.contains_key(&key) {
            self.overflow.fetch_add(1, Ordering::Relaxed);
            let other = Key {
                method: "_OTHER",
                status: 0,
                what: "_overflow".into(),
                synthetic,
            };
            series.add(other, took);
            return;
        }
        series.add(key, took);
    }

    pub(crate) fn overflow(&self) -> u64 {
        self.overflow.load(Ordering::Relaxed)
    }
}

impl Series {
    fn recent(&mut self) -> Option<&mut (Key, Durations)> {
        self.all.get_mut(self.recent)
    }

    fn add(&mut self, key: Key, took: Duration) {
        let at = match self.index.get(&key) {
            Some(at) => *at,
            None => {
                self.index.insert(key.clone(), self.all.len());
                self.all.push((key, Durations::default()));
                self.all.len() - 1
            }
        };
        self.recent = at;
        if let Some((_, durations)) = self.all.get_mut(at) {
            durations.add(took);
        }
    }
}

/// The families of all workers together, in order.
pub(crate) fn sum<'f>(families: impl Iterator<Item = &'f Family>) -> Vec<(Key, Durations)> {
    let mut all: HashMap<Key, Durations> = HashMap::new();
    for family in families {
        for (key, durations) in &family.series.lock().all {
            all.entry(key.clone()).or_default().merge(durations);
        }
    }
    let mut all: Vec<_> = all.into_iter().collect();
    all.sort_by(|(a, _), (b, _)| a.cmp(b));
    all
}

/// The method as semantic conventions have it: the known ones, `_OTHER` for the rest.
pub(crate) fn method_name(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "POST" => "POST",
        "PUT" => "PUT",
        "DELETE" => "DELETE",
        "PATCH" => "PATCH",
        "HEAD" => "HEAD",
        "OPTIONS" => "OPTIONS",
        "TRACE" => "TRACE",
        "CONNECT" => "CONNECT",
        _ => "_OTHER",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_land_below_their_bound_and_sums_cross_threads() {
        let family = Arc::new(Family::default());
        let what: Arc<str> = "/x".into();
        let threads: Vec<_> = [1_u64, 2, 3, 200_000]
            .map(|ms| {
                let (family, what) = (Arc::clone(&family), Arc::clone(&what));
                std::thread::spawn(move || {
                    let took = Duration::from_millis(ms);
                    family.add(&Method::GET, StatusCode::OK, &what, false, took)
                })
            })
            .into();
        for thread in threads {
            thread.join().unwrap();
        }
        let sum = sum([&*family].into_iter());
        assert_eq!(sum.len(), 1);
        let snapshot = sum[0].1.snapshot();
        let at = |bound: f64| {
            snapshot
                .bounds
                .iter()
                .position(|b| (b - bound).abs() < 1e-9)
                .unwrap()
        };
        assert_eq!(snapshot.counts[at(0.001)], 1);
        assert_eq!(snapshot.counts[at(0.002)], 1);
        assert_eq!(snapshot.counts[at(0.005)], 1);
        assert_eq!(snapshot.counts.last(), Some(&1));
        assert_eq!(snapshot.counts.len(), snapshot.bounds.len() + 1);
    }

    #[test]
    fn series_are_bounded_and_the_bound_is_counted() {
        let family = Family::default();
        for n in 0..SERIES_MAX + 5 {
            family.add(
                &Method::GET,
                StatusCode::OK,
                &format!("/{n}").into(),
                false,
                Duration::ZERO,
            );
        }
        assert_eq!(family.overflow(), 5);
        assert_eq!(sum([&family].into_iter()).len(), SERIES_MAX + 1);
    }
}
