//! A whole gateway on ports 0, bricks behind it that tell what they saw, an issuer, and a raw HTTP client.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::extract::ws::{Message, WebSocketUpgrade};
use axum::response::IntoResponse as _;
use axum::routing::{any, get};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use brick_auth::{OwnToken, Verifier};
use brick_bus::{Change, Publisher, Resource, Watch};
use brick_core::{Incarnation, Trigger};
use brick_telemetry::{Identity, LogTarget, Telemetry};
use mortar_gateway::{Handle, Listeners, Options, Service};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

pub(crate) const LIMIT: Duration = Duration::from_secs(10);

/// Signs tokens, as control's issuer does.
pub(crate) struct Issuer(EcdsaKeyPair);

impl Issuer {
    pub(crate) fn new() -> Self {
        Self(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap())
    }

    pub(crate) fn bundle(&self) -> Resource {
        let point = self.0.public_key().as_ref();
        let key = json!({ "kty": "EC", "crv": "P-256", "kid": "k1",
            "x": URL_SAFE_NO_PAD.encode(&point[1..33]), "y": URL_SAFE_NO_PAD.encode(&point[33..]) });
        resource(
            "trust/bundle",
            json!({ "issuer": "urn:brickwork:shop", "system": "shop", "jwks": { "keys": [key] } }),
        )
    }

    pub(crate) fn token(&self, change: Value) -> String {
        let now = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap();
        let mut claims = json!({ "iss": "urn:brickwork:shop", "aud": "shop", "sub": "u1", "scope": "customer",
            "exp": now.as_secs() + 600 });
        for (key, value) in change.as_object().unwrap() {
            claims[key] = value.clone();
        }
        self.sign(json!({ "alg": "ES256", "kid": "k1" }), claims)
    }

    pub(crate) fn operator(&self) -> String {
        self.token(json!({ "aud": "shop:platform", "sub": "operator", "scope": "admin" }))
    }

    pub(crate) fn sign(&self, header: Value, claims: Value) -> String {
        let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let message = format!("{}.{}", part(header), part(claims));
        let signature = self.0.sign(&SystemRandom::new(), message.as_bytes()).unwrap();
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref()))
    }
}

pub(crate) fn resource(name: &str, value: Value) -> Resource {
    Resource {
        name: name.to_owned(),
        revision: 1,
        value,
    }
}

pub(crate) fn endpoints(brick: &str, addrs: &[SocketAddr]) -> Resource {
    let instances: Vec<Value> = addrs
        .iter()
        .enumerate()
        .map(|(at, addr)| json!({ "slot": at + 1, "incarnation": Incarnation::new(), "version": "v1", "zone": "a", "addr": addr }))
        .collect();
    resource(&format!("endpoints/{brick}"), json!({ "instances": instances }))
}

pub(crate) fn route(path: &str, to: &str, auth: &str) -> Value {
    json!({ "name": path, "path": path, "to": to, "auth": auth, "websocket": false,
        "timeout_ms": 5_000, "body_bytes_max": 1_000 })
}

pub(crate) fn routes(routes: Vec<Value>) -> Resource {
    resource("routes/edge", json!({ "routes": routes }))
}

/// A brick that answers with what it saw.
pub(crate) struct Brick {
    pub(crate) addr: SocketAddr,
    pub(crate) calls: Arc<AtomicUsize>,
}

impl Brick {
    pub(crate) async fn start(name: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (addr, calls) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
        let counted = Arc::clone(&calls);
        let seen = any(move |request: Request| async move {
            let (parts, body) = request.into_parts();
            let body = axum::body::to_bytes(body, 1 << 20).await.unwrap_or_default();
            let mut headers = serde_json::Map::new();
            for (name, value) in &parts.headers {
                let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
                let before = headers.insert(name.to_string(), value.clone().into());
                assert!(before.is_none(), "{name} came twice");
            }
            axum::Json(
                json!({ "brick": name, "method": parts.method.as_str(), "uri": parts.uri.to_string(),
                "headers": headers, "body": String::from_utf8_lossy(&body) }),
            )
        });
        let router = Router::new()
            .route("/api/console/v1/ws", get(echo))
            .route("/ws", get(echo))
            .route("/never", any(|| async { std::future::pending::<()>().await }))
            .route("/events", get(events))
            .route("/hop", any(hop))
            .route("/echo", any(|body: Bytes| async move { body }))
            .route("/read", any(|_: Bytes| async { "all of it" }))
            .fallback(seen)
            .layer(axum::middleware::from_fn(
                move |request: Request, next: axum::middleware::Next| {
                    counted.fetch_add(1, Ordering::SeqCst);
                    next.run(request)
                },
            ));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { addr, calls }
    }

    pub(crate) fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }
}

async fn echo(upgrade: WebSocketUpgrade) -> axum::response::Response {
    upgrade.on_upgrade(|mut socket| async move {
        while let Some(Ok(message)) = socket.recv().await {
            if let Message::Text(_) = &message
                && socket.send(message).await.is_err()
            {
                return;
            }
        }
    })
}

async fn events() -> axum::response::Response {
    let first = Bytes::from_static(b"data: first\n\n");
    let (send, receive) = tokio::sync::mpsc::channel::<Result<Bytes, std::convert::Infallible>>(1);
    send.send(Ok(first)).await.unwrap();
    tokio::spawn(async move { send.closed().await });
    let stream = ReceiverStream(receive);
    (
        [("content-type", "text/event-stream")],
        Body::new(http_body_util::StreamBody::new(stream)),
    )
        .into_response()
}

/// The receiving end as a stream of frames.
struct ReceiverStream(tokio::sync::mpsc::Receiver<Result<Bytes, std::convert::Infallible>>);

impl futures_util::Stream for ReceiverStream {
    type Item = Result<hyper::body::Frame<Bytes>, std::convert::Infallible>;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        self.0
            .poll_recv(cx)
            .map(|item| item.map(|item| item.map(hyper::body::Frame::data)))
    }
}

async fn hop() -> axum::response::Response {
    (
        [
            ("connection", "x-secret"),
            ("x-secret", "1"),
            ("keep-alive", "timeout=1"),
            ("x-kept", "1"),
        ],
        "hop",
    )
        .into_response()
}

/// A running gateway.
pub(crate) struct Gateway {
    pub(crate) handle: Handle,
    pub(crate) telemetry: Telemetry,
    pub(crate) issuer: Issuer,
    pub(crate) publisher: Publisher,
    pub(crate) trigger: Trigger,
    pub(crate) running: tokio::task::JoinHandle<()>,
}

impl Gateway {
    /// With these resources, control and telemetry at the address.
    pub(crate) async fn start(platform: SocketAddr, resources: Vec<Resource>) -> Self {
        Self::with(platform, resources, |_| {}).await
    }

    pub(crate) async fn with(
        platform: SocketAddr,
        mut resources: Vec<Resource>,
        change: impl FnOnce(&mut Options),
    ) -> Self {
        let issuer = Issuer::new();
        resources.push(issuer.bundle());
        let (mut publisher, watch) = brick_bus::watch::channel();
        publisher.apply(Change::Snapshot(resources), None);
        let (handle, telemetry, trigger, running) = run(platform, watch, change);
        let gateway = Self {
            handle,
            telemetry,
            issuer,
            publisher,
            trigger,
            running,
        };
        let routed = until(|| {
            gateway
                .telemetry
                .metrics()
                .encode()
                .contains("gateway_routes{listener=\"admin\"} 12")
        });
        routed.await;
        gateway
    }

    pub(crate) async fn edge(&self, request: &str) -> Answer {
        send(self.handle.edge(), request).await
    }

    pub(crate) async fn admin(&self, request: &str) -> Answer {
        send(self.handle.admin(), request).await
    }
}

/// Starts a gateway that follows `watch`.
pub(crate) fn run(
    platform: SocketAddr,
    watch: Watch,
    change: impl FnOnce(&mut Options),
) -> (Handle, Telemetry, Trigger, tokio::task::JoinHandle<()>) {
    let (telemetry, _exporter) = Telemetry::new(brick_telemetry::Options {
        identity: Identity {
            brick: "gateway".to_owned(),
            ..Identity::default()
        },
        log: LogTarget::Memory,
        ..brick_telemetry::Options::default()
    });
    let any: SocketAddr = ([127, 0, 0, 1], 0).into();
    let mut options = Options {
        edge: any,
        admin: any,
        own: any,
        control_url: format!("http://{platform}"),
        telemetry_url: format!("http://{platform}"),
        drain_timeout_ms: 5_000,
        ..Options::default()
    };
    change(&mut options);
    let verifier = Verifier::new(watch.clone());
    let token = OwnToken::fixed("own-token");
    let (service, handle) = Service::new(
        options,
        Listeners::default(),
        watch,
        verifier,
        telemetry.clone(),
        token,
    )
    .unwrap();
    let (trigger, drain) = brick_core::drain::channel();
    let running = tokio::spawn(async move { service.run(drain).await.unwrap() });
    (handle, telemetry, trigger, running)
}

/// Polls until the condition holds.
pub(crate) async fn until(condition: impl Fn() -> bool) {
    let held = async {
        while !condition() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LIMIT, held)
        .await
        .expect("the condition did not come to hold");
}

/// An answer taken apart.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    fn parse(text: &str) -> Self {
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((text, ""));
        let status = head.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or(0);
        Self {
            status,
            head: head.to_lowercase(),
            body: body.to_owned(),
        }
    }

    pub(crate) fn json(&self) -> Value {
        let from = self.body.find('{').unwrap_or(0);
        let to = self.body.rfind('}').map_or(self.body.len(), |at| at + 1);
        serde_json::from_str(&self.body[from..to]).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }

    pub(crate) fn code(&self) -> String {
        self.json()["code"].as_str().unwrap_or_default().to_owned()
    }
}

/// Sends the bytes as they are and reads until the connection is closed; without a `Connection` field one is added
/// that closes it.
pub(crate) async fn send(addr: SocketAddr, request: &str) -> Answer {
    let request = if request.contains("\r\nConnection:") {
        request.to_owned()
    } else {
        request.replacen("\r\n", "\r\nConnection: close\r\n", 1)
    };
    Answer::parse(&raw(addr, request.as_bytes()).await)
}

/// Sends the bytes and gives everything that came back until the connection was closed.
pub(crate) async fn raw(addr: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    // A refused connection may be closed before all is written.
    let _ = stream.write_all(bytes).await;
    let mut out = Vec::new();
    let read = tokio::time::timeout(LIMIT, stream.read_to_end(&mut out)).await;
    read.expect("the connection was not closed").unwrap();
    String::from_utf8_lossy(&out).into_owned()
}

/// Reads until the text was seen.
pub(crate) async fn read_until(stream: &mut TcpStream, text: &str) -> String {
    let mut out = Vec::new();
    let seen = async {
        let mut buffer = [0; 4096];
        while !String::from_utf8_lossy(&out).contains(text) {
            let n = stream.read(&mut buffer).await.unwrap();
            assert_ne!(n, 0, "closed after {:?}", String::from_utf8_lossy(&out));
            out.extend_from_slice(&buffer[..n]);
        }
    };
    tokio::time::timeout(LIMIT, seen)
        .await
        .expect("the text did not come");
    String::from_utf8_lossy(&out).into_owned()
}

/// A GET with these fields.
pub(crate) fn get_with(path: &str, fields: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: shop\r\n{fields}\r\n")
}
