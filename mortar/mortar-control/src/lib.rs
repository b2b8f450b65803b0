//! *Control*: registry, routes, configuration and the management bus, on one store.
//!
//! Three things come in: the manifest (from the agent), instances with their leases (from the agent), the trust bundle
//! (from identity). From them control derives versioned resources (`endpoints/order`, `routes/edge` …) and streams
//! them to whoever may see them. It is never in the path of a request: while it is down everybody works on with what
//! they were told last.
//!
//! What always holds:
//! - a change is on disk before anybody is told of it, so that `kill -9` loses nothing that was acknowledged and never
//!   takes a revision back;
//! - one writer applies changes in order, however many processes share the store: one leads, the others stand by
//!   ([`Standby`]); revisions grow by one with every change of any resource;
//! - an instance's older start never replaces its newer one (fencing);
//! - every queue and table has a bound; a subscriber that is too slow is cut off, counted, and resumes.

mod acks;
mod agent;
mod api;
mod audit;
mod bus;
mod canary;
mod certificate;
mod config;
mod credentials;
mod derive;
mod error;
mod eureka;
mod expiry;
mod flags;
mod heard;
mod lease;
mod metrics;
mod options;
mod outsider;
mod peers;
mod pools;
mod reports;
mod service;
mod standby;
mod state;
mod uses;
mod writer;

pub mod dns;
pub mod openapi;
pub mod store;

pub use audit::{Entry, Filter, Numbered};
pub use config::cipher::{Cipher, CipherError};
pub use error::Error;
pub use options::{OnManifest, Options, PeerToken};
pub use outsider::{Clients, Details};
pub use service::{Handle, Service};
pub use standby::Standby;
pub use uses::Use;

/// Paths whose requests get no span: they are the platform's own chatter.
pub const UNTRACED: [&str; 3] = ["/bus/", "/api/peer/", "/api/registry/v1/leases"];
