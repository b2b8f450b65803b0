//! Who may call a brick that stands behind the proxy: the rules of the SDK's groups of routes.

use std::sync::Arc;

use brick_auth::{Claims, Error, IDENTITY_HEADER, Verifier};
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

/// A token that came along: none, a good one, or why it is bad.
type Shown = Option<Result<Arc<Claims>, Error>>;

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
        let platform = self.identity(headers);
        let user = || self.user(headers);
        match self.allow {
            Allow::Public => Ok(platform.and_then(Result::ok)),
            Allow::Users => {
                required(user())?;
                optional(platform)
            }
            Allow::Bricks => {
                let caller = self.may_call(required(platform)?)?;
                optional(user())?;
                Ok(Some(caller))
            }
            Allow::UsersOrBricks => match optional(user())? {
                Some(_) => optional(platform),
                None => self.may_call(required(platform)?).map(Some),
            },
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

    fn may_call(&self, claims: Arc<Claims>) -> Result<Arc<Claims>, Answer> {
        match claims.has_scope(&self.call_scope) {
            true => Ok(claims),
            false => Err(token::scope_missing(&self.call_scope)),
        }
    }
}

fn required(shown: Shown) -> Result<Arc<Claims>, Answer> {
    shown
        .unwrap_or(Err(Error::Missing))
        .map_err(|error| token::refused(&error))
}

fn optional(shown: Shown) -> Result<Option<Arc<Claims>>, Answer> {
    shown.transpose().map_err(|error| token::refused(&error))
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
