//! Sends acknowledgements in batches, the newest of each resource.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use brick_core::Incarnation;
use brick_wire::Client;
use http::StatusCode;
use serde_json::json;

use super::backoff::Backoff;
use super::{Options, Token};
use crate::Ack;
use crate::watch::{AckQueue, Acknowledgement, Shared};

/// How long a batch is collected where nobody waits for it.
const WINDOW: Duration = Duration::from_millis(50);
/// How long the last batch may take while the process drains.
const FLUSH_MAX: Duration = Duration::from_millis(500);

pub(super) struct Acks {
    url: String,
    token: Token,
    incarnation: Incarnation,
    client: Client,
    queue: AckQueue,
    backoff: Backoff,
}

impl fmt::Debug for Acks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Acks")
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}

impl Acks {
    pub(super) fn new(options: &Options, client: Client, queue: AckQueue) -> Self {
        Self {
            url: format!("{}/bus/v1/acks", options.control_url.trim_end_matches('/')),
            token: Arc::clone(&options.token),
            incarnation: options.incarnation,
            client,
            queue,
            backoff: Backoff::default(),
        }
    }

    pub(super) async fn run(&mut self) {
        loop {
            self.queue.some().await;
            tokio::select! {
                () = tokio::time::sleep(WINDOW) => {}
                () = self.queue.urgent() => {}
            }
            if self.send().await {
                self.backoff.reset();
            } else {
                tokio::time::sleep(self.backoff.next()).await;
            }
        }
    }

    /// Sends what waits once more.
    pub(super) async fn flush(&mut self) {
        let _ = tokio::time::timeout(FLUSH_MAX, self.send()).await;
    }

    /// Whether what waited is done with. Nothing leaves the queue for good before control has answered, so that a
    /// send which is given up half-way loses nothing.
    async fn send(&mut self) -> bool {
        let batch = Batch {
            acks: self.queue.now(),
            queue: &self.queue,
        };
        let Err(error) = self.post(&batch.acks).await else {
            batch.done(|shared| &shared.acks_sent);
            return true;
        };
        let hopeless = error.status().is_some_and(|status| {
            status.is_client_error()
                && status != StatusCode::UNAUTHORIZED
                && status != StatusCode::TOO_MANY_REQUESTS
        });
        if hopeless {
            tracing::warn!(%error, count = batch.acks.len(), "control refuses acknowledgements; they are dropped");
            batch.done(|shared| &shared.acks_dropped);
        }
        hopeless
    }

    async fn post(&self, acks: &[Acknowledgement]) -> Result<(), brick_wire::client::Error> {
        if acks.is_empty() {
            return Ok(());
        }
        let acks: Vec<Ack> = acks
            .iter()
            .map(|ack| Ack {
                name: ack.name.clone(),
                revision: ack.revision,
                incarnation: self.incarnation,
                refused: ack.refused.clone(),
                shadowed: ack.shadowed.clone(),
                unknown: ack.unknown.clone(),
            })
            .collect();
        let mut call = self.client.post(self.url.as_str());
        if let Some(token) = (self.token)() {
            call = call.bearer(&token);
        }
        let answer = call.json_body(&json!({ "acks": acks })).send().await?;
        answer.success().map(drop)
    }
}

/// Acknowledgements on their way; they go back into the queue unless they are done with.
struct Batch<'a> {
    acks: Vec<Acknowledgement>,
    queue: &'a AckQueue,
}

impl Batch<'_> {
    fn done(mut self, counter: impl Fn(&Shared) -> &AtomicU64) {
        counter(self.queue.shared()).fetch_add(self.acks.len() as u64, Ordering::Relaxed);
        self.acks.clear();
    }
}

impl Drop for Batch<'_> {
    fn drop(&mut self) {
        if !self.acks.is_empty() {
            self.queue.put_back(std::mem::take(&mut self.acks));
        }
    }
}
