//! The roles of the platform, composed: each reads its environment here, and nowhere else.

mod base;
mod control;
mod gateway;
mod mock;
mod proxy;
mod telemetry;

use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::cli::Serve;
use crate::failure::{Failure, Outcome};

/// How long the one connection of a trial may take.
const TRIAL_LIMIT: Duration = Duration::from_secs(2);

/// Runs a role until it is asked to stop.
pub(crate) fn run(role: &Serve) -> Outcome {
    let mut builder = match role {
        // One writer, a few requests a second: a second thread would only cost memory.
        Serve::Control | Serve::Mock { .. } | Serve::Trial { .. } => {
            tokio::runtime::Builder::new_current_thread()
        }
        Serve::Gateway | Serve::Proxy | Serve::Telemetry => tokio::runtime::Builder::new_multi_thread(),
    };
    if matches!(role, Serve::Gateway | Serve::Proxy | Serve::Telemetry) {
        builder.worker_threads(2);
    }
    let runtime = builder
        .max_blocking_threads(16)
        .enable_all()
        .build()
        .map_err(|error| Failure::failed(format!("cannot start the runtime: {error}")))?;
    runtime.block_on(async {
        match role {
            Serve::Control => control::run().await,
            Serve::Gateway => gateway::run().await,
            Serve::Proxy => proxy::run().await,
            Serve::Telemetry => telemetry::run().await,
            Serve::Mock { openapi } => mock::run(openapi.as_deref()).await,
            Serve::Trial { to } => trial(*to),
        }
    })
}

/// Connects once: what the agent starts where it wants to see whether the kernel leads connections to the host proxy.
fn trial(to: SocketAddr) -> Outcome {
    let connected = TcpStream::connect_timeout(&to, TRIAL_LIMIT);
    connected
        .map(drop)
        .map_err(|error| Failure::failed(format!("cannot connect to {to}: {error}")))
}
