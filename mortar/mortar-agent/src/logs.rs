//! Output of processes: files that children append to, tailed for `logs` and shipped to telemetry.
//!
//! The file is the buffer. A child never waits for the agent, and what it wrote while no agent ran is read by the next
//! one. Two readers follow each file on their own: one fills the ring that `logs` shows, the other ships to telemetry
//! and remembers how far it came; what both have passed goes back to the file system, but for a retained tail.

pub(crate) mod lines;
pub(crate) mod offsets;
pub(crate) mod parse;
pub(crate) mod ring;
pub(crate) mod ship;

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use brick_core::Drain;
use parking_lot::Mutex;
use tokio::sync::broadcast;

use crate::api::LogLine;
use crate::board::Slot;
use lines::Lines;
use ring::Ring;

/// Lines a slow follower may lag behind.
const LAG_MAX: usize = 4096;
/// How far back a new agent fills its ring from the file.
const REFILL_BYTES: u64 = 1024 * 1024;
/// How much of a file is looked at for its last lines.
const LAST_BYTES: u64 = 64 * 1024;
const POLL_MIN: Duration = Duration::from_millis(20);
const POLL_MAX: Duration = Duration::from_millis(100);

/// What the agent does with output.
#[derive(Debug, Clone)]
pub(crate) struct Logs(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    rings: Mutex<BTreeMap<Slot, Ring>>,
    live: broadcast::Sender<LogLine>,
    ring_bytes_max: usize,
    pub(crate) cut: AtomicU64,
    pub(crate) dropped_bytes: AtomicU64,
    pub(crate) shipped: AtomicU64,
}

/// What a file held when its reader began: written before, by what ran without an agent perhaps.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Found {
    length: u64,
    changed: jiff::Timestamp,
}

impl Found {
    pub(crate) fn of(file: &File) -> Self {
        let now = jiff::Timestamp::now();
        let Ok(meta) = file.metadata() else {
            return Self {
                length: 0,
                changed: now,
            };
        };
        let changed = meta
            .modified()
            .ok()
            .and_then(|at| jiff::Timestamp::try_from(at).ok());
        Self {
            length: meta.len(),
            changed: changed.unwrap_or(now).min(now),
        }
    }

    /// When a line was written at the latest: a line that was there already, not after the file's last change; another,
    /// just now.
    pub(crate) fn written(&self, line: &lines::Line) -> jiff::Timestamp {
        if line.end <= self.length {
            self.changed
        } else {
            jiff::Timestamp::now()
        }
    }
}

/// Whose output a file holds.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    pub(crate) slot: Slot,
    pub(crate) version: brick_core::Version,
    pub(crate) path: PathBuf,
}

impl Logs {
    pub(crate) fn new(ring_bytes_max: usize) -> Self {
        Self(Arc::new(Inner {
            rings: Mutex::new(BTreeMap::new()),
            live: broadcast::channel(LAG_MAX).0,
            ring_bytes_max,
            cut: AtomicU64::new(0),
            dropped_bytes: AtomicU64::new(0),
            shipped: AtomicU64::new(0),
        }))
    }

    pub(crate) fn follow(&self) -> broadcast::Receiver<LogLine> {
        self.0.live.subscribe()
    }

    /// All lines kept, of one slot or of all, in order of time.
    pub(crate) fn lines(&self, wanted: impl Fn(&Slot) -> bool) -> Vec<LogLine> {
        let rings = self.0.rings.lock();
        let mut lines: Vec<LogLine> = rings
            .iter()
            .filter(|(slot, _)| wanted(slot))
            .flat_map(|(_, ring)| ring.iter().cloned())
            .collect();
        lines.sort_by_key(|line| line.ts);
        lines
    }

    pub(crate) fn counters(&self) -> (u64, u64, u64) {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        (get(&self.0.cut), get(&self.0.dropped_bytes), get(&self.0.shipped))
    }

    pub(crate) fn count_dropped(&self, bytes: u64) {
        self.0.dropped_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn count_shipped(&self, records: u64) {
        self.0.shipped.fetch_add(records, Ordering::Relaxed);
    }

    /// Follows one file into the ring until the drain is requested; the end is read before it returns.
    pub(crate) async fn tail(&self, source: Source, drain: Drain) {
        let Ok(file) = open_for_tail(&source.path) else {
            return;
        };
        let found = Found::of(&file);
        let mut lines = Lines::resume(file, found.length.saturating_sub(REFILL_BYTES));
        let mut pause = POLL_MIN;
        loop {
            let last = drain.is_requested();
            let mut read = Vec::new();
            // A file that cannot be read now is tried again: the disk may come back.
            let more = lines.read(&mut read).unwrap_or(false);
            for line in read {
                self.take(&source, &line, found.written(&line));
            }
            if more {
                pause = POLL_MIN;
                tokio::task::yield_now().await;
                continue;
            }
            if last {
                return;
            }
            tokio::select! {
                () = drain.requested() => {}
                () = tokio::time::sleep(pause) => pause = (pause * 3 / 2).min(POLL_MAX),
            }
        }
    }

    fn take(&self, source: &Source, line: &lines::Line, written: jiff::Timestamp) {
        if line.cut {
            self.0.cut.fetch_add(1, Ordering::Relaxed);
        }
        let parsed = parse::parse(&line.text);
        let kept = LogLine {
            ts: parsed.ts.unwrap_or(written),
            brick: source.slot.brick.clone(),
            version: source.version.clone(),
            instance: source.slot.to_string(),
            stream: "output".to_owned(),
            level: parsed.level.as_str().to_owned(),
            msg: parsed.msg,
            trace_id: parsed.trace_id,
            line: line.text.clone(),
        };
        let mut rings = self.0.rings.lock();
        let ring = rings
            .entry(source.slot.clone())
            .or_insert_with(|| Ring::new(self.0.ring_bytes_max));
        ring.push(kept.clone());
        drop(rings);
        // Nobody following is no error.
        let _ = self.0.live.send(kept);
    }
}

/// The last lines of a log file from `from` on, as written, for a person who has to see why a process fails. Read from
/// the file: what a process wrote just before it died may not have come to the ring yet.
pub(crate) fn last_written(path: &Path, from: u64, count: usize) -> Vec<String> {
    let Ok(file) = File::open(path) else {
        return Vec::new();
    };
    let length = file.metadata().map_or(0, |meta| meta.len());
    let mut lines = Lines::resume(file, from.max(length.saturating_sub(LAST_BYTES)));
    let mut read = Vec::new();
    while lines.read(&mut read).unwrap_or(false) {}
    let skip = read.len().saturating_sub(count);
    read.into_iter().skip(skip).map(|line| line.text).collect()
}

/// Opens a log file for a child to append to, and ends a line that an earlier start left open; the file and the offset
/// at which the child begins.
pub(crate) fn open_for_append(path: &Path) -> std::io::Result<(File, u64)> {
    let mut file = OpenOptions::new()
        .append(true)
        .create(true)
        .read(true)
        .mode(0o600)
        .open(path)?;
    let length = file.metadata()?.len();
    let mut last = [0_u8];
    let open_line = length > 0 && file.read_at(&mut last, length - 1)? == 1 && !matches!(last[0], b'\n' | 0);
    if open_line && file.write_all(b"\n").is_ok() {
        return Ok((file, length + 1));
    }
    Ok((file, length))
}

/// Opens a log file for reading (and for giving ranges back), creating it where it is not there yet.
pub(crate) fn open_for_tail(path: &Path) -> std::io::Result<File> {
    OpenOptions::new()
        .read(true)
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)
}

#[cfg(test)]
mod tests;
