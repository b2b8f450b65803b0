//! How instances are picked: the edge's limits, in the units that the hot path wants.

use std::time::Duration;

use brick_bus::Resource;
use brick_bus::limits::{Balance, By, Eject};
use brick_bus::pool::Sticky;
use serde::Deserialize;

/// How instances are picked.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Policy {
    pub(super) by: By,
    pub(super) key: Option<Sticky>,
    pub(super) load_bound: f64,
    pub(super) zone_aware: bool,
    pub(super) slow_start: Duration,
    pub(super) eject: Option<Eject>,
    pub(super) panic: f64,
}

/// What counts here of `limits/<caller>-><callee>`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Told {
    balance: Balance,
}

impl Policy {
    /// What the limits say, or that there are none.
    pub(super) fn read(resource: Option<&Resource>) -> Result<Self, String> {
        let Some(resource) = resource else {
            return Ok(Self::default());
        };
        let told = Told::deserialize(&resource.value).map_err(|error| error.to_string())?;
        if let Some((field, expected)) = told.balance.invalid() {
            return Err(format!("{field}: expected {expected}"));
        }
        Ok(told.balance.into())
    }
}

impl From<Balance> for Policy {
    fn from(told: Balance) -> Self {
        Self {
            by: told.by,
            load_bound: told.load_bound,
            zone_aware: told.zone_aware,
            slow_start: Duration::from_millis(told.slow_start_ms),
            eject: told.ejects(),
            panic: told.panic,
            key: told.key,
        }
    }
}

impl Default for Policy {
    fn default() -> Self {
        Balance::default().into()
    }
}
