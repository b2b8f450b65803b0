//! What an answer must be: a status alone, or a table that also looks at headers and body.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Expectation of a step: a status, or a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Expect {
    /// The answer has this status.
    Status(#[schemars(range(min = 100, max = 599))] u16),
    /// The answer is like this.
    Answer(Answer),
}

/// What an answer must be like. Strings may hold `{name}` of a value saved by an earlier step.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    /// Its status; any 2xx unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 100, max = 599))]
    pub status: Option<u16>,
    /// Values of its JSON body by path: `{"$.status" = "placed"}`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub json: BTreeMap<String, Value>,
    /// Headers with their whole values.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub header: BTreeMap<String, String>,
    /// Text that its body holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contains: Option<String>,
}

impl Expect {
    /// The status that is named.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Status(status) => Some(*status),
            Self::Answer(answer) => answer.status,
        }
    }

    /// What is asked of headers and body.
    pub fn answer(&self) -> Option<&Answer> {
        match self {
            Self::Status(_) => None,
            Self::Answer(answer) => Some(answer),
        }
    }
}
