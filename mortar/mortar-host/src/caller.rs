//! One caller: its listeners, its routes, its telemetry.

use std::net::{Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use brick_auth::OwnToken;
use brick_bus::Watch;
use brick_core::host::{Caller, Capture};
use brick_core::{Drain, Trigger, Version};
use brick_discovery::Balancer;
use brick_resilience::Callers;
use brick_telemetry::{Exporter, Identity, LogTarget, Telemetry};
use mortar_proxy::listener::{self, Door, Reception};
use mortar_proxy::tls::file::{Stamp, stamp};
use mortar_proxy::{AccessLog, Proxy, Settings, Side};
use rustix::io::Errno;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use crate::capture::{Captured, OUTSIDE};
use crate::figures::Figures;
use crate::gate::HostGate;
use crate::routes::Following;
use crate::{Options, capture, tcp};

/// How long a caller's first token may take; connections wait in the listener meanwhile.
const TOKEN_PATIENCE: Duration = Duration::from_secs(3);
/// How long the last spans may take to leave.
const LAST_WORD: Duration = Duration::from_secs(1);
const TOKEN_LOOK_EVERY: Duration = Duration::from_millis(20);

/// What all callers share.
#[derive(Debug)]
pub(crate) struct Ground {
    pub(crate) options: Options,
    pub(crate) watch: Watch,
    pub(crate) telemetry: Telemetry,
    pub(crate) callers: Callers,
    pub(crate) figures: Figures,
}

/// A caller whose calls are taken.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) told: Caller,
    pub(crate) proxy: Proxy<HostGate>,
    following: Following,
    /// What the token's file was when it was read last.
    token: Stamp,
    stop: Trigger,
    serving: JoinHandle<()>,
}

impl Ground {
    /// Spans that leave in the name of one instance.
    pub(crate) fn telemetry_of(
        &self,
        brick: &str,
        slot: &str,
        version: &Version,
        zone: &str,
    ) -> (Telemetry, Exporter) {
        Telemetry::new(brick_telemetry::Options {
            identity: Identity {
                brick: brick.to_owned(),
                version: version.to_string(),
                slot: slot.to_owned(),
                zone: zone.to_owned(),
                ..self.telemetry.identity().clone()
            },
            otlp_endpoint: self.options.otlp_endpoint.clone(),
            filter: "off".to_owned(),
            log: LogTarget::Stdout,
        })
    }

    /// How the proxy of one slot behaves.
    pub(crate) fn proxy_options(&self, slot: &str, side: Side) -> mortar_proxy::Options {
        mortar_proxy::Options {
            name: slot.to_owned(),
            settings: Settings {
                connections_max: self.options.connections_max,
                http2: false,
                access_log: AccessLog::Errors,
                ..Settings::default()
            },
            trace: true,
            side,
        }
    }

    /// What is done with what the kernel leads here.
    fn captured(
        &self,
        told: &Caller,
        capture: &Capture,
        passages: impl Iterator<Item = Arc<tcp::Passage>>,
        proxy: &Proxy<HostGate>,
        telemetry: &Telemetry,
    ) -> Captured {
        let passages = passages.map(|passage| (passage.callee.clone(), passage));
        let names = capture.names.iter().map(|(name, ip)| (*ip, name.to_string()));
        Captured {
            slot: told.slot.clone(),
            names: names.collect(),
            passages: passages.collect(),
            reception: Reception::new(proxy.clone()),
            figures: self.figures.of(&told.slot, OUTSIDE),
            spans: telemetry.spans().clone(),
            seats: Arc::new(Semaphore::new(self.options.connections_max)),
        }
    }
}

impl Running {
    /// Listens for the caller. From here on its connections queue; they are served once its token is there.
    pub(crate) async fn start(ground: &Arc<Ground>, told: Caller, drain: &Drain) -> std::io::Result<Self> {
        let door = bind(told.listen).await?;
        let mut passages = Vec::with_capacity(told.tcp.len());
        for passage in &told.tcp {
            passages.push((bind(passage.listen).await?, passage.clone()));
        }
        let led = match &told.capture {
            Some(capture) => bind_both(capture.listen).await?,
            None => Vec::new(),
        };
        // Before it is read: what is written meanwhile is read again.
        let token = stamp(&told.token_file);
        let (stop, drain) = drain.child();
        let (telemetry, exporter) =
            ground.telemetry_of(told.brick.as_str(), &told.slot, &told.version, &told.zone);
        let edges = ground.callers.caller(told.brick.as_str());
        let by = brick_discovery::Caller::new(told.brick.as_str(), &told.zone, ground.telemetry.metrics());
        let proxy = Proxy::new(
            ground.proxy_options(&told.slot, Side::Inside),
            HostGate::new(told.brick.as_str(), told.secret.clone(), ground.watch.clone()),
            &telemetry,
            OwnToken::file(&told.token_file),
            drain.clone(),
        );
        proxy.follow(edges.clone());
        let passages = passages.into_iter().map(|(listener, passage)| {
            let callee = passage.to.to_string();
            let passage = tcp::Passage {
                balancer: Balancer::of(ground.watch.clone(), &callee, &by),
                figures: ground.figures.of(&told.slot, &callee),
                edges: edges.clone(),
                spans: telemetry.spans().clone(),
                idle: Duration::from_millis(passage.idle_ms),
                callee,
            };
            (listener, Arc::new(passage))
        });
        let passages: Vec<_> = passages.collect();
        let captured = told.capture.as_ref().map(|capture| {
            let ways = passages.iter().map(|(_, passage)| Arc::clone(passage));
            let captured = ground.captured(&told, capture, ways, &proxy, &telemetry);
            (led, Arc::new(captured))
        });
        let serving = tokio::spawn(serve(
            (door, passages, captured),
            proxy.clone(),
            told.token_file.clone(),
            Duration::from_millis(ground.options.drain_timeout_ms),
            drain,
            (telemetry, exporter),
        ));
        let body_bytes_max = ground.options.body_bytes_max;
        let mut running = Self {
            following: Following::new(&told, by, ground.watch.clone(), edges, body_bytes_max),
            proxy,
            token,
            stop,
            serving,
            told,
        };
        running.refresh();
        Ok(running)
    }

    /// Reads the caller's token where it was written anew. A token looks for itself once a second, which is too seldom
    /// where a caller has just been started and the token of its former life is in the file.
    pub(crate) fn identify(&mut self) {
        let now = stamp(&self.told.token_file);
        if now.is_some() && now != self.token {
            self.token = now;
            self.proxy.identify(OwnToken::file(&self.told.token_file));
        }
    }

    /// Takes over what the bus says by now.
    pub(crate) fn refresh(&mut self) {
        self.following.refresh(&self.proxy);
    }

    /// Stops taking calls; resolves when those under way are done.
    pub(crate) fn stop(self) -> JoinHandle<()> {
        self.stop.drain();
        self.serving
    }
}

type Passages = Vec<(TcpListener, Arc<tcp::Passage>)>;
type Led = (Vec<TcpListener>, Arc<Captured>);

/// Serves a caller until the drain is requested and what is under way is done.
async fn serve(
    (listener, passages, captured): (TcpListener, Passages, Option<Led>),
    proxy: Proxy<HostGate>,
    token: PathBuf,
    limit: Duration,
    drain: Drain,
    (telemetry, exporter): (Telemetry, Exporter),
) {
    for (listener, passage) in passages {
        tokio::spawn(tcp::serve(listener, passage, drain.clone()));
    }
    let (end, ending) = brick_core::drain::channel();
    let exporting = tokio::spawn(exporter.run(ending));
    token_is_there(&token, &drain).await;
    let door = Door { listener, tls: None };
    let led = async {
        if let Some((listeners, captured)) = captured {
            capture::serve(listeners, captured, limit, drain.clone()).await;
        }
    };
    tokio::join!(listener::serve(door, proxy, limit, drain.clone()), led);
    telemetry.flush(LAST_WORD).await;
    end.drain();
    let _ = exporting.await;
}

/// Resolves when the caller has a token, or had its chance: what it may not call without one refuses it.
async fn token_is_there(file: &std::path::Path, drain: &Drain) {
    let there = async {
        while !file.exists() {
            tokio::time::sleep(TOKEN_LOOK_EVERY).await;
        }
    };
    tokio::select! {
        _ = tokio::time::timeout(TOKEN_PATIENCE, there) => {}
        () = drain.requested() => {}
    }
}

pub(crate) async fn bind(addr: SocketAddr) -> std::io::Result<TcpListener> {
    let listener = TcpListener::bind(addr).await;
    listener.map_err(|error| std::io::Error::new(error.kind(), format!("cannot listen on {addr}: {error}")))
}

/// The same port of 127.0.0.1 and, where the machine has IPv6, of `::1`.
async fn bind_both(addr: SocketAddr) -> std::io::Result<Vec<TcpListener>> {
    let mut listeners = vec![bind(addr).await?];
    let six = SocketAddr::from((Ipv6Addr::LOCALHOST, addr.port()));
    let none = |error: &std::io::Error| {
        let errno = error.raw_os_error().map(Errno::from_raw_os_error);
        matches!(errno, Some(Errno::ADDRNOTAVAIL | Errno::AFNOSUPPORT))
    };
    match TcpListener::bind(six).await {
        Ok(listener) => listeners.push(listener),
        // Without the address there are no connections that would be led to it.
        Err(error) if none(&error) => {}
        Err(error) => {
            return Err(std::io::Error::new(
                error.kind(),
                format!("cannot listen on {six}: {error}"),
            ));
        }
    }
    Ok(listeners)
}
