//! What calls gave last, for the fallback `stale`. Bounded by number and bytes; the oldest go first.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use tokio::time::Instant;

/// Answers that may be given again.
#[derive(Debug)]
pub struct Stale<T> {
    answers_max: usize,
    bytes_max: usize,
    kept: Mutex<Kept<T>>,
    dropped: AtomicU64,
}

#[derive(Debug)]
struct Kept<T> {
    answers: HashMap<Arc<str>, One<T>>,
    order: VecDeque<Arc<str>>,
    bytes: usize,
}

#[derive(Debug)]
struct One<T> {
    answer: T,
    bytes: usize,
    since: Instant,
}

impl<T: Clone> Stale<T> {
    /// Keeps so many answers at most, and so many bytes of all of them together.
    pub fn new(answers_max: usize, bytes_max: usize) -> Self {
        Self {
            answers_max,
            bytes_max,
            kept: Mutex::new(Kept {
                answers: HashMap::new(),
                order: VecDeque::new(),
                bytes: 0,
            }),
            dropped: AtomicU64::new(0),
        }
    }

    /// The largest answer that is kept, in bytes with its key.
    pub fn answer_bytes_max(&self) -> usize {
        self.bytes_max / 4
    }

    /// Keeps an answer of so many bytes. The key says all that it depends on, the user included.
    pub fn keep(&self, key: String, answer: T, bytes: usize) {
        let bytes = bytes + 2 * key.len() + 128;
        if bytes > self.answer_bytes_max() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let mut kept = self.kept.lock();
        let key: Arc<str> = key.into();
        kept.forget(&key);
        while kept.answers.len() >= self.answers_max || kept.bytes + bytes > self.bytes_max {
            let Some(oldest) = kept.order.front().cloned() else {
                break;
            };
            kept.forget(&oldest);
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
        kept.bytes += bytes;
        kept.order.push_back(Arc::clone(&key));
        let since = Instant::now();
        kept.answers.insert(key, One { answer, bytes, since });
    }

    /// What was kept, and how many seconds ago.
    pub fn get(&self, key: &str) -> Option<(T, u64)> {
        let kept = self.kept.lock();
        let one = kept.answers.get(key)?;
        Some((one.answer.clone(), one.since.elapsed().as_secs()))
    }

    /// Answers that are no longer kept, or never were, for want of room.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

impl<T> Kept<T> {
    fn forget(&mut self, key: &Arc<str>) {
        if let Some(one) = self.answers.remove(key) {
            self.bytes -= one.bytes;
            self.order.retain(|other| other != key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_bounded_by_number_and_by_bytes() {
        let stale = Stale::new(256, 1 << 20);
        for n in 0..266 {
            stale.keep(n.to_string(), n, 10);
        }
        assert_eq!(stale.kept.lock().answers.len(), 256);
        assert_eq!(stale.dropped(), 10);
        assert!(stale.get("9").is_none() && stale.get("10").is_some());
        for n in 0..20 {
            stale.keep(format!("large {n}"), n, 100_000);
            assert!(stale.kept.lock().bytes <= 1 << 20);
        }
        stale.keep("too large".to_owned(), 0, 1 << 20);
        assert!(stale.get("too large").is_none() && stale.get("large 19").is_some());
    }
}
