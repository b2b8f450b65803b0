//! How far telemetry has taken each file, and which incarnation wrote which part of it; kept on disk so that an agent
//! that is killed loses no line.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;

use brick_core::Incarnation;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::folder::write_private;

/// Starts that are remembered for a file.
const PARTS_MAX: usize = 64;

/// Offsets of all files by slot.
#[derive(Debug, Clone)]
pub(crate) struct Offsets(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    files: Mutex<BTreeMap<String, Progress>>,
}

/// Progress of one file.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Progress {
    /// Offset up to which telemetry has taken everything; none before the first batch.
    pub(crate) shipped: Option<u64>,
    /// Offset at which each start began to write, oldest first.
    #[serde(default)]
    pub(crate) parts: VecDeque<(u64, Incarnation)>,
}

impl Offsets {
    /// Reads what an earlier agent left; what cannot be read counts as nothing: lines are shipped again, and the store
    /// drops repeats.
    pub(crate) fn load(path: PathBuf) -> Self {
        let files = std::fs::read(&path)
            .ok()
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .unwrap_or_default();
        Self(Arc::new(Inner {
            path,
            files: Mutex::new(files),
        }))
    }

    pub(crate) fn shipped(&self, slot: &str) -> Option<u64> {
        self.0
            .files
            .lock()
            .get(slot)
            .and_then(|progress| progress.shipped)
    }

    /// Notes that an incarnation writes from `offset` on.
    pub(crate) fn begin(&self, slot: &str, offset: u64, incarnation: Incarnation) {
        let mut files = self.0.files.lock();
        let parts = &mut files.entry(slot.to_owned()).or_default().parts;
        if parts.len() == PARTS_MAX {
            parts.pop_front();
        }
        parts.push_back((offset, incarnation));
        self.write(&files);
    }

    /// Notes that telemetry took everything before `offset`.
    pub(crate) fn ship(&self, slot: &str, offset: u64) {
        let mut files = self.0.files.lock();
        let progress = files.entry(slot.to_owned()).or_default();
        progress.shipped = Some(offset);
        while progress.parts.get(1).is_some_and(|(next, _)| *next <= offset) {
            progress.parts.pop_front();
        }
        self.write(&files);
    }

    /// The incarnation that wrote what is at `offset`.
    pub(crate) fn writer(&self, slot: &str, offset: u64) -> Option<Incarnation> {
        let files = self.0.files.lock();
        let parts = &files.get(slot)?.parts;
        let last = parts.iter().rev().find(|(from, _)| *from <= offset);
        last.or(parts.front()).map(|(_, incarnation)| *incarnation)
    }

    /// Without fsync: a crash of the machine may repeat lines, which the store drops; a crash of the agent does not.
    fn write(&self, files: &BTreeMap<String, Progress>) {
        let bytes = serde_json::to_vec(files).unwrap_or_default();
        // On a full disk the last offsets stay: lines are repeated after a restart, not lost.
        let _ = write_private(&self.0.path, &bytes, false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_survive_and_tell_who_wrote_what() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("offsets.json");
        let (first, second) = (Incarnation::new(), Incarnation::new());
        let offsets = Offsets::load(path.clone());
        offsets.begin("a/1", 0, first);
        offsets.begin("a/1", 100, second);
        assert_eq!(offsets.writer("a/1", 99), Some(first));
        offsets.ship("a/1", 120);
        let again = Offsets::load(path);
        assert_eq!(again.shipped("a/1"), Some(120));
        assert_eq!(again.writer("a/1", 130), Some(second));
        assert_eq!(again.writer("b/1", 0), None);
    }
}
