//! A worker: one thread with its own runtime, its own listening sockets, its own connections to instances. What comes
//! in on a worker is served there to its end, so workers share nothing on the hot path but snapshots.

use std::io;
use std::time::Duration;

use brick_core::Drain;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use crate::gate::Gate;
use crate::listener::{self, Door};
use crate::proxy::Proxy;
use crate::tls;

/// A listening socket for a worker.
#[derive(Debug)]
pub struct Socket {
    /// The socket, not blocking.
    pub listener: std::net::TcpListener,
    /// With TLS.
    pub tls: Option<tls::Server>,
}

/// A worker that runs.
#[derive(Debug)]
pub struct Worker {
    ended: oneshot::Receiver<()>,
}

/// Why a worker ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a worker of the data plane ended before it was asked to")]
pub struct Died;

/// Starts a worker that serves these sockets until the drain is requested and what is under way is done.
///
/// # Errors
/// The operating system gives no thread, no poll or does not take the sockets.
pub fn start<G: Gate>(
    name: String,
    sockets: Vec<Socket>,
    proxy: &Proxy<G>,
    drain_timeout: Duration,
    drain: Drain,
) -> io::Result<Worker> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let mut doors = Vec::with_capacity(sockets.len());
    for Socket { listener, tls } in sockets {
        let _entered = runtime.enter();
        let listener = TcpListener::from_std(listener)?;
        doors.push(Door { listener, tls });
    }
    let proxy = proxy.worker();
    let (send, ended) = oneshot::channel();
    std::thread::Builder::new().name(name).spawn(move || {
        let serving = doors
            .into_iter()
            .map(|door| listener::serve(door, proxy.clone(), drain_timeout, drain.clone()));
        runtime.block_on(futures_util::future::join_all(serving));
        // What still runs is of connections that were cut.
        runtime.shutdown_background();
        let _ = send.send(());
    })?;
    Ok(Worker { ended })
}

impl Worker {
    /// Waits until it ended.
    ///
    /// # Errors
    /// It panicked.
    pub async fn ended(self) -> Result<(), Died> {
        self.ended.await.map_err(|_| Died)
    }
}
