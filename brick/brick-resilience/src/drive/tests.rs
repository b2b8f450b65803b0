use brick_bus::Limits;
use brick_bus::limits::{self, RetryOn, Setting};
use parking_lot::Mutex;

use super::*;
use crate::breaker::State;
use crate::policy::Policy;

/// Answers each try as the script says; the last line goes on for ever.
struct Script {
    lines: Vec<(u64, Result<u32, Outcome>)>,
    tries: Mutex<u32>,
}

impl Tries for Script {
    type Answer = u32;
    type Error = Outcome;

    async fn attempt(&self, number: u32, _: Duration) -> Result<u32, Outcome> {
        *self.tries.lock() += 1;
        let (ms, result) = self.lines[(number as usize).min(self.lines.len() - 1)];
        tokio::time::sleep(Duration::from_millis(ms)).await;
        result
    }

    fn outcome(&self, result: &Result<u32, Outcome>) -> Outcome {
        match result {
            Ok(_) => Outcome::Good,
            Err(outcome) => *outcome,
        }
    }
}

const BUSY: Outcome = Outcome::Failed {
    status: 503,
    retry_after: None,
};

fn script(lines: &[(u64, Result<u32, Outcome>)]) -> Script {
    Script {
        lines: lines.to_vec(),
        tries: Mutex::new(0),
    }
}

fn edge(limits: Limits) -> Arc<Edge> {
    let now = Instant::now().into_std();
    Edge::new("a->b", Policy::compile(&limits).unwrap(), Arc::default(), now)
}

async fn run(edge: &Arc<Edge>, limit_ms: u64, script: &Script) -> (Result<u32, String>, u128) {
    let begun = Instant::now();
    let whole = Call {
        deadline: begun + Duration::from_millis(limit_ms),
        repeatable: true,
    };
    let result = call(edge, whole, script)
        .await
        .map_err(|stopped| format!("{stopped:?}"));
    (result, begun.elapsed().as_millis())
}

#[tokio::test(start_paused = true)]
async fn a_failure_that_may_pass_is_tried_again() {
    let edge = edge(Limits::new(1_000));
    let script = script(&[(5, Err(BUSY)), (5, Ok(7))]);
    assert_eq!(run(&edge, 1_000, &script).await.0, Ok(7));
    assert_eq!((edge.decided(Decision::Retry), edge.in_flight()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_try_that_hangs_leaves_time_for_another() {
    let on = vec![RetryOn::Timeout];
    let retry = Some(Setting::Set(limits::Retry {
        on,
        ..limits::Retry::default()
    }));
    let edge = edge(Limits {
        try_timeout_ms: Some(100),
        retry,
        ..Limits::new(1_000)
    });
    let script = script(&[(60_000, Ok(1)), (5, Ok(2))]);
    let (result, took_ms) = run(&edge, 1_000, &script).await;
    assert_eq!(result, Ok(2));
    assert!((105..=131).contains(&took_ms), "{took_ms}");
}

#[tokio::test(start_paused = true)]
async fn the_whole_call_ends_at_its_deadline() {
    let edge = edge(Limits::new(1_000));
    let (result, took_ms) = run(&edge, 300, &script(&[(60_000, Ok(1))])).await;
    assert_eq!((result, took_ms), (Err("TimedOut".to_owned()), 300));
    let (result, took_ms) = run(&edge, 0, &script(&[(0, Ok(1))])).await;
    assert_eq!((result, took_ms), (Err("Late".to_owned()), 0));
    assert_eq!(
        (edge.decided(Decision::Timeout), edge.decided(Decision::Deadline)),
        (1, 1)
    );
}

#[tokio::test(start_paused = true)]
async fn a_hedge_wins_over_a_slow_first_try_and_is_paid_for() {
    let hedge = Some(Setting::Set(limits::Hedge { after_ms: 50, max: 1 }));
    let edge = edge(Limits {
        hedge,
        ..Limits::new(1_000)
    });
    let slow = script(&[(500, Ok(1)), (10, Ok(2))]);
    assert_eq!(run(&edge, 1_000, &slow).await, (Ok(2), 60));
    let quick = script(&[(20, Ok(1))]);
    assert_eq!(run(&edge, 1_000, &quick).await, (Ok(1), 20));
    let failing = script(&[(500, Ok(1)), (10, Err(Outcome::Reset))]);
    assert_eq!(run(&edge, 1_000, &failing).await, (Ok(1), 500));
    for _ in 0..20 {
        drop(run(&edge, 1_000, &slow).await);
    }
    assert!(
        edge.decided(Decision::Hedge) <= 10 + 23 / 5,
        "{}",
        edge.decided(Decision::Hedge)
    );
    assert!(edge.decided(Decision::RetryRefused) > 0);
}

#[tokio::test(start_paused = true)]
async fn a_callee_that_fails_for_long_is_let_alone_and_found_well_again() {
    let edge = edge(Limits::new(1_000));
    let (bad, good) = (script(&[(5, Err(BUSY))]), script(&[(5, Ok(1))]));
    let mut calls = 0;
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(20) {
        drop(run(&edge, 1_000, &bad).await);
        calls += 1;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let reached = *bad.tries.lock();
    assert!(reached < 60 && calls > 500, "{reached} tries of {calls} calls");
    tokio::time::sleep(Duration::from_secs(5)).await;
    for _ in 0..3 {
        assert_eq!(run(&edge, 1_000, &good).await.0, Ok(1));
    }
    assert_eq!(edge.state(), State::Closed);
}
