use std::sync::Arc;

use super::*;
use crate::record::{MetricBatch, Sample};
use crate::store::Memory;

/// `values[n]` is what instance, label `le` (where given) and second `5·n` have.
fn store(series: &[(&str, &str, Option<&str>, &[f64])]) -> Arc<Memory> {
    let store = Arc::new(Memory::new(1024 * 1024));
    for (name, instance, le, values) in series {
        for (n, value) in values.iter().enumerate() {
            let mut labels = vec![("instance".to_owned(), (*instance).to_owned())];
            labels.extend(le.map(|le| ("le".to_owned(), le.to_owned())));
            let sample = Sample {
                name: (*name).to_owned(),
                labels,
                time_ms: 1_000_000 + n as u64 * 5_000,
                value: *value,
                cumulative: true,
                delta: false,
            };
            store.append_samples(&MetricBatch {
                samples: vec![sample],
                ..MetricBatch::default()
            });
        }
    }
    store
}

fn ask(store: &Memory, name: &str, function: Function, by: Option<&[&str]>, at_s: u64) -> Vec<(String, f64)> {
    let query = Query {
        name: name.to_owned(),
        labels: Vec::new(),
        from_ms: at_s * 1_000,
        to_ms: at_s * 1_000,
        step_ms: 5_000,
        window_ms: 0,
        function,
        by: by.map(|by| by.iter().map(|s| (*s).to_owned()).collect()),
    };
    let series = range(store, &query).series;
    series
        .into_iter()
        .map(|s| {
            (
                s.labels.get("instance").cloned().unwrap_or_default(),
                s.points[0][1],
            )
        })
        .collect()
}

fn close(got: &[(String, f64)], expect: &[(&str, f64)]) {
    assert_eq!(got.len(), expect.len(), "{got:?}");
    for (got, expect) in got.iter().zip(expect) {
        assert!(
            got.0 == expect.0 && (got.1 - expect.1).abs() < 1e-9,
            "{got:?} is not {expect:?}"
        );
    }
}

#[test]
fn increases_of_steps_add_up_to_what_was_counted() {
    let store = store(&[("orders_total", "a", None, &[0.0, 1.0, 1.0, 3.0, 2.0])]);
    let within = |at_s| ask(&store, "orders_total", Function::Increase, None, at_s);
    let counted = [
        (1_000, 0.0),
        (1_005, 1.0),
        (1_010, 0.0),
        (1_015, 2.0),
        (1_020, 2.0),
        (1_025, 0.0),
    ];
    for (at_s, increase) in counted {
        close(&within(at_s), &[("a", increase)]);
    }
}

#[test]
fn rates_are_per_second_and_survive_a_reset() {
    let store = store(&[
        ("hits_total", "a", None, &[0.0, 10.0, 20.0, 30.0, 40.0]),
        ("hits_total", "b", None, &[50.0, 60.0, 5.0, 15.0, 25.0]),
    ]);
    let rate = |by| ask(&store, "hits_total", Function::Rate, by, 1_020);
    close(&rate(None), &[("a", 2.0), ("b", 1.75)]);
    close(&rate(Some(&[])), &[("", 3.75)]);
    close(&rate(Some(&["instance"])), &[("a", 2.0), ("b", 1.75)]);
    close(
        &ask(&store, "hits", Function::Rate, Some(&[]), 1_020),
        &[("", 3.75)],
    );
}

#[test]
fn raw_is_the_last_value_and_ends_with_its_series() {
    let store = store(&[("temp", "a", None, &[1.0, 2.0, 3.0])]);
    let raw = |at_s| ask(&store, "temp", Function::Raw, None, at_s);
    close(&raw(1_005), &[("a", 2.0)]);
    close(&raw(1_025), &[("a", 3.0)]);
    close(&raw(1_100), &[]);
    close(&raw(900), &[]);
}

#[test]
fn percentiles_come_from_the_buckets_of_all_instances() {
    // 100 requests on each of two instances: a fast, b slow.
    let store = store(&[
        ("d_seconds_bucket", "a", Some("0.1"), &[0.0, 100.0]),
        ("d_seconds_bucket", "a", Some("0.5"), &[0.0, 100.0]),
        ("d_seconds_bucket", "a", Some("+Inf"), &[0.0, 100.0]),
        ("d_seconds_bucket", "b", Some("0.1"), &[0.0, 0.0]),
        ("d_seconds_bucket", "b", Some("0.5"), &[0.0, 90.0]),
        ("d_seconds_bucket", "b", Some("+Inf"), &[0.0, 100.0]),
    ]);
    let quantile = |q, by| ask(&store, "d_seconds", Function::Quantile(q), by, 1_005);
    close(&quantile(0.5, None), &[("", 0.1)]);
    close(&quantile(0.25, None), &[("", 0.05)]);
    close(&quantile(0.99, None), &[("", 0.5)]);
    close(&quantile(0.45, Some(&["instance"])), &[("a", 0.045), ("b", 0.3)]);
}

#[test]
fn a_histogram_without_traffic_has_no_percentile() {
    let store = store(&[
        ("d_seconds_bucket", "a", Some("0.1"), &[7.0, 7.0]),
        ("d_seconds_bucket", "a", Some("+Inf"), &[7.0, 7.0]),
    ]);
    close(
        &ask(&store, "d_seconds", Function::Quantile(0.5), None, 1_005),
        &[],
    );
}

#[test]
fn an_answer_never_has_more_points_than_the_limit() {
    let store = store(&[("temp", "a", None, &vec![1.0; 720])]);
    let query = Query {
        name: "temp".to_owned(),
        labels: Vec::new(),
        from_ms: 1_000_000,
        to_ms: 4_600_000,
        step_ms: 1,
        window_ms: 0,
        function: Function::Raw,
        by: None,
    };
    let points = range(&*store, &query).series.remove(0).points;
    assert!(
        points.len() as u64 <= POINTS_MAX + 1 && points.len() > 900,
        "{}",
        points.len()
    );
}

#[test]
fn a_window_longer_than_a_step_tells_of_a_burst_that_has_passed() {
    let counts: Vec<f64> = (0..13).map(|n| if n < 2 { 0.0 } else { 60.0 }).collect();
    let buckets = |name, le| (name, "a", le, counts.as_slice());
    let store = store(&[
        buckets("d_seconds_count", None),
        buckets("d_seconds_bucket", Some("0.1")),
        buckets("d_seconds_bucket", Some("+Inf")),
    ]);
    let told = |function, window_ms| {
        let query = Query {
            name: "d_seconds".to_owned(),
            labels: Vec::new(),
            from_ms: 1_055_000,
            to_ms: 1_060_000,
            step_ms: 5_000,
            window_ms,
            function,
            by: Some(vec!["instance".to_owned()]),
        };
        let series = range(&*store, &query).series;
        series
            .first()
            .and_then(|one| one.points.last())
            .map(|point| point[1])
    };
    assert_eq!(told(Function::Rate, 0), Some(0.0));
    assert_eq!(told(Function::Rate, 60_000), Some(1.0));
    assert_eq!(told(Function::Quantile(0.99), 0), None);
    assert_eq!(told(Function::Quantile(0.99), 60_000), Some(0.099));
}
