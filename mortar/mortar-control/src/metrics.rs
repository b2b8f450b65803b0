//! Control's figures, read when they are asked for.

use std::sync::atomic::{AtomicU64, Ordering};

use brick_telemetry::metrics::{Encoder, Registry};

use crate::service::Handle;

pub(crate) fn register(registry: &Registry, handle: &Handle) {
    let handle = handle.clone();
    registry.collect(move |out| encode(out, &handle));
}

fn encode(out: &mut Encoder, handle: &Handle) {
    let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed) as f64;
    let (bus, leases, acks, state) = (handle.bus(), handle.leases(), handle.acks(), handle.state());
    out.gauge(
        "brick_bus_subscribers",
        "streams that are open",
        bus.subscribers() as f64,
    );
    out.gauge(
        "brick_bus_revision",
        "revision of the newest change",
        state.revision as f64,
    );
    out.gauge(
        "brick_bus_resources",
        "resources that are published",
        state.resources.len() as f64,
    );
    let counters = [
        (
            "brick_bus_changes_total",
            "changes of resources",
            &bus.counts.changes,
        ),
        (
            "brick_bus_resumed_total",
            "streams that went on where they had stopped",
            &bus.counts.resumed,
        ),
        (
            "brick_bus_resets_total",
            "streams whose cursor was unknown or compacted",
            &bus.counts.resets,
        ),
        (
            "brick_bus_cut_total",
            "streams cut because their subscriber was too slow",
            &bus.counts.cut,
        ),
        (
            "brick_bus_refused_total",
            "streams refused because too many were open",
            &bus.counts.refused,
        ),
        ("brick_bus_acks_total", "acknowledgements taken", &acks.taken),
        (
            "brick_bus_acks_ignored_total",
            "acknowledgements passed over",
            &acks.ignored,
        ),
        (
            "brick_registry_expired_total",
            "instances that left because their lease ran out",
            &leases.expired,
        ),
        (
            "brick_registry_probed_total",
            "leases extended because the instance answered",
            &leases.rescued,
        ),
    ];
    for (name, help, counter) in counters {
        out.counter(name, help, of(counter));
    }
    out.gauge(
        "brick_registry_leases",
        "leases that are held",
        leases.len() as f64,
    );
    let ready = state.instances.values().filter(|one| one.ready).count();
    out.gauge(
        "brick_registry_ready",
        "instances that take requests",
        ready as f64,
    );
}
