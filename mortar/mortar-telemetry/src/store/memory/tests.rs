use super::*;
use crate::record::{Kind, Level, Sample, Status, Value};
use crate::store::{LogFilter, TraceFilter};

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
        store.append_logs(&from, &[log(trace), log(trace + 1)]);
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
        store.append_logs(&from, &[log(number)]);
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
    store.append_logs(&resource("order"), &[log(1), loud]);
    store.append_logs(&resource("payment"), &[log(2)]);
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
    let appended = store.append_logs(&resource("order"), &[large, log(2)]);
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
    let store = Memory::new(64 * 1024 * 1024);
    let samples = (0..10_050).map(|s| sample(s, 1_000, 1.0)).collect();
    let appended = store.append_samples(&MetricBatch {
        samples,
        ..MetricBatch::default()
    });
    assert_eq!((appended.accepted, appended.refused), (10_000, 50));
    assert_eq!(store.usage().series, 10_000);
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
        .and(store.append_logs(&from, &[log(far)]))
        .and(store.append_samples(&keep(vec![sample(1, far / 1_000_000, 2.0)])));
    assert_eq!((refused.accepted, refused.refused), (0, 3));
    assert_eq!(
        store.series("hits_total", &[], 0, u64::MAX)[0].points,
        [(1_000, 1.0)]
    );
}
