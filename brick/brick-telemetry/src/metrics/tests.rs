use proptest::prelude::*;

use super::*;
use crate::context::TraceId;

#[test]
fn every_kind_is_written_as_openmetrics_has_it() {
    let registry = Registry::new();
    registry
        .counter("shop_orders_total", "orders \"placed\"\n")
        .add(3);
    registry.gauge("shop_queue", "waiting").set(2.5);
    let timer = registry.histogram("shop_pay_seconds", "time to pay", &[0.1, 1.0]);
    let trace: TraceId = "4bf92f3577b34da6a3ce929d0e0e4736".parse().unwrap();
    timer.observe_in(0.1, None);
    timer.observe_in(0.5, Some(trace));
    timer.observe_in(7.0, None);
    let text = registry.encode();
    let expected = [
        "# TYPE shop_orders counter",
        "# HELP shop_orders orders \\\"placed\\\"\\n",
        "shop_orders_total 3",
        "# TYPE shop_queue gauge",
        "shop_queue 2.5",
        "# TYPE shop_pay_seconds histogram",
        "# UNIT shop_pay_seconds seconds",
        "shop_pay_seconds_bucket{le=\"0.1\"} 1",
        "shop_pay_seconds_bucket{le=\"+Inf\"} 3",
        "shop_pay_seconds_count 3",
        "shop_pay_seconds_sum 7.6",
    ];
    for line in expected {
        assert!(text.lines().any(|l| l == line), "missing {line} in\n{text}");
    }
    let exemplar =
        "shop_pay_seconds_bucket{le=\"1.0\"} 2 # {trace_id=\"4bf92f3577b34da6a3ce929d0e0e4736\"} 0.5 ";
    assert!(text.lines().any(|l| l.starts_with(exemplar)), "{text}");
    assert!(text.ends_with("# EOF\n"));
}

#[test]
fn the_older_format_has_no_exemplar_and_no_end_mark() {
    let registry = Registry::new();
    registry.counter("a", "b").inc();
    registry
        .timer("t_seconds", "t")
        .observe_in(0.1, Some(TraceId::random()));
    let text = registry.encode_as(Format::Prometheus);
    assert!(text.contains("# TYPE a_total counter\n"), "{text}");
    assert!(!text.contains("EOF") && !text.contains("trace_id") && !text.contains("# UNIT"));
}

#[test]
fn a_family_is_bounded_and_says_so() {
    let registry = Registry::new();
    let family = registry.counter_with("hits", "hits", &["user"]);
    for i in 0..SERIES_MAX + 5 {
        family.with(&[&i.to_string()]).inc();
    }
    let text = registry.encode();
    assert!(text.contains("hits_total{user=\"overflow\"} 5\n"), "overflow");
    assert!(text.contains("brick_metrics_overflowed_total 5\n"));
}

#[test]
fn the_same_name_is_the_same_instrument() {
    let registry = Registry::new();
    registry.counter("a_total", "x").inc();
    registry.counter("a", "x").inc();
    assert_eq!(registry.counter("a", "x").get(), 2);
    registry.gauge("a", "clash").set(9.0);
    assert!(registry.encode().contains("a_total 2\n"));
    assert!(!registry.encode().contains('9'));
}

#[test]
fn collected_values_are_asked_for_at_each_scrape() {
    let registry = Registry::new();
    let source = Counter::default();
    let read = source.clone();
    registry.collect(move |out| {
        let mut family = out.family("sum", Kind::Gauge, "summed at scrape");
        family.sample(&[("of", "a")], if read.get() == 0 { 0.0 } else { 1.0 });
    });
    assert!(registry.encode().contains("sum{of=\"a\"} 0\n"));
    source.inc();
    assert!(registry.encode().contains("sum{of=\"a\"} 1\n"));
}

#[test]
fn the_process_tells_its_memory_and_time() {
    let registry = Registry::new();
    registry.collect_process(1.0);
    let text = registry.encode();
    for name in [
        "process_resident_memory_bytes",
        "process_cpu_seconds_total",
        "process_open_fds",
    ] {
        assert!(text.lines().any(|l| l.starts_with(&format!("{name} "))), "{text}");
    }
}

#[test]
fn a_timer_observes_when_it_is_dropped() {
    let timer = Registry::new().timer("t_seconds", "t");
    drop(timer.start_timer());
    assert_eq!(timer.count(), 1);
}

proptest! {
    #[test]
    fn no_label_value_breaks_a_line(value in any::<String>(), name in any::<String>()) {
        let registry = Registry::new();
        registry.gauge_with(&name, &value, &["l"]).with(&[&value]).set(1.0);
        let text = registry.encode();
        prop_assert_eq!(text.split('\n').count(), if name.ends_with("_seconds") || name.ends_with("_bytes") { 6 } else { 5 });
    }

    #[test]
    fn buckets_hold_every_observation(values in proptest::collection::vec(-10.0_f64..20.0, 0..50)) {
        let histogram = Registry::new().timer("t_seconds", "t");
        for value in &values {
            histogram.observe_in(*value, None);
        }
        let snapshot = histogram.snapshot();
        prop_assert_eq!(snapshot.counts.iter().sum::<u64>(), values.len() as u64);
    }
}
