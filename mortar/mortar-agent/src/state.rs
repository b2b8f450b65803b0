//! Desired and observed state, kept in `agent.json` so that the next agent can adopt what this one started.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use brick_core::{BrickRef, Incarnation};
use jiff::Timestamp;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Error;
use crate::events::{Event, EventKind, Events};
use crate::folder::write_private;
use crate::linux::process::ProcessId;

/// Schema that this agent writes; it reads this one and the previous.
pub(crate) const SCHEMA: u64 = 1;

/// Everything that must outlive the agent.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(crate) struct State {
    pub(crate) schema: u64,
    /// Boot in which the processes were seen.
    pub(crate) boot_id: String,
    /// Where the edge listens.
    pub(crate) edge: Option<SocketAddr>,
    /// Where console and APIs listen.
    pub(crate) console: Option<SocketAddr>,
    /// Assigned ports by slot.
    #[serde(default)]
    pub(crate) ports: BTreeMap<String, u16>,
    /// By what the instances of slots show their host proxy who they are.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) secrets: BTreeMap<String, String>,
    /// Replicas that the operator set, with the manifest's number at that time: a changed manifest wins again.
    #[serde(default)]
    pub(crate) scaled: BTreeMap<BrickRef, Scaled>,
    /// Instances that the requests of bricks need whose number follows them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) elastic: BTreeMap<BrickRef, u32>,
    /// Processes by slot.
    #[serde(default)]
    pub(crate) processes: BTreeMap<String, Record>,
}

/// A number of replicas that the operator set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Scaled {
    pub(crate) manifest: u32,
    pub(crate) replicas: u32,
}

/// A process that was started.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) process: ProcessId,
    pub(crate) incarnation: Incarnation,
    pub(crate) fingerprint: String,
    pub(crate) port: u16,
    pub(crate) started: Timestamp,
}

/// Reads the state; none at first start.
pub(crate) fn load(path: &Path) -> Result<Option<State>, Error> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::file("read", path)(error)),
    };
    let corrupt = |reason: String| Error::CorruptState {
        path: path.to_owned(),
        reason,
    };
    let value: Value = serde_json::from_slice(&bytes).map_err(|e| corrupt(e.to_string()))?;
    let found = value.get("schema").and_then(Value::as_u64);
    let found = found.ok_or_else(|| corrupt("it has no schema number".to_owned()))?;
    if found > SCHEMA {
        return Err(Error::NewerState {
            path: path.to_owned(),
            found,
            known: SCHEMA,
        });
    }
    serde_json::from_value(value)
        .map(Some)
        .map_err(|e| corrupt(e.to_string()))
}

/// The state with the file behind it. A change is on disk when [`Store::save`] returns; saves that come together are
/// one write.
#[derive(Debug, Clone)]
pub(crate) struct Store(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    state: Mutex<(State, u64)>,
    written: tokio::sync::Mutex<u64>,
    failed: AtomicU64,
    told: AtomicBool,
    events: Events,
}

impl Store {
    pub(crate) fn new(path: PathBuf, state: State, events: Events) -> Self {
        Self(Arc::new(Inner {
            path,
            state: Mutex::new((state, 1)),
            written: tokio::sync::Mutex::new(0),
            failed: AtomicU64::new(0),
            told: AtomicBool::new(false),
            events,
        }))
    }

    /// Looks at the state.
    pub(crate) fn read<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.0.state.lock().0)
    }

    /// Changes the state in memory; [`Store::save`] writes it.
    pub(crate) fn update<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut held = self.0.state.lock();
        held.1 += 1;
        change(&mut held.0)
    }

    /// Writes what was changed before the call. A full disk is told once and counted; the agent goes on.
    pub(crate) async fn save(&self) {
        let wanted = self.0.state.lock().1;
        let mut written = self.0.written.lock().await;
        if *written >= wanted {
            return;
        }
        let (bytes, version) = {
            let held = self.0.state.lock();
            (serde_json::to_vec_pretty(&held.0).unwrap_or_default(), held.1)
        };
        let path = self.0.path.clone();
        let done = tokio::task::spawn_blocking(move || write_private(&path, &bytes, true)).await;
        match done.unwrap_or_else(|e| Err(std::io::Error::other(e))) {
            Ok(()) => {
                *written = version;
                self.0.told.store(false, Ordering::Relaxed);
            }
            Err(error) => {
                self.0.failed.fetch_add(1, Ordering::Relaxed);
                if !self.0.told.swap(true, Ordering::Relaxed) {
                    let path = self.0.path.display();
                    self.0.events.send(Event::new(
                        EventKind::Warning,
                        format!("cannot write {path}: {error}; the system goes on, but an agent that starts after this one would not know its latest processes: make room on the disk"),
                    ));
                }
            }
        }
    }

    /// Writes that failed.
    pub(crate) fn writes_failed(&self) -> u64 {
        self.0.failed.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state() -> State {
        let record = Record {
            process: ProcessId {
                pid: 42,
                start_ticks: 7,
            },
            incarnation: Incarnation::new(),
            fingerprint: "f".to_owned(),
            port: 20_001,
            started: Timestamp::now(),
        };
        State {
            schema: SCHEMA,
            boot_id: "b".to_owned(),
            ports: BTreeMap::from([("order/1".to_owned(), 20_001)]),
            processes: BTreeMap::from([("order/1".to_owned(), record)]),
            ..State::default()
        }
    }

    #[tokio::test]
    async fn state_survives_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("agent.json");
        assert_eq!(load(&path).unwrap(), None);
        let store = Store::new(path.clone(), state(), Events::new());
        store.update(|s| s.ports.insert("order/2".to_owned(), 20_002));
        tokio::join!(store.save(), store.save(), store.save());
        let expect = store.read(State::clone);
        assert_eq!(load(&path).unwrap(), Some(expect));
    }

    #[test]
    fn newer_and_damaged_states_are_refused_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("agent.json");
        for (text, expect) in [
            (
                r#"{"schema":99,"future":true}"#,
                "newer Brickwork (schema 99, this one knows 1)",
            ),
            ("", "damaged"),
            ("{", "damaged"),
            ("{}", "no schema number"),
            (r#"{"schema":1,"boot_id":7}"#, "damaged"),
        ] {
            std::fs::write(&path, text).unwrap();
            let error = load(&path).unwrap_err().to_string();
            assert!(error.contains(expect), "{text}: {error}");
            assert!(error.contains("agent.json"), "{error}");
        }
    }

    #[tokio::test]
    async fn a_full_disk_is_told_once_and_counted() {
        let dir = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/dev/full", dir.path().join("agent.json.new")).unwrap();
        let events = Events::new();
        let store = Store::new(dir.path().join("agent.json"), state(), events.clone());
        for _ in 0..2 {
            store.save().await;
            std::os::unix::fs::symlink("/dev/full", dir.path().join("agent.json.new")).unwrap();
        }
        assert_eq!((store.writes_failed(), events.past().len()), (2, 1));
    }
}
