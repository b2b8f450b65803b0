//! `brick.NAME.version`: the label of the base, and versions of the same contract that run beside it.

use std::borrow::Cow;
use std::collections::BTreeMap;

use brick_core::{BrickRef, Version};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use super::{Brick, Replicas};

/// Key of the base's label where `version` is a table.
pub const BASE: &str = "base";

/// The versions of a brick. In the manifest it is the label of the base as a string; where there are concurrent
/// versions it is a table of these by label, with the base's label under [`BASE`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Versions {
    /// Label of the base: what the brick's own `run` starts.
    pub base: Version,
    /// The concurrent versions by label.
    pub concurrent: BTreeMap<Version, Concurrent>,
}

/// `[brick.NAME.version.LABEL]`: a version that runs beside the base, in the same pool.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Concurrent {
    /// Command that starts it, as the brick's own `run`.
    pub run: String,
    /// Command that builds it; the brick's own build runs in any case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build: Option<String>,
    /// Environment variables, laid over the brick's own.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// How many instances run beside those of the base; none unless said.
    #[serde(default)]
    #[schemars(range(max = 100))]
    pub replicas: u32,
}

impl Brick {
    /// The base (`None`), or what a concurrent version of that label is: the brick with that version's own settings
    /// over it. A label that the manifest does not know gives none; the base's own label is the base.
    pub fn of_version(&self, label: Option<&Version>) -> Option<Cow<'_, Brick>> {
        let Some(label) = label.filter(|label| **label != self.version.base) else {
            return Some(Cow::Borrowed(self));
        };
        let own = self.version.concurrent.get(label)?;
        let mut brick = self.clone();
        brick.run = Some(own.run.clone());
        brick.build = own.build.clone();
        brick.env.extend(own.env.clone());
        brick.replicas = Replicas::Fixed(own.replicas);
        brick.version = Versions {
            base: label.clone(),
            concurrent: BTreeMap::new(),
        };
        Some(Cow::Owned(brick))
    }

    /// The base and then every concurrent version of the brick of that name, by label.
    pub fn refs(&self, name: &brick_core::BrickName) -> Vec<BrickRef> {
        let concurrent = self.version.concurrent.keys().map(|label| BrickRef {
            brick: name.clone(),
            version: Some(label.clone()),
        });
        std::iter::once(BrickRef::from(name.clone()))
            .chain(concurrent)
            .collect()
    }
}

impl From<Version> for Versions {
    fn from(base: Version) -> Self {
        Self {
            base,
            concurrent: BTreeMap::new(),
        }
    }
}

impl Serialize for Versions {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.concurrent.is_empty() {
            return self.base.serialize(serializer);
        }
        let mut table = Map::new();
        table.insert(BASE.to_owned(), Value::from(self.base.as_str()));
        for (label, own) in &self.concurrent {
            let own = serde_json::to_value(own).map_err(serde::ser::Error::custom)?;
            table.insert(label.to_string(), own);
        }
        table.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Versions {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut table = match Value::deserialize(deserializer)? {
            Value::Object(table) => table,
            label => {
                let base: Version = serde_json::from_value(label).map_err(D::Error::custom)?;
                return Ok(base.into());
            }
        };
        let mut versions = Self::default();
        if let Some(label) = table.remove(BASE) {
            versions.base = serde_json::from_value(label).map_err(D::Error::custom)?;
        }
        for (label, own) in table {
            let label = Version::new(&label).map_err(D::Error::custom)?;
            let own = serde_json::from_value(own).map_err(D::Error::custom)?;
            versions.concurrent.insert(label, own);
        }
        Ok(versions)
    }
}

impl JsonSchema for Versions {
    fn schema_name() -> Cow<'static, str> {
        "Versions".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let label = generator.subschema_for::<Version>();
        let concurrent = generator.subschema_for::<Concurrent>();
        json_schema!({
            "description": "The version label, or concurrent versions by label with the base's label under `base`.",
            "anyOf": [
                label.clone(),
                { "type": "object", "properties": { BASE: label }, "additionalProperties": concurrent }
            ]
        })
    }
}
