//! The edge's rules: user tokens where a route asks for them, whatever host the client names.

use brick_auth::Verifier;
use http::request::Parts;
use mortar_proxy::{Access, Answer, Gate, Route};

use crate::{cookie, synthetic, token};

/// Checks user tokens, which travel on unchanged: bricks verify them again. Tells synthetic traffic from the rest.
#[derive(Debug)]
pub struct EdgeGate {
    verifier: Verifier,
}

impl EdgeGate {
    /// With the keys of the system's issuer.
    pub fn new(verifier: Verifier) -> Self {
        Self { verifier }
    }
}

impl Gate for EdgeGate {
    fn admit(&self, head: &mut Parts, route: &Route) -> Result<(), Answer> {
        cookie::take(&mut head.headers);
        if let Some(synthetic) = synthetic::claimed(&head.headers, &self.verifier) {
            head.extensions.insert(synthetic);
        }
        match route.access {
            Access::Public => Ok(()),
            Access::User => {
                let text = token::bearer(&head.headers).map_err(|e| token::refused(&e))?;
                self.verifier.user(text).map_err(|e| token::refused(&e))?;
                Ok(())
            }
            Access::Operator => Err(token::scope_missing("admin")),
        }
    }
}
