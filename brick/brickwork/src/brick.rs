//! The brick: everything it was given, in one handle.

mod table;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use brick_auth::{OwnToken, TRUST_BUNDLE, Verifier};
use brick_bus::{Source, Watch};
use brick_config::{Config, Failed, Live, Sources};
use brick_core::{Drain, Trigger, drain};
use brick_http::{Access, Client, Clients, ClientsOptions, Server, ServerOptions};
use brick_resilience::report;
use brick_state::{Database, Migration, Sessions};
use brick_telemetry::{LogTarget, Telemetry, health, metrics};
use parking_lot::Mutex;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::flags::{Flag, Flags};
use crate::follow::Follower;
use crate::token::{self, UserToken};
use crate::{Contract, Error};

/// How long the start waits for the first word of the bus.
const FIRST_WORD: Duration = Duration::from_secs(2);
/// How long the services that end last (bus, export) may take.
const LAST_WORD: Duration = Duration::from_secs(3);
/// Largest request body that is taken unless the builder says otherwise.
const BODY_BYTES_MAX: usize = 1024 * 1024;

/// A brick: who it is, whom it may call, what it tells. Cheap to clone; handlers hold a clone.
#[derive(Debug, Clone)]
pub struct Brick(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    contract: Contract,
    vars: Vec<(String, String)>,
    args: Vec<String>,
    body_bytes_max: usize,
    telemetry: Telemetry,
    watch: Watch,
    own_token: OwnToken,
    verifier: Verifier,
    live: Live,
    flags: Flags,
    /// Why the brick must not go on, where that is so.
    failed: Arc<OnceLock<Failed>>,
    clients: Clients,
    control: brick_wire::Client,
    /// Asks the server to stop.
    stop: Trigger,
    stopping: Drain,
    /// Asks bus and export to stop, after the server has.
    end: Trigger,
    tasks: Mutex<JoinSet<()>>,
}

/// What a brick is made of, for those who make it otherwise than from the environment: the test kit, and programs that
/// run several bricks in one process.
#[derive(Debug, Clone)]
pub struct Parts {
    /// Who it is.
    pub contract: Contract,
    /// The environment, for its configuration.
    pub vars: Vec<(String, String)>,
    /// The arguments, for its configuration; without the program's name.
    pub args: Vec<String>,
    /// What is known of the bus. With none the brick follows control itself.
    pub watch: Option<Watch>,
    /// Its own token. With none it is read from the contract's file.
    pub own_token: Option<OwnToken>,
    /// Where log lines go.
    pub log: LogTarget,
    /// Version of the brick's package, shown by `/info`.
    pub package_version: String,
    /// Version of the brick's API, shown by `/info`.
    pub api_version: String,
    /// Largest request body in bytes.
    pub body_bytes_max: usize,
}

/// Says what the environment cannot, before the brick is made: see [`Brick::builder`].
#[derive(Debug, Clone)]
pub struct Builder {
    package_version: String,
    api_version: String,
    body_bytes_max: usize,
}

impl Builder {
    /// Version of the brick's package, shown by `/info`: `env!("CARGO_PKG_VERSION")`.
    #[must_use]
    pub fn package_version(mut self, version: &str) -> Self {
        version.clone_into(&mut self.package_version);
        self
    }

    /// Version of the brick's API, shown by `/info`; `v1` unless said.
    #[must_use]
    pub fn api_version(mut self, version: &str) -> Self {
        version.clone_into(&mut self.api_version);
        self
    }

    /// Largest request body in bytes; 1 MiB unless said.
    #[must_use]
    pub fn body_bytes_max(mut self, bytes: usize) -> Self {
        self.body_bytes_max = bytes;
        self
    }

    /// Makes the brick from environment and arguments, and becomes the process's subscriber of `tracing`.
    pub async fn from_env(self) -> Result<Brick, Error> {
        let vars: Vec<(String, String)> = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        let mut args = std::env::args_os().map(|arg| arg.to_string_lossy().into_owned());
        let program = args.next().unwrap_or_default();
        let brick = Brick::from_parts(Parts {
            contract: Contract::read(&vars, &program)?,
            args: args.collect(),
            vars,
            watch: None,
            own_token: None,
            log: LogTarget::Stdout,
            package_version: self.package_version,
            api_version: self.api_version,
            body_bytes_max: self.body_bytes_max,
        });
        brick.telemetry().install()?;
        brick.hear_first_word().await;
        Ok(brick)
    }
}

impl Brick {
    /// Makes the brick from environment and arguments: call it first in `main`, once. Where the environment names no
    /// control plane the brick runs alone, on `PORT` or any free one; then only public routes can be called.
    pub async fn from_env() -> Result<Self, Error> {
        Self::builder().from_env().await
    }

    /// Says what the environment cannot: versions of package and API, the largest body.
    pub fn builder() -> Builder {
        Builder {
            package_version: String::new(),
            api_version: "v1".to_owned(),
            body_bytes_max: BODY_BYTES_MAX,
        }
    }

    /// Makes the brick from its parts and starts what works in the background. Must be called inside a runtime.
    pub fn from_parts(parts: Parts) -> Self {
        let Parts {
            contract, vars, args, ..
        } = parts;
        let (telemetry, exporter) = Telemetry::new(brick_telemetry::Options {
            identity: contract.identity(&parts.package_version, &parts.api_version),
            otlp_endpoint: contract.otlp_endpoint.clone(),
            filter: contract.log_filter.clone(),
            log: parts.log,
        });
        let (stop, stopping) = drain::channel();
        let (end, ending) = drain::channel();
        let mut tasks = JoinSet::new();
        tasks.spawn(exporter.run(ending.clone()));
        let own_token = parts.own_token.unwrap_or_else(|| {
            contract
                .token_file
                .as_ref()
                .map_or_else(OwnToken::none, OwnToken::file)
        });
        let watch = match (parts.watch, &contract.control_url) {
            (Some(watch), _) => watch,
            (None, None) => Watch::fixed(Vec::new()),
            (None, Some(url)) => {
                let (service, watch) =
                    brick_bus::Service::new(bus_options(&contract, url, own_token.clone()));
                tasks.spawn(service.run(ending.clone()));
                watch
            }
        };
        let verifier = Verifier::new(watch.clone());
        let followed = verifier.clone();
        let until = ending.clone();
        tasks.spawn(async move { followed.follow(until).await });
        let live = Live::new(watch.clone(), contract.brick.as_str());
        let failed = Arc::new(OnceLock::new());
        let told = (live.clone(), Arc::clone(&failed));
        let follower = Follower::new(told, &contract, &telemetry, &watch, &stop);
        tasks.spawn(follower.run(ending.clone()));
        let flags = Flags::new(&contract, &vars, &telemetry, &watch, &verifier);
        tasks.spawn(flags.clone().follow(ending.clone()));
        let clients = Clients::new(ClientsOptions {
            watch: watch.clone(),
            own_token: own_token.clone(),
            telemetry: telemetry.clone(),
            brick: contract.brick.to_string(),
        });
        if let Some(told) = report_options(&contract, &own_token) {
            tasks.spawn(report::run(told, clients.edges().clone(), ending.clone()));
        }
        Self(Arc::new(Inner {
            contract,
            vars,
            args,
            body_bytes_max: parts.body_bytes_max,
            telemetry,
            watch,
            own_token,
            verifier,
            live,
            flags,
            failed,
            clients,
            control: brick_wire::Client::new(),
            stop,
            stopping,
            end,
            tasks: Mutex::new(tasks),
        }))
    }

    /// The brick's configuration: defaults, manifest, files (`--config=FILE`), live changes, environment, arguments.
    /// It follows live changes by itself.
    pub fn config<T>(&self) -> Result<Config<T>, Error>
    where
        T: DeserializeOwned + Serialize + Default + Send + Sync + 'static,
    {
        self.config_checked(|_| Ok(()))
    }

    /// The same with a check of the brick's own, at start and before every live change.
    pub fn config_checked<T>(
        &self,
        check: impl Fn(&T) -> Result<(), String> + Send + Sync + 'static,
    ) -> Result<Config<T>, Error>
    where
        T: DeserializeOwned + Serialize + Default + Send + Sync + 'static,
    {
        let files = self.0.args.iter().filter_map(|arg| arg.strip_prefix("--config="));
        let sources = Sources {
            files: files.map(Into::into).collect(),
            env: self.0.vars.clone(),
            injected: self.0.contract.injected.clone(),
            args: self.0.args.clone(),
            brick: self.0.contract.brick.to_string(),
            ..Sources::default()
        };
        let config = Config::load_checked(sources, Some(self.0.watch.clone()), check)?;
        self.0.live.join(&config);
        Ok(config)
    }

    /// The brick's own database (`DATABASE_URL`), brought to the last of these migrations. It is part of the brick's
    /// readiness, and its figures are in `/metrics`.
    pub async fn state(&self, migrations: &'static [Migration]) -> Result<Database, Error> {
        let url = self
            .0
            .contract
            .database_url
            .clone()
            .ok_or_else(|| Error::NoDatabase {
                brick: self.0.contract.brick.to_string(),
            })?;
        let db = Database::open(brick_state::Options::new(url, migrations)).await?;
        let checked = db.clone();
        self.health().component("state", move || {
            let db = checked.clone();
            async move { db.ping().await.map_err(|error| error.to_string()) }
        });
        let counted = db.clone();
        self.metrics()
            .collect(move |out| tell_stats(out, &counted.stats()));
        Ok(db)
    }

    /// HTTP sessions in a database of this brick; one ends when it was not used for `ttl`.
    pub async fn sessions(&self, db: &Database, ttl: Duration) -> Result<Sessions, Error> {
        Ok(Sessions::open(db, ttl).await?)
    }

    /// A client to a brick that this one `needs`: discovered, balanced, in the trace and for the user of the request
    /// that is being served.
    pub fn client(&self, brick: &str) -> Client {
        self.0.clients.client(brick)
    }

    /// A client to a service outside the system: named on the map, without discovery, and told nothing of the user.
    pub fn external(&self, name: &str, url: &str) -> Client {
        self.0.clients.external(name, url)
    }

    /// Where the brick registers its metrics.
    pub fn metrics(&self) -> &metrics::Registry {
        self.0.telemetry.metrics()
    }

    /// Where the brick names its parts and dependencies.
    pub fn health(&self) -> &health::Health {
        self.0.telemetry.health()
    }

    /// A feature flag, evaluated in process as control says now; `default` counts where nobody says anything. It is shown
    /// in `/info`.
    pub fn flag<T: Serialize>(&self, key: &str, default: T) -> Flag<T> {
        self.0.flags.handle(key, default)
    }

    /// Asks control for a token that speaks for a user: for the brick that signs users in. The manifest must grant it
    /// `identity:issue`.
    pub async fn issue_user_token(&self, subject: &str, scopes: &[&str]) -> Result<UserToken, Error> {
        let control_url = self.0.contract.control_url.as_deref().ok_or(Error::Alone {
            what: "issuing a user's token",
        })?;
        token::exchange(&self.0.control, control_url, &self.0.own_token, subject, scopes).await
    }

    /// Who this brick is.
    pub fn contract(&self) -> &Contract {
        &self.0.contract
    }

    /// What it tells.
    pub fn telemetry(&self) -> &Telemetry {
        &self.0.telemetry
    }

    /// What it knows of the bus.
    pub fn watch(&self) -> &Watch {
        &self.0.watch
    }

    /// Who may call it.
    pub fn verifier(&self) -> &Verifier {
        &self.0.verifier
    }

    /// Resolves (and says) that the brick is to stop: for work in the background.
    pub fn drain(&self) -> Drain {
        self.0.stopping.clone()
    }

    /// Stops the brick as SIGTERM would.
    pub fn stop(&self) {
        self.0.stop.drain();
    }

    /// Serves on 127.0.0.1 and `PORT` until SIGTERM or SIGINT, then drains: unready, no new connections, requests in
    /// flight finished, telemetry sent. Returns when all of that is done.
    pub async fn serve(self, access: Access) -> Result<(), Error> {
        let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, self.0.contract.port));
        let listener = TcpListener::bind(addr)
            .await
            .map_err(|source| Error::Listen { addr, source })?;
        let stop = self.0.stop.clone();
        let signals = tokio::spawn(async move {
            stop_signal().await;
            stop.drain();
        });
        let served = self.serve_on(listener, access).await;
        signals.abort();
        served
    }

    /// The same on a listener that the caller bound, until [`Brick::stop`].
    pub async fn serve_on(self, listener: TcpListener, access: Access) -> Result<(), Error> {
        let inner = &self.0;
        if let Ok(addr) = listener.local_addr() {
            let alone = inner.contract.is_alone();
            tracing::info!(%addr, alone, "{} serves on http://{addr}", inner.contract.slot);
        }
        let (telemetry, verifier) = (inner.telemetry.clone(), inner.verifier.clone());
        let server = Server::new(ServerOptions {
            body_bytes_max: inner.body_bytes_max,
            edges: Some(inner.clients.edges().clone()),
            ..ServerOptions::new(telemetry, verifier, inner.contract.brick.as_str())
        });
        self.health().set_ready(true);
        server.serve(listener, access, inner.stopping.clone()).await;
        inner.stop.drain();
        self.end().await;
        match inner.failed.get() {
            Some(failed) => Err(failed.clone().into()),
            None => Ok(()),
        }
    }

    /// Lets the services that serve the others end: what they hold is sent first.
    async fn end(&self) {
        self.0.end.drain();
        let mut tasks = std::mem::take(&mut *self.0.tasks.lock());
        let all = async { while tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(LAST_WORD, all).await.is_err() {
            tracing::warn!("not everything that was told could be sent before the end");
        }
    }

    /// Keys and configuration come over the bus; what starts before them would refuse every user and read old values.
    async fn hear_first_word(&self) {
        if self.0.contract.is_alone() {
            return;
        }
        let mut watch = self.0.watch.clone();
        let heard = watch.wait_for(TRUST_BUNDLE, FIRST_WORD).await;
        if heard.is_none() {
            tracing::warn!("control says nothing yet; going on, tokens are refused until it does");
        } else if watch.state().source == Source::Snapshot {
            tracing::info!("control says nothing yet; going on with what it said last");
        }
    }
}

fn report_options(contract: &Contract, own_token: &OwnToken) -> Option<report::Options> {
    Some(report::Options {
        control_url: contract.control_url.clone()?,
        own_token: own_token.clone(),
        incarnation: contract.incarnation,
    })
}

fn bus_options(contract: &Contract, control_url: &str, own_token: OwnToken) -> brick_bus::Options {
    let (brick, incarnation) = (&contract.brick, contract.incarnation);
    brick_bus::Options {
        control_url: control_url.to_owned(),
        resources: vec![
            format!("config/{brick}"),
            format!("prepare/{brick}"),
            format!("log/{brick}"),
            format!("flags/{brick}"),
            format!("limits/{brick}->*"),
            format!("faults/{brick}->*"),
            format!("serve/{brick}"),
            "endpoints/*".to_owned(),
            "pools/*".to_owned(),
            TRUST_BUNDLE.to_owned(),
        ],
        snapshot: contract.snapshot_file(),
        token: Arc::new(move || own_token.of(incarnation).map(|token| token.to_string())),
        incarnation,
    }
}

fn tell_stats(out: &mut metrics::Encoder, stats: &brick_state::Stats) {
    out.counter(
        "brick_state_writes_total",
        "closures that wrote",
        stats.writes as f64,
    );
    out.counter(
        "brick_state_undone_total",
        "closures that were undone",
        stats.undone as f64,
    );
    out.counter(
        "brick_state_commits_total",
        "commits, each of one or many closures",
        stats.commits as f64,
    );
    let seconds = stats.commit_time.as_secs_f64();
    out.counter(
        "brick_state_commit_seconds_total",
        "time spent in commits",
        seconds,
    );
    out.gauge(
        "brick_state_queue",
        "closures that wait to write",
        stats.queued as f64,
    );
}

/// SIGTERM or SIGINT. Where neither can be heard the brick is stopped from within alone.
async fn stop_signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let heard = async |kind: SignalKind| match signal(kind) {
        Ok(mut signal) => {
            signal.recv().await;
        }
        Err(error) => {
            tracing::error!(%error, "a signal cannot be heard");
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        () = heard(SignalKind::terminate()) => {}
        () = heard(SignalKind::interrupt()) => {}
    }
}
