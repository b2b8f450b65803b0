//! What the agent is told: plain values, read from arguments and environment by the composition root.

use std::net::SocketAddr;
use std::path::PathBuf;

use brick_core::BrickName;

/// Options of the agent.
#[derive(Debug, Clone)]
pub struct Options {
    /// Folder of the system: where `brick.toml` is and where `.brickwork/` will be. Absolute.
    pub dir: PathBuf,
    /// The manifest that `apply` reads again, usually `brick.toml` in `dir`.
    pub manifest: PathBuf,
    /// Cargo's target folder; `{target}` in the manifest is its `release` folder.
    pub target_dir: PathBuf,
    /// Path of the `brick` executable, for the platform's own processes.
    pub brick_binary: PathBuf,
    /// Version of the `brick` executable, shown by `status`.
    pub version: String,
    /// Environment that children inherit, before the contract is laid over it: the operator's own.
    pub env: Vec<(String, String)>,
    /// Start these bricks and what they need, nothing else; empty means all.
    pub only: Vec<BrickName>,
    /// Whether to run the manifest's builds first.
    pub build: bool,
    /// Whether to build and roll bricks when their sources change.
    pub watch: bool,
    /// Address of the edge instead of the manifest's; port 0 lets the system choose.
    pub edge: Option<SocketAddr>,
    /// Port of console and platform APIs instead of the manifest's; 0 lets the system choose.
    pub console: Option<u16>,
    /// Largest size of the lines kept in memory for `logs`, for each instance, in bytes.
    pub log_ring_bytes_max: usize,
    /// Size of the tail of each log file that stays on disk although it was shipped, in bytes.
    pub log_retain_bytes: u64,
    /// Largest size of what waits in a log file for telemetry, in bytes; beyond it the oldest is given up, counted.
    pub log_backlog_bytes_max: u64,
}

impl Options {
    /// The defaults for the system in `dir`, with the operator's environment.
    pub fn new(dir: PathBuf, target_dir: PathBuf, brick_binary: PathBuf, env: Vec<(String, String)>) -> Self {
        Self {
            manifest: dir.join("brick.toml"),
            dir,
            target_dir,
            brick_binary,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            env,
            only: Vec::new(),
            build: true,
            watch: false,
            edge: None,
            console: None,
            log_ring_bytes_max: 4 * 1024 * 1024,
            log_retain_bytes: 16 * 1024 * 1024,
            log_backlog_bytes_max: 256 * 1024 * 1024,
        }
    }
}
