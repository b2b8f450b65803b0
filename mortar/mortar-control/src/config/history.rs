//! What was changed: by whom, when, and how it ended.

use std::collections::BTreeSet;

use brick_bus::ConfigMeta;
use brick_core::Incarnation;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::layers::{self, Effective, Flat};
use super::{HISTORY, shown};
use crate::state::{Published, State};

/// Changes that are remembered of each brick.
pub(crate) const CHANGES_MAX: usize = 50;

/// One change of a brick's configuration, as it is stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Entry {
    /// What anybody may see of it.
    #[serde(flatten)]
    pub(crate) told: Told,
    /// The values that counted afterwards; none where it was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) values: Option<Flat>,
}

/// One change as it is shown: values of secrets are hidden.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Told {
    /// Its id.
    pub(crate) change: String,
    /// Revision of the configuration since; none where it was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) revision: Option<u64>,
    /// When it was decided, RFC 3339.
    pub(crate) at: String,
    /// Who wanted it.
    pub(crate) by: String,
    /// What it was: `set`, `rollback`, `manifest`, `repository`.
    pub(crate) kind: String,
    /// Why, as whoever wanted it said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) why: Option<String>,
    /// `applied`, `refused` or `aborted`.
    pub(crate) outcome: String,
    /// Who refused, with the reason.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) refused: Vec<Refused>,
    /// What it changed.
    #[serde(default)]
    pub(crate) diff: Vec<Difference>,
}

/// Who refused a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Refused {
    /// The slot, `order/2`.
    pub(crate) instance: String,
    /// Why.
    pub(crate) reason: String,
}

/// One key that differs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Difference {
    /// The key, nested by dots.
    pub(crate) key: String,
    /// What it was; absent where it was not there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) before: Option<Value>,
    /// What it is; absent where it is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) after: Option<Value>,
}

/// What was changed of a brick, oldest first.
pub(crate) fn of(state: &State, brick: &str) -> Vec<Entry> {
    let held = state.settings.get(&format!("{HISTORY}{brick}"));
    held.and_then(|held| Vec::deserialize(&**held).ok())
        .unwrap_or_default()
}

/// A brick's history with one entry more, as it is stored; the oldest is forgotten.
pub(crate) fn with(state: &State, brick: &str, entry: Entry) -> (String, Option<Value>) {
    let mut all = of(state, brick);
    all.push(entry);
    let over = all.len().saturating_sub(CHANGES_MAX);
    all.drain(..over);
    (format!("{HISTORY}{brick}"), serde_json::to_value(all).ok())
}

/// The change with this id or revision.
pub(crate) fn find<'e>(all: &'e [Entry], wanted: &str) -> Option<&'e Entry> {
    let is = |entry: &&Entry| {
        entry.told.change == wanted
            || entry
                .told
                .revision
                .is_some_and(|revision| revision.to_string() == wanted)
    };
    all.iter().rev().find(is)
}

/// Gives the changes their revisions once they are published. What was published without one comes from the manifest,
/// and gets an entry of its own.
pub(crate) fn record(old: &State, new: &mut State, changes: &[Published]) {
    for change in changes {
        let Published::Put(resource) = change else {
            continue;
        };
        let Some(brick) = resource.name.strip_prefix("config/") else {
            continue;
        };
        let mut all = of(new, brick);
        let decided = ConfigMeta::of(&resource.value).and_then(|meta| meta.change);
        let named = all
            .last_mut()
            .filter(|entry| Some(&entry.told.change) == decided.as_ref());
        if let Some(entry) = named.filter(|entry| entry.told.revision.is_none()) {
            entry.told.revision = Some(resource.revision);
        } else {
            let (before, after) = (layers::effective(old, brick), layers::effective(new, brick));
            let diff = between(&before, &after);
            if diff.is_empty() {
                continue;
            }
            let told = Told {
                change: id(),
                revision: Some(resource.revision),
                at: Timestamp::now().to_string(),
                by: "brick.toml".to_owned(),
                kind: "manifest".to_owned(),
                outcome: "applied".to_owned(),
                diff,
                ..Told::default()
            };
            let values = Some(after.flat);
            all.push(Entry { told, values });
        }
        let over = all.len().saturating_sub(CHANGES_MAX);
        all.drain(..over);
        if let Ok(value) = serde_json::to_value(all) {
            new.settings.insert(format!("{HISTORY}{brick}"), value.into());
        }
    }
}

/// Seven hexadecimal digits, as of a revision of git: of the random end of an id.
pub(crate) fn id() -> String {
    let text = Incarnation::new().to_string();
    text.chars().skip(text.len().saturating_sub(7)).collect()
}

/// What differs, with secrets hidden.
pub(crate) fn difference(before: &Flat, after: &Flat, secrets: &BTreeSet<String>) -> Vec<Difference> {
    let keys: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let differs = keys.into_iter().filter(|key| before.get(*key) != after.get(*key));
    let hidden = |key: &String, value: &Value| shown(key, value, secrets.contains(key));
    differs
        .map(|key| Difference {
            key: key.clone(),
            before: before.get(key).map(|value| hidden(key, value)),
            after: after.get(key).map(|value| hidden(key, value)),
        })
        .collect()
}

/// What differs between two configurations.
pub(crate) fn between(before: &Effective, after: &Effective) -> Vec<Difference> {
    let secrets: BTreeSet<String> = before.secrets.union(&after.secrets).cloned().collect();
    difference(&before.flat, &after.flat, &secrets)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_newest_changes_are_kept_and_found_by_id_and_revision() {
        let mut state = State::default();
        for number in 0..CHANGES_MAX as u64 + 5 {
            let told = Told {
                change: format!("c{number}"),
                revision: Some(100 + number),
                ..Told::default()
            };
            let (name, value) = with(&state, "order", Entry { told, values: None });
            state.settings.insert(name, value.unwrap().into());
        }
        let all = of(&state, "order");
        assert_eq!((all.len(), all[0].told.change.as_str()), (CHANGES_MAX, "c5"));
        assert_eq!(find(&all, "c7"), find(&all, "107"));
        assert!(find(&all, "c1").is_none() && find(&all, "c7").is_some());
    }

    #[test]
    fn differences_hide_secrets() {
        let flat = |value: Value| super::super::layers::flat(value.as_object().unwrap());
        let before = flat(json!({ "a": 1, "db": { "password": "x" }, "pin": 7, "same": 1 }));
        let after = flat(json!({ "b": 2, "db": { "password": "hunter2" }, "pin": 8, "same": 1 }));
        let told = difference(&before, &after, &["pin".to_owned()].into());
        let told = serde_json::to_value(told).unwrap();
        assert_eq!(
            told,
            json!([
                { "key": "a", "before": 1 }, { "key": "b", "after": 2 },
                { "key": "db.password", "before": "•••", "after": "•••" },
                { "key": "pin", "before": "•••", "after": "•••" },
            ])
        );
    }
}
