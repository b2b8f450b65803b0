//! Layers: from each source the values of keys that exist, told apart by the shape of the defaults.

use std::collections::BTreeMap;
use std::path::Path;

use brick_core::env;
use serde_json::{Map, Value};

use crate::{Error, Origin, Sources};

/// Keys and values as the database's table has them.
pub(crate) type Rows = Vec<(String, String)>;

/// Keys with their values from one source.
pub(crate) type Layer = Vec<(String, Given)>;

/// A value as a source has it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Given {
    pub(crate) value: Value,
    pub(crate) origin: Origin,
    /// Whether the source only has text, which then stands for what the key wants.
    pub(crate) is_text: bool,
}

/// The keys that a configuration has: the defaults as nested objects, anything else being a leaf.
#[derive(Debug)]
pub(crate) struct Shape {
    pub(crate) defaults: Value,
    /// The default of each leaf, by its dotted key.
    pub(crate) leaves: BTreeMap<String, Value>,
}

impl Shape {
    pub(crate) fn of(defaults: Value) -> Self {
        let mut leaves = BTreeMap::new();
        collect(&defaults, "", &mut leaves);
        Self { defaults, leaves }
    }

    /// Reads a nested object along the shape: the values of known keys, and the keys that are unknown.
    pub(crate) fn read(&self, object: &Map<String, Value>, origin: &Origin) -> (Layer, Vec<Error>) {
        let (mut layer, mut unknown) = (Vec::new(), Vec::new());
        self.walk(object, &self.defaults, "", origin, &mut layer, &mut unknown);
        (layer, unknown)
    }

    fn walk(
        &self,
        object: &Map<String, Value>,
        shape: &Value,
        prefix: &str,
        origin: &Origin,
        layer: &mut Layer,
        unknown: &mut Vec<Error>,
    ) {
        for (name, value) in object {
            let key = joined(prefix, name);
            match (shape.get(name), value) {
                (None, _) => unknown.push(Error::Unknown {
                    nearest: self.nearest(&key),
                    key,
                    origin: origin.clone(),
                }),
                (Some(inner), Value::Object(table)) if is_table(inner) => {
                    self.walk(table, inner, &key, origin, layer, unknown);
                }
                (Some(_), value) => layer.push((
                    key,
                    Given {
                        value: value.clone(),
                        origin: origin.clone(),
                        is_text: false,
                    },
                )),
            }
        }
    }

    /// The manifest's values (`injected` true) or the operator's own, of the environment.
    pub(crate) fn environment(&self, sources: &Sources, injected: bool) -> Layer {
        let mut layer = Vec::new();
        for key in self.leaves.keys() {
            let name = env::config_name(key);
            let found = sources
                .env
                .iter()
                .find(|(n, _)| *n == name && sources.injected.contains(n) == injected);
            if let Some((_, text)) = found
                && !env::is_reserved(&name)
            {
                let origin = if injected {
                    Origin::Manifest
                } else {
                    Origin::Env { name }
                };
                layer.push((key.clone(), text_of(text, origin)));
            }
        }
        layer
    }

    /// Rows of the database's table, and the keys among them that are unknown, with the nearest that is known.
    pub(crate) fn table(&self, rows: &Rows) -> (Layer, BTreeMap<String, String>) {
        let (mut layer, mut unknown) = (Layer::new(), BTreeMap::new());
        for (key, text) in rows {
            match self.leaves.contains_key(key) {
                true => layer.push((key.clone(), text_of(text, Origin::Database))),
                false => drop(unknown.insert(key.clone(), self.nearest(key).unwrap_or_default())),
            }
        }
        (layer, unknown)
    }

    /// `--key=value`, hyphens standing for underscores.
    pub(crate) fn arguments(&self, args: &[String]) -> Layer {
        args.iter()
            .filter_map(|arg| arg.strip_prefix("--")?.split_once('='))
            .map(|(key, text)| (key.replace('-', "_"), text_of(text, Origin::Arg)))
            .filter(|(key, _)| self.leaves.contains_key(key))
            .collect()
    }

    fn nearest(&self, key: &str) -> Option<String> {
        self.leaves
            .keys()
            .map(|known| (strsim::jaro_winkler(known, key), known))
            .filter(|(likeness, _)| *likeness > 0.75)
            .max_by(|a, b| a.0.total_cmp(&b.0))
            .map(|(_, known)| known.clone())
    }
}

/// Reads a file as a nested object.
pub(crate) fn file(path: &Path) -> Result<Map<String, Value>, Error> {
    let wrong = |reason: String| Error::File {
        path: path.display().to_string(),
        reason,
    };
    let text = std::fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
    if path.extension().is_some_and(|extension| extension == "json") {
        serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))
    } else {
        toml::from_str(&text).map_err(|error: toml::de::Error| wrong(error.to_string().trim().to_owned()))
    }
}

/// Sets a dotted key, making objects on the way.
pub(crate) fn set(target: &mut Value, key: &str, value: Value) {
    match key.split_once('.') {
        Some((head, rest)) if target.get(head).is_some_and(Value::is_object) => {
            set(&mut target[head], rest, value);
        }
        _ => {
            if let Some(object) = target.as_object_mut() {
                object.insert(key.to_owned(), value);
            }
        }
    }
}

/// The values that a text may stand for, likeliest first, given the key's default.
pub(crate) fn readings(text: &str, default: &Value) -> Vec<Value> {
    let plain = Value::String(text.to_owned());
    let parsed = serde_json::from_str::<Value>(text).ok();
    match (default, parsed) {
        (Value::String(_), _) | (_, None) => vec![plain],
        (_, Some(parsed)) => vec![parsed, plain],
    }
}

fn text_of(text: &str, origin: Origin) -> Given {
    Given {
        value: Value::String(text.to_owned()),
        origin,
        is_text: true,
    }
}

fn collect(value: &Value, prefix: &str, leaves: &mut BTreeMap<String, Value>) {
    match value {
        Value::Object(table) if is_table(value) || prefix.is_empty() => {
            for (name, inner) in table {
                collect(inner, &joined(prefix, name), leaves);
            }
        }
        leaf => {
            leaves.insert(prefix.to_owned(), leaf.clone());
        }
    }
}

/// An empty object is a leaf: a map whose keys the defaults do not name.
fn is_table(value: &Value) -> bool {
    value.as_object().is_some_and(|table| !table.is_empty())
}

fn joined(prefix: &str, name: &str) -> String {
    if prefix.is_empty() {
        name.to_owned()
    } else {
        format!("{prefix}.{name}")
    }
}
