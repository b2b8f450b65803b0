//! One instance that stands behind the proxy: who may call it, how many requests at once, what is told of them.
//!
//! Its process becomes the one instance of a pool of its own, behind the edge `*->brick` with the limits of
//! `serve/<brick>`, so that what bounds requests is what bounds calls everywhere.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use brick_auth::{OwnToken, Verifier};
use brick_bus::limits::{Concurrency, Setting};
use brick_bus::{Change, Endpoint, Endpoints, Follower, Limits, Protocol, Publisher, Resource, Serve};
use brick_core::host::Served;
use brick_core::{Drain, Incarnation, Trigger};
use brick_resilience::Edges;
use brick_telemetry::metrics::Registry;
use brick_telemetry::{Exporter, Telemetry};
use http::StatusCode;
use http::header::CONTENT_TYPE;
use mortar_proxy::listener::{self, Door};
use mortar_proxy::{
    Access, Attached, Compiler, Proxy, Route, Routes, Side, Target, Transport, expose_served,
};
use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::caller::{Ground, bind};
use crate::inbound::{InboundGate, Own};

/// Time limit of a request that brings none along.
const TIMEOUT: Duration = Duration::from_secs(60);
/// Requests that are worked on at once where the manifest says nothing.
const CONCURRENCY: u32 = 1_024;
/// Paths that the proxy answers itself, as every process of the system does.
const OWN_PATHS: [&str; 5] = ["/info", "/health", "/health/live", "/health/ready", "/metrics"];
const HEALTH_LIMIT: Duration = Duration::from_secs(1);

/// An instance whose requests are taken.
#[derive(Debug)]
pub(crate) struct Serving {
    pub(crate) told: Served,
    publisher: Publisher,
    proxy: Proxy<InboundGate>,
    /// Where the process serves by now.
    to: Arc<Mutex<SocketAddr>>,
    /// Of `serve/<brick>`.
    follower: Follower,
    stop: Trigger,
    serving: JoinHandle<()>,
}

impl Serving {
    /// Takes requests for the instance.
    pub(crate) async fn start(
        ground: &Arc<Ground>,
        verifier: &Verifier,
        told: Served,
        drain: &Drain,
    ) -> std::io::Result<Self> {
        let listener = bind(told.listen).await?;
        let own = bind(([127, 0, 0, 1], 0).into()).await?;
        let own_addr = own.local_addr()?;
        let (stop, drain) = drain.child();
        let (telemetry, exporter) =
            ground.telemetry_of(told.brick.as_str(), &told.slot, &told.version, &told.zone);
        // Without what the process of the proxy says of itself.
        let registry = Registry::new();
        let (publisher, watch) = brick_bus::watch::channel();
        let edges = Edges::new("*", watch.clone(), TIMEOUT, &registry);
        let proxy = Proxy::new(
            ground.proxy_options(&told.slot, Side::Before),
            InboundGate::new(told.brick.as_str(), told.allow, verifier.clone()),
            &telemetry,
            OwnToken::none(),
            drain.clone(),
        );
        proxy.follow(edges);
        expose_served(&registry, &proxy);
        let to = Arc::new(Mutex::new(told.to));
        watch_health(&telemetry, Arc::clone(&to), told.health.clone());
        telemetry.health().set_ready(true);
        let target = Compiler::new(watch).target(told.brick.as_str(), &Default::default());
        let routes = routes(&told, own_addr, target, ground.options.body_bytes_max);
        let routes = Routes::new(routes).map_err(std::io::Error::other)?;
        proxy.replace(routes);
        let serving = tokio::spawn(serve(
            Door { listener, tls: None },
            (own, own_routes(&telemetry, registry)),
            proxy.clone(),
            Duration::from_millis(ground.options.drain_timeout_ms),
            drain,
            (telemetry, exporter),
        ));
        let follower = Follower::new(ground.watch.clone(), format!("serve/{}", told.brick));
        let mut serving = Self {
            told,
            publisher,
            proxy,
            to,
            follower,
            stop,
            serving,
        };
        serving.lead();
        serving.bound(&Serve::default());
        serving.refresh();
        Ok(serving)
    }

    /// Whether the instance only serves on another port than before; then it is led there.
    pub(crate) fn moves_to(&mut self, told: &Served) -> bool {
        let moved = Served {
            to: told.to,
            ..self.told.clone()
        };
        if moved != *told {
            return false;
        }
        *self.to.lock() = told.to;
        self.told = moved;
        self.lead();
        true
    }

    /// Takes over what the bus says by now.
    pub(crate) fn refresh(&mut self) {
        let mut changed = None;
        self.follower.refresh(|resource| {
            let serve = resource.map(|resource| serde_json::from_value::<Serve>(resource.value.clone()));
            changed = Some(serve.and_then(Result::ok).unwrap_or_default());
        });
        if let Some(serve) = changed {
            self.bound(&serve);
        }
    }

    /// Requests are bounded this way from now on.
    fn bound(&mut self, serve: &Serve) {
        let max = serve.concurrency.unwrap_or(CONCURRENCY);
        let limits = Limits {
            timeout_ms: u64::try_from(TIMEOUT.as_millis()).unwrap_or(u64::MAX),
            try_timeout_ms: None,
            retry: Some(Setting::On(false)),
            hedge: None,
            // More wait, as they do for a brick with the SDK.
            concurrency: Some(Concurrency {
                max,
                queue: CONCURRENCY,
                wait_ms: 1_000,
                adaptive: false,
            }),
            breaker: Some(Setting::On(false)),
            rate: None,
            fallback: None,
            balance: None,
        };
        let name = format!("limits/*->{}", self.told.brick);
        self.put(name, serde_json::to_value(limits));
    }

    /// Closes idle connections that are too old.
    pub(crate) fn sweep(&self) {
        self.proxy.sweep();
    }

    /// Stops taking requests; resolves when those under way are done.
    pub(crate) fn stop(self) -> JoinHandle<()> {
        self.stop.drain();
        self.serving
    }

    /// Requests go to where the instance serves by now.
    fn lead(&mut self) {
        let endpoint = Endpoint {
            slot: 1,
            incarnation: Incarnation::new(),
            version: self.told.version.clone(),
            zone: self.told.zone.clone(),
            addr: self.told.to,
            weight: 100,
            concurrent: false,
            protocol: Protocol::Http1,
            quarantined: false,
        };
        let pool = Endpoints {
            instances: vec![endpoint],
        };
        self.put(
            format!("endpoints/{}", self.told.brick),
            serde_json::to_value(pool),
        );
    }

    fn put(&mut self, name: String, value: serde_json::Result<serde_json::Value>) {
        match value {
            Ok(value) => {
                let resource = Resource {
                    name,
                    revision: 1,
                    value,
                };
                self.publisher.apply(Change::Put(resource), None);
            }
            Err(error) => tracing::error!(name, %error, "what is in force stays"),
        }
    }
}

async fn serve(
    door: Door,
    (own, own_routes): (TcpListener, axum::Router),
    proxy: Proxy<InboundGate>,
    limit: Duration,
    drain: Drain,
    (telemetry, exporter): (Telemetry, Exporter),
) {
    let (end, ending) = brick_core::drain::channel();
    let exporting = tokio::spawn(exporter.run(ending.clone()));
    let answering = tokio::spawn(async move {
        let stop = async move { ending.requested().await };
        // What cannot be answered here is told by whoever asks.
        let _ = axum::serve(own, own_routes).with_graceful_shutdown(stop).await;
    });
    listener::serve(door, proxy, limit, drain).await;
    telemetry.flush(Duration::from_secs(1)).await;
    end.drain();
    let _ = tokio::join!(exporting, answering);
}

/// What the brick itself serves, and what the proxy answers for it.
fn routes(told: &Served, own: SocketAddr, target: Target, body_bytes_max: u64) -> Vec<Route> {
    let fixed = Target::Fixed {
        name: told.brick.as_str().into(),
        addr: own,
        transport: Transport::Http1,
    };
    let own = OWN_PATHS.map(|path| Route {
        attached: Attached::new(Own),
        access: Access::Public,
        ..Route::new(path, fixed.clone(), HEALTH_LIMIT * 2, 0)
    });
    let served = Route {
        websocket: true,
        ..Route::new("/**", target, TIMEOUT, body_bytes_max)
    };
    own.into_iter().chain([served]).collect()
}

/// `/metrics` of what was served here, `/info` and `/health` with the process behind as a part.
fn own_routes(telemetry: &Telemetry, registry: Registry) -> axum::Router {
    let metrics = move || {
        let text = registry.encode();
        async move {
            let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            (StatusCode::OK, [(CONTENT_TYPE, kind)], text)
        }
    };
    axum::Router::new()
        .route("/metrics", axum::routing::get(metrics))
        .fallback_service(telemetry.routes())
}

/// The process behind is a part without which the instance is not ready.
fn watch_health(telemetry: &Telemetry, to: Arc<Mutex<SocketAddr>>, path: String) {
    let client = brick_wire::Client::new();
    telemetry.health().component("process", move || {
        let (client, url) = (client.clone(), format!("http://{}{path}", *to.lock()));
        async move {
            let answer = client.get(url).timeout(HEALTH_LIMIT).send().await;
            match answer {
                Ok(answer) if answer.status.is_success() => Ok(()),
                Ok(answer) => Err(format!("it answers {}", answer.status)),
                Err(error) => Err(brick_core::chain(&error)),
            }
        }
    });
}
