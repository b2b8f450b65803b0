//! Control and identity on one database, behind one real listener, as the command line composes them.

use std::fs::Permissions;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use brick_core::{Incarnation, Trigger};
use brick_http::{Server, ServerOptions};
use brick_telemetry::{LogTarget, Telemetry};
use brick_wire::Client;
use brick_wire::client::Response;
use http::Method;
use mortar_control::store::Sql;
use mortar_control::{Handle, Options};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio::task::JoinHandle;

pub(super) const KEY: &str = "bootstrap-key-of-this-test-0123456789abcdef";

/// A control that runs.
pub(super) struct Control {
    pub(super) url: String,
    pub(super) handle: Handle,
    pub(super) identity: mortar_identity::Handle,
    pub(super) telemetry: Telemetry,
    pub(super) http: Client,
    tasks: Vec<JoinHandle<()>>,
    trigger: Trigger,
}

/// Starts control on the databases in a folder.
pub(super) async fn control(folder: &Path) -> Control {
    control_with(folder, |_| {}, "127.0.0.1:0".parse().unwrap()).await
}

pub(super) async fn control_with(folder: &Path, edit: impl FnOnce(&mut Options), at: SocketAddr) -> Control {
    let url = format!("sqlite:{}", folder.join("control.db").display());
    let db = brick_state::Database::open(brick_state::Options::new(url, &[]))
        .await
        .unwrap();
    let mut options = mortar_identity::Options::new("shop");
    let key = folder.join("bootstrap");
    std::fs::write(&key, KEY).unwrap();
    std::fs::set_permissions(&key, Permissions::from_mode(0o600)).unwrap();
    options.bootstrap_key_file = Some(key);
    let (_, identity) = mortar_identity::Service::open(options, db.clone()).await.unwrap();

    let (telemetry, _exporter) = Telemetry::new(brick_telemetry::Options {
        log: LogTarget::Memory,
        ..brick_telemetry::Options::default()
    });
    let mut options = Options::new("shop", identity.trust_bundle());
    let clients = identity.clone();
    options.clients = Some(Arc::new(move |id, secret| {
        let clients = clients.clone();
        Box::pin(async move { clients.client_scopes(&id, &secret).await })
    }));
    edit(&mut options);
    let store = Arc::new(Sql::open(db).await.unwrap());
    let (service, handle) = mortar_control::Service::open(options, store, identity.verifier(), &telemetry)
        .await
        .unwrap();
    let (trigger, drain) = brick_core::drain::channel();
    let listener = TcpListener::bind(at).await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let mut options = ServerOptions::new(telemetry.clone(), identity.verifier(), "control");
    options.drain_wait = Duration::ZERO;
    let operators = mortar_console::operators(identity.verifier());
    let console = mortar_console::Options::new("http://127.0.0.1:1", url.as_str(), operators);
    let access = service.access(identity.router().merge(mortar_console::router(console)));
    let server = Server::new(options);
    let serving = drain.clone();
    let tasks = vec![
        tokio::spawn(service.run(drain)),
        tokio::spawn(async move { server.serve(listener, access, serving).await }),
    ];
    Control {
        url,
        handle,
        identity,
        telemetry,
        http: Client::new(),
        tasks,
        trigger,
    }
}

impl Control {
    pub(super) fn addr(&self) -> SocketAddr {
        self.url.trim_start_matches("http://").parse().unwrap()
    }

    /// As `kill -9` would: nothing is said to anybody.
    pub(super) async fn kill(self) {
        for task in self.tasks {
            task.abort();
            let _ = task.await;
        }
    }

    /// Ends as it should.
    pub(super) async fn stop(self) {
        self.trigger.drain();
        for task in self.tasks {
            task.await.unwrap();
        }
    }

    /// A token of an operator with these scopes.
    pub(super) async fn operator(&self, scopes: &[&str]) -> String {
        let agent = self.agent().await;
        let body = json!({ "subject": "ann", "scopes": scopes, "audience": "platform" });
        let answer = self
            .call(Method::POST, "/api/identity/v1/tokens", &agent, Some(body))
            .await;
        let answer: Value = answer.json().unwrap();
        answer["token"].as_str().unwrap().to_owned()
    }

    /// Registers a client; its name and secret.
    pub(super) async fn client(&self, id: &str, scopes: &[&str]) -> (String, String) {
        let admin = self.operator(&["admin"]).await;
        let body = json!({ "id": id, "scopes": scopes });
        let answer = self
            .call(Method::POST, "/api/identity/v1/clients", &admin, Some(body))
            .await;
        let answer: Value = answer.json().unwrap();
        let text = |key: &str| answer[key].as_str().unwrap().to_owned();
        (text("client_id"), text("client_secret"))
    }

    pub(super) async fn agent(&self) -> String {
        let form = format!("grant_type=client_credentials&client_id=agent&client_secret={KEY}");
        let call = self.http.post(format!("{}/identity/token", self.url));
        let answer: Value = call
            .body("application/x-www-form-urlencoded", form)
            .json()
            .await
            .unwrap();
        answer["access_token"].as_str().unwrap().to_owned()
    }

    /// A process token as the agent would get one.
    pub(super) fn process(&self, brick: &str, scopes: &[&str]) -> (String, Incarnation) {
        let incarnation = Incarnation::new();
        let scopes: Vec<String> = scopes.iter().map(|scope| (*scope).to_owned()).collect();
        let issued = self
            .identity
            .process_token(brick, &incarnation.to_string(), &scopes)
            .unwrap();
        (issued.token.expose().to_owned(), incarnation)
    }

    pub(super) async fn call(
        &self,
        method: Method,
        path: &str,
        token: &str,
        body: Option<Value>,
    ) -> Response {
        let mut call = self
            .http
            .call(method, format!("{}{path}", self.url))
            .bearer(token);
        if let Some(body) = body {
            call = call.json_body(&body);
        }
        call.send().await.unwrap()
    }

    /// Puts a manifest of order (needs payment), payment and customer into force.
    pub(super) async fn manifest(&self) {
        self.manifest_with(json!({})).await;
    }

    /// The same with these tables more.
    pub(super) async fn manifest_with(&self, more: Value) {
        let mut model = json!({
            "brickwork": 1,
            "system": { "name": "shop" },
            "brick": {
                "order": { "run": "order", "needs": ["payment"] },
                "payment": { "run": "payment" },
                "customer": { "run": "customer" },
            },
            "route": { "orders": { "match": "/api/orders/**", "to": "order" } },
            "config": { "order": { "max_lines": 50 }, "payment": { "secret_rule": 1 } },
        });
        for (table, value) in more.as_object().into_iter().flatten() {
            model[table] = value.clone();
        }
        let agent = self.agent().await;
        let answer = self
            .call(Method::PUT, "/api/system/v1/manifest", &agent, Some(model))
            .await;
        assert!(
            answer.status.is_success(),
            "{}",
            String::from_utf8_lossy(&answer.body)
        );
    }

    pub(super) async fn register(
        &self,
        brick: &str,
        slot: u32,
        incarnation: Incarnation,
        edit: Value,
    ) -> Response {
        let mut body = json!({
            "brick": brick, "version": "v1", "slot": slot, "incarnation": incarnation, "zone": "a",
            "addr": "127.0.0.1:1",
        });
        for (key, value) in edit.as_object().into_iter().flatten() {
            body[key] = value.clone();
        }
        let agent = self.agent().await;
        self.call(Method::POST, "/api/registry/v1/instances", &agent, Some(body))
            .await
    }

    pub(super) async fn instances(&self) -> Vec<Value> {
        let agent = self.agent().await;
        let answer = self
            .call(Method::GET, "/api/registry/v1/instances", &agent, None)
            .await;
        let answer: Value = answer.json().unwrap();
        answer["items"].as_array().unwrap().clone()
    }
}

/// A subscriber with its client running.
pub(super) struct Subscriber {
    pub(super) watch: brick_bus::Watch,
    pub(super) incarnation: Incarnation,
    trigger: Trigger,
    task: JoinHandle<()>,
}

pub(super) fn subscribe(
    url: &str,
    who: (String, Incarnation),
    patterns: &[&str],
    snapshot: Option<&Path>,
) -> Subscriber {
    let (token, incarnation) = who;
    let (service, watch) = brick_bus::Service::new(brick_bus::Options {
        control_url: url.to_owned(),
        resources: patterns.iter().map(|pattern| (*pattern).to_owned()).collect(),
        snapshot: snapshot.map(Path::to_owned),
        token: Arc::new(move || Some(token.clone())),
        incarnation,
    });
    let (trigger, drain) = brick_core::drain::channel();
    Subscriber {
        watch,
        incarnation,
        trigger,
        task: tokio::spawn(service.run(drain)),
    }
}

impl Subscriber {
    pub(super) async fn until(&mut self, what: &str, reached: impl Fn(&brick_bus::State) -> bool) {
        let state = self.watch.clone();
        let wait = async {
            while !reached(&self.watch.state()) {
                self.watch.changed().await;
            }
        };
        if tokio::time::timeout(Duration::from_secs(20), wait).await.is_err() {
            panic!("{what}: not reached, found {:?}", state.state());
        }
    }

    pub(super) fn endpoints(&self, brick: &str) -> usize {
        let name = format!("endpoints/{brick}");
        let endpoints = self.watch.typed::<brick_bus::Endpoints>(&name);
        endpoints.map_or(0, |endpoints| endpoints.instances.len())
    }

    pub(super) async fn stop(self) {
        self.trigger.drain();
        self.task.await.unwrap();
    }
}

/// Polls until a condition holds.
pub(super) async fn eventually<F: Future<Output = bool>>(what: &str, condition: impl Fn() -> F) {
    let end = tokio::time::Instant::now() + Duration::from_secs(20);
    while !condition().await {
        assert!(tokio::time::Instant::now() < end, "{what}: not reached in time");
        tokio::task::yield_now().await;
    }
}

/// What a client sends as `Authorization` that has no token.
pub(super) fn basic((id, secret): &(String, String)) -> String {
    let pair = base64::engine::general_purpose::STANDARD.encode(format!("{id}:{secret}"));
    format!("Basic {pair}")
}

fn clients() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../clients")
}

/// What a client that others wrote printed.
pub(super) async fn printed(mut command: Command) -> Value {
    let command = command
        .current_dir(clients())
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let output = command
        .output()
        .await
        .expect("the program is installed: `cargo xtask setup`");
    let (said, complained) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(
        output.status.success(),
        "`cargo xtask setup` installs the clients\n{said}{complained}"
    );
    serde_json::from_str(said.trim()).unwrap_or_else(|_| panic!("{said}{complained}"))
}
