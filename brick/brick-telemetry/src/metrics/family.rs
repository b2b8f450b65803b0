//! Labelled families: one instrument for each combination of label values, bounded.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use parking_lot::RwLock;

use super::{Counter, Gauge, Histogram};

/// Most series of a family; further combinations share one series whose labels all read `overflow`.
pub const SERIES_MAX: usize = 1000;

/// A labelled instrument; cloneable. Keep the handle that [`Family::with`] gives where the labels do not change.
pub struct Family<M> {
    shared: Arc<Shared<M>>,
}

/// Labelled counters.
pub type CounterFamily = Family<Counter>;
/// Labelled gauges.
pub type GaugeFamily = Family<Gauge>;
/// Labelled histograms.
pub type HistogramFamily = Family<Histogram>;

struct Shared<M> {
    labels: Box<[String]>,
    make: Box<dyn Fn() -> M + Send + Sync>,
    series: RwLock<HashMap<Box<[String]>, M>>,
    overflow: M,
    overflowed: Counter,
}

impl<M> Clone for Family<M> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<M> fmt::Debug for Family<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Family")
            .field("labels", &self.shared.labels)
            .finish_non_exhaustive()
    }
}

impl<M: Clone> Family<M> {
    pub(super) fn new(
        labels: &[&str],
        overflowed: Counter,
        make: impl Fn() -> M + Send + Sync + 'static,
    ) -> Self {
        let shared = Shared {
            labels: labels.iter().map(|label| super::registry::clean(label)).collect(),
            overflow: make(),
            make: Box::new(make),
            series: RwLock::default(),
            overflowed,
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// The series of these label values, in the order of the labels; an empty or missing one leaves its label out,
    /// further ones are passed over.
    pub fn with(&self, values: &[&str]) -> M {
        let shared = &*self.shared;
        let filled = |at: usize| values.get(at).copied().unwrap_or_default();
        let key: Box<[String]> = (0..shared.labels.len()).map(|at| filled(at).to_owned()).collect();
        if let Some(found) = shared.series.read().get(&key) {
            return found.clone();
        }
        let mut series = shared.series.write();
        if let Some(found) = series.get(&key) {
            return found.clone();
        }
        if series.len() >= SERIES_MAX {
            shared.overflowed.inc();
            return shared.overflow.clone();
        }
        let made = (shared.make)();
        series.insert(key, made.clone());
        made
    }

    pub(super) fn labels(&self) -> &[String] {
        &self.shared.labels
    }

    /// All series in order of their label values; the overflow series last, where there is one.
    pub(super) fn series(&self) -> Vec<(Vec<String>, M)> {
        let series = self.shared.series.read();
        let mut all: Vec<(Vec<String>, M)> = series
            .iter()
            .map(|(key, made)| (key.to_vec(), made.clone()))
            .collect();
        all.sort_by(|a, b| a.0.cmp(&b.0));
        if series.len() >= SERIES_MAX {
            let key = vec!["overflow".to_owned(); self.shared.labels.len()];
            all.push((key, self.shared.overflow.clone()));
        }
        all
    }
}
