//! The console's part of the platform's OpenAPI document.

use brick_http::openapi::{Document, Operation};
use schemars::JsonSchema;
use serde::Serialize;

/// Who is signed in.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Session {
    /// What the operator may do: `admin`.
    pub(crate) scope: &'static str,
}

/// Adds the console's operations to a document.
pub fn describe(document: Document) -> Document {
    let own = |operation: Operation| {
        operation
            .access("admin")
            .problem(
                401,
                "signed_out: no token, one that is not valid, or one without scope admin",
            )
            .problem(
                403,
                "foreign_origin: the page that asks was served from elsewhere",
            )
    };
    document
        .operation(
            own(Operation::get("/api/console/v1/session"))
                .summary("Whether the caller is signed in to the console")
                .answer::<Session>(200, "signed in"),
        )
        .operation(
            own(Operation::get("/api/console/v1/ws"))
                .summary(
                    "The console's WebSocket (RFC 6455): takes `{sub:[topic]}`, sends what the topics come to whenever \
                     that changes; topics and messages are in docs/reference/interfaces.md",
                )
                .empty(101, "the socket is open")
                .problem(400, "websocket_expected: the request asks for no upgrade")
                .problem(503, "too_many_tabs: as many tabs watch as there is room for"),
        )
}
