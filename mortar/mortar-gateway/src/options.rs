//! What a gateway is told, and why it may not start.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use brick_core::Incarnation;
use http::Uri;
use serde::{Deserialize, Serialize};

/// How the gateway behaves. Plain values: the composition root reads the environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub struct Options {
    /// Where the edge listens, unless its listener is handed over.
    pub edge: SocketAddr,
    /// Where the edge listens with TLS, unless its listener is handed over.
    pub edge_tls: Option<SocketAddr>,
    /// Where console and platform APIs listen, unless their listener is handed over.
    pub admin: SocketAddr,
    /// Where the gateway's own `/info`, `/health` and `/metrics` are (`PORT`).
    pub own: SocketAddr,
    /// Base URL of control.
    pub control_url: String,
    /// Base URL of telemetry.
    pub telemetry_url: String,
    /// This start, as control knows it; without it the gateway reports nothing.
    pub incarnation: Option<Incarnation>,
    /// Unix socket on which the listeners are given to whoever asks; none gives them to nobody.
    pub handover_socket: Option<PathBuf>,
    /// Open connections of each listener, unless the bus says otherwise; further ones get 503.
    pub connections_max: usize,
    /// Time for a request's head to arrive.
    pub head_timeout_ms: u64,
    /// Time that a connection may be idle between requests.
    pub idle_timeout_ms: u64,
    /// Time for what is under way to finish once the gateway is asked to stop.
    pub drain_timeout_ms: u64,
    /// Requests that take longer are logged at level info.
    pub slow_ms: u64,
    /// Time limit of an exchange with a platform API; event streams and tunnels are exempt.
    pub admin_timeout_ms: u64,
    /// Largest request body on the admin listener.
    pub admin_body_bytes_max: u64,
}

impl Default for Options {
    fn default() -> Self {
        let loopback = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        Self {
            edge: loopback(8080),
            edge_tls: None,
            admin: loopback(7700),
            own: loopback(0),
            control_url: String::new(),
            telemetry_url: String::new(),
            incarnation: None,
            handover_socket: None,
            connections_max: 10_000,
            head_timeout_ms: 10_000,
            idle_timeout_ms: 75_000,
            drain_timeout_ms: 10_000,
            slow_ms: 1_000,
            admin_timeout_ms: 60_000,
            admin_body_bytes_max: 64 * 1024 * 1024,
        }
    }
}

/// Why a gateway does not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address is taken, or not ours.
    #[error("cannot listen on {addr} for {name}; is the port taken? choose another one for {name}")]
    Bind {
        /// Which listener.
        name: &'static str,
        /// Where.
        addr: SocketAddr,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
    /// A listener that was handed over cannot be used.
    #[error("cannot use the listener {name} that was handed over")]
    Listener {
        /// Which listener.
        name: &'static str,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
    /// A thread of the data plane does not start.
    #[error("cannot start a worker of the edge")]
    Thread(#[source] std::io::Error),
    /// A thread of the data plane ended.
    #[error(transparent)]
    Worker(mortar_proxy::worker::Died),
    /// TLS cannot be set up.
    #[error(transparent)]
    Tls(#[from] mortar_proxy::tls::Error),
    /// A URL is none of this machine.
    #[error("{name}: expected http://ADDRESS:PORT, found {found:?}")]
    Url {
        /// Which URL.
        name: &'static str,
        /// What was given.
        found: String,
    },
    /// The handover socket cannot be made.
    #[error("cannot make the handover socket {}", .path.display())]
    Handover {
        /// Where.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
}

/// The address of a base URL such as `http://127.0.0.1:7000`.
pub(crate) fn address(name: &'static str, url: &str) -> Result<SocketAddr, Error> {
    let found = || Error::Url {
        name,
        found: url.to_owned(),
    };
    let uri: Uri = url.parse().map_err(|_| found())?;
    if uri.scheme_str() != Some("http") {
        return Err(found());
    }
    let host = uri.host().ok_or_else(found)?;
    let ip = match host {
        "localhost" => IpAddr::V4(Ipv4Addr::LOCALHOST),
        _ => host.trim_matches(['[', ']']).parse().map_err(|_| found())?,
    };
    Ok((ip, uri.port_u16().unwrap_or(80)).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_url_names_an_address() {
        let check = |url: &str, expect: Option<&str>| {
            let found = address("x", url).ok().map(|a| a.to_string());
            assert_eq!(found.as_deref(), expect, "{url}");
        };
        check("http://127.0.0.1:7000", Some("127.0.0.1:7000"));
        check("http://localhost:7000/", Some("127.0.0.1:7000"));
        check("http://[::1]:7000", Some("[::1]:7000"));
        check("http://127.0.0.1", Some("127.0.0.1:80"));
        for bad in [
            "",
            "127.0.0.1:7000",
            "https://127.0.0.1:1",
            "http://control:1",
            "http://",
        ] {
            check(bad, None);
        }
    }
}
