//! The bus end to end: control, real sockets, the streaming client.

use brick_bus::Source;
use brick_core::Incarnation;
use brick_wire::sse;
use http::{HeaderName, Method};
use serde_json::{Value, json};

use super::harness::{Control, control, control_with, eventually, subscribe};

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// Reads events of one raw stream until one with `revision` came.
async fn raw(
    control: &Control,
    token: &str,
    query: &str,
    from: Option<&str>,
    revision: u64,
) -> Vec<sse::Event> {
    let mut call = control
        .http
        .get(format!("{}/bus/v1/watch{query}", control.url))
        .bearer(token);
    if let Some(from) = from {
        call = call.header(LAST_EVENT_ID, from);
    }
    let mut stream = call.stream().await.unwrap();
    let (mut parser, mut events) = (sse::Parser::default(), Vec::new());
    while let Some(piece) = stream.chunk().await.unwrap() {
        events.extend(parser.feed(&piece).unwrap());
        let last = events.last().map_or("", |event: &sse::Event| event.id.as_str());
        if last
            .rsplit_once('-')
            .is_some_and(|(_, at)| at.parse::<u64>().unwrap_or(0) >= revision)
        {
            return events;
        }
    }
    panic!("the stream ended before revision {revision}: {events:?}");
}

#[tokio::test]
async fn a_brick_sees_its_own_and_what_it_needs_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let control = control(folder.path()).await;
    control.manifest().await;
    let seen = async |brick: &str, scopes: &[&str]| {
        let mut subscriber = subscribe(&control.url, control.process(brick, scopes), &["*"], None);
        subscriber
            .until("a snapshot", |state| {
                state.source == Source::Live && state.cursor.is_some()
            })
            .await;
        let names: Vec<String> = subscriber.watch.state().resources.keys().cloned().collect();
        subscriber.stop().await;
        names
    };
    assert_eq!(
        seen("order", &["bus", "call:payment"]).await,
        [
            "config/order",
            "endpoints/order",
            "endpoints/payment",
            "limits/order->payment",
            "trust/bundle"
        ]
    );
    assert_eq!(
        seen("gateway", &["bus", "call:*"]).await,
        [
            "edge/settings",
            "endpoints/customer",
            "endpoints/order",
            "endpoints/payment",
            "limits/edge->order",
            "routes/edge",
            "trust/bundle"
        ]
    );
    let (plain, _) = control.process("order", &["call:payment"]);
    let refused = control.call(Method::GET, "/bus/v1/watch", &plain, None).await;
    assert_eq!(refused.status, 403);
    let nobody = control
        .http
        .get(format!("{}/bus/v1/watch", control.url))
        .send()
        .await
        .unwrap();
    assert_eq!(nobody.status, 401);
}

#[tokio::test]
async fn a_stream_resumed_by_hand_tells_what_was_missed_once_and_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let control = control(folder.path()).await;
    control.manifest().await;
    let (token, _) = control.process("telemetry", &["bus", "call:*"]);
    let query = "?resource=endpoints/*";
    let start = raw(&control, &token, query, None, control.handle.revision()).await;
    assert_eq!((start.len(), start[0].event.as_str()), (1, "snapshot"));
    let at = control.handle.revision();
    for slot in 1..=5 {
        assert!(
            control
                .register("order", slot, Incarnation::new(), json!({}))
                .await
                .status
                .is_success()
        );
    }
    let missed = raw(&control, &token, query, Some(&start[0].id), at + 5).await;
    let counts: Vec<usize> = missed
        .iter()
        .map(|event| {
            let data: Value = serde_json::from_str(&event.data).unwrap();
            data["value"]["instances"].as_array().unwrap().len()
        })
        .collect();
    assert_eq!(counts, [1, 2, 3, 4, 5]);
    for (id, reason) in [("other-3", "unknown epoch"), ("garbage", "unknown epoch")] {
        let reset = raw(&control, &token, query, Some(id), at + 5).await;
        assert_eq!(
            (reset[0].event.as_str(), reset[1].event.as_str()),
            ("reset", "snapshot")
        );
        assert!(reset[0].data.contains(reason));
    }
    let other_view = raw(&control, &token, "", Some(&missed[4].id), at + 5).await;
    assert_eq!(other_view[0].event, "reset");
}

#[tokio::test]
async fn clients_follow_through_the_death_of_control_and_are_told_what_they_missed() {
    let folder = tempfile::tempdir().unwrap();
    let first = control(folder.path()).await;
    first.manifest().await;
    let addr = first.addr();
    let mut subscriber = subscribe(
        &first.url,
        first.process("telemetry", &["bus", "call:*"]),
        &["endpoints/*"],
        None,
    );
    first.register("order", 1, Incarnation::new(), json!({})).await;
    subscriber.until("order/1", |state| state.revision() > 0).await;
    let (revision, epoch) = (
        first.handle.revision(),
        subscriber.watch.state().cursor.clone().unwrap().epoch,
    );
    first.kill().await;
    assert_eq!(subscriber.watch.state().source, Source::Live);

    let second = control_with(folder.path(), |_| {}, addr).await;
    assert_eq!(second.handle.revision(), revision);
    second.register("order", 2, Incarnation::new(), json!({})).await;
    subscriber
        .until("order/2", |state| state.revision() == revision + 1)
        .await;
    assert_eq!(subscriber.endpoints("order"), 2);
    assert_eq!(subscriber.watch.state().cursor.clone().unwrap().epoch, epoch);
    subscriber.stop().await;
}

#[tokio::test]
async fn the_snapshot_on_disk_serves_when_control_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let control = control(folder.path()).await;
    control.manifest().await;
    control
        .register("payment", 1, Incarnation::new(), json!({}))
        .await;
    let file = folder.path().join("snapshots/order.json");
    let who = control.process("order", &["bus", "call:payment"]);
    let patterns = ["endpoints/payment", "config/order"];
    let mut subscriber = subscribe(&control.url, who.clone(), &patterns, Some(&file));
    subscriber
        .until("payment/1", |state| state.resources.len() == 2)
        .await;
    subscriber.stop().await;
    let url = control.url.clone();
    control.kill().await;

    let subscriber = subscribe(&url, who, &patterns, Some(&file));
    assert_eq!(subscriber.watch.state().source, Source::Snapshot);
    assert_eq!(subscriber.endpoints("payment"), 1);
    assert_eq!(
        subscriber.watch.get("config/order").unwrap().value["max_lines"],
        50
    );
    subscriber.stop().await;
}

#[tokio::test]
async fn acknowledgements_arrive_and_are_listed() {
    let folder = tempfile::tempdir().unwrap();
    let control = control(folder.path()).await;
    control.manifest().await;
    let mut subscriber = subscribe(
        &control.url,
        control.process("order", &["bus", "call:payment"]),
        &["config/order"],
        None,
    );
    subscriber
        .until("config", |state| state.resources.contains_key("config/order"))
        .await;
    let revision = subscriber.watch.get("config/order").unwrap().revision;
    subscriber
        .watch
        .acknowledge("config/order", revision, Some("max_lines: too many".to_owned()));
    subscriber.watch.acknowledge("config/payment", 1, None);
    eventually("the acknowledgement was taken", async || {
        subscriber.watch.stats().acks_sent == 2
    })
    .await;

    let agent = control.agent().await;
    let list = async |name: &str| {
        let path = format!("/bus/v1/acks?name={name}");
        control
            .call(Method::GET, &path, &agent, None)
            .await
            .json::<Value>()
            .unwrap()
    };
    let listed = list("config/order").await;
    assert_eq!(
        (
            listed["revision"].as_u64(),
            listed["items"][0]["revision"].as_u64()
        ),
        (Some(revision), Some(revision))
    );
    assert_eq!(listed["items"][0]["refused"], "max_lines: too many");
    assert_eq!(
        listed["items"][0]["incarnation"],
        subscriber.incarnation.to_string()
    );
    assert_eq!(
        list("config/payment").await["items"],
        json!([]),
        "it is out of the token's sight"
    );

    let (token, _) = control.process("order", &["bus"]);
    let foreign =
        json!({ "acks": [{ "name": "config/order", "revision": 1, "incarnation": Incarnation::new() }] });
    let refused = control
        .call(Method::POST, "/bus/v1/acks", &token, Some(foreign))
        .await;
    assert_eq!(refused.status, 403);
    subscriber.stop().await;
}

#[tokio::test]
async fn a_hundred_subscribers_hear_of_a_change() {
    let folder = tempfile::tempdir().unwrap();
    let control = control(folder.path()).await;
    control.manifest().await;
    let mut subscribers: Vec<_> = (0..100)
        .map(|_| {
            subscribe(
                &control.url,
                control.process("order", &["bus", "call:payment"]),
                &["endpoints/payment"],
                None,
            )
        })
        .collect();
    for subscriber in &mut subscribers {
        subscriber
            .until("a snapshot", |state| !state.resources.is_empty())
            .await;
    }
    assert_eq!(control.handle.subscribers(), 100);
    let begun = std::time::Instant::now();
    control
        .register("payment", 1, Incarnation::new(), json!({}))
        .await;
    let target = control.handle.revision();
    for subscriber in &mut subscribers {
        subscriber
            .until("payment/1", |state| state.revision() == target)
            .await;
    }
    println!(
        "a change reached 100 subscribers {:?} after its registration began",
        begun.elapsed()
    );
    let metrics = control.telemetry.metrics().encode();
    assert!(metrics.contains("brick_bus_subscribers 100"), "{metrics}");
    control.stop().await;
}
