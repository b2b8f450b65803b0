//! The gateway's task: binds, follows routes, serves three listeners, hands them over, drains.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use brick_auth::{OwnToken, Verifier};
use brick_bus::Watch;
use brick_core::Drain;
use brick_discovery::{Caller, Pools};
use brick_resilience::{Edges, report};
use brick_telemetry::Telemetry;
use brick_wire::handover;
use mortar_proxy::listener::Door;
use mortar_proxy::worker::{self, Socket, Worker};
use mortar_proxy::{Proxy, Settings, Side, SystemRoots, expose, listener, tls};
use tokio::net::UnixListener;

use crate::admin::{self, AdminGate};
use crate::edge::EdgeGate;
use crate::follow::{TIMEOUT, follow};
use crate::listeners::{self, Listeners};
use crate::options::{Error, Options, address};
use crate::settings;

/// A gateway that is bound and not running yet.
#[derive(Debug)]
pub struct Service {
    options: Options,
    edge: Vec<TcpListener>,
    edge_tls: Vec<TcpListener>,
    admin: TcpListener,
    own: TcpListener,
    watch: Watch,
    verifier: Verifier,
    telemetry: Telemetry,
    token: OwnToken,
    control: SocketAddr,
    telemetry_addr: SocketAddr,
    roots: Option<SystemRoots>,
}

/// Where a gateway listens. Cloneable.
#[derive(Debug, Clone)]
pub struct Handle {
    inner: Arc<Addresses>,
}

#[derive(Debug)]
struct Addresses {
    edge: SocketAddr,
    edge_tls: Option<SocketAddr>,
    admin: SocketAddr,
    own: SocketAddr,
}

impl Handle {
    /// The edge's address.
    pub fn edge(&self) -> SocketAddr {
        self.inner.edge
    }

    /// The edge's address with TLS, where it has one.
    pub fn edge_tls(&self) -> Option<SocketAddr> {
        self.inner.edge_tls
    }

    /// The admin listener's address.
    pub fn admin(&self) -> SocketAddr {
        self.inner.admin
    }

    /// Where the gateway's own `/info`, `/health` and `/metrics` are.
    pub fn own(&self) -> SocketAddr {
        self.inner.own
    }
}

impl Service {
    /// Takes the listeners that are given and binds the others; from here on connections queue.
    pub fn new(
        options: Options,
        listeners: Listeners,
        watch: Watch,
        verifier: Verifier,
        telemetry: Telemetry,
        token: OwnToken,
    ) -> Result<(Self, Handle), Error> {
        let control = address("control-url", &options.control_url)?;
        let telemetry_addr = address("telemetry-url", &options.telemetry_url)?;
        let edge = listeners::all_ready("edge", listeners.edge, options.edge)?;
        let edge_tls = match (listeners.edge_tls, options.edge_tls) {
            (given, Some(addr)) => listeners::all_ready("edge-tls", given, addr)?,
            (given, None) if given.is_empty() => given,
            (given, None) => listeners::all_ready("edge-tls", given, options.edge)?,
        };
        let admin = listeners::ready("admin", listeners.admin, options.admin)?;
        let own = listeners::ready("own", listeners.own, options.own)?;
        let addr = |name, listener: &TcpListener| {
            let found = listener.local_addr();
            found.map_err(|source| Error::Listener { name, source })
        };
        let inner = Arc::new(Addresses {
            edge: addr("edge", &edge[0])?,
            edge_tls: edge_tls.first().map(|l| addr("edge-tls", l)).transpose()?,
            admin: addr("admin", &admin)?,
            own: addr("own", &own)?,
        });
        let service = Self {
            options,
            edge,
            edge_tls,
            admin,
            own,
            watch,
            verifier,
            telemetry,
            token,
            control,
            telemetry_addr,
            roots: None,
        };
        Ok((service, Handle { inner }))
    }

    /// Services outside that name no authorities of their own have to be known to these.
    #[must_use]
    pub fn with_roots(self, roots: SystemRoots) -> Self {
        Self {
            roots: Some(roots),
            ..self
        }
    }

    /// Serves until the drain is requested and what is under way is done.
    pub async fn run(mut self, drain: Drain) -> Result<(), Error> {
        let pools = Pools::new(self.watch.clone());
        let gate = EdgeGate::new(self.verifier.clone(), pools, self.telemetry.metrics());
        let parts = gate.parts.clone();
        let edge_proxy = self.proxy("edge", gate, &drain);
        let port = self
            .admin
            .local_addr()
            .map_or(self.options.admin.port(), |a| a.port());
        let admin_proxy = self.proxy("admin", AdminGate::new(self.verifier.clone(), port), &drain);
        let edges = Edges::new("edge", self.watch.clone(), TIMEOUT, self.telemetry.metrics());
        edge_proxy.follow(edges.clone());
        match admin::routes(&self.options, self.control, self.telemetry_addr) {
            Ok(routes) => admin_proxy.replace(routes),
            Err(error) => tracing::error!(%error, "the admin listener has no routes"),
        }
        expose(self.telemetry.metrics(), &edge_proxy, &admin_proxy);
        let handing_over = self.hand_over(drain.clone())?;
        let drain_timeout = Duration::from_millis(self.options.drain_timeout_ms);
        let server = match self.edge_tls.is_empty() {
            true => None,
            false => Some(tls::Server::new()?),
        };
        let base = self.settings(true);
        let plain = std::mem::take(&mut self.edge);
        let secure = std::mem::take(&mut self.edge_tls);
        let mut following = pin!(follow(
            self.watch.clone(),
            edges.clone(),
            self.caller(),
            edge_proxy.clone(),
            parts,
            admin_proxy.clone(),
            self.roots,
        ));
        let mut settings = pin!(settings::follow(
            self.watch,
            edge_proxy.clone(),
            server.clone(),
            base
        ));
        begin(following.as_mut()).await;
        begin(settings.as_mut()).await;
        let workers = start(plain, secure, server.as_ref(), &edge_proxy, drain_timeout, &drain)?;
        let admin = Door {
            listener: runtime("admin", self.admin)?,
            tls: None,
        };
        let own = runtime("own", self.own)?;
        self.telemetry.health().set_ready(true);
        let ending = unready(self.telemetry.clone(), drain.clone());
        let routes = self.telemetry.routes();
        let reporting = report(&self.options, self.token, edges, drain.clone());
        let serving = async {
            let own = own_routes(own, routes, drain.clone());
            let admin = listener::serve(admin, admin_proxy, drain_timeout, drain.clone());
            let verifying = self.verifier.follow(drain.clone());
            tokio::join!(own, admin, ending, handing_over, verifying, reporting);
            Ok(())
        };
        let serving = async {
            let ended = futures_util::future::try_join_all(workers.into_iter().map(Worker::ended));
            tokio::try_join!(serving, async { ended.await.map(|_| ()) })
        };
        tokio::select! {
            ended = serving => ended.map(|_| ()).map_err(Error::Worker),
            () = following => Ok(()),
            () = settings => Ok(()),
        }
    }

    fn proxy<G: mortar_proxy::Gate>(&self, name: &str, gate: G, drain: &Drain) -> Proxy<G> {
        let options = mortar_proxy::Options {
            name: name.to_owned(),
            settings: self.settings(name == "edge"),
            trace: name == "edge",
            side: Side::Outside,
        };
        Proxy::new(options, gate, &self.telemetry, self.token.clone(), drain.clone())
    }

    /// Whom instances are picked for.
    fn caller(&self) -> Caller {
        let zone = &self.telemetry.identity().zone;
        Caller::new("edge", zone, self.telemetry.metrics())
    }

    fn settings(&self, http2: bool) -> Settings {
        Settings {
            connections_max: self.options.connections_max,
            head_timeout: Duration::from_millis(self.options.head_timeout_ms),
            idle_timeout: Duration::from_millis(self.options.idle_timeout_ms),
            slow: Duration::from_millis(self.options.slow_ms),
            http2,
            ..Settings::default()
        }
    }

    /// Gives the listeners to whoever asks for them.
    fn hand_over(&self, drain: Drain) -> Result<impl Future<Output = ()> + use<>, Error> {
        let made = match &self.options.handover_socket {
            None => None,
            Some(path) => {
                let failed = |source| Error::Handover {
                    path: path.clone(),
                    source,
                };
                let mut named = listeners::named("edge", &self.edge)?;
                named.extend(listeners::named("edge-tls", &self.edge_tls)?);
                named.extend(listeners::named("admin", std::slice::from_ref(&self.admin))?);
                Some((socket(path).map_err(failed)?, named))
            }
        };
        Ok(async move {
            if let Some((socket, named)) = made
                && let Err(error) = handover::serve(socket, named, drain).await
            {
                tracing::warn!(%error, "the listeners are no longer handed over");
            }
        })
    }
}

/// Has a task that follows the bus take over what is known already, by its snapshot: before the first connection, for
/// a gateway that takes over from another must not answer that it has no routes.
async fn begin(mut following: Pin<&mut impl Future<Output = ()>>) {
    std::future::poll_fn(|cx| {
        let _ = following.as_mut().poll(cx);
        Poll::Ready(())
    })
    .await;
}

/// Tells control how the edge's edges are, where the gateway is one that control knows.
async fn report(options: &Options, own_token: OwnToken, edges: Edges, drain: Drain) {
    if let Some(incarnation) = options.incarnation {
        let told = report::Options {
            control_url: options.control_url.clone(),
            own_token,
            incarnation,
        };
        report::run(told, edges, drain).await;
    }
}

/// One worker for each listening socket of the edge; those with TLS are spread over them.
fn start(
    plain: Vec<TcpListener>,
    secure: Vec<TcpListener>,
    server: Option<&tls::Server>,
    proxy: &Proxy<EdgeGate>,
    drain_timeout: Duration,
    drain: &Drain,
) -> Result<Vec<Worker>, Error> {
    let mut sockets: Vec<Vec<Socket>> = Vec::new();
    for listener in plain {
        sockets.push(vec![Socket { listener, tls: None }]);
    }
    let workers = sockets.len();
    for (at, listener) in secure.into_iter().enumerate() {
        sockets[at % workers].push(Socket {
            listener,
            tls: server.cloned(),
        });
    }
    let start = |(at, sockets): (usize, Vec<Socket>)| {
        let started = worker::start(format!("edge-{at}"), sockets, proxy, drain_timeout, drain.clone());
        started.map_err(Error::Thread)
    };
    sockets.into_iter().enumerate().map(start).collect()
}

/// A socket that a dead process left behind is replaced.
fn socket(path: &Path) -> io::Result<UnixListener> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    UnixListener::bind(path)
}

fn runtime(name: &'static str, listener: TcpListener) -> Result<tokio::net::TcpListener, Error> {
    tokio::net::TcpListener::from_std(listener).map_err(|source| Error::Listener { name, source })
}

async fn unready(telemetry: Telemetry, drain: Drain) {
    drain.requested().await;
    telemetry.health().set_ready(false);
}

async fn own_routes(listener: tokio::net::TcpListener, routes: axum::Router, drain: Drain) {
    let stop = async move { drain.requested().await };
    if let Err(error) = axum::serve(listener, routes).with_graceful_shutdown(stop).await {
        tracing::warn!(%error, "the gateway's own routes are no longer served");
    }
}
