//! What somebody shows with a request of a protocol whose clients know no tokens: a registered client's name and secret
//! (HTTP Basic, RFC 7617), or a platform token all the same.

use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use brick_http::Problem;
use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, StatusCode};

use crate::Error;
use crate::service::Handle;

/// Who somebody is, and what they may.
#[derive(Debug, Clone)]
pub(crate) struct Shown {
    /// Subject of the token; `client:NAME` of a registered client.
    pub(crate) who: String,
    /// Scopes, apart by blanks.
    pub(crate) scopes: String,
    /// The brick whose process it is, in process tokens.
    pub(crate) brick: Option<String>,
}

/// A refusal; one for want of credentials says which are taken.
#[derive(Debug)]
pub(crate) struct Refused(pub(crate) Problem);

impl Shown {
    /// What the request shows; its use of this area is counted.
    pub(crate) async fn of(
        handle: &Handle,
        headers: &HeaderMap,
        area: &'static str,
        write: bool,
    ) -> Result<Self, Refused> {
        let shown = Self::read(handle, headers).await?;
        handle.uses().add(&shown.who, area, write);
        Ok(shown)
    }

    async fn read(handle: &Handle, headers: &HeaderMap) -> Result<Self, Refused> {
        if let Some((name, secret)) = basic(headers) {
            let scopes = match &handle.options().clients {
                Some(clients) => clients(name.clone(), secret).await,
                None => None,
            };
            let scopes = scopes.ok_or_else(|| {
                let hint = "unknown client or wrong secret; `POST /api/identity/v1/clients` registers one";
                Problem::unauthorized("client_invalid", hint)
            })?;
            let who = format!("client:{name}");
            return Ok(Self {
                who,
                scopes,
                brick: None,
            });
        }
        let token = brick_auth::bearer(headers).ok_or_else(|| {
            let hint = "expected a registered client's name and secret (Basic) or a platform token (Bearer)";
            Problem::unauthorized("token_missing", hint)
        })?;
        let claims = handle.verifier().platform(token).map_err(Problem::from)?;
        Ok(Self {
            who: claims.sub.clone(),
            scopes: claims.scope.clone(),
            brick: claims.brick.clone(),
        })
    }

    /// Whether one of the scopes is as wanted.
    pub(crate) fn has(&self, wanted: impl Fn(&str) -> bool) -> bool {
        self.scopes.split_ascii_whitespace().any(wanted)
    }
}

/// Name and secret of a field `Authorization: Basic …`.
pub(crate) fn basic(headers: &HeaderMap) -> Option<(String, String)> {
    let (scheme, encoded) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    let decoded = scheme
        .eq_ignore_ascii_case("basic")
        .then(|| STANDARD.decode(encoded.trim()).ok())??;
    let text = String::from_utf8(decoded).ok()?;
    let (name, secret) = text.split_once(':')?;
    Some((name.to_owned(), secret.to_owned()))
}

impl From<Problem> for Refused {
    fn from(problem: Problem) -> Self {
        Self(problem)
    }
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        Self(error.into())
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let mut answer = self.0.into_response();
        if answer.status() == StatusCode::UNAUTHORIZED {
            let taken = HeaderValue::from_static("Basic realm=\"brickwork\", charset=\"UTF-8\"");
            answer.headers_mut().insert(WWW_AUTHENTICATE, taken);
        }
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(value: &'static str) -> Option<(String, String)> {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, HeaderValue::from_static(value));
        basic(&headers)
    }

    #[test]
    fn name_and_secret_are_read_and_what_is_neither_is_not() {
        let pair = |name: &str, secret: &str| Some((name.to_owned(), secret.to_owned()));
        // `Aladdin:open sesame` of RFC 7617 §2; a secret may hold colons.
        assert_eq!(
            shown("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="),
            pair("Aladdin", "open sesame")
        );
        assert_eq!(shown("basic YTpiOmM="), pair("a", "b:c"));
        for bad in ["Bearer QWxhZGRpbg==", "Basic", "Basic ===", "Basic YQ=="] {
            assert_eq!(shown(bad), None, "{bad}");
        }
    }
}
