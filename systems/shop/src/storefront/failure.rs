//! What a person sees when a page cannot be shown: what happened, and the trace under which the log has it.

use axum::response::{IntoResponse, Response};
use brickwork::telemetry::context;
use brickwork::{CallError, Problem, axum};

use super::{pages, status_of};
use crate::passed_on;

/// A problem, told as a page.
#[derive(Debug)]
pub(super) struct Failure(Problem);

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self(problem)
    }
}

impl From<CallError> for Failure {
    fn from(error: CallError) -> Self {
        Self(passed_on(error))
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let Self(problem) = self;
        let trace_id = context::current().map(|context| context.trace_id.to_string());
        (status_of(&problem), pages::failure(&problem, trace_id.as_deref())).into_response()
    }
}
