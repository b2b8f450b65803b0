//! Why a call gave no usable answer.

use std::time::Duration;

use axum::response::{IntoResponse, Response};
use http::StatusCode;

use crate::Problem;

/// Why a call to a brick (or an external service) gave no usable answer. Turns into the [`Problem`] that the caller's
/// own caller gets: 502, 503 or 504, with the callee's name.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No instance of the brick is up, or the caller does not say that it needs it.
    #[error("no instance of \"{brick}\" is up; is it running, and does the caller list it in `needs`?")]
    NoInstance {
        /// The callee.
        brick: String,
    },
    /// Instances are known, but none could be reached, or the connection broke.
    #[error("cannot reach \"{brick}\"")]
    Connect {
        /// The callee.
        brick: String,
        /// What the operating system or the protocol said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// No answer in time.
    #[error("no answer from \"{brick}\" within {} ms", .limit.as_millis())]
    Timeout {
        /// The callee.
        brick: String,
        /// The limit that ran out.
        limit: Duration,
    },
    /// The answer is no success.
    #[error("\"{brick}\" answered {}: {}", .problem.status, .problem.summary())]
    Status {
        /// The callee.
        brick: String,
        /// What it said.
        problem: Box<Problem>,
    },
    /// The answer is larger than the caller takes.
    #[error("the answer of \"{brick}\" is larger than {bytes_max} bytes")]
    TooLarge {
        /// The callee.
        brick: String,
        /// The limit.
        bytes_max: usize,
    },
    /// The answer is not the JSON that was expected.
    #[error("the answer of \"{brick}\" is not what was expected")]
    Decode {
        /// The callee.
        brick: String,
        /// What did not fit.
        #[source]
        source: serde_json::Error,
    },
    /// The call cannot be made as it was put together.
    #[error("cannot build a call to \"{brick}\": {reason}")]
    Request {
        /// The callee.
        brick: String,
        /// What is wrong.
        reason: String,
    },
}

impl Error {
    /// The callee.
    pub fn brick(&self) -> &str {
        match self {
            Self::NoInstance { brick }
            | Self::Connect { brick, .. }
            | Self::Timeout { brick, .. }
            | Self::Status { brick, .. }
            | Self::TooLarge { brick, .. }
            | Self::Decode { brick, .. }
            | Self::Request { brick, .. } => brick,
        }
    }

    /// What the callee said, where it answered.
    pub fn problem(&self) -> Option<&Problem> {
        match self {
            Self::Status { problem, .. } => Some(problem),
            _ => None,
        }
    }

    /// The status of the callee's answer, where it answered.
    pub fn status(&self) -> Option<StatusCode> {
        StatusCode::from_u16(self.problem()?.status).ok()
    }

    /// Stable, as problems and spans carry it.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoInstance { .. } => "callee_no_instance",
            Self::Connect { .. } => "callee_unreachable",
            Self::Timeout { .. } => "callee_timeout",
            Self::Status { .. } => "callee_failed",
            Self::TooLarge { .. } => "callee_answer_too_large",
            Self::Decode { .. } => "callee_answer_unexpected",
            Self::Request { .. } => "callee_request_invalid",
        }
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let status = match &error {
            Error::NoInstance { .. } => StatusCode::SERVICE_UNAVAILABLE,
            Error::Timeout { .. } => StatusCode::GATEWAY_TIMEOUT,
            Error::Request { .. } => StatusCode::INTERNAL_SERVER_ERROR,
            Error::Status { .. } => match error.status() {
                Some(status @ (StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT)) => status,
                _ => StatusCode::BAD_GATEWAY,
            },
            Error::Connect { .. } | Error::TooLarge { .. } | Error::Decode { .. } => StatusCode::BAD_GATEWAY,
        };
        Self::new(status, error.code(), error.to_string())
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        Problem::from(self).into_response()
    }
}
