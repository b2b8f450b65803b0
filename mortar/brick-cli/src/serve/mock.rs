//! `brick serve mock`: stands in for a brick, answering from its OpenAPI document.
//!
//! What `brick test BRICK` starts for each brick that the one under test needs. It is a brick on the SDK like any
//! other: found through discovery, with spans and log lines of its own. It remembers nothing between two requests.

mod document;
mod sample;

use std::path::Path;
use std::sync::Arc;

use brickwork::axum::body::{Body, to_bytes};
use brickwork::axum::extract::{Request, State};
use brickwork::axum::response::{IntoResponse as _, Response};
use brickwork::axum::routing::any;
use brickwork::axum::{self, Router};
use brickwork::{Access, Brick, Problem};
use http::header::CONTENT_TYPE;
use http::{HeaderValue, StatusCode};
use serde_json::Value;

use self::document::Document;
use crate::failure::{Failure, Outcome};

/// Largest request body that is looked at.
const BODY_BYTES_MAX: usize = 1024 * 1024;
/// Largest document that is read.
const DOCUMENT_BYTES_MAX: u64 = 16 * 1024 * 1024;

pub(super) async fn run(openapi: Option<&Path>) -> Outcome {
    let document = Arc::new(openapi.map(read).transpose()?.unwrap_or_default());
    let failed = |error: brickwork::Error| Failure::failed(brick_core::chain(&error));
    let brick = Brick::builder()
        .package_version(env!("CARGO_PKG_VERSION"))
        .from_env()
        .await
        .map_err(failed)?;
    let routes = Router::new()
        .route("/", any(answer))
        .route("/{*path}", any(answer))
        .with_state(document);
    brick.serve(Access::new().public(routes)).await.map_err(failed)
}

fn read(path: &Path) -> Outcome<Document> {
    let place = path.display();
    let size = std::fs::metadata(path).map(|meta| meta.len());
    match size {
        Ok(size) if size > DOCUMENT_BYTES_MAX => {
            return Err(Failure::failed(format!(
                "{place} is larger than {DOCUMENT_BYTES_MAX} bytes"
            )));
        }
        Ok(_) => {}
        Err(error) => return Err(Failure::failed(format!("cannot read {place}: {error}"))),
    }
    let bytes =
        std::fs::read(path).map_err(|error| Failure::failed(format!("cannot read {place}: {error}")))?;
    let value: Value = serde_json::from_slice(&bytes).map_err(|error| {
        Failure::failed(format!("{place} is no JSON: {error}"))
            .hint("an OpenAPI document in JSON is expected")
    })?;
    Ok(Document::new(value))
}

async fn answer(State(document): State<Arc<Document>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, BODY_BYTES_MAX).await else {
        let detail = format!("a mock takes at most {BODY_BYTES_MAX} bytes");
        return Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", detail).into_response();
    };
    let body = serde_json::from_slice::<Value>(&body).unwrap_or(Value::Null);
    let (method, path) = (parts.method.as_str(), parts.uri.path());
    let Some(answer) = document.answer(method, path, &body) else {
        tracing::warn!(method, path, "not in the OpenAPI document");
        let detail = format!("the mock's OpenAPI document has no {method} {path}");
        return Problem::new(StatusCode::NOT_IMPLEMENTED, "not_in_document", detail).into_response();
    };
    tracing::info!(
        method,
        path,
        status = answer.status,
        "answered from the OpenAPI document"
    );
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::OK);
    let Some((content_type, value)) = answer.body else {
        return status.into_response();
    };
    let text = match value {
        Value::String(text) if !content_type.contains("json") => text,
        value => value.to_string(),
    };
    let mut response = axum::response::Response::new(Body::from(text));
    *response.status_mut() = status;
    if let Ok(value) = HeaderValue::from_str(&content_type) {
        response.headers_mut().insert(CONTENT_TYPE, value);
    }
    response
}
