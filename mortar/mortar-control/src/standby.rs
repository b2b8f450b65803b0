//! A process that stands by: it tells its subscribers what another one publishes, hands every other request to that
//! one, and leads when it is gone.
//!
//! All that it knows of the system is in the store, which it follows. Revisions and epoch are the leader's, so a
//! subscriber may come from there and go on here. Nothing here writes.

mod forward;

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::routing::{get, post};
use brick_auth::Verifier;
use brick_core::Drain;
use brick_http::{Access, Json, Problem};
use brick_telemetry::Telemetry;
use brick_wire::Client;
use futures_util::StreamExt as _;
use http::HeaderMap;
use parking_lot::RwLock;
use tokio::sync::Mutex;
use tokio::time::{Instant, MissedTickBehavior};

use crate::api::bus::{Watching, watch};
use crate::bus::Bus;
use crate::options::PeerToken;
use crate::peers::{FOLLOWERS, Followers, Hello, LetGo, SCOPE, SENT, STANDBYS, Told, Whom};
use crate::store::Store;
use crate::{Error, Options, metrics};
use forward::Forward;

/// How often the lead is asked for: so long nobody leads when a leader died.
const ASK: Duration = Duration::from_millis(500);
/// The store is read at least so often, whether or not it told of news.
const LOOK: Duration = Duration::from_secs(1);
const WAIT_MAX: Duration = Duration::from_secs(10);

/// Stands by.
pub struct Standby {
    watching: Watching,
    upstream: Arc<Upstream>,
    peer_token: Option<PeerToken>,
    /// Where this process is reached.
    at: SocketAddr,
    leader: Leader,
    http: Client,
}

/// The store that the bus follows.
pub(crate) struct Upstream {
    store: Arc<dyn Store>,
    /// What was stored is published once, in order, whoever asks for it.
    turn: Mutex<()>,
}

/// Where the leader is reached, as far as that is known.
#[derive(Debug, Clone, Default)]
struct Leader(Arc<RwLock<Option<SocketAddr>>>);

impl Leader {
    fn at(&self) -> Option<SocketAddr> {
        *self.0.read()
    }
}

impl Standby {
    /// Reads what is published.
    pub async fn open(
        options: &Options,
        store: Arc<dyn Store>,
        verifier: Verifier,
        at: SocketAddr,
        telemetry: &Telemetry,
    ) -> Result<Self, Error> {
        let state = store.load().await?;
        let bus = Arc::new(Bus::new(options, &state));
        let turn = Mutex::new(());
        let upstream = Arc::new(Upstream { store, turn });
        let standby = Self {
            watching: Watching {
                bus,
                verifier,
                upstream: Some(Arc::clone(&upstream)),
            },
            upstream,
            peer_token: options.peer_token.clone(),
            at,
            leader: Leader::default(),
            http: Client::new(),
        };
        standby.find_leader().await?;
        metrics::register_standby(telemetry.metrics(), &standby.watching.bus);
        let (leader, bus) = (standby.leader.clone(), Arc::clone(&standby.watching.bus));
        telemetry.health().dependency("leading control", move || {
            let known = bus.is_led() || leader.at().is_some();
            async move {
                let hint = "no control leads: changes wait until one does";
                known.then_some(()).ok_or_else(|| hint.to_owned())
            }
        });
        Ok(standby)
    }

    /// The bus is served here; every other request goes to the leader, which asks who may make it.
    pub fn access(&self) -> Access {
        let own = Router::new()
            .route("/bus/v1/watch", get(watch))
            .route(FOLLOWERS, post(followers))
            .route(SENT, post(sent))
            .with_state(self.watching.clone());
        let rest = Router::new()
            .fallback(forward::forward)
            .with_state(Forward::new(self.leader.clone(), self.at));
        Access::new().public(own.merge(rest))
    }

    /// Follows the store until this process leads (then it is true) or the drain is requested. Every stream has ended
    /// then.
    pub async fn run(&self, drain: Drain) -> bool {
        let mut news = self.upstream.store.news();
        let mut look = tokio::time::interval(LOOK);
        let mut ask = tokio::time::interval(ASK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ask.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut works = true;
        let leads = loop {
            let outcome = tokio::select! {
                () = drain.requested() => break false,
                Some(()) = news.next() => self.look().await,
                _ = look.tick() => {
                    self.say_hello().await;
                    self.look().await
                }
                _ = ask.tick() => match self.upstream.store.lead(self.at).await {
                    Ok(true) => break true,
                    Ok(false) => Ok(()),
                    Err(error) => Err(error),
                },
            };
            match &outcome {
                Err(error) if works => tracing::error!(
                    error = brick_core::chain(error),
                    "the store cannot be read: what was read last stays in force"
                ),
                Ok(()) if !works => tracing::info!("the store can be read again"),
                _ => {}
            }
            works = outcome.is_ok();
        };
        self.watching.bus.close();
        leads
    }

    /// The bus, up to date, for the process that leads now.
    pub(crate) async fn into_bus(self) -> Result<Arc<Bus>, Error> {
        self.upstream.catch_up(&self.watching.bus).await?;
        self.watching.bus.lead();
        Ok(self.watching.bus)
    }

    async fn look(&self) -> Result<(), Error> {
        self.upstream.catch_up(&self.watching.bus).await?;
        self.find_leader().await
    }

    async fn find_leader(&self) -> Result<(), Error> {
        let found = self.upstream.store.leader().await?;
        // An address of its own is of a life before.
        *self.leader.0.write() = found.filter(|at| *at != self.at);
        Ok(())
    }

    /// The leader asks whoever it heard of. One that is gone is not told; its successor will be.
    async fn say_hello(&self) {
        let (Some(leader), Some(token)) = (self.leader.at(), &self.peer_token) else {
            return;
        };
        let call = self.http.post(format!("http://{leader}{STANDBYS}"));
        let call = call.bearer(&token().unwrap_or_default()).timeout(LOOK);
        let said = call.json_body(&Hello { at: self.at }).send().await;
        match said.and_then(brick_wire::client::Response::success) {
            Ok(_) => {}
            Err(error) => tracing::debug!(
                %leader,
                error = brick_core::chain(&error),
                "the leading control was not told that this one stands by"
            ),
        }
    }
}

impl fmt::Debug for Standby {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Standby")
            .field("at", &self.at)
            .field("leader", &self.leader)
            .finish_non_exhaustive()
    }
}

impl Upstream {
    /// Publishes what was stored since.
    pub(crate) async fn catch_up(&self, bus: &Bus) -> Result<(), Error> {
        let _turn = self.turn.lock().await;
        let (epoch, revision) = bus.position();
        let since = self.store.since(revision).await?;
        match since.changes {
            Some(changes) if since.epoch == epoch => {
                if !changes.is_empty() {
                    bus.publish(&changes)?;
                }
            }
            _ => bus.reset(&self.store.load().await?),
        }
        Ok(())
    }
}

impl fmt::Debug for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upstream").finish_non_exhaustive()
    }
}

async fn followers(
    State(Watching { bus, verifier, .. }): State<Watching>,
    headers: HeaderMap,
    body: Result<Json<Whom>, Problem>,
) -> Result<Json<Followers>, Problem> {
    verifier.platform_bearer(&headers, &[SCOPE])?;
    let Json(Whom { name }) = body?;
    let items = match name {
        Some(name) => bus.followers(&name),
        None => bus.connected(),
    };
    Ok(Json(Followers { items }))
}

async fn sent(
    State(Watching { bus, verifier, .. }): State<Watching>,
    headers: HeaderMap,
    body: Result<Json<Told>, Problem>,
) -> Result<Json<LetGo>, Problem> {
    verifier.platform_bearer(&headers, &[SCOPE])?;
    let Json(Told {
        name,
        revision,
        wait_ms,
    }) = body?;
    let end = Instant::now() + Duration::from_millis(wait_ms).min(WAIT_MAX);
    let told = tokio::time::timeout_at(end, bus.sent(&name, revision)).await;
    Ok(Json(LetGo { let_go: told.is_ok() }))
}

#[cfg(test)]
mod tests;
