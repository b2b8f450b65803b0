//! *Bulkhead*: so many calls to one callee at once and no more, so that a slow callee cannot fill its caller.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::gradient::Gradient;
use crate::policy::Concurrency;

/// The bulkhead of one edge.
#[derive(Debug)]
pub struct Bulkhead {
    in_flight: AtomicU32,
    queued: AtomicU32,
    /// What the policy or the gradient lets through.
    limit: AtomicU32,
    gradient: Mutex<Gradient>,
    freed: Notify,
}

/// No place, and none in the queue or not in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full {
    /// Calls that may be under way.
    pub limit: u32,
}

impl Bulkhead {
    /// An empty one.
    pub fn new(policy: Concurrency) -> Self {
        let bulkhead = Self {
            in_flight: AtomicU32::new(0),
            queued: AtomicU32::new(0),
            limit: AtomicU32::new(policy.max),
            gradient: Mutex::default(),
            freed: Notify::new(),
        };
        bulkhead.apply(policy);
        bulkhead
    }

    /// Takes a place, where one is free.
    pub fn try_enter(&self) -> Result<(), Full> {
        let limit = self.limit();
        let entered = self
            .in_flight
            .fetch_update(Ordering::AcqRel, Ordering::Relaxed, |taken| {
                (taken < limit).then_some(taken + 1)
            });
        entered.map(drop).map_err(|_| Full { limit })
    }

    /// Takes a place, waiting for one as the policy allows but no longer than `most`.
    pub async fn enter(&self, policy: Concurrency, most: Duration) -> Result<(), Full> {
        match self.try_enter() {
            Ok(()) => Ok(()),
            // Seldom, and large with its timer: the future of every call would be.
            Err(full) => Box::pin(self.wait(full, policy, most)).await,
        }
    }

    async fn wait(&self, full: Full, policy: Concurrency, most: Duration) -> Result<(), Full> {
        let queued = self
            .queued
            .fetch_update(Ordering::AcqRel, Ordering::Relaxed, |queued| {
                (queued < policy.queue).then_some(queued + 1)
            });
        if queued.is_err() {
            return Err(full);
        }
        let _leaves = Leaves(self);
        let place = async {
            loop {
                // A notice that nobody took is passed on when the wait is given up.
                let freed = self.freed.notified();
                if self.try_enter().is_ok() {
                    return;
                }
                freed.await;
            }
        };
        tokio::time::timeout(policy.wait.min(most), place)
            .await
            .map_err(|_| full)
    }

    /// Gives a place back.
    pub fn leave(&self) {
        self.in_flight.fetch_sub(1, Ordering::AcqRel);
        if self.queued.load(Ordering::Acquire) > 0 {
            self.freed.notify_one();
        }
    }

    /// Takes one latency into account, where the limit follows them. `dropped` says that the callee had no room.
    pub fn note(&self, policy: Concurrency, latency: Duration, dropped: bool) {
        if !policy.adaptive {
            return;
        }
        let limit = self
            .gradient
            .lock()
            .note(latency, dropped, self.in_flight(), policy.max);
        self.widen(limit);
    }

    /// Takes over another policy. Those that are under way stay.
    pub fn apply(&self, policy: Concurrency) {
        let limit = if policy.adaptive {
            let mut gradient = self.gradient.lock();
            *gradient = Gradient::default();
            gradient.note(Duration::ZERO, false, 0, policy.max)
        } else {
            policy.max
        };
        self.widen(limit);
    }

    fn widen(&self, limit: u32) {
        if self.limit.swap(limit, Ordering::AcqRel) < limit && self.queued.load(Ordering::Acquire) > 0 {
            self.freed.notify_waiters();
        }
    }

    /// Calls under way.
    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Calls that may be under way.
    pub fn limit(&self) -> u32 {
        self.limit.load(Ordering::Relaxed)
    }
}

/// Leaves the queue when dropped.
struct Leaves<'a>(&'a Bulkhead);

impl Drop for Leaves<'_> {
    fn drop(&mut self) {
        self.0.queued.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;
    use tokio::time::Instant;

    use super::*;

    fn policy(max: u32, queue: u32) -> Concurrency {
        Concurrency {
            max,
            queue,
            wait: Duration::from_millis(100),
            adaptive: false,
        }
    }

    const LONG: Duration = Duration::from_secs(60);

    proptest! {
        #[test]
        fn never_more_than_the_limit_are_inside(max in 1_u32..20, steps in prop::collection::vec(any::<bool>(), 0..300)) {
            let bulkhead = Bulkhead::new(policy(max, 0));
            let mut inside = 0;
            for enter in steps {
                if enter {
                    let entered = bulkhead.try_enter();
                    prop_assert_eq!(entered.is_ok(), inside < max);
                    inside += u32::from(entered.is_ok());
                } else if inside > 0 {
                    bulkhead.leave();
                    inside -= 1;
                }
                prop_assert_eq!(bulkhead.in_flight(), inside);
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn one_waits_for_a_place_another_in_vain_and_a_third_not_at_all() {
        let bulkhead = Arc::new(Bulkhead::new(policy(1, 2)));
        bulkhead.try_enter().unwrap();
        let wait = |bulkhead: Arc<Bulkhead>| async move {
            let begun = Instant::now();
            (bulkhead.enter(policy(1, 2), LONG).await, begun.elapsed())
        };
        let first = tokio::spawn(wait(Arc::clone(&bulkhead)));
        let second = tokio::spawn(wait(Arc::clone(&bulkhead)));
        tokio::task::yield_now().await;
        assert_eq!(
            wait(Arc::clone(&bulkhead)).await,
            (Err(Full { limit: 1 }), Duration::ZERO)
        );
        bulkhead.leave();
        let mut ended = [first.await.unwrap(), second.await.unwrap()];
        ended.sort_by_key(|(_, waited)| *waited);
        assert_eq!(ended[0].0, Ok(()));
        assert_eq!(ended[1].0, Err(Full { limit: 1 }));
        assert!(ended[1].1 >= Duration::from_millis(100));
        assert_eq!(
            (bulkhead.in_flight(), bulkhead.queued.load(Ordering::Relaxed)),
            (1, 0)
        );
    }

    #[tokio::test]
    async fn many_tasks_take_turns_and_none_is_forgotten() {
        let bulkhead = Arc::new(Bulkhead::new(policy(3, 100)));
        let most = Arc::new(AtomicU32::new(0));
        let tasks: Vec<_> = (0..100)
            .map(|_| {
                let (bulkhead, most) = (Arc::clone(&bulkhead), Arc::clone(&most));
                tokio::spawn(async move {
                    let patient = Concurrency {
                        wait: LONG,
                        ..policy(3, 100)
                    };
                    bulkhead.enter(patient, LONG).await.unwrap();
                    most.fetch_max(bulkhead.in_flight(), Ordering::Relaxed);
                    tokio::task::yield_now().await;
                    bulkhead.leave();
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!((most.load(Ordering::Relaxed), bulkhead.in_flight()), (3, 0));
    }
}
