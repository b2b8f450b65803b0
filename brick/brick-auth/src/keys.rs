//! The issuer's public keys, prepared once when a trust bundle arrives.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use brick_bus::TrustBundle;
use jsonwebtoken::DecodingKey;
use serde::Deserialize;

/// Keys that a bundle may hold; more are left out.
const KEYS_MAX: usize = 64;

/// An immutable set of keys and the names that tokens must carry.
#[derive(Debug, Default)]
pub(crate) struct Keys {
    pub(crate) issuer: String,
    pub(crate) user_audience: String,
    pub(crate) platform_audience: String,
    by_kid: HashMap<String, DecodingKey>,
    /// Grows with every bundle; what older keys vouched for is checked again.
    pub(crate) generation: u64,
}

/// An elliptic-curve key of a JWK set (RFC 7517, RFC 7518 §6.2.1).
#[derive(Deserialize)]
struct Jwk {
    #[serde(default)]
    kty: String,
    #[serde(default)]
    crv: String,
    kid: Option<String>,
    x: Option<String>,
    y: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
}

impl Keys {
    /// Takes the P-256 signature keys of a bundle; others are passed over, for sets may mix. A bundle without any is
    /// refused with the reason.
    pub(crate) fn prepare(bundle: &TrustBundle, generation: u64) -> Result<Self, String> {
        let listed = bundle
            .jwks
            .get("keys")
            .and_then(|keys| keys.as_array())
            .ok_or_else(|| "jwks: expected an object with an array \"keys\"".to_owned())?;
        let by_kid: HashMap<_, _> = listed.iter().take(KEYS_MAX).filter_map(usable).collect();
        if by_kid.is_empty() {
            return Err("jwks: expected at least one P-256 key with a kid for ES256 signatures".to_owned());
        }
        Ok(Self {
            issuer: bundle.issuer.clone(),
            user_audience: bundle.system.clone(),
            platform_audience: format!("{}:platform", bundle.system),
            by_kid,
            generation,
        })
    }

    /// No key at all: after this nothing verifies.
    pub(crate) fn none(generation: u64) -> Self {
        Self {
            generation,
            ..Self::default()
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.by_kid.is_empty()
    }

    pub(crate) fn find(&self, kid: &str) -> Option<&DecodingKey> {
        self.by_kid.get(kid)
    }
}

fn usable(value: &serde_json::Value) -> Option<(String, DecodingKey)> {
    let jwk = Jwk::deserialize(value).ok()?;
    let fits = jwk.kty == "EC"
        && jwk.crv == "P-256"
        && jwk.alg.is_none_or(|alg| alg == "ES256")
        && jwk.usage.is_none_or(|usage| usage == "sig");
    let (x, y) = (coordinate(&jwk.x?)?, coordinate(&jwk.y?)?);
    // The uncompressed point of SEC 1 §2.3.3.
    let mut point = Vec::with_capacity(65);
    point.push(0x04);
    point.extend_from_slice(&x);
    point.extend_from_slice(&y);
    fits.then_some((jwk.kid?, DecodingKey::from_ec_der(&point)))
}

fn coordinate(text: &str) -> Option<[u8; 32]> {
    URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()
}
