//! Control's figures, read when they are asked for.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use brick_telemetry::metrics::{Encoder, Registry};

use crate::bus::Bus;
use crate::service::Handle;

pub(crate) fn register(registry: &Registry, handle: &Handle) {
    let handle = handle.clone();
    registry.collect(move |out| {
        bus(out, &handle);
        leases(out, &handle);
        reports(out, &handle);
        names(out, &handle);
    });
}

/// Figures of a process that stands by, until it leads.
pub(crate) fn register_standby(registry: &Registry, bus: &Arc<Bus>) {
    let bus = Arc::downgrade(bus);
    registry.collect(move |out| {
        // Who leads registers everything.
        if let Some(bus) = bus.upgrade().filter(|bus| !bus.is_led()) {
            lead(out, 0.0);
            streams(out, &bus);
        }
    });
}

fn lead(out: &mut Encoder, leads: f64) {
    out.gauge(
        "brick_control_leads",
        "1 where this process leads, 0 where it stands by",
        leads,
    );
}

fn bus(out: &mut Encoder, handle: &Handle) {
    let (bus, acks, state) = (handle.bus(), handle.acks(), handle.state());
    lead(out, 1.0);
    let standing_by = handle.peers().len() as f64;
    out.gauge("brick_control_standbys", "processes that stand by", standing_by);
    let published = state.resources.len() as f64;
    out.gauge("brick_bus_resources", "resources that are published", published);
    streams(out, bus);
    let mut count = |name, help, counter| tally(out, name, help, counter);
    count("brick_bus_acks_total", "acknowledgements taken", &acks.taken);
    count(
        "brick_bus_acks_ignored_total",
        "acknowledgements passed over",
        &acks.ignored,
    );
}

fn streams(out: &mut Encoder, bus: &Bus) {
    let open = bus.subscribers() as f64;
    out.gauge("brick_bus_subscribers", "streams that are open", open);
    let revision = bus.position().1 as f64;
    out.gauge("brick_bus_revision", "revision of the newest change", revision);
    let mut count = |name, help, counter| tally(out, name, help, counter);
    let counts = &bus.counts;
    count("brick_bus_changes_total", "changes of resources", &counts.changes);
    count(
        "brick_bus_resumed_total",
        "streams that went on where they had stopped",
        &counts.resumed,
    );
    count(
        "brick_bus_resets_total",
        "streams whose cursor was unknown or compacted",
        &counts.resets,
    );
    count(
        "brick_bus_cut_total",
        "streams cut because their subscriber was too slow",
        &counts.cut,
    );
    count(
        "brick_bus_refused_total",
        "streams refused because too many were open",
        &counts.refused,
    );
}

fn leases(out: &mut Encoder, handle: &Handle) {
    let leases = handle.leases();
    out.gauge(
        "brick_registry_leases",
        "leases that are held",
        leases.len() as f64,
    );
    let ready = handle.state().instances.values().filter(|one| one.ready).count() as f64;
    out.gauge("brick_registry_ready", "instances that take requests", ready);
    let state = handle.state();
    let outsiders = state
        .instances
        .values()
        .filter(|one| one.details.outsider.is_some());
    let help = "instances that no agent started";
    out.gauge("brick_registry_outsiders", help, outsiders.count() as f64);
    let preserving = if leases.is_preserving() { 1.0 } else { 0.0 };
    let help = "1 while control keeps instances because it lost sight of most";
    out.gauge("brick_registry_preserving", help, preserving);
    let help = "instances that are kept although there is no sign of life";
    out.gauge("brick_registry_kept", help, leases.kept() as f64);
    let mut count = |name, help, counter| tally(out, name, help, counter);
    count(
        "brick_registry_expired_total",
        "instances that left because their lease ran out",
        &leases.expired,
    );
    count(
        "brick_registry_probed_total",
        "leases extended because the instance answered",
        &leases.rescued,
    );
}

fn reports(out: &mut Encoder, handle: &Handle) {
    let reports = handle.reports();
    let held = reports.len() as f64;
    out.gauge("brick_reports_held", "processes whose edges are known", held);
    let mut count = |name, help, counter| tally(out, name, help, counter);
    count("brick_reports_total", "reports of edges taken", &reports.taken);
    count(
        "brick_reports_ignored_total",
        "reports of edges for which there was no room",
        &reports.ignored,
    );
}

fn names(out: &mut Encoder, handle: &Handle) {
    let names = handle.names();
    let mut count = |name, help, counter| tally(out, name, help, counter);
    count(
        "brick_dns_answered_total",
        "names that were resolved",
        &names.answered,
    );
    count(
        "brick_dns_unknown_total",
        "names below brick that nobody has",
        &names.unknown,
    );
    count(
        "brick_dns_refused_total",
        "questions about other names, and what is no question",
        &names.refused,
    );
}

fn tally(out: &mut Encoder, name: &str, help: &str, counter: &AtomicU64) {
    out.counter(name, help, counter.load(Ordering::Relaxed) as f64);
}
