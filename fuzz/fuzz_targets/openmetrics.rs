//! OpenMetrics and Prometheus text: any answer of a scraped process is an exposition or an error with its line.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mortar_telemetry::ingest::openmetrics::{Dialect, parse};

fuzz_target!(|text: &str| {
    for dialect in [Dialect::OpenMetrics, Dialect::Prometheus] {
        if let Err(error) = parse(text, dialect) {
            assert!(error.line >= 1, "an error without a place");
        }
    }
});
