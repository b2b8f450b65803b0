//! Makes tokens, each kind with its audience, subject and scopes.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use brick_auth::Claims;
use brick_bus::{Resource, TrustBundle};
use serde::{Deserialize, Serialize};
use serde_json::json;
use uuid::Uuid;

use crate::key::SigningKey;
use crate::{Error, Options, Secret};

/// Scopes of the agent.
pub(crate) const AGENT_SCOPES: &str = "agent admin call:* bus";
/// Subject of operators' tokens.
pub(crate) const OPERATOR: &str = "operator";
/// Scope of operators.
pub(crate) const ADMIN: &str = "admin";

/// A token and how long it lives.
#[derive(Debug, Clone)]
pub struct Issued {
    /// The JWT.
    pub token: Secret,
    /// Its life.
    pub expires_in: Duration,
    /// Its scopes, space-separated.
    pub scope: String,
}

/// Whom a token is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Audience {
    /// Users of the system.
    User,
    /// The platform.
    Platform,
}

#[derive(Debug)]
pub(crate) struct Issuer {
    key: SigningKey,
    system: String,
    token_ttl_s: AtomicU64,
    operator_ttl: Duration,
}

impl Issuer {
    pub(crate) fn new(key: SigningKey, options: &Options) -> Self {
        Self {
            key,
            system: options.system.clone(),
            token_ttl_s: AtomicU64::new(options.token_ttl.as_secs()),
            operator_ttl: options.operator_ttl,
        }
    }

    /// The configured constant, not a URL that moves with ports.
    pub(crate) fn name(&self) -> String {
        format!("urn:brickwork:{}", self.system)
    }

    pub(crate) fn jwks(&self) -> serde_json::Value {
        json!({ "keys": [self.key.jwk()] })
    }

    pub(crate) fn trust_bundle(&self) -> TrustBundle {
        TrustBundle {
            issuer: self.name(),
            system: self.system.clone(),
            jwks: self.jwks(),
        }
    }

    pub(crate) fn trust_resource(&self) -> Result<Resource, Error> {
        Ok(Resource {
            name: brick_auth::TRUST_BUNDLE.to_owned(),
            revision: 0,
            value: serde_json::to_value(self.trust_bundle()).map_err(|_| Error::Sign)?,
        })
    }

    pub(crate) fn token_ttl(&self) -> Duration {
        Duration::from_secs(self.token_ttl_s.load(Ordering::Relaxed))
    }

    pub(crate) fn set_token_ttl(&self, ttl: Duration) {
        self.token_ttl_s.store(ttl.as_secs().max(1), Ordering::Relaxed);
    }

    pub(crate) fn operator_ttl(&self) -> Duration {
        self.operator_ttl
    }

    pub(crate) fn user(&self, subject: &str, scope: &str, ttl: Duration) -> Result<Issued, Error> {
        self.sign(Audience::User, subject, scope, ttl, Claims::default())
    }

    pub(crate) fn platform(&self, subject: &str, scope: &str, ttl: Duration) -> Result<Issued, Error> {
        self.sign(Audience::Platform, subject, scope, ttl, Claims::default())
    }

    pub(crate) fn process(&self, brick: &str, incarnation: &str, scope: &str) -> Result<Issued, Error> {
        let who = Claims {
            brick: Some(brick.to_owned()),
            incarnation: Some(incarnation.to_owned()),
            ..Claims::default()
        };
        let subject = format!("brick:{brick}");
        self.sign(Audience::Platform, &subject, scope, self.token_ttl(), who)
    }

    pub(crate) fn operator(&self) -> Result<Issued, Error> {
        self.platform(OPERATOR, ADMIN, self.operator_ttl)
    }

    fn sign(
        &self,
        audience: Audience,
        subject: &str,
        scope: &str,
        ttl: Duration,
        claims: Claims,
    ) -> Result<Issued, Error> {
        let now = unix_seconds();
        let claims = Claims {
            iss: self.name(),
            aud: vec![match audience {
                Audience::User => self.system.clone(),
                Audience::Platform => format!("{}:platform", self.system),
            }],
            sub: subject.to_owned(),
            scope: scope.to_owned(),
            iat: now,
            exp: now + ttl.as_secs(),
            jti: Some(Uuid::now_v7().to_string()),
            ..claims
        };
        Ok(Issued {
            token: Secret::new(self.key.sign(&claims)?),
            expires_in: Duration::from_secs(ttl.as_secs()),
            scope: claims.scope,
        })
    }
}

pub(crate) fn unix_seconds() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

/// The same as the signed number that databases hold.
pub(crate) fn now_s() -> i64 {
    i64::try_from(unix_seconds()).unwrap_or(i64::MAX)
}
