//! What GETs gave last, for the fallback `stale`. Bounded by number and bytes; the oldest go first.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use tokio::time::Instant;

use super::Answer;

/// Answers kept for one callee.
const ANSWERS_MAX: usize = 256;
/// Bytes of all of them together.
const BYTES_MAX: usize = 1 << 20;

/// The answers of one callee.
#[derive(Debug, Default)]
pub(super) struct Stale {
    kept: Mutex<Kept>,
    pub(super) dropped: AtomicU64,
}

#[derive(Debug, Default)]
struct Kept {
    answers: HashMap<Arc<str>, (Answer, Instant)>,
    order: VecDeque<Arc<str>>,
    bytes: usize,
}

impl Stale {
    /// Keeps an answer. The key says all that it depends on, the user included.
    pub(super) fn keep(&self, key: String, answer: &Answer) {
        let size = size(&key, answer);
        let mut kept = self.kept.lock();
        if size > BYTES_MAX / 4 {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let key: Arc<str> = key.into();
        kept.forget(&key);
        while kept.answers.len() >= ANSWERS_MAX || kept.bytes + size > BYTES_MAX {
            let Some(oldest) = kept.order.front().cloned() else {
                break;
            };
            kept.forget(&oldest);
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
        kept.bytes += size;
        kept.order.push_back(Arc::clone(&key));
        kept.answers.insert(key, (answer.clone(), Instant::now()));
    }

    /// What was kept, and how many seconds ago.
    pub(super) fn get(&self, key: &str) -> Option<(Answer, u64)> {
        let kept = self.kept.lock();
        let (answer, since) = kept.answers.get(key)?;
        Some((answer.clone(), since.elapsed().as_secs()))
    }
}

impl Kept {
    fn forget(&mut self, key: &Arc<str>) {
        if let Some((answer, _)) = self.answers.remove(key) {
            self.bytes -= size(key, &answer);
            self.order.retain(|other| other != key);
        }
    }
}

fn size(key: &str, answer: &Answer) -> usize {
    let headers: usize = answer
        .headers
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len())
        .sum();
    2 * key.len() + headers + answer.body.len() + 128
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::{HeaderMap, StatusCode};

    use super::*;

    fn answer(bytes: usize) -> Answer {
        Answer {
            status: StatusCode::OK,
            headers: HeaderMap::new(),
            body: Bytes::from(vec![0; bytes]),
            brick: "b".to_owned(),
            fallback: None,
        }
    }

    #[test]
    fn what_is_kept_is_bounded_by_number_and_by_bytes() {
        let stale = Stale::default();
        for n in 0..ANSWERS_MAX + 10 {
            stale.keep(n.to_string(), &answer(10));
        }
        assert_eq!(stale.kept.lock().answers.len(), ANSWERS_MAX);
        assert_eq!(stale.dropped.load(Ordering::Relaxed), 10);
        assert!(stale.get("9").is_none() && stale.get("10").is_some());
        for n in 0..20 {
            stale.keep(format!("large {n}"), &answer(100_000));
            assert!(stale.kept.lock().bytes <= BYTES_MAX);
        }
        stale.keep("too large".to_owned(), &answer(BYTES_MAX));
        assert!(stale.get("too large").is_none() && stale.get("large 19").is_some());
    }
}
