//! How a payment gets into the ledger. Version v2 of payment has a planted fault, for `brick demo fault on`.
//!
//! v2 takes one lock over the whole ledger before it writes, as a rewrite that fears for its sums might. The lock is
//! always slow to come, and one time in four it does not come at all: then nothing is written and the caller gets 500.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use brickwork::Problem;
use brickwork::axum::http::StatusCode;
use tracing::Instrument as _;

/// How long the lock of v2 lets everybody wait.
const LOCK_WAIT: Duration = Duration::from_millis(400);
/// Of so many payments one does not get the lock.
const TIMEOUT_EVERY: u64 = 4;

/// The way into the ledger.
#[derive(Debug, Clone, Default)]
pub(super) enum Ledger {
    /// A payment is one row under its own key: nobody waits for anybody.
    #[default]
    Rows,
    /// One lock over everything; counts who asked for it.
    Locked(Arc<AtomicU64>),
}

impl Ledger {
    /// Lets a payment in, or says why not.
    pub(super) async fn enter(&self) -> Result<(), Problem> {
        let Self::Locked(asked) = self else { return Ok(()) };
        let granted = (asked.fetch_add(1, Ordering::Relaxed) + 1) % TIMEOUT_EVERY != 0;
        let wait = tokio::time::sleep(LOCK_WAIT);
        wait.instrument(tracing::info_span!("ledger v2: wait for lock"))
            .await;
        if granted {
            return Ok(());
        }
        let ms = LOCK_WAIT.as_millis();
        tracing::error!(lock = "ledger", "ledger v2: lock wait timed out after {ms} ms");
        Err(Problem::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "ledger_lock",
            "the ledger could not be written; nothing was charged",
        ))
    }
}
