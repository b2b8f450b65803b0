//! A whole call: admission, tries with their time limits, waits between them, a hedge beside a slow one.
//!
//! What a try is, whoever calls says ([`Tries`]). It is dropped when it takes too long or another was faster.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::time::Instant;

use crate::edge::{Decision, Edge, Failure, Permit, Rejected};
use crate::outcome::Outcome;

/// What can be tried.
pub trait Tries {
    /// What an answer is.
    type Answer;
    /// What a failure is.
    type Error;

    /// One try, which has this long; number 0 is the first.
    fn attempt(
        &self,
        number: u32,
        limit: Duration,
    ) -> impl Future<Output = Result<Self::Answer, Self::Error>>;

    /// What the try came to.
    fn outcome(&self, result: &Result<Self::Answer, Self::Error>) -> Outcome;
}

/// What the call as a whole is.
#[derive(Debug, Clone, Copy)]
pub struct Call {
    /// Until when all of it must be over.
    pub deadline: Instant,
    /// Whether it may be repeated.
    pub repeatable: bool,
}

/// Why a call has no answer.
#[derive(Debug)]
pub enum Stopped<E> {
    /// It was not let through.
    Rejected(Rejected),
    /// There was no time left before it began.
    Late,
    /// The last try took too long.
    TimedOut,
    /// The last try failed.
    Failed(E),
}

/// What one try, or two beside each other, came to; none where it took too long.
type Tried<T> = Option<Result<<T as Tries>::Answer, <T as Tries>::Error>>;

/// Makes the call.
pub async fn call<T: Tries>(edge: &Arc<Edge>, call: Call, tries: &T) -> Result<T::Answer, Stopped<T::Error>> {
    let now = Instant::now();
    let left = call.deadline.saturating_duration_since(now);
    if left.is_zero() {
        edge.decide(Decision::Deadline);
        return Err(Stopped::Late);
    }
    let permit = edge
        .enter(now.into_std(), left)
        .await
        .map_err(Stopped::Rejected)?;
    let numbers = AtomicU32::new(0);
    let (mut unconnected, mut repeated) = (0, 0);
    loop {
        let left = call.deadline.saturating_duration_since(Instant::now());
        let limit = permit.policy().try_timeout.map_or(left, |limit| limit.min(left));
        let result = hedged(&permit, call, tries, &numbers, limit).await;
        let outcome = result
            .as_ref()
            .map_or(Outcome::TimedOut, |result| tries.outcome(result));
        if !outcome.is_failure() {
            return result.map_or(Err(Stopped::TimedOut), |result| result.map_err(Stopped::Failed));
        }
        unconnected += u32::from(outcome == Outcome::Unconnected);
        let again = permit.retry(Failure {
            outcome: &outcome,
            unconnected,
            repeated,
            repeatable: call.repeatable,
            left: call.deadline.saturating_duration_since(Instant::now()),
        });
        let Some(wait) = again else {
            return match result {
                None => Err(Stopped::TimedOut),
                Some(result) => result.map_err(Stopped::Failed),
            };
        };
        repeated += u32::from(outcome != Outcome::Unconnected);
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
    }
}

/// One try, and others beside it where the policy has hedges and it is slow. The first good answer counts; where there
/// is none, the last failure.
async fn hedged<T: Tries>(
    permit: &Permit,
    call: Call,
    tries: &T,
    numbers: &AtomicU32,
    limit: Duration,
) -> Tried<T> {
    let first = single(permit, tries, numbers, limit);
    let hedge = permit
        .policy()
        .hedge
        .filter(|hedge| call.repeatable && hedge.after < limit);
    let Some(hedge) = hedge else { return first.await };
    let begun = Instant::now();
    let mut running = FuturesUnordered::new();
    running.push(tagged(false, first));
    let mut more = hedge.max;
    loop {
        tokio::select! {
            biased;
            Some((hedge_won, result)) = running.next() => {
                let good = result.as_ref().is_some_and(|result| !tries.outcome(result).is_failure());
                if good && hedge_won {
                    permit.edge().decide(Decision::HedgeWon);
                }
                if good || running.is_empty() {
                    return result;
                }
            }
            () = tokio::time::sleep(hedge.after), if more > 0 => {
                let left = limit.saturating_sub(begun.elapsed());
                if !left.is_zero() && permit.hedge() {
                    more -= 1;
                    running.push(tagged(true, single(permit, tries, numbers, left)));
                } else {
                    more = 0;
                }
            }
        }
    }
}

async fn tagged<F: Future>(hedge: bool, future: F) -> (bool, F::Output) {
    (hedge, future.await)
}

/// One try within its time limit; the permit takes what came of it.
async fn single<T: Tries>(permit: &Permit, tries: &T, numbers: &AtomicU32, limit: Duration) -> Tried<T> {
    let number = numbers.fetch_add(1, Ordering::Relaxed);
    let begun = Instant::now();
    let result = tokio::time::timeout(limit, tries.attempt(number, limit))
        .await
        .ok();
    let now = Instant::now();
    let outcome = result
        .as_ref()
        .map_or(Outcome::TimedOut, |result| tries.outcome(result));
    permit.outcome(&outcome, now - begun, now.into_std());
    result
}

#[cfg(test)]
mod tests;
