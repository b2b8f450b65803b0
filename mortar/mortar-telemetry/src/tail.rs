//! Live tails of log records and of requests: each has a bounded queue of its own; what a slow reader does not take is dropped, counted, and told
//! at the place where it is missing.
//!
//! A record is encoded once, whoever reads it, and only where somebody does.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::{Mutex, RwLock, RwLockReadGuard};
use tokio::sync::Notify;

use crate::query;
use crate::record::{Log, Resource, Span};
use crate::store::{LogFilter, LogId};

mod requests;

pub use requests::RequestFilter;

/// Records that wait for one reader: more than a second of 5,000 lines a second.
const QUEUE_MAX: usize = 8_192;
/// Bytes of JSON that wait for one reader.
const QUEUE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Records handed to a reader at once.
const BATCH_MAX: usize = 512;
/// Bytes after which a batch is full.
const BATCH_BYTES_MAX: usize = 256 * 1024;
/// Tails at one time.
pub(crate) const TAILS_MAX: usize = 64;

/// Hands records to all tails that ask for them.
#[derive(Debug, Default)]
pub struct Hub {
    tails: RwLock<Vec<Arc<Feed>>>,
    dropped: AtomicU64,
}

/// What a tail asks for.
#[derive(Debug)]
enum Wanted {
    Logs(LogFilter),
    Requests(RequestFilter),
}

#[derive(Debug)]
struct Feed {
    wanted: Wanted,
    queue: Mutex<Queue>,
    filled: Notify,
    closed: AtomicBool,
}

#[derive(Debug, Default)]
struct Queue {
    records: VecDeque<Arc<str>>,
    bytes: usize,
    /// How many records still lie before the gap, and how many are missing in it.
    gap: Option<(usize, u64)>,
}

/// One reader. Its queue goes with it.
#[derive(Debug)]
pub struct Tail(Arc<Feed>);

/// What a reader gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// Records in the order of their arrival, each as JSON ([`crate::api::Log`], [`crate::api::Request`]); never empty.
    Records(Vec<Arc<str>>),
    /// So many records were dropped between the last one and the next.
    Dropped(u64),
}

/// Records of one sender on their way to the tails.
pub(crate) struct Publication<'a> {
    hub: &'a Hub,
    resource: &'a Resource,
    tails: RwLockReadGuard<'a, Vec<Arc<Feed>>>,
    /// For each tail, what it is to get.
    wanted: Vec<Vec<Arc<str>>>,
}

impl Hub {
    /// A new tail of log records; none when there are too many tails.
    pub fn tail(&self, filter: LogFilter) -> Option<Tail> {
        self.open(Wanted::Logs(filter))
    }

    /// A new tail of requests; none when there are too many tails.
    pub fn requests(&self, filter: RequestFilter) -> Option<Tail> {
        self.open(Wanted::Requests(filter))
    }

    fn open(&self, wanted: Wanted) -> Option<Tail> {
        let feed = Arc::new(Feed {
            wanted,
            queue: Mutex::default(),
            filled: Notify::new(),
            closed: AtomicBool::new(false),
        });
        let mut tails = self.tails.write();
        tails.retain(|feed| !feed.closed.load(Ordering::Relaxed));
        if tails.len() >= TAILS_MAX {
            return None;
        }
        tails.push(Arc::clone(&feed));
        Some(Tail(feed))
    }

    /// Records that slow readers did not take.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Hands out the requests among the spans of one sender.
    pub(crate) fn served(&self, resource: &Resource, spans: &[Span]) {
        for feed in self.tails.read().iter() {
            let Wanted::Requests(filter) = &feed.wanted else {
                continue;
            };
            if feed.closed.load(Ordering::Relaxed) {
                continue;
            }
            let served = spans.iter().filter(|span| requests::is_request(span));
            let wanted = served.filter(|span| filter.matches(resource, span));
            let wanted: Vec<Arc<str>> = wanted.map(|span| requests::encode(resource, span)).collect();
            self.put(feed, wanted);
        }
    }

    fn put(&self, feed: &Feed, wanted: Vec<Arc<str>>) {
        if !wanted.is_empty() {
            let dropped = feed.queue.lock().put(wanted);
            self.dropped.fetch_add(dropped, Ordering::Relaxed);
            feed.filled.notify_one();
        }
    }

    /// Begins to hand out records of one sender.
    pub(crate) fn publication<'a>(&'a self, resource: &'a Resource) -> Publication<'a> {
        let tails = self.tails.read();
        Publication {
            hub: self,
            resource,
            wanted: vec![Vec::new(); tails.len()],
            tails,
        }
    }
}

impl Publication<'_> {
    /// A record that was kept.
    pub(crate) fn add(&mut self, id: LogId, log: &Log) {
        let mut told = None;
        for (feed, wanted) in self.tails.iter().zip(&mut self.wanted) {
            let Wanted::Logs(filter) = &feed.wanted else {
                continue;
            };
            if !feed.closed.load(Ordering::Relaxed) && filter.matches(self.resource, log) {
                let told = told.get_or_insert_with(|| query::logs::encode(id, self.resource, log));
                wanted.push(Arc::clone(told));
            }
        }
    }

    /// Puts what every tail is to get into its queue.
    pub(crate) fn send(self) {
        for (feed, wanted) in self.tails.iter().zip(self.wanted) {
            self.hub.put(feed, wanted);
        }
    }
}

impl Queue {
    /// Takes what there is room for; how many records there was none for.
    fn put(&mut self, records: Vec<Arc<str>>) -> u64 {
        let mut dropped = 0;
        for record in records {
            if self.records.len() >= QUEUE_MAX || self.bytes + record.len() > QUEUE_BYTES_MAX {
                dropped += 1;
            } else {
                self.bytes += record.len();
                self.records.push_back(record);
            }
        }
        if dropped > 0 {
            let (ahead, before) = self.gap.unwrap_or((self.records.len(), 0));
            self.gap = Some((ahead, before + dropped));
        }
        dropped
    }

    fn take(&mut self) -> Option<Item> {
        let ahead = match self.gap {
            Some((0, dropped)) => {
                self.gap = None;
                return Some(Item::Dropped(dropped));
            }
            Some((ahead, _)) => ahead,
            None => usize::MAX,
        };
        let (mut batch, mut bytes) = (Vec::new(), 0);
        while batch.len() < BATCH_MAX.min(ahead) && bytes < BATCH_BYTES_MAX {
            let Some(record) = self.records.pop_front() else {
                break;
            };
            bytes += record.len();
            batch.push(record);
        }
        self.bytes -= bytes;
        if let Some((ahead, _)) = &mut self.gap {
            *ahead -= batch.len();
        }
        (!batch.is_empty()).then_some(Item::Records(batch))
    }
}

impl Tail {
    /// What one record is called, and what several are.
    pub(crate) fn names(&self) -> [&'static str; 2] {
        match self.0.wanted {
            Wanted::Logs(_) => ["log", "logs"],
            Wanted::Requests(_) => ["request", "requests"],
        }
    }

    /// The next item; waits for it.
    pub async fn next(&mut self) -> Item {
        loop {
            if let Some(item) = self.0.queue.lock().take() {
                return item;
            }
            self.0.filled.notified().await;
        }
    }
}

impl Drop for Tail {
    fn drop(&mut self) {
        self.0.closed.store(true, Ordering::Relaxed);
        *self.0.queue.lock() = Queue::default();
    }
}

#[cfg(test)]
mod tests;
