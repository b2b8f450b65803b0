//! Slows down whoever guesses secrets.

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// Names that are remembered; beyond that the one that failed longest ago is forgotten.
const NAMES_MAX: usize = 1_024;
/// Failures in a row that cost nothing.
const FREE: u32 = 5;
/// Longest wait.
const WAIT_MAX: Duration = Duration::from_secs(60);

/// Failures by name: after five in a row the next attempt waits a second, then two, up to a minute.
#[derive(Debug, Default)]
pub(crate) struct Throttle(Mutex<HashMap<String, Failures>>);

#[derive(Debug, Clone, Copy)]
struct Failures {
    count: u32,
    last: Instant,
}

impl Failures {
    fn until(&self) -> Instant {
        let Some(beyond) = self.count.checked_sub(FREE) else {
            return self.last;
        };
        self.last + Duration::from_secs(1 << beyond.min(6)).min(WAIT_MAX)
    }
}

impl Throttle {
    /// How long this name has to wait; none where it may try.
    pub(crate) fn wait(&self, name: &str) -> Option<Duration> {
        let until = self.0.lock().get(name)?.until();
        let wait = until.saturating_duration_since(Instant::now());
        (!wait.is_zero()).then_some(wait)
    }

    /// One more failure.
    pub(crate) fn failed(&self, name: &str) {
        let mut names = self.0.lock();
        let now = Instant::now();
        if let Some(known) = names.get_mut(name) {
            *known = Failures {
                count: known.count.saturating_add(1),
                last: now,
            };
            return;
        }
        if names.len() >= NAMES_MAX {
            let oldest = names.iter().min_by_key(|(_, failures)| failures.last);
            if let Some(oldest) = oldest.map(|(name, _)| name.clone()) {
                names.remove(&oldest);
            }
        }
        let first = Failures { count: 1, last: now };
        names.insert(name.to_owned(), first);
    }

    /// It worked: all is forgotten.
    pub(crate) fn worked(&self, name: &str) {
        self.0.lock().remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn failures_beyond_the_fifth_cost_ever_longer_waits() {
        let throttle = Throttle::default();
        for _ in 0..4 {
            throttle.failed("shop");
        }
        assert_eq!(throttle.wait("shop"), None);
        throttle.failed("shop");
        assert_eq!(throttle.wait("shop"), Some(Duration::from_secs(1)));
        throttle.failed("shop");
        assert_eq!(throttle.wait("shop"), Some(Duration::from_secs(2)));
        assert_eq!(throttle.wait("other"), None);
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!(throttle.wait("shop"), None);
        for _ in 0..100 {
            throttle.failed("shop");
        }
        assert_eq!(throttle.wait("shop"), Some(WAIT_MAX));
        throttle.worked("shop");
        assert_eq!(throttle.wait("shop"), None);
    }

    #[tokio::test(start_paused = true)]
    async fn names_are_bounded() {
        let throttle = Throttle::default();
        for name in 0..NAMES_MAX + 10 {
            throttle.failed(&name.to_string());
        }
        assert_eq!(throttle.0.lock().len(), NAMES_MAX);
    }
}
