//! The balancer of one brick.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use brick_bus::{Endpoint, Endpoints, Follower, Pool, Resource, Watch};
use brick_core::{Incarnation, Version};
use rand::{Rng, RngExt as _};
use serde::Deserialize as _;
use tokio::time::Instant;

use crate::lead::Lead;
use crate::load::{FIRST_ESTIMATE, Load};

/// The second choice wins only where it costs this much less: within it the two are equal, and the toss decides.
const CLEARLY_BETTER: f64 = 0.7;

/// Picks instances of one brick. Cheap to clone; clones share what they learn.
#[derive(Debug, Clone)]
pub struct Balancer(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    brick: String,
    /// Of `endpoints/<brick>`, which `snapshot` is made from.
    follower: Follower,
    snapshot: ArcSwap<Snapshot>,
    /// Of `pools/<brick>`, which `pool` is read from.
    rules: Follower,
    pool: ArcSwapOption<Pool>,
}

#[derive(Debug, Default)]
struct Snapshot {
    /// In order of slot.
    tracked: Vec<Tracked>,
    known: bool,
}

#[derive(Debug, Clone)]
struct Tracked {
    endpoint: Arc<Endpoint>,
    load: Arc<Load>,
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
pub struct Guard(Arc<Load>);

impl Balancer {
    /// Follows `endpoints/<brick>` of this watch.
    pub fn new(watch: Watch, brick: &str) -> Self {
        Self(Arc::new(Inner {
            brick: brick.to_owned(),
            rules: Follower::new(watch.clone(), format!("pools/{brick}")),
            pool: ArcSwapOption::empty(),
            follower: Follower::new(watch, format!("endpoints/{brick}")),
            snapshot: ArcSwap::default(),
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
        self.0.refresh();
        let snapshot = self.0.snapshot.load();
        snapshot
            .choose(tried, None, Instant::now(), &mut rand::rng())
            .map(Tracked::pick)
    }

    /// An instance of one of these versions that is none of `tried`: the version is drawn by weight, among those of
    /// which an instance is left, so that the share of a version that is gone goes to the others.
    pub fn pick_split(&self, weights: &[(Version, u32)], tried: &[Incarnation]) -> Option<Pick> {
        self.0.refresh();
        let snapshot = self.0.snapshot.load();
        let rng = &mut rand::rng();
        let weight = |(version, weight): &(Version, u32)| match snapshot.has(version, tried) {
            true => u64::from(*weight),
            false => 0,
        };
        let total: u64 = weights.iter().map(weight).sum();
        let mut left = rng.random_range(0..total.max(1));
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
        snapshot
            .choose(tried, Some(version), Instant::now(), rng)
            .map(Tracked::pick)
    }

    /// An instance as the request is led that is none of `tried`: of its version where one is left, else any.
    pub fn pick_led(&self, lead: &Lead, tried: &[Incarnation]) -> Option<Pick> {
        match lead {
            Lead::Any => self.pick_excluding(tried),
            Lead::Version(version) => {
                self.0.refresh();
                let snapshot = self.0.snapshot.load();
                let own = snapshot.choose(tried, Some(version), Instant::now(), &mut rand::rng());
                own.map(Tracked::pick).or_else(|| self.pick_excluding(tried))
            }
            Lead::Instance(incarnation) if tried.contains(incarnation) => None,
            Lead::Instance(incarnation) => self.pick_incarnation(*incarnation),
            Lead::Nobody => None,
        }
    }

    /// The instance of this name (`order-2`, `payment-v2-1`), one that is quarantined among them.
    pub fn named(&self, name: &str) -> Lead {
        let all = self.endpoints();
        let found = all
            .iter()
            .find(|endpoint| endpoint.own_name(&self.0.brick) == name);
        found.map_or(Lead::Nobody, |endpoint| Lead::Instance(endpoint.incarnation))
    }

    /// Whether an instance of the version is up.
    pub fn is_up(&self, version: &Version) -> bool {
        self.0.refresh();
        self.0.snapshot.load().has(version, &[])
    }

    /// Whether any instance may be picked.
    pub fn has_any(&self) -> bool {
        self.0.refresh();
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
        self.0.refresh();
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
        self.0.refresh();
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

    fn pick_where(&self, wanted: impl Fn(&Endpoint) -> bool) -> Option<Pick> {
        self.0.refresh();
        let snapshot = self.0.snapshot.load();
        snapshot
            .tracked
            .iter()
            .find(|tracked| wanted(&tracked.endpoint))
            .map(Tracked::pick)
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
        self.0.observe(latency, ok, Instant::now());
    }

    /// The instance could not be connected to: it is avoided for a second, unless all are.
    pub fn connect_failed(self) {
        let now = Instant::now();
        self.0.avoid(now);
    }

    /// Requests in flight at this instance from here, this one included.
    pub fn in_flight(&self) -> u32 {
        self.0.in_flight()
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.end();
    }
}

impl Tracked {
    fn pick(&self) -> Pick {
        self.load.begin();
        Pick {
            endpoint: Arc::clone(&self.endpoint),
            guard: Guard(Arc::clone(&self.load)),
        }
    }
}

impl Snapshot {
    /// Power of two choices among those that may be picked: not tried yet, of some weight, and not recently failed to
    /// connect unless all have.
    fn choose(
        &self,
        tried: &[Incarnation],
        version: Option<&Version>,
        now: Instant,
        rng: &mut impl Rng,
    ) -> Option<&Tracked> {
        let open = |tracked: &&Tracked| {
            let endpoint = &tracked.endpoint;
            endpoint.weight > 0
                && !endpoint.quarantined
                && !tried.contains(&endpoint.incarnation)
                && version.is_none_or(|version| endpoint.version == *version)
        };
        let well = |tracked: &&Tracked| open(tracked) && !tracked.load.is_avoided(now);
        if self.tracked.iter().any(|tracked| well(&tracked)) {
            two_choices(self.tracked.iter().filter(well), now, rng)
        } else {
            two_choices(self.tracked.iter().filter(open), now, rng)
        }
    }

    /// Whether an instance of the version may be picked.
    fn has(&self, version: &Version, tried: &[Incarnation]) -> bool {
        self.tracked.iter().any(|tracked| {
            let endpoint = &tracked.endpoint;
            endpoint.weight > 0
                && !endpoint.quarantined
                && endpoint.version == *version
                && !tried.contains(&endpoint.incarnation)
        })
    }

    /// What was learnt of an incarnation stays; a new one starts as well as the best known.
    fn next(&self, endpoints: Endpoints, now: Instant) -> Self {
        let old: HashMap<Incarnation, &Tracked> = self
            .tracked
            .iter()
            .map(|tracked| (tracked.endpoint.incarnation, tracked))
            .collect();
        let best = self
            .tracked
            .iter()
            .map(|tracked| tracked.load.estimate_ns(now))
            .min_by(f64::total_cmp);
        let first = best.map_or(FIRST_ESTIMATE, |ns| Duration::from_nanos(ns as u64));
        let mut tracked: Vec<Tracked> = endpoints
            .instances
            .into_iter()
            .map(|endpoint| Tracked {
                load: match old.get(&endpoint.incarnation) {
                    Some(old) => Arc::clone(&old.load),
                    None => Arc::new(Load::new(first, now)),
                },
                endpoint: Arc::new(endpoint),
            })
            .collect();
        tracked.sort_by_key(|tracked| tracked.endpoint.slot);
        Self { tracked, known: true }
    }
}

/// Draws two by weight and takes the cheaper; the one drawn first where neither is clearly cheaper.
fn two_choices<'a>(
    candidates: impl Iterator<Item = &'a Tracked> + Clone,
    now: Instant,
    rng: &mut impl Rng,
) -> Option<&'a Tracked> {
    let first = draw(candidates.clone(), rng)?;
    let others = candidates.filter(|other| !std::ptr::eq(*other, first));
    let Some(second) = draw(others, rng) else {
        return Some(first);
    };
    let cost = |tracked: &Tracked| tracked.load.cost(tracked.endpoint.weight, now);
    if cost(second) < cost(first) * CLEARLY_BETTER {
        Some(second)
    } else {
        Some(first)
    }
}

fn draw<'a>(
    candidates: impl Iterator<Item = &'a Tracked> + Clone,
    rng: &mut impl Rng,
) -> Option<&'a Tracked> {
    let weight = |tracked: &Tracked| u64::from(tracked.endpoint.weight);
    let total: u64 = candidates.clone().map(weight).sum();
    if total == 0 {
        return None;
    }
    let mut left = rng.random_range(0..total);
    for candidate in candidates {
        match left.checked_sub(weight(candidate)) {
            Some(rest) => left = rest,
            None => return Some(candidate),
        }
    }
    None
}

impl Inner {
    /// Builds the snapshot anew where the set changed since. One atomic load where nothing did.
    fn refresh(&self) {
        self.follower.refresh(|resource| self.adopt(resource));
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

    fn adopt(&self, resource: Option<&Resource>) {
        let Some(resource) = resource else {
            self.snapshot.store(Arc::default());
            return;
        };
        match Endpoints::deserialize(&resource.value) {
            Ok(endpoints) => {
                let next = self.snapshot.load().next(endpoints, Instant::now());
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
