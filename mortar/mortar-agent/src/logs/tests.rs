//! Output end to end: children's files, ring, shipping, and what a restart of the agent must not lose.

use std::sync::Mutex as StdMutex;
use std::sync::atomic::AtomicBool;

use axum::Router;
use axum::routing::post;
use bytes::Bytes;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use prost::Message as _;

use super::offsets::Offsets;
use super::ship::Shipping;
use super::*;
use crate::board::Role;
use crate::events::Events;

type Bodies = Arc<StdMutex<Vec<String>>>;

/// A telemetry that refuses until it is opened, then keeps the bodies of all records.
async fn telemetry(open: Arc<AtomicBool>) -> (String, Bodies) {
    let seen = Bodies::default();
    let kept = seen.clone();
    let handler = move |body: Bytes| async move {
        if !open.load(Ordering::Relaxed) {
            return http::StatusCode::SERVICE_UNAVAILABLE;
        }
        let request = ExportLogsServiceRequest::decode(body).unwrap();
        let mut seen = kept.lock().unwrap();
        for logs in request.resource_logs {
            for record in logs.scope_logs.into_iter().flat_map(|s| s.log_records) {
                assert!(record.attributes.iter().any(|a| a.key == "log.file.offset"));
                if let Some(value) = record.body.and_then(|b| b.value) {
                    let opentelemetry_proto::tonic::common::v1::any_value::Value::StringValue(text) = value
                    else {
                        panic!("a body is text");
                    };
                    seen.push(text);
                }
            }
        }
        http::StatusCode::OK
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/v1/logs", listener.local_addr().unwrap());
    let app = Router::new().route("/v1/logs", post(handler));
    tokio::spawn(async move { axum::serve(listener, app).await });
    (url, seen)
}

fn shipping(dir: &Path, url: &str) -> Shipping {
    Shipping {
        logs: Logs::new(1 << 20),
        offsets: Offsets::load(dir.join("offsets.json")),
        events: Events::new(),
        client: brick_wire::Client::new(),
        url: url.to_owned(),
        system: "shop".to_owned(),
        revision: String::new(),
        retain_bytes: 0,
        backlog_bytes_max: 1 << 30,
        disk_full: Arc::default(),
    }
}

fn source(dir: &Path) -> Source {
    Source {
        slot: Slot {
            version: None,
            role: Role::Brick,
            brick: "order".parse().unwrap(),
            number: 1,
        },
        version: brick_core::Version::default(),
        path: dir.join("order.1.log"),
    }
}

async fn until(what: &str, met: impl Fn() -> bool) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    while !met() {
        assert!(tokio::time::Instant::now() < deadline, "{what}");
        tokio::time::timeout(Duration::from_millis(10), std::future::pending::<()>())
            .await
            .unwrap_err();
    }
}

#[tokio::test]
async fn no_line_is_lost_over_a_killed_shipper_and_a_refusing_telemetry() {
    let dir = tempfile::tempdir().unwrap();
    let open = Arc::new(AtomicBool::new(false));
    let (url, seen) = telemetry(open.clone()).await;
    let (mut file, _) = open_for_append(&dir.path().join("order.1.log")).unwrap();
    writeln!(file, "line 0").unwrap();
    let start = || {
        let run = ship::run(
            shipping(dir.path(), &url),
            source(dir.path()),
            "a".to_owned(),
            Drain::never(),
        );
        tokio::spawn(run)
    };
    let first = start();
    open.store(true, Ordering::Relaxed);
    until("the first line", || seen.lock().unwrap().len() == 1).await;
    first.abort();
    let _ = first.await;
    for n in 1..1500 {
        writeln!(file, "line {n}").unwrap();
    }
    let second = start();
    until("the rest", || seen.lock().unwrap().len() >= 1500).await;
    second.abort();
    let mut lines = seen.lock().unwrap().clone();
    lines.dedup();
    let expect: Vec<String> = (0..1500).map(|n| format!("line {n}")).collect();
    assert_eq!(lines, expect);
}

#[tokio::test]
async fn shipped_ranges_are_given_back_and_the_backlog_is_bounded() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("order.1.log");
    let (mut file, _) = open_for_append(&path).unwrap();
    let line = "x".repeat(999);
    for _ in 0..8 * 1024 {
        writeln!(file, "{line}").unwrap();
    }
    let (url, seen) = telemetry(Arc::new(AtomicBool::new(true))).await;
    let mut shared = shipping(dir.path(), &url);
    shared.backlog_bytes_max = 4 << 20;
    let logs = shared.logs.clone();
    let events = shared.events.clone();
    let task = tokio::spawn(ship::run(
        shared,
        source(dir.path()),
        "a".to_owned(),
        Drain::never(),
    ));
    until("everything is shipped", || {
        !seen.lock().unwrap().is_empty() && {
            use std::os::unix::fs::MetadataExt as _;
            std::fs::metadata(&path).unwrap().blocks() * 512 < 3 << 20
        }
    })
    .await;
    task.abort();
    assert!(logs.counters().1 >= 4 << 20);
    assert_eq!(events.past().len(), 1);
}

#[tokio::test]
async fn the_ring_shows_lines_as_they_come_and_the_end_at_a_drain() {
    let dir = tempfile::tempdir().unwrap();
    let source = source(dir.path());
    let (mut file, at) = open_for_append(&source.path).unwrap();
    assert_eq!(at, 0);
    write!(file, "never ended").unwrap();
    let (mut file, at) = open_for_append(&source.path).unwrap();
    assert_eq!(at, 12);
    let logs = Logs::new(1 << 20);
    let mut live = logs.follow();
    let (trigger, drain) = brick_core::drain::channel();
    let tail = tokio::spawn({
        let (logs, source) = (logs.clone(), source.clone());
        async move { logs.tail(source, drain).await }
    });
    assert_eq!(live.recv().await.unwrap().msg, "never ended");
    writeln!(file, r#"{{"level":"error","msg":"second"}}"#).unwrap();
    let second = live.recv().await.unwrap();
    assert_eq!((second.level.as_str(), second.msg.as_str()), ("error", "second"));
    writeln!(file, "third").unwrap();
    trigger.drain();
    tail.await.unwrap();
    assert_eq!(last_written(&source.path, 0, 1), ["third"]);
    assert_eq!(last_written(&source.path, 12, 9).len(), 2);
    assert_eq!(logs.lines(|slot| slot.brick.as_str() == "order").len(), 3);
}

#[tokio::test]
async fn lines_written_while_no_agent_ran_are_no_younger_than_their_file() {
    let dir = tempfile::tempdir().unwrap();
    let source = source(dir.path());
    let (mut file, _) = open_for_append(&source.path).unwrap();
    let dated = r#"{"ts":"2026-01-02T03:04:05Z","msg":"dated"}"#;
    writeln!(file, "plain\n{dated}").unwrap();
    let changed: jiff::Timestamp = "2026-02-03T04:05:06Z".parse().unwrap();
    file.set_modified(changed.into()).unwrap();
    let logs = Logs::new(1 << 20);
    let mut live = logs.follow();
    let began = jiff::Timestamp::now();
    let task = tokio::spawn({
        let (logs, source) = (logs.clone(), source.clone());
        async move { logs.tail(source, Drain::never()).await }
    });
    assert_eq!(live.recv().await.unwrap().ts, changed);
    assert_eq!(
        live.recv().await.unwrap().ts,
        "2026-01-02T03:04:05Z".parse().unwrap()
    );
    writeln!(file, "new").unwrap();
    assert!(live.recv().await.unwrap().ts >= began);
    task.abort();
}
