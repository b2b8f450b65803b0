//! The exporter: sends finished spans as OTLP over HTTP, in batches, and traces nothing of itself.
//!
//! Bounded everywhere: the queue before it, the size of a batch, the number of retries, the time of the last flush.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use brick_core::Drain;
use brick_wire::Client;
use http::StatusCode;
use prost::Message as _;
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::Identity;
use crate::span::{Message, Queue, SpanRecord};

mod otlp;

/// Most spans of one batch.
pub const BATCH_MAX: usize = 512;
/// Longest time that a span waits for its batch to fill.
pub const LINGER: Duration = Duration::from_millis(200);
/// Attempts at sending a batch, the first included; then it is given up and counted.
pub const ATTEMPTS_MAX: u32 = 8;
/// Time that the last spans have to leave when the process drains.
pub const DRAIN_LIMIT: Duration = Duration::from_secs(2);

const CALL_LIMIT: Duration = Duration::from_secs(5);
const BACKOFF: Duration = Duration::from_millis(100);
const BACKOFF_MAX: Duration = Duration::from_secs(5);
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// Sends spans while it runs.
#[derive(Debug)]
#[must_use = "spans leave only while the exporter runs"]
pub struct Exporter {
    url: Option<String>,
    resource: otlp::Resource,
    queue: Queue,
    client: Client,
    figures: Arc<Figures>,
    reachable: bool,
}

/// What was sent and what was given up.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    exported: AtomicU64,
    given_up: AtomicU64,
}

/// What one attempt came to.
enum Outcome {
    Taken,
    Later(String),
    Refused(String),
}

impl Figures {
    pub(crate) fn read(&self) -> (f64, f64) {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed) as f64;
        (read(&self.exported), read(&self.given_up))
    }
}

impl Exporter {
    pub(crate) fn new(
        identity: &Identity,
        endpoint: Option<String>,
        queue: Queue,
        figures: Arc<Figures>,
    ) -> Self {
        Self {
            url: endpoint.map(|base| format!("{}/v1/traces", base.trim_end_matches('/'))),
            resource: otlp::resource(identity),
            queue,
            client: Client::new(),
            figures,
            reachable: true,
        }
    }

    /// Sends batches until the drain is requested, then what is left, for two seconds at most.
    pub async fn run(mut self, drain: Drain) {
        let Some(url) = self.url.take() else {
            drain.requested().await;
            return;
        };
        let mut batch = Vec::new();
        loop {
            let flushed = tokio::select! {
                () = drain.requested() => break,
                flushed = fill(&mut self.queue, &mut batch) => flushed,
            };
            tokio::select! {
                () = drain.requested() => break,
                () = self.send(&url, &mut batch) => {}
            }
            if let Some(flushed) = flushed {
                let _ = flushed.send(());
            }
        }
        let _ = tokio::time::timeout(DRAIN_LIMIT, self.send_rest(&url, &mut batch)).await;
        self.give_up(&mut batch, "the process ended first");
    }

    async fn send_rest(&mut self, url: &str, batch: &mut Vec<SpanRecord>) {
        self.queue.messages.close();
        loop {
            while batch.len() < BATCH_MAX {
                match self.queue.messages.try_recv() {
                    Ok(Message::Span(span)) => batch.push(span),
                    Ok(Message::Flush(flushed)) => drop(flushed),
                    Err(_) => break,
                }
            }
            if batch.is_empty() {
                return;
            }
            self.send(url, batch).await;
        }
    }

    /// Sends the batch and empties it, with retries while that may help. Cancelled, it leaves the batch as it is.
    async fn send(&mut self, url: &str, batch: &mut Vec<SpanRecord>) {
        if batch.is_empty() {
            return;
        }
        let body = bytes::Bytes::from(otlp::request(&self.resource, batch).encode_to_vec());
        let mut backoff = BACKOFF;
        for attempt in 1..=ATTEMPTS_MAX {
            let reason = match self.attempt(url, body.clone()).await {
                Outcome::Taken => {
                    if !std::mem::replace(&mut self.reachable, true) {
                        tracing::info!(url, "spans are sent again");
                    }
                    let sent = u64::try_from(batch.len()).unwrap_or(u64::MAX);
                    self.figures.exported.fetch_add(sent, Ordering::Relaxed);
                    batch.clear();
                    return;
                }
                Outcome::Refused(reason) => {
                    self.give_up(batch, &reason);
                    return;
                }
                Outcome::Later(reason) => reason,
            };
            if std::mem::replace(&mut self.reachable, false) {
                tracing::warn!(url, reason, "spans wait: the receiver cannot be reached");
            }
            if attempt < ATTEMPTS_MAX {
                tokio::time::sleep(backoff.mul_f64(rand::random_range(0.5..1.0))).await;
                backoff = (backoff * 2).min(BACKOFF_MAX);
            }
        }
        self.give_up(batch, "the receiver could not be reached");
    }

    async fn attempt(&self, url: &str, body: bytes::Bytes) -> Outcome {
        let call = self
            .client
            .post(url)
            .body("application/x-protobuf", body)
            .timeout(CALL_LIMIT)
            .bytes_max(ANSWER_BYTES_MAX);
        match call.send().await {
            Err(error) if error.is_unreachable() => Outcome::Later(brick_core::chain(&error)),
            Err(error) => Outcome::Refused(brick_core::chain(&error)),
            Ok(answer) => match answer.status {
                status if status.is_success() => Outcome::Taken,
                // OTLP 1.x §Failures: these alone may be sent again.
                status @ (StatusCode::TOO_MANY_REQUESTS
                | StatusCode::BAD_GATEWAY
                | StatusCode::SERVICE_UNAVAILABLE
                | StatusCode::GATEWAY_TIMEOUT) => Outcome::Later(status.to_string()),
                status => Outcome::Refused(status.to_string()),
            },
        }
    }

    fn give_up(&self, batch: &mut Vec<SpanRecord>, reason: &str) {
        if batch.is_empty() {
            return;
        }
        let lost = u64::try_from(batch.len()).unwrap_or(u64::MAX);
        self.figures.given_up.fetch_add(lost, Ordering::Relaxed);
        tracing::warn!(spans = lost, reason, "spans were not sent");
        batch.clear();
    }
}

/// Fills the batch: until it is full, until [`LINGER`] after its first span, or until somebody waits for a flush.
/// Between its first span and its end nobody is woken by a further one.
async fn fill(queue: &mut Queue, batch: &mut Vec<SpanRecord>) -> Option<oneshot::Sender<()>> {
    let mut until = (!batch.is_empty()).then(|| Instant::now() + LINGER);
    loop {
        while batch.len() < BATCH_MAX {
            match queue.messages.try_recv() {
                Ok(Message::Span(span)) => batch.push(span),
                Ok(Message::Flush(flushed)) => return Some(flushed),
                Err(_) => break,
            }
        }
        if batch.len() >= BATCH_MAX {
            return None;
        }
        if batch.is_empty() {
            match queue.messages.recv().await {
                Some(Message::Span(span)) => batch.push(span),
                Some(Message::Flush(flushed)) => return Some(flushed),
                // Every sink is gone: only the drain is still to come.
                None => std::future::pending().await,
            }
        }
        let end = *until.get_or_insert_with(|| Instant::now() + LINGER);
        if queue.messages.is_closed() || Instant::now() >= end {
            return None;
        }
        tokio::select! {
            () = tokio::time::sleep_until(end) => {}
            () = queue.hurry.notified() => {}
        }
    }
}

#[cfg(test)]
mod tests;
