//! Listening sockets: handed over by the supervisor, or bound here.

use std::net::{SocketAddr, TcpListener};

use brick_wire::handover::Named;

use crate::Error;

/// Sockets that somebody else listens on and gives to the gateway (`LISTEN_FDS`, or a handover socket).
#[derive(Debug, Default)]
pub struct Listeners {
    /// For the outer world.
    pub edge: Option<TcpListener>,
    /// For console and platform APIs.
    pub admin: Option<TcpListener>,
    /// For the gateway's own routes.
    pub own: Option<TcpListener>,
}

impl Listeners {
    /// Takes those that are named `edge` and `admin`; others are closed.
    pub fn from_named(named: Vec<Named>) -> Self {
        let mut listeners = Self::default();
        for Named { name, fd } in named {
            match &*name {
                "edge" => listeners.edge = Some(fd.into()),
                "admin" => listeners.admin = Some(fd.into()),
                _ => tracing::warn!(name, "a listener that nobody asked for was handed over"),
            }
        }
        listeners
    }
}

/// The given listener, or a new one, ready for the runtime.
pub(crate) fn ready(
    name: &'static str,
    given: Option<TcpListener>,
    addr: SocketAddr,
) -> Result<TcpListener, Error> {
    let listener = match given {
        Some(listener) => listener,
        None => TcpListener::bind(addr).map_err(|source| Error::Bind { name, addr, source })?,
    };
    listener
        .set_nonblocking(true)
        .map_err(|source| Error::Listener { name, source })?;
    Ok(listener)
}
