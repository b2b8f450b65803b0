//! *Circuit Breaker*: stops calls to a callee that fails, so that it can recover and callers fail fast.
//!
//! Closed, calls pass and their outcomes are counted, over time or over the last so many. When enough of them failed or
//! were slow it opens: nothing passes for a while. Then it is half open: a few probes pass; if all succeed it closes,
//! if one fails it opens again. Outcomes of calls that began in an earlier state decide nothing.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use brick_bus::limits::Forced;
pub use brick_bus::report::BreakerState as State;
use jiff::Timestamp;
use parking_lot::Mutex;

use crate::latency::Latency;
use crate::policy;

mod window;

pub use window::{Counts, Window};

/// How long a caller should wait where an operator opened the breaker.
const FORCED_WAIT: Duration = Duration::from_secs(1);
/// Without a breaker outcomes are counted all the same, for the figures.
const FIGURES: Duration = Duration::from_secs(10);

/// The breaker of one edge.
#[derive(Debug)]
pub struct Breaker {
    /// Generation, forced or not, state: what admission reads without the lock.
    packed: AtomicU64,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    window: Window,
    latency: Latency,
    /// When probes may pass.
    open_until: Instant,
    /// Probes that may still pass, and that succeeded.
    probes_left: u32,
    probes_good: u32,
    since: Timestamp,
}

/// What a call that was let through holds: which generation of the state it belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticket {
    generation: u64,
    probe: bool,
}

impl Ticket {
    /// The same for a further try of the call: a probe decides once.
    pub(crate) fn spent(self) -> Self {
        Self { probe: false, ..self }
    }
}

/// The state went from one to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// What it is now.
    pub state: State,
    /// What was counted when it changed.
    pub counts: Counts,
}

/// The figures of a breaker.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Figures {
    /// Its state.
    pub state: State,
    /// Since when.
    pub since: Timestamp,
    /// What an operator made of it.
    pub forced: Option<Forced>,
    /// What the window holds.
    pub counts: Counts,
    /// Median latency in milliseconds.
    pub p50_ms: Option<f64>,
    /// 99th percentile of latency in milliseconds.
    pub p99_ms: Option<f64>,
}

/// Generation, forced, state as one number.
#[derive(Debug, Clone, Copy)]
struct Packed(u64);

impl Packed {
    fn new(generation: u64, forced: bool, state: State) -> Self {
        let state = match state {
            State::Closed => 0,
            State::HalfOpen => 1,
            State::Open => 2,
        };
        Self((generation << 3) | (u64::from(forced) << 2) | state)
    }

    fn state(self) -> State {
        match self.0 & 3 {
            0 => State::Closed,
            1 => State::HalfOpen,
            _ => State::Open,
        }
    }

    fn is_forced(self) -> bool {
        self.0 & 4 != 0
    }

    fn generation(self) -> u64 {
        self.0 >> 3
    }
}

impl Breaker {
    /// A closed one.
    pub fn new(policy: Option<&policy::Breaker>, now: Instant) -> Self {
        Self {
            packed: AtomicU64::new(Packed::new(0, false, State::Closed).0),
            inner: Mutex::new(Inner {
                window: window(policy, now),
                latency: Latency::new(now),
                open_until: now,
                probes_left: 0,
                probes_good: 0,
                since: Timestamp::now(),
            }),
        }
    }

    fn packed(&self) -> Packed {
        Packed(self.packed.load(Ordering::Acquire))
    }

    /// The state now.
    pub fn state(&self) -> State {
        self.packed().state()
    }

    /// Lets a call pass, or says when to come again.
    pub fn admit(&self, policy: Option<&policy::Breaker>, now: Instant) -> Result<Ticket, Duration> {
        let packed = self.packed();
        let Some(policy) = policy.filter(|_| packed.state() != State::Closed) else {
            return Ok(Ticket {
                generation: packed.generation(),
                probe: false,
            });
        };
        if packed.is_forced() {
            return Err(FORCED_WAIT);
        }
        self.probe(policy, now)
    }

    /// The rare part: something is wrong, and perhaps it is time to see whether it still is.
    fn probe(&self, policy: &policy::Breaker, now: Instant) -> Result<Ticket, Duration> {
        let mut inner = self.inner.lock();
        let packed = self.packed();
        let mut generation = packed.generation();
        match packed.state() {
            State::Closed => {
                return Ok(Ticket {
                    generation,
                    probe: false,
                });
            }
            State::Open if packed.is_forced() => return Err(FORCED_WAIT),
            State::Open if now < inner.open_until => return Err(inner.open_until - now),
            State::Open => {
                generation = self.turn(&mut inner, State::HalfOpen, false);
                inner.probes_left = policy.probes;
                inner.probes_good = 0;
                // Where a probe is never heard of again, others may pass after that long.
                inner.open_until = now + policy.open;
            }
            State::HalfOpen if inner.probes_left == 0 && now >= inner.open_until => {
                generation = self.turn(&mut inner, State::HalfOpen, false);
                inner.probes_left = policy.probes;
                inner.probes_good = 0;
                inner.open_until = now + policy.open;
            }
            State::HalfOpen => {}
        }
        if inner.probes_left == 0 {
            return Err(inner
                .open_until
                .saturating_duration_since(now)
                .max(Duration::from_millis(1)));
        }
        inner.probes_left -= 1;
        Ok(Ticket {
            generation,
            probe: true,
        })
    }

    /// A call ended. `failed` says that the callee was at fault. Gives the change of state that this brought about.
    pub fn outcome(
        &self,
        policy: Option<&policy::Breaker>,
        ticket: Ticket,
        failed: bool,
        latency: Duration,
        now: Instant,
    ) -> Option<Change> {
        let mut inner = self.inner.lock();
        let slow = policy.is_some_and(|policy| latency >= policy.slow);
        inner.window.note(failed, slow, now);
        inner.latency.note(latency, now);
        let packed = self.packed();
        let policy = policy?;
        if packed.is_forced() || packed.generation() != ticket.generation {
            return None;
        }
        match packed.state() {
            State::Closed => {
                let counts = inner.window.counts(now);
                if !counts.trips(policy) {
                    return None;
                }
                inner.open_until = now + policy.open;
                self.turn(&mut inner, State::Open, false);
                Some(Change {
                    state: State::Open,
                    counts,
                })
            }
            State::HalfOpen if ticket.probe => {
                let bad = failed || (slow && policy.slow_rate < 1.0);
                let counts = inner.window.counts(now);
                if bad {
                    inner.open_until = now + policy.open;
                    self.turn(&mut inner, State::Open, false);
                    return Some(Change {
                        state: State::Open,
                        counts,
                    });
                }
                inner.probes_good += 1;
                if inner.probes_good < policy.probes {
                    return None;
                }
                inner.window.clear(now);
                self.turn(&mut inner, State::Closed, false);
                Some(Change {
                    state: State::Closed,
                    counts,
                })
            }
            State::HalfOpen | State::Open => None,
        }
    }

    /// A call was given up: a probe's place is free again.
    pub fn abandon(&self, ticket: Ticket) {
        if !ticket.probe {
            return;
        }
        let mut inner = self.inner.lock();
        let packed = self.packed();
        if packed.state() == State::HalfOpen && packed.generation() == ticket.generation {
            inner.probes_left += 1;
        }
    }

    /// A call was not let through, by whatever.
    pub fn rejected(&self, now: Instant) {
        self.inner.lock().window.reject(now);
    }

    /// Takes over another policy. What an operator forced begins and ends with a fresh state.
    pub fn apply(
        &self,
        old: Option<&policy::Breaker>,
        new: Option<&policy::Breaker>,
        now: Instant,
    ) -> Option<Change> {
        let mut inner = self.inner.lock();
        let shape = |policy: Option<&policy::Breaker>| policy.map(|policy| (policy.window, policy.calls));
        if shape(old) != shape(new) {
            inner.window = window(new, now);
        }
        let wanted = new.and_then(|policy| policy.forced);
        let present = self.packed();
        let held = present.is_forced().then(|| present.state());
        let state = match wanted {
            Some(Forced::Open) => State::Open,
            Some(Forced::Closed) => State::Closed,
            None if held.is_none() && new.is_some() => return None,
            None if held.is_none() && present.state() == State::Closed => return None,
            None => State::Closed,
        };
        if wanted.is_some() && held == Some(state) {
            return None;
        }
        inner.window.clear(now);
        self.turn(&mut inner, state, wanted.is_some());
        (state != present.state()).then(|| Change {
            state,
            counts: Counts::default(),
        })
    }

    /// What it has counted.
    pub fn figures(&self, now: Instant) -> Figures {
        let mut inner = self.inner.lock();
        let packed = self.packed();
        let (p50_ms, p99_ms) = inner.latency.figures(now);
        let forced = packed.is_forced().then(|| match packed.state() {
            State::Closed => Forced::Closed,
            State::HalfOpen | State::Open => Forced::Open,
        });
        Figures {
            state: packed.state(),
            since: inner.since,
            forced,
            counts: inner.window.counts(now),
            p50_ms,
            p99_ms,
        }
    }

    /// Goes over to another state; gives its generation.
    fn turn(&self, inner: &mut Inner, state: State, forced: bool) -> u64 {
        let before = self.packed();
        let generation = before.generation() + 1;
        if before.state() != state || before.is_forced() != forced {
            inner.since = Timestamp::now();
        }
        self.packed
            .store(Packed::new(generation, forced, state).0, Ordering::Release);
        generation
    }
}

fn window(policy: Option<&policy::Breaker>, now: Instant) -> Window {
    match policy {
        Some(policy) if policy.calls > 0 => Window::by_count(policy.calls),
        Some(policy) => Window::by_time(policy.window, now),
        None => Window::by_time(FIGURES, now),
    }
}

impl Counts {
    fn trips(&self, policy: &policy::Breaker) -> bool {
        let share = |part: u64, most: f64| part > 0 && part as f64 >= self.calls as f64 * most;
        self.calls >= u64::from(policy.min_calls)
            && (share(self.errors, policy.error_rate) || share(self.slow, policy.slow_rate))
    }
}

#[cfg(test)]
mod tests;
