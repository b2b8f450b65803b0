//! Waiting for a platform that is just coming back.
//!
//! Control that was killed is back within seconds. What prepares a run (its tokens, its set-up) waits for that, within
//! a bound and not in silence; what measures the system never does.

use std::time::Duration;

use tokio::time::Instant;

use crate::failure::Outcome;
use crate::output::{Output, plain};

/// How long is waited, all in all.
const BOUND: Duration = Duration::from_secs(10);
/// Time between two tries.
const PAUSE: Duration = Duration::from_millis(250);

/// What is left of the wait.
#[derive(Debug)]
pub(crate) struct Patience {
    until: Instant,
    output: Output,
}

impl Patience {
    /// The whole of it, from now on.
    pub(crate) fn new(output: Output) -> Self {
        Self {
            until: Instant::now() + BOUND,
            output,
        }
    }

    /// Tries until it works, fails for good, or the time is over. For good fails what time does not mend: anything but
    /// 502, 503 and a connection that is refused or reset.
    pub(crate) async fn until_there<T>(&self, mut attempt: impl AsyncFnMut() -> Outcome<T>) -> Outcome<T> {
        let mut told = false;
        loop {
            let failure = match attempt().await {
                Err(failure) if failure.passes => failure,
                ended => return ended,
            };
            if Instant::now() + PAUSE > self.until {
                let message = format!("{failure} (waited {BOUND:?} for it)");
                return Err(crate::failure::Failure { message, ..failure });
            }
            if !told {
                let text = plain(&failure.to_string());
                self.output
                    .progress(&format!("waiting up to {BOUND:?} for it to pass: {text}"));
                told = true;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Failure;
    use crate::output::{Color, Format};

    fn patience() -> Patience {
        Patience::new(Output::new(Format::Table, Color::Never, true, true))
    }

    fn down() -> Failure {
        Failure {
            passes: true,
            ..Failure::failed("no instance")
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_passes_is_waited_for() {
        let mut tries = 0;
        let outcome = patience()
            .until_there(async || {
                tries += 1;
                if tries < 5 { Err(down()) } else { Ok(tries) }
            })
            .await;
        assert_eq!(outcome.map_err(|failure| failure.message), Ok(5));
    }

    #[tokio::test(start_paused = true)]
    async fn the_wait_has_a_bound_and_the_failure_says_so() {
        let begin = Instant::now();
        let outcome: Outcome = patience().until_there(async || Err(down())).await;
        assert_eq!(
            outcome.map_err(|failure| failure.message),
            Err("no instance (waited 10s for it)".to_owned())
        );
        assert!(begin.elapsed() <= BOUND);
    }

    #[tokio::test(start_paused = true)]
    async fn what_does_not_pass_fails_at_once() {
        let begin = Instant::now();
        let outcome: Outcome = patience()
            .until_there(async || Err(Failure::failed("bad certificate")))
            .await;
        assert_eq!(
            outcome.map_err(|failure| failure.message),
            Err("bad certificate".to_owned())
        );
        assert_eq!(begin.elapsed(), Duration::ZERO);
    }
}
