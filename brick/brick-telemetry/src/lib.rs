//! *Brick Telemetry*: what a brick tells about itself, the same in every process of the system.
//!
//! Runtime patterns in one crate: `/info` (who it is), `/health` (whether it can work), `/metrics` (how it fares),
//! logs as JSON lines on standard output, and spans that leave as OTLP. `tracing` is the only instrumentation API:
//! a span of level INFO or above is exported, an event becomes a log line that carries the span's trace id.
//!
//! What always holds:
//! - telling never hurts working: logs, spans and metrics are bounded, never wait for a receiver, and count what
//!   they had to drop;
//! - the exporter traces nothing of itself;
//! - no secret is told: values of fields whose names look secret are redacted, `/info` holds none.
//!
//! ```
//! use brick_telemetry::{Identity, LogTarget, Options, Telemetry};
//!
//! let (telemetry, _exporter) = Telemetry::new(Options {
//!     identity: Identity { brick: "order".to_owned(), ..Identity::default() },
//!     log: LogTarget::Memory,
//!     ..Options::default()
//! });
//! let placed = telemetry.metrics().counter("shop_orders_placed_total", "orders placed");
//! placed.inc();
//! assert!(telemetry.metrics().encode().contains("shop_orders_placed_total 1"));
//! ```

pub mod context;
pub mod export;
pub mod health;
pub mod info;
mod layer;
mod log;
pub mod metrics;
mod options;
mod routes;
mod scope;
pub mod span;
mod telemetry;

pub use export::Exporter;
pub use layer::SPAN_EVENT;
pub use options::{Error, Identity, LogTarget, Options};
pub use span::SpanSink;
pub use telemetry::{Telemetry, check_filter};
