//! Live changes of a process: asked whether it could take them, told when they are decided.
//!
//! Control proposes values in `prepare/<brick>`. Every configuration of the process makes what they would be and holds
//! it, or refuses; the acknowledgement is one for all. When control decides, the values stand in `config/<brick>`, and
//! what is held is swapped in. A process that took part in no preparation makes the values then; where it cannot, it
//! must not go on with others than everybody else has: [`Live::follow`] ends with the reason.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex};

use brick_bus::{Acknowledgement, ConfigMeta, Prepare, Resource, Watch};
use brick_core::Drain;
use serde::de::DeserializeOwned;
use serde::{Deserialize as _, Serialize};
use tokio::sync::Notify;

use crate::layer::Rows;
use crate::{Config, Errors};

/// What there is to say of values that were taken.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Word {
    /// Keys that do not count in this process, with the layer that has the word.
    pub(crate) shadowed: BTreeMap<String, String>,
    /// Keys that are not known here, with the nearest that is, or nothing.
    pub(crate) unknown: BTreeMap<String, String>,
}

/// A configuration that takes part in live changes.
pub(crate) trait Member: Send + Sync {
    /// Makes what the proposal would be, and holds it.
    fn prepare(&self, change: &str, proposed: &Resource) -> Result<(), Errors>;

    /// Revision of the decided values that it has seen.
    fn revision(&self) -> Option<u64>;

    /// Takes over what was decided.
    fn commit(&self, live: Option<&Resource>) -> Result<Word, Errors>;

    /// Whether it could take the rows of the database's table; which of their keys it does not know, with the nearest
    /// that it does.
    fn fits(&self, rows: &Rows) -> Result<BTreeMap<String, String>, Errors>;

    /// Takes the rows.
    fn take(&self, rows: &Arc<Rows>) -> Result<(), Errors>;
}

/// Why a process must not go on: it cannot take what everybody else has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the configuration that was decided as change {change} cannot be taken here: {reason}")]
pub struct Failed {
    /// Id of the change.
    pub change: String,
    /// What does not fit.
    pub reason: String,
}

/// Follows live changes for all configurations of a process. Cheap to clone.
#[derive(Clone)]
pub struct Live {
    shared: Arc<Shared>,
    watch: Watch,
}

struct Shared {
    brick: String,
    members: Mutex<Vec<Arc<dyn Member>>>,
    /// Rows of the database's table that count.
    rows: Mutex<Arc<Rows>>,
    joined: Notify,
}

/// What was seen already.
#[derive(Default)]
struct Seen {
    prepared: Option<u64>,
    decided: Option<u64>,
}

impl Live {
    /// For a brick's process; without configurations every change is taken.
    pub fn new(watch: Watch, brick: &str) -> Self {
        let shared = Shared {
            brick: brick.to_owned(),
            members: Mutex::default(),
            rows: Mutex::default(),
            joined: Notify::new(),
        };
        Self {
            shared: Arc::new(shared),
            watch,
        }
    }

    /// From now on the configuration takes part.
    pub fn join<T>(&self, config: &Config<T>)
    where
        T: DeserializeOwned + Serialize + Default + Send + Sync + 'static,
    {
        // Held to the end, so that no rows come in between.
        let rows = self.shared.rows.lock().unwrap_or_else(|e| e.into_inner());
        let member = config.member();
        if let Err(errors) = member.take(&rows) {
            tracing::warn!(%errors, "what the database says of a configuration is refused, the values without it count");
        }
        let mut members = self.shared.members.lock().unwrap_or_else(|e| e.into_inner());
        members.push(member);
        drop(members);
        self.shared.joined.notify_one();
    }

    /// Takes part until the drain is requested.
    pub async fn follow(&self, drain: Drain) -> Result<(), Failed> {
        let (mut watch, mut seen) = (self.watch.clone(), Seen::default());
        loop {
            self.look(&mut seen)?;
            tokio::select! {
                _ = watch.changed() => {}
                () = self.shared.joined.notified() => {}
                () = drain.requested() => return Ok(()),
            }
        }
    }

    /// Has the rows of the database's table count in every configuration, or in none where one of them refuses. Gives
    /// the keys that no configuration knows, with the nearest that one does.
    pub(crate) fn take(&self, rows: Rows) -> Result<BTreeMap<String, String>, Errors> {
        let mut held = self.shared.rows.lock().unwrap_or_else(|e| e.into_inner());
        let members = self.members();
        let mut unknown: Option<BTreeMap<String, String>> = None;
        for member in &members {
            let own = member.fits(&rows)?;
            match &mut unknown {
                None => unknown = Some(own),
                Some(unknown) => unknown.retain(|key, _| own.contains_key(key)),
            }
        }
        *held = Arc::new(rows);
        for member in &members {
            member.take(&held)?;
        }
        Ok(unknown.unwrap_or_default())
    }

    fn members(&self) -> Vec<Arc<dyn Member>> {
        let members = self.shared.members.lock();
        members.unwrap_or_else(|e| e.into_inner()).clone()
    }

    fn look(&self, seen: &mut Seen) -> Result<(), Failed> {
        let members = self.members();
        let decided = self.watch.get(&resource_name(&self.shared.brick));
        let revision = decided.as_ref().map(|resource| resource.revision);
        // A configuration took what was decided before it was loaded, and said so then.
        let behind = match members.is_empty() {
            true => seen.decided != revision,
            false => members.iter().any(|one| one.revision() != revision),
        };
        seen.decided = revision;
        if behind {
            self.commit(&members, decided.as_deref())?;
        }
        let proposed = self.watch.get(&format!("prepare/{}", self.shared.brick));
        let revision = proposed.as_ref().map(|resource| resource.revision);
        if seen.prepared != revision {
            seen.prepared = revision;
            if let Some(proposed) = proposed {
                self.prepare(&members, &proposed);
            }
        }
        Ok(())
    }

    fn prepare(&self, members: &[Arc<dyn Member>], proposed: &Resource) {
        let outcome = Prepare::deserialize(&proposed.value).map_err(|error| error.to_string());
        let outcome = outcome.and_then(|prepare| {
            let resource = Resource {
                name: resource_name(&self.shared.brick),
                revision: proposed.revision,
                value: prepare.meta().beside(prepare.values),
            };
            let each = members.iter().map(|one| one.prepare(&prepare.change, &resource));
            each.collect::<Result<Vec<()>, Errors>>()
                .map_err(|errors| errors.told())
        });
        if let Err(reason) = &outcome {
            tracing::warn!(
                resource = proposed.name,
                reason,
                "a change of configuration is refused, the old values stay"
            );
        }
        self.watch
            .acknowledge(&proposed.name, proposed.revision, outcome.err());
    }

    fn commit(&self, members: &[Arc<dyn Member>], decided: Option<&Resource>) -> Result<(), Failed> {
        let (mut whole, mut failed) = (None::<Word>, None);
        for member in members {
            match member.commit(decided) {
                Ok(own) => {
                    whole = Some(match whole {
                        None => own,
                        Some(whole) => whole.and(own),
                    });
                }
                Err(errors) => failed = Some(errors),
            }
        }
        let whole = whole.unwrap_or_default();
        let outcome = failed.as_ref().map_or(Ok(&whole), Err);
        tell(Some(&self.watch), decided, outcome);
        let change = decided.and_then(|resource| ConfigMeta::of(&resource.value)?.change);
        match (failed, change) {
            (Some(errors), Some(change)) => Err(Failed {
                change,
                reason: errors.told(),
            }),
            _ => Ok(()),
        }
    }
}

/// Acknowledges what was applied or refused.
pub(crate) fn tell(watch: Option<&Watch>, live: Option<&Resource>, outcome: Result<&Word, &Errors>) {
    let (Some(watch), Some(resource)) = (watch, live) else {
        return;
    };
    if let Err(errors) = outcome {
        tracing::warn!(resource = resource.name, revision = resource.revision, %errors, "a live change is refused, the old values stay");
    }
    watch.say(Acknowledgement {
        name: resource.name.clone(),
        revision: resource.revision,
        refused: outcome.err().map(Errors::told),
        shadowed: outcome.map(|word| word.shadowed.clone()).unwrap_or_default(),
        unknown: outcome.map(|word| word.unknown.clone()).unwrap_or_default(),
    });
}

/// Name of the resource that holds a brick's configuration.
pub(crate) fn resource_name(brick: &str) -> String {
    format!("config/{brick}")
}

impl Word {
    /// Of two configurations of a process: a key that one knows is known.
    fn and(mut self, other: Self) -> Self {
        self.shadowed.extend(other.shadowed);
        self.unknown.retain(|key, _| other.unknown.contains_key(key));
        self
    }
}

impl fmt::Debug for Live {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Live")
            .field("brick", &self.shared.brick)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
