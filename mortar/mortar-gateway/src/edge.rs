//! The edge's rules: user tokens where a route asks for them, whatever host the client names.

use brick_auth::Verifier;
use mortar_proxy::{Access, Answer, Gate, Passing, Verdict};

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
    type Note = ();

    fn admit(&self, passing: &mut Passing<'_>, (): &mut ()) -> Result<Verdict, Answer> {
        let head = &mut *passing.head;
        cookie::take(&mut head.headers);
        if let Some(synthetic) = synthetic::claimed(&head.headers, &self.verifier) {
            head.extensions.insert(synthetic);
        }
        match passing.route.access {
            Access::Public => Ok(Verdict::Forward),
            Access::User => {
                let text = token::bearer(&head.headers).map_err(|e| token::refused(&e))?;
                self.verifier.user(text).map_err(|e| token::refused(&e))?;
                Ok(Verdict::Forward)
            }
            Access::Operator => Err(token::scope_missing("admin")),
        }
    }
}
