//! Where control keeps what it knows, and how many processes of it run.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Processes of control at most.
pub const CONTROLS_MAX: u32 = 5;

const SCHEMES: [&str; 2] = ["postgres://", "postgresql://"];

/// `mortar.control`: registry, routes, configuration and bus.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Control {
    /// PostgreSQL database, `postgres://USER@HOST:PORT/DATABASE`, without a password: that is in the environment of
    /// `brick up` (`CONTROL_STORE_PASSWORD`, or `CONTROL_STORE_PASSWORD_FILE`). None keeps a SQLite file in the system's
    /// folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store: Option<String>,
    /// Processes that share the store, 1 to 5: one leads, the others stand by. More than one needs `store`.
    #[serde(default = "default_replicas")]
    pub replicas: u32,
}

impl Default for Control {
    fn default() -> Self {
        Self {
            store: None,
            replicas: default_replicas(),
        }
    }
}

fn default_replicas() -> u32 {
    1
}

/// Variable of the operator's environment that has the password of a brick's database on a server; with `_FILE` after
/// it, the file that has it.
pub fn state_password(brick: &str) -> String {
    format!("{}_STATE_PASSWORD", brick.to_ascii_uppercase().replace('-', "_"))
}

/// Why this is no address of a database, whose password is in variables of this name; none where it is one.
pub(crate) fn wrong_store(url: &str, password: &str) -> Option<String> {
    let Some(rest) = SCHEMES.iter().find_map(|scheme| url.strip_prefix(scheme)) else {
        return Some("expected postgres://USER@HOST:PORT/DATABASE".to_owned());
    };
    let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, database) = place.split_once('/').unwrap_or((place, ""));
    let (user, host) = authority.rsplit_once('@').unwrap_or(("", authority));
    if user.contains(':') || query.split('&').any(|pair| pair.starts_with("password=")) {
        return Some(format!(
            "a password does not stand in the manifest: set {password}, or {password}_FILE, where brick up runs"
        ));
    }
    let named = !user.is_empty() && !host.is_empty() && !database.is_empty() && !database.contains('/');
    let expected = "expected a user, a host and a database: postgres://USER@HOST:PORT/DATABASE";
    (!named).then(|| expected.to_owned())
}
