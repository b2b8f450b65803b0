//! The management bus, seen from a subscriber: wire types, watch client, last known good snapshot on disk.
//!
//! Control publishes versioned resources; a subscriber holds one streaming connection (server-sent events) and gets a
//! snapshot, then deltas, each a whole resource. What always holds: a subscriber never sees half a resource, and
//! after any loss of the stream it is told everything it missed or is reset by a snapshot.

pub mod change;
pub mod client;
pub mod config;
pub mod fault;
mod follower;
pub mod limits;
pub mod pool;
pub mod report;
pub mod resource;
pub mod routes;
pub mod settings;
pub mod watch;

pub use client::{Options, Service, Token};
pub use config::{ConfigMeta, LogLevel, LogLevels, Prepare};
pub use fault::Faults;
pub use follower::Follower;
pub use limits::{Limits, Serve};
pub use pool::Pool;
pub use report::{EdgeReport, Report};
pub use resource::{Ack, Change, Cursor, Endpoint, Endpoints, Protocol, Resource, TrustBundle};
pub use routes::{External, ExternalTls, Route, RouteAuth, RouteTable};
pub use settings::{Cert, CertFiles, EdgeSettings, EdgeTls};
pub use watch::{Acknowledgement, Publisher, Source, State, Stats, Watch};
