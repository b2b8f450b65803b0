//! The instruments: handles on shared atomics.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;

use crate::context::{self, TraceId};

/// Counts what happens; only grows.
#[derive(Debug, Clone, Default)]
pub struct Counter(Arc<AtomicU64>);

/// A value that goes up and down.
#[derive(Debug, Clone, Default)]
pub struct Gauge(Arc<AtomicU64>);

/// Counts observations by size.
#[derive(Debug, Clone)]
pub struct Histogram(Arc<Cells>);

#[derive(Debug)]
struct Cells {
    /// Upper bounds, ascending, without infinity.
    bounds: Box<[f64]>,
    /// One more than bounds.
    counts: Box<[AtomicU64]>,
    sum: AtomicU64,
    exemplars: Box<[Mutex<Option<Exemplar>>]>,
}

/// An observation with the trace it was made in.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Exemplar {
    /// The trace.
    pub trace_id: TraceId,
    /// What was observed.
    pub value: f64,
    /// When, in seconds of Unix time.
    pub unix_s: f64,
}

/// What a histogram holds at one moment.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Snapshot {
    /// Upper bounds, ascending, without infinity.
    pub bounds: Vec<f64>,
    /// Observations of each bucket (not cumulative), one more than bounds.
    pub counts: Vec<u64>,
    /// Sum of all observations.
    pub sum: f64,
    /// The last exemplar of each bucket; may be empty.
    pub exemplars: Vec<Option<Exemplar>>,
}

/// Observes the time since it was made when it is dropped.
#[derive(Debug)]
#[must_use = "a timer measures until it is dropped"]
pub struct Timer {
    histogram: Histogram,
    started: Instant,
}

impl Counter {
    /// One more.
    pub fn inc(&self) {
        self.add(1);
    }

    /// `n` more.
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    /// How many so far.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Gauge {
    /// Sets the value.
    pub fn set(&self, value: f64) {
        self.0.store(value.to_bits(), Ordering::Relaxed);
    }

    /// Adds to the value; negative to take away.
    pub fn add(&self, difference: f64) {
        add_float(&self.0, difference);
    }

    /// The value.
    pub fn get(&self) -> f64 {
        f64::from_bits(self.0.load(Ordering::Relaxed))
    }
}

impl Histogram {
    /// With these upper bounds; those that are no finite numbers are left out, the rest is sorted.
    pub(crate) fn new(bounds: &[f64]) -> Self {
        let mut bounds: Vec<f64> = bounds.iter().copied().filter(|b| b.is_finite()).collect();
        bounds.sort_by(f64::total_cmp);
        bounds.dedup();
        let buckets = bounds.len() + 1;
        Self(Arc::new(Cells {
            bounds: bounds.into(),
            counts: (0..buckets).map(|_| AtomicU64::new(0)).collect(),
            sum: AtomicU64::new(0),
            exemplars: (0..buckets).map(|_| Mutex::new(None)).collect(),
        }))
    }

    /// Observes a value; the trace that is current on this thread becomes the bucket's exemplar.
    pub fn observe(&self, value: f64) {
        let sampled = context::current().filter(|c| c.sampled);
        self.observe_in(value, sampled.map(|c| c.trace_id));
    }

    /// Observes a time in seconds.
    pub fn observe_duration(&self, lasted: Duration) {
        self.observe(lasted.as_secs_f64());
    }

    /// Observes a value made in the trace `trace_id`. What is no number is passed over.
    pub fn observe_in(&self, value: f64, trace_id: Option<TraceId>) {
        if value.is_nan() {
            return;
        }
        let cells = &*self.0;
        let bucket = cells.bounds.partition_point(|bound| *bound < value);
        cells.counts[bucket].fetch_add(1, Ordering::Relaxed);
        add_float(&cells.sum, value);
        // An exemplar is a sample: who finds the cell taken leaves it.
        if let Some(trace_id) = trace_id
            && let Some(mut exemplar) = cells.exemplars[bucket].try_lock()
        {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            *exemplar = Some(Exemplar {
                trace_id,
                value,
                unix_s: now.as_secs_f64(),
            });
        }
    }

    /// Measures until the timer is dropped.
    pub fn start_timer(&self) -> Timer {
        Timer {
            histogram: self.clone(),
            started: Instant::now(),
        }
    }

    /// How many observations so far.
    pub fn count(&self) -> u64 {
        self.0.counts.iter().map(|c| c.load(Ordering::Relaxed)).sum()
    }

    /// What it holds now.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            bounds: self.0.bounds.to_vec(),
            counts: self.0.counts.iter().map(|c| c.load(Ordering::Relaxed)).collect(),
            sum: f64::from_bits(self.0.sum.load(Ordering::Relaxed)),
            exemplars: self.0.exemplars.iter().map(|e| *e.lock()).collect(),
        }
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        self.histogram.observe_duration(self.started.elapsed());
    }
}

fn add_float(cell: &AtomicU64, difference: f64) {
    let _ = cell.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |bits| {
        Some((f64::from_bits(bits) + difference).to_bits())
    });
}
