//! A whole host proxy: a file that says who calls, a bus, a listener for each caller.

use std::net::SocketAddr;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use brick_auth::OwnToken;
use brick_bus::{Change, Publisher, Resource};
use brick_core::Trigger;
use brick_telemetry::{LogTarget, Telemetry};
use mortar_host::{Options, Service};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};

pub(crate) use crate::gateway::harness::{Answer, Brick, endpoints, resource};
use crate::gateway::harness::{LIMIT, read_until, send};

/// A host proxy that runs.
pub(crate) struct Host {
    folder: TempDir,
    pub(crate) telemetry: Telemetry,
    pub(crate) publisher: Publisher,
    pub(crate) otlp: Spans,
    _trigger: Trigger,
}

/// Names of the services that sent spans, with the bytes that they sent.
pub(crate) struct Spans {
    pub(crate) url: String,
    taken: std::sync::Arc<std::sync::Mutex<Vec<u8>>>,
}

impl Spans {
    async fn start() -> Self {
        use axum::routing::post;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let taken = std::sync::Arc::<std::sync::Mutex<Vec<u8>>>::default();
        let sink = std::sync::Arc::clone(&taken);
        let take = post(move |body: axum::body::Bytes| async move {
            sink.lock().unwrap().extend_from_slice(&body);
        });
        let router = axum::Router::new().route("/v1/traces", take);
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, taken }
    }

    /// Whether all these texts came, in whatever span.
    pub(crate) fn hold(&self, texts: &[&str]) -> bool {
        let taken = self.taken.lock().unwrap();
        texts.iter().all(|text| {
            let bytes = text.as_bytes();
            taken.windows(bytes.len()).any(|window| window == bytes)
        })
    }
}

impl Host {
    pub(crate) async fn start(resources: Vec<Resource>) -> Self {
        let (mut publisher, watch) = brick_bus::watch::channel();
        publisher.apply(Change::Snapshot(resources), None);
        let folder = tempfile::tempdir().unwrap();
        let (telemetry, _exporter) = Telemetry::new(brick_telemetry::Options {
            log: LogTarget::Memory,
            ..brick_telemetry::Options::default()
        });
        let otlp = Spans::start().await;
        let options = Options {
            file: folder.path().join("proxy.json"),
            otlp_endpoint: Some(otlp.url.clone()),
            ..Options::default()
        };
        let (service, _) = Service::new(options, watch, telemetry.clone(), OwnToken::none()).unwrap();
        let (trigger, drain) = brick_core::drain::channel();
        tokio::spawn(service.run(drain));
        Self {
            folder,
            telemetry,
            publisher,
            otlp,
            _trigger: trigger,
        }
    }

    /// Says who calls; each has a token that is `<brick>-token`.
    pub(crate) async fn tell(&self, callers: &[Value]) {
        self.write(json!({ "callers": callers }), callers).await;
    }

    /// Says who stands behind the proxy.
    pub(crate) async fn tell_served(&self, served: &[Value]) {
        self.write(json!({ "served": served }), served).await;
    }

    async fn write(&self, told: Value, listening: &[Value]) {
        let file = self.folder.path().join("proxy.json");
        std::fs::write(file.with_extension("new"), told.to_string()).unwrap();
        std::fs::rename(file.with_extension("new"), &file).unwrap();
        for one in listening {
            listens(listen(one)).await;
        }
    }

    /// A caller on a free port, its secret is `secret`.
    pub(crate) async fn caller(&self, brick: &str) -> Value {
        let token = self.token_file(brick);
        std::fs::write(&token, format!("{brick}-token\n")).unwrap();
        json!({ "brick": brick, "slot": format!("{brick}/1"), "version": "v1", "zone": "a",
            "listen": free().await, "secret": "secret", "token_file": token })
    }

    fn token_file(&self, brick: &str) -> PathBuf {
        self.folder.path().join(format!("{brick}.jwt"))
    }

    pub(crate) fn put(&mut self, revision: u64, name: &str, value: Value) {
        let resource = Resource {
            revision,
            ..resource(name, value)
        };
        self.publisher.apply(Change::Put(resource), None);
    }

    pub(crate) fn metrics(&self) -> String {
        self.telemetry.metrics().encode()
    }
}

/// Where a caller's listener is.
pub(crate) fn listen(caller: &Value) -> SocketAddr {
    caller["listen"].as_str().unwrap().parse().unwrap()
}

/// A request as HTTP clients send it to a proxy, with the secret.
pub(crate) async fn call(caller: &Value, head: &str, fields: &str) -> Answer {
    call_as(caller, "order:secret", head, fields).await
}

/// The same with this credential.
pub(crate) async fn call_as(caller: &Value, credential: &str, head: &str, fields: &str) -> Answer {
    let credential = STANDARD.encode(credential);
    let request = format!("{head} HTTP/1.1\r\nProxy-Authorization: Basic {credential}\r\n{fields}\r\n");
    send(listen(caller), &request).await
}

/// An address that nobody listens on.
pub(crate) async fn free() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap()
}

/// Waits until the address takes connections.
async fn listens(addr: SocketAddr) {
    let connected = async {
        while TcpStream::connect(addr).await.is_err() {
            tokio::task::yield_now().await
        }
    };
    tokio::time::timeout(LIMIT, connected)
        .await
        .expect("nobody listens");
}

/// Polls until the condition holds.
pub(crate) async fn until(what: &str, condition: impl Fn() -> bool) {
    let held = async {
        while !condition() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LIMIT, held).await.expect(what);
}

/// Sends a line and reads until the text came.
pub(crate) async fn say(stream: &mut TcpStream, line: &str, expect: &str) -> String {
    stream.write_all(line.as_bytes()).await.unwrap();
    read_until(stream, expect).await
}
