//! The body of a watch: what is to be told first, then changes as they come, and a heartbeat in between.

use std::convert::Infallible;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use futures_util::stream::unfold;
use tokio::time::{Instant, Interval, MissedTickBehavior};

use super::{Encoded, Subscription, id_line, sse};

struct Body {
    subscription: Subscription,
    heartbeat: Interval,
    end: Instant,
    /// The second half of an event whose id was told.
    half: Option<(u64, Bytes)>,
    /// Revision that counts as sent when the next piece is asked for.
    told: u64,
}

/// Streams until the subscriber goes away or is cut off, control stops, or `life` (of its token) is over.
pub(crate) fn body(
    subscription: Subscription,
    life: Duration,
) -> impl Stream<Item = Result<Bytes, Infallible>> + Send {
    let every = subscription.bus.heartbeat;
    let now = Instant::now();
    let mut heartbeat = tokio::time::interval_at(now + every, every);
    heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let body = Body {
        subscription,
        heartbeat,
        end: now + life,
        half: None,
        told: 0,
    };
    unfold(body, |mut body| async move {
        let piece = body.next().await?;
        Some((Ok(piece), body))
    })
}

impl Body {
    async fn next(&mut self) -> Option<Bytes> {
        // The transport asks for more only when it has taken what it was given.
        self.mark();
        if let Some(piece) = self.subscription.first.pop_front() {
            if self.subscription.first.is_empty() {
                self.told = self.subscription.first_revision;
            }
            return Some(piece);
        }
        if let Some((revision, event)) = self.half.take() {
            self.told = revision;
            return Some(event);
        }
        tokio::select! {
            biased;
            change = self.subscription.queue.recv() => change.map(|change| self.begin(&change)),
            () = tokio::time::sleep_until(self.end) => None,
            _ = self.heartbeat.tick() => Some(sse::heartbeat()),
        }
    }

    fn begin(&mut self, change: &Encoded) -> Bytes {
        self.heartbeat.reset();
        self.half = Some((change.revision, change.event.clone()));
        id_line(&self.subscription.epoch, change.revision)
    }

    fn mark(&mut self) {
        let told = std::mem::take(&mut self.told);
        if told > 0 {
            self.subscription.sent.fetch_max(told, Ordering::Release);
            self.subscription.bus.progress.notify_waiters();
        }
    }
}
