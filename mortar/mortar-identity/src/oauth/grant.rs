//! What the token endpoint grants, and to whom.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use http::header::AUTHORIZATION;

use super::Refusal;
use crate::clients::{self, Refused};
use crate::service::Inner;
use crate::{Issued, Secret};

pub(super) const CLIENT_CREDENTIALS: &str = "client_credentials";
pub(super) const TOKEN_EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
/// RFC 8693 §3.
pub(super) const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";
/// Scope of process tokens that may issue tokens to users.
const ISSUE: &str = "identity:issue";
const SUBJECT_BYTES_MAX: usize = 255;

#[derive(Debug)]
pub(super) struct Granted {
    pub(super) issued: Issued,
    pub(super) exchanged: bool,
}

/// The parameters of a request; one given twice is refused (RFC 6749 §3.2).
struct Form(BTreeMap<String, String>);

pub(super) async fn grant(inner: &Inner, headers: &HeaderMap, body: &[u8]) -> Result<Granted, Refusal> {
    let form = Form::parse(body)?;
    match form.need("grant_type")? {
        CLIENT_CREDENTIALS => client_credentials(inner, headers, &form).await,
        TOKEN_EXCHANGE => exchange(inner, &form),
        other => {
            let found: String = other.chars().take(80).collect();
            Err(Refusal::new(
                "unsupported_grant_type",
                format!("expected \"{CLIENT_CREDENTIALS}\" or \"{TOKEN_EXCHANGE}\", found \"{found}\""),
            ))
        }
    }
}

/// RFC 6749 §4.4.
async fn client_credentials(inner: &Inner, headers: &HeaderMap, form: &Form) -> Result<Granted, Refusal> {
    let (id, secret) = credentials(headers, form)?;
    let client =
        clients::authenticate(inner, &id, secret.expose())
            .await
            .map_err(|refused| match refused {
                Refused::Invalid => Refusal::new("invalid_client", "unknown client or wrong secret"),
                Refused::Wait(wait) => Refusal::wait(wait),
                Refused::Internal(error) => error.into(),
            })?;
    let scope = match form.get("scope") {
        None => client.scopes,
        Some(wanted) => subset(wanted, &client.scopes)?,
    };
    let issued = inner
        .issuer
        .platform(&client.subject, &scope, inner.issuer.token_ttl())?;
    Ok(Granted {
        issued,
        exchanged: false,
    })
}

/// RFC 8693 §2: a process that may issue tokens gets one for a user.
fn exchange(inner: &Inner, form: &Form) -> Result<Granted, Refusal> {
    let kind = form.get("subject_token_type").unwrap_or(ACCESS_TOKEN);
    if kind != ACCESS_TOKEN && kind != JWT {
        let hint = format!("expected subject_token_type \"{ACCESS_TOKEN}\" or \"{JWT}\"");
        return Err(Refusal::new("invalid_request", hint));
    }
    let claims = inner
        .verifier
        .platform(form.need("subject_token")?)
        .map_err(|error| {
            Refusal::new(
                "invalid_grant",
                format!("the subject_token is not believed: {error}"),
            )
        })?;
    if !claims.has_scope(ISSUE) {
        let hint =
            format!("the subject_token lacks scope \"{ISSUE}\"; add it to the brick's scopes in brick.toml");
        return Err(Refusal::new("unauthorized_client", hint));
    }
    let subject = form.need("requested_subject")?;
    if subject.len() > SUBJECT_BYTES_MAX || subject.chars().any(char::is_control) {
        let hint = format!(
            "expected a requested_subject of at most {SUBJECT_BYTES_MAX} bytes without control characters"
        );
        return Err(Refusal::new("invalid_request", hint));
    }
    let scope = valid_scopes(form.get("scope").unwrap_or_default())?;
    let issued = inner.issuer.user(subject, &scope, inner.issuer.token_ttl())?;
    Ok(Granted {
        issued,
        exchanged: true,
    })
}

/// Name and secret from `Authorization: Basic` or from the form (RFC 6749 §2.3.1), never from both.
fn credentials(headers: &HeaderMap, form: &Form) -> Result<(String, Secret), Refusal> {
    let in_form = form.get("client_secret").is_some();
    let Some(header) = headers.get(AUTHORIZATION) else {
        let missing = |_| {
            let hint =
                "expected the client's name and secret, as HTTP Basic or as client_id and client_secret";
            Refusal::new("invalid_client", hint)
        };
        let id = form.need("client_id").map_err(missing)?;
        let secret = form.need("client_secret").map_err(missing)?;
        return Ok((id.to_owned(), Secret::new(secret)));
    };
    if in_form {
        let hint = "the client's secret stands in header and form; send one of them";
        return Err(Refusal::new("invalid_request", hint));
    }
    let basic = header
        .to_str()
        .ok()
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("basic"))
        .and_then(|(_, encoded)| STANDARD.decode(encoded.trim()).ok())
        .and_then(|bytes| String::from_utf8(bytes).ok());
    let pair = basic.as_deref().and_then(|text| text.split_once(':'));
    let decoded = pair.and_then(|(id, secret)| Some((decode(id.as_bytes())?, decode(secret.as_bytes())?)));
    decoded
        .map(|(id, secret)| (id, Secret::new(secret)))
        .ok_or_else(|| {
            Refusal::new(
                "invalid_client",
                "the Authorization header is no HTTP Basic (RFC 7617)",
            )
        })
}

/// The wanted scopes where all of them are granted.
fn subset(wanted: &str, granted: &str) -> Result<String, Refusal> {
    let scopes = valid_scopes(wanted)?;
    let missing = scopes
        .split_ascii_whitespace()
        .find(|scope| !granted.split_ascii_whitespace().any(|other| other == *scope));
    match missing {
        None => Ok(scopes),
        Some(scope) => Err(Refusal::new(
            "invalid_scope",
            format!("this client may not have scope \"{scope}\""),
        )),
    }
}

fn valid_scopes(text: &str) -> Result<String, Refusal> {
    let scopes: Vec<&str> = text.split_ascii_whitespace().collect();
    if scopes.len() <= 64 && scopes.iter().all(|scope| clients::is_valid_scope(scope)) {
        return Ok(scopes.join(" "));
    }
    let hint = "expected at most 64 scopes of printable ASCII, separated by spaces";
    Err(Refusal::new("invalid_scope", hint))
}

impl Form {
    fn parse(body: &[u8]) -> Result<Self, Refusal> {
        let invalid = |hint: String| Refusal::new("invalid_request", hint);
        let mut pairs = BTreeMap::new();
        for pair in body.split(|b| *b == b'&').filter(|pair| !pair.is_empty()) {
            let mut halves = pair.splitn(2, |b| *b == b'=');
            let name = halves.next().and_then(decode);
            let value = decode(halves.next().unwrap_or_default());
            let (Some(name), Some(value)) = (name, value) else {
                return Err(invalid("the form is not well encoded".to_owned()));
            };
            // A parameter without a value counts as left out (RFC 6749 §3.2).
            if value.is_empty() {
                continue;
            }
            let shown: String = name.chars().take(40).collect();
            if pairs.insert(name, value).is_some() {
                return Err(invalid(format!("parameter \"{shown}\" is given twice")));
            }
        }
        Ok(Self(pairs))
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    fn need(&self, name: &'static str) -> Result<&str, Refusal> {
        self.get(name)
            .ok_or_else(|| Refusal::new("invalid_request", format!("parameter \"{name}\" is missing")))
    }
}

/// `application/x-www-form-urlencoded`; none where it is not well formed or no UTF-8.
fn decode(text: &[u8]) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.iter();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digit = |b: &u8| char::from(*b).to_digit(16);
                let (high, low) = (digit(rest.next()?)?, digit(rest.next()?)?);
                u8::try_from(high * 16 + low).ok()?
            }
            other => *other,
        });
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn forms_are_read_as_they_are_written() {
        let form = Form::parse(b"grant_type=a%20b+c&empty=&x=%C3%BC").unwrap();
        assert_eq!(form.get("grant_type"), Some("a b c"));
        assert_eq!((form.get("empty"), form.get("x")), (None, Some("ü")));
        for bad in [&b"a=1&a=2"[..], b"a=%2", b"a=%zz", b"a=%ff"] {
            assert!(Form::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn only_granted_scopes_are_given() {
        assert_eq!(subset("bus  admin", "agent admin bus").unwrap(), "bus admin");
        assert!(subset("bus root", "agent admin bus").is_err());
        assert!(subset("call:order", "call:*").is_err());
    }

    proptest! {
        #[test]
        fn no_form_makes_the_parser_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Form::parse(&bytes);
        }
    }
}
