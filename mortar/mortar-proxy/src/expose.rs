//! The figures of proxies, summed at every scrape.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use brick_telemetry::metrics::{Encoder, Kind, Registry};

use crate::gate::Gate;
use crate::proxy::{Part, Proxy, Shared};
use crate::stats::{self, Family};

type Counter = fn(&Part) -> u64;
type Gauge = fn(&Shared) -> u64;

const COUNTERS: [(&str, &str, Counter); 8] = [
    (
        "gateway_connections_refused_total",
        "connections over the cap",
        |s| s.stats.connections_refused.load(Relaxed),
    ),
    (
        "gateway_handshakes_failed_total",
        "connections that came to no request: no PROXY header, no TLS",
        |s| s.stats.handshakes_failed.load(Relaxed),
    ),
    ("gateway_retries_total", "attempts after the first", |s| {
        s.stats.retries.load(Relaxed)
    }),
    ("gateway_response_bytes_total", "bytes of answer bodies", |s| {
        s.stats.bytes_out.load(Relaxed)
    }),
    (
        "gateway_series_overflow_total",
        "requests counted in no series of their own",
        |s| s.stats.server.overflow() + s.stats.client.overflow(),
    ),
    (
        "gateway_traces_passed_over_total",
        "requests beyond what a worker traces in a second",
        |s| s.traces.passed_over(),
    ),
    (
        "gateway_upstream_connects_total",
        "connections opened to instances",
        |s| s.pool.figures().0,
    ),
    (
        "gateway_upstream_connect_failures_total",
        "connections that could not be opened",
        |s| s.pool.figures().1,
    ),
];

const GAUGES: [(&str, &str, Gauge); 3] = [
    ("gateway_connections", "open client connections", |s| {
        s.slots.open() as u64
    }),
    ("gateway_upstream_idle", "idle connections to instances", |s| {
        s.parts().iter().map(|part| part.pool.figures().2).sum()
    }),
    ("gateway_routes", "routes served", |s| {
        s.routes.load().len() as u64
    }),
];

/// Exposes the figures of both proxies of a gateway.
pub fn expose<A: Gate, B: Gate>(registry: &Registry, edge: &Proxy<A>, admin: &Proxy<B>) {
    let proxies = [Arc::clone(&edge.local.shared), Arc::clone(&admin.local.shared)];
    registry.collect(move |out| {
        let server = (
            "http_server_request_duration_seconds",
            "requests answered",
            "http_route",
        );
        durations(out, server, &proxies, ("listener", |part| &part.stats.server));
        let client = (
            "http_client_request_duration_seconds",
            "calls to instances, until the head of their answer",
            "server_address",
        );
        durations(out, client, &proxies, ("listener", |part| &part.stats.client));
        for (name, help, figure) in &COUNTERS {
            let mut family = out.family(name, Kind::Counter, help);
            for proxy in &proxies {
                let sum: u64 = proxy.parts().iter().map(|part| figure(part)).sum();
                family.sample(&[("listener", &proxy.name)], sum as f64);
            }
        }
        for (name, help, figure) in &GAUGES {
            let mut family = out.family(name, Kind::Gauge, help);
            for proxy in &proxies {
                family.sample(&[("listener", &proxy.name)], figure(proxy) as f64);
            }
        }
        let mut family = out.family(
            "gateway_stale_dropped_total",
            Kind::Counter,
            "answers that are no longer kept for the fallback stale",
        );
        for proxy in &proxies {
            family.sample(&[("listener", &proxy.name)], proxy.fallbacks.dropped() as f64);
        }
        let dropped = proxies.first().map_or(0, |proxy| proxy.spans.dropped());
        out.counter(
            "gateway_spans_dropped_total",
            "spans that found the queue full",
            dropped as f64,
        );
    });
}

/// Exposes the calls of brick's proxies, those of this moment: `caller` is the proxy's name.
pub fn expose_calls<G: Gate>(
    registry: &Registry,
    proxies: impl Fn() -> Vec<Proxy<G>> + Send + Sync + 'static,
) {
    registry.collect(move |out| {
        let proxies = proxies();
        let shared: Vec<Arc<Shared>> = proxies.iter().map(|p| Arc::clone(&p.local.shared)).collect();
        let client = (
            "http_client_request_duration_seconds",
            "calls to instances, until the head of their answer",
            "server_address",
        );
        durations(out, client, &shared, ("caller", |part| &part.stats.client));
        let mut family = out.family(
            "proxy_connections",
            Kind::Gauge,
            "open connections of bricks that call",
        );
        for proxy in &shared {
            family.sample(&[("caller", &proxy.name)], proxy.slots.open() as f64);
        }
        let mut family = out.family(
            "proxy_connections_refused_total",
            Kind::Counter,
            "connections over the cap",
        );
        for proxy in &shared {
            let refused = |part: &Arc<Part>| part.stats.connections_refused.load(Relaxed);
            let sum: u64 = proxy.parts().iter().map(refused).sum();
            family.sample(&[("caller", &proxy.name)], sum as f64);
        }
    });
}

/// Exposes what one brick serves that stands behind a proxy.
pub fn expose_served<G: Gate>(registry: &Registry, proxy: &Proxy<G>) {
    let shared = Arc::downgrade(&proxy.local.shared);
    registry.collect(move |out| {
        let Some(shared) = shared.upgrade() else { return };
        let server = (
            "http_server_request_duration_seconds",
            "requests answered",
            "http_route",
        );
        durations(out, server, &[shared], ("listener", |part| &part.stats.server));
    });
}

fn durations(
    out: &mut Encoder,
    (name, help, label): (&str, &str, &str),
    proxies: &[Arc<Shared>],
    (named, family): (&str, fn(&Part) -> &Family),
) {
    let mut writer = out.family(name, Kind::Histogram, help);
    for proxy in proxies {
        let parts = proxy.parts();
        for (key, durations) in stats::sum(parts.iter().map(|part| family(part))) {
            let status = key.status.to_string();
            let mut labels = vec![
                (named, &*proxy.name),
                ("http_request_method", key.method),
                (label, &*key.what),
                ("http_response_status_code", &*status),
            ];
            if key.synthetic {
                labels.push(("synthetic", "true"));
            }
            writer.histogram(&labels, &durations.snapshot());
        }
    }
}
