//! What a host proxy is told, and why it may not start.

use std::net::SocketAddr;
use std::path::PathBuf;

use brick_core::Incarnation;

/// How the host proxy behaves. Plain values: the composition root reads the environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Where its own `/info`, `/health` and `/metrics` are (`PORT`).
    pub own: SocketAddr,
    /// File with the callers that it stands for.
    pub file: PathBuf,
    /// Base URL of control, which is told how the callers' edges are.
    pub control_url: String,
    /// This start, as control knows it; without it nothing is reported.
    pub incarnation: Option<Incarnation>,
    /// Where spans of the callers go; none keeps them here.
    pub otlp_endpoint: Option<String>,
    /// Open connections of each caller; further ones get 503.
    pub connections_max: usize,
    /// Largest request body.
    pub body_bytes_max: u64,
    /// Time for what is under way to finish once the proxy, or a caller, is asked to stop.
    pub drain_timeout_ms: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            own: SocketAddr::from(([127, 0, 0, 1], 0)),
            file: PathBuf::new(),
            control_url: String::new(),
            incarnation: None,
            otlp_endpoint: None,
            connections_max: 1_024,
            body_bytes_max: 64 * 1024 * 1024,
            drain_timeout_ms: 10_000,
        }
    }
}

/// Why a host proxy does not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address is taken, or not ours.
    #[error("cannot listen on {addr} for the proxy's own routes")]
    Bind {
        /// Where.
        addr: SocketAddr,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
}
