//! A flag as it is written down, in flagd's words.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// Whether a flag is evaluated.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum State {
    /// It is.
    #[default]
    Enabled,
    /// It is not: whoever asks gets the default of their own code.
    Disabled,
}

/// One flag. Not checked: [`Flag::compile`](crate::Flag::compile) does.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Definition {
    /// Whether it is evaluated.
    #[serde(default)]
    pub state: State,
    /// The values that it can have, by name; all of one type.
    pub variants: Map<String, Value>,
    /// The variant that counts unless targeting names another.
    pub default_variant: String,
    /// Who gets which variant: JsonLogic, as far as flagd defines it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub targeting: Option<Value>,
    /// What else is said of it; told with each evaluation.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub metadata: Map<String, Value>,
}

/// The flags that one brick sees: value of `flags/<brick>` on the bus.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bundle {
    /// By key. A definition that a reader does not understand is passed over by it.
    #[serde(default)]
    pub flags: BTreeMap<String, Value>,
}

impl Definition {
    /// A flag that is `on` or `off`, without targeting.
    pub fn boolean(on: bool) -> Self {
        let variants = json!({ "on": true, "off": false });
        Self {
            variants: variants.as_object().cloned().unwrap_or_default(),
            default_variant: if on { "on" } else { "off" }.to_owned(),
            ..Self::default()
        }
    }

    /// Targeting that gives each variant so many parts of all targeting keys.
    pub fn split<'s>(shares: impl IntoIterator<Item = (&'s String, &'s u32)>) -> Value {
        let arms = shares.into_iter().map(|(variant, parts)| json!([variant, parts]));
        json!({ "fractional": arms.collect::<Vec<_>>() })
    }

    /// What each variant gets in percent, where targeting is nothing but a split by targeting key.
    pub fn shares(&self) -> Option<BTreeMap<String, f64>> {
        let targeting = self.targeting.as_ref()?.as_object()?;
        let arms = targeting.get("fractional")?.as_array()?;
        if targeting.len() != 1 {
            return None;
        }
        let parts = arms.iter().map(|arm| match arm.as_array()?.as_slice() {
            [variant] => Some((variant.as_str()?, 1)),
            [variant, parts] => Some((variant.as_str()?, parts.as_u64()?)),
            _ => None,
        });
        let parts = parts.collect::<Option<Vec<_>>>()?;
        let all: u64 = parts.iter().map(|(_, parts)| parts).sum();
        let mut shares = BTreeMap::new();
        for (variant, parts) in parts {
            *shares.entry(variant.to_owned()).or_default() += 100.0 * parts as f64 / all.max(1) as f64;
        }
        Some(shares)
    }

    /// Whether targeting says anything.
    pub fn is_targeted(&self) -> bool {
        let empty = |targeting: &Value| targeting.is_null() || targeting == &json!({});
        self.targeting.as_ref().is_some_and(|targeting| !empty(targeting))
    }

    /// The value of the default variant.
    pub fn default_value(&self) -> Option<&Value> {
        self.variants.get(&self.default_variant)
    }
}
