//! Metrics: counters, gauges and histograms, written as OpenMetrics 1.0 text.
//!
//! A handle is a shared atomic: counting takes no lock and allocates nothing. Labelled families are bounded, so that a
//! label taken from user input cannot fill the memory: what is beyond 1,000 series is counted in one series whose
//! labels all read `overflow`.

mod encoder;
mod family;
mod instruments;
mod process;
mod registry;

pub use encoder::{Encoder, FamilyEncoder, Format, Kind};
pub use family::{CounterFamily, Family, GaugeFamily, HistogramFamily, SERIES_MAX};
pub use instruments::{Counter, Exemplar, Gauge, Histogram, Snapshot, Timer};
pub use registry::Registry;

/// Upper bounds of timers, in seconds: 1 ms to 10 s, what OpenTelemetry's HTTP conventions advise with 1 and 2.5 ms.
pub const SECONDS: [f64; 16] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
];

/// Media type of [`Registry::encode`].
pub const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// Media type of the older Prometheus text format.
pub const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";

#[cfg(test)]
mod tests;
