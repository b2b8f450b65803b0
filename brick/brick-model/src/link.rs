//! Links between callers and callees, written `caller -> callee`; the caller may be `edge`.

use std::fmt;
use std::str::FromStr;

use brick_core::BrickName;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Name of the edge gateway as a caller.
pub const EDGE: &str = "edge";

/// Which calls a table under `[limits]` is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LimitKey {
    /// Every call that no other key names.
    Default,
    /// Calls on one link.
    Link(Link),
}

/// A caller and its callee.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Link {
    /// Who calls: a brick, or [`EDGE`].
    pub caller: BrickName,
    /// Who is called.
    pub callee: BrickName,
}

/// The text is neither `default` nor a link.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected `default` or a link such as \"order -> payment\", found \"{found}\"")]
pub struct Error {
    found: String,
}

impl FromStr for LimitKey {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        if text == "default" {
            return Ok(Self::Default);
        }
        let link = text.split_once("->").and_then(|(caller, callee)| {
            Some(Link {
                caller: BrickName::new(caller.trim()).ok()?,
                callee: BrickName::new(callee.trim()).ok()?,
            })
        });
        link.map(Self::Link).ok_or_else(|| Error {
            found: text.chars().take(80).collect(),
        })
    }
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} -> {}", self.caller, self.callee)
    }
}

impl fmt::Display for LimitKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Link(link) => link.fmt(f),
        }
    }
}

impl Serialize for LimitKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for LimitKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for LimitKey {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "LimitKey".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "pattern": "^(default|[a-z][a-z0-9-]* *-> *[a-z][a-z0-9-]*)$"
        })
    }
}
