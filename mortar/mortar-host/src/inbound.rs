//! Who may call a brick that stands behind the proxy: the rules of the SDK's groups of routes.

use std::sync::Arc;

use brick_auth::{Claims, Error, IDENTITY_HEADER, Refusal, Shown, Verifier};
use brick_core::host::Allow;
use http::HeaderMap;
use mortar_proxy::{Answer, CalledBy, Gate, Passing, Verdict, token};

/// Marks the routes that the proxy answers itself.
#[derive(Debug)]
pub(crate) struct Own;

/// The rules of one brick.
#[derive(Debug)]
pub(crate) struct InboundGate {
    allow: Allow,
    /// Scope that a calling brick needs, `call:<brick>`.
    call_scope: String,
    verifier: Verifier,
}

impl InboundGate {
    pub(crate) fn new(brick: &str, allow: Allow, verifier: Verifier) -> Self {
        Self {
            allow,
            call_scope: format!("call:{brick}"),
            verifier,
        }
    }

    /// Lets the request pass or refuses it; gives whose identity it shows, where that is valid.
    fn check(&self, headers: &HeaderMap) -> Result<Option<Arc<Claims>>, Answer> {
        if self.allow == Allow::Public {
            return Ok(self.identity(headers).and_then(Result::ok));
        }
        let user = || self.user(headers);
        let platform = || self.identity(headers);
        match brick_auth::admit(self.allow, &self.call_scope, user, platform) {
            Ok(admitted) => Ok(admitted.platform),
            Err(Refusal::Token(error)) => Err(token::refused(&error)),
            Err(Refusal::Scope(scope)) => Err(token::scope_missing(&scope)),
        }
    }

    fn user(&self, headers: &HeaderMap) -> Shown {
        match token::bearer(headers) {
            Ok(text) => Some(self.verifier.user(text)),
            Err(Error::Missing) if !headers.contains_key(http::header::AUTHORIZATION) => None,
            Err(error) => Some(Err(error)),
        }
    }

    fn identity(&self, headers: &HeaderMap) -> Shown {
        let value = headers.get(IDENTITY_HEADER)?;
        // A value that is no text is no token either: the empty one is refused.
        Some(self.verifier.platform(value.to_str().unwrap_or_default()))
    }
}

impl Gate for InboundGate {
    type Note = ();

    fn admit(&self, passing: &mut Passing<'_>, (): &mut ()) -> Result<Verdict, Answer> {
        if passing.route.attached.get::<Own>().is_some() {
            return Ok(Verdict::Forward);
        }
        if let Some(claims) = self.check(&passing.head.headers)? {
            let brick = claims.brick.as_deref().map(Arc::from);
            passing.head.extensions.insert(CalledBy(brick));
        }
        Ok(Verdict::Forward)
    }
}
