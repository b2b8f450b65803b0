//! Clients that show who they are by a secret: the agent by its bootstrap key, others as registered.

use std::fs::{File, Permissions};
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::secret::Digest;
use crate::service::Inner;
use crate::{Error, Secret, issuer};

/// The agent's name as a client.
pub(crate) const AGENT: &str = "agent";

/// A registered client, without its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ClientInfo {
    /// Its name, the `client_id`.
    pub id: String,
    /// Scopes that it may ask for.
    pub scopes: Vec<String>,
    /// When it was registered, seconds since the epoch.
    pub created_s: i64,
}

/// A client that showed its secret.
#[derive(Debug)]
pub(crate) struct Authenticated {
    pub(crate) subject: String,
    pub(crate) scopes: String,
}

/// Why a client was not believed.
#[derive(Debug)]
pub(crate) enum Refused {
    /// Wrong name or secret; which of them is not told.
    Invalid,
    /// Too many failures in a row.
    Wait(std::time::Duration),
    /// The store failed.
    Internal(Error),
}

/// Reads the bootstrap key, which nobody but its owner may be able to read.
pub(crate) fn bootstrap_key(path: &Path) -> Result<Digest, Error> {
    let failed = |source| Error::BootstrapKey {
        path: path.to_owned(),
        source,
    };
    let file = File::open(path).map_err(failed)?;
    let mode = file.metadata().map(|meta| meta.permissions()).map_err(failed)?;
    let mode = Permissions::mode(&mode) & 0o777;
    if mode & 0o077 != 0 {
        return Err(Error::BootstrapKeyMode {
            path: path.to_owned(),
            mode,
        });
    }
    let mut text = String::new();
    file.take(4_096).read_to_string(&mut text).map_err(failed)?;
    let key = text.trim();
    if key.len() < 32 {
        return Err(Error::BootstrapKeyShort {
            path: path.to_owned(),
        });
    }
    Ok(Digest::of(key))
}

/// Believes a client or not. The agent is never made to wait, or anybody on the machine could lock it out: its key has
/// 256 random bits, so guesses cost nothing but time.
pub(crate) async fn authenticate(inner: &Inner, id: &str, secret: &str) -> Result<Authenticated, Refused> {
    if id == AGENT {
        let known = inner.bootstrap.as_ref();
        return if known.is_some_and(|key| key.matches(secret)) {
            Ok(Authenticated {
                subject: AGENT.to_owned(),
                scopes: issuer::AGENT_SCOPES.to_owned(),
            })
        } else {
            tracing::warn!(client = AGENT, "a client showed a wrong secret");
            Err(Refused::Invalid)
        };
    }
    if let Some(wait) = inner.throttle.wait(id) {
        return Err(Refused::Wait(wait));
    }
    let stored = match inner.store.client(id).await {
        Ok(stored) => stored,
        Err(error) => return Err(Refused::Internal(error)),
    };
    let known = stored.as_ref().and_then(|client| client.secret.as_ref());
    match (known.is_some_and(|known| known.matches(secret)), stored) {
        (true, Some(client)) => {
            inner.throttle.worked(id);
            Ok(Authenticated {
                subject: format!("client:{}", client.id),
                scopes: client.scopes,
            })
        }
        _ => {
            inner.throttle.failed(id);
            let client: String = id.chars().take(64).collect();
            tracing::warn!(client, "a client showed a wrong secret, or does not exist");
            Err(Refused::Invalid)
        }
    }
}

/// A name that a client may have.
pub(crate) fn is_valid_id(id: &str) -> bool {
    let good = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    (1..=64).contains(&id.len()) && id != AGENT && id.bytes().all(good)
}

/// A scope (RFC 6749 §3.3: printable ASCII but space, quote and backslash), at most 64 bytes of it.
pub(crate) fn is_valid_scope(scope: &str) -> bool {
    let good = |b: u8| b.is_ascii_graphic() && b != b'"' && b != b'\\';
    (1..=64).contains(&scope.len()) && scope.bytes().all(good)
}

/// Registers a client; gives its secret, which is shown this once.
pub(crate) async fn add(
    inner: &Inner,
    id: &str,
    scopes: &[String],
) -> Result<(Secret, crate::store::Added), Error> {
    let secret = Secret::random()?;
    let added = inner
        .store
        .add_client(id.to_owned(), secret.digest(), scopes.join(" "), issuer::now_s())
        .await?;
    Ok((secret, added))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bootstrap_key_is_long_and_readable_by_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bootstrap");
        let with = |text: &str, mode| {
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            bootstrap_key(&path)
        };
        let key = "k".repeat(43);
        assert!(with(&format!("{key}\n"), 0o600).unwrap().matches(&key));
        let error = with(&key, 0o640).unwrap_err();
        assert!(error.to_string().contains("mode 640, expected 600"), "{error}");
        assert!(matches!(
            with("short", 0o600),
            Err(Error::BootstrapKeyShort { .. })
        ));
    }

    #[test]
    fn names_and_scopes_are_plain() {
        assert!(is_valid_id("ci-1") && !is_valid_id("agent") && !is_valid_id("a b") && !is_valid_id(""));
        assert!(is_valid_scope("call:order") && !is_valid_scope("a b") && !is_valid_scope("a\"b"));
    }
}
