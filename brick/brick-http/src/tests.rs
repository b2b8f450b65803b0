//! A small system in process, for this crate's tests: an issuer, a bus, bricks on real sockets.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use brick_auth::{OwnToken, TRUST_BUNDLE, Verifier};
use brick_bus::{Change, Endpoint, Endpoints, Limits, Resource, Watch, watch};
use brick_core::{Incarnation, Trigger, Version, drain};
use brick_telemetry::{Identity, LogTarget, Options, Telemetry};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::{Access, Clients, ClientsOptions, Server, ServerOptions};

/// One system: its issuer and its bus.
#[derive(Clone)]
pub(crate) struct System(Arc<Inner>);

struct Inner {
    key: EcdsaKeyPair,
    bus: Mutex<(watch::Publisher, u64)>,
    watch: Watch,
}

/// One brick, before it serves.
pub(crate) struct Brick {
    pub(crate) name: &'static str,
    pub(crate) telemetry: Telemetry,
    pub(crate) clients: Clients,
    pub(crate) options: ServerOptions,
    system: System,
}

/// One brick that serves.
pub(crate) struct Running {
    pub(crate) addr: SocketAddr,
    pub(crate) trigger: Trigger,
    pub(crate) task: JoinHandle<()>,
}

impl System {
    pub(crate) fn new() -> Self {
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let point = key.public_key().as_ref();
        let jwk = json!({ "kty": "EC", "crv": "P-256", "kid": "k1",
            "x": URL_SAFE_NO_PAD.encode(&point[1..33]), "y": URL_SAFE_NO_PAD.encode(&point[33..]) });
        let trust = json!({ "issuer": "urn:brickwork:shop", "system": "shop", "jwks": { "keys": [jwk] } });
        let (publisher, watch) = watch::channel();
        let system = Self(Arc::new(Inner {
            key,
            bus: Mutex::new((publisher, 0)),
            watch,
        }));
        system.put(TRUST_BUNDLE, trust);
        system
    }

    pub(crate) fn put(&self, name: &str, value: Value) {
        let (publisher, revision) = &mut *self.0.bus.lock();
        *revision += 1;
        let resource = Resource {
            name: name.to_owned(),
            revision: *revision,
            value,
        };
        publisher.apply(Change::Put(resource), None);
    }

    pub(crate) fn endpoints(&self, brick: &str, addrs: &[SocketAddr]) {
        let instances = addrs
            .iter()
            .zip(1..)
            .map(|(addr, slot)| Endpoint {
                slot,
                incarnation: Incarnation::new(),
                version: Version::default(),
                zone: "a".to_owned(),
                addr: *addr,
                weight: 100,
                concurrent: false,
                protocol: brick_bus::Protocol::default(),
                quarantined: false,
            })
            .collect();
        let value = serde_json::to_value(Endpoints { instances }).unwrap();
        self.put(&format!("endpoints/{brick}"), value);
    }

    pub(crate) fn limits(&self, from: &str, to: &str, value: Value) {
        self.put(&format!("limits/{from}->{to}"), value);
    }

    pub(crate) fn limit(&self, from: &str, to: &str, timeout_ms: u64) {
        let value = serde_json::to_value(Limits::new(timeout_ms)).unwrap();
        self.put(&format!("limits/{from}->{to}"), value);
    }

    /// The acknowledgements that wait to be sent; there must be one.
    pub(crate) async fn acknowledged(&self) -> Vec<watch::Acknowledgement> {
        let waiting = std::future::poll_fn(|cx| {
            let bus = self.0.bus.lock();
            std::pin::pin!(bus.0.acknowledgements()).poll(cx)
        });
        waiting.await
    }

    /// A token that is valid for `life_s` more seconds (or was, that long ago).
    pub(crate) fn token(&self, aud: &str, sub: &str, scope: &str, life_s: i64) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let header = json!({ "alg": "ES256", "kid": "k1" });
        let claims = json!({ "iss": "urn:brickwork:shop", "aud": aud, "sub": sub, "scope": scope,
            "exp": now.checked_add_signed(life_s).unwrap() });
        let message = format!("{}.{}", part(header), part(claims));
        let signature = self.0.key.sign(&SystemRandom::new(), message.as_bytes()).unwrap();
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref()))
    }

    pub(crate) fn user(&self, scope: &str) -> String {
        self.token("shop", "u1", scope, 600)
    }

    pub(crate) fn process(&self, brick: &str, scope: &str) -> String {
        self.token("shop:platform", &format!("brick:{brick}"), scope, 600)
    }

    pub(crate) fn brick(&self, name: &'static str) -> Brick {
        let (telemetry, _) = Telemetry::new(Options {
            identity: Identity {
                brick: name.to_owned(),
                ..Identity::default()
            },
            log: LogTarget::Memory,
            ..Options::default()
        });
        let watch = self.0.watch.clone();
        let clients = Clients::new(ClientsOptions {
            watch: watch.clone(),
            own_token: OwnToken::fixed(self.process(name, "call:*")),
            telemetry: telemetry.clone(),
            brick: name.to_owned(),
        });
        let mut options = ServerOptions::new(telemetry.clone(), Verifier::new(watch), name);
        options.drain_wait = Duration::ZERO;
        options.edges = Some(clients.edges().clone());
        Brick {
            name,
            telemetry,
            clients,
            options,
            system: self.clone(),
        }
    }
}

impl Brick {
    /// Serves on a free port and registers.
    pub(crate) async fn serve(&self, access: Access) -> Running {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let (trigger, drain) = drain::channel();
        let server = Server::new(self.options.clone());
        let task = tokio::spawn(async move { server.serve(listener, access, drain).await });
        self.telemetry.health().set_ready(true);
        self.system.endpoints(self.name, &[addr]);
        Running { addr, trigger, task }
    }
}

impl Running {
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.addr)
    }
}

/// An address that nobody listens on.
pub(crate) fn closed_port() -> SocketAddr {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    let addr = socket.local_addr().unwrap();
    // Bound for as long as the process lives, so that no other test listens there; nobody accepts.
    std::mem::forget(socket);
    addr
}

/// Polls until it holds, for ten seconds at most.
pub(crate) async fn eventually<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    let mut tick = tokio::time::interval(Duration::from_millis(5));
    for _ in 0..2000 {
        if holds().await {
            return;
        }
        tick.tick().await;
    }
    panic!("never: {what}");
}
