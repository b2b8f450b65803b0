//! *Feature Flags*, control's part: what is said of each flag, and by whom.
//!
//! Layers, lowest first: manifest, configuration repository, live override. A layer says the whole of a flag; the
//! highest counts. What a brick sees is published as `flags/<brick>`; it is evaluated by the brick itself. What is
//! stored was checked before: overrides (`flags/KEY`), and what the repository says (`flags-repository/KEY`).

use std::collections::{BTreeMap, BTreeSet};

use brick_bus::config;
use brick_flags::{Bundle, Definition, State as Evaluated};
use brick_model::Model;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::state::State;
use crate::{Error, derive};

/// Settings with overrides, and resources with what a brick sees.
pub(crate) const FLAGS: &str = "flags/";
/// Settings with what the configuration repository says.
pub(crate) const REPOSITORY: &str = "flags-repository/";

/// What one layer says of a flag.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Said {
    pub(crate) definition: Definition,
    /// `manifest`, `repository FILE@REVISION`, `live`.
    pub(crate) origin: String,
}

/// A flag with all that is said of it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Known {
    pub(crate) counts: Said,
    /// What counts without the override; none where there is no override, or nothing below it.
    pub(crate) below: Option<Said>,
    /// Bricks that see it; none is all.
    pub(crate) bricks: Option<Vec<String>>,
}

impl Known {
    /// Whether a brick sees it.
    pub(crate) fn is_for(&self, brick: &str) -> bool {
        self.bricks
            .as_ref()
            .is_none_or(|bricks| bricks.iter().any(|one| one == brick))
    }
}

/// Every flag of which something is said.
pub(crate) fn all(state: &State) -> BTreeMap<String, Known> {
    let mut keys: BTreeSet<&str> = state
        .manifest
        .iter()
        .flat_map(|model| model.flags.keys())
        .map(String::as_str)
        .collect();
    for layer in [REPOSITORY, FLAGS] {
        keys.extend(state.settings_below(layer).map(|(key, _)| key));
    }
    let each = keys.into_iter();
    each.filter_map(|key| Some((key.to_owned(), of(state, key)?)))
        .collect()
}

/// One flag. An override of a flag that nothing below it knows any more is seen by nobody.
pub(crate) fn of(state: &State, key: &str) -> Option<Known> {
    let own = state.manifest.as_ref().and_then(|model| model.flags.get(key));
    let manifest = own.map(|flag| Said {
        definition: flag.definition(),
        origin: config::MANIFEST.to_owned(),
    });
    let held = state.settings.get(&format!("{REPOSITORY}{key}"));
    let below = held.and_then(|held| Said::deserialize(&**held).ok()).or(manifest);
    let live = overridden(state, key).map(|definition| Said {
        definition,
        origin: config::LIVE.to_owned(),
    });
    let bricks = match (own, &below) {
        (Some(flag), _) => Some(flag.bricks.iter().map(ToString::to_string).collect()),
        (None, Some(_)) => None,
        (None, None) => Some(Vec::new()),
    };
    match (live, below) {
        (Some(counts), below) => Some(Known {
            counts,
            below,
            bricks,
        }),
        (None, Some(counts)) => Some(Known {
            counts,
            below: None,
            bricks,
        }),
        (None, None) => None,
    }
}

/// What an operator said of it.
pub(crate) fn overridden(state: &State, key: &str) -> Option<Definition> {
    let held = state.settings.get(&format!("{FLAGS}{key}"))?;
    Definition::deserialize(&**held).ok()
}

/// What the configuration repository says.
pub(crate) fn of_repository(state: &State) -> BTreeMap<String, Said> {
    let held = state.settings_below(REPOSITORY);
    held.filter_map(|(key, held)| Some((key.to_owned(), Said::deserialize(&**held).ok()?)))
        .collect()
}

/// What each brick sees.
pub(crate) fn resources(state: &State, model: &Model) -> Result<BTreeMap<String, Value>, Error> {
    let all = all(state);
    let mut definitions = BTreeMap::new();
    for (key, known) in &all {
        definitions.insert(key, derive::value(&known.counts.definition)?);
    }
    let mut resources = BTreeMap::new();
    for (brick, _) in model.running() {
        let seen = all.iter().filter(|(_, known)| known.is_for(brick.as_str()));
        let flags: BTreeMap<String, Value> = seen
            .filter_map(|(key, _)| Some((key.clone(), definitions.get(key)?.clone())))
            .collect();
        if !flags.is_empty() {
            resources.insert(format!("{FLAGS}{brick}"), derive::value(&Bundle { flags })?);
        }
    }
    Ok(resources)
}

/// Configuration values of a brick, `flag.NAME`, where somebody above the manifest says another default: for those who
/// read the value and evaluate nothing.
pub(crate) fn values(state: &State, brick: &str) -> Vec<(String, Value, String)> {
    let own = state.manifest.iter().flat_map(|model| &model.flags);
    let own = own.filter(|(_, flag)| flag.bricks.iter().any(|name| name.as_str() == brick));
    let changed = own.filter_map(|(key, flag)| {
        let counts = of(state, key)?.counts;
        let value = counts.definition.default_value()?;
        let fits = std::mem::discriminant(value) == std::mem::discriminant(&flag.default_value());
        let counted = counts.origin != config::MANIFEST && counts.definition.state == Evaluated::Enabled;
        (fits && counted && !value.is_object())
            .then(|| (format!("flag.{key}"), value.clone(), counts.origin.clone()))
    });
    changed.collect()
}

/// Whether a setting is part of what is said of flags.
pub(crate) fn is_layer(setting: &str) -> bool {
    setting.starts_with(FLAGS) || setting.starts_with(REPOSITORY)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;

    fn state() -> State {
        let model = json!({
            "brickwork": 1, "system": { "name": "shop" },
            "brick": { "order": { "run": "order" }, "payment": { "run": "payment" } },
            "flag": { "express": { "default": false, "bricks": ["order"] } },
        });
        State {
            manifest: Some(Arc::new(serde_json::from_value(model).unwrap())),
            ..State::default()
        }
    }

    fn set(state: &mut State, name: &str, value: Value) {
        state.settings.insert(name.to_owned(), Arc::new(value));
    }

    #[test]
    fn the_highest_layer_counts_and_a_brick_sees_what_is_for_it() {
        let mut state = state();
        let on = serde_json::to_value(Definition::boolean(true)).unwrap();
        let of_repository = json!({ "definition": on, "origin": "repository flags.json@a1b2c3d" });
        let find = |state: &State, key: &str| of(state, key).unwrap();
        assert_eq!(find(&state, "express").counts.origin, "manifest");
        assert!(values(&state, "order").is_empty());
        set(&mut state, "flags-repository/express", of_repository.clone());
        set(&mut state, "flags-repository/everywhere", of_repository);
        assert_eq!(
            values(&state, "order"),
            [(
                "flag.express".to_owned(),
                json!(true),
                "repository flags.json@a1b2c3d".to_owned()
            )]
        );
        let off = serde_json::to_value(Definition::boolean(false)).unwrap();
        set(&mut state, "flags/express", off.clone());
        set(&mut state, "flags/forgotten", off);
        let express = find(&state, "express");
        assert_eq!(
            (
                express.counts.origin.as_str(),
                express.below.unwrap().definition.default_variant.as_str()
            ),
            ("live", "on")
        );
        assert!(!find(&state, "forgotten").is_for("order"));
        let resources = resources(&state, state.manifest.as_ref().unwrap()).unwrap();
        let seen = |brick: &str| {
            let flags = resources[&format!("flags/{brick}")]["flags"].as_object().unwrap();
            flags.keys().cloned().collect::<Vec<_>>()
        };
        assert_eq!(seen("order"), ["everywhere", "express"]);
        assert_eq!(seen("payment"), ["everywhere"]);
        assert_eq!(all(&state).len(), 3);
    }
}
