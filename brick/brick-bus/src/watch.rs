//! The subscriber's side of the bus in memory: what is known now, and being told when it changes.
//!
//! A [`Publisher`] is fed by whoever learns of changes (the client service, a test); every clone of its [`Watch`] sees
//! the same immutable [`State`]. Reading costs one atomic load, so the hot path may ask for every request.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use serde::de::DeserializeOwned;
use tokio::sync::{Notify, watch};

use crate::{Change, Cursor, Resource};

/// Acknowledgements that may wait to be sent, one for each resource; more are dropped and counted.
const ACKS_MAX: usize = 1_024;

/// Where the state comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Source {
    /// Nothing is known yet.
    #[default]
    Empty,
    /// The last known good snapshot on disk; control was not reached yet.
    Snapshot,
    /// Control said so.
    Live,
}

/// All that is known at one moment. Never changed in place.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct State {
    /// The resources by name.
    pub resources: BTreeMap<String, Arc<Resource>>,
    /// Where they come from.
    pub source: Source,
    /// How far the stream was followed; none before the first event.
    pub cursor: Option<Cursor>,
}

/// How the connection behind a watch fares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stats {
    /// Whether a stream is open now.
    pub connected: bool,
    /// Streams opened so far.
    pub connects: u64,
    /// Acknowledgements that control took.
    pub acks_sent: u64,
    /// Acknowledgements lost: too many waited, or control refused them for good.
    pub acks_dropped: u64,
}

/// What a subscriber said about one revision of one resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acknowledgement {
    /// The resource.
    pub name: String,
    /// The revision that was applied or refused.
    pub revision: u64,
    /// Why it was refused; none means applied.
    pub refused: Option<String>,
    /// Keys of a configuration that do not count here, with the higher layer that has the word.
    pub shadowed: BTreeMap<String, String>,
    /// Keys of a configuration that are not known here, with the nearest that is, or nothing.
    pub unknown: BTreeMap<String, String>,
}

/// Reads the state and follows it. Cheap to clone; each clone waits for changes on its own.
#[derive(Debug, Clone)]
pub struct Watch {
    shared: Arc<Shared>,
    changes: watch::Receiver<u64>,
}

/// Writes the state that every [`Watch`] of it reads. One writer at a time.
#[derive(Debug)]
pub struct Publisher {
    shared: Arc<Shared>,
    changes: watch::Sender<u64>,
}

/// The acknowledgements that wait to be sent.
#[derive(Debug, Clone)]
pub(crate) struct AckQueue(Arc<Shared>);

#[derive(Debug, Default)]
pub(crate) struct Shared {
    state: ArcSwap<State>,
    version: AtomicU64,
    acks: std::sync::Mutex<BTreeMap<String, Acknowledgement>>,
    acks_waiting: Notify,
    /// Somebody waits for one of them.
    acks_urgent: Notify,
    pub(crate) acks_dropped: AtomicU64,
    pub(crate) acks_sent: AtomicU64,
    pub(crate) connected: AtomicBool,
    pub(crate) connects: AtomicU64,
}

/// A connected pair that knows nothing yet.
pub fn channel() -> (Publisher, Watch) {
    let shared = Arc::new(Shared::default());
    let (sender, receiver) = watch::channel(0);
    let publisher = Publisher {
        shared: Arc::clone(&shared),
        changes: sender,
    };
    (
        publisher,
        Watch {
            shared,
            changes: receiver,
        },
    )
}

impl Watch {
    /// Holds these resources for ever: for tests and for bricks that run alone.
    pub fn fixed(resources: Vec<Resource>) -> Self {
        let (mut publisher, watch) = channel();
        publisher.apply(Change::Snapshot(resources), None);
        watch
    }

    /// One resource, where it is known.
    pub fn get(&self, name: &str) -> Option<Arc<Resource>> {
        self.shared.state.load().resources.get(name).cloned()
    }

    /// The value of one resource as a type; none where it is unknown or is no `T`.
    pub fn typed<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        let resource = self.get(name)?;
        match T::deserialize(&resource.value) {
            Ok(value) => Some(value),
            Err(error) => {
                tracing::warn!(resource = name, revision = resource.revision, %error, "a resource of the bus has an unexpected shape");
                None
            }
        }
    }

    /// Everything that is known.
    pub fn state(&self) -> Arc<State> {
        self.shared.state.load_full()
    }

    /// Grows with every change; one atomic load, for caches that ask before each use whether they are still right.
    pub fn version(&self) -> u64 {
        self.shared.version.load(Ordering::Acquire)
    }

    /// Resolves at the next change that this clone has not been told of yet, with the new version; never where no
    /// publisher is left.
    pub async fn changed(&mut self) -> u64 {
        if self.changes.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
        *self.changes.borrow_and_update()
    }

    /// Waits until a resource is known, at most for `limit`.
    pub async fn wait_for(&mut self, name: &str, limit: Duration) -> Option<Arc<Resource>> {
        let known = async {
            loop {
                if let Some(resource) = self.get(name) {
                    return resource;
                }
                self.changed().await;
            }
        };
        tokio::time::timeout(limit, known).await.ok()
    }

    /// Says that a revision was applied, or why it was refused. Sent in batches; of several for one resource only the
    /// latest is sent. Endpoints are not acknowledged.
    pub fn acknowledge(&self, name: &str, revision: u64, refused: Option<String>) {
        self.say(Acknowledgement {
            name: name.to_owned(),
            revision,
            refused,
            shadowed: BTreeMap::new(),
            unknown: BTreeMap::new(),
        });
    }

    /// The same with everything that there is to say.
    pub fn say(&self, ack: Acknowledgement) {
        if ack.name.starts_with("endpoints/") {
            return;
        }
        let mut acks = self.shared.acks.lock().unwrap_or_else(|e| e.into_inner());
        if acks.len() >= ACKS_MAX && !acks.contains_key(&ack.name) {
            self.shared.acks_dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let urgent = is_urgent(&ack.name);
        acks.insert(ack.name.clone(), ack);
        drop(acks);
        self.shared.acks_waiting.notify_one();
        if urgent {
            self.shared.acks_urgent.notify_one();
        }
    }

    /// Acknowledgements that were dropped because too many waited.
    pub fn acks_dropped(&self) -> u64 {
        self.shared.acks_dropped.load(Ordering::Relaxed)
    }

    /// How the connection to control fares.
    pub fn stats(&self) -> Stats {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Stats {
            connected: self.shared.connected.load(Ordering::Relaxed),
            connects: of(&self.shared.connects),
            acks_sent: of(&self.shared.acks_sent),
            acks_dropped: of(&self.shared.acks_dropped),
        }
    }
}

impl Publisher {
    /// Another reader of the same state.
    pub fn watch(&self) -> Watch {
        Watch {
            shared: Arc::clone(&self.shared),
            changes: self.changes.subscribe(),
        }
    }

    /// Applies one change of the live stream. A reset alone changes nothing: what is known stays in use until the
    /// snapshot that follows it.
    pub fn apply(&mut self, change: Change, cursor: Option<Cursor>) {
        let mut next = State::clone(&self.shared.state.load());
        match change {
            Change::Snapshot(resources) => next.resources = by_name(resources),
            Change::Put(resource) => {
                let held = next.resources.get(&resource.name);
                if held.is_none_or(|held| held.revision <= resource.revision) {
                    next.resources.insert(resource.name.clone(), Arc::new(resource));
                }
            }
            Change::Delete { name, .. } => {
                next.resources.remove(&name);
            }
            Change::Reset { .. } => return,
        }
        next.source = Source::Live;
        next.cursor = cursor.or(next.cursor);
        self.publish(next);
    }

    /// Begins with what a snapshot on disk said.
    pub fn restore(&mut self, resources: Vec<Resource>, cursor: Option<Cursor>) {
        self.publish(State {
            resources: by_name(resources),
            source: Source::Snapshot,
            cursor,
        });
    }

    /// Control confirmed that what is held is how things are, without sending anything anew.
    pub fn confirm(&mut self) {
        let held = self.shared.state.load_full();
        if held.source != Source::Live {
            let source = Source::Live;
            self.publish(State {
                source,
                ..State::clone(&held)
            });
        }
    }

    /// Waits until acknowledgements are to be sent and takes them all.
    pub async fn acknowledgements(&self) -> Vec<Acknowledgement> {
        self.acks().take().await
    }

    /// Puts acknowledgements back that could not be sent, unless newer ones came since.
    pub fn put_back(&self, acks: Vec<Acknowledgement>) {
        self.acks().put_back(acks);
    }

    pub(crate) fn acks(&self) -> AckQueue {
        AckQueue(Arc::clone(&self.shared))
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    pub(crate) fn cursor(&self) -> Option<Cursor> {
        self.shared.state.load().cursor.clone()
    }

    fn publish(&mut self, next: State) {
        self.shared.state.store(Arc::new(next));
        let version = self.shared.version.fetch_add(1, Ordering::AcqRel) + 1;
        self.changes.send_replace(version);
    }
}

impl AckQueue {
    /// All that wait, at once.
    pub(crate) fn now(&self) -> Vec<Acknowledgement> {
        let waiting = std::mem::take(&mut *self.0.acks.lock().unwrap_or_else(|e| e.into_inner()));
        waiting.into_values().collect()
    }

    /// All that wait, as soon as there is one.
    pub(crate) async fn take(&self) -> Vec<Acknowledgement> {
        loop {
            let waiting = self.now();
            if !waiting.is_empty() {
                return waiting;
            }
            self.0.acks_waiting.notified().await;
        }
    }

    /// Resolves when there is one.
    pub(crate) async fn some(&self) {
        while self.0.acks.lock().unwrap_or_else(|e| e.into_inner()).is_empty() {
            self.0.acks_waiting.notified().await;
        }
    }

    /// Resolves as soon as there is one that somebody waits for.
    pub(crate) async fn urgent(&self) {
        let urgent = || {
            let acks = self.0.acks.lock().unwrap_or_else(|e| e.into_inner());
            acks.keys().any(|name| is_urgent(name))
        };
        while !urgent() {
            self.0.acks_urgent.notified().await;
        }
    }

    pub(crate) fn put_back(&self, acks: Vec<Acknowledgement>) {
        let mut waiting = self.0.acks.lock().unwrap_or_else(|e| e.into_inner());
        for ack in acks {
            waiting.entry(ack.name.clone()).or_insert(ack);
        }
        drop(waiting);
        self.0.acks_waiting.notify_one();
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.0
    }
}

impl State {
    /// The revision reached; 0 where nobody numbered the resources.
    pub fn revision(&self) -> u64 {
        self.cursor.as_ref().map_or(0, |cursor| cursor.revision)
    }
}

/// A change of configuration is decided by its acknowledgements: they do not wait for others to travel with.
fn is_urgent(name: &str) -> bool {
    name.starts_with("prepare/") || name.starts_with("config/")
}

fn by_name(resources: Vec<Resource>) -> BTreeMap<String, Arc<Resource>> {
    resources
        .into_iter()
        .map(|resource| (resource.name.clone(), Arc::new(resource)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn resource(name: &str, revision: u64) -> Resource {
        Resource {
            name: name.to_owned(),
            revision,
            value: json!({ "r": revision }),
        }
    }

    #[tokio::test]
    async fn every_clone_is_told_and_sees_whole_resources() {
        let (mut publisher, mut watch) = channel();
        let mut other = watch.clone();
        assert_eq!(watch.state().source, Source::Empty);
        publisher.apply(Change::Snapshot(vec![resource("a", 1), resource("b", 1)]), None);
        assert_eq!((watch.changed().await, other.changed().await), (1, 1));
        publisher.apply(Change::Put(resource("a", 2)), None);
        publisher.apply(
            Change::Delete {
                name: "b".to_owned(),
                revision: 3,
            },
            None,
        );
        assert_eq!(watch.changed().await, 3);
        assert_eq!(watch.get("a").map(|r| r.revision), Some(2));
        assert_eq!(watch.get("b"), None);
        assert_eq!(watch.version(), 3);
    }

    #[tokio::test]
    async fn a_reset_keeps_what_is_known_until_the_snapshot() {
        let (mut publisher, watch) = channel();
        publisher.restore(vec![resource("a", 1)], None);
        assert_eq!(watch.state().source, Source::Snapshot);
        publisher.apply(
            Change::Reset {
                reason: "compacted".to_owned(),
            },
            None,
        );
        assert!(watch.get("a").is_some());
        publisher.apply(Change::Snapshot(vec![]), None);
        assert!(watch.get("a").is_none());
        assert_eq!(watch.state().source, Source::Live);
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_for_a_resource_ends_with_it_or_with_the_limit() {
        let (mut publisher, mut watch) = channel();
        assert_eq!(watch.wait_for("a", Duration::from_secs(1)).await, None);
        let waiting = tokio::spawn(async move { watch.wait_for("a", Duration::from_secs(1)).await });
        publisher.apply(Change::Put(resource("a", 1)), None);
        assert!(waiting.await.unwrap().is_some());
    }

    #[tokio::test]
    async fn of_several_acknowledgements_of_a_resource_the_latest_is_sent() {
        let (publisher, watch) = channel();
        watch.acknowledge("config/order", 1, None);
        watch.acknowledge("config/order", 2, Some("max_lines: expected a number".to_owned()));
        let taken = publisher.acknowledgements().await;
        assert_eq!(taken.len(), 1);
        assert_eq!(taken[0].revision, 2);
        watch.acknowledge("config/order", 3, None);
        publisher.put_back(taken);
        assert_eq!(publisher.acknowledgements().await[0].revision, 3);
    }
}
