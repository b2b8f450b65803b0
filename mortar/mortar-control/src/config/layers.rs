//! The layers of one brick, merged.

use std::collections::{BTreeMap, BTreeSet};

use brick_bus::{ConfigMeta, config};
use brick_model::query::flatten;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::cipher::{self, CipherError};
use super::repository::{
    self,
    layer::{Layer, SHARED},
};
use super::{LIVE, resource_name, shown};
use crate::flags;
use crate::state::State;

/// Values by dotted key.
pub(crate) type Flat = BTreeMap<String, Value>;

/// Keys of one brick's layer at most, and bytes of it.
const KEYS_MAX: usize = 1_000;
const BYTES_MAX: usize = 256 << 10;

/// What operators changed of a brick.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(crate) struct Live {
    /// The values.
    #[serde(default)]
    pub(crate) values: Flat,
    /// The change that made the configuration what it is; none since the manifest changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) change: Option<String>,
}

/// A brick's configuration with where it comes from.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Effective {
    /// The values by dotted key.
    pub(crate) flat: Flat,
    /// The layer of each.
    pub(crate) origins: BTreeMap<String, String>,
    /// Keys that are shown to nobody.
    pub(crate) secrets: BTreeSet<String>,
}

/// Why values cannot be a configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Wrong {
    #[error(
        "{0}: expected a key of letters, digits, \"_\" and \"-\", nested by dots, such as limits.max_lines"
    )]
    Key(String),
    #[error("{0} is a feature flag: `brick flag set` changes it, for all bricks that see it")]
    Flag(String),
    #[error("{0} is a value and {1} stands below it: one of them has to go")]
    Nested(String, String),
    #[error("expected at most {KEYS_MAX} keys and {BYTES_MAX} bytes in all that is changed of a brick")]
    TooMuch,
}

/// What operators changed of a brick.
pub(crate) fn live(state: &State, brick: &str) -> Live {
    let held = state.settings.get(&format!("{LIVE}{brick}"));
    held.and_then(|held| Live::deserialize(&**held).ok())
        .unwrap_or_default()
}

/// What counts now.
pub(crate) fn effective(state: &State, brick: &str) -> Effective {
    with(state, brick, &live(state, brick).values)
}

/// What would count with these live values.
pub(crate) fn with(state: &State, brick: &str, live: &Flat) -> Effective {
    with_repository(state, brick, &repository::of(state, brick), live)
}

/// The same with what the repository says, too.
pub(crate) fn with_repository(state: &State, brick: &str, repository: &Layer, live: &Flat) -> Effective {
    let mut all = Effective::default();
    if let Some(model) = &state.manifest {
        all.put(flat(&model.config_of(brick)), config::MANIFEST);
        all.secrets.extend(model.secrets_of(brick));
    }
    let said = repository.values.iter();
    for (key, value) in said {
        let origin = repository
            .origins
            .get(key)
            .map_or(config::REPOSITORY, String::as_str);
        all.put(Flat::from([(key.clone(), value.clone())]), origin);
    }
    for (key, value, origin) in flags::values(state, brick) {
        all.put(Flat::from([(key, value)]), &origin);
    }
    all.put(live.clone(), config::LIVE);
    let hidden = |(key, value): (&String, &Value)| (shown(key, value, false) != *value).then(|| key.clone());
    let named: Vec<String> = all.flat.iter().filter_map(hidden).collect();
    all.secrets.extend(named);
    all
}

impl Effective {
    /// A layer above those that are there: a value takes the place of what is above or below it.
    pub(crate) fn put(&mut self, layer: Flat, origin: &str) {
        for (key, value) in layer {
            let covered: Vec<String> = self
                .flat
                .keys()
                .filter(|held| collide(held, &key))
                .cloned()
                .collect();
            for held in covered {
                self.flat.remove(&held);
                self.origins.remove(&held);
            }
            self.origins.insert(key.clone(), origin.to_owned());
            self.flat.insert(key, value);
        }
    }

    /// Why the first of these keys that cannot be opened cannot.
    pub(crate) fn sealed<'k>(
        &self,
        state: &State,
        brick: &str,
        keys: impl IntoIterator<Item = &'k String>,
    ) -> Option<Sealed> {
        keys.into_iter().find_map(|key| {
            let why = opened(state, brick, key, self.flat.get(key)?).err()?;
            Some(Sealed {
                key: key.clone(),
                why,
            })
        })
    }

    /// The values with those that are encrypted opened, and what was published before in the place of what cannot be:
    /// the old values stay.
    pub(crate) fn opened_or_held(&self, state: &State, brick: &str) -> Flat {
        let held = state.resources.get(&resource_name(brick));
        let each = self.flat.iter().filter_map(|(key, value)| {
            let old = || {
                key.split('.')
                    .try_fold(&held?.value, |value, part| value.get(part))
                    .cloned()
            };
            Some((key.clone(), opened(state, brick, key, value).ok().or_else(old)?))
        });
        each.collect()
    }

    /// The values nested as anybody may see them.
    pub(crate) fn masked(&self) -> Map<String, Value> {
        nested(&masked(&self.flat, &self.secrets))
    }

    /// What stands beside the values.
    pub(crate) fn meta(&self, change: Option<String>) -> ConfigMeta {
        ConfigMeta {
            change,
            origins: self.origins.clone(),
            secrets: self.secrets.clone(),
        }
    }
}

/// A value that cannot be opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {why}")]
pub(crate) struct Sealed {
    pub(crate) key: String,
    pub(crate) why: CipherError,
}

/// A value opened where it is encrypted.
pub(crate) fn opened(state: &State, brick: &str, key: &str, value: &Value) -> Result<Value, CipherError> {
    match value.as_str().filter(|text| text.starts_with(cipher::PREFIX)) {
        Some(text) => {
            let cipher = state.cipher.as_ref().ok_or(CipherError::NoKey)?;
            // What stands in a file for all applications is bound to that name.
            cipher
                .open(brick, key, text)
                .or_else(|why| cipher.open(SHARED, key, text).map_err(|_| why))
        }
        None => Ok(value.clone()),
    }
}

/// Values as anybody may see them.
pub(crate) fn masked(flat: &Flat, secrets: &BTreeSet<String>) -> Flat {
    let each = flat.iter();
    each.map(|(key, value)| (key.clone(), shown(key, value, secrets.contains(key))))
        .collect()
}

/// Nested values by dotted key.
pub(crate) fn flat(values: &Map<String, Value>) -> Flat {
    flatten(values).into_iter().collect()
}

/// Dotted keys as nested values.
pub(crate) fn nested(flat: &Flat) -> Map<String, Value> {
    let mut whole = Map::new();
    for (key, value) in flat {
        let mut table = &mut whole;
        let mut parts = key.split('.').peekable();
        while let Some(part) = parts.next() {
            if parts.peek().is_none() {
                table.insert(part.to_owned(), value.clone());
                break;
            }
            let inner = table.entry(part).or_insert_with(|| Value::Object(Map::new()));
            if !inner.is_object() {
                *inner = Value::Object(Map::new());
            }
            let Value::Object(inner) = inner else { break };
            table = inner;
        }
    }
    whole
}

/// Whether values can be a layer.
pub(crate) fn check(flat: &Flat) -> Result<(), Wrong> {
    let bytes: usize = flat
        .iter()
        .map(|(key, value)| key.len() + value.to_string().len())
        .sum();
    if flat.len() > KEYS_MAX || bytes > BYTES_MAX {
        return Err(Wrong::TooMuch);
    }
    for key in flat.keys() {
        if !is_key(key) {
            return Err(Wrong::Key(key.chars().take(80).collect()));
        }
        if let Some(above) = flat.keys().find(|above| is_below(key, above)) {
            return Err(Wrong::Nested(above.clone(), key.clone()));
        }
    }
    Ok(())
}

/// Whether a key is a flag's, which has a way of its own to be changed.
pub(crate) fn is_flag(key: &str) -> bool {
    key == "flag" || key.starts_with("flag.")
}

pub(crate) fn is_key(key: &str) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
    let part = |part: &str| {
        let first = part.bytes().next();
        first.is_some_and(|b| b.is_ascii_alphabetic() || b == b'_') && part.bytes().all(word)
    };
    key.len() <= 200 && key.split('.').all(part)
}

fn is_below(key: &str, above: &str) -> bool {
    key.len() > above.len() && key.starts_with(above) && key.as_bytes()[above.len()] == b'.'
}

fn collide(held: &str, key: &str) -> bool {
    is_below(held, key) || is_below(key, held)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn of(value: Value) -> Flat {
        flat(value.as_object().unwrap())
    }

    #[test]
    fn a_higher_layer_takes_the_place_of_what_is_above_and_below_it() {
        let mut all = Effective::default();
        all.put(
            of(json!({ "limits": { "max": 1, "min": 0 }, "rate": 2 })),
            "manifest",
        );
        all.put(of(json!({ "limits": { "max": 3 } })), "live");
        assert_eq!(
            Value::Object(nested(&all.flat)),
            json!({ "limits": { "max": 3, "min": 0 }, "rate": 2 })
        );
        assert_eq!(
            (
                all.origins["limits.max"].as_str(),
                all.origins["limits.min"].as_str()
            ),
            ("live", "manifest")
        );
        all.put(of(json!({ "limits": 7, "rate": { "a": 1 } })), "live");
        assert_eq!(
            Value::Object(nested(&all.flat)),
            json!({ "limits": 7, "rate": { "a": 1 } })
        );
        assert_eq!(all.origins.len(), 2);
    }

    #[test]
    fn keys_that_are_none_are_refused_by_name() {
        assert_eq!(check(&of(json!({ "a": { "b-c": 1 }, "_d": 2 }))), Ok(()));
        for key in ["$meta", "", "a..b", "1a", "a b"] {
            let flat = Flat::from([(key.to_owned(), Value::Null)]);
            assert_eq!(check(&flat), Err(Wrong::Key(key.to_owned())), "{key}");
        }
        let flat = Flat::from([("a".to_owned(), json!(1)), ("a.b".to_owned(), json!(2))]);
        assert!(matches!(check(&flat), Err(Wrong::Nested(..))));
    }

    proptest! {
        #[test]
        fn nested_and_flat_are_one(flat in proptest::collection::btree_map("[a-c]{1,2}(\\.[d-f]{1,2}){0,2}", 0..9_u32, 0..8)) {
            let flat: Flat = flat.into_iter().map(|(key, value)| (key, Value::from(value))).collect();
            prop_assume!(check(&flat).is_ok());
            prop_assert_eq!(super::flat(&nested(&flat)), flat);
        }
    }
}
