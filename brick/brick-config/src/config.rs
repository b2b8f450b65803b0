//! The configuration itself: made from its layers, made anew when the bus says so.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use brick_bus::{Resource, Watch};
use brick_core::Drain;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::watch;

use crate::error::is_secret;
use crate::layer::{self, Given, Layer, Shape};
use crate::{Error, Errors, Origin, Sources};

/// A brick's own check of values that fit their types.
type Check<T> = dyn Fn(&T) -> Result<(), String> + Send + Sync;

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
    watch: Option<Watch>,
    made: ArcSwap<Made<T>>,
    changed: watch::Sender<u64>,
}

struct Made<T> {
    value: Arc<T>,
    settings: Vec<Setting>,
    /// Revision of the live values in it.
    revision: Option<u64>,
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
        let shape = Shape::of(defaults::<T>(&sources)?);
        let live = watch
            .as_ref()
            .and_then(|watch| watch.get(&resource_name(&sources)));
        let made = match make::<T>(&sources, &shape, live.as_deref(), &check) {
            // A brick must start where only a live change is wrong.
            Err(errors) if live.is_some() => match make::<T>(&sources, &shape, None, &check) {
                Ok(made) => {
                    tell(watch.as_ref(), live.as_deref(), Err(&errors));
                    made
                }
                Err(own) => return Err(own),
            },
            made => {
                let made = made?;
                tell(watch.as_ref(), live.as_deref(), Ok(()));
                made
            }
        };
        let (changed, changes) = watch::channel(0);
        let shared = Shared {
            sources,
            shape,
            check: Box::new(check),
            watch,
            made: ArcSwap::from_pointee(made),
            changed,
        };
        Ok(Self {
            shared: Arc::new(shared),
            changes,
        })
    }

    /// Takes over live changes until the drain: each is validated whole, then swapped in and acknowledged, or refused
    /// with the reason while the old values stay.
    pub async fn follow(&self, drain: Drain) {
        let Some(mut watch) = self.shared.watch.clone() else {
            return;
        };
        loop {
            self.shared.refresh();
            tokio::select! {
                _ = watch.changed() => {}
                () = drain.requested() => return,
            }
        }
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

impl<T: DeserializeOwned> Shared<T> {
    fn refresh(&self) {
        let Some(watch) = &self.watch else { return };
        let live = watch.get(&resource_name(&self.sources));
        let revision = live.as_ref().map(|resource| resource.revision);
        if self.made.load().revision == revision {
            return;
        }
        match make::<T>(&self.sources, &self.shape, live.as_deref(), &*self.check) {
            Ok(made) => {
                self.made.store(Arc::new(made));
                self.changed.send_modify(|count| *count += 1);
                tell(Some(watch), live.as_deref(), Ok(()));
            }
            Err(errors) => {
                let old = self.made.load();
                self.made.store(Arc::new(Made {
                    value: Arc::clone(&old.value),
                    settings: old.settings.clone(),
                    revision,
                }));
                tell(Some(watch), live.as_deref(), Err(&errors));
            }
        }
    }
}

fn tell(watch: Option<&Watch>, live: Option<&Resource>, outcome: Result<(), &Errors>) {
    let (Some(watch), Some(resource)) = (watch, live) else {
        return;
    };
    if let Err(errors) = outcome {
        tracing::warn!(resource = resource.name, revision = resource.revision, %errors, "a live change is refused, the old values stay");
    }
    watch.acknowledge(
        &resource.name,
        resource.revision,
        outcome.err().map(Errors::to_string),
    );
}

fn resource_name(sources: &Sources) -> String {
    format!("config/{}", sources.brick)
}

fn defaults<T: Serialize + Default>(sources: &Sources) -> Result<Value, Errors> {
    let refused = |reason: String| Errors(vec![Error::Refused(reason)]);
    let mut value = serde_json::to_value(T::default()).map_err(|error| refused(error.to_string()))?;
    if !value.is_object() {
        return Err(refused(
            "expected a struct with named fields as configuration".to_owned(),
        ));
    }
    if let Value::Object(given) = &sources.defaults {
        for (key, given) in given {
            layer::set(&mut value, key, given.clone());
        }
    }
    Ok(value)
}

fn make<T: DeserializeOwned>(
    sources: &Sources,
    shape: &Shape,
    live: Option<&Resource>,
    check: &Check<T>,
) -> Result<Made<T>, Errors> {
    let mut errors = Vec::new();
    let manifest = shape.environment(sources, true);
    let mut layers: Vec<Layer> = vec![manifest.clone()];
    for path in &sources.files {
        match layer::file(path) {
            Ok(object) => {
                let (layer, unknown) = shape.read(&object, &Origin::File(path.clone()));
                layers.push(layer);
                errors.extend(unknown);
            }
            Err(error) => errors.push(error),
        }
    }
    layers.push(live_changes(shape, live, &manifest));
    layers.push(shape.environment(sources, false));
    layers.push(shape.arguments(&sources.args));

    let mut whole = shape.defaults.clone();
    let mut origins = BTreeMap::new();
    for (key, given) in layers.into_iter().flatten() {
        match fitting::<T>(shape, &key, &given) {
            Ok(value) => {
                layer::set(&mut whole, &key, value);
                origins.insert(key, given.origin);
            }
            Err(error) => errors.push(error),
        }
    }
    if !errors.is_empty() {
        return Err(Errors(errors));
    }
    let refused = |reason| Errors(vec![Error::Refused(reason)]);
    let settings = settings(shape, &whole, &origins);
    let value: T = serde_json::from_value(whole).map_err(|error| refused(error.to_string()))?;
    check(&value).map_err(refused)?;
    Ok(Made {
        value: Arc::new(value),
        settings,
        revision: live.map(|resource| resource.revision),
    })
}

/// What the bus says otherwise than the manifest did at the start. What it repeats keeps the manifest's rank, so that a
/// file still overrides it.
fn live_changes(shape: &Shape, live: Option<&Resource>, manifest: &Layer) -> Layer {
    let Some((resource, object)) = live.and_then(|live| Some((live, live.value.as_object()?))) else {
        return Vec::new();
    };
    let origin = Origin::Bus {
        revision: resource.revision,
    };
    let (layer, _) = shape.read(object, &origin);
    layer
        .into_iter()
        .filter(|(key, given)| {
            let said = manifest.iter().find(|(name, _)| name == key);
            !said.is_some_and(|(_, said)| same(&said.value, &given.value))
        })
        .collect()
}

fn same(text: &Value, value: &Value) -> bool {
    match (text, value) {
        (Value::String(text), Value::String(value)) => text == value,
        (Value::String(text), value) => serde_json::from_str(text).is_ok_and(|read: Value| read == *value),
        _ => false,
    }
}

/// The value in the form that fits, tried alone over the defaults so that each misfit is told by its own key.
fn fitting<T: DeserializeOwned>(shape: &Shape, key: &str, given: &Given) -> Result<Value, Error> {
    let default = shape.leaves.get(key).unwrap_or(&Value::Null);
    let readings = match &given.value {
        Value::String(text) if given.is_text => layer::readings(text, default),
        value => vec![value.clone()],
    };
    let mut first_error = None;
    for reading in readings {
        let mut trial = shape.defaults.clone();
        layer::set(&mut trial, key, reading.clone());
        match serde_json::from_value::<T>(trial) {
            Ok(_) => return Ok(reading),
            Err(error) => {
                first_error.get_or_insert(error.to_string());
            }
        }
    }
    let reason = first_error.unwrap_or_default();
    let expected = match reason.split_once(", expected ") {
        Some((_, expected)) => expected.to_owned(),
        None => format!("another value: {reason}"),
    };
    let found = match &given.value {
        _ if is_secret(key) => "[redacted]".to_owned(),
        value => value.to_string().chars().take(100).collect(),
    };
    Err(Error::Value {
        key: key.to_owned(),
        origin: given.origin.clone(),
        expected,
        found,
    })
}

fn settings(shape: &Shape, whole: &Value, origins: &BTreeMap<String, Origin>) -> Vec<Setting> {
    let at = |key: &str| key.split('.').try_fold(whole, |value, part| value.get(part));
    shape
        .leaves
        .keys()
        .map(|key| Setting {
            key: key.clone(),
            value: if is_secret(key) {
                Value::from("[redacted]")
            } else {
                at(key).cloned().unwrap_or_default()
            },
            origin: origins.get(key).cloned().unwrap_or(Origin::Default),
        })
        .collect()
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
