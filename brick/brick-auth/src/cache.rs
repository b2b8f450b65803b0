//! Verified tokens by the SHA-256 digest of their text: a token is checked once, then found, until it expires.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::Claims;

/// SHA-256 of a token's text. The text itself is never kept.
pub(crate) type Digest = [u8; 32];

const SHARDS: usize = 16;

/// Bounded: the oldest entry of a shard makes room for a new one. Sharded, so that cores do not wait for each other.
#[derive(Debug)]
pub(crate) struct Cache {
    shards: [Mutex<Shard>; SHARDS],
    shard_max: usize,
    evicted: AtomicU64,
}

#[derive(Debug, Default)]
struct Shard {
    entries: HashMap<Digest, Entry>,
    by_age: VecDeque<Digest>,
}

#[derive(Debug)]
struct Entry {
    claims: Arc<Claims>,
    generation: u64,
}

impl Cache {
    /// Room for about `entries_max` tokens.
    pub(crate) fn new(entries_max: usize) -> Self {
        Self {
            shards: Default::default(),
            shard_max: entries_max.div_ceil(SHARDS).max(1),
            evicted: AtomicU64::new(0),
        }
    }

    /// The claims verified under this generation of keys. Time is the caller's business.
    pub(crate) fn get(&self, digest: &Digest, generation: u64) -> Option<Arc<Claims>> {
        let shard = self.shard(digest).lock();
        let entry = shard.entries.get(digest)?;
        (entry.generation == generation).then(|| Arc::clone(&entry.claims))
    }

    pub(crate) fn put(&self, digest: Digest, generation: u64, claims: Arc<Claims>) {
        let mut shard = self.shard(&digest).lock();
        let entry = Entry { claims, generation };
        if shard.entries.insert(digest, entry).is_some() {
            return;
        }
        shard.by_age.push_back(digest);
        if shard.by_age.len() > self.shard_max
            && let Some(oldest) = shard.by_age.pop_front()
        {
            shard.entries.remove(&oldest);
            self.evicted.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn evicted(&self) -> u64 {
        self.evicted.load(Ordering::Relaxed)
    }

    fn shard(&self, digest: &Digest) -> &Mutex<Shard> {
        &self.shards[usize::from(digest[0]) % SHARDS]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_makes_room_and_old_keys_vouch_for_nothing() {
        let cache = Cache::new(SHARDS * 2);
        let digest = |n: u8| {
            let mut digest = [0; 32];
            digest[1] = n;
            digest
        };
        for n in 0..3 {
            cache.put(digest(n), 1, Arc::default());
            cache.put(digest(n), 1, Arc::default());
        }
        assert!(cache.get(&digest(0), 1).is_none());
        assert!(cache.get(&digest(2), 1).is_some());
        assert!(cache.get(&digest(2), 2).is_none());
        assert_eq!(cache.evicted(), 1);
    }
}
