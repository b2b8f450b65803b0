//! Live log tails: each has a bounded queue of its own; what a slow reader does not take is dropped, counted, and said.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::RwLock;
use tokio::sync::mpsc;

use crate::api;
use crate::query;
use crate::record::{Log, Resource};
use crate::store::LogFilter;

/// Records that wait for one reader.
const QUEUE_MAX: usize = 1_024;
/// Tails at one time.
const TAILS_MAX: usize = 64;

/// Hands records to all tails that ask for them.
#[derive(Debug, Default)]
pub struct Hub {
    tails: RwLock<Vec<Arc<Feed>>>,
    dropped: AtomicU64,
}

#[derive(Debug)]
struct Feed {
    filter: LogFilter,
    queue: mpsc::Sender<Arc<api::Log>>,
    dropped: AtomicU64,
}

/// One reader.
#[derive(Debug)]
pub struct Tail {
    feed: Arc<Feed>,
    queue: mpsc::Receiver<Arc<api::Log>>,
}

/// What a reader gets.
#[derive(Debug, Clone, PartialEq)]
pub enum Item {
    /// A record.
    Log(Arc<api::Log>),
    /// So many records were dropped before the next one.
    Dropped(u64),
}

impl Hub {
    /// A new tail; none when there are too many.
    pub fn tail(&self, filter: LogFilter) -> Option<Tail> {
        let (sender, queue) = mpsc::channel(QUEUE_MAX);
        let feed = Arc::new(Feed {
            filter,
            queue: sender,
            dropped: AtomicU64::new(0),
        });
        let mut tails = self.tails.write();
        tails.retain(|feed| !feed.queue.is_closed());
        if tails.len() >= TAILS_MAX {
            return None;
        }
        tails.push(Arc::clone(&feed));
        Some(Tail { feed, queue })
    }

    /// Records that slow readers did not take.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    pub(crate) fn publish(&self, resource: &Resource, logs: &[Log]) {
        let tails = self.tails.read();
        if tails.is_empty() {
            return;
        }
        for log in logs {
            let mut told = None;
            for feed in tails.iter().filter(|feed| feed.filter.matches(resource, log)) {
                let told = told.get_or_insert_with(|| Arc::new(query::logs::to_api(resource, log)));
                if let Err(mpsc::error::TrySendError::Full(_)) = feed.queue.try_send(Arc::clone(told)) {
                    feed.dropped.fetch_add(1, Ordering::Relaxed);
                    self.dropped.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
    }
}

impl Tail {
    /// The next item; waits for it.
    pub async fn next(&mut self) -> Option<Item> {
        let dropped = self.feed.dropped.swap(0, Ordering::Relaxed);
        if dropped > 0 {
            return Some(Item::Dropped(dropped));
        }
        self.queue.recv().await.map(Item::Log)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Level;

    fn log(message: &str) -> Log {
        Log {
            time_ns: 1,
            level: Level::Info,
            message: message.to_owned(),
            trace_id: [0; 16],
            span_id: 0,
            fields: Vec::new(),
        }
    }

    #[tokio::test]
    async fn a_tail_gets_what_it_asked_for() {
        let hub = Hub::default();
        let mut tail = hub
            .tail(LogFilter {
                text: Some("yes".to_owned()),
                ..LogFilter::default()
            })
            .unwrap();
        hub.publish(&Resource::default(), &[log("no"), log("yes")]);
        let Some(Item::Log(got)) = tail.next().await else {
            panic!("a record")
        };
        assert_eq!(got.msg, "yes");
    }

    #[tokio::test]
    async fn a_slow_reader_is_told_what_it_missed() {
        let hub = Hub::default();
        let mut tail = hub.tail(LogFilter::default()).unwrap();
        let many: Vec<_> = (0..QUEUE_MAX + 7).map(|n| log(&n.to_string())).collect();
        hub.publish(&Resource::default(), &many);
        assert_eq!(tail.next().await, Some(Item::Dropped(7)));
        let Some(Item::Log(first)) = tail.next().await else {
            panic!("a record")
        };
        assert_eq!((first.msg.as_str(), hub.dropped()), ("0", 7));
    }

    #[test]
    fn tails_are_bounded_and_closed_ones_make_room() {
        let hub = Hub::default();
        let mut open: Vec<_> = (0..TAILS_MAX)
            .map(|_| hub.tail(LogFilter::default()).unwrap())
            .collect();
        assert!(hub.tail(LogFilter::default()).is_none());
        open.pop();
        assert!(hub.tail(LogFilter::default()).is_some());
    }
}
