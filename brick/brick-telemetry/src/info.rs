//! `/info`: who the process is. It holds nothing that is secret.

use std::collections::BTreeMap;
use std::time::Instant;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Identity;

/// Version of this SDK.
pub const SDK_VERSION: &str = env!("CARGO_PKG_VERSION");

/// The answer of `/info`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Info {
    /// Name of the brick.
    pub name: String,
    /// Name of the system.
    pub system: String,
    /// Version label.
    pub version: String,
    /// Source revision, empty when unknown.
    pub revision: String,
    /// Version of the package.
    pub package_version: String,
    /// Version of the API it serves.
    pub api_version: String,
    /// Version of the SDK it is built on.
    pub sdk_version: String,
    /// Slot, `order/1`.
    pub slot: String,
    /// This start in the slot.
    pub incarnation: String,
    /// Zone.
    pub zone: String,
    /// Process id.
    pub pid: u32,
    /// Start, RFC 3339.
    pub start_time: String,
    /// Seconds since the start.
    pub uptime_s: f64,
    /// Feature flags.
    pub flags: BTreeMap<String, FlagInfo>,
}

/// A feature flag, as the process has it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FlagInfo {
    /// `ENABLED`, `DISABLED`; `UNDEFINED` where nobody says anything and the default in code counts.
    pub state: String,
    /// The variant that counts unless targeting names another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_variant: Option<String>,
    /// Its value.
    pub default: Value,
    /// Whether targeting may name another.
    pub targeted: bool,
}

/// What `/info` is made of.
#[derive(Debug)]
pub(crate) struct Source {
    identity: Identity,
    started: Instant,
    started_at: jiff::Timestamp,
    flags: Mutex<BTreeMap<String, FlagInfo>>,
}

impl Source {
    pub(crate) fn new(identity: Identity) -> Self {
        Self {
            identity,
            started: Instant::now(),
            started_at: jiff::Timestamp::now(),
            flags: Mutex::default(),
        }
    }

    pub(crate) fn identity(&self) -> &Identity {
        &self.identity
    }

    pub(crate) fn start_unix_s(&self) -> f64 {
        self.started_at.as_duration().as_secs_f64()
    }

    pub(crate) fn show_flags(&self, flags: BTreeMap<String, FlagInfo>) {
        *self.flags.lock() = flags;
    }

    pub(crate) fn info(&self) -> Info {
        let identity = self.identity.clone();
        Info {
            name: identity.brick,
            system: identity.system,
            version: identity.version,
            revision: identity.revision,
            package_version: identity.package_version,
            api_version: identity.api_version,
            sdk_version: SDK_VERSION.to_owned(),
            slot: identity.slot,
            incarnation: identity.incarnation,
            zone: identity.zone,
            pid: std::process::id(),
            start_time: format!("{:.3}", self.started_at),
            uptime_s: (self.started.elapsed().as_secs_f64() * 1e3).round() / 1e3,
            flags: self.flags.lock().clone(),
        }
    }
}
