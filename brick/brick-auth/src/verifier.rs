//! Verifies tokens against the trust bundle of the bus.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use brick_bus::{Resource, TrustBundle, Watch};
use brick_core::Drain;
use jsonwebtoken::Algorithm;
use parking_lot::Mutex;
use serde::Deserialize;

use crate::cache::Cache;
use crate::keys::Keys;
use crate::{Claims, Error, TRUST_BUNDLE};

/// Longest token that is looked at, in bytes; longer ones are malformed.
const TOKEN_BYTES_MAX: usize = 8 * 1024;

/// How tokens are verified.
#[derive(Debug, Clone)]
pub struct Options {
    /// By how much the clocks of issuer and verifier may differ.
    pub leeway: Duration,
    /// How many verified tokens are remembered.
    pub cache_max: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            leeway: Duration::from_secs(30),
            cache_max: 10_000,
        }
    }
}

/// Verifies tokens against the keys of `trust/bundle` and follows its changes. Cheap to clone.
///
/// A token is verified by ECDSA once and then found by its digest until it expires or the keys change, so that the hot
/// path costs one SHA-256 of its text.
#[derive(Debug, Clone)]
pub struct Verifier(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    watch: Watch,
    /// Version of the watch that `keys` was made from.
    seen: AtomicU64,
    keys: ArcSwap<Keys>,
    bundle: Mutex<Option<Arc<Resource>>>,
    cache: Cache,
    leeway_s: u64,
}

#[derive(Clone, Copy)]
enum Audience {
    User,
    Platform,
}

/// The parts of the JOSE header (RFC 7515 §4.1) that decide.
#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    crit: Option<serde::de::IgnoredAny>,
}

impl Verifier {
    /// Follows the bundle of this watch, with the usual options.
    pub fn new(watch: Watch) -> Self {
        Self::with_options(watch, Options::default())
    }

    /// Follows the bundle of this watch.
    pub fn with_options(watch: Watch, options: Options) -> Self {
        let verifier = Self(Arc::new(Inner {
            watch,
            seen: AtomicU64::new(u64::MAX),
            keys: ArcSwap::default(),
            bundle: Mutex::new(None),
            cache: Cache::new(options.cache_max),
            leeway_s: options.leeway.as_secs(),
        }));
        verifier.0.refresh();
        verifier
    }

    /// Takes over (and acknowledges) new bundles as they arrive, even while no request does; ends with the drain.
    pub async fn follow(&self, drain: Drain) {
        let mut watch = self.0.watch.clone();
        loop {
            self.0.refresh();
            tokio::select! {
                _ = watch.changed() => {}
                () = drain.requested() => return,
            }
        }
    }

    /// Verifies a user's token: audience is the system.
    pub fn user(&self, token: &str) -> Result<Arc<Claims>, Error> {
        self.0.verify(token, Audience::User, unix_seconds())
    }

    /// Verifies a token of a process, the agent or an operator: audience is `<system>:platform`.
    pub fn platform(&self, token: &str) -> Result<Arc<Claims>, Error> {
        self.0.verify(token, Audience::Platform, unix_seconds())
    }

    /// Whether keys are known: without any, every token is refused with [`Error::NoKeys`].
    pub fn has_keys(&self) -> bool {
        self.0.refresh();
        !self.0.keys.load().is_empty()
    }

    /// Verified tokens that were forgotten to make room for others.
    pub fn evicted(&self) -> u64 {
        self.0.cache.evicted()
    }

    #[cfg(test)]
    pub(crate) fn user_at(&self, token: &str, now: u64) -> Result<Arc<Claims>, Error> {
        self.0.verify(token, Audience::User, now)
    }
}

impl Inner {
    fn verify(&self, token: &str, audience: Audience, now: u64) -> Result<Arc<Claims>, Error> {
        if token.is_empty() {
            return Err(Error::Missing);
        }
        if token.len() > TOKEN_BYTES_MAX {
            return Err(Error::Malformed("it is longer than 8 KiB"));
        }
        self.refresh();
        let keys = self.keys.load();
        if keys.is_empty() {
            return Err(Error::NoKeys);
        }
        let mut key = [0; 32];
        key.copy_from_slice(digest::digest(&digest::SHA256, token.as_bytes()).as_ref());
        let claims = match self.cache.get(&key, keys.generation) {
            Some(claims) => claims,
            None => {
                let claims = Arc::new(signed_claims(token, &keys)?);
                self.check_time(&claims, now)?;
                self.cache.put(key, keys.generation, Arc::clone(&claims));
                claims
            }
        };
        self.check_time(&claims, now)?;
        check_audience(&claims, &keys, audience)?;
        Ok(claims)
    }

    fn check_time(&self, claims: &Claims, now: u64) -> Result<(), Error> {
        if claims.exp.saturating_add(self.leeway_s) <= now {
            let ago_s = now - claims.exp;
            return Err(Error::Expired { ago_s });
        }
        match claims.nbf {
            Some(nbf) if nbf > now.saturating_add(self.leeway_s) => {
                Err(Error::NotYetValid { in_s: nbf - now })
            }
            _ => Ok(()),
        }
    }

    /// Prepares the keys anew where the bundle changed since. One atomic load where nothing did.
    fn refresh(&self) {
        // Read before the state: a change in between is seen by the next call.
        let version = self.watch.version();
        if self.seen.load(Ordering::Acquire) == version {
            return;
        }
        let mut current = self.bundle.lock();
        let bundle = self.watch.get(TRUST_BUNDLE);
        let same = match (&bundle, &*current) {
            (Some(new), Some(old)) => Arc::ptr_eq(new, old) || new == old,
            (None, None) => true,
            _ => false,
        };
        if !same {
            self.adopt(bundle.as_deref());
            *current = bundle;
        }
        self.seen.store(version, Ordering::Release);
    }

    fn adopt(&self, bundle: Option<&Resource>) {
        let generation = self.keys.load().generation + 1;
        let Some(resource) = bundle else {
            self.keys.store(Arc::new(Keys::none(generation)));
            return;
        };
        let prepared = TrustBundle::deserialize(&resource.value)
            .map_err(|error| error.to_string())
            .and_then(|bundle| Keys::prepare(&bundle, generation));
        let refused = match prepared {
            Ok(keys) => {
                self.keys.store(Arc::new(keys));
                None
            }
            Err(reason) => {
                tracing::warn!(
                    revision = resource.revision,
                    reason,
                    "a trust bundle is refused, the last good one stays in use"
                );
                Some(reason)
            }
        };
        self.watch.acknowledge(TRUST_BUNDLE, resource.revision, refused);
    }
}

/// The claims, once header and signature hold. Neither time nor audience is looked at.
fn signed_claims(token: &str, keys: &Keys) -> Result<Claims, Error> {
    let (message, signature) = token
        .rsplit_once('.')
        .ok_or(Error::Malformed("expected three parts separated by dots"))?;
    let (header, payload) = message
        .split_once('.')
        .ok_or(Error::Malformed("expected three parts separated by dots"))?;
    let header: Header = part(header, "its header is no base64url JSON with \"alg\"")?;
    if header.alg != "ES256" {
        let found = header.alg.chars().take(20).collect();
        return Err(Error::Algorithm { found });
    }
    if header.crit.is_some() {
        // RFC 7515 §4.1.11: an extension that is not understood must not be passed over.
        return Err(Error::Malformed("it uses critical header extensions"));
    }
    let kid = header
        .kid
        .ok_or(Error::Malformed("its header names no key (kid)"))?;
    let key = keys.find(&kid).ok_or_else(|| Error::UnknownKey {
        kid: kid.chars().take(64).collect(),
    })?;
    match jsonwebtoken::crypto::verify(signature, message.as_bytes(), key, Algorithm::ES256) {
        Ok(true) => {}
        Ok(false) => return Err(Error::Signature),
        Err(_) => return Err(Error::Malformed("its signature is no base64url")),
    }
    let claims: Claims = part(
        payload,
        "its claims lack iss, aud, sub or exp, or are no base64url JSON",
    )?;
    if claims.iss != keys.issuer {
        return Err(Error::Issuer {
            expected: keys.issuer.clone(),
            found: claims.iss,
        });
    }
    Ok(claims)
}

fn part<T: serde::de::DeserializeOwned>(text: &str, otherwise: &'static str) -> Result<T, Error> {
    let bytes = URL_SAFE_NO_PAD
        .decode(text)
        .map_err(|_| Error::Malformed(otherwise))?;
    serde_json::from_slice(&bytes).map_err(|_| Error::Malformed(otherwise))
}

fn check_audience(claims: &Claims, keys: &Keys, audience: Audience) -> Result<(), Error> {
    let expected = match audience {
        Audience::User => &keys.user_audience,
        Audience::Platform => &keys.platform_audience,
    };
    if claims.aud.contains(expected) {
        return Ok(());
    }
    Err(Error::Audience {
        expected: expected.clone(),
        found: claims.aud.join(" "),
    })
}

fn unix_seconds() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests;
