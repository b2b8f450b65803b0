//! Everything that control knows and keeps, and how it changes: no I/O, no clock.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{Hash as _, Hasher as _};
use std::sync::Arc;
use std::time::Duration;

use brick_bus::routes::ApiKeys;
use brick_bus::{Resource, TrustBundle};
use brick_core::{BrickName, Incarnation, Instance, Version};
use brick_model::Model;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::audit::Entry;
use crate::config::cipher::Cipher;
use crate::eureka::info::Told;
use crate::outsider::Details;
use crate::{Error, config, derive, flags};

/// Instances at most.
pub(crate) const INSTANCES_MAX: usize = 10_000;

/// Resources that operators may set something of.
pub(crate) const SETTINGS_MAX: usize = 10_000;

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
    /// Why it left its pool while it runs on, where it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quarantined: Option<String>,
    /// What it says of itself besides.
    #[serde(default, skip_serializing_if = "Details::is_empty")]
    pub details: Details,
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
    /// The API keys that count. Identity keeps them; here they are only told on.
    pub api_keys: Option<Arc<ApiKeys>>,
    /// Opens encrypted values; none where control has no master key. Not stored.
    pub(crate) cipher: Option<Arc<Cipher>>,
    /// What operators set, by the resource that it becomes part of: `limits/a->b` a merge patch, `faults/…` the faults,
    /// `certs/…` a certificate with its key.
    pub settings: BTreeMap<String, Arc<Value>>,
    /// What was done since the last commit, to be written down with it.
    pub(crate) journal: Vec<Arc<Entry>>,
    /// What changed since resources were published last.
    pub(crate) touched: Touched,
}

/// What has to be derived anew. One instance more or less touches one pool, however large the system is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) enum Touched {
    /// Everything: the manifest changed, or the state was just loaded.
    #[default]
    All,
    /// The pools of these bricks.
    Pools(BTreeSet<BrickName>),
}

impl Touched {
    fn pool(&mut self, brick: &BrickName) {
        if let Self::Pools(bricks) = self {
            bricks.insert(brick.clone());
        }
    }
}

/// A wish to change something.
#[derive(Debug, Clone)]
pub(crate) enum Action {
    /// Changes nothing of this: what is written down happened elsewhere.
    Nothing,
    Register(Registered),
    /// Registers an instance that nobody here started: it gets a slot, or keeps the one that it has by its own name.
    Join(Registered),
    Ready(Vec<(Incarnation, bool)>),
    Unsupervised(Incarnation),
    /// Takes an instance out of its pool, for this reason, or back into it.
    Quarantine(Incarnation, Option<String>),
    Remove(Incarnation),
    /// What a Eureka client says of an instance that it registered.
    Tell(Incarnation, Told),
    Manifest(Arc<Model>),
    ApiKeys(Arc<ApiKeys>),
    /// Sets what an operator wants of a resource, or takes it back.
    Set(String, Option<Value>),
    /// Sets or takes back several, or none where one does not fit.
    SetAll(Vec<(String, Option<Value>)>),
    /// The same as `Set`, where what was set before still has this tag ([`tag`]).
    SetWhere(String, Option<Value>, String),
}

/// Takes the change that made it from what is said live of a configuration.
fn forget_change(held: &mut Arc<Value>) {
    if held.get("change").is_some() {
        let mut value = Value::clone(held);
        value.as_object_mut().map(|live| live.remove("change"));
        *held = Arc::new(value);
    }
}

/// Tells one value of a setting from another: an entity tag (RFC 9110 §8.8.3). `"none"` where nothing is set.
pub(crate) fn tag(value: Option<&Value>) -> String {
    let Some(value) = value else {
        return "\"none\"".to_owned();
    };
    let mut hasher = std::hash::DefaultHasher::new();
    value.to_string().hash(&mut hasher);
    format!("\"{:016x}\"", hasher.finish())
}

/// A change among the published resources.
#[derive(Debug, Clone, PartialEq)]
pub enum Published {
    /// It is new, or another.
    Put(Arc<Resource>),
    /// It is gone.
    Delete {
        /// Which resource.
        name: String,
        /// The revision that took it.
        revision: u64,
    },
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
    /// What operators set below a prefix, by what follows it.
    pub(crate) fn settings_below<'s>(
        &'s self,
        prefix: &'s str,
    ) -> impl Iterator<Item = (&'s str, &'s Arc<Value>)> {
        let all = self.settings.range(prefix.to_owned()..);
        all.map_while(move |(name, value)| Some((name.strip_prefix(prefix)?, value)))
    }

    pub(crate) fn apply(&mut self, action: Action, system: &str) -> Result<(), Error> {
        match action {
            Action::Nothing => {}
            Action::Register(registered) => self.register(registered)?,
            Action::Join(registered) => self.join(registered)?,
            Action::Ready(changes) => {
                for (incarnation, ready) in changes {
                    self.edit(incarnation, |one| (one.ready, one.supervised) = (ready, true));
                }
            }
            Action::Unsupervised(incarnation) => self.edit(incarnation, |one| one.supervised = false),
            Action::Quarantine(incarnation, why) => {
                self.edit(incarnation, |one| one.quarantined = why);
            }
            Action::Tell(incarnation, told) => self.edit(incarnation, |one| told.apply(one)),
            Action::Remove(incarnation) => {
                if let Some(gone) = self.instances.remove(&incarnation) {
                    self.touched.pool(&gone.instance.brick);
                }
            }
            Action::Manifest(model) => {
                let found = model.system.name.as_str();
                if found != system {
                    return Err(Error::OtherSystem {
                        expected: system.to_owned(),
                        found: found.to_owned(),
                    });
                }
                self.told_by_manifest(&model);
                self.manifest = Some(model);
                self.touched = Touched::All;
            }
            Action::ApiKeys(keys) => {
                self.api_keys = Some(keys);
                self.touched = Touched::All;
            }
            Action::Set(name, value) => self.set(name, value)?,
            Action::SetAll(all) => {
                let added = all
                    .iter()
                    .filter(|(name, value)| value.is_some() && !self.settings.contains_key(name));
                if self.settings.len() + added.count() > SETTINGS_MAX {
                    return Err(Error::TooManySettings { max: SETTINGS_MAX });
                }
                for (name, value) in all {
                    self.set(name, value)?;
                }
            }
            Action::SetWhere(name, value, expected) => {
                if tag(self.settings.get(&name).map(|held| &**held)) != expected {
                    return Err(Error::Changed { name });
                }
                self.set(name, value)?;
            }
        }
        Ok(())
    }

    /// What a manifest changes of a configuration was in no two-phase change: who cannot take it is started anew anyway.
    fn told_by_manifest(&mut self, model: &Model) {
        for (name, held) in &mut self.settings {
            let Some(brick) = name.strip_prefix(config::LIVE) else {
                continue;
            };
            let before = self.manifest.as_ref().map(|old| old.config_of(brick));
            if before.as_ref() != Some(&model.config_of(brick)) {
                forget_change(held);
            }
        }
    }

    /// A newer start replaces the older one in its slot; an older one is refused.
    pub(crate) fn register(&mut self, registered: Registered) -> Result<(), Error> {
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
        self.touched.pool(&registered.instance.brick);
        let mut registered = registered;
        if let Some(held) = self.instances.get(&incarnation) {
            registered.quarantined.clone_from(&held.quarantined);
        }
        self.instances.insert(incarnation, Arc::new(registered));
        Ok(())
    }

    fn set(&mut self, name: String, value: Option<Value>) -> Result<(), Error> {
        if value.is_some() && self.settings.len() >= SETTINGS_MAX && !self.settings.contains_key(&name) {
            return Err(Error::TooManySettings { max: SETTINGS_MAX });
        }
        self.touched = Touched::All;
        if flags::is_layer(&name) {
            // The defaults of flags are values of configurations; no instance was asked about them.
            let live = self
                .settings
                .iter_mut()
                .filter(|(name, _)| name.starts_with(config::LIVE));
            live.for_each(|(_, held)| forget_change(held));
        }
        match value {
            Some(value) => drop(self.settings.insert(name, Arc::new(value))),
            None => drop(self.settings.remove(&name)),
        }
        Ok(())
    }

    pub(crate) fn edit(&mut self, incarnation: Incarnation, change: impl FnOnce(&mut Registered)) {
        if let Some(held) = self.instances.get_mut(&incarnation) {
            let mut changed = Registered::clone(held);
            change(&mut changed);
            if changed != **held {
                self.touched.pool(&changed.instance.brick);
                *held = Arc::new(changed);
            }
        }
    }

    /// Brings the published resources in line with what changed since the last time; gives what that changed.
    pub(crate) fn publish(&mut self, trust: &TrustBundle) -> Result<Vec<Published>, Error> {
        let nothing = Touched::Pools(BTreeSet::new());
        let (wanted, gone) = match std::mem::replace(&mut self.touched, nothing) {
            Touched::All => {
                let wanted = derive::resources(self, trust)?;
                let held = self.resources.keys().cloned();
                let gone = held.filter(|name| !wanted.contains_key(name)).collect();
                (wanted, gone)
            }
            Touched::Pools(bricks) => {
                let wanted = derive::endpoints(self, &bricks)?;
                let names = bricks.iter().map(derive::pool_name);
                let held = names.filter(|name| self.resources.contains_key(name));
                let gone: Vec<String> = held.filter(|name| !wanted.contains_key(name)).collect();
                (wanted, gone)
            }
        };
        let mut changes = Vec::new();
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
