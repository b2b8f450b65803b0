//! *Identity*: the issuer of the system's tokens. Routers that control mounts and that could be served alone.
//!
//! One ES256 key pair, made at first start and kept in the database, signs every token; its public half is the
//! `trust/bundle` of the bus and the JWK set, so that everybody else verifies without asking. Processes come in through
//! the agent, which trades a bootstrap key for its own token (client credentials, RFC 6749) and orders one token for
//! each process; bricks with scope `identity:issue` exchange theirs for tokens of users (RFC 8693); operators trade a
//! one-time code for a cookie.
//!
//! What always holds: no default secret exists; secrets are 256 random bits, stored only as digests (the signing key
//! aside) and compared in constant time; no secret and no token is logged.

mod admin;
mod api_keys;
mod clients;
mod codes;
mod error;
mod issuer;
mod key;
mod login;
mod oauth;
mod options;
mod secret;
mod service;
mod store;
mod throttle;

pub mod openapi;

pub use clients::ClientInfo;
pub use error::Error;
pub use issuer::Issued;
pub use options::Options;
pub use secret::Secret;
pub use service::{Handle, Service};
