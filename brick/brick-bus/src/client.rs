//! The streaming client: follows control, survives its absence, and tells it what was applied.
//!
//! One task per process. It never ends before its drain is requested: a lost stream is opened again with jittered
//! back-off and resumed where it stopped, and what control said last stays on disk for the next start.

mod acks;
mod backoff;
mod snapshot;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use brick_core::{Drain, Incarnation, chain};
use brick_wire::{Client, sse};
use http::HeaderName;
use http::header::ACCEPT;

use crate::{Change, Cursor, Publisher, Watch};
use acks::Acks;
use backoff::Backoff;
use snapshot::Keeper;

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// Control sends a heartbeat every 5 s; a stream that is silent for three of them is dead.
const SILENCE_MAX: Duration = Duration::from_secs(15);

/// Gives the process's own token, asked anew for every connection.
pub type Token = Arc<dyn Fn() -> Option<String> + Send + Sync>;

/// What to follow and how.
#[derive(Clone)]
pub struct Options {
    /// Base URL of control, `http://127.0.0.1:PORT`.
    pub control_url: String,
    /// Names or `prefix*` patterns of the resources to follow.
    pub resources: Vec<String>,
    /// File that keeps the last known good state; none keeps nothing.
    pub snapshot: Option<PathBuf>,
    /// The process's own token.
    pub token: Token,
    /// Who acknowledges.
    pub incarnation: Incarnation,
}

/// The client's task.
#[derive(Debug)]
pub struct Service {
    stream: Stream,
    acks: Acks,
    keeper: Option<Keeper>,
}

/// The part that holds the stream.
#[derive(Debug)]
struct Stream {
    options: Options,
    url: String,
    client: Client,
    publisher: Publisher,
    backoff: Backoff,
}

/// Why a stream ended.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error("control closed the stream")]
    Closed,
    #[error("nothing came for {} s, not even a heartbeat", SILENCE_MAX.as_secs())]
    Silent,
    #[error(transparent)]
    Wire(#[from] brick_wire::client::Error),
    #[error(transparent)]
    TooLarge(#[from] sse::TooLarge),
    #[error(transparent)]
    Decode(#[from] crate::change::DecodeError),
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("control_url", &self.control_url)
            .field("resources", &self.resources)
            .field("snapshot", &self.snapshot)
            .field("incarnation", &self.incarnation)
            .finish_non_exhaustive()
    }
}

impl Service {
    /// Loads the snapshot, if there is a usable one, and gives the task and the watch that it feeds.
    pub fn new(options: Options) -> (Service, Watch) {
        let (mut publisher, watch) = crate::watch::channel();
        if let Some(path) = &options.snapshot
            && let Some((resources, cursor)) = snapshot::load(path)
        {
            publisher.restore(resources, cursor);
        }
        let client = Client::new();
        let acks = Acks::new(&options, client.clone(), publisher.acks());
        let keeper = options
            .snapshot
            .clone()
            .map(|path| Keeper::new(path, publisher.watch()));
        let stream = Stream {
            url: watch_url(&options),
            options,
            client,
            publisher,
            backoff: Backoff::default(),
        };
        let service = Service { stream, acks, keeper };
        (service, watch)
    }

    /// Follows control until the drain is requested; then what waits is sent once more and written down.
    pub async fn run(mut self, drain: Drain) {
        tokio::select! {
            () = drain.requested() => {}
            () = self.stream.follow() => {}
            () = self.acks.run() => {}
            () = snapshot::keep(self.keeper.as_mut()) => {}
        }
        let shared = self.stream.publisher.shared();
        shared.connected.store(false, Ordering::Relaxed);
        self.acks.flush().await;
        if let Some(keeper) = &mut self.keeper {
            keeper.write().await;
        }
    }
}

impl Stream {
    /// Opens the stream again and again.
    async fn follow(&mut self) {
        let mut failing = false;
        loop {
            let shared = Arc::clone(self.publisher.shared());
            let before = shared.connects.load(Ordering::Relaxed);
            let Err(ended) = self.once().await;
            let worked = shared.connects.load(Ordering::Relaxed) > before;
            shared.connected.store(false, Ordering::Relaxed);
            let (url, reason) = (&self.options.control_url, chain(&ended));
            if worked || failing {
                tracing::debug!(%url, %reason, "the bus stream ended; it is opened again");
            } else {
                tracing::warn!(%url, %reason, "the bus cannot be followed; what is known stays in force and it is tried again");
            }
            failing = !worked;
            tokio::time::sleep(self.backoff.next()).await;
        }
    }

    /// One stream, from its opening to its end.
    async fn once(&mut self) -> Result<std::convert::Infallible, Ended> {
        let mut call = self
            .client
            .get(self.url.as_str())
            .header(ACCEPT, "text/event-stream");
        if let Some(token) = (self.options.token)() {
            call = call.bearer(&token);
        }
        if let Some(cursor) = self.publisher.cursor() {
            call = call.header(LAST_EVENT_ID, &cursor.to_string());
        }
        let mut body = call.stream().await?;
        let shared = self.publisher.shared();
        shared.connects.fetch_add(1, Ordering::Relaxed);
        shared.connected.store(true, Ordering::Relaxed);
        let mut parser = sse::Parser::default();
        loop {
            let chunk = tokio::time::timeout(SILENCE_MAX, body.chunk()).await;
            let chunk = chunk.map_err(|_| Ended::Silent)??.ok_or(Ended::Closed)?;
            self.backoff.reset();
            self.take(&parser.feed(&chunk)?)?;
        }
    }

    /// Applies events. A stream that has nothing to say but that it lives confirms what is held.
    fn take(&mut self, events: &[sse::Event]) -> Result<(), Ended> {
        let mut reset = false;
        for event in events {
            let Some(change) = Change::decode(&event.event, &event.data)? else {
                continue;
            };
            reset |= matches!(change, Change::Reset { .. });
            self.publisher.apply(change, event.id.parse::<Cursor>().ok());
        }
        if !reset {
            self.publisher.confirm();
        }
        Ok(())
    }
}

/// The address of the stream; everything but unreserved characters (RFC 3986 §2.3) and `/` is percent-encoded.
fn watch_url(options: &Options) -> String {
    let pairs: Vec<(&str, &str)> = options
        .resources
        .iter()
        .map(|name| ("resource", name.as_str()))
        .collect();
    let base = options.control_url.trim_end_matches('/');
    let query = brick_wire::form::encode(&pairs);
    let mark = if query.is_empty() { "" } else { "?" };
    format!("{base}/bus/v1/watch{mark}{query}")
}

#[cfg(test)]
mod tests;
