//! An issuer of tokens for tests: real ES256 keys, made anew for every test, and every kind of token that must be
//! refused.

use std::fmt;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use brickwork::auth::{Claims, TRUST_BUNDLE};
use brickwork::bus::{Resource, TrustBundle};
use serde::Serialize;
use serde_json::{Value, json};

const KID: &str = "test-key";
const LIFE_S: u64 = 900;

/// Signs tokens of one system. Cheap to clone.
#[derive(Clone)]
pub struct TestIssuer(Arc<Inner>);

struct Inner {
    system: String,
    pair: EcdsaKeyPair,
    /// A key that the bundle does not hold, under the same id.
    foreign: EcdsaKeyPair,
}

impl TestIssuer {
    /// With new keys. Panics where the system gives no random bytes.
    pub fn new(system: &str) -> Self {
        Self(Arc::new(Inner {
            system: system.to_owned(),
            pair: key(),
            foreign: key(),
        }))
    }

    /// The trust bundle, as the bus carries it.
    pub fn trust_bundle(&self) -> Resource {
        let bundle = TrustBundle {
            issuer: self.issuer(),
            system: self.0.system.clone(),
            jwks: self.jwks(),
        };
        Resource {
            name: TRUST_BUNDLE.to_owned(),
            revision: 1,
            value: json!(bundle),
        }
    }

    /// The public key, a JWK set (RFC 7517).
    pub fn jwks(&self) -> Value {
        // An uncompressed point (SEC 1 §2.3.3): 0x04, x, y.
        let point = self.0.pair.public_key().as_ref();
        json!({ "keys": [{
            "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": KID,
            "x": URL_SAFE_NO_PAD.encode(&point[1..33]), "y": URL_SAFE_NO_PAD.encode(&point[33..65]),
        }] })
    }

    /// A user's token that a brick of the system accepts.
    pub fn user_token(&self, subject: &str, scopes: &[&str]) -> String {
        self.sign(&self.user(subject, scopes))
    }

    /// A process's own token, as the agent would give it to this brick.
    pub fn process_token(&self, brick: &str, scopes: &[&str]) -> String {
        self.sign(&Claims {
            brick: Some(brick.to_owned()),
            ..self.platform(&format!("brick:{brick}"), scopes)
        })
    }

    /// An operator's token, with scope `admin`.
    pub fn operator_token(&self) -> String {
        self.sign(&self.platform("operator", &["admin"]))
    }

    /// A user's token whose time is over.
    pub fn expired(&self, subject: &str) -> String {
        let now = unix_seconds();
        self.sign(&Claims {
            iat: now.saturating_sub(2 * LIFE_S),
            exp: now.saturating_sub(LIFE_S),
            ..self.user(subject, &["customer"])
        })
    }

    /// A user's token for another system.
    pub fn for_other_audience(&self, subject: &str) -> String {
        self.sign(&Claims {
            aud: vec!["another-system".to_owned()],
            ..self.user(subject, &["customer"])
        })
    }

    /// A user's token of another issuer, signed by the right key.
    pub fn of_other_issuer(&self, subject: &str) -> String {
        self.sign(&Claims {
            iss: "urn:brickwork:another".to_owned(),
            ..self.user(subject, &["customer"])
        })
    }

    /// A user's token without a signature: algorithm `none` (RFC 7519 §6).
    pub fn none(&self, subject: &str) -> String {
        let header = part(&json!({ "alg": "none", "kid": KID }));
        format!("{header}.{}.", part(&self.user(subject, &["customer"])))
    }

    /// A user's token signed by a foreign key that bears the right id.
    pub fn foreign_key(&self, subject: &str) -> String {
        signed(&self.0.foreign, &self.user(subject, &["customer"]))
    }

    /// Signs whatever claims a test makes up.
    pub fn sign(&self, claims: &Claims) -> String {
        signed(&self.0.pair, claims)
    }

    fn issuer(&self) -> String {
        format!("urn:brickwork:{}", self.0.system)
    }

    fn user(&self, subject: &str, scopes: &[&str]) -> Claims {
        self.claims(self.0.system.clone(), subject, scopes)
    }

    fn platform(&self, subject: &str, scopes: &[&str]) -> Claims {
        self.claims(format!("{}:platform", self.0.system), subject, scopes)
    }

    fn claims(&self, audience: String, subject: &str, scopes: &[&str]) -> Claims {
        let now = unix_seconds();
        Claims {
            iss: self.issuer(),
            aud: vec![audience],
            sub: subject.to_owned(),
            scope: scopes.join(" "),
            exp: now + LIFE_S,
            iat: now,
            ..Claims::default()
        }
    }
}

impl fmt::Debug for TestIssuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestIssuer")
            .field("system", &self.0.system)
            .finish_non_exhaustive()
    }
}

fn key() -> EcdsaKeyPair {
    EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("the system gives random bytes")
}

fn signed(pair: &EcdsaKeyPair, claims: &Claims) -> String {
    let header = part(&json!({ "alg": "ES256", "typ": "JWT", "kid": KID }));
    let message = format!("{header}.{}", part(claims));
    let signature = pair
        .sign(&SystemRandom::new(), message.as_bytes())
        .expect("the system gives random bytes");
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref()))
}

fn part(value: &impl Serialize) -> String {
    URL_SAFE_NO_PAD.encode(json!(value).to_string())
}

fn unix_seconds() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use brickwork::auth::Verifier;
    use brickwork::bus::Watch;

    use super::*;

    #[test]
    fn good_tokens_are_believed_and_every_bad_one_is_refused_for_its_own_reason() {
        let issuer = TestIssuer::new("shop");
        let verifier = Verifier::new(Watch::fixed(vec![issuer.trust_bundle()]));
        let claims = verifier.user(&issuer.user_token("u1", &["customer"])).unwrap();
        assert_eq!((claims.sub.as_str(), claims.has_scope("customer")), ("u1", true));
        let claims = verifier
            .platform(&issuer.process_token("order", &["call:product"]))
            .unwrap();
        assert_eq!(claims.brick.as_deref(), Some("order"));
        assert!(
            verifier
                .platform(&issuer.operator_token())
                .unwrap()
                .has_scope("admin")
        );
        for (token, expect) in [
            (issuer.expired("u1"), "token_expired"),
            (issuer.for_other_audience("u1"), "token_audience"),
            (issuer.of_other_issuer("u1"), "token_issuer"),
            (issuer.none("u1"), "token_algorithm"),
            (issuer.foreign_key("u1"), "token_signature"),
            (issuer.process_token("order", &[]), "token_audience"),
        ] {
            assert_eq!(verifier.user(&token).unwrap_err().code(), expect);
        }
    }
}
