//! Who asks for configuration, and what they may see.

use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use brick_auth::{Claims, bearer};
use brick_http::Problem;
use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, StatusCode};

use crate::bus::view::SECRETS;
use crate::config::repository::files::ENDINGS;
use crate::config::repository::layer::SHARED;
use crate::service::Handle;

/// Scope that reads every application, without its secrets.
const READ: &str = "config:read";
/// Scope that reads one application with its secrets; its name follows.
const APPLICATION: &str = "config:app:";

/// What somebody may read.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Reader {
    all: bool,
    secrets: bool,
    own: Vec<String>,
}

/// A refusal; one for want of credentials says which are taken.
#[derive(Debug)]
pub(crate) struct Refused(pub(crate) Problem);

impl Reader {
    /// Whoever sent the request: a platform token, or a registered client by HTTP Basic.
    pub(super) async fn of(handle: &Handle, headers: &HeaderMap) -> Result<Self, Refused> {
        if let Some((name, secret)) = basic(headers) {
            let scopes = match &handle.options().clients {
                Some(clients) => clients(name, secret).await,
                None => None,
            };
            let scope = scopes.ok_or_else(|| {
                let hint = "unknown client or wrong secret; `POST /api/identity/v1/clients` registers one";
                Refused(Problem::unauthorized("client_invalid", hint))
            })?;
            return Ok(Self::with(&scope, None));
        }
        let token = bearer(headers).ok_or_else(|| {
            let hint = "expected a platform token (Authorization: Bearer) or a registered client's name and secret (Basic)";
            Refused(Problem::unauthorized("token_missing", hint))
        })?;
        let claims = handle.verifier().platform(token);
        let claims = claims.map_err(|error| Refused(error.into()))?;
        Ok(Self::of_claims(&claims))
    }

    fn of_claims(claims: &Claims) -> Self {
        Self::with(&claims.scope, claims.brick.clone())
    }

    fn with(scope: &str, brick: Option<String>) -> Self {
        let scopes = || scope.split_ascii_whitespace();
        let has = |wanted: &str| scopes().any(|one| one == wanted);
        let named = scopes().filter_map(|one| one.strip_prefix(APPLICATION).map(str::to_owned));
        Self {
            all: has("admin") || has("agent") || has(READ) || has(SECRETS),
            secrets: has("agent") || has(SECRETS),
            own: brick.into_iter().chain(named).collect(),
        }
    }

    fn owns(&self, application: &str) -> bool {
        self.own.iter().any(|own| own == application)
    }

    /// Whether they may read an application's configuration.
    pub(super) fn may(&self, application: &str) -> Result<(), Refused> {
        if self.all || self.owns(application) {
            return Ok(());
        }
        let hint =
            format!("expected scope {READ}, or {APPLICATION}{application}, or to be {application} itself");
        Err(Refused(Problem::forbidden("scope_missing", hint)))
    }

    /// Whether they may see its secrets.
    pub(super) fn sees_secrets(&self, application: &str) -> bool {
        self.secrets || self.owns(application)
    }

    /// Whether they may read a file as it is: of who reads one application alone its own folder, and its own and
    /// everybody's files of values.
    pub(super) fn may_file(&self, application: &str, path: &str) -> Result<(), Refused> {
        let name = path.rsplit('/').next().unwrap_or_default();
        let of = |application: &str| {
            let stem = name
                .rsplit_once('.')
                .filter(|(_, ending)| ENDINGS.contains(ending));
            stem.is_some_and(|(stem, _)| {
                !path.contains('/') && (stem == application || stem.starts_with(&format!("{application}-")))
            })
        };
        let in_own = path.starts_with(&format!("{application}/")) && !path.contains("..");
        if self.all || in_own || of(application) || of(SHARED) {
            return Ok(());
        }
        let hint =
            format!("expected scope {READ}, or a file of {application}: {application}/…, {application}.yml");
        Err(Refused(Problem::forbidden("scope_missing", hint)))
    }
}

fn basic(headers: &HeaderMap) -> Option<(String, String)> {
    let (scheme, encoded) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    let decoded = scheme
        .eq_ignore_ascii_case("basic")
        .then(|| STANDARD.decode(encoded.trim()).ok())??;
    let text = String::from_utf8(decoded).ok()?;
    let (name, secret) = text.split_once(':')?;
    Some((name.to_owned(), secret.to_owned()))
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

    #[test]
    fn a_reader_sees_what_its_scopes_say() {
        let check = |scope: &str, brick: Option<&str>, application: &str, reads: bool, secrets: bool| {
            let reader = Reader::with(scope, brick.map(str::to_owned));
            let found = (reader.may(application).is_ok(), reader.sees_secrets(application));
            assert_eq!(found, (reads, secrets), "{scope} {brick:?} {application}");
        };
        check("bus", Some("order"), "order", true, true);
        check("bus", Some("order"), "payment", false, false);
        check("admin", None, "order", true, false);
        check("config:read", None, "order", true, false);
        check("config:app:order", None, "order", true, true);
        check("config:app:order", None, "payment", false, false);
        check("config:secrets", None, "order", true, true);
        check("", None, "order", false, false);
    }

    #[test]
    fn files_of_others_are_not_read_as_text() {
        let own = Reader::with("bus", Some("order".to_owned()));
        for good in [
            "order/logback.xml",
            "order.yml",
            "order-eu.yml",
            "application.yml",
        ] {
            assert!(own.may_file("order", good).is_ok(), "{good}");
        }
        for bad in [
            "payment.yml",
            "payment/x",
            "x.xml",
            "order/../payment.yml",
            "orders.yml",
        ] {
            assert!(own.may_file("order", bad).is_err(), "{bad}");
        }
        assert!(
            Reader::with("config:read", None)
                .may_file("order", "x.xml")
                .is_ok()
        );
    }
}
