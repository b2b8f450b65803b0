//! Everything that control knows and keeps, and how it changes: no I/O, no clock.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use brick_bus::{Resource, TrustBundle};
use brick_core::{BrickName, Incarnation, Instance, Version};
use brick_model::Model;
use serde::{Deserialize, Serialize};

use crate::{Error, derive};

/// Instances at most.
pub(crate) const INSTANCES_MAX: usize = 10_000;

/// An instance as it is registered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registered {
    /// Who it is and where it listens.
    #[serde(flatten)]
    pub instance: Instance,
    /// Life of its lease in milliseconds.
    pub ttl_ms: u64,
    /// Whether it takes requests.
    pub ready: bool,
    /// Whether somebody renews its lease.
    pub supervised: bool,
}

/// Slot of a version of a brick: concurrent versions count their slots apart.
pub type Slot = (BrickName, Version, u32);

/// All of it. Cloned for every batch of changes, so that a failing commit leaves nothing behind.
#[derive(Debug, Clone, Default)]
pub struct State {
    /// Identity of this store's history.
    pub epoch: String,
    /// Revision of the newest change.
    pub revision: u64,
    /// The published resources.
    pub resources: BTreeMap<String, Arc<Resource>>,
    /// The instances.
    pub instances: BTreeMap<Incarnation, Arc<Registered>>,
    /// The newest start that each slot has seen.
    pub fences: BTreeMap<Slot, Incarnation>,
    /// The manifest in force.
    pub manifest: Option<Arc<Model>>,
}

/// A wish to change something.
#[derive(Debug, Clone)]
pub(crate) enum Action {
    Register(Registered),
    Ready(Vec<(Incarnation, bool)>),
    Unsupervised(Incarnation),
    Remove(Incarnation),
    Manifest(Arc<Model>),
}

/// What a batch of actions changed among the published resources, in order of revision.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Published {
    Put(Arc<Resource>),
    Delete { name: String, revision: u64 },
}

impl Published {
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Put(resource) => &resource.name,
            Self::Delete { name, .. } => name,
        }
    }

    pub(crate) fn revision(&self) -> u64 {
        match self {
            Self::Put(resource) => resource.revision,
            Self::Delete { revision, .. } => *revision,
        }
    }
}

impl Registered {
    /// Life of its lease.
    pub fn ttl(&self) -> Duration {
        Duration::from_millis(self.ttl_ms)
    }

    fn slot(&self) -> Slot {
        let one = &self.instance;
        (one.brick.clone(), one.version.clone(), one.slot)
    }
}

impl State {
    pub(crate) fn apply(&mut self, action: Action, system: &str) -> Result<(), Error> {
        match action {
            Action::Register(registered) => self.register(registered)?,
            Action::Ready(changes) => {
                for (incarnation, ready) in changes {
                    self.edit(incarnation, |one| (one.ready, one.supervised) = (ready, true));
                }
            }
            Action::Unsupervised(incarnation) => self.edit(incarnation, |one| one.supervised = false),
            Action::Remove(incarnation) => {
                self.instances.remove(&incarnation);
            }
            Action::Manifest(model) => {
                let found = model.system.name.as_str();
                if found != system {
                    return Err(Error::OtherSystem {
                        expected: system.to_owned(),
                        found: found.to_owned(),
                    });
                }
                self.manifest = Some(model);
            }
        }
        Ok(())
    }

    /// A newer start replaces the older one in its slot; an older one is refused.
    fn register(&mut self, registered: Registered) -> Result<(), Error> {
        let (slot, incarnation) = (registered.slot(), registered.instance.incarnation);
        let fence = self.fences.get(&slot).copied();
        if let Some(newer) = fence.filter(|newest| *newest > incarnation) {
            return Err(Error::Fenced {
                slot: registered.instance.slot_name(),
                newer,
            });
        }
        let known = self.instances.contains_key(&incarnation);
        if !known && self.instances.len() >= INSTANCES_MAX {
            return Err(Error::TooManyInstances { max: INSTANCES_MAX });
        }
        if let Some(older) = fence.filter(|newest| *newest < incarnation) {
            self.instances.remove(&older);
        }
        self.fences.insert(slot, incarnation);
        self.instances.insert(incarnation, Arc::new(registered));
        Ok(())
    }

    fn edit(&mut self, incarnation: Incarnation, change: impl FnOnce(&mut Registered)) {
        if let Some(held) = self.instances.get_mut(&incarnation) {
            let mut changed = Registered::clone(held);
            change(&mut changed);
            if changed != **held {
                *held = Arc::new(changed);
            }
        }
    }

    /// Brings the published resources in line with everything else; gives what changed.
    pub(crate) fn publish(&mut self, trust: &TrustBundle) -> Result<Vec<Published>, Error> {
        let wanted = derive::resources(self, trust)?;
        let mut changes = Vec::new();
        let gone: Vec<String> = self
            .resources
            .keys()
            .filter(|name| !wanted.contains_key(*name))
            .cloned()
            .collect();
        for name in gone {
            self.resources.remove(&name);
            self.revision += 1;
            let revision = self.revision;
            changes.push(Published::Delete { name, revision });
        }
        for (name, value) in wanted {
            if self.resources.get(&name).is_some_and(|held| held.value == value) {
                continue;
            }
            self.revision += 1;
            let resource = Arc::new(Resource {
                name: name.clone(),
                revision: self.revision,
                value,
            });
            self.resources.insert(name, Arc::clone(&resource));
            changes.push(Published::Put(resource));
        }
        Ok(changes)
    }
}

#[cfg(test)]
pub(crate) mod tests;
