//! The registry: all metrics of a process, by name.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;

use super::encoder::{Encoder, Format, Kind};
use super::family::{CounterFamily, Family, GaugeFamily, HistogramFamily};
use super::{Counter, Gauge, Histogram, SECONDS};

/// All metrics of a process; cloneable. Asking for a name that is there gives the same instrument again.
#[derive(Clone, Default)]
pub struct Registry {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    families: Mutex<BTreeMap<String, Entry>>,
    collectors: Mutex<Vec<Collector>>,
    overflowed: Counter,
}

type Collector = Arc<dyn Fn(&mut Encoder) + Send + Sync>;

struct Entry {
    help: String,
    instrument: Instrument,
}

#[derive(Clone)]
enum Instrument {
    Counter(CounterFamily),
    Gauge(GaugeFamily),
    Histogram(HistogramFamily),
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry")
            .field("families", &self.shared.families.lock().len())
            .finish_non_exhaustive()
    }
}

impl Registry {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// A counter; its name ends in `_total`, which is added where it is missing.
    pub fn counter(&self, name: &str, help: &str) -> Counter {
        self.counter_with(name, help, &[]).with(&[])
    }

    /// A gauge.
    pub fn gauge(&self, name: &str, help: &str) -> Gauge {
        self.gauge_with(name, help, &[]).with(&[])
    }

    /// A histogram of times in seconds; its name should end in `_seconds`.
    pub fn timer(&self, name: &str, help: &str) -> Histogram {
        self.histogram(name, help, &SECONDS)
    }

    /// A histogram with these upper bounds.
    pub fn histogram(&self, name: &str, help: &str, bounds: &[f64]) -> Histogram {
        self.histogram_with(name, help, &[], bounds).with(&[])
    }

    /// Labelled counters.
    pub fn counter_with(&self, name: &str, help: &str, labels: &[&str]) -> CounterFamily {
        let name = name.strip_suffix("_total").unwrap_or(name);
        let made = Family::new(labels, self.shared.overflowed.clone(), Counter::default);
        match self.find(name, help, Instrument::Counter(made.clone())) {
            Instrument::Counter(found) if same(&found, labels) => found,
            _ => clash(name, made),
        }
    }

    /// Labelled gauges.
    pub fn gauge_with(&self, name: &str, help: &str, labels: &[&str]) -> GaugeFamily {
        let made = Family::new(labels, self.shared.overflowed.clone(), Gauge::default);
        match self.find(name, help, Instrument::Gauge(made.clone())) {
            Instrument::Gauge(found) if same(&found, labels) => found,
            _ => clash(name, made),
        }
    }

    /// Labelled histograms of times in seconds.
    pub fn timer_with(&self, name: &str, help: &str, labels: &[&str]) -> HistogramFamily {
        self.histogram_with(name, help, labels, &SECONDS)
    }

    /// Labelled histograms with these upper bounds.
    pub fn histogram_with(&self, name: &str, help: &str, labels: &[&str], bounds: &[f64]) -> HistogramFamily {
        let bounds = bounds.to_vec();
        let made = Family::new(labels, self.shared.overflowed.clone(), move || {
            Histogram::new(&bounds)
        });
        match self.find(name, help, Instrument::Histogram(made.clone())) {
            Instrument::Histogram(found) if same(&found, labels) => found,
            _ => clash(name, made),
        }
    }

    /// Values that are summed when they are asked for: `collect` is called at every scrape, and writes whole families
    /// of names that nobody else uses.
    pub fn collect(&self, collect: impl Fn(&mut Encoder) + Send + Sync + 'static) {
        self.shared.collectors.lock().push(Arc::new(collect));
    }

    /// Everything as OpenMetrics 1.0 text.
    pub fn encode(&self) -> String {
        self.encode_as(Format::OpenMetrics)
    }

    /// Everything in the given format.
    pub fn encode_as(&self, format: Format) -> String {
        let mut encoder = Encoder::new(format);
        for (name, entry) in &*self.shared.families.lock() {
            entry.encode(name, &mut encoder);
        }
        let overflowed = self.shared.overflowed.get();
        if overflowed > 0 {
            let mut family = encoder.family(
                "brick_metrics_overflowed_total",
                Kind::Counter,
                "lookups of label values beyond the 1,000 series of a family",
            );
            family.sample(&[], float(overflowed));
        }
        let collectors = self.shared.collectors.lock().clone();
        for collect in collectors {
            collect(&mut encoder);
        }
        encoder.finish()
    }

    /// The instrument of that name: the one that is there, or `made`.
    fn find(&self, name: &str, help: &str, made: Instrument) -> Instrument {
        let mut families = self.shared.families.lock();
        let entry = families.entry(clean(name)).or_insert_with(|| Entry {
            help: help.to_owned(),
            instrument: made,
        });
        entry.instrument.clone()
    }
}

impl Entry {
    fn encode(&self, name: &str, encoder: &mut Encoder) {
        let help = &self.help;
        match &self.instrument {
            Instrument::Counter(family) => {
                let mut out = encoder.family(name, Kind::Counter, help);
                each(family, |labels, counter| out.sample(labels, float(counter.get())));
            }
            Instrument::Gauge(family) => {
                let mut out = encoder.family(name, Kind::Gauge, help);
                each(family, |labels, gauge| out.sample(labels, gauge.get()));
            }
            Instrument::Histogram(family) => {
                let mut out = encoder.family(name, Kind::Histogram, help);
                each(family, |labels, histogram| {
                    out.histogram(labels, &histogram.snapshot());
                });
            }
        }
    }
}

fn each<M: Clone>(family: &Family<M>, mut f: impl FnMut(&[(&str, &str)], M)) {
    for (values, made) in family.series() {
        let names = family.labels().iter().map(String::as_str);
        // An empty label is the same as none (Prometheus data model), and shorter so.
        let labels: Vec<(&str, &str)> = names
            .zip(values.iter().map(String::as_str))
            .filter(|(_, value)| !value.is_empty())
            .collect();
        f(&labels, made);
    }
}

fn same<M: Clone>(found: &Family<M>, labels: &[&str]) -> bool {
    found
        .labels()
        .iter()
        .map(String::as_str)
        .eq(labels.iter().copied())
}

/// Two parts of a process disagree about a name: the second counts for itself, and the log says so.
fn clash<M>(name: &str, made: Family<M>) -> Family<M> {
    tracing::error!(
        metric = name,
        "the metric is already registered with another kind or other labels; this one is not exposed"
    );
    made
}

#[expect(
    clippy::cast_precision_loss,
    reason = "the text formats know floating point alone"
)]
fn float(count: u64) -> f64 {
    count as f64
}

/// A valid name: what is no letter, digit, underscore (or colon) becomes an underscore.
pub(super) fn clean(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for (at, c) in name.chars().enumerate() {
        let good = c.is_ascii_alphabetic() || matches!(c, '_' | ':') || (at > 0 && c.is_ascii_digit());
        out.push(if good { c } else { '_' });
    }
    if out.is_empty() {
        out.push('_');
    }
    out
}
