//! `[flag.NAME]`: feature flags, in the manifest's words.

use brick_core::BrickName;
use brick_flags::{Definition, State};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// `[flag.NAME]`: a feature flag.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Flag {
    /// The variant that counts unless targeting names another, or somebody changes it at run time.
    pub default: FlagDefault,
    /// `DISABLED`: nobody evaluates it, the default in each brick's code counts.
    #[serde(default, skip_serializing_if = "is_enabled")]
    pub state: State,
    /// The values that it can have, by name; `on` and `off`, true and false, unless said.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub variants: Map<String, Value>,
    /// Who gets which variant: flagd's targeting, as a table or as a text of JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub targeting: Option<Value>,
    /// Bricks that see it, as configuration key `flag.NAME`.
    #[serde(default)]
    pub bricks: Vec<BrickName>,
}

/// The variant that counts unless said otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum FlagDefault {
    /// `true` is the variant `on`, `false` the variant `off`.
    Switch(bool),
    /// A variant by its name.
    Variant(String),
}

fn is_enabled(state: &State) -> bool {
    *state == State::Enabled
}

impl Flag {
    /// In flagd's words.
    pub fn definition(&self) -> Definition {
        let switch = Definition::boolean(self.default == FlagDefault::Switch(true));
        let targeting = self.targeting.as_ref().map(|targeting| match targeting {
            // What is no JSON stays a text, which targeting cannot be.
            Value::String(text) => serde_json::from_str(text).unwrap_or_else(|_| targeting.clone()),
            table => table.clone(),
        });
        Definition {
            state: self.state,
            variants: match self.variants.is_empty() {
                true => switch.variants,
                false => self.variants.clone(),
            },
            default_variant: match &self.default {
                FlagDefault::Switch(_) => switch.default_variant,
                FlagDefault::Variant(name) => name.clone(),
            },
            targeting,
            metadata: Map::new(),
        }
    }

    /// What bricks without the SDK get, which evaluate nothing: the value of the default variant.
    pub fn default_value(&self) -> Value {
        let definition = self.definition();
        definition.default_value().cloned().unwrap_or_default()
    }
}
