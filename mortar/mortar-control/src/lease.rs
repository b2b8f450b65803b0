//! Leases: who was heard of lately. They live in memory alone, for a restarted control gives everybody a whole one.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use brick_core::{Drain, Incarnation};
use parking_lot::Mutex;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::service::Handle;
use crate::state::{Action, State};

/// How often leases are looked at; one that runs out is noticed at most this much later.
const LOOK: Duration = Duration::from_millis(100);
/// How long an instance may take to accept the connection by which it is probed.
const PROBE: Duration = Duration::from_millis(500);
/// Probes at the same time.
const PROBES_MAX: usize = 64;

/// The leases by incarnation.
#[derive(Debug, Default)]
pub(crate) struct Leases {
    held: Mutex<HashMap<Incarnation, Lease>>,
    pub(crate) expired: AtomicU64,
    pub(crate) rescued: AtomicU64,
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
        true
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
            .take(PROBES_MAX)
            .collect()
    }

    fn is_over(&self, incarnation: Incarnation) -> bool {
        let held = self.held.lock();
        held.get(&incarnation)
            .is_some_and(|lease| lease.until <= Instant::now())
    }
}

/// Looks after leases until the drain is requested. An instance whose lease ran out is probed: it stays in its pool,
/// unsupervised, for as long as it answers, and leaves it otherwise.
pub(crate) async fn watch(handle: Handle, drain: Drain) {
    let mut look = tokio::time::interval(LOOK);
    look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = look.tick() => {}
            () = drain.requested() => return,
        }
        let state = handle.state();
        let mut probes = JoinSet::new();
        for incarnation in handle.leases().over() {
            if let Some(one) = state.instances.get(&incarnation) {
                let addr = one.instance.addr;
                probes.spawn(async move { (incarnation, answers(addr).await) });
            }
        }
        while let Some(probed) = probes.join_next().await {
            if let Ok((incarnation, alive)) = probed {
                settle(&handle, &state, incarnation, alive).await;
            }
        }
    }
}

async fn answers(addr: SocketAddr) -> bool {
    matches!(
        tokio::time::timeout(PROBE, TcpStream::connect(addr)).await,
        Ok(Ok(_))
    )
}

async fn settle(handle: &Handle, state: &Arc<State>, incarnation: Incarnation, alive: bool) {
    let leases = handle.leases();
    let Some(one) = state.instances.get(&incarnation) else {
        return;
    };
    // It may have been renewed while it was probed.
    if !leases.is_over(incarnation) {
        return;
    }
    let slot = one.instance.slot_name();
    let action = if alive {
        leases.renew(incarnation, None);
        leases.rescued.fetch_add(1, Ordering::Relaxed);
        if !one.supervised {
            return;
        }
        tracing::warn!(slot, %incarnation, "nobody renews the lease of this instance, but it answers: it stays");
        Action::Unsupervised(incarnation)
    } else {
        leases.expired.fetch_add(1, Ordering::Relaxed);
        tracing::warn!(slot, %incarnation, "the lease of this instance ran out and it does not answer: it leaves");
        Action::Remove(incarnation)
    };
    if let Err(error) = handle.wish(action).await {
        tracing::warn!(slot, %incarnation, error = brick_core::chain(&error), "a lease that ran out cannot be settled yet");
    }
}
