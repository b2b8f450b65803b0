//! What every slot is doing now: written by supervisors, read by everybody, with a notification for each change.

use std::collections::BTreeMap;
use std::sync::Arc;

use brick_core::{BrickName, BrickRef, Incarnation, Version};
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::api::{InstanceState, Ps};

/// Part that a process plays. The order is the order of `ps` and of starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Role {
    Control,
    Gateway,
    Telemetry,
    Proxy,
    Brick,
}

/// A slot: part, brick, concurrent version and number, `order/1`, `payment@v2/1`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Slot {
    pub(crate) role: Role,
    pub(crate) brick: BrickName,
    /// The concurrent version; none is the brick's base.
    pub(crate) version: Option<Version>,
    pub(crate) number: u32,
}

impl Slot {
    /// A slot of a brick, or of one of its concurrent versions.
    pub(crate) fn of_brick(of: &BrickRef, number: u32) -> Self {
        Self {
            role: Role::Brick,
            brick: of.brick.clone(),
            version: of.version.clone(),
            number,
        }
    }

    /// What it is a slot of.
    pub(crate) fn of(&self) -> BrickRef {
        BrickRef {
            brick: self.brick.clone(),
            version: self.version.clone(),
        }
    }

    /// Whether a name stands for it: that of its brick, of its version, or its own.
    pub(crate) fn is_named(&self, name: &str) -> bool {
        self.brick.as_str() == name || self.of().to_string() == name || self.to_string() == name
    }
}

impl std::fmt::Display for Slot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.of().slot_name(self.number))
    }
}

/// What is known of a slot.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) state: InstanceState,
    pub(crate) version: Version,
    pub(crate) zone: String,
    pub(crate) port: u16,
    /// Where callers find it, where that is not its own port.
    pub(crate) public_port: Option<u16>,
    pub(crate) pid: Option<u32>,
    pub(crate) incarnation: Option<Incarnation>,
    pub(crate) adopted: bool,
    pub(crate) restarts: u64,
    /// Whether it answered its health path at least once in this incarnation.
    pub(crate) answered: bool,
    /// Whether it answers now.
    pub(crate) healthy: bool,
    /// Whether control knows this incarnation.
    pub(crate) registered: bool,
    /// Whether dependents may stop waiting for it although it is not ready.
    pub(crate) given_up: bool,
    /// The start that control took out of its pool.
    pub(crate) quarantined: Option<Incarnation>,
    pub(crate) problem: Option<String>,
}

impl Row {
    pub(crate) fn new(version: Version, zone: String, port: u16) -> Self {
        Self {
            state: InstanceState::Starting,
            version,
            zone,
            port,
            public_port: None,
            pid: None,
            incarnation: None,
            adopted: false,
            restarts: 0,
            answered: false,
            healthy: false,
            registered: false,
            given_up: false,
            quarantined: None,
            problem: None,
        }
    }

    /// Whether this very start is out of its pool.
    pub(crate) fn is_quarantined(&self) -> bool {
        self.quarantined.is_some() && self.quarantined == self.incarnation
    }
}

/// The rows of all slots.
#[derive(Debug, Clone)]
pub(crate) struct Board(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    rows: Mutex<BTreeMap<Slot, Row>>,
    version: watch::Sender<u64>,
}

impl Board {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Inner {
            rows: Mutex::new(BTreeMap::new()),
            version: watch::Sender::new(0),
        }))
    }

    pub(crate) fn insert(&self, slot: &Slot, row: Row) {
        self.0.rows.lock().insert(slot.clone(), row);
        self.changed();
    }

    pub(crate) fn remove(&self, slot: &Slot) {
        self.0.rows.lock().remove(slot);
        self.changed();
    }

    pub(crate) fn update<T>(&self, slot: &Slot, change: impl FnOnce(&mut Row) -> T) -> Option<T> {
        let done = self.0.rows.lock().get_mut(slot).map(change);
        self.changed();
        done
    }

    /// These starts are out of their pools, and no others.
    pub(crate) fn quarantined(&self, starts: &[Incarnation]) {
        let mut changed = false;
        for row in self.0.rows.lock().values_mut() {
            let now = row.incarnation.filter(|start| starts.contains(start));
            changed |= std::mem::replace(&mut row.quarantined, now) != now;
        }
        if changed {
            self.changed();
        }
    }

    pub(crate) fn get(&self, slot: &Slot) -> Option<Row> {
        self.0.rows.lock().get(slot).cloned()
    }

    pub(crate) fn rows(&self) -> Vec<(Slot, Row)> {
        let rows = self.0.rows.lock();
        rows.iter()
            .map(|(slot, row)| (slot.clone(), row.clone()))
            .collect()
    }

    pub(crate) fn subscribe(&self) -> watch::Receiver<u64> {
        self.0.version.subscribe()
    }

    /// Resolves when `met` holds of the rows.
    pub(crate) async fn wait(&self, met: impl Fn(&BTreeMap<Slot, Row>) -> bool) {
        let mut changes = self.subscribe();
        loop {
            changes.mark_unchanged();
            if met(&self.0.rows.lock()) {
                return;
            }
            if changes.changed().await.is_err() {
                return;
            }
        }
    }

    /// The rows as `ps` shows them, platform first.
    pub(crate) fn ps(&self, revision: &str) -> Vec<Ps> {
        let rows = self.rows();
        let shown = rows.into_iter().map(|(slot, row)| {
            let quarantined = row.is_quarantined();
            Ps {
                instance: slot.to_string(),
                brick: slot.brick,
                version: row.version,
                zone: row.zone,
                state: row.state,
                pid: row.pid,
                port: row.port,
                restarts: row.restarts,
                revision: revision.to_owned(),
                adopted: row.adopted,
                incarnation: row.incarnation,
                quarantined,
                problem: row.problem,
                elastic: None,
            }
        });
        shown.collect()
    }

    fn changed(&self) {
        self.0.version.send_modify(|version| *version += 1);
    }
}
