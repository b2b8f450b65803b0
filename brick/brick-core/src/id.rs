//! Identifiers: UUIDv7, so that they sort by time.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// One start of a process in a slot. It fences leases and is `service.instance.id`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Incarnation(Uuid);

impl Incarnation {
    /// A new one, later in order than every one made before in this process.
    pub fn new() -> Self {
        Self(Uuid::now_v7())
    }
}

impl Default for Incarnation {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Display for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Incarnation {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

impl JsonSchema for Incarnation {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Incarnation".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "format": "uuid", "description": "UUIDv7 of one start in a slot" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn incarnations_sort_by_time_and_survive_text() {
        let (first, second) = (Incarnation::new(), Incarnation::new());
        assert!(first < second);
        assert_eq!(first.to_string().parse::<Incarnation>().unwrap(), first);
    }
}
