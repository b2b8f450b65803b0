//! How the edge takes connections, as the manifest has it.

use brick_bus::{CertFiles, EdgeSettings, EdgeTls};
use brick_model::{AccessLog, Edge, TlsVersion};

/// Value of `edge/settings`.
pub(super) fn settings(edge: &Edge) -> EdgeSettings {
    let ms = |span: brick_core::duration::Span| u64::try_from(span.0.as_millis()).unwrap_or(u64::MAX);
    EdgeSettings {
        http2: edge.http2,
        proxy_protocol: edge.proxy_protocol,
        trusted: edge.trusted.clone(),
        connections_max: edge.connections_max,
        head_timeout_ms: ms(edge.head_timeout),
        idle_timeout_ms: ms(edge.idle_timeout),
        access_log: match edge.access_log {
            AccessLog::Errors => "errors",
            AccessLog::All => "all",
            AccessLog::Off => "off",
        }
        .to_owned(),
        tls: edge.tls.as_ref().map(|tls| EdgeTls {
            min: match tls.min {
                TlsVersion::Tls12 => "1.2",
                TlsVersion::Tls13 => "1.3",
            }
            .to_owned(),
            certs: tls.certs.iter().map(files).collect(),
        }),
    }
}

fn files(cert: &brick_model::EdgeCert) -> CertFiles {
    CertFiles {
        cert: cert.cert.clone(),
        key: cert.key.clone(),
        hosts: cert.hosts.clone(),
    }
}
