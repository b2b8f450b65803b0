use proptest::prelude::*;

use super::*;

fn policy() -> policy::Breaker {
    policy::Breaker {
        window: Duration::from_secs(10),
        calls: 0,
        min_calls: 4,
        error_rate: 0.5,
        slow: Duration::from_secs(1),
        slow_rate: 1.0,
        open: Duration::from_secs(5),
        probes: 2,
        forced: None,
    }
}

const QUICK: Duration = Duration::from_millis(5);

struct Bench {
    breaker: Breaker,
    policy: policy::Breaker,
    now: Instant,
}

impl Bench {
    fn new(policy: policy::Breaker) -> Self {
        let now = Instant::now();
        Self {
            breaker: Breaker::new(Some(&policy), now),
            policy,
            now,
        }
    }

    fn admit(&self) -> Result<Ticket, Duration> {
        self.breaker.admit(Some(&self.policy), self.now)
    }

    fn end(&self, ticket: Ticket, failed: bool) -> Option<Change> {
        let policy = Some(&self.policy);
        self.breaker.outcome(policy, ticket, failed, QUICK, self.now)
    }

    fn call(&self, failed: bool) -> Option<State> {
        let ticket = self.admit().unwrap();
        self.end(ticket, failed).map(|change| change.state)
    }
}

#[test]
fn it_opens_at_the_share_half_opens_after_the_wait_and_closes_when_all_probes_succeed() {
    let mut bench = Bench::new(policy());
    assert_eq!([false, true, false].map(|failed| bench.call(failed)), [None; 3]);
    assert_eq!(bench.call(true), Some(State::Open));
    assert_eq!(bench.admit(), Err(Duration::from_secs(5)));
    bench.now += Duration::from_secs(5);
    let (one, two) = (bench.admit().unwrap(), bench.admit().unwrap());
    assert_eq!(bench.breaker.state(), State::HalfOpen);
    assert!(bench.admit().is_err(), "two probes and no more");
    assert_eq!(bench.end(one, false), None);
    assert_eq!(
        bench.end(two, false).map(|change| change.state),
        Some(State::Closed)
    );
    assert_eq!(bench.call(true), None, "it starts to count anew");
}

#[test]
fn a_probe_that_fails_opens_it_again_and_late_answers_of_before_decide_nothing() {
    let mut bench = Bench::new(policy());
    let late = bench.admit().unwrap();
    for _ in 0..4 {
        bench.call(true);
    }
    bench.now += Duration::from_secs(5);
    let probe = bench.admit().unwrap();
    assert_eq!(bench.end(late, false), None);
    assert_eq!(bench.breaker.state(), State::HalfOpen);
    assert_eq!(
        bench.end(probe, true).map(|change| change.state),
        Some(State::Open)
    );
    assert!(bench.admit().is_err());
}

#[test]
fn a_probe_that_is_given_up_leaves_its_place_and_one_that_is_lost_does_not_block_for_ever() {
    let mut bench = Bench::new(policy::Breaker {
        probes: 1,
        ..policy()
    });
    for _ in 0..4 {
        bench.call(true);
    }
    bench.now += Duration::from_secs(5);
    let probe = bench.admit().unwrap();
    bench.breaker.abandon(probe);
    let _lost = bench.admit().unwrap();
    assert!(bench.admit().is_err());
    bench.now += Duration::from_secs(5);
    assert_eq!(bench.call(false), Some(State::Closed));
}

#[test]
fn slow_calls_open_it_too() {
    let bench = Bench::new(policy::Breaker {
        slow_rate: 0.75,
        ..policy()
    });
    let slow = |_| {
        let ticket = bench.admit().unwrap();
        let policy = Some(&bench.policy);
        bench
            .breaker
            .outcome(policy, ticket, false, Duration::from_secs(1), bench.now)
    };
    let changes: Vec<_> = (0..4).filter_map(slow).collect();
    assert_eq!(changes.len(), 1);
    assert_eq!((changes[0].counts.errors, changes[0].counts.slow), (0, 4));
}

#[test]
fn by_hand_it_stays_as_it_is_told_until_it_is_let_go() {
    let bench = Bench::new(policy());
    let open = policy::Breaker {
        forced: Some(Forced::Open),
        ..policy()
    };
    let closed = policy::Breaker {
        forced: Some(Forced::Closed),
        ..policy()
    };
    let apply = |old, new| {
        bench
            .breaker
            .apply(Some(old), Some(new), bench.now)
            .map(|change| change.state)
    };
    assert_eq!(apply(&bench.policy, &open), Some(State::Open));
    assert!(
        bench
            .breaker
            .admit(Some(&open), bench.now + Duration::from_secs(60))
            .is_err()
    );
    assert_eq!(bench.breaker.figures(bench.now).forced, Some(Forced::Open));
    assert_eq!(apply(&open, &closed), Some(State::Closed));
    for _ in 0..100 {
        let ticket = bench.breaker.admit(Some(&closed), bench.now).unwrap();
        assert_eq!(
            bench
                .breaker
                .outcome(Some(&closed), ticket, true, QUICK, bench.now),
            None
        );
    }
    assert_eq!(apply(&closed, &bench.policy), None);
    assert_eq!(bench.call(true), None, "what was counted by hand is void");
}

proptest! {
    #[test]
    fn a_window_of_time_counts_as_a_naive_one_does(
        window_ms in 10_u64..20_000,
        steps in prop::collection::vec((0_u64..3_000, any::<bool>(), any::<bool>()), 0..200),
    ) {
        let start = Instant::now();
        let mut window = Window::by_time(Duration::from_millis(window_ms), start);
        let bucket = u128::from(window_ms) * 1_000_000 / 10;
        let mut all: Vec<(Duration, bool, bool)> = Vec::new();
        let mut age = Duration::ZERO;
        for (gap_ms, failed, slow) in steps {
            age += Duration::from_millis(gap_ms);
            window.note(failed, slow, start + age);
            all.push((age, failed, slow));
            let counts = window.counts(start + age);
            let present = age.as_nanos() / bucket;
            let held: Vec<_> = all.iter().filter(|(at, ..)| at.as_nanos() / bucket + 10 > present).collect();
            prop_assert_eq!(counts.calls, held.len() as u64);
            prop_assert_eq!(counts.errors, held.iter().filter(|(_, failed, _)| *failed).count() as u64);
            prop_assert_eq!(counts.slow, held.iter().filter(|(.., slow)| *slow).count() as u64);
            // Between nine and ten tenths of what a window without buckets would hold.
            let within = |window_ns: u128| all.iter().filter(|(at, ..)| (age - *at).as_nanos() < window_ns).count() as u64;
            prop_assert!(within(bucket * 9) <= counts.calls && counts.calls <= within(bucket * 10));
        }
    }

    #[test]
    fn a_window_of_calls_holds_the_last_ones(
        max in 1_u32..50,
        steps in prop::collection::vec((any::<bool>(), any::<bool>()), 0..200),
    ) {
        let now = Instant::now();
        let mut window = Window::by_count(max);
        for (at, (failed, slow)) in steps.iter().enumerate() {
            window.note(*failed, *slow, now);
            let last = &steps[(at + 1).saturating_sub(max as usize)..=at];
            let counts = window.counts(now);
            prop_assert_eq!(counts.calls, last.len() as u64);
            prop_assert_eq!(counts.errors, last.iter().filter(|(failed, _)| *failed).count() as u64);
            prop_assert_eq!(counts.slow, last.iter().filter(|(_, slow)| *slow).count() as u64);
        }
    }

    /// Whatever happens: nothing passes while it is open, and never more probes than there may be.
    #[test]
    fn what_passes_follows_from_the_state(
        steps in prop::collection::vec((0_u64..3_000, 0_u8..4, any::<bool>()), 0..300),
    ) {
        let mut bench = Bench::new(policy());
        let mut open: Vec<Ticket> = Vec::new();
        let mut opened_at: Option<Instant> = None;
        for (gap_ms, what, failed) in steps {
            bench.now += Duration::from_millis(gap_ms);
            let ended = match what {
                0 | 1 => {
                    let before = bench.breaker.state();
                    let admitted = bench.admit();
                    if let (State::Open, Some(at)) = (before, opened_at) {
                        prop_assert_eq!(admitted.is_ok(), bench.now >= at + bench.policy.open);
                    }
                    if before == State::Closed {
                        prop_assert!(admitted.is_ok());
                    }
                    open.extend(admitted.ok());
                    None
                }
                2 => open.pop().and_then(|ticket| bench.end(ticket, failed)),
                _ => {
                    if let Some(ticket) = open.pop() {
                        bench.breaker.abandon(ticket);
                    }
                    None
                }
            };
            let present = bench.breaker.packed().generation();
            let probes = open.iter().filter(|t| t.probe && t.generation == present).count();
            prop_assert!(probes <= bench.policy.probes as usize);
            if let Some(change) = ended {
                prop_assert_eq!(change.state, bench.breaker.state());
                opened_at = (change.state == State::Open).then_some(bench.now);
            }
        }
    }
}
