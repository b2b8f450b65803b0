//! A brick, or one of its concurrent versions, as people write it: `payment`, `payment@v2`.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{BrickName, Version};

/// A brick, or one of its concurrent versions.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BrickRef {
    /// The brick.
    pub brick: BrickName,
    /// The concurrent version; none is the brick's base.
    pub version: Option<Version>,
}

/// The text names no brick.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected a brick such as \"payment\", or one of its versions such as \"payment@v2\", found \"{found}\""
)]
pub struct Error {
    found: String,
}

impl BrickRef {
    /// Its slot of that number, as people write it: `payment/1`, `payment@v2/1`.
    pub fn slot_name(&self, slot: u32) -> String {
        format!("{self}/{slot}")
    }
}

impl From<BrickName> for BrickRef {
    fn from(brick: BrickName) -> Self {
        Self { brick, version: None }
    }
}

impl FromStr for BrickRef {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let wrong = || Error {
            found: text.chars().take(80).collect(),
        };
        let (brick, version) = match text.split_once('@') {
            Some((brick, version)) => (brick, Some(Version::new(version).map_err(|_| wrong())?)),
            None => (text, None),
        };
        Ok(Self {
            brick: BrickName::new(brick).map_err(|_| wrong())?,
            version,
        })
    }
}

impl fmt::Display for BrickRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.version {
            Some(version) => f.pad(&format!("{}@{version}", self.brick)),
            None => self.brick.fmt(f),
        }
    }
}

impl Serialize for BrickRef {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for BrickRef {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for BrickRef {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "BrickRef".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "pattern": "^[a-z]([a-z0-9-]{0,61}[a-z0-9])?(@[A-Za-z0-9._-]{1,32})?$"
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_brick_and_its_versions_are_read_as_they_are_written() {
        for (text, brick, version) in [
            ("payment", "payment", None),
            ("payment@v2", "payment", Some("v2")),
            ("pay-2@2026.11-rc_1", "pay-2", Some("2026.11-rc_1")),
        ] {
            let read: BrickRef = text.parse().unwrap();
            assert_eq!(
                (read.brick.as_str(), read.version.as_ref().map(Version::as_str)),
                (brick, version)
            );
            assert_eq!(read.to_string(), text);
            assert_eq!(read.slot_name(3), format!("{text}/3"));
        }
        for bad in [
            "",
            "@v2",
            "payment@",
            "Payment",
            "payment@v 2",
            "payment@v2@v3",
            "payment/1",
        ] {
            let error = bad.parse::<BrickRef>().unwrap_err().to_string();
            assert!(error.contains("payment@v2"), "{bad}: {error}");
        }
    }
}
