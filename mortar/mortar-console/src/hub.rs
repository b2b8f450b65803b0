//! The hub: every watched topic is polled once, on behalf of all tabs, and only while one of them watches.
//!
//! A topic is a `tokio::sync::watch`: it holds the newest frame and nothing else, so a tab that is slow skips states
//! and never makes anything grow. A poller ends with its last watcher.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::extract::ws::Utf8Bytes;
use brick_wire::Client;
use jiff::Timestamp;
use parking_lot::Mutex;
use serde::Serialize;
use serde_json::value::RawValue;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use crate::Options;
use crate::topic::{Topic, Upstream};

/// Most topics polled at once, over all tabs.
const TOPICS_MAX: usize = 512;
/// Largest answer that is passed on, in bytes.
const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Time limit of one question.
const TIMEOUT: Duration = Duration::from_secs(3);

/// What a topic looks like right now, encoded once for all tabs.
#[derive(Debug, Clone, Default)]
pub(crate) struct Frame {
    /// Grows by one with every change; 0 is "nothing yet".
    pub(crate) number: u64,
    /// The message.
    pub(crate) text: Utf8Bytes,
}

/// What the bounds did.
#[derive(Debug, Default)]
pub(crate) struct Tallies {
    pub(crate) tabs_refused: AtomicU64,
    pub(crate) frames_skipped: AtomicU64,
}

/// Cloneable handle.
#[derive(Clone)]
pub(crate) struct Hub(Arc<Inner>);

struct Inner {
    options: Options,
    client: Client,
    tabs: Arc<Semaphore>,
    topics: Mutex<HashMap<Topic, Watched>>,
    tallies: Tallies,
}

struct Watched {
    frames: watch::Sender<Frame>,
    /// Token of the newest watcher; the poller asks with it.
    token: Arc<Mutex<Arc<str>>>,
}

/// [`TOPICS_MAX`] topics are watched already.
#[derive(Debug)]
pub(crate) struct Full;

#[derive(Serialize)]
struct Message<'a> {
    topic: &'a str,
    sub: &'a Topic,
    at: String,
    #[serde(flatten)]
    state: &'a State,
}

/// What was found out at the last question.
#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    Data(Box<RawValue>),
    Error { code: String, detail: String },
}

impl Hub {
    pub(crate) fn new(options: Options) -> Self {
        Self(Arc::new(Inner {
            client: Client::new(),
            tabs: Arc::new(Semaphore::new(options.tabs_max)),
            topics: Mutex::default(),
            tallies: Tallies::default(),
            options,
        }))
    }

    /// Whether the token may watch; else why not.
    pub(crate) fn verify(&self, token: &str) -> Result<(), String> {
        (self.0.options.verify)(token)
    }

    /// A place for one more tab, none where all are taken.
    pub(crate) fn admit(&self) -> Option<OwnedSemaphorePermit> {
        let place = Arc::clone(&self.0.tabs).try_acquire_owned().ok();
        if place.is_none() {
            self.0.tallies.tabs_refused.fetch_add(1, Ordering::Relaxed);
        }
        place
    }

    pub(crate) fn tallies(&self) -> &Tallies {
        &self.0.tallies
    }

    pub(crate) fn tabs(&self) -> u64 {
        (self.0.options.tabs_max - self.0.tabs.available_permits()) as u64
    }

    pub(crate) fn tabs_max(&self) -> usize {
        self.0.options.tabs_max
    }

    pub(crate) fn topics(&self) -> u64 {
        self.0.topics.lock().len() as u64
    }

    /// Watches a topic; the first watcher starts its poller.
    pub(crate) fn watch(&self, topic: &Topic, token: &Arc<str>) -> Result<watch::Receiver<Frame>, Full> {
        let mut topics = self.0.topics.lock();
        if let Some(watched) = topics.get(topic) {
            *watched.token.lock() = Arc::clone(token);
            let mut receiver = watched.frames.subscribe();
            receiver.mark_changed();
            return Ok(receiver);
        }
        if topics.len() >= TOPICS_MAX {
            return Err(Full);
        }
        let (frames, receiver) = watch::channel(Frame::default());
        let token = Arc::new(Mutex::new(Arc::clone(token)));
        let poller = Poller {
            hub: self.clone(),
            topic: topic.clone(),
            token: Arc::clone(&token),
            last: String::new(),
        };
        topics.insert(topic.clone(), Watched { frames, token });
        tokio::spawn(poller.run());
        Ok(receiver)
    }

    /// Removes the topic if nobody watches it; under the lock, so that no watcher can slip in between.
    fn retire(&self, topic: &Topic) -> bool {
        let mut topics = self.0.topics.lock();
        let unwatched = topics
            .get(topic)
            .is_none_or(|watched| watched.frames.receiver_count() == 0);
        if unwatched {
            topics.remove(topic);
        }
        unwatched
    }
}

struct Poller {
    hub: Hub,
    topic: Topic,
    token: Arc<Mutex<Arc<str>>>,
    /// State at the last change, to tell whether there is anything to say.
    last: String,
}

impl Poller {
    async fn run(mut self) {
        let interval = self.topic.interval(self.hub.0.options.interval);
        let mut ticks = tokio::time::interval(interval);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            if self.hub.retire(&self.topic) {
                return;
            }
            let state = self.ask().await;
            self.tell(&state);
        }
    }

    async fn ask(&self) -> State {
        let now = Timestamp::now().as_second();
        let (upstream, path) = self.topic.question(now);
        let options = &self.hub.0.options;
        let (who, base) = match upstream {
            Upstream::Control => ("control", &options.control_url),
            Upstream::Telemetry => ("telemetry", &options.telemetry_url),
        };
        let token = Arc::clone(&self.token.lock());
        let url = format!("{}{path}", base.trim_end_matches('/'));
        let call = self.hub.0.client.get(url).bearer(&token).timeout(TIMEOUT);
        match call.bytes_max(ANSWER_BYTES_MAX).json::<Box<RawValue>>().await {
            Ok(data) => State::Data(data),
            Err(error) => {
                tracing::debug!(error = %brick_core::chain(&error), "a question of the console has no answer");
                State::failed(who, &error)
            }
        }
    }

    fn tell(&mut self, state: &State) {
        let Ok(found) = serde_json::to_string(state) else {
            return;
        };
        if found == self.last {
            return;
        }
        self.last = found;
        let message = Message {
            topic: self.topic.name(),
            sub: &self.topic,
            at: now(),
            state,
        };
        let Ok(text) = serde_json::to_string(&message) else {
            return;
        };
        if let Some(watched) = self.hub.0.topics.lock().get(&self.topic) {
            watched.frames.send_modify(|frame| {
                frame.number += 1;
                frame.text = text.into();
            });
        }
    }
}

impl State {
    fn failed(who: &str, error: &brick_wire::Error) -> Self {
        if error.is_unreachable() {
            return Self::Error {
                code: format!("{who}_unreachable"),
                detail: format!("{who} does not answer; it is asked again every second"),
            };
        }
        let code = match error {
            brick_wire::Error::Status { problem, .. } => problem.code.clone(),
            _ => "bad_answer".to_owned(),
        };
        Self::Error {
            code,
            detail: brick_core::chain(error),
        }
    }
}

/// The time as the console tells it, RFC 3339 UTC to the millisecond.
pub(crate) fn now() -> String {
    format!("{:.3}", Timestamp::now())
}
