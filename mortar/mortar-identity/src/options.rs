//! What identity needs to be told.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How identity is set up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Options {
    /// Name of the system: audience of user tokens, part of the issuer's name `urn:brickwork:<system>`.
    pub system: String,
    /// File (mode 0600) with the key by which the agent shows who it is; without it no client `agent` exists.
    #[serde(default)]
    pub bootstrap_key_file: Option<PathBuf>,
    /// Life of user and process tokens until the manifest says otherwise.
    #[serde(default = "fifteen_minutes")]
    pub token_ttl: Duration,
    /// Life of operators' tokens.
    #[serde(default = "twelve_hours")]
    pub operator_ttl: Duration,
}

fn fifteen_minutes() -> Duration {
    Duration::from_secs(15 * 60)
}

fn twelve_hours() -> Duration {
    Duration::from_secs(12 * 60 * 60)
}

impl Options {
    /// For a system, with the usual lives of tokens and no bootstrap key.
    pub fn new(system: impl Into<String>) -> Self {
        Self {
            system: system.into(),
            bootstrap_key_file: None,
            token_ttl: fifteen_minutes(),
            operator_ttl: twelve_hours(),
        }
    }
}
