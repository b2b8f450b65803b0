//! Names of OpenTelemetry metrics as Prometheus writes them (OpenTelemetry specification, "Prometheus and OpenMetrics
//! compatibility"): letters, digits, underscores, the unit behind, `_total` for counters.

use crate::record::MetricKind;

/// Units that have a word; others are left out of the name.
const UNITS: [(&str, &str); 10] = [
    ("s", "seconds"),
    ("ms", "milliseconds"),
    ("us", "microseconds"),
    ("ns", "nanoseconds"),
    ("min", "minutes"),
    ("h", "hours"),
    ("By", "bytes"),
    ("KiBy", "kibibytes"),
    ("MiBy", "mebibytes"),
    ("%", "percent"),
];

/// The word of a unit (UCUM); empty where there is none.
pub(super) fn unit(unit: &str) -> &'static str {
    UNITS
        .iter()
        .find(|(short, _)| *short == unit)
        .map_or("", |(_, word)| word)
}

/// The name of a metric.
pub(super) fn metric(name: &str, unit_text: &str, kind: MetricKind) -> String {
    let mut made = label(name);
    let word = unit(unit_text);
    let counter = kind == MetricKind::Counter;
    if counter && let Some(stem) = made.strip_suffix("_total") {
        made.truncate(stem.len());
    }
    if !word.is_empty() && !made.ends_with(word) {
        made.push('_');
        made.push_str(word);
    }
    if counter {
        made.push_str("_total");
    }
    made
}

/// The name of a label.
pub(super) fn label(name: &str) -> String {
    let good = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    let mut made: String = name
        .chars()
        .take(200)
        .map(|c| if good(c) { c } else { '_' })
        .collect();
    if made.is_empty() || made.starts_with(|c: char| c.is_ascii_digit()) {
        made.insert(0, '_');
    }
    made
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_that_prometheus_would_give() {
        for (name, unit, kind, expect) in [
            (
                "http.server.request.duration",
                "s",
                MetricKind::Histogram,
                "http_server_request_duration_seconds",
            ),
            (
                "shop.orders.placed",
                "{order}",
                MetricKind::Counter,
                "shop_orders_placed_total",
            ),
            ("jobs_total", "1", MetricKind::Counter, "jobs_total"),
            (
                "process.memory.usage",
                "By",
                MetricKind::Gauge,
                "process_memory_usage_bytes",
            ),
            ("memory_bytes", "By", MetricKind::Gauge, "memory_bytes"),
            ("9lives", "", MetricKind::Gauge, "_9lives"),
            ("", "", MetricKind::Gauge, "_"),
        ] {
            assert_eq!(metric(name, unit, kind), expect);
        }
    }
}
