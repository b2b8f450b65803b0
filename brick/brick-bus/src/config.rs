//! Values of `config/<brick>`, `prepare/<brick>` and `log/<brick>`: configuration that changes while bricks run.
//!
//! `config/<brick>` is the brick's values as they are nested, with one member more, [`META`]: where each value comes
//! from, which are secret, and the change that made them. A change is in two phases: `prepare/<brick>` asks every
//! instance that is connected whether it could take the values; only when all can are they put into `config/<brick>`.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The member of `config/<brick>` that is none of the brick's keys.
pub const META: &str = "$meta";

/// Origin of a value that `brick.toml` says.
pub const MANIFEST: &str = "manifest";

/// Origin of a value that an operator set while the system ran.
pub const LIVE: &str = "live";

/// How the origin of a value of the configuration repository begins; file and revision follow.
pub const REPOSITORY: &str = "repository";

/// What `config/<brick>` says beside the values.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ConfigMeta {
    /// The change that made the values: none where it was not in two phases.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change: Option<String>,
    /// Where each value comes from, by dotted key: `manifest`, `repository FILE@REVISION`, `live`.
    #[serde(default)]
    pub origins: BTreeMap<String, String>,
    /// Keys whose values are shown to nobody but the brick.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub secrets: BTreeSet<String>,
}

/// Value of `prepare/<brick>`: what is to become the configuration if every instance can take it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Prepare {
    /// Id of the change.
    pub change: String,
    /// The values, nested.
    pub values: Map<String, Value>,
    /// Where each comes from, by dotted key.
    #[serde(default)]
    pub origins: BTreeMap<String, String>,
    /// Keys whose values are shown to nobody but the brick.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub secrets: BTreeSet<String>,
    /// Whoever has not acknowledged by then has refused.
    pub decide_by: Timestamp,
}

/// Value of `log/<brick>`: levels of log lines that differ from what the brick was started with.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct LogLevels {
    /// Of all its instances.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub brick: Option<LogLevel>,
    /// Of single instances, by slot (`order/2`); counts before that of the brick.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub instances: BTreeMap<String, LogLevel>,
}

/// A level, and until when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLevel {
    /// A filter such as `debug` or `info,order=debug`.
    pub level: String,
    /// When it is over; none means until it is taken back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

impl ConfigMeta {
    /// What stands beside the values of a resource; nothing where the resource has plain values alone.
    pub fn of(value: &Value) -> Option<Self> {
        let meta = value.get(META)?;
        Self::deserialize(meta).ok()
    }

    /// Values with this beside them, as `config/<brick>` has them.
    pub fn beside(&self, mut values: Map<String, Value>) -> Value {
        if let Ok(meta) = serde_json::to_value(self) {
            values.insert(META.to_owned(), meta);
        }
        Value::Object(values)
    }

    /// Where a key comes from. A key that is a table comes from the highest of what is below it.
    pub fn origin(&self, key: &str) -> Option<&str> {
        if let Some(origin) = self.origins.get(key) {
            return Some(origin);
        }
        let below = format!("{key}.");
        let inner = self.origins.range(below.clone()..);
        let inner = inner.take_while(|(name, _)| name.starts_with(&below));
        inner
            .map(|(_, origin)| origin.as_str())
            .max_by_key(|origin| rank(origin))
    }

    /// Whether a key's value is secret.
    pub fn is_secret(&self, key: &str) -> bool {
        let below = format!("{key}.");
        let held =
            |name: &String| name == key || name.starts_with(&below) || key.starts_with(&format!("{name}."));
        self.secrets.iter().any(held)
    }
}

impl Prepare {
    /// What would stand beside the values.
    pub fn meta(&self) -> ConfigMeta {
        ConfigMeta {
            change: Some(self.change.clone()),
            origins: self.origins.clone(),
            secrets: self.secrets.clone(),
        }
    }
}

impl LogLevels {
    /// What counts for an instance at a time.
    pub fn of(&self, slot: &str, now: Timestamp) -> Option<&LogLevel> {
        let counts = |level: &&LogLevel| level.until.is_none_or(|until| now < until);
        let own = self.instances.get(slot).filter(counts);
        own.or_else(|| self.brick.as_ref().filter(counts))
    }
}

/// Precedence of an origin among those that control merges.
fn rank(origin: &str) -> u8 {
    match origin {
        LIVE => 2,
        MANIFEST => 0,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_stands_beside_the_values_comes_back() {
        let meta = ConfigMeta {
            change: Some("a1b2c3d".to_owned()),
            origins: [
                ("max_lines".to_owned(), LIVE.to_owned()),
                ("tags.a".to_owned(), MANIFEST.to_owned()),
            ]
            .into(),
            secrets: ["db.password".to_owned()].into(),
        };
        let values = json!({ "max_lines": 20 }).as_object().cloned().unwrap();
        let value = meta.beside(values);
        assert_eq!(ConfigMeta::of(&value), Some(meta.clone()));
        assert_eq!(ConfigMeta::of(&json!({ "max_lines": 20 })), None);
        assert_eq!(
            (meta.origin("max_lines"), meta.origin("tags"), meta.origin("x")),
            (Some(LIVE), Some(MANIFEST), None)
        );
        assert!(meta.is_secret("db") && meta.is_secret("db.password") && !meta.is_secret("dbx"));
    }

    #[test]
    fn a_level_of_the_instance_counts_before_that_of_the_brick_until_it_is_over() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let level = |level: &str, until: Option<&str>| LogLevel {
            level: level.to_owned(),
            until: until.map(at),
        };
        let levels = LogLevels {
            brick: Some(level("warn", None)),
            instances: [("order/2".to_owned(), level("debug", Some("2026-01-01T00:00:10Z")))].into(),
        };
        let of = |slot: &str, now: &str| levels.of(slot, at(now)).map(|level| level.level.as_str());
        assert_eq!(of("order/1", "2026-01-01T00:00:00Z"), Some("warn"));
        assert_eq!(of("order/2", "2026-01-01T00:00:00Z"), Some("debug"));
        assert_eq!(of("order/2", "2026-01-01T00:00:10Z"), Some("warn"));
    }
}
