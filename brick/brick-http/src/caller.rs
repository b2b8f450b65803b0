//! Who calls, as a handler sees it.

use std::convert::Infallible;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use brick_auth::Claims;
use http::request::Parts;

/// Who calls: the user behind the request, the process that sent it, both or neither. An extractor that never fails;
/// what must be there is said by the group of the route ([`crate::Access`]).
#[derive(Debug, Clone, Default)]
pub struct Caller {
    pub(crate) user: Option<Arc<Claims>>,
    pub(crate) platform: Option<Arc<Claims>>,
}

impl Caller {
    pub(crate) fn operator(claims: Arc<Claims>) -> Self {
        Self {
            user: None,
            platform: Some(claims),
        }
    }

    /// The user behind the request, verified.
    pub fn user(&self) -> Option<&Claims> {
        self.user.as_deref()
    }

    /// The process that sent the request (or the operator, on routes for admins), verified.
    pub fn brick(&self) -> Option<&Claims> {
        self.platform.as_deref()
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(parts.extensions.get::<Self>().cloned().unwrap_or_default())
    }
}
