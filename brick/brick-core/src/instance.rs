//! An instance: one running process of a brick, as registry, balancer, spans, logs and metrics all name it.

use std::net::SocketAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{BrickName, Incarnation, Version};

/// Zone that an instance counts as running in; `a` unless the manifest says otherwise.
pub type Zone = String;

/// Who an instance is and where it listens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Instance {
    /// The brick.
    pub brick: BrickName,
    /// Version label.
    pub version: Version,
    /// Number of the slot within the brick, from 1. Slots count over all versions of a brick.
    pub slot: u32,
    /// This start in the slot.
    pub incarnation: Incarnation,
    /// Zone.
    pub zone: Zone,
    /// Where it serves HTTP.
    pub addr: SocketAddr,
}

impl Instance {
    /// The slot as people write it, `order/1`.
    pub fn slot_name(&self) -> String {
        format!("{}/{}", self.brick, self.slot)
    }
}
