//! `brick.NAME.replicas`: a number of instances, or the bounds between which it follows the requests.

use brick_core::duration::Span;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How many instances of a brick run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Replicas {
    /// So many.
    Fixed(#[schemars(range(min = 1, max = 100))] u32),
    /// As many as its requests need.
    Elastic(Elastic),
}

/// A number of instances that follows the requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Elastic {
    /// Instances that always run, and that it starts with.
    #[schemars(range(min = 1, max = 100))]
    pub min: u32,
    /// Most instances.
    #[schemars(range(min = 1, max = 100))]
    pub max: u32,
    /// Requests a second that one instance is to have.
    #[schemars(range(min = 1))]
    pub target_rps: u32,
    /// How long more are needed before more are started.
    #[serde(default = "default_up_after")]
    pub up_after: Span,
    /// How long fewer would do before one is taken away.
    #[serde(default = "default_down_after")]
    pub down_after: Span,
}

fn default_up_after() -> Span {
    Span::from_secs(3)
}

fn default_down_after() -> Span {
    Span::from_secs(60)
}

impl Replicas {
    /// How many instances run at least, and at first.
    pub fn min(&self) -> u32 {
        match self {
            Self::Fixed(number) => *number,
            Self::Elastic(elastic) => elastic.min,
        }
    }

    /// The bounds, where the number follows the requests.
    pub fn elastic(&self) -> Option<&Elastic> {
        match self {
            Self::Fixed(_) => None,
            Self::Elastic(elastic) => Some(elastic),
        }
    }
}

impl Elastic {
    /// Bounds with the usual times.
    pub fn new(min: u32, max: u32, target_rps: u32) -> Self {
        Self {
            min,
            max,
            target_rps,
            up_after: default_up_after(),
            down_after: default_down_after(),
        }
    }
}
