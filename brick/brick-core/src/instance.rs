//! An instance: one running process of a brick, as registry, balancer, spans, logs and metrics all name it.

use std::net::SocketAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{BrickName, BrickRef, Incarnation, Version};

/// Zone that an instance counts as running in; `a` unless the manifest says otherwise.
pub type Zone = String;

/// Who an instance is and where it listens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Instance {
    /// The brick.
    pub brick: BrickName,
    /// Version label.
    pub version: Version,
    /// Number of the slot, from 1; base and concurrent versions of a brick count on their own.
    pub slot: u32,
    /// This start in the slot.
    pub incarnation: Incarnation,
    /// Zone.
    pub zone: Zone,
    /// Where it serves HTTP.
    pub addr: SocketAddr,
    /// Whether its version runs beside the brick's base: then the slot is `payment@v2/1`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub concurrent: bool,
}

impl Instance {
    /// What its slot is of: the brick, or its concurrent version.
    pub fn of(&self) -> BrickRef {
        BrickRef {
            brick: self.brick.clone(),
            version: self.concurrent.then(|| self.version.clone()),
        }
    }

    /// The slot as people write it, `order/1`, `payment@v2/1`.
    pub fn slot_name(&self) -> String {
        self.of().slot_name(self.slot)
    }

    /// Its own name within the brick's: `order-1`, `payment-v2-1`.
    pub fn own_name(&self) -> String {
        own_name(&self.slot_name())
    }
}

/// An instance's own name within its brick's, given its slot as people write it: `order-1` of `order/1`, `payment-v2-1`
/// of `payment@v2/1`.
pub fn own_name(slot_name: &str) -> String {
    slot_name.replace(['@', '/'], "-")
}
