//! Makes the typed view of all layers.

use std::collections::BTreeMap;
use std::sync::Arc;

use brick_bus::{ConfigMeta, Resource, config};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::config::Setting;
use crate::error::is_secret;
use crate::layer::{self, Given, Layer, Rows, Shape};
use crate::live::Word;
use crate::{Error, Errors, Origin, Sources};

/// Keys that the platform itself reads: what is said with others, and what no configuration has to name.
const OWN: [&str; 3] = ["$meta", "log", "flag"];

/// A brick's own check of values that fit their types.
pub(crate) type Check<T> = dyn Fn(&T) -> Result<(), String> + Send + Sync;

/// A configuration as it was made.
pub(crate) struct Made<T> {
    pub(crate) value: Arc<T>,
    pub(crate) settings: Vec<Setting>,
    /// What there is to say of what control set.
    pub(crate) word: Word,
    /// Revision of the live values in it.
    pub(crate) revision: Option<u64>,
}

impl<T> Made<T> {
    /// What was made of a proposal is now decided, with this revision.
    pub(crate) fn decided(&mut self, revision: u64) {
        self.revision = Some(revision);
        for setting in &mut self.settings {
            if let Origin::Bus { revision: told } = &mut setting.origin {
                *told = revision;
            }
        }
    }
}

pub(crate) fn defaults<T: Serialize + Default>(sources: &Sources) -> Result<Value, Errors> {
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

pub(crate) fn make<T: DeserializeOwned>(
    sources: &Sources,
    shape: &Shape,
    (rows, live): (&Rows, Option<&Resource>),
    check: &Check<T>,
) -> Result<Made<T>, Errors> {
    let mut errors = Vec::new();
    let manifest = shape.environment(sources, true);
    let told = Told::read(shape, live, &manifest);
    let mut layers: Vec<Layer> = vec![manifest, told.manifest];
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
    let changed = told
        .repository
        .iter()
        .chain(&told.changes)
        .map(|(key, _)| key.clone())
        .collect::<Vec<_>>();
    layers.push(told.repository);
    layers.push(shape.table(rows).0);
    layers.push(told.changes);
    layers.push(shape.environment(sources, false));
    layers.push(shape.arguments(&sources.args));

    let mut whole = shape.defaults.clone();
    let mut origins = BTreeMap::new();
    for (key, given) in layers.into_iter().flatten() {
        match fitting::<T>(shape, &key, &given, &told.meta) {
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
    let settings = settings(shape, &whole, &origins, &told.meta);
    let value: T = serde_json::from_value(whole).map_err(|error| refused(error.to_string()))?;
    check(&value).map_err(refused)?;
    let above = |key: String| {
        let origin = origins
            .get(&key)
            .filter(|origin| origin.is_operators() || **origin == Origin::Database)?;
        Some((key, origin.to_string()))
    };
    Ok(Made {
        value: Arc::new(value),
        settings,
        word: Word {
            shadowed: changed.into_iter().filter_map(above).collect(),
            unknown: told.unknown,
        },
        revision: live.map(|resource| resource.revision),
    })
}

/// What the bus says, by the layers that control merged.
#[derive(Default)]
struct Told {
    manifest: Layer,
    repository: Layer,
    changes: Layer,
    unknown: BTreeMap<String, String>,
    meta: ConfigMeta,
}

impl Told {
    /// What is said without an origin, and otherwise than the manifest did at the start, is a live change. What repeats
    /// the manifest keeps its rank, so that a file still overrides it.
    fn read(shape: &Shape, live: Option<&Resource>, manifest: &Layer) -> Self {
        let mut told = Self::default();
        let Some((resource, object)) = live.and_then(|live| Some((live, live.value.as_object()?))) else {
            return told;
        };
        told.meta = ConfigMeta::of(&resource.value).unwrap_or_default();
        let origin = Origin::Bus {
            revision: resource.revision,
        };
        let (given, unknown) = shape.read(object, &origin);
        told.unknown = unknown.into_iter().filter_map(unknown_key).collect();
        for (key, mut given) in given {
            match told.meta.origin(&key) {
                Some(config::MANIFEST) => {
                    given.origin = Origin::Manifest;
                    told.manifest.push((key, given));
                }
                Some(from) if from.starts_with(config::REPOSITORY) => {
                    // Everything is text in such a file; here it stands for what the key wants.
                    given.is_text = from
                        .split('@')
                        .next()
                        .is_some_and(|file| file.ends_with(".properties"));
                    given.origin = Origin::Repository(from.to_owned());
                    told.repository.push((key, given));
                }
                Some(_) => told.changes.push((key, given)),
                None => {
                    let said = manifest.iter().find(|(name, _)| *name == key);
                    if !said.is_some_and(|(_, said)| same(&said.value, &given.value)) {
                        told.changes.push((key, given));
                    }
                }
            }
        }
        told
    }
}

/// A key that no field has, with the nearest that one has. What every brick has besides is none of them.
fn unknown_key(error: Error) -> Option<(String, String)> {
    match error {
        Error::Unknown { key, nearest, .. }
            if !OWN
                .iter()
                .any(|own| key == *own || key.starts_with(&format!("{own}."))) =>
        {
            Some((key, nearest.unwrap_or_default()))
        }
        _ => None,
    }
}

fn same(text: &Value, value: &Value) -> bool {
    match (text, value) {
        (Value::String(text), Value::String(value)) => text == value,
        (Value::String(text), value) => serde_json::from_str(text).is_ok_and(|read: Value| read == *value),
        _ => false,
    }
}

/// The value in the form that fits, tried alone over the defaults so that each misfit is told by its own key.
fn fitting<T: DeserializeOwned>(
    shape: &Shape,
    key: &str,
    given: &Given,
    meta: &ConfigMeta,
) -> Result<Value, Error> {
    let hidden = is_secret(key) || meta.is_secret(key);
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
        None if hidden => "another value".to_owned(),
        None => format!("another value: {reason}"),
    };
    let found = match &given.value {
        _ if hidden => "[redacted]".to_owned(),
        value => value.to_string().chars().take(100).collect(),
    };
    Err(Error::Value {
        key: key.to_owned(),
        origin: given.origin.clone(),
        expected,
        found,
    })
}

fn settings(
    shape: &Shape,
    whole: &Value,
    origins: &BTreeMap<String, Origin>,
    meta: &ConfigMeta,
) -> Vec<Setting> {
    let at = |key: &str| key.split('.').try_fold(whole, |value, part| value.get(part));
    shape
        .leaves
        .keys()
        .map(|key| Setting {
            key: key.clone(),
            value: if is_secret(key) || meta.is_secret(key) {
                Value::from("[redacted]")
            } else {
                at(key).cloned().unwrap_or_default()
            },
            origin: origins.get(key).cloned().unwrap_or(Origin::Default),
        })
        .collect()
}
