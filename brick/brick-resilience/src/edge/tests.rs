use std::hint::black_box;

use brick_bus::Limits;
use brick_bus::limits::{self, Forced, Setting};
use proptest::prelude::*;
use rand::SeedableRng as _;

use super::*;

const QUICK: Duration = Duration::from_millis(1);
const BUSY: Outcome = Outcome::Failed {
    status: 503,
    retry_after: None,
};

fn edge(limits: Limits) -> Arc<Edge> {
    let policy = Policy::compile(&limits).unwrap();
    Edge::new("order->payment", policy, Arc::default(), Instant::now())
}

fn failure(outcome: &Outcome) -> Failure<'_> {
    Failure {
        outcome,
        unconnected: 0,
        repeated: 0,
        repeatable: true,
        left: Duration::from_secs(9),
    }
}

#[test]
fn a_permit_gives_its_place_back_however_it_ends() {
    let concurrency = limits::Concurrency {
        max: 1,
        ..limits::Concurrency::default()
    };
    let edge = edge(Limits {
        concurrency: Some(concurrency),
        ..Limits::new(1_000)
    });
    let now = Instant::now();
    let first = edge.admit(now).unwrap();
    assert_eq!(edge.admit(now).unwrap_err(), Rejected::Bulkhead { limit: 1 });
    first.outcome(&Outcome::Good, QUICK, now);
    drop(first);
    drop(edge.admit(now).unwrap());
    assert_eq!(
        (edge.in_flight(), edge.decided(Decision::RejectedBulkhead)),
        (0, 1)
    );
    let report = edge.report(now);
    assert_eq!((report.calls, report.errors, report.rejected), (1, 0, 1));
}

#[test]
fn a_failing_callee_opens_the_edge_and_nobody_is_told_to_retry_then() {
    let edge = edge(Limits::new(1_000));
    let now = Instant::now();
    for _ in 0..20 {
        edge.admit(now).unwrap().outcome(&BUSY, QUICK, now);
    }
    assert_eq!(edge.state(), State::Open);
    let Err(Rejected::Breaker { retry_after }) = edge.admit(now) else {
        panic!()
    };
    assert_eq!(retry_after, Duration::from_secs(5));
    assert_eq!(edge.retry(&edge.policy(), failure(&BUSY)), None);
    assert_eq!(edge.report(now).state, State::Open);
}

#[test]
fn what_is_tried_again_follows_from_what_happened() {
    let edge = edge(Limits::new(1_000));
    let policy = edge.policy();
    let asks = |outcome: Outcome, change: &dyn Fn(&mut Failure<'_>)| {
        let mut failure = failure(&outcome);
        change(&mut failure);
        edge.retry(&policy, failure)
    };
    let as_is = |_: &mut Failure<'_>| {};
    assert_eq!(
        asks(Outcome::Unconnected, &|f| f.repeatable = false),
        Some(Duration::ZERO)
    );
    assert_eq!(asks(Outcome::Unconnected, &|f| f.unconnected = 3), None);
    assert!(asks(BUSY, &as_is).is_some_and(|wait| wait <= Duration::from_millis(25)));
    assert_eq!(asks(BUSY, &|f| f.repeatable = false), None);
    assert_eq!(asks(BUSY, &|f| f.repeated = 1), None);
    assert_eq!(asks(Outcome::of_status(500, None), &as_is), None);
    assert_eq!(asks(Outcome::TimedOut, &as_is), None);
    assert_eq!(asks(Outcome::Good, &as_is), None);
    let wait = Duration::from_secs(2);
    assert_eq!(asks(Outcome::of_status(503, Some(wait)), &as_is), Some(wait));
    assert_eq!(
        asks(Outcome::of_status(503, Some(wait)), &|f| f.left = wait),
        None
    );
}

#[test]
fn a_spent_budget_refuses_and_says_so() {
    let edge = edge(Limits::new(1_000));
    let policy = edge.policy();
    let granted = (0..30)
        .filter(|_| edge.retry(&policy, failure(&BUSY)).is_some())
        .count();
    assert_eq!(granted, 10);
    assert_eq!(
        (
            edge.decided(Decision::Retry),
            edge.decided(Decision::RetryRefused)
        ),
        (10, 20)
    );
}

#[test]
fn a_new_policy_counts_at_once_and_a_breaker_is_opened_and_closed_by_hand() {
    let edge = edge(Limits::new(1_000));
    let now = Instant::now();
    let force = |forced| {
        let breaker = limits::Breaker {
            forced,
            ..limits::Breaker::default()
        };
        let limits = Limits {
            breaker: Some(Setting::Set(breaker)),
            ..Limits::new(1_000)
        };
        edge.apply(Policy::compile(&limits).unwrap(), now);
    };
    force(Some(Forced::Open));
    assert!(matches!(edge.admit(now), Err(Rejected::Breaker { .. })));
    force(None);
    assert!(edge.admit(now).is_ok());
    edge.apply(Policy::with_timeout(Duration::from_secs(3)), now);
    assert_eq!(edge.policy().timeout, Duration::from_secs(3));
}

#[test]
fn an_edge_that_is_made_with_an_open_breaker_is_open() {
    let breaker = limits::Breaker {
        forced: Some(Forced::Open),
        ..limits::Breaker::default()
    };
    let edge = edge(Limits {
        breaker: Some(Setting::Set(breaker)),
        ..Limits::new(1_000)
    });
    assert_eq!(edge.state(), State::Open);
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_is_given_up_holds_nothing() {
    let concurrency = limits::Concurrency {
        max: 1,
        queue: 5,
        wait_ms: 1_000,
        adaptive: false,
    };
    let edge = edge(Limits {
        concurrency: Some(concurrency),
        ..Limits::new(1_000)
    });
    let first = edge.admit(Instant::now()).unwrap();
    let waits = edge.enter(Instant::now(), Duration::from_secs(9));
    assert!(
        tokio::time::timeout(Duration::from_millis(10), waits)
            .await
            .is_err()
    );
    drop(first);
    drop(edge.enter(Instant::now(), Duration::from_secs(9)).await.unwrap());
    assert_eq!(edge.in_flight(), 0);
}

/// The cost of a call that is let through. Generous, for machines differ; the benchmark has the figure.
#[test]
fn an_admitted_call_costs_next_to_nothing() {
    let edge = edge(Limits::new(1_000));
    let rounds = 100_000;
    let mut best = Duration::MAX;
    for _ in 0..5 {
        let begun = Instant::now();
        for _ in 0..rounds {
            let now = Instant::now();
            let permit = edge.admit(now).unwrap();
            let done = Instant::now();
            permit.outcome(&Outcome::Good, done - now, done);
            black_box(&permit);
        }
        best = best.min(begun.elapsed());
    }
    let each_ns = best.as_nanos() / rounds;
    println!("{each_ns} ns for admission and outcome");
    assert!(each_ns < 5_000, "{each_ns} ns");
}

proptest! {
    #[test]
    fn a_wait_is_never_longer_than_base_and_cap_allow(base in 1_u64..1_000, cap in 1_u64..5_000, repeated in 0_u32..80, seed: u64) {
        let (base, cap) = (Duration::from_millis(base), Duration::from_millis(cap));
        let mut rng = rand::rngs::SmallRng::seed_from_u64(seed);
        let wait = wait(base, cap, repeated, &mut rng);
        prop_assert!(wait <= cap);
        prop_assert!(repeated > 20 || wait <= base * (1 << repeated));
    }
}
