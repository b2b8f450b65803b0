//! Plain HTTP between the parts of the platform: bounded calls, server-sent events, problem+json.
//!
//! Everything in the system is spoken over public protocols; this crate is the small client for those of them that
//! need neither discovery nor balancing nor tracing (bus, tokens, export, the agent's socket). Bricks call each other
//! with `brick-http` instead. Every call has a time limit and every answer a size limit.

pub mod client;
pub mod exposition;
pub mod form;
pub mod handover;
pub mod lines;
pub mod problem;
pub mod sse;

pub use client::{Client, Error, Response, Streaming};
pub use problem::Problem;

/// Field of a request of control's to the agent: control writes down itself, in the audit trail, what it has the agent do.
pub const RECORDED: http::HeaderName = http::HeaderName::from_static("x-brick-recorded");
