//! `[demo.NAME]`: something to see, switched on and off by `brick demo NAME on`.

use std::collections::BTreeMap;

use brick_core::BrickRef;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `[demo.NAME]`: numbers of instances that show something.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Demo {
    /// What there is to see, in one sentence.
    pub about: String,
    /// How many instances of what run while it is on; off is what the manifest says otherwise.
    pub scale: BTreeMap<BrickRef, u32>,
}
