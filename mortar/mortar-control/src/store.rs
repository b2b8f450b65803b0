//! What control keeps, behind a trait: SQL here, something else where one machine is not enough.

mod sql;

use std::sync::Arc;

use brick_bus::Resource;
use brick_core::Incarnation;
use brick_model::Model;
use futures_util::future::BoxFuture;
use serde_json::Value;

use crate::Error;
use crate::audit::{Entry, Filter, Numbered};
use crate::state::Published;

pub use crate::state::{Registered, Slot, State};
pub use sql::Sql;

/// Keeps the state. A batch is stored whole or not at all, durably, before `save` resolves.
pub trait Store: Send + Sync + 'static {
    /// Everything that was saved; a new store gets a new epoch.
    fn load(&self) -> BoxFuture<'_, Result<State, Error>>;

    /// Stores a batch.
    fn save(&self, batch: Batch) -> BoxFuture<'_, Result<(), Error>>;

    /// Entries of the audit trail, newest first.
    fn audited(&self, filter: Filter) -> BoxFuture<'_, Result<Vec<Numbered>, Error>>;
}

/// The difference between two states.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    /// Revision reached.
    pub revision: u64,
    /// Resources that are new or changed.
    pub put: Vec<Arc<Resource>>,
    /// Resources that are gone.
    pub deleted: Vec<String>,
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
                Published::Delete { name, .. } => batch.deleted.push(name.clone()),
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
