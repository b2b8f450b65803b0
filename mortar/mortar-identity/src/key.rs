//! The issuer's key pair: P-256, ES256 signatures (RFC 7518 §3.4), named by its thumbprint (RFC 7638).

use aws_lc_rs::digest;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use serde_json::{Value, json};

use crate::Error;

/// A private key that signs tokens.
#[derive(Debug)]
pub(crate) struct SigningKey {
    pair: EcdsaKeyPair,
    kid: String,
    jwk: Value,
    header: String,
}

impl SigningKey {
    /// Makes a key pair; gives it as PKCS#8.
    pub(crate) fn generate() -> Result<Vec<u8>, Error> {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)
            .and_then(|pair| pair.to_pkcs8v1())
            .map_err(|_| Error::Key("the issuer's key pair cannot be made"))?;
        Ok(pair.as_ref().to_vec())
    }

    /// Reads PKCS#8.
    pub(crate) fn read(pkcs8: &[u8]) -> Result<Self, Error> {
        const DAMAGED: Error = Error::Key("the stored key pair of the issuer is damaged: it is no P-256 key");
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8).map_err(|_| DAMAGED)?;
        // An uncompressed point: 0x04, x, y (SEC 1 §2.3.3).
        let point = pair.public_key().as_ref();
        let (Some(4), 65) = (point.first(), point.len()) else {
            return Err(DAMAGED);
        };
        let (x, y) = (
            URL_SAFE_NO_PAD.encode(&point[1..33]),
            URL_SAFE_NO_PAD.encode(&point[33..]),
        );
        // The members in the order and form that RFC 7638 §3 hashes.
        let canonical = format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#);
        let kid = URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, canonical.as_bytes()));
        let jwk = json!({
            "kty": "EC", "crv": "P-256", "x": x, "y": y, "kid": kid, "use": "sig", "alg": "ES256",
        });
        let header = format!(r#"{{"alg":"ES256","typ":"JWT","kid":"{kid}"}}"#);
        Ok(Self {
            header: URL_SAFE_NO_PAD.encode(header),
            pair,
            kid,
            jwk,
        })
    }

    pub(crate) fn kid(&self) -> &str {
        &self.kid
    }

    /// The public half.
    pub(crate) fn jwk(&self) -> &Value {
        &self.jwk
    }

    /// A compact JWS of the claims (RFC 7515 §7.1).
    pub(crate) fn sign(&self, claims: &impl Serialize) -> Result<String, Error> {
        let payload = serde_json::to_vec(claims).map_err(|_| Error::Sign)?;
        let message = format!("{}.{}", self.header, URL_SAFE_NO_PAD.encode(payload));
        let signature = self
            .pair
            .sign(&SystemRandom::new(), message.as_bytes())
            .map_err(|_| Error::Sign)?;
        Ok(format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}
