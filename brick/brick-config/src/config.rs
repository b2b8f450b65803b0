//! The configuration itself: made from its layers, made anew when the bus says so.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};

use arc_swap::ArcSwap;
use brick_bus::{ConfigMeta, Resource, Watch};
use brick_core::Drain;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::watch;

use crate::layer::{Rows, Shape};
use crate::live::{self, Failed, Live, Member, Word};
use crate::make::{self, Check, Made};
use crate::{Errors, Origin, Sources};

/// A configuration of type `T`. Cheap to clone; every clone sees the same values.
pub struct Config<T> {
    shared: Arc<Shared<T>>,
    changes: watch::Receiver<u64>,
}

/// One value and where it comes from.
#[derive(Debug, Clone, PartialEq)]
pub struct Setting {
    /// The key, nested by dots.
    pub key: String,
    /// The value; `"[redacted]"` where the key names a secret.
    pub value: Value,
    /// Where it stands.
    pub origin: Origin,
}

struct Shared<T> {
    sources: Sources,
    shape: Shape,
    check: Box<Check<T>>,
    made: ArcSwap<Made<T>>,
    /// What a change that is being prepared would make of it.
    held: Mutex<Option<(String, Made<T>)>>,
    /// What it is made of now besides what never changes. Locked while it is made anew, before `held`.
    parts: Mutex<Parts>,
    watch: Option<Watch>,
    changed: watch::Sender<u64>,
}

/// What changes while the process lives.
#[derive(Default)]
struct Parts {
    rows: Arc<Rows>,
    /// The live values that were taken.
    live: Option<Resource>,
}

impl<T: DeserializeOwned + Serialize + Default + Send + Sync + 'static> Config<T> {
    /// Makes the configuration; with a watch, live changes count and [`Config::follow`] takes over later ones.
    pub fn load(sources: Sources, watch: Option<Watch>) -> Result<Self, Errors> {
        Self::load_checked(sources, watch, |_| Ok(()))
    }

    /// The same with a check of the brick's own, at start and before every live change.
    pub fn load_checked(
        sources: Sources,
        watch: Option<Watch>,
        check: impl Fn(&T) -> Result<(), String> + Send + Sync + 'static,
    ) -> Result<Self, Errors> {
        let shape = Shape::of(make::defaults::<T>(&sources)?);
        let live = watch
            .as_ref()
            .and_then(|watch| watch.get(&live::resource_name(&sources.brick)));
        let none = Rows::new();
        let mut parts = Parts::default();
        let made = match make::make::<T>(&sources, &shape, (&none, live.as_deref()), &check) {
            // A brick must start where only a live change is wrong.
            Err(errors) if live.is_some() => match make::make::<T>(&sources, &shape, (&none, None), &check) {
                Ok(mut made) => {
                    made.revision = live.as_ref().map(|resource| resource.revision);
                    live::tell(watch.as_ref(), live.as_deref(), Err(&errors));
                    made
                }
                Err(own) => return Err(own),
            },
            made => {
                let made = made?;
                parts.live = live.as_deref().cloned();
                live::tell(watch.as_ref(), live.as_deref(), Ok(&made.word));
                made
            }
        };
        let (changed, changes) = watch::channel(0);
        let shared = Shared {
            sources,
            shape,
            check: Box::new(check),
            made: ArcSwap::from_pointee(made),
            held: Mutex::new(None),
            parts: Mutex::new(parts),
            watch,
            changed,
        };
        Ok(Self {
            shared: Arc::new(shared),
            changes,
        })
    }

    /// Takes over live changes until the drain: each is validated whole before it is decided, then swapped in and
    /// acknowledged, or refused with the reason while the old values stay. A process with several configurations has
    /// them followed by one [`Live`](crate::Live) instead.
    pub async fn follow(&self, drain: Drain) -> Result<(), Failed> {
        let Some(watch) = self.shared.watch.clone() else {
            return Ok(());
        };
        let live = Live::new(watch, &self.shared.sources.brick);
        live.join(self);
        live.follow(drain).await
    }

    pub(crate) fn member(&self) -> Arc<dyn Member> {
        Arc::clone(&self.shared) as Arc<dyn Member>
    }
}

impl<T> Config<T> {
    /// The values now. Take it once for one piece of work, so that the work sees one configuration.
    pub fn get(&self) -> Arc<T> {
        Arc::clone(&self.shared.made.load().value)
    }

    /// Every value with its origin, in order of key.
    pub fn origins(&self) -> Vec<Setting> {
        self.shared.made.load().settings.clone()
    }

    /// Resolves after the next change that this clone has not been told of yet.
    pub async fn changed(&mut self) {
        if self.changes.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
        self.changes.mark_unchanged();
    }
}

impl<T: DeserializeOwned + Send + Sync> Member for Shared<T> {
    fn prepare(&self, change: &str, proposed: &Resource) -> Result<(), Errors> {
        let parts = self.parts();
        let made = make::make::<T>(
            &self.sources,
            &self.shape,
            (&parts.rows, Some(proposed)),
            &*self.check,
        );
        let mut held = self.held.lock().unwrap_or_else(|e| e.into_inner());
        *held = None;
        *held = Some((change.to_owned(), made?));
        Ok(())
    }

    fn revision(&self) -> Option<u64> {
        self.made.load().revision
    }

    fn commit(&self, live: Option<&Resource>) -> Result<Word, Errors> {
        let revision = live.map(|resource| resource.revision);
        if self.made.load().revision == revision {
            return Ok(self.made.load().word.clone());
        }
        let mut parts = self.parts();
        match self.taken(live).map_or_else(
            || make::make::<T>(&self.sources, &self.shape, (&parts.rows, live), &*self.check),
            Ok,
        ) {
            Ok(made) => {
                let word = made.word.clone();
                parts.live = live.cloned();
                self.made.store(Arc::new(made));
                self.changed.send_modify(|count| *count += 1);
                Ok(word)
            }
            Err(errors) => {
                let old = self.made.load();
                self.made.store(Arc::new(Made {
                    value: Arc::clone(&old.value),
                    settings: old.settings.clone(),
                    word: old.word.clone(),
                    revision,
                }));
                Err(errors)
            }
        }
    }

    fn fits(&self, rows: &Rows) -> Result<BTreeMap<String, String>, Errors> {
        let parts = self.parts();
        make::make::<T>(
            &self.sources,
            &self.shape,
            (rows, parts.live.as_ref()),
            &*self.check,
        )?;
        Ok(self.shape.table(rows).1)
    }

    fn take(&self, rows: &Arc<Rows>) -> Result<(), Errors> {
        let mut parts = self.parts();
        if parts.rows == *rows {
            return Ok(());
        }
        let mut made = make::make::<T>(
            &self.sources,
            &self.shape,
            (rows, parts.live.as_ref()),
            &*self.check,
        )?;
        parts.rows = Arc::clone(rows);
        // What was prepared was prepared with other rows: it is made anew when it is decided.
        *self.held.lock().unwrap_or_else(|e| e.into_inner()) = None;
        // A live change that was refused stays seen.
        made.revision = self.made.load().revision;
        self.made.store(Arc::new(made));
        self.changed.send_modify(|count| *count += 1);
        Ok(())
    }
}

impl<T> Shared<T> {
    fn parts(&self) -> MutexGuard<'_, Parts> {
        self.parts.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// What was held for the change that is now decided.
    fn taken(&self, live: Option<&Resource>) -> Option<Made<T>> {
        let held = self.held.lock().unwrap_or_else(|e| e.into_inner()).take();
        let (change, mut made) = held?;
        let decided = live.and_then(|resource| ConfigMeta::of(&resource.value)?.change);
        if decided? != change {
            return None;
        }
        made.decided(live.map_or(0, |resource| resource.revision));
        Some(made)
    }
}

impl<T> Clone for Config<T> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            changes: self.changes.clone(),
        }
    }
}

impl<T> fmt::Debug for Config<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let settings = self.origins();
        let shown = settings.iter().map(|setting| (&setting.key, &setting.value));
        f.debug_map().entries(shown).finish()
    }
}

#[cfg(test)]
mod tests;
