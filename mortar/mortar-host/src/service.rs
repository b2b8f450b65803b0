//! The host proxy's task: follows who calls, and what the bus says of their edges.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use brick_auth::{OwnToken, Verifier};
use brick_bus::Watch;
use brick_core::Drain;
use brick_core::host::Host;
use brick_resilience::{Callers, report};
use brick_telemetry::Telemetry;
use mortar_proxy::tls::file::{Stamp, stamp};
use mortar_proxy::{Proxy, expose_calls};
use parking_lot::Mutex;
use tokio::task::JoinSet;

use crate::caller::{Ground, Running};
use crate::figures::Figures;
use crate::file::read;
use crate::gate::HostGate;
use crate::served::Serving;
use crate::{Error, Options};

/// How often the file is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(50);
const SWEEP_EVERY: Duration = Duration::from_secs(5);
/// Time limit of calls of which the bus says none; the manifest's own default.
const TIMEOUT: Duration = Duration::from_secs(1);

/// A host proxy that is bound and not running yet.
#[derive(Debug)]
pub struct Service {
    own: TcpListener,
    ground: Arc<Ground>,
    token: OwnToken,
    proxies: Arc<Mutex<Vec<Proxy<HostGate>>>>,
}

/// Where a host proxy's own routes are. Cloneable.
#[derive(Debug, Clone)]
pub struct Handle {
    own: SocketAddr,
}

type Led = Arc<Mutex<BTreeMap<String, SocketAddr>>>;

/// Everybody who calls.
#[derive(Debug)]
struct Everybody {
    ground: Arc<Ground>,
    drain: Drain,
    stamp: Stamp,
    wanted: Host,
    /// Whether what runs is not what is wanted yet.
    unsettled: bool,
    running: BTreeMap<String, Running>,
    serving: BTreeMap<String, Serving>,
    verifier: Verifier,
    /// Those that still finish what is under way.
    ending: JoinSet<()>,
    proxies: Arc<Mutex<Vec<Proxy<HostGate>>>>,
    /// Where instances serve to which requests are led by now, for whoever waits for it.
    led: Led,
    /// What was said last of what cannot be done.
    said: String,
}

impl Handle {
    /// Where the proxy's own `/info`, `/health` and `/metrics` are.
    pub fn own(&self) -> SocketAddr {
        self.own
    }
}

impl Service {
    /// Binds the listener of the proxy's own routes.
    ///
    /// # Errors
    /// The address is taken, or not ours.
    pub fn new(
        options: Options,
        watch: Watch,
        telemetry: Telemetry,
        token: OwnToken,
    ) -> Result<(Self, Handle), Error> {
        let addr = options.own;
        let bound = TcpListener::bind(addr).and_then(|listener| {
            listener.set_nonblocking(true)?;
            let own = listener.local_addr()?;
            Ok((listener, own))
        });
        let (listener, own) = bound.map_err(|source| Error::Bind { addr, source })?;
        let proxies: Arc<Mutex<Vec<Proxy<HostGate>>>> = Arc::default();
        let shown = Arc::clone(&proxies);
        expose_calls(telemetry.metrics(), move || shown.lock().clone());
        let ground = Ground {
            callers: Callers::new(watch.clone(), TIMEOUT, telemetry.metrics()),
            figures: Figures::new(telemetry.metrics()),
            options,
            watch,
            telemetry,
        };
        let service = Self {
            own: listener,
            ground: Arc::new(ground),
            token,
            proxies,
        };
        Ok((service, Handle { own }))
    }

    /// Takes calls until the drain is requested and those under way are done.
    ///
    /// # Errors
    /// The listener of its own routes is of no use.
    pub async fn run(self, drain: Drain) -> Result<(), Error> {
        let addr = self.ground.options.own;
        let listener = tokio::net::TcpListener::from_std(self.own);
        let listener = listener.map_err(|source| Error::Bind { addr, source })?;
        let telemetry = self.ground.telemetry.clone();
        let led = Led::default();
        let routes = own(&telemetry, &led);
        let verifier = Verifier::new(self.ground.watch.clone());
        let reporting = reports(&self.ground, self.token, drain.clone());
        let mut everybody = Everybody {
            ground: self.ground,
            drain: drain.clone(),
            stamp: None,
            wanted: Host::default(),
            unsettled: false,
            running: BTreeMap::new(),
            serving: BTreeMap::new(),
            verifier: verifier.clone(),
            ending: JoinSet::new(),
            proxies: self.proxies,
            led,
            said: String::new(),
        };
        everybody.look().await;
        telemetry.health().set_ready(true);
        let following = async {
            everybody.follow().await;
            telemetry.health().set_ready(false);
            everybody.finish().await;
        };
        let answering = own_routes(listener, routes, drain.clone());
        tokio::join!(answering, reporting, verifier.follow(drain.clone()), following);
        Ok(())
    }
}

impl Everybody {
    async fn follow(&mut self) {
        let mut watch = self.ground.watch.clone();
        let drain = self.drain.clone();
        let mut look = tokio::time::interval(LOOK_EVERY);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut sweep = tokio::time::interval(SWEEP_EVERY);
        loop {
            tokio::select! {
                () = drain.requested() => return,
                _ = look.tick() => self.look().await,
                _ = sweep.tick() => {
                    self.running.values().for_each(|one| one.proxy.sweep());
                    self.serving.values().for_each(Serving::sweep);
                }
                _ = watch.changed() => {
                    self.running.values_mut().for_each(Running::refresh);
                    self.serving.values_mut().for_each(|one| one.refresh());
                }
            }
            while self.ending.try_join_next().is_some() {}
        }
    }

    /// Reads the file where it changed, and starts and stops what it says.
    async fn look(&mut self) {
        let path = self.ground.options.file.clone();
        let stamp = stamp(&path);
        if stamp.is_some() && stamp != self.stamp {
            match read(&path) {
                Ok(wanted) => (self.wanted, self.stamp, self.unsettled) = (wanted, stamp, true),
                Err(reason) => self.say(reason),
            }
        }
        self.running.values_mut().for_each(Running::identify);
        if std::mem::take(&mut self.unsettled) {
            self.settle().await;
            self.settle_served().await;
        }
    }

    /// Makes what runs what is wanted. What cannot be listened for now is tried again at the next look.
    async fn settle(&mut self) {
        let wanted = &self.wanted.callers;
        let gone = self.running.iter().filter(|(_, one)| !wanted.contains(&one.told));
        let gone: Vec<String> = gone.map(|(slot, _)| slot.clone()).collect();
        let missing = wanted.iter().filter(|told| {
            let running = self.running.get(&told.slot);
            running.is_none_or(|one| one.told != **told)
        });
        let missing: Vec<_> = missing.cloned().collect();
        for slot in gone {
            if let Some(one) = self.running.remove(&slot) {
                let ended = one.stop();
                self.ending.spawn(async move { drop(ended.await) });
            }
        }
        for told in missing {
            let slot = told.slot.clone();
            match Running::start(&self.ground, told, &self.drain).await {
                Ok(one) => {
                    tracing::info!(caller = slot, listen = %one.told.listen, "takes calls");
                    self.running.insert(slot, one);
                }
                Err(error) => self.not_settled(format!("calls of {slot} are not taken: {error}")),
            }
        }
        let named = |name: &str| self.running.values().any(|one| one.told.brick.as_str() == name);
        self.ground.callers.retain(named);
        *self.proxies.lock() = self.running.values().map(|one| one.proxy.clone()).collect();
    }

    /// The same for those that stand behind the proxy.
    async fn settle_served(&mut self) {
        let wanted = self.wanted.served.clone();
        let gone = self.serving.extract_if(.., |slot, one| {
            let told = wanted.iter().find(|told| told.slot == *slot);
            told.is_none_or(|told| *told != one.told && !one.moves_to(told))
        });
        let gone: Vec<Serving> = gone.map(|(_, one)| one).collect();
        for one in gone {
            let ended = one.stop();
            self.ending.spawn(async move { drop(ended.await) });
        }
        for told in wanted {
            if self.serving.contains_key(&told.slot) {
                continue;
            }
            let slot = told.slot.clone();
            match Serving::start(&self.ground, &self.verifier, told, &self.drain).await {
                Ok(one) => {
                    tracing::info!(brick = slot, listen = %one.told.listen, "takes requests");
                    self.serving.insert(slot, one);
                }
                Err(error) => self.not_settled(format!("requests to {slot} are not taken: {error}")),
            }
        }
        let led = self.serving.iter().map(|(slot, one)| (slot.clone(), one.told.to));
        *self.led.lock() = led.collect();
    }

    fn not_settled(&mut self, reason: String) {
        self.unsettled = true;
        self.say(reason);
    }

    /// Once as long as it is the same.
    fn say(&mut self, reason: String) {
        if self.said != reason {
            tracing::warn!(reason, "what the agent says cannot be done; it is tried again");
            self.said = reason;
        }
    }

    /// Waits for what is under way.
    async fn finish(mut self) {
        let calls = std::mem::take(&mut self.running).into_values().map(Running::stop);
        let served = std::mem::take(&mut self.serving).into_values().map(Serving::stop);
        for ended in calls.chain(served) {
            self.ending.spawn(async move { drop(ended.await) });
        }
        while self.ending.join_next().await.is_some() {}
    }
}

/// Tells control how the callers' edges are, where the proxy is one that control knows.
fn reports(ground: &Ground, own_token: OwnToken, drain: Drain) -> impl Future<Output = ()> + use<> {
    let told = ground.options.incarnation.map(|incarnation| report::Options {
        control_url: ground.options.control_url.clone(),
        own_token,
        incarnation,
    });
    let callers = ground.callers.clone();
    async move {
        if let Some(told) = told {
            report::run(told, callers, drain).await;
        }
    }
}

/// What every process answers, and `/served`: where requests are led by now, by slot.
fn own(telemetry: &Telemetry, led: &Led) -> axum::Router {
    let led = Arc::clone(led);
    let served = move || {
        let now = led.lock().clone();
        async move { axum::Json(now) }
    };
    axum::Router::new()
        .route("/served", axum::routing::get(served))
        .fallback_service(telemetry.routes())
}

async fn own_routes(listener: tokio::net::TcpListener, routes: axum::Router, drain: Drain) {
    let stop = async move { drain.requested().await };
    if let Err(error) = axum::serve(listener, routes).with_graceful_shutdown(stop).await {
        tracing::warn!(%error, "the proxy's own routes are no longer served");
    }
}
