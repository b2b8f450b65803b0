//! What a handler changed, for whoever keeps the audit trail.

use axum::response::{IntoResponseParts, ResponseParts};
use serde_json::Value;
use std::convert::Infallible;

/// Says in an answer what was changed to make it. It travels in the answer's extensions and never leaves the process;
/// control writes it into the audit trail before the answer goes out.
#[derive(Debug, Clone, PartialEq)]
pub struct Audited {
    /// What was done: `client.add`.
    pub action: &'static str,
    /// What it was done to: `clients/reports`.
    pub target: String,
    /// What was there before, without secrets; null where nothing was.
    pub before: Value,
    /// What is there now, without secrets; null where nothing is.
    pub after: Value,
}

impl IntoResponseParts for Audited {
    type Error = Infallible;

    fn into_response_parts(self, mut parts: ResponseParts) -> Result<ResponseParts, Infallible> {
        parts.extensions_mut().insert(self);
        Ok(parts)
    }
}
