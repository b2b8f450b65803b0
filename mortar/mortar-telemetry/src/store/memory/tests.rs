use super::*;
use crate::record::{Kind, Level, Sample, Status, Value};
use crate::store::{LogFilter, Synthetic, TraceFilter};

fn resource(service: &str) -> Arc<Resource> {
    Arc::new(Resource {
        service: service.to_owned(),
        version: "v1".to_owned(),
        instance: format!("{service}/1"),
        incarnation: "i".to_owned(),
        zone: "a".to_owned(),
    })
}

fn id(number: u64) -> TraceId {
    u128::from(number + 1).to_be_bytes()
}

fn span(trace: u64, number: u64, parent: u64) -> Span {
    Span {
        trace_id: id(trace),
        span_id: number,
        parent_id: parent,
        name: "GET /x".to_owned(),
        kind: Kind::Server,
        status: Status::Unset,
        status_message: String::new(),
        start_ns: trace * 1_000_000 + number,
        end_ns: trace * 1_000_000 + 500_000 - number,
        attributes: vec![
            ("http.request.method".to_owned(), Value::Text("GET".to_owned())),
            (
                "url.path".to_owned(),
                Value::Text(format!("/api/orders/{trace}/{number}")),
            ),
        ],
        events: Vec::new(),
    }
}

fn log(number: u64) -> Log {
    Log {
        time_ns: number,
        level: Level::Info,
        message: format!("order {number} placed for a customer with a long name"),
        trace_id: id(number % 100),
        span_id: 0,
        fields: vec![("order_id".to_owned(), Value::Int(number.cast_signed()))],
    }
}

fn sample(series: u64, time_ms: u64, value: f64) -> Sample {
    Sample {
        name: "hits_total".to_owned(),
        labels: vec![("series".to_owned(), series.to_string())],
        time_ms,
        value,
        cumulative: true,
        delta: false,
    }
}

#[test]
fn a_store_filled_over_its_cap_stays_under_it_and_counts_what_it_evicted() {
    let store = Memory::new(1024 * 1024);
    let from = resource("order");
    for trace in 0..5_000 {
        let spans: Vec<Span> = (1..=5).map(|n| span(trace, n, n - 1)).collect();
        store.append_spans(&from, &spans);
        store.append_logs(&from, &[log(trace), log(trace + 1)], &mut |_, _| ());
        if trace % 10 == 0 {
            let samples = (0..50).map(|s| sample(s, trace * 1_000, trace as f64)).collect();
            store.append_samples(&MetricBatch {
                samples,
                ..MetricBatch::default()
            });
        }
        let usage = store.usage();
        assert!(usage.bytes <= usage.bytes_max, "{usage:?} after trace {trace}");
    }
    let usage = store.usage();
    assert_eq!(usage.spans + usage.evicted_spans, 25_000);
    assert_eq!(usage.logs + usage.evicted_logs, 10_000);
    assert!(
        usage.evicted_spans > 0 && usage.evicted_logs > 0 && usage.evicted_points > 0,
        "{usage:?}"
    );
    assert!(usage.bytes * 2 > usage.bytes_max, "the cap is used: {usage:?}");
}

#[test]
fn eviction_keeps_the_newest_and_never_shows_a_fragment() {
    let store = Memory::new(256 * 1024);
    let from = resource("order");
    for trace in 0..2_000 {
        let spans: Vec<Span> = (1..=7).map(|n| span(trace, n, n - 1)).collect();
        store.append_spans(&from, &spans);
    }
    let heads = store.find_traces(&TraceFilter::default(), 10_000, None);
    assert_eq!(heads.first().map(|h| h.key.1), Some(id(1_999)));
    assert!(heads.len() > 10 && heads.len() < 2_000);
    for head in &heads {
        assert_eq!((head.spans, store.trace(&head.key.1).len()), (7, 7));
    }
    assert!(store.trace(&id(0)).is_empty());
}

#[test]
fn one_endless_trace_loses_its_oldest_spans_alone() {
    let store = Memory::new(256 * 1024);
    let from = resource("order");
    for number in 1..10_000 {
        store.append_spans(&from, &[span(1, number, number - 1)]);
    }
    let spans = store.trace(&id(1));
    assert!(spans.len() > 100);
    assert!(spans.iter().any(|s| s.record.span_id == 9_999));
    assert_eq!(store.usage().spans + store.usage().evicted_spans, 9_999);
}

#[test]
fn a_span_sent_twice_is_shown_once_and_comes_back_as_it_went() {
    let store = Memory::new(1024 * 1024);
    let mut sent = span(1, 2, 1);
    sent.events.push(crate::record::Event {
        name: "exception".to_owned(),
        time_ns: sent.start_ns + 5,
        attributes: vec![("exception.type".to_owned(), Value::Text("Declined".to_owned()))],
    });
    store.append_spans(&resource("order"), &[sent.clone(), sent.clone()]);
    let spans = store.trace(&id(1));
    assert_eq!(spans.len(), 1);
    assert_eq!(spans[0].record, sent);
    assert_eq!(spans[0].resource.instance, "order/1");
}

#[test]
fn pages_of_traces_and_logs_neither_repeat_nor_skip() {
    let store = Memory::new(4 * 1024 * 1024);
    let from = resource("order");
    for number in 0..250 {
        store.append_spans(&from, &[span(number, 1, 0)]);
        store.append_logs(&from, &[log(number)], &mut |_, _| ());
    }
    let (mut traces, mut after) = (Vec::new(), None);
    loop {
        let page = store.find_traces(&TraceFilter::default(), 40, after);
        after = page.last().map(|head| head.key);
        if page.is_empty() {
            break;
        }
        traces.extend(page.into_iter().map(|head| head.key.1));
    }
    assert_eq!(traces, (0..250).rev().map(id).collect::<Vec<_>>());
    let (mut times, mut after) = (Vec::new(), None);
    loop {
        let page = store.find_logs(&LogFilter::default(), 33, after);
        after = page.last().map(|(key, _)| *key);
        if page.is_empty() {
            break;
        }
        times.extend(page.into_iter().map(|(key, _)| key.0));
    }
    assert_eq!(times, (0..250).rev().collect::<Vec<_>>());
}

#[test]
fn traces_are_found_by_what_any_of_their_spans_says() {
    let store = Memory::new(1024 * 1024);
    let mut failed = span(2, 2, 1);
    failed.status = Status::Error;
    failed.name = "POST /pay".to_owned();
    store.append_spans(&resource("order"), &[span(1, 1, 0), span(2, 1, 0)]);
    store.append_spans(&resource("payment"), &[failed]);
    let count = |filter: TraceFilter| store.find_traces(&filter, 10, None).len();
    let text = |t: &str| Some(t.to_owned());
    assert_eq!(
        count(TraceFilter {
            service: text("payment"),
            ..TraceFilter::default()
        }),
        1
    );
    assert_eq!(
        count(TraceFilter {
            service: text("order"),
            ..TraceFilter::default()
        }),
        2
    );
    assert_eq!(
        count(TraceFilter {
            service: text("order"),
            operation: text("POST /pay"),
            ..TraceFilter::default()
        }),
        0,
        "the operation is the other service's"
    );
    assert_eq!(
        count(TraceFilter {
            error: Some(true),
            ..TraceFilter::default()
        }),
        1
    );
    assert_eq!(
        count(TraceFilter {
            error: Some(false),
            ..TraceFilter::default()
        }),
        1
    );
    let attribute = |k: &str, v: &str| vec![(k.to_owned(), v.to_owned())];
    assert_eq!(
        count(TraceFilter {
            attributes: attribute("url.path", "/api/orders/2/2"),
            ..TraceFilter::default()
        }),
        1
    );
    assert_eq!(
        count(TraceFilter {
            attributes: attribute("url.path", "/"),
            ..TraceFilter::default()
        }),
        0
    );
    assert_eq!(
        count(TraceFilter {
            min_ns: 499_999,
            ..TraceFilter::default()
        }),
        0
    );
    assert_eq!(
        count(TraceFilter {
            max_ns: Some(499_998),
            ..TraceFilter::default()
        }),
        2
    );
    let head = &store.find_traces(
        &TraceFilter {
            error: Some(true),
            ..TraceFilter::default()
        },
        1,
        None,
    )[0];
    assert_eq!(
        head.services,
        [("order".to_owned(), 1, 0), ("payment".to_owned(), 1, 1)]
    );
    assert_eq!(
        (head.service.as_str(), head.operation.as_str()),
        ("order", "GET /x")
    );
}

#[test]
fn a_trace_without_its_root_is_shown_by_its_earliest_span_until_the_root_comes() {
    let store = Memory::new(1024 * 1024);
    store.append_spans(&resource("payment"), &[span(1, 3, 2), span(1, 2, 1)]);
    let find = || store.find_traces(&TraceFilter::default(), 1, None).remove(0);
    assert_eq!((find().service.as_str(), find().start_ns), ("payment", 1_000_002));
    store.append_spans(&resource("gateway"), &[span(1, 1, 0)]);
    assert_eq!(
        (find().service.as_str(), find().start_ns, find().spans),
        ("gateway", 1_000_001, 3)
    );
}

#[test]
fn logs_are_found_by_trace_level_brick_and_text() {
    let store = Memory::new(1024 * 1024);
    let mut loud = log(7);
    loud.level = Level::Error;
    store.append_logs(&resource("order"), &[log(1), loud], &mut |_, _| ());
    store.append_logs(&resource("payment"), &[log(2)], &mut |_, _| ());
    let count = |filter: LogFilter| store.find_logs(&filter, 10, None).len();
    assert_eq!(count(LogFilter::default()), 3);
    assert_eq!(
        count(LogFilter {
            trace: Some(id(7)),
            ..LogFilter::default()
        }),
        1
    );
    assert_eq!(
        count(LogFilter {
            level: Some(Level::Warn),
            ..LogFilter::default()
        }),
        1
    );
    assert_eq!(
        count(LogFilter {
            brick: Some("payment".to_owned()),
            ..LogFilter::default()
        }),
        1
    );
    assert_eq!(
        count(LogFilter {
            instance: Some("order/1".to_owned()),
            ..LogFilter::default()
        }),
        2
    );
    assert_eq!(
        count(LogFilter {
            text: Some("ORDER 7".to_owned()),
            ..LogFilter::default()
        }),
        1
    );
    assert_eq!(
        count(LogFilter {
            text: Some("nowhere".to_owned()),
            ..LogFilter::default()
        }),
        0
    );
    assert_eq!(
        count(LogFilter {
            since_ns: 2,
            ..LogFilter::default()
        }),
        2
    );
}

#[test]
fn records_that_are_too_large_are_refused_and_counted() {
    let store = Memory::new(1024 * 1024);
    let mut large = log(1);
    large.message = "x".repeat(RECORD_BYTES_MAX + 1);
    let appended = store.append_logs(&resource("order"), &[large, log(2)], &mut |_, _| ());
    assert_eq!((appended.accepted, appended.refused), (1, 1));
    assert_eq!(store.usage().refused, 1);
}

#[test]
fn a_value_that_stands_still_costs_one_run_and_still_has_points() {
    let store = Memory::new(1024 * 1024);
    for tick in 0..100_u64 {
        let value = if tick < 50 { 1.0 } else { 2.0 };
        let samples = vec![sample(1, tick * 5_000, value)];
        store.append_samples(&MetricBatch {
            samples,
            ..MetricBatch::default()
        });
    }
    let before = store.usage().bytes;
    let series = store.series("hits_total", &[], 0, u64::MAX);
    assert_eq!(series[0].points.len(), 100);
    assert_eq!(series[0].points[99], (495_000, 2.0));
    assert!(before < 4_096, "{before} bytes");
    assert!(
        store.series("hits", &[], 0, u64::MAX).is_empty(),
        "a name is no prefix"
    );
}

#[test]
fn series_beyond_the_limit_are_refused_and_counted() {
    let store = Memory::new(4 * 1024 * 1024);
    let samples = (0..2_000).map(|s| sample(s, 1_000, 1.0)).collect();
    let appended = store.append_samples(&MetricBatch {
        samples,
        ..MetricBatch::default()
    });
    assert_eq!((appended.accepted, appended.refused), (1_638, 362));
    assert_eq!(store.usage().series, 1_638);
}

#[test]
fn a_record_from_a_clock_that_runs_ahead_is_refused_and_evicts_nothing() {
    let store = Memory::new(1024 * 1024);
    let far = 1 << 62;
    let ahead = Span {
        end_ns: far,
        ..span(1, 1, 0)
    };
    let from = resource("order");
    let keep = |samples| MetricBatch {
        samples,
        ..MetricBatch::default()
    };
    store.append_samples(&keep(vec![sample(1, 1_000, 1.0)]));
    let refused = store
        .append_spans(&from, &[ahead])
        .and(store.append_logs(&from, &[log(far)], &mut |_, _| ()))
        .and(store.append_samples(&keep(vec![sample(1, far / 1_000_000, 2.0)])));
    assert_eq!((refused.accepted, refused.refused), (0, 3));
    assert_eq!(
        store.series("hits_total", &[], 0, u64::MAX)[0].points,
        [(1_000, 1.0)]
    );
}

#[test]
fn log_records_get_ascending_ids_and_show_what_surrounds_them() {
    let store = Memory::new(1024 * 1024);
    let mut ids = Vec::new();
    for number in 0..1_000 {
        let from = if number % 2 == 0 { "order" } else { "payment" };
        store.append_logs(&resource(from), &[log(number)], &mut |id, _| ids.push(id));
    }
    assert!(ids.is_sorted_by(|a, b| a < b) && ids[0] > 1_600_000_000_000_000);
    let around = |id, before, after| -> Option<Vec<u64>> {
        let found = store.log_context(id, before, after)?;
        assert!(found.iter().all(|((time, id), _)| ids[*time as usize] == *id));
        Some(found.into_iter().map(|((time, _), _)| time).collect())
    };
    assert_eq!(around(ids[500], 2, 3).unwrap(), [496, 498, 500, 502, 504, 506]);
    assert_eq!(around(ids[1], 5, 1).unwrap(), [1, 3]);
    assert_eq!(around(ids[999], 1, 9).unwrap(), [997, 999]);
    assert_eq!(around(ids[0] - 1, 1, 1), None);
    assert_eq!(around(ids[999] + 1, 1, 1), None);
    let later = Memory::new(1024 * 1024);
    later.append_logs(&resource("order"), &[log(1)], &mut |id, _| {
        assert!(id > ids[0], "a later store begins later");
    });
}

#[test]
fn the_context_of_an_evicted_record_is_unknown() {
    let store = Memory::new(256 * 1024);
    let mut ids = Vec::new();
    for number in 0..10_000 {
        store.append_logs(&resource("order"), &[log(number)], &mut |id, _| ids.push(id));
    }
    assert_eq!(store.log_context(ids[0], 1, 1), None);
    let context = store.log_context(ids[9_999], 200, 200).unwrap();
    assert_eq!(context.len(), 201);
    assert_eq!(context.last().unwrap().0.1, ids[9_999]);
}

#[test]
fn facets_of_logs_count_what_matches() {
    let store = Memory::new(1024 * 1024);
    for number in 0..90 {
        let mut record = log(number);
        record.level = if number % 9 == 0 {
            Level::Error
        } else {
            Level::Info
        };
        store.append_logs(
            &resource(["a", "b", "b"][number as usize % 3]),
            &[record],
            &mut |_, _| (),
        );
    }
    let facets = store.log_facets(&LogFilter::default(), 50);
    let pairs = |found: &[(String, u64)]| found.to_vec();
    assert_eq!(
        pairs(&facets.bricks),
        [("b".to_owned(), 60), ("a".to_owned(), 30)]
    );
    assert_eq!(
        pairs(&facets.levels),
        [("info".to_owned(), 80), ("error".to_owned(), 10)]
    );
    assert_eq!(pairs(&facets.versions), [("v1".to_owned(), 90)]);
    let filter = LogFilter {
        brick: Some("a".to_owned()),
        text: Some("order 3".to_owned()),
        until_ns: Some(39),
        ..LogFilter::default()
    };
    let facets = store.log_facets(&filter, 50);
    assert_eq!(pairs(&facets.instances), [("a/1".to_owned(), 4)], "3, 30, 33, 36");
    assert_eq!(store.log_facets(&LogFilter::default(), 1).bricks.len(), 1);
}

#[test]
fn facets_of_traces_count_each_trace_once_and_know_its_failures() {
    let store = Memory::new(1024 * 1024);
    for trace in 0..10 {
        store.append_spans(&resource("gateway"), &[span(trace, 1, 0)]);
        let mut inner = span(trace, 2, 1);
        inner.name = "POST /orders".to_owned();
        if trace % 5 == 0 {
            inner.status = Status::Error;
        }
        let mut query = span(trace, 3, 2);
        query.kind = Kind::Internal;
        query.name = "SELECT".to_owned();
        store.append_spans(&resource("order"), &[inner, query]);
    }
    let share = |value: &str, count, errors| crate::store::TraceShare {
        value: value.to_owned(),
        count,
        errors,
    };
    let facets = store.trace_facets(&TraceFilter::default(), 50);
    assert_eq!(facets.services, [share("gateway", 10, 0), share("order", 10, 2)]);
    assert_eq!(
        facets.operations,
        [share("GET /x", 10, 0), share("POST /orders", 10, 2)]
    );
    assert_eq!((facets.ok, facets.failed), (8, 2));
    let filter = TraceFilter {
        service: Some("order".to_owned()),
        error: Some(true),
        ..TraceFilter::default()
    };
    let facets = store.trace_facets(&filter, 50);
    assert_eq!(facets.operations, [share("POST /orders", 2, 2)]);
    assert_eq!((facets.ok, facets.failed), (0, 2));
    let mut shapes = 0;
    store.each_trace(&filter, &mut |shape| shapes += u64::from(shape.error));
    assert_eq!(shapes, 2);
}

#[test]
fn traffic_of_test_suites_is_kept_apart_and_named() {
    let store = Memory::new(1024 * 1024);
    store.append_spans(&resource("gateway"), &[span(1, 1, 0)]);
    let mut made = span(2, 2, 1);
    made.attributes
        .push(("brick.synthetic".to_owned(), Value::Text("smoke".to_owned())));
    store.append_spans(&resource("order"), &[made]);
    store.append_spans(&resource("gateway"), &[span(2, 1, 0)]);
    let suites = |synthetic| -> Vec<Option<String>> {
        let filter = TraceFilter {
            synthetic,
            ..TraceFilter::default()
        };
        let heads = store.find_traces(&filter, 10, None);
        heads.into_iter().map(|head| head.synthetic).collect()
    };
    assert_eq!(suites(Synthetic::With), [Some("smoke".to_owned()), None]);
    assert_eq!(suites(Synthetic::Without), [None]);
    assert_eq!(suites(Synthetic::Only), [Some("smoke".to_owned())]);
}

#[test]
fn three_hundred_instances_of_sixty_series_fit_into_the_default_cap() {
    let store = Memory::new(crate::service::BYTES_MAX);
    for round in 0..3 {
        for instance in 0..300 {
            let samples = (0..60)
                .map(|series| {
                    sample(
                        instance * 60 + series,
                        1_000 + round * 5_000,
                        (round * series) as f64,
                    )
                })
                .collect();
            store.append_samples(&MetricBatch {
                samples,
                ..MetricBatch::default()
            });
        }
    }
    let usage = store.usage();
    assert_eq!(
        (usage.series, usage.refused, usage.evicted_points),
        (18_000, 0, 0),
        "{usage:?}"
    );
}
