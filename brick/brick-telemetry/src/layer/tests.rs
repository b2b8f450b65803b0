use tracing::{Instrument as _, error, info, info_span, warn};

use crate::context::{self, SpanContext};
use crate::span::{Kind, Status, Value};
use crate::{LogTarget, Options, Telemetry};

fn telemetry(filter: &str) -> Telemetry {
    let options = Options {
        log: LogTarget::Memory,
        filter: filter.to_owned(),
        ..Options::default()
    };
    Telemetry::new(options).0
}

fn told<T>(telemetry: &Telemetry, f: impl FnOnce() -> T) -> T {
    tracing::subscriber::with_default(telemetry.subscriber(), f)
}

#[test]
fn spans_nest_and_carry_their_fields() {
    let telemetry = telemetry("info");
    told(&telemetry, || {
        let outer = info_span!(
            "outer",
            otel.name = "POST /orders",
            otel.kind = "server",
            http.response.status_code = tracing::field::Empty
        );
        let _entered = outer.enter();
        info_span!("inner", otel.status_code = "error", lines = 3_u64).in_scope(|| ());
        outer.record("http.response.status_code", 201);
    });
    let spans = telemetry.finished_spans();
    let [inner, outer] = spans.as_slice() else {
        panic!("{spans:?}")
    };
    assert_eq!(
        (outer.name.as_ref(), outer.kind, outer.parent),
        ("POST /orders", Kind::Server, None)
    );
    assert_eq!(
        outer.attribute("http.response.status_code"),
        Some(&Value::Int(201))
    );
    assert_eq!(inner.parent, Some(outer.context.span_id));
    assert_eq!(inner.context.trace_id, outer.context.trace_id);
    assert_eq!(inner.status, Status::Error("".into()));
    assert_eq!(inner.attribute("lines"), Some(&Value::Int(3)));
    assert!(outer.start_unix_ns <= inner.start_unix_ns && inner.end_unix_ns <= outer.end_unix_ns);
}

#[test]
fn a_root_span_joins_the_trace_that_came_in() {
    let telemetry = telemetry("info");
    let remote = SpanContext::root();
    told(&telemetry, || {
        context::with_remote_parent(Some(remote), || info_span!("in")).in_scope(|| {
            let here = context::current().unwrap();
            assert_eq!(here.trace_id, remote.trace_id);
        });
        assert_eq!(context::current(), None);
        info_span!("alone").in_scope(|| ());
    });
    let spans = telemetry.finished_spans();
    assert_eq!(spans[0].parent, Some(remote.span_id));
    assert_eq!(spans[1].parent, None);
    assert_ne!(spans[1].context.trace_id, remote.trace_id);
}

#[test]
fn a_trace_that_is_not_sampled_is_logged_but_not_recorded() {
    let telemetry = telemetry("info");
    let remote = SpanContext {
        sampled: false,
        ..SpanContext::root()
    };
    told(&telemetry, || {
        let span = context::with_remote_parent(Some(remote), || info_span!("in"));
        span.in_scope(|| info!("here"));
    });
    assert!(telemetry.finished_spans().is_empty());
    assert!(telemetry.log_lines()[0].contains(&remote.trace_id.to_string()));
}

#[test]
fn warnings_become_span_events_whatever_is_logged() {
    let telemetry = telemetry("error");
    told(&telemetry, || {
        info_span!("work").in_scope(|| {
            info!("not told");
            warn!(left = 2, token = "hunter2", "low");
            error!("broken");
        });
    });
    let spans = telemetry.finished_spans();
    let names: Vec<&str> = spans[0].events.iter().map(|e| e.name.as_ref()).collect();
    assert_eq!(names, ["low", "broken"]);
    let attributes = &spans[0].events[0].attributes;
    assert!(attributes.contains(&("left".into(), Value::Int(2))));
    assert!(attributes.contains(&("token".into(), "[redacted]".into())));
    assert_eq!(telemetry.log_lines().len(), 1);
}

#[test]
fn the_filter_is_about_lines_not_about_spans() {
    let telemetry = telemetry("warn,loud=debug");
    told(&telemetry, || {
        info_span!("kept").in_scope(|| {
            info!("quiet");
            tracing::debug!(target: "loud", "heard");
            tracing::debug_span!("too fine").in_scope(|| ());
        });
    });
    let lines = telemetry.log_lines();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].contains("\"heard\"") && lines[0].contains("span_id"));
    assert_eq!(telemetry.finished_spans().len(), 1);
}

#[test]
fn attributes_are_bounded_and_secrets_redacted() {
    let telemetry = telemetry("info");
    told(&telemetry, || {
        info_span!("big", text = "x".repeat(10_000), password = "hunter2", key = 7).in_scope(|| ());
    });
    let spans = telemetry.finished_spans();
    assert_eq!(
        spans[0].attribute("text").unwrap().as_str().map(str::len),
        Some(4096)
    );
    assert_eq!(spans[0].attribute("password"), Some(&"[redacted]".into()));
}

#[tokio::test]
async fn the_context_follows_a_future() {
    let telemetry = telemetry("info");
    let _guard = tracing::subscriber::set_default(telemetry.subscriber());
    let span = info_span!("task");
    let inside = async {
        tokio::task::yield_now().await;
        context::current()
    };
    assert!(inside.instrument(span).await.is_some());
    assert_eq!(context::current(), None);
}

#[test]
fn a_span_ends_when_told_though_others_hold_it() {
    let telemetry = telemetry("info");
    told(&telemetry, || {
        let span = info_span!("request", status = tracing::field::Empty);
        let held = span.clone();
        span.record("status", 200);
        crate::span::end(&span);
        assert_eq!(telemetry.finished_spans().len(), 1);
        held.in_scope(|| {
            warn!("late");
            info_span!("after").in_scope(|| ());
        });
        held.record("status", 500);
        crate::span::end(&held);
    });
    let spans = telemetry.finished_spans();
    let [request, after] = spans.as_slice() else {
        panic!("{spans:?}")
    };
    assert_eq!(request.attribute("status"), Some(&Value::Int(200)));
    assert!(request.events.is_empty(), "what comes late is no part of it");
    assert_eq!(after.parent, Some(request.context.span_id));
    assert!(after.start_unix_ns >= request.end_unix_ns);
    assert!(telemetry.log_lines()[0].contains(&request.context.trace_id.to_string()));
}

#[test]
fn what_a_test_suite_causes_is_marked_all_the_way_down() {
    let telemetry = telemetry("info");
    told(&telemetry, || {
        let outer = info_span!("outer", brick.synthetic = tracing::field::Empty);
        outer.record("brick.synthetic", "smoke");
        outer.in_scope(|| {
            info_span!("inner").in_scope(|| info_span!("innermost").in_scope(|| info!("here")));
        });
        drop(outer);
        info_span!("real").in_scope(|| info!("there"));
    });
    let suites: Vec<_> = telemetry
        .finished_spans()
        .iter()
        .map(|span| (span.name.to_string(), span.attribute("brick.synthetic").cloned()))
        .collect();
    let smoke = Some(Value::from("smoke"));
    assert_eq!(
        suites,
        [
            ("innermost".to_owned(), smoke.clone()),
            ("inner".to_owned(), smoke.clone()),
            ("outer".to_owned(), smoke),
            ("real".to_owned(), None),
        ]
    );
    let lines = telemetry.log_lines();
    assert!(lines[0].contains(r#""synthetic":"smoke""#), "{lines:?}");
    assert!(!lines[1].contains("synthetic"), "{lines:?}");
}
