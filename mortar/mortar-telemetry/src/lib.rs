//! The telemetry role, *Integration Telemetry*: takes in traces, logs and metrics of the whole system, keeps them under
//! one byte cap, and answers what the console and the command line ask.
//!
//! Three parts that know each other only through [`record`] and [`store::Store`]: [`ingest`] turns foreign protocols
//! into our records, [`store`] keeps them, [`query`] turns them into answers; [`graph`] and [`tail`] are fed beside the
//! store. What always holds: the store never exceeds its cap, and whatever a bound refuses, evicts or drops is counted.

pub mod api;
pub mod graph;
pub mod http;
pub mod ingest;
pub mod query;
pub mod record;
pub mod service;
pub mod store;
pub mod tail;

pub use ingest::scrape::Target;
pub use service::{Error, Handle, Options, Service};
