//! The sliding window of a breaker: outcomes of the last while, or the last so many outcomes.
//!
//! Over time it is ten buckets, so that an outcome counts for nine to ten tenths of the window and a note costs no more
//! the longer the window is.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

const BUCKETS: u64 = 10;

/// What a window holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Outcomes.
    pub calls: u64,
    /// Failures among them.
    pub errors: u64,
    /// Slow ones among them.
    pub slow: u64,
    /// Calls that were not let through; those are no outcomes.
    pub rejected: u64,
}

/// A sliding window.
#[derive(Debug)]
pub struct Window {
    kind: Kind,
    /// Of time alone: the last buckets, by number.
    buckets: [Counts; BUCKETS as usize],
    newest: u64,
    total: Counts,
    born: Option<Instant>,
}

#[derive(Debug)]
enum Kind {
    Time {
        bucket_ns: u64,
    },
    Count {
        max: usize,
        last: VecDeque<(bool, bool)>,
    },
}

impl Window {
    /// Outcomes of the last `window`.
    pub fn by_time(window: Duration, now: Instant) -> Self {
        let ns = u64::try_from(window.as_nanos()).unwrap_or(u64::MAX);
        let kind = Kind::Time {
            bucket_ns: (ns / BUCKETS).max(1),
        };
        Self::new(kind, Some(now))
    }

    /// The last `calls` outcomes.
    pub fn by_count(calls: u32) -> Self {
        let max = calls.max(1) as usize;
        let kind = Kind::Count {
            max,
            last: VecDeque::with_capacity(max),
        };
        Self::new(kind, None)
    }

    fn new(kind: Kind, born: Option<Instant>) -> Self {
        Self {
            kind,
            buckets: [Counts::default(); BUCKETS as usize],
            newest: 0,
            total: Counts::default(),
            born,
        }
    }

    /// Notes an outcome.
    pub fn note(&mut self, failed: bool, slow: bool, now: Instant) {
        let one = Counts {
            calls: 1,
            errors: u64::from(failed),
            slow: u64::from(slow),
            rejected: 0,
        };
        self.advance(now);
        if let Kind::Count { max, last } = &mut self.kind {
            if last.len() >= *max
                && let Some((failed, slow)) = last.pop_front()
            {
                self.total.calls -= 1;
                self.total.errors -= u64::from(failed);
                self.total.slow -= u64::from(slow);
            }
            last.push_back((failed, slow));
        }
        self.add(one);
    }

    /// Notes a call that was not let through.
    pub fn reject(&mut self, now: Instant) {
        self.advance(now);
        self.add(Counts {
            rejected: 1,
            ..Counts::default()
        });
    }

    /// What it holds now.
    pub fn counts(&mut self, now: Instant) -> Counts {
        self.advance(now);
        self.total
    }

    /// Forgets everything.
    pub fn clear(&mut self, now: Instant) {
        self.buckets = [Counts::default(); BUCKETS as usize];
        self.total = Counts::default();
        if let Kind::Count { last, .. } = &mut self.kind {
            last.clear();
        }
        self.advance(now);
    }

    fn add(&mut self, one: Counts) {
        self.total.add(&one);
        if matches!(self.kind, Kind::Time { .. })
            && let Some(bucket) = self.buckets.get_mut((self.newest % BUCKETS) as usize)
        {
            bucket.add(&one);
        }
    }

    /// Drops the buckets that have left the window. A moment before the newest bucket counts into that one.
    fn advance(&mut self, now: Instant) {
        let (Kind::Time { bucket_ns }, Some(born)) = (&self.kind, self.born) else {
            return;
        };
        let age = u64::try_from(now.saturating_duration_since(born).as_nanos()).unwrap_or(u64::MAX);
        let present = age / bucket_ns;
        if present <= self.newest {
            return;
        }
        let gone = (present - self.newest).min(BUCKETS);
        for number in self.newest + 1..=self.newest + gone {
            if let Some(bucket) = self.buckets.get_mut((number % BUCKETS) as usize) {
                self.total.subtract(bucket);
                *bucket = Counts::default();
            }
        }
        self.newest = present;
    }
}

impl Counts {
    fn add(&mut self, other: &Self) {
        self.calls += other.calls;
        self.errors += other.errors;
        self.slow += other.slow;
        self.rejected += other.rejected;
    }

    fn subtract(&mut self, other: &Self) {
        self.calls -= other.calls;
        self.errors -= other.errors;
        self.slow -= other.slow;
        self.rejected -= other.rejected;
    }
}
