//! Who applied what: the newest acknowledgement of each process for each resource. In memory, for it is asked of
//! everybody anew with every change.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use brick_bus::Ack;
use brick_core::Incarnation;
use jiff::Timestamp;
use parking_lot::Mutex;
use schemars::JsonSchema;
use serde::Serialize;
use tokio::sync::Notify;
use tokio::sync::futures::Notified;

/// Processes that are remembered for each resource; beyond that the oldest start is forgotten.
const PROCESSES_MAX: usize = 1_000;
/// Resources that are remembered.
const RESOURCES_MAX: usize = 10_000;
/// Shadowed keys that are remembered of one word.
const SHADOWED_MAX: usize = 64;

/// One process's word on a resource.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct Told {
    /// The process.
    pub(crate) incarnation: Incarnation,
    /// The revision that it applied or refused.
    pub(crate) revision: u64,
    /// Why it refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) refused: Option<String>,
    /// Keys of a configuration that do not count there, with the higher layer that has the word.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) shadowed: BTreeMap<String, String>,
    /// Keys that it does not know, with the nearest that it does, or nothing.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) unknown: BTreeMap<String, String>,
    /// When it said so, RFC 3339.
    pub(crate) at: String,
    /// The same on this process's own clock.
    #[serde(skip)]
    pub(crate) heard: Instant,
}

/// The acknowledgements.
#[derive(Debug, Default)]
pub(crate) struct Acks {
    by_name: Mutex<BTreeMap<String, BTreeMap<Incarnation, Told>>>,
    news: Notify,
    pub(crate) taken: AtomicU64,
    pub(crate) ignored: AtomicU64,
}

impl Acks {
    /// Takes one, unless it tells of a revision that is not there yet or there is no room.
    pub(crate) fn take(&self, ack: Ack, current: u64) {
        let mut by_name = self.by_name.lock();
        let room = by_name.len() < RESOURCES_MAX || by_name.contains_key(&ack.name);
        if ack.revision > current || !room {
            self.ignored.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let told = Told {
            incarnation: ack.incarnation,
            revision: ack.revision,
            refused: ack.refused.map(|reason| reason.chars().take(1_000).collect()),
            shadowed: bounded(ack.shadowed),
            unknown: bounded(ack.unknown),
            at: Timestamp::now().to_string(),
            heard: Instant::now(),
        };
        let processes = by_name.entry(ack.name).or_default();
        processes.insert(ack.incarnation, told);
        while processes.len() > PROCESSES_MAX {
            processes.pop_first();
            self.ignored.fetch_add(1, Ordering::Relaxed);
        }
        self.taken.fetch_add(1, Ordering::Relaxed);
        drop(by_name);
        self.news.notify_waiters();
    }

    /// Resolves with the next word of anybody, once it is polled or enabled.
    pub(crate) fn news(&self) -> Notified<'_> {
        self.news.notified()
    }

    pub(crate) fn of(&self, name: &str) -> Vec<Told> {
        let by_name = self.by_name.lock();
        by_name
            .get(name)
            .map_or_else(Vec::new, |told| told.values().cloned().collect())
    }
}

fn bounded(keys: BTreeMap<String, String>) -> BTreeMap<String, String> {
    let short = |text: String| text.chars().take(200).collect::<String>();
    let some = keys.into_iter().take(SHADOWED_MAX);
    some.map(|(key, by)| (short(key), short(by))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_word_of_each_process_is_kept_and_processes_are_bounded() {
        let acks = Acks::default();
        let say = |incarnation, revision| Ack {
            name: "config/order".to_owned(),
            revision,
            incarnation,
            refused: None,
            shadowed: BTreeMap::new(),
            unknown: BTreeMap::new(),
        };
        let first = Incarnation::new();
        acks.take(say(first, 1), 5);
        acks.take(say(first, 2), 5);
        acks.take(say(first, 6), 5);
        assert_eq!(
            acks.of("config/order")
                .iter()
                .map(|told| told.revision)
                .collect::<Vec<_>>(),
            [2]
        );
        for _ in 0..PROCESSES_MAX {
            acks.take(say(Incarnation::new(), 1), 5);
        }
        let kept = acks.of("config/order");
        assert_eq!(kept.len(), PROCESSES_MAX);
        assert!(kept.iter().all(|told| told.incarnation != first));
        assert_eq!(acks.ignored.load(Ordering::Relaxed), 2);
    }
}
