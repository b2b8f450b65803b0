//! Follows how the edge takes connections: `edge/settings` and `certs/*` of the bus, and certificates in files, which
//! are read again when they change. What cannot be used leaves what is in force as it is.

use std::collections::BTreeMap;
use std::time::Duration;

use brick_bus::{Cert, CertFiles, EdgeSettings, Resource, Watch};
use mortar_proxy::tls::{self, Oldest, Server, file};
use mortar_proxy::{AccessLog, Proxy, Settings};
use serde::Deserialize as _;

use crate::edge::EdgeGate;

/// Resource that holds the settings.
const SETTINGS: &str = "edge/settings";
/// What the names of certificates begin with.
const CERTS: &str = "certs/";
/// How often files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What is in force.
#[derive(Debug)]
struct InForce {
    base: Settings,
    revision: Option<u64>,
    files: Vec<CertFiles>,
    /// Revisions of `certs/*`, and when the files changed last: what the certificates in force were made from.
    seen: Option<Seen>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Seen {
    revisions: BTreeMap<String, u64>,
    files: Vec<file::Stamp>,
}

/// Applies changes as they come, until the bus is gone. `base` holds what the bus does not say.
pub(crate) async fn follow(mut watch: Watch, edge: Proxy<EdgeGate>, server: Option<Server>, base: Settings) {
    let mut in_force = InForce {
        base,
        revision: None,
        files: Vec::new(),
        seen: None,
    };
    let mut look = tokio::time::interval(LOOK_EVERY);
    look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        in_force.settings(&watch, &edge, server.as_ref());
        if let Some(server) = &server {
            in_force.certs(&watch, server);
        }
        if server.is_some() {
            tokio::select! {
                _ = watch.changed() => {}
                _ = look.tick() => {}
            }
        } else {
            watch.changed().await;
        }
    }
}

impl InForce {
    fn settings(&mut self, watch: &Watch, edge: &Proxy<EdgeGate>, server: Option<&Server>) {
        let Some(resource) = watch.get(SETTINGS) else {
            return;
        };
        if self.revision == Some(resource.revision) {
            return;
        }
        self.revision = Some(resource.revision);
        let refused = match self.read(&resource) {
            Ok((settings, told)) => {
                if let Some(server) = server {
                    let oldest = match told.tls.as_ref().map(|tls| tls.min.as_str()) {
                        Some("1.3") => Oldest::Tls13,
                        _ => Oldest::Tls12,
                    };
                    if let Err(error) = server.set(oldest, settings.http2) {
                        tracing::warn!(
                            error = brick_core::chain(&error),
                            "the present TLS settings stay in force"
                        );
                    }
                }
                self.files = told.tls.map(|tls| tls.certs).unwrap_or_default();
                edge.set(settings);
                None
            }
            Err(reason) => {
                tracing::warn!(
                    revision = resource.revision,
                    reason,
                    "settings refused; the present ones stay in force"
                );
                Some(reason)
            }
        };
        watch.acknowledge(SETTINGS, resource.revision, refused);
    }

    fn read(&self, resource: &Resource) -> Result<(Settings, EdgeSettings), String> {
        let told = EdgeSettings::deserialize(&resource.value).map_err(|error| error.to_string())?;
        let trusted: Result<Vec<_>, _> = told.trusted.iter().map(|net| net.parse()).collect();
        let settings = Settings {
            connections_max: told.connections_max as usize,
            head_timeout: Duration::from_millis(told.head_timeout_ms),
            idle_timeout: Duration::from_millis(told.idle_timeout_ms),
            http2: told.http2,
            proxy_protocol: told.proxy_protocol,
            trusted: trusted.map_err(|error: mortar_proxy::net::Invalid| error.to_string())?,
            access_log: match told.access_log.as_str() {
                "all" => AccessLog::All,
                "off" => AccessLog::Off,
                _ => AccessLog::Errors,
            },
            ..self.base.clone()
        };
        Ok((settings, told))
    }

    /// Shows new certificates where anything that they come from changed.
    fn certs(&mut self, watch: &Watch, server: &Server) {
        let state = watch.state();
        let put: Vec<&Resource> = state
            .resources
            .range(CERTS.to_owned()..)
            .take_while(|(name, _)| name.starts_with(CERTS))
            .map(|(_, resource)| &**resource)
            .collect();
        let seen = Seen {
            revisions: put.iter().map(|r| (r.name.clone(), r.revision)).collect(),
            files: self
                .files
                .iter()
                .flat_map(|f| [file::stamp(&f.cert), file::stamp(&f.key)])
                .collect(),
        };
        if self.seen.as_ref() == Some(&seen) {
            return;
        }
        self.seen = Some(seen);
        let mut certs = Vec::new();
        for files in &self.files {
            match from_files(files) {
                Ok(cert) => certs.push(cert),
                Err(reason) => tracing::warn!(
                    cert = files.cert,
                    key = files.key,
                    reason,
                    "a certificate is not shown"
                ),
            }
        }
        for resource in put {
            let read = Cert::deserialize(&resource.value)
                .map_err(|error| error.to_string())
                .and_then(|cert| from_pem(cert.cert_pem.as_bytes(), cert.key_pem.as_bytes(), &cert.hosts));
            let refused = match read {
                Ok(cert) => {
                    certs.push(cert);
                    None
                }
                Err(reason) => {
                    tracing::warn!(resource = resource.name, reason, "a certificate is not shown");
                    Some(reason)
                }
            };
            watch.acknowledge(&resource.name, resource.revision, refused);
        }
        // A file that is being written must not leave the edge without the certificate that it had.
        if certs.is_empty() && server.has_certs() {
            return;
        }
        match server.replace(&certs) {
            Ok(()) => tracing::info!(certs = certs.len(), "certificates in force"),
            Err(error) => tracing::warn!(
                error = brick_core::chain(&error),
                "the present certificates stay in force"
            ),
        }
    }
}

fn from_files(files: &CertFiles) -> Result<tls::Cert, String> {
    let read = |path: &str| file::read(path).map_err(|error| format!("cannot read {path}: {error}"));
    let (cert, key) = (read(&files.cert)?, read(&files.key)?);
    from_pem(&cert, &key, &files.hosts)
}

fn from_pem(cert: &[u8], key: &[u8], hosts: &[String]) -> Result<tls::Cert, String> {
    tls::Cert::from_pem(cert, key, hosts).map_err(|error| brick_core::chain(&error))
}
