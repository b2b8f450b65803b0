//! Extractors whose refusals are problems: axum's own, with answers that say what was expected.

use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::request::Parts;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::Problem;

/// A JSON body, in and out. Refusals: 400 `json_malformed`, 413 `body_too_large`, 415 `json_expected`, 422
/// `json_invalid`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Json<T>(pub T);

/// The query. Refusal: 400 `query_invalid`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Query<T>(pub T);

/// The parameters in the path. Refusal: 400 `path_invalid`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Path<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        match axum::Json::<T>::from_request(request, state).await {
            Ok(axum::Json(value)) => Ok(Self(value)),
            Err(refused) => Err(json_problem(&refused)),
        }
    }
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match axum::extract::Query::<T>::from_request_parts(parts, state).await {
            Ok(axum::extract::Query(value)) => Ok(Self(value)),
            Err(refused) => Err(query_problem(&refused)),
        }
    }
}

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match axum::extract::Path::<T>::from_request_parts(parts, state).await {
            Ok(axum::extract::Path(value)) => Ok(Self(value)),
            Err(refused) => Err(path_problem(&refused)),
        }
    }
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        axum::Json(self.0).into_response()
    }
}

fn json_problem(refused: &JsonRejection) -> Problem {
    let status = refused.status();
    let code = match refused {
        JsonRejection::JsonDataError(_) => "json_invalid",
        JsonRejection::JsonSyntaxError(_) => "json_malformed",
        JsonRejection::MissingJsonContentType(_) => "json_expected",
        _ if status == StatusCode::PAYLOAD_TOO_LARGE => "body_too_large",
        _ => "body_unreadable",
    };
    Problem::new(status, code, refused.body_text())
}

fn query_problem(refused: &QueryRejection) -> Problem {
    Problem::bad_request("query_invalid", refused.body_text())
}

fn path_problem(refused: &PathRejection) -> Problem {
    match refused.status() {
        StatusCode::INTERNAL_SERVER_ERROR => {
            tracing::error!(
                reason = refused.body_text(),
                "a route and its path parameters do not fit"
            );
            Problem::internal()
        }
        _ => Problem::bad_request("path_invalid", refused.body_text()),
    }
}
