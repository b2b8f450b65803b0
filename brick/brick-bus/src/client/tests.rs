//! The client against a control made up for the test, over real sockets.

use std::collections::VecDeque;
use std::sync::Mutex;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State as Shared};
use axum::response::Response;
use axum::routing::{get, post};
use bytes::Bytes;
use futures_util::stream;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::*;
use crate::{Resource, Source, State};

/// `Last-Event-ID`, `Authorization` and query of a watch.
type Asked = (Option<String>, Option<String>, String);

/// Answers each watch with the next script and remembers what was asked.
#[derive(Default)]
struct Script {
    streams: Mutex<VecDeque<Vec<Bytes>>>,
    asked: Mutex<Vec<Asked>>,
    acks: Mutex<Vec<Value>>,
}

fn header(request: &Request, name: &str) -> Option<String> {
    let value = request.headers().get(name)?.to_str().ok()?;
    Some(value.to_owned())
}

async fn watch(Shared(script): Shared<Arc<Script>>, request: Request) -> Response {
    let asked = (
        header(&request, "last-event-id"),
        header(&request, "authorization"),
        request.uri().query().unwrap_or_default().to_owned(),
    );
    script.asked.lock().unwrap().push(asked);
    let next = script.streams.lock().unwrap().pop_front();
    let body = match next {
        Some(chunks) => Body::from_stream(stream::iter(chunks.into_iter().map(Ok::<_, std::io::Error>))),
        None => Body::from_stream(stream::pending::<Result<Bytes, std::io::Error>>()),
    };
    Response::new(body)
}

async fn serve(script: Arc<Script>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let take = |Shared(script): Shared<Arc<Script>>, body: axum::Json<Value>| async move {
        script.acks.lock().unwrap().push(body.0);
    };
    let router = Router::new()
        .route("/bus/v1/watch", get(watch))
        .route("/bus/v1/acks", post(take))
        .with_state(script);
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

fn options(control_url: String) -> Options {
    Options {
        control_url,
        resources: vec!["config/order".to_owned(), "limits/order->*".to_owned()],
        snapshot: None,
        token: Arc::new(|| Some("t0ken".to_owned())),
        incarnation: Incarnation::new(),
    }
}

fn event(id: &str, change: &Change) -> Bytes {
    sse::encode(id, change.event(), &change.data().unwrap())
}

fn config(revision: u64) -> Resource {
    Resource {
        name: "config/order".to_owned(),
        revision,
        value: json!({ "max_lines": revision }),
    }
}

async fn until(watch: &mut Watch, reached: impl Fn(&State) -> bool) -> Arc<State> {
    let wait = async {
        while !reached(&watch.state()) {
            watch.changed().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), wait)
        .await
        .expect("the state was reached in time");
    watch.state()
}

#[tokio::test]
async fn a_lost_stream_is_resumed_where_it_stopped() {
    let script = Arc::new(Script::default());
    script.streams.lock().unwrap().extend([
        vec![
            event("e1-1", &Change::Snapshot(vec![config(1)])),
            event("e1-2", &Change::Put(config(2))),
        ],
        vec![event("e1-3", &Change::Put(config(3)))],
    ]);
    let (service, mut watch) = Service::new(options(serve(Arc::clone(&script)).await));
    let (trigger, drain) = brick_core::drain::channel();
    let task = tokio::spawn(service.run(drain));
    let state = until(&mut watch, |state| state.revision() == 3).await;
    assert_eq!(state.resources["config/order"].value["max_lines"], 3);
    assert_eq!(state.source, Source::Live);
    trigger.drain();
    task.await.unwrap();
    let asked = script.asked.lock().unwrap();
    let bearer = Some("Bearer t0ken".to_owned());
    let query = "resource=config%2Forder&resource=limits%2Forder-%3E%2A".to_owned();
    assert_eq!(asked[0], (None, bearer.clone(), query.clone()));
    assert_eq!(asked[1], (Some("e1-2".to_owned()), bearer, query));
}

#[tokio::test]
async fn a_reset_replaces_everything_held() {
    let script = Arc::new(Script::default());
    let other = Resource {
        name: "limits/order->payment".to_owned(),
        revision: 1,
        value: json!({}),
    };
    script.streams.lock().unwrap().extend([
        vec![event("e1-9", &Change::Snapshot(vec![config(1), other]))],
        vec![
            event(
                "",
                &Change::Reset {
                    reason: "unknown epoch".to_owned(),
                },
            ),
            event("e2-4", &Change::Snapshot(vec![config(4)])),
        ],
    ]);
    let (service, mut watch) = Service::new(options(serve(Arc::clone(&script)).await));
    tokio::spawn(service.run(Drain::never()));
    let state = until(&mut watch, |state| state.revision() == 4).await;
    assert_eq!(state.resources.len(), 1);
    assert_eq!(state.cursor.as_ref().unwrap().epoch, "e2");
}

#[tokio::test]
async fn the_snapshot_serves_while_control_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let script = Arc::new(Script::default());
    script
        .streams
        .lock()
        .unwrap()
        .push_back(vec![event("e1-1", &Change::Snapshot(vec![config(1)]))]);
    let mut options = options(serve(Arc::clone(&script)).await);
    options.snapshot = Some(folder.path().join("order.json"));
    let (service, mut watch) = Service::new(options.clone());
    assert_eq!(watch.state().source, Source::Empty);
    let (trigger, drain) = brick_core::drain::channel();
    let task = tokio::spawn(service.run(drain));
    until(&mut watch, |state| state.revision() == 1).await;
    trigger.drain();
    task.await.unwrap();

    options.control_url = "http://127.0.0.1:1".to_owned();
    let (service, watch) = Service::new(options);
    tokio::spawn(service.run(Drain::never()));
    let state = watch.state();
    assert_eq!((state.source, state.revision()), (Source::Snapshot, 1));
    assert_eq!(watch.get("config/order").unwrap().value["max_lines"], 1);
}

#[tokio::test]
async fn acknowledgements_go_out_together_the_newest_of_each_resource() {
    let script = Arc::new(Script::default());
    let (service, watch) = Service::new(options(serve(Arc::clone(&script)).await));
    let (trigger, drain) = brick_core::drain::channel();
    let task = tokio::spawn(service.run(drain));
    watch.acknowledge("config/order", 1, None);
    watch.acknowledge("config/order", 2, Some("max_lines: expected a number".to_owned()));
    watch.acknowledge("limits/order->payment", 2, None);
    watch.acknowledge("endpoints/product", 2, None);
    trigger.drain();
    task.await.unwrap();
    let posted = script.acks.lock().unwrap();
    assert_eq!(posted.len(), 1);
    let acks = posted[0]["acks"].as_array().unwrap();
    assert_eq!(acks.len(), 2);
    assert_eq!(
        (&acks[0]["revision"], &acks[1]["name"]),
        (&json!(2), &json!("limits/order->payment"))
    );
    assert_eq!(watch.stats().acks_sent, 2);
}

#[tokio::test]
async fn acknowledgements_that_control_cannot_take_wait_and_those_beyond_the_bound_are_counted() {
    let (service, watch) = Service::new(options("http://127.0.0.1:1".to_owned()));
    for index in 0..1_027 {
        watch.acknowledge(&format!("config/b{index}"), 1, None);
    }
    assert_eq!(watch.stats().acks_dropped, 3);
    let (trigger, drain) = brick_core::drain::channel();
    trigger.drain();
    service.run(drain).await;
    assert_eq!((watch.stats().acks_sent, watch.stats().acks_dropped), (0, 3));
}
