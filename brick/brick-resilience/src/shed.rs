//! Load shedding at the server: requests that waited too long are turned away, the least critical first.
//!
//! After CoDel (RFC 8289) as it is used for queues of requests: as long as the shortest wait of an interval stays below
//! the target, a queue is a burst and all wait as long as they must; when it does not, the queue stands, and a request
//! that waits longer than the target only makes the next one wait.

use std::str::FromStr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// Patience of critical requests, in targets, when the queue stands.
const CRITICAL: u32 = 10;
/// Patience of all in intervals, when it does not.
const BURST: u32 = 10;

/// How much a request matters, by the header `x-brick-criticality`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Criticality {
    /// The first to go.
    Sheddable,
    /// What says nothing.
    #[default]
    Default,
    /// The last to go.
    Critical,
}

/// When a queue is too slow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// A wait that is fine.
    pub target: Duration,
    /// How long all may wait longer before the queue counts as standing.
    pub interval: Duration,
}

/// Watches one queue.
#[derive(Debug)]
pub struct Shedder {
    standing: AtomicBool,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    ends: Instant,
    shortest: Option<Duration>,
}

impl Criticality {
    /// As the header has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sheddable => "sheddable",
            Self::Default => "default",
            Self::Critical => "critical",
        }
    }
}

/// No such class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected critical, default or sheddable")]
pub struct Unknown;

impl FromStr for Criticality {
    type Err = Unknown;

    fn from_str(text: &str) -> Result<Self, Unknown> {
        match text {
            "sheddable" => Ok(Self::Sheddable),
            "default" => Ok(Self::Default),
            "critical" => Ok(Self::Critical),
            _ => Err(Unknown),
        }
    }
}

impl Shedder {
    /// For an empty queue.
    pub fn new(now: Instant) -> Self {
        Self {
            standing: AtomicBool::new(false),
            inner: Mutex::new(Inner {
                ends: now,
                shortest: None,
            }),
        }
    }

    /// Whether the queue stands.
    pub fn is_standing(&self) -> bool {
        self.standing.load(Ordering::Relaxed)
    }

    /// How long a request of this class may wait. Nothing of those that can be spared waits at all while the queue
    /// stands.
    pub fn patience(&self, policy: Policy, class: Criticality) -> Duration {
        match (self.is_standing(), class) {
            (false, _) => policy.interval * BURST,
            (true, Criticality::Sheddable) => Duration::ZERO,
            (true, Criticality::Default) => policy.target,
            (true, Criticality::Critical) => policy.target * CRITICAL,
        }
    }

    /// A request waited so long, until it was served or turned away.
    pub fn waited(&self, policy: Policy, wait: Duration, now: Instant) {
        let mut inner = self.inner.lock();
        let shortest = inner.shortest.map_or(wait, |shortest| shortest.min(wait));
        inner.shortest = Some(shortest);
        // A queue that was seen short does not stand.
        if shortest < policy.target {
            self.standing.store(false, Ordering::Relaxed);
        }
        if now >= inner.ends {
            self.standing.store(shortest >= policy.target, Ordering::Relaxed);
            inner.ends = now + policy.interval;
            inner.shortest = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const POLICY: Policy = Policy {
        target: Duration::from_millis(50),
        interval: Duration::from_millis(100),
    };

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn a_burst_is_borne_a_standing_queue_is_not_and_it_is_over_when_somebody_did_not_wait() {
        let start = Instant::now();
        let shedder = Shedder::new(start + ms(100));
        for at in 0..20 {
            shedder.waited(POLICY, ms(80), start + ms(at * 4));
        }
        assert!(!shedder.is_standing());
        assert_eq!(shedder.patience(POLICY, Criticality::Sheddable), ms(1_000));
        shedder.waited(POLICY, ms(80), start + ms(101));
        assert!(shedder.is_standing());
        let patience = [
            Criticality::Sheddable,
            Criticality::Default,
            Criticality::Critical,
        ]
        .map(|class| shedder.patience(POLICY, class));
        assert_eq!(patience, [ms(0), ms(50), ms(500)]);
        shedder.waited(POLICY, ms(10), start + ms(150));
        assert!(!shedder.is_standing());
    }

    proptest! {
        #[test]
        fn it_stands_only_where_all_of_an_interval_waited(waits in prop::collection::vec((0_u64..100, 1_u64..40), 1..300)) {
            let start = Instant::now();
            let shedder = Shedder::new(start);
            let mut now = start;
            let mut recent: Vec<(Instant, u64)> = Vec::new();
            for (wait, gap) in waits {
                now += ms(gap);
                shedder.waited(POLICY, ms(wait), now);
                recent.push((now, wait));
                if shedder.is_standing() {
                    prop_assert!(recent.last().unwrap().1 >= 50);
                }
            }
        }
    }
}
