//! What the agent looks after beside its slots: room on the disk, and orphans that came to it.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::Shared;
use crate::events::{Event, EventKind, Events};
use crate::linux;
use crate::linux::session::Reaper;

const DISK_LOOK: Duration = Duration::from_secs(2);
const DISK_LOW_BYTES: u64 = 1024 * 1024;
const REAP_EVERY: Duration = Duration::from_secs(5);

/// Looks at the disk and reaps what came to this process.
pub(super) async fn keep(shared: Arc<Shared>, full: Arc<AtomicBool>) {
    let mut reaper = Reaper::default();
    let mut disk = tokio::time::interval(DISK_LOOK);
    let mut reap = tokio::time::interval(REAP_EVERY);
    let logs = shared.ground.folder.logs();
    loop {
        tokio::select! {
            _ = disk.tick() => look_at_disk(&logs, &full, &shared.context.events),
            _ = reap.tick() => {
                let tracked = shared.context.tracked.lock().clone();
                let looked = tokio::task::spawn_blocking(move || { reaper.look(&tracked); reaper }).await;
                reaper = looked.unwrap_or_default();
            }
        }
    }
}

/// Says once when the disk of the logs is full, and once when there is room again.
fn look_at_disk(logs: &Path, full: &AtomicBool, events: &Events) {
    let Ok(free) = linux::free_bytes(logs) else { return };
    let now = free < DISK_LOW_BYTES;
    if full.swap(now, Ordering::Relaxed) == now {
        return;
    }
    let logs = logs.display();
    let msg = match now {
        true => format!(
            "the disk of {logs} is full: bricks go on, but what they write to their output now is lost; make room. What telemetry has taken is given back meanwhile"
        ),
        false => format!("there is room again on the disk of {logs}: output is kept"),
    };
    events.send(Event::new(EventKind::Warning, msg));
}
