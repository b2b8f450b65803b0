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
    /// Instances are known, but none could be reached.
    #[error("cannot reach \"{brick}\"")]
    Connect {
        /// The callee.
        brick: String,
        /// What the operating system or the protocol said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The connection broke before the whole answer was there.
    #[error("the connection to \"{brick}\" broke before its answer was there")]
    Broken {
        /// The callee.
        brick: String,
        /// What the protocol said.
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
    /// Not sent: too many calls of the last while failed, and the callee is given time to recover.
    #[error("\"{brick}\" is not called for now: too many calls of the last while failed")]
    BreakerOpen {
        /// The callee.
        brick: String,
        /// When it makes sense to try again.
        retry_after: Duration,
    },
    /// Not sent: as many calls as there may be are under way.
    #[error("{limit} calls to \"{brick}\" are under way already, no more may be")]
    BulkheadFull {
        /// The callee.
        brick: String,
        /// The limit.
        limit: u32,
    },
    /// Not sent: as many calls as there may be in a second were made.
    #[error("the rate of calls to \"{brick}\" is reached")]
    RateLimited {
        /// The callee.
        brick: String,
        /// When the next may be made.
        retry_after: Duration,
    },
    /// Not sent: whoever asked does not wait any more.
    #[error("no time is left to call \"{brick}\": whoever asked does not wait any more")]
    Deadline {
        /// The callee.
        brick: String,
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
            | Self::Broken { brick, .. }
            | Self::Timeout { brick, .. }
            | Self::Status { brick, .. }
            | Self::TooLarge { brick, .. }
            | Self::Decode { brick, .. }
            | Self::BreakerOpen { brick, .. }
            | Self::BulkheadFull { brick, .. }
            | Self::RateLimited { brick, .. }
            | Self::Deadline { brick }
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

    /// When it makes sense to try again, where that is known.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::BreakerOpen { retry_after, .. } | Self::RateLimited { retry_after, .. } => {
                Some(*retry_after)
            }
            Self::BulkheadFull { .. } => Some(Duration::from_secs(1)),
            Self::Status { problem, .. } => problem.retry_after_s.map(Duration::from_secs),
            _ => None,
        }
    }

    /// Stable, as problems and spans carry it.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoInstance { .. } => "callee_no_instance",
            Self::Connect { .. } => "callee_unreachable",
            Self::Broken { .. } => "callee_reset",
            Self::Timeout { .. } => "callee_timeout",
            Self::Status { .. } => "callee_failed",
            Self::TooLarge { .. } => "callee_answer_too_large",
            Self::Decode { .. } => "callee_answer_unexpected",
            Self::BreakerOpen { .. } => "breaker_open",
            Self::BulkheadFull { .. } => "bulkhead_full",
            Self::RateLimited { .. } => "rate_limited",
            Self::Deadline { .. } => "deadline_exceeded",
            Self::Request { .. } => "callee_request_invalid",
        }
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let status = match &error {
            Error::NoInstance { .. } | Error::BreakerOpen { .. } | Error::BulkheadFull { .. } => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Error::RateLimited { .. } => StatusCode::TOO_MANY_REQUESTS,
            Error::Timeout { .. } | Error::Deadline { .. } => StatusCode::GATEWAY_TIMEOUT,
            Error::Request { .. } => StatusCode::INTERNAL_SERVER_ERROR,
            Error::Status { .. } => match error.status() {
                Some(status @ (StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT)) => status,
                _ => StatusCode::BAD_GATEWAY,
            },
            Error::Connect { .. } | Error::Broken { .. } | Error::TooLarge { .. } | Error::Decode { .. } => {
                StatusCode::BAD_GATEWAY
            }
        };
        let problem = Self::new(status, error.code(), error.to_string());
        match error.retry_after() {
            Some(wait) => problem.with_retry_after(wait),
            None => problem,
        }
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        Problem::from(self).into_response()
    }
}
