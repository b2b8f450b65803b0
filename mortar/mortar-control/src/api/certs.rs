//! Certificates of the edge. A private key comes in and is never told again.

use axum::extract::State;
use brick_bus::Cert;
use brick_http::{Json, Path, Problem};
use http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::audit::By;
use crate::certificate;
use crate::service::Handle;
use crate::state::Action;

/// What their settings' names begin with.
pub(crate) const CERTS: &str = "certs/";
/// Longest name of a certificate.
const NAME_BYTES_MAX: usize = 63;
/// Certificates at most; the gateway shows no more.
const CERTS_MAX: usize = 1_000;
/// Hosts of one certificate.
const HOSTS_MAX: usize = 100;
/// Longest chain, and longest key.
const PEM_BYTES_MAX: usize = 64 << 10;

/// A certificate with its key.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CertBody {
    /// Chain in PEM, leaf first.
    cert_pem: String,
    /// Private key in PEM.
    key_pem: String,
    /// Hosts that it is shown to: `shop.test`, `*.shop.test`.
    hosts: Vec<String>,
}

/// What is told of a certificate.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct CertView {
    name: String,
    /// Common name of the certificate's subject.
    subject: String,
    hosts: Vec<String>,
    /// When it expires, RFC 3339.
    not_after: String,
}

/// All certificates that were put.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct CertList {
    items: Vec<CertView>,
}

pub(crate) async fn list(State(handle): State<Handle>) -> Json<CertList> {
    let state = handle.state();
    let all = state.settings_below(CERTS);
    Json(CertList {
        items: all.filter_map(|(name, value)| view(name, value)).collect(),
    })
}

pub(crate) async fn show(
    State(handle): State<Handle>,
    path: Result<Path<String>, Problem>,
) -> Result<Json<CertView>, Problem> {
    let name = name(path?)?;
    let state = handle.state();
    let held = state.settings.get(&format!("{CERTS}{name}"));
    let unknown = || Problem::not_found("cert_unknown", format!("no certificate was put as \"{name}\""));
    held.and_then(|value| view(&name, value))
        .map(Json)
        .ok_or_else(unknown)
}

pub(crate) async fn put(
    State(handle): State<Handle>,
    by: By,
    path: Result<Path<String>, Problem>,
    body: Result<Json<CertBody>, Problem>,
) -> Result<Json<CertView>, Problem> {
    let name = name(path?)?;
    let Json(body) = body?;
    check(&body).map_err(|hint| Problem::unprocessable("cert_invalid", hint))?;
    let setting = format!("{CERTS}{name}");
    let state = handle.state();
    let others = state.settings_below(CERTS).filter(|(held, _)| *held != name);
    if others.count() >= CERTS_MAX {
        let hint = format!("{CERTS_MAX} certificates are put already; remove one that is no longer shown");
        return Err(Problem::unprocessable("too_many", hint));
    }
    let cert = Cert {
        cert_pem: body.cert_pem,
        key_pem: body.key_pem,
        hosts: body.hosts,
    };
    let value = serde_json::to_value(&cert).map_err(|_| Problem::internal())?;
    let shown = view(&name, &value).ok_or_else(Problem::internal)?;
    let before = state.settings.get(&setting).map(|held| told(&name, held));
    let entry = by
        .did("certs.put", &*setting)
        .turning(before.unwrap_or_default(), told(&name, &value));
    handle.change(Action::Set(setting, Some(value)), entry).await?;
    tracing::info!(name, hosts = cert.hosts.join(", "), "a certificate was put");
    Ok(Json(shown))
}

pub(crate) async fn remove(
    State(handle): State<Handle>,
    by: By,
    path: Result<Path<String>, Problem>,
) -> Result<StatusCode, Problem> {
    let name = name(path?)?;
    let setting = format!("{CERTS}{name}");
    if let Some(before) = handle.state().settings.get(&setting) {
        let entry = by
            .did("certs.remove", &*setting)
            .turning(told(&name, before), Value::Null);
        handle.change(Action::Set(setting, None), entry).await?;
    }
    Ok(StatusCode::NO_CONTENT)
}

/// What the audit trail tells of a certificate: all but the key.
fn told(name: &str, value: &Value) -> Value {
    view(name, value)
        .and_then(|view| serde_json::to_value(view).ok())
        .unwrap_or_default()
}

/// Whether it can be read. That key and certificate belong together, the gateway sees.
fn check(body: &CertBody) -> Result<(), String> {
    for (what, pem) in [("cert_pem", &body.cert_pem), ("key_pem", &body.key_pem)] {
        if pem.len() > PEM_BYTES_MAX {
            return Err(format!(
                "{what}: expected at most {PEM_BYTES_MAX} bytes, found {}",
                pem.len()
            ));
        }
    }
    if certificate::said(&body.cert_pem).is_none() {
        return Err("cert_pem: expected a certificate chain in PEM, leaf first".to_owned());
    }
    if !body.key_pem.contains("PRIVATE KEY-----") {
        return Err("key_pem: expected a private key in PEM".to_owned());
    }
    if body.hosts.is_empty() || body.hosts.len() > HOSTS_MAX {
        return Err(format!(
            "hosts: expected 1 to {HOSTS_MAX} hosts that it is shown to"
        ));
    }
    match body.hosts.iter().find(|host| !brick_model::is_host(host)) {
        Some(host) => {
            let shown: String = host.chars().take(80).collect();
            Err(format!(
                "hosts: expected a host such as \"shop.test\" or \"*.shop.test\", found \"{shown}\""
            ))
        }
        None => Ok(()),
    }
}

fn name(Path(name): Path<String>) -> Result<String, Problem> {
    let is_good = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
    if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.bytes().all(is_good) {
        let hint = "expected a name of 1 to 63 letters, digits, \".\", \"-\" and \"_\"";
        return Err(Problem::unprocessable("name_invalid", hint));
    }
    Ok(name)
}

fn view(name: &str, value: &Value) -> Option<CertView> {
    let cert = Cert::deserialize(value).ok()?;
    let said = certificate::said(&cert.cert_pem)?;
    Some(CertView {
        name: name.to_owned(),
        subject: said.subject,
        hosts: cert.hosts,
        not_after: said.not_after,
    })
}
