//! The bus: who listens, what they have been sent, and the recent past for those who come back.

pub(crate) mod stream;
pub(crate) mod view;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use brick_bus::{Change, Cursor, Resource};
use brick_core::Incarnation;
use brick_wire::sse;
use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc};

use crate::state::{Published, State};
use crate::{Error, Options};
use view::View;

/// One change, encoded once for everybody: all of its event but the id.
#[derive(Debug)]
pub(crate) struct Encoded {
    pub(crate) name: String,
    pub(crate) revision: u64,
    pub(crate) event: Bytes,
}

/// The subscribers and the history.
#[derive(Debug)]
pub(crate) struct Bus {
    inner: Mutex<Inner>,
    /// Told whenever a subscriber has been sent something or is gone.
    progress: Notify,
    pub(crate) counts: Counts,
    history_max: usize,
    queue_max: usize,
    subscribers_max: usize,
    pub(crate) heartbeat: Duration,
}

/// What happened so far.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) changes: AtomicU64,
    pub(crate) resets: AtomicU64,
    pub(crate) resumed: AtomicU64,
    pub(crate) cut: AtomicU64,
    pub(crate) refused: AtomicU64,
}

#[derive(Debug)]
struct Inner {
    epoch: String,
    revision: u64,
    resources: BTreeMap<String, Arc<Resource>>,
    history: VecDeque<Arc<Encoded>>,
    /// A cursor before this revision cannot be resumed from.
    floor: u64,
    subscribers: HashMap<u64, Subscriber>,
    next_id: u64,
    closed: bool,
    /// Whether its process leads after it stood by.
    led: bool,
}

#[derive(Debug)]
struct Subscriber {
    /// The process behind it, where the token names one.
    who: Option<Incarnation>,
    view: Arc<View>,
    queue: mpsc::Sender<Arc<Encoded>>,
    sent: Arc<AtomicU64>,
}

/// A place among the subscribers, with what is to be told first. Given up when dropped.
#[derive(Debug)]
pub(crate) struct Subscription {
    bus: Arc<Bus>,
    id: u64,
    epoch: String,
    /// Complete events.
    first: VecDeque<Bytes>,
    first_revision: u64,
    queue: mpsc::Receiver<Arc<Encoded>>,
    sent: Arc<AtomicU64>,
}

/// Too many listen, or control is stopping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    Full,
    Stopping,
}

impl Bus {
    pub(crate) fn new(options: &Options, state: &State) -> Self {
        Self {
            inner: Mutex::new(Inner {
                epoch: state.epoch.clone(),
                revision: state.revision,
                resources: state.resources.clone(),
                history: VecDeque::new(),
                floor: state.revision,
                subscribers: HashMap::new(),
                next_id: 0,
                closed: false,
                led: false,
            }),
            progress: Notify::new(),
            counts: Counts::default(),
            history_max: options.history_max,
            queue_max: options.queue_max.max(1),
            subscribers_max: options.subscribers_max,
            heartbeat: options.heartbeat,
        }
    }

    /// Tells everybody who may see them of changes that are on disk.
    pub(crate) fn publish(&self, changes: &[Published]) -> Result<(), Error> {
        let encoded = changes.iter().map(encode).collect::<Result<Vec<_>, _>>()?;
        self.counts
            .changes
            .fetch_add(encoded.len() as u64, Ordering::Relaxed);
        let mut inner = self.inner.lock();
        let Inner {
            resources,
            subscribers,
            history,
            ..
        } = &mut *inner;
        for (change, event) in changes.iter().zip(&encoded) {
            match change {
                Published::Put(resource) => {
                    resources.insert(resource.name.clone(), Arc::clone(resource));
                }
                Published::Delete { name, .. } => {
                    resources.remove(name);
                }
            }
            subscribers.retain(|_, subscriber| {
                if !subscriber.view.covers(&event.name) {
                    return true;
                }
                let kept = subscriber.queue.try_send(Arc::clone(event)).is_ok();
                if !kept {
                    self.counts.cut.fetch_add(1, Ordering::Relaxed);
                }
                kept
            });
            history.push_back(Arc::clone(event));
        }
        inner.revision = encoded.last().map_or(inner.revision, |event| event.revision);
        while inner.history.len() > self.history_max {
            if let Some(forgotten) = inner.history.pop_front() {
                inner.floor = forgotten.revision;
            }
        }
        drop(inner);
        self.progress.notify_waiters();
        Ok(())
    }

    /// A new subscriber: resumed from its cursor where that holds, else with everything that it may see.
    pub(crate) fn subscribe(
        self: &Arc<Self>,
        view: View,
        cursor: Option<Cursor>,
        who: Option<Incarnation>,
    ) -> Result<Subscription, Result<Refused, Error>> {
        let mut inner = self.inner.lock();
        if inner.closed {
            return Err(Ok(Refused::Stopping));
        }
        if inner.subscribers.len() >= self.subscribers_max {
            self.counts.refused.fetch_add(1, Ordering::Relaxed);
            return Err(Ok(Refused::Full));
        }
        let epoch = view.epoch(&inner.epoch);
        let first = self.first(&inner, &view, &epoch, cursor).map_err(Err)?;
        let (sender, queue) = mpsc::channel(self.queue_max);
        let sent = Arc::new(AtomicU64::new(0));
        let id = inner.next_id;
        inner.next_id += 1;
        let subscriber = Subscriber {
            who,
            view: Arc::new(view),
            queue: sender,
            sent: Arc::clone(&sent),
        };
        inner.subscribers.insert(id, subscriber);
        Ok(Subscription {
            bus: Arc::clone(self),
            id,
            epoch,
            first,
            first_revision: inner.revision,
            queue,
            sent,
        })
    }

    /// What a new stream begins with: a sign of life, then what was missed, or everything.
    fn first(
        &self,
        inner: &Inner,
        view: &View,
        epoch: &str,
        cursor: Option<Cursor>,
    ) -> Result<VecDeque<Bytes>, Error> {
        let mut first = VecDeque::from([sse::heartbeat()]);
        let reason = match &cursor {
            Some(cursor) if cursor.epoch != epoch => Some("unknown epoch"),
            Some(cursor) if cursor.revision < inner.floor => Some("compacted"),
            Some(cursor) if cursor.revision > inner.revision => Some("unknown revision"),
            _ => None,
        };
        if let (Some(cursor), None) = (&cursor, reason) {
            self.counts.resumed.fetch_add(1, Ordering::Relaxed);
            let missed = inner
                .history
                .iter()
                .filter(|event| event.revision > cursor.revision);
            for event in missed.filter(|event| view.covers(&event.name)) {
                first.push_back(id_line(epoch, event.revision));
                first.push_back(event.event.clone());
            }
            return Ok(first);
        }
        if let Some(reason) = reason {
            self.counts.resets.fetch_add(1, Ordering::Relaxed);
            let reason = reason.to_owned();
            first.push_back(encode_change(&Change::Reset { reason })?);
        }
        let seen = inner
            .resources
            .values()
            .filter(|resource| view.covers(&resource.name));
        let resources = seen.map(|resource| Resource::clone(resource)).collect();
        first.push_back(id_line(epoch, inner.revision));
        first.push_back(encode_change(&Change::Snapshot(resources))?);
        Ok(first)
    }

    /// Waits until everybody who follows the resource has been sent this revision, or is gone.
    pub(crate) async fn sent(&self, name: &str, revision: u64) {
        loop {
            let progress = self.progress.notified();
            tokio::pin!(progress);
            progress.as_mut().enable();
            let behind = self.inner.lock().subscribers.values().any(|subscriber| {
                subscriber.view.covers(name) && subscriber.sent.load(Ordering::Acquire) < revision
            });
            if !behind {
                return;
            }
            progress.await;
        }
    }

    /// Ends every stream once it has told what waits for it, and takes no new one.
    pub(crate) fn close(&self) {
        let mut inner = self.inner.lock();
        inner.closed = true;
        inner.subscribers.clear();
    }

    /// Takes streams again after [`Bus::close`], in the process that leads now: those that ended go on where they
    /// stopped.
    pub(crate) fn lead(&self) {
        let mut inner = self.inner.lock();
        (inner.closed, inner.led) = (false, true);
    }

    /// Whether the process leads that stood by with this bus.
    pub(crate) fn is_led(&self) -> bool {
        self.inner.lock().led
    }

    /// The history has a gap: everybody begins with everything anew.
    pub(crate) fn reset(&self, state: &State) {
        let mut inner = self.inner.lock();
        inner.epoch.clone_from(&state.epoch);
        inner.resources.clone_from(&state.resources);
        inner.history.clear();
        inner.subscribers.clear();
        (inner.revision, inner.floor) = (state.revision, state.revision);
        drop(inner);
        self.progress.notify_waiters();
    }

    /// How far this bus is: the store's epoch and the newest revision that was told.
    pub(crate) fn position(&self) -> (String, u64) {
        let inner = self.inner.lock();
        (inner.epoch.clone(), inner.revision)
    }

    /// The processes that follow a resource now.
    pub(crate) fn followers(&self, name: &str) -> BTreeSet<Incarnation> {
        let inner = self.inner.lock();
        let following = inner.subscribers.values().filter(|one| one.view.covers(name));
        following.filter_map(|one| one.who).collect()
    }

    /// Instances that have a stream open.
    pub(crate) fn connected(&self) -> BTreeSet<Incarnation> {
        let inner = self.inner.lock();
        inner.subscribers.values().filter_map(|one| one.who).collect()
    }

    pub(crate) fn subscribers(&self) -> usize {
        self.inner.lock().subscribers.len()
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.bus.inner.lock().subscribers.remove(&self.id);
        self.bus.progress.notify_waiters();
    }
}

fn id_line(epoch: &str, revision: u64) -> Bytes {
    Bytes::from(format!("id: {epoch}-{revision}\n"))
}

fn encode(change: &Published) -> Result<Arc<Encoded>, Error> {
    let event = encode_change(&match change {
        Published::Put(resource) => Change::Put(Resource::clone(resource)),
        Published::Delete { name, revision } => Change::Delete {
            name: name.clone(),
            revision: *revision,
        },
    })?;
    Ok(Arc::new(Encoded {
        name: change.name().to_owned(),
        revision: change.revision(),
        event,
    }))
}

fn encode_change(change: &Change) -> Result<Bytes, Error> {
    let data = change.data().map_err(|error| Error::Encode(error.to_string()))?;
    Ok(sse::encode("", change.event(), &data))
}

#[cfg(test)]
mod tests;
