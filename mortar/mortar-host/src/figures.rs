//! What is counted of connections whose protocol the proxy does not know.

use brick_telemetry::metrics::{Counter, CounterFamily, Gauge, GaugeFamily, Registry};
use mortar_proxy::relay::Way;

/// Families by caller and callee.
#[derive(Debug, Clone)]
pub(crate) struct Figures {
    opened: CounterFamily,
    refused: CounterFamily,
    failed: CounterFamily,
    bytes: CounterFamily,
    open: GaugeFamily,
}

/// The same of one passage.
#[derive(Debug)]
pub(crate) struct OfPassage {
    /// Connections that were joined with an instance.
    pub(crate) opened: Counter,
    /// Those that the edge did not let through.
    pub(crate) refused: Counter,
    /// Those for which no instance was found.
    pub(crate) failed: Counter,
    /// Bytes from the caller.
    pub(crate) sent: Counter,
    /// Bytes to the caller.
    pub(crate) received: Counter,
    /// Joined now.
    pub(crate) open: Gauge,
}

impl Figures {
    pub(crate) fn new(registry: &Registry) -> Self {
        let ends = ["caller", "callee"];
        let counter = |name, help| registry.counter_with(name, help, &ends);
        Self {
            opened: counter("proxy_tcp_opened_total", "TCP connections that were passed on"),
            refused: counter(
                "proxy_tcp_refused_total",
                "TCP connections that limits or a breaker refused",
            ),
            failed: counter(
                "proxy_tcp_failed_total",
                "TCP connections for which no instance was found",
            ),
            bytes: registry.counter_with(
                "proxy_tcp_bytes_total",
                "bytes that were passed on",
                &["caller", "callee", "direction"],
            ),
            open: registry.gauge_with("proxy_tcp_connections", "TCP connections now", &ends),
        }
    }

    pub(crate) fn of(&self, caller: &str, callee: &str) -> OfPassage {
        OfPassage {
            opened: self.opened.with(&[caller, callee]),
            refused: self.refused.with(&[caller, callee]),
            failed: self.failed.with(&[caller, callee]),
            sent: self.bytes.with(&[caller, callee, "sent"]),
            received: self.bytes.with(&[caller, callee, "received"]),
            open: self.open.with(&[caller, callee]),
        }
    }
}

impl OfPassage {
    /// Bytes went this way.
    pub(crate) fn moved(&self, way: Way, bytes: usize) {
        match way {
            Way::Sent => self.sent.add(bytes as u64),
            Way::Received => self.received.add(bytes as u64),
        }
    }
}
