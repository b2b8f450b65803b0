//! What the agent tells a host proxy: the content of the file that `BRICK_PROXY_FILE` names.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::{BrickName, Version, Zone};

/// Whom a host proxy stands for.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Host {
    /// Instances whose calls go through it.
    #[serde(default)]
    pub callers: Vec<Caller>,
    /// Instances that stand behind it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub served: Vec<Served>,
}

/// One instance that stands behind the proxy: it is called there, and serves on a port that only the proxy knows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Served {
    /// Its brick.
    pub brick: BrickName,
    /// Its slot, `reviews/1`.
    pub slot: String,
    /// Version label.
    pub version: Version,
    /// Zone.
    pub zone: Zone,
    /// Where the proxy takes requests for it.
    pub listen: SocketAddr,
    /// Where it serves.
    pub to: SocketAddr,
    /// Path that answers 2xx when it can take requests.
    pub health: String,
    /// Who may call it.
    pub allow: Allow,
}

/// Who may call a brick that stands behind the proxy, as the SDK's groups of routes have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Allow {
    /// Everybody.
    Public,
    /// Whoever shows a valid user token.
    Users,
    /// Bricks that need it.
    Bricks,
    /// Either.
    UsersOrBricks,
}

/// One instance whose calls go through the proxy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Caller {
    /// Its brick.
    pub brick: BrickName,
    /// Its slot, `order/1`.
    pub slot: String,
    /// Version label.
    pub version: Version,
    /// Zone.
    pub zone: Zone,
    /// Where the proxy takes its calls.
    pub listen: SocketAddr,
    /// What it shows to be let through.
    pub secret: Secret,
    /// File with its own token, which its callees get.
    pub token_file: PathBuf,
    /// Bricks that it reaches by TCP.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tcp: Vec<Passage>,
    /// Where the kernel leads what it connects to, where it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capture: Option<Capture>,
}

/// How connections arrive that the kernel leads to the proxy instead of to where they were opened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capture {
    /// Address of 127.0.0.1 to which they are led; those to IPv6 arrive at the same port of `::1`.
    pub listen: SocketAddr,
    /// The addresses that stand for bricks: what the caller finds when it looks up `NAME.brick`.
    pub names: BTreeMap<BrickName, Ipv4Addr>,
}

/// A way through the proxy for a protocol that it does not know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Passage {
    /// Brick that it leads to.
    pub to: BrickName,
    /// Where the proxy takes the connections.
    pub listen: SocketAddr,
    /// Time in milliseconds after which a connection on which nothing moves is closed.
    pub idle_ms: u64,
}

/// A text that is not told: `Debug` leaves it out.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}
