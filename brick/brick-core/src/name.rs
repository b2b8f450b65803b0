//! Names of bricks and labels of versions: validated once, then trusted.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The text is no valid name or label.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected}, found \"{found}\"")]
pub struct Error {
    expected: &'static str,
    found: String,
}

const NAME: &str =
    "1 to 63 lower-case letters, digits and inner hyphens, a letter first (a DNS label, RFC 1035)";
const LABEL: &str = "1 to 32 letters, digits, dots, hyphens and underscores";

/// Name of a brick: a DNS label (RFC 1035 §2.3.1), for it becomes a host name, `order.brick`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BrickName(Arc<str>);

/// Label of a version, `v1` unless said.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(Arc<str>);

impl BrickName {
    /// Checks the text.
    pub fn new(text: &str) -> Result<Self, Error> {
        let inner = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-';
        let bytes = text.as_bytes();
        let good = (1..=63).contains(&bytes.len())
            && bytes[0].is_ascii_lowercase()
            && bytes.iter().all(inner)
            && !text.ends_with('-');
        if good {
            Ok(Self(text.into()))
        } else {
            Err(Error {
                expected: NAME,
                found: text.to_owned(),
            })
        }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Version {
    /// Checks the text.
    pub fn new(text: &str) -> Result<Self, Error> {
        let good = (1..=32).contains(&text.len())
            && text
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'));
        if good {
            Ok(Self(text.into()))
        } else {
            Err(Error {
                expected: LABEL,
                found: text.to_owned(),
            })
        }
    }

    /// The label as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for Version {
    fn default() -> Self {
        Self("v1".into())
    }
}

impl FromStr for BrickName {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::new(text)
    }
}

impl FromStr for Version {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::new(text)
    }
}

impl fmt::Display for BrickName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl AsRef<str> for BrickName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl std::borrow::Borrow<str> for BrickName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl Serialize for BrickName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl Serialize for Version {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for BrickName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

impl<'de> Deserialize<'de> for Version {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for BrickName {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "BrickName".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "pattern": "^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$" })
    }
}

impl JsonSchema for Version {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Version".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "pattern": "^[A-Za-z0-9._-]{1,32}$" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_brick_name_is_a_dns_label() {
        for good in ["a", "order", "order-2", "lost-pets"] {
            assert!(BrickName::new(good).is_ok(), "{good}");
        }
        for bad in ["", "Order", "2nd", "-a", "a-", "a.b", "a_b", "ü", &"a".repeat(64)] {
            assert!(BrickName::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_version_is_a_short_label() {
        assert_eq!(Version::default().as_str(), "v1");
        assert!(Version::new("2026.11-rc_1").is_ok());
        assert!(Version::new("v 1").is_err());
        assert!(Version::new("").is_err());
    }
}
