use std::sync::atomic::AtomicUsize;

use axum::Router;
use axum::routing::get;
use futures_util::SinkExt as _;
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{Error as WsError, Message as Sent};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use super::*;
use crate::{Console, Options};

/// Everything that a tab meets: a console, and one server that stands for control and telemetry.
struct World {
    console: Console,
    address: String,
    asked: Arc<AtomicUsize>,
}

struct Client(WebSocketStream<MaybeTlsStream<TcpStream>>);

async fn serve(router: Router) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

/// A server whose graph differs with every question and that wants the operator's token.
fn upstream(asked: Arc<AtomicUsize>) -> Router {
    let graph = move |headers: HeaderMap| async move {
        assert_eq!(credential::token(&headers), Some("good"));
        Json(json!({"rate": asked.fetch_add(1, Ordering::Relaxed)}))
    };
    let missing = || async { Problem::not_found("gone", "no such system") };
    Router::new()
        .route("/api/telemetry/v1/graph", get(graph))
        .route("/api/system/v1", get(missing))
}

async fn world(tabs_max: usize) -> World {
    let asked = Arc::new(AtomicUsize::new(0));
    let upstream = format!("http://{}", serve(upstream(Arc::clone(&asked))).await);
    let verify = Arc::new(|token: &str| (token == "good").then_some(()).ok_or("unknown token".to_owned()));
    let mut options = Options::new(upstream.clone(), upstream, verify);
    options.tabs_max = tabs_max;
    options.interval = Duration::from_millis(10);
    let console = Console::new(options);
    let address = serve(console.router()).await;
    World {
        console,
        address,
        asked,
    }
}

impl World {
    async fn open(&self, token: &str, origin: Option<&str>) -> Result<Client, WsError> {
        let mut request = format!("ws://{}/api/console/v1/ws", self.address).into_client_request()?;
        let headers = request.headers_mut();
        headers.insert("cookie", format!("brick_console={token}").parse().unwrap());
        if let Some(origin) = origin {
            headers.insert("origin", origin.parse().unwrap());
        }
        connect_async(request).await.map(|(socket, _)| Client(socket))
    }

    async fn until(&self, condition: impl Fn(&Console) -> bool) {
        let waiting = async {
            let mut ticks = tokio::time::interval(Duration::from_millis(2));
            while !condition(&self.console) {
                ticks.tick().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(5), waiting)
            .await
            .expect("the condition never held");
    }
}

impl Client {
    async fn say(&mut self, text: &str) {
        self.0.send(Sent::text(text)).await.unwrap();
    }

    /// The next message of a topic.
    async fn next(&mut self, topic: &str) -> Value {
        let found = async {
            loop {
                if let Sent::Text(text) = self.0.next().await.unwrap().unwrap() {
                    let message: Value = serde_json::from_str(&text).unwrap();
                    if message["topic"] == topic {
                        return message;
                    }
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(5), found)
            .await
            .expect("no such message came")
    }
}

fn status(error: &WsError) -> u16 {
    match error {
        WsError::Http(response) => response.status().as_u16(),
        other => panic!("expected an HTTP answer, found {other}"),
    }
}

#[tokio::test]
async fn a_tab_is_sent_what_it_watches_as_it_changes() {
    let world = world(4).await;
    let mut tab = world.open("good", None).await.unwrap();
    tab.say(r#"{"sub":[{"topic":"graph","window":60}]}"#).await;
    let first = tab.next("graph").await;
    let second = tab.next("graph").await;
    assert_eq!(first["sub"], json!({"topic": "graph", "window": 60}));
    assert!(
        second["data"]["rate"].as_u64() > first["data"]["rate"].as_u64(),
        "{first} {second}"
    );
    assert!(first["at"].as_str().unwrap().ends_with('Z'), "{first}");
}

#[tokio::test]
async fn many_tabs_share_one_poll_and_the_last_ends_it() {
    let world = world(4).await;
    let mut tabs = Vec::new();
    for _ in 0..3 {
        let mut tab = world.open("good", None).await.unwrap();
        tab.say(r#"{"sub":[{"topic":"graph","window":60}]}"#).await;
        tab.next("graph").await;
        tabs.push(tab);
    }
    assert_eq!(
        (world.console.counts().tabs, world.console.counts().topics),
        (3, 1)
    );
    drop(tabs);
    world
        .until(|console| console.counts().tabs == 0 && console.counts().topics == 0)
        .await;
    assert!(world.asked.load(Ordering::Relaxed) > 0);
}

#[tokio::test]
async fn a_tab_that_no_longer_watches_a_topic_is_no_longer_sent_it() {
    let world = world(4).await;
    let mut tab = world.open("good", None).await.unwrap();
    tab.say(r#"{"sub":[{"topic":"graph","window":60}]}"#).await;
    tab.next("graph").await;
    tab.say(r#"{"sub":[]}"#).await;
    world.until(|console| console.counts().topics == 0).await;
}

#[tokio::test]
async fn an_api_that_fails_is_told_with_code_and_detail() {
    let world = world(4).await;
    let mut tab = world.open("good", None).await.unwrap();
    tab.say(r#"{"sub":[{"topic":"system"}]}"#).await;
    let told = tab.next("system").await;
    assert_eq!(told["error"]["code"], "gone");
    assert!(
        told["error"]["detail"]
            .as_str()
            .unwrap()
            .contains("no such system"),
        "{told}"
    );
}

#[tokio::test]
async fn a_message_that_is_no_subscription_is_answered_and_the_tab_stays() {
    let world = world(4).await;
    let mut tab = world.open("good", None).await.unwrap();
    tab.say("hello").await;
    assert_eq!(tab.next("error").await["error"]["code"], "bad_subscription");
    tab.say(r#"{"sub":[{"topic":"graph","window":60}]}"#).await;
    tab.next("graph").await;
}

#[tokio::test]
async fn a_message_over_the_limit_ends_the_tab() {
    let world = world(4).await;
    let mut tab = world.open("good", None).await.unwrap();
    let _ = tab.0.send(Sent::text("x".repeat(MESSAGE_BYTES_MAX + 1))).await;
    world.until(|console| console.counts().tabs == 0).await;
}

#[tokio::test]
async fn strangers_foreign_pages_and_one_tab_too_many_are_refused() {
    let world = world(1).await;
    let check = |answer: Result<Client, WsError>| answer.err().map(|error| status(&error));
    assert_eq!(check(world.open("bad", None).await), Some(401));
    assert_eq!(
        check(world.open("good", Some("http://evil.example")).await),
        Some(403)
    );
    let own = format!("http://{}", world.address);
    let first = world.open("good", Some(&own)).await.unwrap();
    assert_eq!(check(world.open("good", None).await), Some(503));
    assert_eq!(world.console.counts().tabs_refused, 1);
    drop(first);
    world.until(|console| console.counts().tabs == 0).await;
    assert!(world.open("good", None).await.is_ok());
}

#[tokio::test]
async fn the_session_says_who_is_signed_in_and_what_to_do() {
    let world = world(1).await;
    let url = format!("http://{}/api/console/v1/session", world.address);
    let client = brick_wire::Client::new();
    let signed_in: Value = client.get(&url).bearer("good").json().await.unwrap();
    assert_eq!(signed_in, json!({"scope": "admin"}));
    let error = client.get(&url).json::<Value>().await.unwrap_err();
    assert_eq!(error.status(), Some(StatusCode::UNAUTHORIZED));
    assert!(error.to_string().contains("brick open"), "{error}");
}
