//! Tokens in requests: where they stand, and the answer to a caller who may not.

use std::sync::Arc;

use brick_wire::Problem;
use http::HeaderMap;
use http::header::AUTHORIZATION;

use crate::{Claims, Error, Verifier};

/// The token of `Authorization: Bearer …` (RFC 6750 §2.1).
pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

impl Verifier {
    /// The claims of the request's platform token where it grants one of `scopes`; else the answer: 401 without a
    /// token that counts, 403 without the scope.
    pub fn platform_bearer(&self, headers: &HeaderMap, scopes: &[&str]) -> Result<Arc<Claims>, Problem> {
        let claims = self.platform(bearer(headers).ok_or(Error::Missing)?)?;
        if scopes.iter().any(|scope| claims.has_scope(scope)) {
            return Ok(claims);
        }
        let wanted = scopes.join("\" or \"");
        Err(Problem::forbidden(
            "scope_missing",
            format!(
                "expected a platform token with scope \"{wanted}\", found \"{}\"",
                claims.scope
            ),
        ))
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        if error.is_unavailable() {
            Self::unavailable(error.code(), error.to_string())
        } else {
            Self::unauthorized(error.code(), error.to_string())
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn the_scheme_is_read_in_any_case_and_an_empty_token_is_none() {
        let check = |value: &'static str, expect: Option<&str>| {
            let mut headers = HeaderMap::new();
            headers.insert(AUTHORIZATION, HeaderValue::from_static(value));
            assert_eq!(bearer(&headers), expect, "{value}");
        };
        check("Bearer a.b.c", Some("a.b.c"));
        check("bearer  a.b.c", Some("a.b.c"));
        check("Bearer ", None);
        check("Basic a", None);
        check("a.b.c", None);
    }
}
