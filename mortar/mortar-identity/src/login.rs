//! `GET /login?code=…`: a one-time code becomes the operator's cookie. `&to=/console/logs` names the screen to begin
//! with; anything but a path of the console begins at the overview.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Query, State};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::get;
use brick_http::Problem;
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, SET_COOKIE};
use http::{HeaderName, HeaderValue, StatusCode};
use serde::Deserialize;

use crate::codes;
use crate::service::Inner;

const COOKIE: &str = "brick_console";
const GUARDS: [(HeaderName, HeaderValue); 3] = [
    (CACHE_CONTROL, HeaderValue::from_static("no-store")),
    (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (
        CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'; base-uri 'none'"),
    ),
];
const SPENT: &str = "<!doctype html>
<html lang=\"en\">
<meta charset=\"utf-8\">
<meta name=\"viewport\" content=\"width=device-width\">
<title>This link has been used · Brickwork</title>
<h1>This link has been used, or it is older than ten minutes</h1>
<p>Each link to the console works once. For a fresh one, run in the system's folder:</p>
<pre><code>brick open</code></pre>
<p>If this browser signed in before, <a href=\"/\">go to the console</a>.</p>
</html>
";

#[derive(Deserialize)]
struct Login {
    #[serde(default)]
    code: String,
    #[serde(default)]
    to: String,
}

/// Where a login leads: a path of the console and nothing else, so that a link cannot lead elsewhere.
fn place(to: &str) -> &str {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'/' | b'-' | b'_');
    if to.starts_with("/console/") && to.len() <= 200 && to.bytes().all(plain) {
        to
    } else {
        "/"
    }
}

pub(crate) fn router() -> Router<Arc<Inner>> {
    Router::new().route("/login", get(login))
}

async fn login(State(inner): State<Arc<Inner>>, query: Query<Login>) -> Response {
    match enter(&inner, &query.code).await {
        Ok(Some(cookie)) => (GUARDS, [(SET_COOKIE, cookie)], Redirect::to(place(&query.to))).into_response(),
        Ok(None) => (StatusCode::FORBIDDEN, GUARDS, Html(SPENT)).into_response(),
        Err(error) => {
            tracing::error!(error = brick_core::chain(&error), "a login failed");
            Problem::internal().into_response()
        }
    }
}

async fn enter(inner: &Inner, code: &str) -> Result<Option<HeaderValue>, crate::Error> {
    if !codes::redeem(inner, code).await? {
        return Ok(None);
    }
    let issued = inner.issuer.operator()?;
    let cookie = format!(
        "{COOKIE}={}; HttpOnly; SameSite=Strict; Path=/; Max-Age={}",
        issued.token.expose(),
        issued.expires_in.as_secs()
    );
    let mut cookie = HeaderValue::from_str(&cookie).map_err(|_| crate::Error::Sign)?;
    cookie.set_sensitive(true);
    Ok(Some(cookie))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_leads_into_the_console_and_nowhere_else() {
        for (to, expect) in [
            ("/console/logs", "/console/logs"),
            ("", "/"),
            ("/api/system/v1", "/"),
            ("//evil.example", "/"),
            ("https://evil.example", "/"),
            ("/console/\r\nset-cookie: a=b", "/"),
        ] {
            assert_eq!(place(to), expect, "{to}");
        }
    }
}
