//! What happens, as `up` prints it: a bounded broadcast with a replay for those who come later.

use std::collections::VecDeque;
use std::sync::Arc;

use brick_core::BrickName;
use jiff::Timestamp;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast;

/// Events that late subscribers still get.
const REPLAY_MAX: usize = 1024;
/// Events a slow subscriber may lag behind before it loses the oldest.
const LAG_MAX: usize = 2048;

/// Kind of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum EventKind {
    /// A build begins; the message is the command.
    BuildStarted,
    /// A line that a build wrote.
    BuildProgress,
    /// A build is done; the message says in what time.
    BuildDone,
    /// A build failed; `lines` are its last ones.
    BuildFailed,
    /// A process of an instance was started.
    Starting,
    /// An instance became ready; the message says in what time.
    Ready,
    /// An instance that was ready is not ready any more.
    Unready,
    /// An instance is not ready after its grace; `lines` are its last ones.
    NeverReady,
    /// A process that still ran was taken over from an earlier agent.
    Adopted,
    /// A process ended by itself; the message says how and when it is started again.
    Exited,
    /// An instance dies again and again; `lines` are its last ones.
    CrashLoop,
    /// A brick is left out, loudly.
    Skipped,
    /// A process could not be started at all.
    Failed,
    /// An instance is being stopped.
    Stopping,
    /// An instance was stopped.
    Stopped,
    /// Something that the operator should know: a port that moved, a disk that is full.
    Warning,
    /// A difference of the manifest or a new number of replicas was applied.
    Changed,
    /// The instances of a brick are being replaced, one after the other.
    RollStarted,
    /// An instance has a new process; the old one has gone.
    Replaced,
    /// All instances were replaced.
    RollDone,
    /// A new process did not become ready, so the roll stopped; `lines` are its last ones.
    RollFailed,
    /// Everything is ready; the message says in what time.
    AllReady,
    /// The system is going down.
    Down,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// When.
    pub ts: Timestamp,
    /// What kind of thing.
    pub kind: EventKind,
    /// Brick it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub brick: Option<BrickName>,
    /// Slot it is about, `order/1`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// What a person reads.
    pub msg: String,
    /// Log or build lines that belong to it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lines: Vec<String>,
}

impl Event {
    /// An event of the whole system.
    pub fn new(kind: EventKind, msg: impl Into<String>) -> Self {
        Self {
            ts: Timestamp::now(),
            kind,
            brick: None,
            instance: None,
            msg: msg.into(),
            lines: Vec::new(),
        }
    }

    /// Says which brick it is about.
    #[must_use]
    pub fn brick(mut self, brick: &BrickName) -> Self {
        self.brick = Some(brick.clone());
        self
    }

    /// Says which slot it is about.
    #[must_use]
    pub fn instance(mut self, slot: impl Into<String>) -> Self {
        self.instance = Some(slot.into());
        self
    }

    /// Adds the lines that belong to it.
    #[must_use]
    pub fn lines(mut self, lines: Vec<String>) -> Self {
        self.lines = lines;
        self
    }
}

/// Where events go.
#[derive(Debug, Clone)]
pub(crate) struct Events(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    replay: Mutex<VecDeque<Event>>,
    live: broadcast::Sender<Event>,
}

/// A subscription: first what happened before, then what happens.
#[derive(Debug)]
pub struct Subscription {
    replay: VecDeque<Event>,
    live: broadcast::Receiver<Event>,
}

impl Events {
    pub(crate) fn new() -> Self {
        let (live, _) = broadcast::channel(LAG_MAX);
        Self(Arc::new(Inner {
            replay: Mutex::new(VecDeque::new()),
            live,
        }))
    }

    pub(crate) fn send(&self, event: Event) {
        tracing::debug!(kind = ?event.kind, instance = event.instance, "{}", event.msg);
        let mut replay = self.0.replay.lock();
        // Progress is of the moment: keeping it would push out what a late subscriber needs.
        if event.kind != EventKind::BuildProgress {
            if replay.len() == REPLAY_MAX {
                replay.pop_front();
            }
            replay.push_back(event.clone());
        }
        // Nobody listening is no error.
        let _ = self.0.live.send(event);
    }

    pub(crate) fn subscribe(&self) -> Subscription {
        let replay = self.0.replay.lock();
        Subscription {
            live: self.0.live.subscribe(),
            replay: replay.clone(),
        }
    }

    /// When the last build ended.
    pub(crate) fn last_build_end(&self) -> Option<Timestamp> {
        let replay = self.0.replay.lock();
        let builds = replay.iter().rev();
        let mut ends = builds.filter(|event| event.kind == EventKind::BuildDone);
        ends.next().map(|event| event.ts)
    }

    pub(crate) fn past(&self) -> Vec<Event> {
        self.0.replay.lock().iter().cloned().collect()
    }
}

impl Subscription {
    /// The next event; none when the agent is gone. A subscriber that lags too far gets a warning in place of what it
    /// lost.
    pub async fn next(&mut self) -> Option<Event> {
        if let Some(event) = self.replay.pop_front() {
            return Some(event);
        }
        match self.live.recv().await {
            Ok(event) => Some(event),
            Err(broadcast::error::RecvError::Lagged(lost)) => Some(Event::new(
                EventKind::Warning,
                format!("{lost} events were lost: this reader is too slow"),
            )),
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn late_subscribers_get_what_happened_before_but_no_progress() {
        let events = Events::new();
        events.send(Event::new(EventKind::BuildStarted, "cargo build"));
        events.send(Event::new(EventKind::BuildProgress, "Compiling a"));
        events.send(Event::new(EventKind::BuildDone, "in 1s"));
        let mut late = events.subscribe();
        events.send(Event::new(EventKind::AllReady, "ready"));
        let mut seen = Vec::new();
        for _ in 0..3 {
            seen.push(late.next().await.unwrap().kind);
        }
        assert_eq!(
            seen,
            [EventKind::BuildStarted, EventKind::BuildDone, EventKind::AllReady]
        );
    }

    #[tokio::test]
    async fn a_slow_subscriber_is_told_how_much_it_lost() {
        let events = Events::new();
        let mut slow = events.subscribe();
        for n in 0..LAG_MAX + 10 {
            events.send(Event::new(EventKind::Warning, n.to_string()));
        }
        assert!(slow.next().await.unwrap().msg.starts_with("10 events were lost"));
        assert_eq!(slow.next().await.unwrap().msg, "10");
    }
}
