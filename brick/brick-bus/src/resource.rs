//! What travels on the bus: versioned resources and the values that the platform itself puts into them.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

use brick_core::{Incarnation, Version};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Where a subscriber stands: the store's epoch and its one store-wide revision. Written `epoch-revision` as event id.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Cursor {
    /// Identity of the store's history; a new store has a new epoch. Letters and digits only.
    pub epoch: String,
    /// Revision within the epoch; grows by one with every change of any resource.
    pub revision: u64,
}

/// The text is no cursor.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected a cursor such as \"01jcy-42\", found \"{0}\"")]
pub struct InvalidCursor(String);

/// One whole resource.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Resource {
    /// `kind/name`, such as `endpoints/product`.
    pub name: String,
    /// Revision of the change that made this value.
    pub revision: u64,
    /// The value, whole.
    pub value: Value,
}

/// One event of a watch. `event:` carries the kind, `data:` the JSON, `id:` the [`Cursor`] reached with it.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// All resources that the subscriber may see and asked for; what it held before is void.
    /// Event `snapshot`, data `{"resources":[…]}`.
    Snapshot(Vec<Resource>),
    /// One resource is new or changed. Event `put`, data is the resource.
    Put(Resource),
    /// One resource is gone. Event `delete`, data `{"name":…,"revision":…}`.
    Delete {
        /// Which one.
        name: String,
        /// Revision of the removal.
        revision: u64,
    },
    /// The cursor that the subscriber resumed from is unknown or compacted; a snapshot follows. Event `reset`,
    /// data `{"reason":…}`.
    Reset {
        /// Why.
        reason: String,
    },
}

/// Value of `endpoints/<brick>`: the instances that may be called, all versions.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Endpoints {
    /// The instances that are up, in order of slot.
    pub instances: Vec<Endpoint>,
}

/// One instance that may be called.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// Number of the slot; base and concurrent versions count on their own.
    pub slot: u32,
    /// This start in the slot.
    pub incarnation: Incarnation,
    /// Version label.
    pub version: Version,
    /// Zone.
    pub zone: String,
    /// Where it serves HTTP.
    pub addr: SocketAddr,
    /// Relative weight in the balancer, 100 unless said.
    #[serde(default = "full_weight")]
    pub weight: u32,
    /// Whether its version runs beside the brick's base: then the slot is `payment@v2/1`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub concurrent: bool,
    /// What it speaks.
    #[serde(default, skip_serializing_if = "Protocol::is_usual")]
    pub protocol: Protocol,
    /// Whether it left the pool: it is called by its own name alone.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub quarantined: bool,
}

/// What an instance speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// HTTP/1.1.
    #[default]
    Http1,
    /// HTTP/2 without TLS, by prior knowledge (RFC 9113 §3.3).
    H2c,
    /// No HTTP at all.
    Tcp,
}

impl Protocol {
    /// Whether it is HTTP/1.1.
    pub fn is_usual(&self) -> bool {
        *self == Self::Http1
    }
}

impl Endpoint {
    /// The slot as people write it, given the brick: `order/1`, `payment@v2/1`.
    pub fn slot_name(&self, brick: &str) -> String {
        match self.concurrent {
            true => format!("{brick}@{}/{}", self.version, self.slot),
            false => format!("{brick}/{}", self.slot),
        }
    }

    /// Its own name within the brick's, given the brick: `order-1`, `payment-v2-1`.
    pub fn own_name(&self, brick: &str) -> String {
        brick_core::own_name(&self.slot_name(brick))
    }
}

fn full_weight() -> u32 {
    100
}

/// Value of `trust/bundle`: whose signatures count.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrustBundle {
    /// The issuer's configured name, `urn:brickwork:<system>`.
    pub issuer: String,
    /// Audience of user tokens: the system's name. Platform tokens carry `<system>:platform`.
    pub system: String,
    /// Public keys, a JWK set (RFC 7517).
    pub jwks: Value,
}

/// One acknowledgement, posted in batches to `/bus/v1/acks` as `{"acks":[…]}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ack {
    /// The resource.
    pub name: String,
    /// The revision that was applied or refused.
    pub revision: u64,
    /// Who applied it.
    pub incarnation: Incarnation,
    /// Why it was refused; none means applied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
    /// Keys of a configuration that were applied and do not count here, with the higher layer that has the word.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub shadowed: BTreeMap<String, String>,
    /// Keys of a configuration that are not known there, with the nearest that is, or nothing.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub unknown: BTreeMap<String, String>,
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.epoch, self.revision)
    }
}

impl FromStr for Cursor {
    type Err = InvalidCursor;

    fn from_str(text: &str) -> Result<Self, InvalidCursor> {
        let invalid = || InvalidCursor(text.chars().take(80).collect());
        let (epoch, revision) = text.rsplit_once('-').ok_or_else(invalid)?;
        if epoch.is_empty() || !epoch.bytes().all(|b| b.is_ascii_alphanumeric()) {
            return Err(invalid());
        }
        Ok(Self {
            epoch: epoch.to_owned(),
            revision: revision.parse().map_err(|_| invalid())?,
        })
    }
}

/// Whether a subscription pattern covers a resource: equal, or `prefix*`.
pub fn covers(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(prefix) => name.starts_with(prefix),
        None => pattern == name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_survives_text_and_foreign_text_is_refused() {
        let cursor = Cursor {
            epoch: "01jcy".to_owned(),
            revision: 42,
        };
        assert_eq!(cursor.to_string().parse(), Ok(cursor));
        for bad in ["", "-", "x", "x-", "-1", "x-y", "a b-1", "x-99999999999999999999"] {
            assert!(bad.parse::<Cursor>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_pattern_covers_itself_or_what_its_star_stands_for() {
        assert!(covers("endpoints/*", "endpoints/order"));
        assert!(covers("limits/order->*", "limits/order->payment"));
        assert!(covers("trust/bundle", "trust/bundle"));
        assert!(!covers("endpoints/order", "endpoints/order2"));
    }
}
