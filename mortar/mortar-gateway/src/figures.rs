//! What the edge's functions count.

use brick_telemetry::metrics::{CounterFamily, Registry};

/// Counters by route. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Figures {
    /// By route: requests over their rate.
    pub(crate) limited: CounterFamily,
    /// By outcome: calls of the store that gateways share.
    pub(crate) rate_store: CounterFamily,
    /// By route and outcome: copies of requests.
    pub(crate) mirrored: CounterFamily,
    /// By route and outcome: requests to routes with a cache.
    pub(crate) cached: CounterFamily,
    /// By view, part and outcome: calls for views.
    pub(crate) parts: CounterFamily,
}

impl Figures {
    pub(crate) fn new(registry: &Registry) -> Self {
        Self {
            limited: registry.counter_with(
                "gateway_rate_limited_total",
                "requests refused because they came too often",
                &["route"],
            ),
            rate_store: registry.counter_with(
                "gateway_rate_store_total",
                "questions to the store that gateways count rates in together; failed ones were counted here alone",
                &["outcome"],
            ),
            mirrored: registry.counter_with(
                "gateway_mirrored_total",
                "copies of requests; dropped ones were too many or too large",
                &["route", "outcome"],
            ),
            cached: registry.counter_with(
                "gateway_cache_requests_total",
                "requests to routes that keep answers",
                &["route", "outcome"],
            ),
            parts: registry.counter_with(
                "gateway_view_parts_total",
                "calls for views; fallback means that the declared value stood in",
                &["view", "part", "outcome"],
            ),
        }
    }
}
