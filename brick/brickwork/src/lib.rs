//! Brickwork, for those who write bricks: one crate, a whole brick in about twenty lines.
//!
//! A brick is one service of a system. [`Brick::from_env`] reads what the agent tells it (`brick up`), and gives typed
//! configuration that follows live changes, clients to the bricks it needs, a database, metrics, health, logs and
//! spans; [`Brick::serve`] serves an axum router with all of that around it, and drains when it is told to stop.
//! Nothing is macro-made: handlers are axum's, layers are tower's. Started by hand, without an agent, a brick runs
//! alone.
//!
//! ```no_run
//! use brickwork::axum::{Router, routing::get};
//! use brickwork::{Access, Brick, Json};
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Serialize, Deserialize)]
//! struct Settings {
//!     greeting: String,
//! }
//!
//! impl Default for Settings {
//!     fn default() -> Self {
//!         Self { greeting: "Hello".to_owned() }
//!     }
//! }
//!
//! #[tokio::main]
//! async fn main() -> Result<(), brickwork::Error> {
//!     let brick = Brick::from_env().await?;
//!     let config = brick.config::<Settings>()?;
//!     let greeted = brick.metrics().counter("hello_greeted_total", "greetings given");
//!     let hello = move || async move {
//!         greeted.inc();
//!         Json(config.get().greeting.clone())
//!     };
//!     brick.serve(Access::new().public(Router::new().route("/hello", get(hello)))).await
//! }
//! ```
//!
//! [`patterns`] shows each pattern with the code that uses it.
//!
//! Who may call a route is part of the route: [`Access`] has `public`, `users`, `bricks`, `users_or_bricks` and
//! `admin`, and there is no way to serve one without.

mod brick;
mod contract;
mod error;
mod flags;
mod follow;
pub mod patterns;
mod token;

pub use brick::{Brick, Builder, Parts};
pub use contract::Contract;
pub use error::Error;
pub use flags::{Evaluated, Flag, FlagContext};
pub use token::UserToken;

pub use brick_config::Config;
pub use brick_http::{
    Access, Answer, Call, Caller, Client, Error as CallError, Json, Path, Query, openapi, path_segment, spawn,
};
pub use brick_state::{Database, Migration, Param, Reader, Row, SessionId, Sessions, Tx};
pub use brick_wire::Problem;

/// Tokens and claims.
pub use brick_auth as auth;
/// The bus as a subscriber sees it.
pub use brick_bus as bus;
/// Configuration.
pub use brick_config as config;
/// Names, identities, durations, drain.
pub use brick_core as core;
/// SQL and sessions.
pub use brick_state as state;
/// Metrics, health, spans.
pub use brick_telemetry as telemetry;

pub use {axum, http, schemars, serde_json, tracing};
