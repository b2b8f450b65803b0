//! Problem details (RFC 9457) with a stable `code` and the `trace_id`, as every API of the system answers errors.

use std::time::Duration;

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, StatusCode};
use serde::{Deserialize, Serialize};

/// An error answer: `application/problem+json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// Kind of problem as a URI; `about:blank` where `code` says all.
    #[serde(rename = "type", default = "about_blank")]
    pub kind: Box<str>,
    /// Short, the same for every occurrence.
    #[serde(default)]
    pub title: Box<str>,
    /// HTTP status.
    #[serde(default)]
    pub status: u16,
    /// What happened this time, and what to do.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
    /// Stable, machine-readable, snake_case: `out_of_stock`.
    #[serde(default)]
    pub code: String,
    /// Trace in which it happened, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<Box<str>>,
    /// Seconds after which it makes sense to try again; sent as `Retry-After`, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_s: Option<u64>,
}

fn about_blank() -> Box<str> {
    "about:blank".into()
}

impl Problem {
    /// A problem with its stable `code` and what happened; the title is the status's own phrase.
    pub fn new(status: StatusCode, code: &str, detail: impl Into<String>) -> Self {
        Self {
            kind: about_blank(),
            title: status.canonical_reason().unwrap_or("Error").into(),
            status: status.as_u16(),
            detail: detail.into(),
            code: code.to_owned(),
            trace_id: None,
            retry_after_s: None,
        }
    }

    /// 400.
    pub fn bad_request(code: &str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, detail)
    }

    /// 401.
    pub fn unauthorized(code: &str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, code, detail)
    }

    /// 403.
    pub fn forbidden(code: &str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, code, detail)
    }

    /// 404.
    pub fn not_found(code: &str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, code, detail)
    }

    /// 409.
    pub fn conflict(code: &str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, code, detail)
    }

    /// 422.
    pub fn unprocessable(code: &str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, code, detail)
    }

    /// 503.
    pub fn unavailable(code: &str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, code, detail)
    }

    /// 500 with a fixed text: what went wrong inside belongs into the log, never into an answer.
    pub fn internal() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "something went wrong inside; the log has it",
        )
    }

    /// Names the trace.
    #[must_use]
    pub fn with_trace(mut self, trace_id: Option<String>) -> Self {
        self.trace_id = trace_id.map(String::into_boxed_str);
        self
    }

    /// Says when to try again; parts of a second count as a whole one.
    #[must_use]
    pub fn with_retry_after(mut self, wait: Duration) -> Self {
        let whole = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        self.retry_after_s = Some(whole.max(1));
        self
    }

    /// What a person reads in one line: detail, else title.
    pub fn summary(&self) -> &str {
        if self.detail.is_empty() {
            &self.title
        } else {
            &self.detail
        }
    }

    /// Reads an error answer; one that holds no problem document becomes one that names the status and the first
    /// part of the text.
    pub fn from_answer(status: StatusCode, body: &[u8]) -> Self {
        if let Ok(problem) = serde_json::from_slice::<Self>(body)
            && !problem.title.is_empty()
        {
            return problem;
        }
        let text: String = String::from_utf8_lossy(body).chars().take(200).collect();
        Self::new(status, "unknown", text.trim())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let retry_after = self.retry_after_s.map(HeaderValue::from);
        let mut response = (status, Json(self)).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(wait) = retry_after {
            headers.insert(RETRY_AFTER, wait);
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_error_answer_becomes_a_problem() {
        let made = Problem::from_answer(StatusCode::BAD_GATEWAY, b"<html>nope</html>");
        assert_eq!((made.status, made.summary()), (502, "<html>nope</html>"));
        let told = Problem::conflict("out_of_stock", "none left");
        let bytes = serde_json::to_vec(&told).unwrap();
        assert_eq!(Problem::from_answer(StatusCode::CONFLICT, &bytes), told);
    }
}
