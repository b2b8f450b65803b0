//! One fetch for many: requests that miss the same answer wait for the first of them, for a bounded time, and go on
//! themselves where it brought nothing that they may use.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::watch;

/// Fetches that may be waited for.
const FLIGHTS_MAX: usize = 10_000;
/// Targets that are remembered for answers that nobody else may use.
const ALONE_MAX: usize = 1_000;
/// How long they are: waiting for them would only cost time.
const ALONE_FOR: Duration = Duration::from_secs(10);

/// The fetches under way.
#[derive(Debug, Default)]
pub(super) struct Flights {
    under_way: Mutex<HashMap<Arc<str>, watch::Receiver<()>>>,
    alone: Mutex<HashMap<Arc<str>, Instant>>,
}

/// What a request that misses an answer is to do.
#[derive(Debug)]
pub(super) enum Joined {
    /// Fetch it, for others too.
    First(Flight),
    /// Wait for who fetches it.
    Wait(watch::Receiver<()>),
    /// Fetch it for itself.
    Alone,
}

/// A fetch that others wait for, until it is dropped.
#[derive(Debug)]
pub(super) struct Flight {
    flights: Arc<Flights>,
    key: Arc<str>,
    _over: watch::Sender<()>,
}

impl Flights {
    /// Joins the fetch of this answer, or begins it.
    pub(super) fn join(self: &Arc<Self>, key: &Arc<str>, now: Instant) -> Joined {
        let is_alone = |until: &Instant| now < *until;
        if self.alone.lock().get(key).is_some_and(is_alone) {
            return Joined::Alone;
        }
        let mut under_way = self.under_way.lock();
        if let Some(over) = under_way.get(key) {
            return Joined::Wait(over.clone());
        }
        if under_way.len() >= FLIGHTS_MAX {
            return Joined::Alone;
        }
        let (send, over) = watch::channel(());
        under_way.insert(Arc::clone(key), over);
        Joined::First(Flight {
            flights: Arc::clone(self),
            key: Arc::clone(key),
            _over: send,
        })
    }
}

impl Flight {
    /// The answer is of no use to others: the next requests need not wait for one.
    pub(super) fn in_vain(&self, now: Instant) {
        let mut alone = self.flights.alone.lock();
        if alone.len() >= ALONE_MAX {
            alone.retain(|_, until| now < *until);
        }
        if alone.len() < ALONE_MAX {
            alone.insert(Arc::clone(&self.key), now + ALONE_FOR);
        }
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.flights.under_way.lock().remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_fetches_and_the_others_wait_until_it_is_over() {
        let (flights, key, now) = (Arc::<Flights>::default(), Arc::from("a"), Instant::now());
        let Joined::First(first) = flights.join(&key, now) else {
            panic!("nobody fetches it yet")
        };
        let Joined::Wait(mut over) = flights.join(&key, now) else {
            panic!("somebody fetches it")
        };
        assert!(matches!(flights.join(&Arc::from("b"), now), Joined::First(_)));
        first.in_vain(now);
        drop(first);
        assert!(over.changed().await.is_err(), "who waits is told");
        assert!(matches!(flights.join(&key, now), Joined::Alone));
        assert!(matches!(flights.join(&key, now + ALONE_FOR), Joined::First(_)));
    }
}
