//! A flag that was checked, and what it gives.

use serde_json::{Map, Value};

use crate::evaluate::Scope;
use crate::rule::Rule;
use crate::{DEFINITION_BYTES_MAX, Definition, Error, State, VARIANTS_MAX, is_key, short};

/// A flag, ready to be evaluated.
#[derive(Debug, Clone, PartialEq)]
pub struct Flag {
    key: String,
    definition: Definition,
    rule: Option<Rule>,
}

/// What somebody gets.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Evaluation<'f> {
    /// The value.
    pub value: &'f Value,
    /// The variant that it is the value of.
    pub variant: &'f str,
    /// How it came about.
    pub reason: Reason,
}

/// How a variant came about, in OpenFeature's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// There is no targeting.
    Static,
    /// Targeting named it.
    TargetingMatch,
    /// Targeting named none.
    Default,
}

/// Why there is no variant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The flag is not evaluated.
    #[error("the flag is disabled")]
    Disabled,
    /// Targeting named something else than a variant.
    #[error("targeting gives {0}, which is none of the variants")]
    NoVariant(String),
}

impl Reason {
    /// As OpenFeature writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Static => "STATIC",
            Self::TargetingMatch => "TARGETING_MATCH",
            Self::Default => "DEFAULT",
        }
    }
}

impl Flag {
    /// Checks a definition.
    pub fn compile(key: &str, definition: &Definition) -> Result<Self, Error> {
        if !is_key(key) {
            let what = format!(
                "expected letters, digits, \"_\", \"-\" and \".\", a letter first, found \"{}\"",
                short(key)
            );
            return Err(Error::new("key", what));
        }
        let bytes = serde_json::to_string(definition).map_or(usize::MAX, |text| text.len());
        if bytes > DEFINITION_BYTES_MAX {
            let what = format!("expected at most {DEFINITION_BYTES_MAX} bytes, found {bytes}");
            return Err(Error::new("definition", what));
        }
        variants(&definition.variants)?;
        if !definition.variants.contains_key(&definition.default_variant) {
            let known: Vec<&str> = definition.variants.keys().map(String::as_str).collect();
            let what = format!(
                "expected one of the variants ({}), found \"{}\"",
                known.join(", "),
                short(&definition.default_variant)
            );
            return Err(Error::new("defaultVariant", what));
        }
        let rule = match &definition.targeting {
            Some(targeting) => Rule::read(targeting)?,
            None => None,
        };
        if let Some(rule) = &rule {
            rule.check("targeting", &|name| definition.variants.contains_key(name))?;
        }
        Ok(Self {
            key: key.to_owned(),
            definition: definition.clone(),
            rule,
        })
    }

    /// Its key.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// As it is written down.
    pub fn definition(&self) -> &Definition {
        &self.definition
    }

    /// What somebody with this context gets; `now` is in seconds since 1970.
    pub fn evaluate(&self, context: &Map<String, Value>, now: i64) -> Result<Evaluation<'_>, Failure> {
        let definition = &self.definition;
        if definition.state == State::Disabled {
            return Err(Failure::Disabled);
        }
        let Some(rule) = &self.rule else {
            return self.of(&definition.default_variant, Reason::Static);
        };
        let key = &self.key;
        let scope = Scope { key, context, now };
        let found = scope.value(rule);
        match name(&found) {
            Some(Some(name)) => self.of(&name, Reason::TargetingMatch),
            Some(None) => self.of(&definition.default_variant, Reason::Default),
            None => Err(Failure::NoVariant(short(&found.to_string()))),
        }
    }

    fn of(&self, name: &str, reason: Reason) -> Result<Evaluation<'_>, Failure> {
        let held = self.definition.variants.get_key_value(name);
        let (variant, value) = held.ok_or_else(|| Failure::NoVariant(format!("\"{}\"", short(name))))?;
        Ok(Evaluation {
            value,
            variant,
            reason,
        })
    }
}

/// The name of a variant that targeting gave: nothing for nothing, none for what cannot be one.
pub(crate) fn name(value: &Value) -> Option<Option<String>> {
    match value {
        Value::Null => Some(None),
        Value::String(text) => Some(Some(text.clone())),
        Value::Bool(_) | Value::Number(_) => Some(Some(value.to_string())),
        Value::Array(_) | Value::Object(_) => None,
    }
}

/// Some, named, and of one type.
fn variants(variants: &Map<String, Value>) -> Result<(), Error> {
    let kind = |value: &Value| match value {
        Value::Bool(_) => "a truth value",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Object(_) => "an object",
        Value::Array(_) => "a list",
        Value::Null => "nothing",
    };
    if variants.is_empty() || variants.len() > VARIANTS_MAX {
        let what = format!("expected 1 to {VARIANTS_MAX} variants, found {}", variants.len());
        return Err(Error::new("variants", what));
    }
    let first = variants.values().next().map_or("nothing", kind);
    for (name, value) in variants {
        let path = format!("variants.{}", short(name));
        if name.is_empty() || name.len() > crate::KEY_BYTES_MAX {
            return Err(Error::new(path, "expected a name of 1 to 100 bytes"));
        }
        if value.is_array() || value.is_null() {
            let what = format!(
                "expected a truth value, text, number or object, found {}",
                kind(value)
            );
            return Err(Error::new(path, what));
        }
        if kind(value) != first {
            let what = format!("expected {first} as the others have, found {}", kind(value));
            return Err(Error::new(path, what));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
