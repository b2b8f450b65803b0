//! The one app model: parses and validates `brick.toml`, and answers what the parts of the platform ask about it.
//!
//! `brick.toml` is the only place that describes a system. All errors of a manifest are found in one go, each with
//! line, column and a picture of the line ([`Invalid`]); a [`Model`] that parsed is valid as a whole.

mod check;
pub mod command;
pub mod diagnostic;
pub mod link;
pub mod load;
pub mod model;
pub mod nearest;
pub mod parse;
pub mod pattern;
pub mod query;
mod read;
mod schema;
pub mod size;
pub mod suite;

pub use check::RESERVED;
pub use diagnostic::{Diagnostic, Invalid};
pub use link::{LimitKey, Link};
pub use load::{Expect, Load, Step};
pub use model::{
    AccessLog, Auth, Bff, Brick, BrickTls, CONFIG_REPOSITORY, Cache, Canary, CanaryPlan, Concurrent,
    ConfigRepository, Cors, Demo, Edge, EdgeCert, EdgeTls, Elastic, Flag, FlagDefault, Health, Inbound,
    Limit, Mirror, Model, Mortar, Part, Protocol, Rate, RateBy, Replicas, Rewrite, Route, Say, Serve,
    Setting, System, TlsVersion, Versions, View, WORKERS_MAX, is_label, state_password,
};
pub use parse::{Loaded, parse, parse_with_warnings};
pub use pattern::Pattern;
pub use query::{ResolvedRoute, ResolvedView};
pub use read::is_host;
pub use schema::schema;
pub use size::Bytes;
pub use suite::{Environment, Suite};

#[cfg(test)]
mod tests;
