//! A timer that is lent from one wait to the next and armed again only when it fires too early: most waits end long
//! before their limit, and arming costs more than looking.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::time::{Instant, Sleep};

/// A timer; made when something has to be waited for.
#[derive(Debug, Default)]
pub(crate) struct Timer(Option<Pin<Box<Sleep>>>);

impl Timer {
    /// Ready once the moment has come.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>, deadline: Instant) -> Poll<()> {
        let sleep = self
            .0
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        if sleep.deadline() > deadline {
            sleep.as_mut().reset(deadline);
        }
        loop {
            ready!(sleep.as_mut().poll(cx));
            if Instant::now() >= deadline {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(deadline);
        }
    }

    /// What the future gives, if it does before the moment has come. It is pinned by the caller, for a future that is
    /// handed over stands twice in the one that waits for it.
    pub(crate) fn within<F: Future>(
        &mut self,
        deadline: Instant,
        mut future: Pin<&mut F>,
    ) -> impl Future<Output = Option<F::Output>> {
        std::future::poll_fn(move |cx| {
            if let Poll::Ready(output) = future.as_mut().poll(cx) {
                return Poll::Ready(Some(output));
            }
            self.poll(cx, deadline).map(|()| None)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_lent_timer_keeps_each_limit() {
        let mut timer = Timer::default();
        let begun = Instant::now();
        for (limit_ms, expect_ms) in [(5_000, 5_000), (10, 5_010), (20_000, 25_010), (1, 25_011)] {
            let deadline = Instant::now() + Duration::from_millis(limit_ms);
            let never = timer.within(deadline, pin!(std::future::pending::<()>())).await;
            assert_eq!(never, None);
            assert_eq!(begun.elapsed().as_millis(), expect_ms);
        }
        let later = Instant::now() + Duration::from_secs(60);
        assert_eq!(timer.within(later, pin!(async { 7 })).await, Some(7));
        let soon = Instant::now() + Duration::from_millis(3);
        assert_eq!(timer.within(soon, pin!(std::future::pending::<()>())).await, None);
        assert_eq!(begun.elapsed().as_millis(), 25_014);
    }
}
