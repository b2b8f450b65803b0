//! Listening sockets: handed over by the supervisor, or bound here.

use std::net::{SocketAddr, TcpListener};

use brick_wire::handover::Named;

use crate::Error;

/// Sockets that somebody else listens on and gives to the gateway (`LISTEN_FDS`, or a handover socket).
#[derive(Debug, Default)]
pub struct Listeners {
    /// For the outer world: one for each worker.
    pub edge: Vec<TcpListener>,
    /// The same with TLS; none where the edge has no TLS.
    pub edge_tls: Vec<TcpListener>,
    /// For console and platform APIs.
    pub admin: Option<TcpListener>,
    /// For the gateway's own routes.
    pub own: Option<TcpListener>,
}

impl Listeners {
    /// Takes those that are named `edge`, `edge-tls` and `admin`; others are closed.
    pub fn from_named(named: Vec<Named>) -> Self {
        let mut listeners = Self::default();
        for Named { name, fd } in named {
            listeners.take(&name, fd.into());
        }
        listeners
    }

    /// Takes one by its name.
    pub fn take(&mut self, name: &str, listener: TcpListener) {
        match name {
            "edge" => self.edge.push(listener),
            "edge-tls" => self.edge_tls.push(listener),
            "admin" => self.admin = Some(listener),
            _ => tracing::warn!(name, "a listener that nobody asked for was handed over"),
        }
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

/// All that were given, or a new one.
pub(crate) fn all_ready(
    name: &'static str,
    given: Vec<TcpListener>,
    addr: SocketAddr,
) -> Result<Vec<TcpListener>, Error> {
    if given.is_empty() {
        return Ok(vec![ready(name, None, addr)?]);
    }
    given
        .into_iter()
        .map(|listener| ready(name, Some(listener), addr))
        .collect()
}

/// Copies of the descriptors, which whoever takes the listeners over gets.
pub(crate) fn named(name: &'static str, listeners: &[TcpListener]) -> Result<Vec<Named>, Error> {
    let copy = |listener: &TcpListener| {
        let copy = listener.try_clone();
        Ok(Named {
            name: name.to_owned(),
            fd: copy.map_err(|source| Error::Listener { name, source })?.into(),
        })
    };
    listeners.iter().map(copy).collect()
}
