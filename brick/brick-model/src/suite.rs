//! Acceptance suites and the environments that they run against.

use brick_core::BrickName;
use brick_core::duration::Span;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::load::Step;

/// The environment that every system has without naming it: the one that `brick up` runs.
pub const LOCAL: &str = "local";

/// `[test.NAME]`: an acceptance suite, for `brick test NAME`. Exactly one of `steps` and `run` is given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Suite {
    /// What it shows, in a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about: Option<String>,
    /// The brick that the suite is about: it then runs against that brick alone, with what it needs mocked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub brick: Option<BrickName>,
    /// Requests in order. A step that fails ends the suite.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<Step>,
    /// A command instead of steps; it passes when it ends with 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// Whether it may run against production.
    #[serde(default)]
    pub production: bool,
    /// Time limit of the whole suite.
    #[serde(default = "default_timeout")]
    pub timeout: Span,
}

/// `[env.NAME]`: an environment that suites can run against.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Environment {
    /// Base URL of its edge.
    pub edge: String,
    /// Whether only suites that say `production = true` may run there; so unless it is said otherwise.
    #[serde(default = "default_production")]
    pub production: bool,
}

fn default_timeout() -> Span {
    Span::from_secs(5 * 60)
}

fn default_production() -> bool {
    true
}

impl Default for Suite {
    fn default() -> Self {
        Self {
            about: None,
            brick: None,
            steps: Vec::new(),
            run: None,
            production: false,
            timeout: default_timeout(),
        }
    }
}

impl Default for Environment {
    fn default() -> Self {
        Self {
            edge: String::new(),
            production: default_production(),
        }
    }
}
