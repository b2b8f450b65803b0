//! The protocol side: discovery, keys, and the token endpoint (RFC 6749, RFC 8414, RFC 8693).

mod grant;

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, PRAGMA, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde_json::{Value, json};

use crate::service::Inner;
use grant::Granted;

/// Largest request to the token endpoint in bytes.
const BODY_BYTES_MAX: usize = 64 * 1024;

/// A refusal in the form of RFC 6749 §5.2.
#[derive(Debug)]
pub(crate) struct Refusal {
    status: StatusCode,
    error: &'static str,
    description: String,
    retry_after: Option<Duration>,
}

impl Refusal {
    pub(crate) fn new(error: &'static str, description: impl Into<String>) -> Self {
        let status = match error {
            "invalid_client" => StatusCode::UNAUTHORIZED,
            "server_error" => StatusCode::INTERNAL_SERVER_ERROR,
            _ => StatusCode::BAD_REQUEST,
        };
        Self {
            status,
            error,
            description: description.into(),
            retry_after: None,
        }
    }

    pub(crate) fn wait(wait: Duration) -> Self {
        Self {
            status: StatusCode::TOO_MANY_REQUESTS,
            error: "invalid_client",
            description: "too many wrong secrets in a row; wait and try again".to_owned(),
            retry_after: Some(wait),
        }
    }
}

impl From<crate::Error> for Refusal {
    fn from(error: crate::Error) -> Self {
        tracing::error!(error = brick_core::chain(&error), "a token request failed");
        Self::new("server_error", "something went wrong inside; the log has it")
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let body = json!({ "error": self.error, "error_description": self.description });
        let mut response = (self.status, NO_STORE, Json(body)).into_response();
        let headers = response.headers_mut();
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(
                WWW_AUTHENTICATE,
                HeaderValue::from_static("Basic realm=\"brickwork\", charset=\"UTF-8\""),
            );
        }
        if let Some(wait) = self.retry_after {
            headers.insert(
                RETRY_AFTER,
                HeaderValue::from(wait.as_millis().div_ceil(1_000) as u64),
            );
        }
        response
    }
}

const NO_STORE: [(http::HeaderName, HeaderValue); 2] = [
    (CACHE_CONTROL, HeaderValue::from_static("no-store")),
    (PRAGMA, HeaderValue::from_static("no-cache")),
];

pub(crate) fn router() -> Router<Arc<Inner>> {
    Router::new()
        .route("/identity/token", post(token))
        .route("/identity/jwks", get(jwks))
        .route("/identity/.well-known/openid-configuration", get(discovery))
        .layer(axum::extract::DefaultBodyLimit::max(BODY_BYTES_MAX))
}

async fn token(State(inner): State<Arc<Inner>>, headers: HeaderMap, body: Bytes) -> Response {
    let form = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.starts_with("application/x-www-form-urlencoded"));
    if !form {
        let hint = "expected a body of type application/x-www-form-urlencoded";
        return Refusal::new("invalid_request", hint).into_response();
    }
    match grant::grant(&inner, &headers, &body).await {
        Ok(Granted { issued, exchanged }) => {
            let mut answer = json!({
                "access_token": issued.token.expose(),
                "token_type": "Bearer",
                "expires_in": issued.expires_in.as_secs(),
                "scope": issued.scope,
            });
            if exchanged {
                answer["issued_token_type"] = Value::from(grant::ACCESS_TOKEN);
            }
            (NO_STORE, Json(answer)).into_response()
        }
        Err(refusal) => refusal.into_response(),
    }
}

async fn jwks(State(inner): State<Arc<Inner>>) -> impl IntoResponse {
    let cache = [(CACHE_CONTROL, HeaderValue::from_static("public, max-age=60"))];
    (cache, Json(inner.issuer.jwks()))
}

/// Addresses are relative to where this document was asked, for the issuer's name is a constant and no address.
async fn discovery(State(inner): State<Arc<Inner>>, headers: HeaderMap) -> Json<Value> {
    let host = headers
        .get(http::header::HOST)
        .and_then(|host| host.to_str().ok());
    let base = format!("http://{}/identity", host.unwrap_or("localhost"));
    Json(json!({
        "issuer": inner.issuer.name(),
        "token_endpoint": format!("{base}/token"),
        "jwks_uri": format!("{base}/jwks"),
        "grant_types_supported": [grant::CLIENT_CREDENTIALS, grant::TOKEN_EXCHANGE],
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
        "id_token_signing_alg_values_supported": ["ES256"],
        "response_types_supported": [],
        "subject_types_supported": ["public"],
    }))
}

#[cfg(test)]
mod tests;
