//! What a listener's operator says of it. A change concerns connections to come.

use std::time::Duration;

use crate::framing::Limits;
use crate::net::Net;

/// Which requests the access log tells at level info; the others are told at level debug.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AccessLog {
    /// Those that failed here or behind, and slow ones.
    #[default]
    Errors,
    /// All.
    All,
    /// None.
    Off,
}

/// How connections are taken and bounded.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Open connections; further ones get 503.
    pub connections_max: usize,
    /// Size of a request's head.
    pub head: Limits,
    /// Time for a head to arrive, from its first byte (of the first one: from the connection's start). Also for a
    /// PROXY header, and for a TLS handshake.
    pub head_timeout: Duration,
    /// Time that a connection may be idle between requests.
    pub idle_timeout: Duration,
    /// Time in which a client has to take something of an answer that waits for it.
    pub send_timeout: Duration,
    /// Whether HTTP/2 is spoken: by prior knowledge, and by ALPN.
    pub http2: bool,
    /// Whether trusted hops begin each connection with a PROXY header, version 1 or 2.
    pub proxy_protocol: bool,
    /// Hops whose `Forwarded`, `X-Forwarded-*` and PROXY headers count.
    pub trusted: Vec<Net>,
    /// What the access log tells.
    pub access_log: AccessLog,
    /// Requests that take longer are told as slow.
    pub slow: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            connections_max: 10_000,
            head: Limits::default(),
            head_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(75),
            send_timeout: Duration::from_secs(60),
            http2: true,
            proxy_protocol: false,
            trusted: Vec::new(),
            access_log: AccessLog::default(),
            slow: Duration::from_secs(1),
        }
    }
}

impl Settings {
    /// Whether this hop's word counts.
    pub(crate) fn trusts(&self, ip: std::net::IpAddr) -> bool {
        self.trusted.iter().any(|net| net.contains(ip))
    }
}
