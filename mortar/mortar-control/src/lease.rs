//! Leases: who was heard of lately. They live in memory alone, for a restarted control gives everybody a whole one.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use brick_core::{Drain, Incarnation};
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::service::Handle;
use crate::state::{Action, State};

mod sight;

/// How often leases are looked at; one that runs out is noticed at most this much later.
const LOOK: Duration = Duration::from_millis(100);
/// Leases that are settled at one look.
const SETTLED_MAX: usize = 64;

/// The leases by incarnation.
#[derive(Debug, Default)]
pub(crate) struct Leases {
    held: Mutex<HashMap<Incarnation, Lease>>,
    /// Those that are kept although there is no sign of life, since most are lost sight of.
    kept: Mutex<Kept>,
    pub(crate) expired: AtomicU64,
    pub(crate) rescued: AtomicU64,
}

#[derive(Debug, Default)]
struct Kept {
    /// Whether control preserves what it knows.
    preserving: bool,
    instances: BTreeSet<Incarnation>,
}

#[derive(Debug, Clone, Copy)]
struct Lease {
    until: Instant,
    ttl: Duration,
}

impl Leases {
    /// A whole lease for everybody in the state.
    pub(crate) fn extend_all(&self, state: &State) {
        self.follow(&State::default(), state);
    }

    /// Leases begin with new instances and end with those that are gone.
    pub(crate) fn follow(&self, old: &State, new: &State) {
        let mut held = self.held.lock();
        let now = Instant::now();
        held.retain(|incarnation, _| new.instances.contains_key(incarnation));
        for (incarnation, one) in &new.instances {
            let ttl = one.ttl();
            if !old.instances.contains_key(incarnation) || !held.contains_key(incarnation) {
                held.insert(
                    *incarnation,
                    Lease {
                        until: now + ttl,
                        ttl,
                    },
                );
            }
        }
    }

    /// Renews a lease; false where there is none.
    pub(crate) fn renew(&self, incarnation: Incarnation, ttl: Option<Duration>) -> bool {
        let mut held = self.held.lock();
        let Some(lease) = held.get_mut(&incarnation) else {
            return false;
        };
        lease.ttl = ttl.unwrap_or(lease.ttl);
        lease.until = Instant::now() + lease.ttl;
        drop(held);
        self.kept.lock().instances.remove(&incarnation);
        true
    }

    /// Whether the instance is kept although there is no sign of life.
    pub(crate) fn keeps(&self, incarnation: Incarnation) -> bool {
        self.kept.lock().instances.contains(&incarnation)
    }

    /// How many are kept so.
    pub(crate) fn kept(&self) -> usize {
        self.kept.lock().instances.len()
    }

    /// Whether control lost sight of most instances and keeps them.
    pub(crate) fn is_preserving(&self) -> bool {
        self.kept.lock().preserving
    }

    /// Gives it another lease, though nobody renewed it; whether it was none that is kept before.
    fn keep(&self, incarnation: Incarnation) -> bool {
        if let Some(lease) = self.held.lock().get_mut(&incarnation) {
            lease.until = Instant::now() + lease.ttl;
        }
        self.kept.lock().instances.insert(incarnation)
    }

    /// Control lost sight of most.
    fn preserve(&self, lost: usize, of: usize) {
        if !std::mem::replace(&mut self.kept.lock().preserving, true) {
            tracing::error!(
                lost,
                of,
                "control has lost sight of most instances at once: it keeps them until they are heard of again; an \
                 instance that is known to be gone is deregistered"
            );
        }
    }

    /// Enough of them were heard of again: from now on an instance that is not leaves when its lease runs out.
    fn settle(&self) {
        let all = self.len();
        let mut kept = self.kept.lock();
        if !kept.preserving {
            return;
        }
        {
            let held = self.held.lock();
            kept.instances
                .retain(|incarnation| held.contains_key(incarnation));
        }
        if !sight::is_most(kept.instances.len(), all) {
            kept.preserving = false;
            kept.instances.clear();
            tracing::warn!("control hears of most instances again: those that it does not hear of leave");
        }
    }

    /// How long the lease still is.
    pub(crate) fn left(&self, incarnation: Incarnation) -> Duration {
        let held = self.held.lock();
        let lease = held.get(&incarnation);
        lease.map_or(Duration::ZERO, |lease| {
            lease.until.saturating_duration_since(Instant::now())
        })
    }

    pub(crate) fn len(&self) -> usize {
        self.held.lock().len()
    }

    fn over(&self) -> Vec<Incarnation> {
        let now = Instant::now();
        let held = self.held.lock();
        let over = held.iter().filter(|(_, lease)| lease.until <= now);
        over.map(|(incarnation, _)| *incarnation)
            .take(SETTLED_MAX)
            .collect()
    }

    /// Those of which nothing was heard for two thirds of their lease: two renewals of three.
    fn late(&self) -> Vec<Incarnation> {
        let now = Instant::now();
        let held = self.held.lock();
        let late = held
            .iter()
            .filter(|(_, lease)| lease.until <= now + lease.ttl / 3);
        late.map(|(incarnation, _)| *incarnation).collect()
    }

    fn is_over(&self, incarnation: Incarnation) -> bool {
        let held = self.held.lock();
        held.get(&incarnation)
            .is_some_and(|lease| lease.until <= Instant::now())
    }
}

/// Looks after leases until the drain is requested. An instance whose lease ran out is looked for: it stays in its pool,
/// unsupervised, for as long as there is a sign of life, and leaves it otherwise, unless most are lost sight of at once.
pub(crate) async fn watch(handle: Handle, drain: Drain) {
    let mut look = tokio::time::interval(LOOK);
    look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = look.tick() => {}
            () = drain.requested() => return,
        }
        let over = handle.leases().over();
        if !over.is_empty() {
            let state = handle.state();
            let (alive, lost) = sight::look_for(&handle, &state, over).await;
            for incarnation in alive {
                answered(&handle, &state, incarnation).await;
            }
            let preserves = sight::is_lost(&handle, &state, &lost).await;
            for incarnation in lost {
                silent(&handle, &state, incarnation, preserves).await;
            }
        }
        handle.leases().settle();
    }
}

/// Its lease ran out, and it answers.
async fn answered(handle: &Handle, state: &State, incarnation: Incarnation) {
    let (leases, Some(one)) = (handle.leases(), state.instances.get(&incarnation)) else {
        return;
    };
    // It may have been renewed while it was looked for.
    if !leases.is_over(incarnation) {
        return;
    }
    leases.renew(incarnation, None);
    leases.rescued.fetch_add(1, Ordering::Relaxed);
    if one.supervised {
        let slot = one.instance.slot_name();
        tracing::warn!(slot, %incarnation, "nobody renews the lease of this instance, but it answers: it stays");
        wish(handle, &slot, Action::Unsupervised(incarnation)).await;
    }
}

/// Its lease ran out, and there is no sign of life.
async fn silent(handle: &Handle, state: &State, incarnation: Incarnation, preserves: bool) {
    let (leases, Some(one)) = (handle.leases(), state.instances.get(&incarnation)) else {
        return;
    };
    if !leases.is_over(incarnation) {
        return;
    }
    let slot = one.instance.slot_name();
    if preserves {
        if leases.keep(incarnation) {
            tracing::warn!(slot, %incarnation, "control has lost sight of this instance, as of most: it is kept");
        }
        return;
    }
    leases.expired.fetch_add(1, Ordering::Relaxed);
    tracing::warn!(slot, %incarnation, "the lease of this instance ran out and it does not answer: it leaves");
    wish(handle, &slot, Action::Remove(incarnation)).await;
}

async fn wish(handle: &Handle, slot: &str, action: Action) {
    if let Err(error) = handle.wish(action).await {
        tracing::warn!(
            slot,
            error = brick_core::chain(&error),
            "a lease that ran out cannot be settled yet"
        );
    }
}
