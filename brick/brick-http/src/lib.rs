//! The HTTP server and client of a brick: axum and tower as they are, with what every brick of a system needs around.
//!
//! The server ([`Server`]) adds a span and metrics for each request, problems as error answers, declared access
//! ([`Access`]), a body limit and drain. The client ([`Clients`], [`Client`]) calls a brick by its name: discovery,
//! balancing, time limit, and the context of the request that is being answered (trace, baggage, the user's token).
//!
//! What always holds:
//! - no route is served without saying who may call it;
//! - an error answer is `application/problem+json` with a stable `code` and the trace id, and tells no internals;
//! - every body, call and connection is bounded;
//! - `brick.*` baggage counts only when it comes with a platform identity, and never leaves the system.
//!
//! ```
//! use axum::{Router, routing::get};
//! use brick_http::{Access, Caller, Path, Problem};
//!
//! async fn order(Path(id): Path<u64>, caller: Caller) -> Result<String, Problem> {
//!     let user = caller.user().ok_or_else(Problem::internal)?;
//!     Ok(format!("order {id} of {}", user.sub))
//! }
//!
//! let access = Access::new().users(Router::new().route("/api/orders/{id}", get(order)));
//! # let _ = access;
//! ```

pub mod access;
mod audited;
mod caller;
pub mod client;
pub mod context;
mod error;
pub mod extract;
pub mod openapi;
pub mod server;
#[cfg(test)]
mod tests;

pub use access::Access;
pub use audited::Audited;
pub use brick_resilience::shed::Criticality;
pub use brick_wire::Problem;
pub use caller::Caller;
pub use client::{Answer, Call, Client, Clients, ClientsOptions, FallbackKind, path_segment};
pub use context::spawn;
pub use error::Error;
pub use extract::{Json, Path, Query};
pub use server::{Hosts, Server, ServerOptions};
