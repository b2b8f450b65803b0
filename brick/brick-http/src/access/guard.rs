//! The layer that lets a request pass or refuses it, and sets up the request's context.

use std::sync::Arc;

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use brick_auth::admit::required;
use brick_auth::{Admitted, Claims, Error, IDENTITY_HEADER, Refusal, Shown, Verifier};
use brick_core::host::Allow;
use brick_telemetry::context::{Baggage, SYNTHETIC, TraceState};
use http::header::{AUTHORIZATION, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, Method, StatusCode};

use super::{Rule, area_of};
use crate::context::{self, Context};
use crate::server::{Asked, Mark, remote_parent};
use crate::{Caller, Problem};

/// Field of a server span: the brick that sent the request, where it showed who it is.
const CALLER: &str = "brick.caller";

/// What a group's layer needs.
#[derive(Debug, Clone)]
pub(crate) struct Guard {
    verifier: Verifier,
    /// Scope that a calling brick needs, `call:<this brick>`.
    call_scope: Arc<str>,
    rule: Rule,
}

impl Guard {
    pub(crate) fn new(verifier: Verifier, brick: &str) -> Self {
        Self {
            verifier,
            call_scope: format!("call:{brick}").into(),
            rule: Rule::Public,
        }
    }

    pub(crate) fn with_rule(&self, rule: Rule) -> Self {
        Self { rule, ..self.clone() }
    }

    /// Whether the request shows a valid platform identity.
    pub(crate) fn is_platform(&self, headers: &HeaderMap) -> bool {
        identity(headers).is_some_and(|token| self.verifier.platform(token).is_ok())
    }

    /// Who operates: a bearer token, else the calling process's own.
    fn operator(&self, headers: &HeaderMap) -> Result<Arc<Claims>, Refusal> {
        let shown = bearer(headers).or_else(|| identity(headers).map(Ok));
        required(shown.map(|token| token.and_then(|token| self.verifier.platform(token))))
    }

    fn admit(&self, request: &Request) -> Result<Caller, Refusal> {
        let headers = request.headers();
        let user = || -> Shown { bearer(headers).map(|token| self.verifier.user(token?)) };
        let platform = || -> Shown { identity(headers).map(|token| self.verifier.platform(token)) };
        let admit = |allow| -> Result<Caller, Refusal> {
            let Admitted { user, platform } = brick_auth::admit(allow, &self.call_scope, user, platform)?;
            Ok(Caller { user, platform })
        };
        match &self.rule {
            Rule::Public => admit(Allow::Public),
            Rule::Users(scope) => {
                let caller = admit(Allow::Users)?;
                match (scope, caller.user()) {
                    (Some(scope), Some(user)) if !user.has_scope(scope) => Err(Refusal::Scope(scope.clone())),
                    _ => Ok(caller),
                }
            }
            Rule::Bricks => admit(Allow::Bricks),
            Rule::UsersOrBricks => admit(Allow::UsersOrBricks),
            Rule::Admin => {
                let claims = self.operator(headers)?;
                if !claims.has_scope("admin") {
                    return Err(Refusal::Scope("admin".to_owned()));
                }
                Ok(Caller::operator(claims))
            }
            Rule::Areas(areas) => {
                let claims = self.operator(headers)?;
                let route = request.extensions().get::<MatchedPath>();
                let area = route.and_then(|route| area_of(areas, route.as_str()));
                let write = !matches!(*request.method(), Method::GET | Method::HEAD);
                let right = if write { "write" } else { "read" };
                match area {
                    Some(area) if claims.may(area, write) => Ok(Caller::operator(claims)),
                    None if claims.has_scope("admin") => Ok(Caller::operator(claims)),
                    Some(area) => Err(Refusal::Scope(format!("{area}:{right}"))),
                    None => Err(Refusal::Scope("admin".to_owned())),
                }
            }
        }
    }
}

/// Lets the request pass with its [`Caller`] and its context, or refuses it.
pub(crate) async fn check(State(guard): State<Guard>, mut request: Request, next: Next) -> Response {
    let caller = match guard.admit(&request) {
        Ok(caller) => caller,
        Err(refusal) => return refused(&refusal),
    };
    let token = match (&caller.user, bearer(request.headers())) {
        (Some(_), Some(Ok(token))) => Some(Arc::from(token)),
        _ => None,
    };
    let baggage = baggage(request.headers(), caller.platform.is_some());
    if let Some(name) = caller
        .platform
        .as_deref()
        .and_then(|claims| claims.brick.as_deref())
    {
        tracing::Span::current().record(CALLER, name);
    }
    if let Some(suite) = baggage.get(SYNTHETIC) {
        tracing::Span::current().record(SYNTHETIC, suite);
        if let Some(mark) = request.extensions().get::<Mark>() {
            mark.set();
        }
    }
    let asked = request.extensions().get::<Asked>().copied().unwrap_or_default();
    let context = Context::new(baggage)
        .with_user_token(token)
        .with_deadline(asked.deadline)
        .with_criticality(asked.criticality)
        .with_trace_state(trace_state(request.headers()));
    request.extensions_mut().insert(caller);
    context::scope(context, next.run(request)).await
}

/// The token of `Authorization: Bearer …` (RFC 6750 §2.1); bad where the header holds something else.
fn bearer(headers: &HeaderMap) -> Option<Result<&str, Error>> {
    let value = headers.get(AUTHORIZATION)?;
    let token = value.to_str().ok().and_then(|text| {
        let (scheme, token) = text.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
    });
    Some(token.ok_or(Error::Malformed("expected \"Authorization: Bearer <token>\"")))
}

fn identity(headers: &HeaderMap) -> Option<&str> {
    // A value that is no text is no token either: the empty one is refused.
    headers
        .get(IDENTITY_HEADER)
        .map(|value| value.to_str().unwrap_or_default())
}

/// The baggage that came along; `brick.*` counts only from a caller with a platform identity.
fn baggage(headers: &HeaderMap, is_platform: bool) -> Baggage {
    let values: Vec<&str> = headers
        .get_all("baggage")
        .iter()
        .filter_map(|v| v.to_str().ok())
        .collect();
    if values.is_empty() {
        return Baggage::default();
    }
    let baggage = Baggage::parse(&values.join(","));
    if is_platform {
        baggage
    } else {
        baggage.without_prefix("brick.")
    }
}

/// What other tracing systems say of the trace that is continued; without its trace it means nothing (W3C Trace
/// Context §3.3).
fn trace_state(headers: &HeaderMap) -> Option<TraceState> {
    remote_parent(headers)?;
    let values = headers.get_all("tracestate").iter();
    TraceState::parse(values.filter_map(|value| value.to_str().ok()))
}

fn refused(refusal: &Refusal) -> Response {
    let (problem, challenge) = match refusal {
        Refusal::Token(error) if error.is_unavailable() => {
            let mut response = Problem::unavailable(error.code(), error.to_string()).into_response();
            response
                .headers_mut()
                .insert(RETRY_AFTER, HeaderValue::from_static("1"));
            return response;
        }
        // RFC 6750 §3.1: no error code where no token came.
        Refusal::Token(error @ Error::Missing) => (
            Problem::unauthorized(error.code(), error.to_string()),
            "Bearer".to_owned(),
        ),
        Refusal::Token(error) => (
            Problem::unauthorized(error.code(), error.to_string()),
            format!(
                "Bearer error=\"invalid_token\", error_description=\"{}\"",
                quotable(&error.to_string())
            ),
        ),
        Refusal::Scope(scope) => (
            Problem::new(
                StatusCode::FORBIDDEN,
                "scope_missing",
                format!("the token lacks the scope \"{scope}\""),
            ),
            format!(
                "Bearer error=\"insufficient_scope\", scope=\"{}\"",
                quotable(scope)
            ),
        ),
    };
    let mut response = problem.into_response();
    if let Ok(challenge) = HeaderValue::from_str(&challenge) {
        response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
    }
    response
}

/// Without what a quoted string of RFC 6750 §3 may not hold.
fn quotable(text: &str) -> String {
    text.chars()
        .filter(|c| c.is_ascii() && !c.is_ascii_control() && *c != '\\')
        .map(|c| if c == '"' { '\'' } else { c })
        .collect()
}
