//! What control keeps, behind a trait.
//!
//! One process writes: it *leads*. Where several processes share a store the others stand by: they tell their
//! subscribers what the leader published, and one of them leads when it is gone.

mod sql;

use std::net::SocketAddr;
use std::sync::Arc;

use brick_bus::Resource;
use brick_core::Incarnation;
use brick_model::Model;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use serde_json::Value;

use crate::Error;
use crate::audit::{Entry, Filter, Numbered};
use crate::uses::Use;

pub use crate::state::{Published, Registered, Slot, State};
pub use sql::Sql;

/// Keeps the state. A batch is stored whole or not at all, durably, before `save` resolves.
pub trait Store: Send + Sync + 'static {
    /// Everything that was saved; a new store gets a new epoch.
    fn load(&self) -> BoxFuture<'_, Result<State, Error>>;

    /// Stores a batch.
    fn save(&self, batch: Batch) -> BoxFuture<'_, Result<(), Error>>;

    /// Entries of the audit trail, newest first.
    fn audited(&self, filter: Filter) -> BoxFuture<'_, Result<Vec<Numbered>, Error>>;

    /// Adds to what clients used; days long gone go.
    fn account(&self, uses: Vec<Use>) -> BoxFuture<'_, Result<(), Error>>;

    /// What clients used from a day on (`2026-01-31`), by client and area, most first.
    fn used(&self, from: String) -> BoxFuture<'_, Result<Vec<Use>, Error>>;

    /// What was published after a revision, in order; of a resource that changed twice the newer change alone.
    fn since(&self, revision: u64) -> BoxFuture<'_, Result<Since, Error>>;

    /// Something was saved, or another process leads; an item may stand for several such events, and for none.
    fn news(&self) -> BoxStream<'static, ()>;

    /// Takes the lead, unless another process has it, and says where this one is reached. From then on `save` fails
    /// once another one leads.
    fn lead(&self, at: SocketAddr) -> BoxFuture<'_, Result<bool, Error>>;

    /// Resolves when another process leads in the place of this one.
    fn deposed(&self) -> BoxFuture<'_, ()>;

    /// Where the process is reached that leads, or did so last.
    fn leader(&self) -> BoxFuture<'_, Result<Option<SocketAddr>, Error>>;
}

/// What was published since some revision.
#[derive(Debug, Clone, Default)]
pub struct Since {
    /// Identity of the store's history.
    pub epoch: String,
    /// The newest revision.
    pub revision: u64,
    /// What leads there; none where too much happened to say ([`State`] tells all).
    pub changes: Option<Vec<Published>>,
}

/// The difference between two states.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    /// Revision reached.
    pub revision: u64,
    /// Resources that are new or changed.
    pub put: Vec<Arc<Resource>>,
    /// Resources that are gone, with the revision that took them.
    pub deleted: Vec<(String, u64)>,
    /// Instances that are new or changed.
    pub instances: Vec<Arc<Registered>>,
    /// Instances that are gone.
    pub removed: Vec<Incarnation>,
    /// Slots whose newest start is another.
    pub fences: Vec<(Slot, Incarnation)>,
    /// The manifest, where it is another.
    pub manifest: Option<Arc<Model>>,
    /// What operators set or took back.
    pub settings: Vec<(String, Option<Arc<Value>>)>,
    /// What was done, for the audit trail.
    pub audit: Vec<Arc<Entry>>,
}

impl Batch {
    /// What leads from one state to the next.
    pub(crate) fn between(old: &State, new: &State, changes: &[Published]) -> Self {
        let mut batch = Self {
            revision: new.revision,
            audit: new.journal.clone(),
            ..Self::default()
        };
        for change in changes {
            match change {
                Published::Put(resource) => batch.put.push(Arc::clone(resource)),
                Published::Delete { name, revision } => batch.deleted.push((name.clone(), *revision)),
            }
        }
        for (incarnation, one) in &new.instances {
            let held = old.instances.get(incarnation);
            if held.is_none_or(|held| !Arc::ptr_eq(held, one) && held != one) {
                batch.instances.push(Arc::clone(one));
            }
        }
        let gone = old
            .instances
            .keys()
            .filter(|one| !new.instances.contains_key(one));
        batch.removed = gone.copied().collect();
        for (slot, newest) in &new.fences {
            if old.fences.get(slot) != Some(newest) {
                batch.fences.push((slot.clone(), *newest));
            }
        }
        if new.manifest != old.manifest {
            batch.manifest.clone_from(&new.manifest);
        }
        for (name, value) in &new.settings {
            if old.settings.get(name) != Some(value) {
                batch.settings.push((name.clone(), Some(Arc::clone(value))));
            }
        }
        let taken_back = old
            .settings
            .keys()
            .filter(|name| !new.settings.contains_key(*name));
        batch.settings.extend(taken_back.map(|name| (name.clone(), None)));
        batch
    }

    /// Whether there is nothing to store.
    pub fn is_empty(&self) -> bool {
        self.put.is_empty()
            && self.deleted.is_empty()
            && self.instances.is_empty()
            && self.removed.is_empty()
            && self.fences.is_empty()
            && self.manifest.is_none()
            && self.settings.is_empty()
            && self.audit.is_empty()
    }
}
