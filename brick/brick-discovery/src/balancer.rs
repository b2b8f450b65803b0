//! The balancer of one brick.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use brick_bus::limits::By;
use brick_bus::pool::Sticky;
use brick_bus::{Endpoint, Endpoints, Follower, Pool, Resource, Watch};
use brick_core::{Incarnation, Version};
use parking_lot::Mutex;
use rand::RngExt as _;
use serde::Deserialize as _;
use tokio::time::Instant;

use crate::caller::{Caller, Figures};
use crate::lead::{Lead, To};
use crate::load::Load;
use choose::{Ask, Turn};
use policy::Policy;
use snapshot::{Snapshot, Tracked, hash};

mod choose;
mod policy;
mod snapshot;

/// Picks instances of one brick. Cheap to clone; clones share what they learn.
#[derive(Debug, Clone)]
pub struct Balancer(Arc<Inner>);

#[derive(Debug)]
pub(crate) struct Inner {
    brick: String,
    /// Of `endpoints/<brick>`, which `snapshot` is made from.
    follower: Follower,
    snapshot: ArcSwap<Snapshot>,
    /// Of `pools/<brick>`, which `pool` is read from.
    rules: Follower,
    pool: ArcSwapOption<Pool>,
    /// Of `limits/<caller>-><brick>`, which `policy` is read from; none where nobody in particular calls.
    limits: Option<Follower>,
    policy: ArcSwap<Policy>,
    /// The caller's zone.
    zone: Option<String>,
    turn: Turn,
    figures: Figures,
    /// Copies of requests under way.
    shadows: Arc<AtomicUsize>,
    /// Held while it is decided whether an instance is ejected: the floor is for all of them.
    ejecting: Mutex<()>,
}

/// An instance that was picked, counted as one request in flight until its guard is dropped.
#[derive(Debug)]
pub struct Pick {
    /// Where to send the request.
    pub endpoint: Arc<Endpoint>,
    /// Says how it went.
    pub guard: Guard,
}

/// Counts one request in flight until it is dropped; keep it until the answer's body has ended.
#[derive(Debug)]
pub struct Guard {
    load: Arc<Load>,
    /// Whether it is of a copy, which counts as in flight and says nothing else.
    aside: bool,
}

impl Balancer {
    /// Follows `endpoints/<brick>` of this watch, for nobody in particular: picks as where limits say nothing.
    pub fn new(watch: Watch, brick: &str) -> Self {
        Self::made(watch, brick, None, None, Figures::default())
    }

    /// The same for a caller: picks as the limits of its edge say, prefers its zone where they do, counts in its name.
    pub fn of(watch: Watch, brick: &str, caller: &Caller) -> Self {
        let edge = format!("{}->{brick}", caller.name());
        let limits = Follower::new(watch.clone(), format!("limits/{edge}"));
        let zone = caller.zone().to_owned();
        Self::made(watch, brick, Some(limits), Some(zone), caller.figures(&edge))
    }

    fn made(
        watch: Watch,
        brick: &str,
        limits: Option<Follower>,
        zone: Option<String>,
        figures: Figures,
    ) -> Self {
        Self(Arc::new(Inner {
            brick: brick.to_owned(),
            rules: Follower::new(watch.clone(), format!("pools/{brick}")),
            pool: ArcSwapOption::empty(),
            follower: Follower::new(watch, format!("endpoints/{brick}")),
            snapshot: ArcSwap::default(),
            limits,
            policy: ArcSwap::default(),
            zone,
            turn: Turn::default(),
            figures,
            shadows: Arc::default(),
            ejecting: Mutex::default(),
        }))
    }

    /// The brick's name.
    pub fn brick(&self) -> &str {
        &self.0.brick
    }

    /// An instance for one request; none where none is up.
    pub fn pick(&self) -> Option<Pick> {
        self.pick_excluding(&[])
    }

    /// An instance that is none of these, for a second attempt; none where no other is up.
    pub fn pick_excluding(&self, tried: &[Incarnation]) -> Option<Pick> {
        self.choose(tried, None, None)
    }

    /// An instance of one of these versions that is none of `tried`: the version is drawn by weight, among those of
    /// which an instance is left, so that the share of a version that is gone goes to the others.
    pub fn pick_split(&self, weights: &[(Version, u32)], tried: &[Incarnation], lead: &Lead) -> Option<Pick> {
        self.refresh();
        let snapshot = self.0.snapshot.load();
        let weight = |(version, weight): &(Version, u32)| match snapshot.has(version, tried) {
            true => u64::from(*weight),
            false => 0,
        };
        let total: u64 = weights.iter().map(weight).sum();
        let mut left = rand::rng().random_range(0..total.max(1));
        let drawn = weights
            .iter()
            .find(|entry| match left.checked_sub(weight(entry)) {
                Some(rest) => {
                    left = rest;
                    false
                }
                None => true,
            });
        let (version, _) = drawn?;
        self.choose(tried, Some(version), lead.key)
    }

    /// An instance as the request is led that is none of `tried`: of its version where one is left, else any.
    pub fn pick_led(&self, lead: &Lead, tried: &[Incarnation]) -> Option<Pick> {
        match &lead.to {
            To::Any => self.choose(tried, None, lead.key),
            To::Version(version) if lead.aside => {
                self.choose(tried, Some(version), lead.key).map(Pick::aside)
            }
            To::Version(version) => self
                .choose(tried, Some(version), lead.key)
                .or_else(|| self.choose(tried, None, lead.key)),
            To::Instance(incarnation) if tried.contains(incarnation) => None,
            To::Instance(incarnation) => self.pick_incarnation(*incarnation),
            To::Nobody => None,
        }
    }

    fn choose(&self, tried: &[Incarnation], version: Option<&Version>, key: Option<u64>) -> Option<Pick> {
        self.refresh();
        let (inner, snapshot, policy) = (&*self.0, self.0.snapshot.load(), self.0.policy.load());
        let ask = Ask {
            tried,
            version,
            key,
            zone: inner.zone.as_deref(),
            now: Instant::now(),
        };
        let chosen = snapshot.choose(&ask, &policy, &inner.turn, &inner.figures, &mut rand::rng());
        chosen.map(Tracked::pick)
    }

    /// Hash of what a request has of the balancer's key, where it has one; `of` looks it up.
    pub(crate) fn policy_key(&self, of: impl FnOnce(&Sticky) -> Option<String>) -> Option<u64> {
        self.0.refresh_policy();
        let policy = self.0.policy.load();
        match (policy.by, &policy.key) {
            (By::ConsistentHash, Some(key)) => of(key).map(|value| hash(value.as_bytes())),
            _ => None,
        }
    }

    /// The instance of this name (`order-2`, `payment-v2-1`), one that is quarantined among them.
    pub fn named(&self, name: &str) -> Lead {
        let all = self.endpoints();
        let found = all
            .iter()
            .find(|endpoint| endpoint.own_name(&self.0.brick) == name);
        let to = found.map_or(To::Nobody, |endpoint| To::Instance(endpoint.incarnation));
        to.into()
    }

    /// Whether an instance of the version is up.
    pub fn is_up(&self, version: &Version) -> bool {
        self.refresh();
        self.0.snapshot.load().has(version, &[])
    }

    /// Whether any instance may be picked.
    pub fn has_any(&self) -> bool {
        self.refresh();
        let snapshot = self.0.snapshot.load();
        snapshot
            .tracked
            .iter()
            .any(|tracked| !tracked.endpoint.quarantined)
    }

    /// Where requests go that nothing else leads; none where no operator says anything.
    pub(crate) fn pool(&self) -> Option<Arc<Pool>> {
        self.0.rules.refresh(|resource| self.0.adopt_pool(resource));
        self.0.pool.load_full()
    }

    /// How many copies of requests are under way, and where they are counted.
    pub(crate) fn shadows(&self) -> (&Arc<AtomicUsize>, &Figures) {
        (&self.0.shadows, &self.0.figures)
    }

    /// This very instance, where it is in the set.
    pub fn pick_incarnation(&self, incarnation: Incarnation) -> Option<Pick> {
        self.pick_where(|endpoint| endpoint.incarnation == incarnation)
    }

    /// The instance in this slot, where one is up.
    pub fn pick_slot(&self, slot: u32) -> Option<Pick> {
        self.pick_where(|endpoint| endpoint.slot == slot)
    }

    /// The present set, in order of slot.
    pub fn endpoints(&self) -> Vec<Arc<Endpoint>> {
        self.refresh();
        let snapshot = self.0.snapshot.load();
        snapshot
            .tracked
            .iter()
            .map(|tracked| Arc::clone(&tracked.endpoint))
            .collect()
    }

    /// Whether the bus has told of this brick at all. False for a name that is not among what the caller `needs`, and
    /// before the first snapshot.
    pub fn is_known(&self) -> bool {
        self.refresh();
        self.0.snapshot.load().known
    }

    /// Waits until an instance is up, at most for `limit`; whether one is.
    pub async fn wait_ready(&self, limit: Duration) -> bool {
        let mut watch = self.0.follower.watch().clone();
        let some_up = async {
            while !self.has_any() {
                watch.changed().await;
            }
        };
        tokio::time::timeout(limit, some_up).await.is_ok()
    }

    fn refresh(&self) {
        let inner = &self.0;
        inner.refresh_policy();
        inner.follower.refresh(|resource| inner.adopt(resource, &self.0));
    }

    fn pick_where(&self, wanted: impl Fn(&Endpoint) -> bool) -> Option<Pick> {
        self.refresh();
        let snapshot = self.0.snapshot.load();
        snapshot
            .tracked
            .iter()
            .find(|tracked| wanted(&tracked.endpoint))
            .map(Tracked::pick)
    }
}

impl Pick {
    /// For a copy of a request.
    fn aside(mut self) -> Self {
        self.guard.aside = true;
        self
    }
}

impl Guard {
    /// The answer came (or failed) after `latency`; the request no longer counts as in flight. `ok` is false where the
    /// instance, not the request, was at fault: no answer, or a status of 500 and above.
    pub fn done(self, latency: Duration, ok: bool) {
        self.observe(latency, ok);
    }

    /// Like [`Guard::done`] when the head of the answer came, while its body still counts as in flight.
    pub fn observe(&self, latency: Duration, ok: bool) {
        if self.aside {
            return;
        }
        let now = Instant::now();
        if self.load.observe(latency, ok, now) > 0
            && let Some(home) = self.load.home().upgrade()
        {
            home.failed(&self.load, now);
        }
    }

    /// The instance could not be connected to: it is avoided for a second, unless all are.
    pub fn connect_failed(self) {
        if !self.aside {
            self.load.avoid(Instant::now());
        }
    }

    /// Requests in flight at this instance from here, this one included.
    pub fn in_flight(&self) -> u32 {
        self.load.in_flight()
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.load.end();
    }
}

impl Inner {
    /// Reads the policy anew where the limits changed. One atomic load where nothing did.
    fn refresh_policy(&self) {
        if let Some(limits) = &self.limits {
            limits.refresh(|resource| match Policy::read(resource) {
                Ok(policy) => self.policy.store(Arc::new(policy)),
                Err(error) => tracing::warn!(
                    resource = limits.name(),
                    error,
                    "how instances are picked is refused, the last good way stays in use"
                ),
            });
        }
    }

    /// An instance failed once more: it is left out where that were enough failures, unless too many are.
    fn failed(&self, load: &Arc<Load>, now: Instant) {
        let policy = self.policy.load();
        let Some(eject) = &policy.eject else { return };
        if !load.has_failed(eject.failures) {
            return;
        }
        let _one = self.ejecting.lock();
        let snapshot = self.snapshot.load();
        let (members, out) = snapshot.ejected(now);
        let Some(tracked) = snapshot.of(load).filter(|_| !load.is_ejected(now)) else {
            return;
        };
        let slot = tracked.endpoint.slot_name(&self.brick);
        if f64::from(out + 1) > f64::from(members) * eject.max_share {
            self.figures.kept.inc();
            load.forgive();
            return;
        }
        load.eject(Duration::from_millis(eject.for_ms), now);
        self.figures.ejected.inc();
        tracing::warn!(
            slot,
            failures = eject.failures,
            "an instance fails again and again: it gets no requests for a while"
        );
    }

    fn adopt_pool(&self, resource: Option<&Resource>) {
        let Some(resource) = resource else {
            self.pool.store(None);
            return;
        };
        match Pool::deserialize(&resource.value) {
            Ok(pool) => self.pool.store(Some(Arc::new(pool))),
            Err(error) => tracing::warn!(
                resource = self.rules.name(), revision = resource.revision, %error,
                "the rules of a pool are refused, the last good ones stay in use"
            ),
        }
    }

    /// Builds the snapshot anew.
    fn adopt(&self, resource: Option<&Resource>, own: &Arc<Self>) {
        let Some(resource) = resource else {
            self.snapshot.store(Arc::default());
            return;
        };
        match Endpoints::deserialize(&resource.value) {
            Ok(endpoints) => {
                let home = Arc::downgrade(own);
                let next = self
                    .snapshot
                    .load()
                    .next(&self.brick, endpoints, Instant::now(), &home);
                self.snapshot.store(Arc::new(next));
            }
            Err(error) => tracing::warn!(
                resource = self.follower.name(), revision = resource.revision, %error,
                "an endpoint set is refused, the last good one stays in use"
            ),
        }
    }
}

#[cfg(test)]
mod tests;
