//! Tokens in requests, and the answers to those that are not believed (RFC 6750).

use brick_auth::Error;
use http::header::{AUTHORIZATION, HeaderValue, WWW_AUTHENTICATE};
use http::{HeaderMap, StatusCode};

use crate::Answer;

/// The token of `Authorization: Bearer`. Two such fields are no token: which one counts would be a guess.
///
/// # Errors
/// There is none, or the field is malformed.
pub fn bearer(headers: &HeaderMap) -> Result<&str, Error> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let value = values.next().ok_or(Error::Missing)?;
    if values.next().is_some() {
        return Err(Error::Malformed("more than one Authorization field came"));
    }
    let text = value
        .to_str()
        .map_err(|_| Error::Malformed("the Authorization field is no text"))?;
    match text.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => Ok(token.trim()),
        _ => Err(Error::Missing),
    }
}

/// 401 with a challenge; 503 where the fault is on this side.
pub fn refused(error: &Error) -> Answer {
    if error.is_unavailable() {
        return Answer::new(StatusCode::SERVICE_UNAVAILABLE, error.code(), error.to_string())
            .with_header(http::header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    let challenge = match error {
        Error::Missing => HeaderValue::from_static("Bearer"),
        _ => HeaderValue::from_static("Bearer error=\"invalid_token\""),
    };
    Answer::new(StatusCode::UNAUTHORIZED, error.code(), error.to_string())
        .with_header(WWW_AUTHENTICATE, challenge)
}

/// 403: the token is good, and does not grant this.
pub fn scope_missing(scope: &str) -> Answer {
    Answer::new(
        StatusCode::FORBIDDEN,
        "scope_missing",
        format!("the token does not grant the scope \"{scope}\""),
    )
    .with_header(
        WWW_AUTHENTICATE,
        HeaderValue::from_static("Bearer error=\"insufficient_scope\""),
    )
}

/// 403: the token is good, and made for others.
pub fn audience_missing(audience: &str) -> Answer {
    Answer::new(
        StatusCode::FORBIDDEN,
        "audience_missing",
        format!("the token is not made for the audience \"{audience}\""),
    )
    .with_header(
        WWW_AUTHENTICATE,
        HeaderValue::from_static("Bearer error=\"invalid_token\""),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exactly_one_bearer_token_is_a_token() {
        let check = |values: &[&str], expect: Option<&str>| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(AUTHORIZATION, value.parse().unwrap());
            }
            assert_eq!(bearer(&headers).ok(), expect, "{values:?}");
        };
        check(&["Bearer abc"], Some("abc"));
        check(&["bearer abc"], Some("abc"));
        check(&[], None);
        check(&["Basic abc"], None);
        check(&["abc"], None);
        check(&["Bearer abc", "Bearer def"], None);
    }
}
