//! How the edge takes connections: `edge/settings` and `certs/<name>`.

use serde::{Deserialize, Serialize};

/// Value of `edge/settings`: how the edge takes connections.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EdgeSettings {
    /// Whether HTTP/2 is spoken.
    pub http2: bool,
    /// Whether trusted hops begin each connection with a PROXY header.
    #[serde(default)]
    pub proxy_protocol: bool,
    /// Networks of hops whose word on the client counts.
    #[serde(default)]
    pub trusted: Vec<String>,
    /// Open connections; further ones get 503.
    pub connections_max: u32,
    /// Time for a request's head to arrive, in milliseconds.
    pub head_timeout_ms: u64,
    /// Time that a connection may be idle, in milliseconds.
    pub idle_timeout_ms: u64,
    /// `errors`, `all` or `off`.
    pub access_log: String,
    /// The listener with TLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<EdgeTls>,
}

/// TLS at the edge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EdgeTls {
    /// The oldest version that is taken: `1.2` or `1.3`.
    pub min: String,
    /// Certificates from files.
    #[serde(default)]
    pub certs: Vec<CertFiles>,
}

/// A certificate from files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertFiles {
    /// PEM file of the chain, leaf first; relative to the system's folder.
    pub cert: String,
    /// PEM file of the private key.
    pub key: String,
    /// Hosts that it is shown to.
    pub hosts: Vec<String>,
}

/// Value of `certs/<name>`: a certificate with its key. Only the gateway sees it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cert {
    /// Chain, leaf first.
    pub cert_pem: String,
    /// Private key.
    pub key_pem: String,
    /// Hosts that it is shown to.
    pub hosts: Vec<String>,
}

impl std::fmt::Debug for Cert {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cert")
            .field("hosts", &self.hosts)
            .finish_non_exhaustive()
    }
}
