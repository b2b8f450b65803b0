//! Where answers are kept: bounded by bytes, what was not used for longest goes first.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{HeaderName, HeaderValue};
use http::{HeaderMap, StatusCode};
use parking_lot::Mutex;

use super::flight::Flights;
use super::rules::Lifetime;

/// Answers to one target that differ by the fields of its requests.
const VARIANTS_MAX: usize = 8;
/// What an answer takes besides its bytes, about.
const OVERHEAD_BYTES: usize = 512;

/// One kept answer.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    /// The request's fields that it depends on, with their values.
    pub(super) vary: Vec<(HeaderName, Option<HeaderValue>)>,
    pub(super) lifetime: Lifetime,
    pub(super) since: Instant,
    /// A fresh one is being fetched.
    pub(super) refreshing: AtomicBool,
}

/// All kept answers.
#[derive(Debug)]
pub(crate) struct Store {
    kept: Mutex<Kept>,
    bytes_max: AtomicU64,
    evicted: AtomicU64,
    pub(super) flights: Arc<Flights>,
}

#[derive(Debug, Default)]
struct Kept {
    by_key: HashMap<Arc<str>, Slot>,
    by_use: BTreeMap<u64, Arc<str>>,
    clock: u64,
    bytes: usize,
}

#[derive(Debug)]
struct Slot {
    used: u64,
    variants: Vec<Arc<Stored>>,
}

impl Stored {
    /// How old it is now.
    pub(super) fn age(&self, now: Instant) -> Duration {
        self.lifetime.age + now.saturating_duration_since(self.since)
    }

    fn is_for(&self, asked: &HeaderMap) -> bool {
        self.vary
            .iter()
            .all(|(name, value)| asked.get(name) == value.as_ref())
    }

    fn bytes(&self) -> usize {
        let fields = self
            .headers
            .iter()
            .map(|(name, value)| name.as_str().len() + value.len());
        self.body.len() + fields.sum::<usize>() + OVERHEAD_BYTES
    }
}

impl Store {
    pub(crate) fn new(bytes_max: u64) -> Self {
        Self {
            kept: Mutex::default(),
            bytes_max: AtomicU64::new(bytes_max),
            evicted: AtomicU64::new(0),
            flights: Arc::default(),
        }
    }

    /// Another size from now on.
    pub(crate) fn resize(&self, bytes_max: u64) {
        self.bytes_max.store(bytes_max, Ordering::Relaxed);
        self.shrink(&mut self.kept.lock());
    }

    /// Bytes that are kept, and answers that had to go before their time.
    pub(crate) fn figures(&self) -> (u64, u64) {
        (
            self.kept.lock().bytes as u64,
            self.evicted.load(Ordering::Relaxed),
        )
    }

    /// The answer to such a request.
    pub(super) fn get(&self, key: &str, asked: &HeaderMap) -> Option<Arc<Stored>> {
        let mut kept = self.kept.lock();
        let kept = &mut *kept;
        let slot = kept.by_key.get_mut(key)?;
        let found = slot.variants.iter().find(|stored| stored.is_for(asked))?;
        if let Some(key) = kept.by_use.remove(&slot.used) {
            kept.clock += 1;
            slot.used = kept.clock;
            kept.by_use.insert(slot.used, key);
        }
        Some(Arc::clone(found))
    }

    /// Keeps an answer in the place of what it supersedes.
    pub(super) fn put(&self, key: &str, stored: Arc<Stored>) {
        let mut kept = self.kept.lock();
        let mut variants = kept.remove(key);
        variants.retain(|other| other.vary != stored.vary);
        if variants.len() >= VARIANTS_MAX {
            variants.remove(0);
        }
        variants.push(stored);
        kept.insert(key.into(), variants);
        self.shrink(&mut kept);
    }

    /// Forgets all answers to a target.
    pub(super) fn forget(&self, key: &str) {
        self.kept.lock().remove(key);
    }

    fn shrink(&self, kept: &mut Kept) {
        let max = usize::try_from(self.bytes_max.load(Ordering::Relaxed)).unwrap_or(usize::MAX);
        while kept.bytes > max {
            let Some((_, key)) = kept.by_use.first_key_value() else {
                return;
            };
            let key = Arc::clone(key);
            let gone = kept.remove(&key).len();
            self.evicted.fetch_add(gone as u64, Ordering::Relaxed);
        }
    }
}

impl Kept {
    fn insert(&mut self, key: Arc<str>, variants: Vec<Arc<Stored>>) {
        self.clock += 1;
        self.bytes += key.len() + variants.iter().map(|stored| stored.bytes()).sum::<usize>();
        self.by_use.insert(self.clock, Arc::clone(&key));
        let used = self.clock;
        self.by_key.insert(key, Slot { used, variants });
    }

    fn remove(&mut self, key: &str) -> Vec<Arc<Stored>> {
        let Some(slot) = self.by_key.remove(key) else {
            return Vec::new();
        };
        self.by_use.remove(&slot.used);
        self.bytes -= key.len() + slot.variants.iter().map(|stored| stored.bytes()).sum::<usize>();
        slot.variants
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(bytes: usize, vary: Option<&str>) -> Arc<Stored> {
        let name = HeaderName::from_static("accept-language");
        Arc::new(Stored {
            status: StatusCode::OK,
            headers: HeaderMap::new(),
            body: vec![0; bytes].into(),
            vary: vary
                .map(|value| (name, Some(value.parse().unwrap())))
                .into_iter()
                .collect(),
            lifetime: Lifetime {
                age: Duration::ZERO,
                fresh: Duration::ZERO,
                while_revalidate: Duration::ZERO,
                if_error: Duration::ZERO,
            },
            since: Instant::now(),
            refreshing: AtomicBool::new(false),
        })
    }

    fn asked(language: &str) -> HeaderMap {
        let name = HeaderName::from_static("accept-language");
        [(name, language.parse().unwrap())].into_iter().collect()
    }

    #[test]
    fn what_was_not_used_for_longest_goes_first_and_no_byte_is_lost() {
        let store = Store::new(4_000);
        for key in ["a", "b", "c"] {
            store.put(key, stored(500, None));
        }
        assert!(store.get("a", &HeaderMap::new()).is_some());
        store.put("d", stored(500, None));
        let held = ["a", "b", "c", "d"].map(|key| store.get(key, &HeaderMap::new()).is_some());
        assert_eq!(held, [true, false, true, true]);
        assert_eq!(store.figures().1, 1);
        for key in ["a", "c", "d"] {
            store.forget(key);
        }
        assert_eq!(store.figures().0, 0);
        store.put("large", stored(5_000, None));
        assert_eq!(store.figures().0, 0);
    }

    #[test]
    fn answers_that_depend_on_fields_are_kept_apart() {
        let store = Store::new(1 << 20);
        store.put("a", stored(1, Some("en")));
        store.put("a", stored(2, Some("de")));
        store.put("a", stored(3, Some("en")));
        let length = |language: &str| store.get("a", &asked(language)).map(|stored| stored.body.len());
        assert_eq!(
            (length("en"), length("de"), length("fr")),
            (Some(3), Some(2), None)
        );
        for n in 0..20 {
            store.put("a", stored(1, Some(&format!("x{n}"))));
        }
        assert_eq!(
            (length("en"), length("x19"), length("x11")),
            (None, Some(1), None)
        );
    }
}
