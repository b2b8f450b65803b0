//! Scoped subscribers in a process of many threads: what a test needs so that no other test blinds it.

use std::sync::OnceLock;

use tracing::Dispatch;

/// Makes every callsite ask the subscriber of its own thread.
///
/// `tracing` keeps for each callsite whether anybody wants it. While it knows one subscriber alone, it asks only the
/// thread that comes by first: a thread without one says no for all, and a span of another thread's test is never
/// seen. Two subscribers that want everything and are never dropped end that for the whole process.
pub(crate) fn ask_every_thread() {
    static KEPT: OnceLock<[Dispatch; 2]> = OnceLock::new();
    KEPT.get_or_init(|| [(); 2].map(|()| Dispatch::new(tracing_subscriber::registry())));
}
