//! TLS to edges elsewhere, for `brick test --env` and `brick load --target`.
//!
//! Here alone, so that a brick, which speaks plain HTTP on this machine, carries none of it. Trusted is what this machine
//! trusts (`SSL_CERT_FILE` and `SSL_CERT_DIR` in its place) and what `--ca` adds; there is no way to trust anything.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use brick_wire::Client;
use brick_wire::client::{Dial, Dialling, Stream};
use http::Uri;
use mortar_gateway::tls::{distrust, explain as explained};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::failure::{Failure, Outcome};

/// How the address of an edge that speaks TLS begins.
const SCHEME: &str = "https://";
/// How long a connection may take until TLS is agreed on.
const CONNECT: Duration = Duration::from_secs(5);
/// What to do about a certificate that is not trusted.
pub(crate) const HINT: &str = "nothing was sent; `--ca FILE` trusts an authority that this machine does not know, \
                               anything else is the server's to mend";

/// A client for `url`: plain, or over TLS that trusts this machine's authorities and those in the file `ca` (PEM).
pub(crate) fn client(url: &str, ca: Option<&Path>) -> Outcome<Client> {
    let tls = url
        .get(..SCHEME.len())
        .is_some_and(|scheme| scheme.eq_ignore_ascii_case(SCHEME));
    match (tls, ca) {
        (true, ca) => Ok(Client::dialled(Arc::new(Tls::new(roots(ca)?)?))),
        (false, None) => Ok(Client::new()),
        (false, Some(_)) => {
            let message = format!("--ca is about https://, and {url} is not");
            Err(Failure::usage(message).hint("leave --ca out, or name the https:// address of the edge"))
        }
    }
}

/// Opens connections that speak TLS.
struct Tls {
    connector: TlsConnector,
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tls")
    }
}

impl Tls {
    fn new(roots: RootCertStore) -> Outcome<Self> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| Failure::failed(format!("cannot speak TLS: {error}")))?;
        let mut config = builder.with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self {
            connector: TlsConnector::from(Arc::new(config)),
        })
    }
}

impl Dial for Tls {
    fn dial(&self, uri: Uri) -> Dialling {
        let connector = self.connector.clone();
        Box::pin(async move {
            let host = uri.host().unwrap_or_default();
            let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
            let port = uri.port_u16().unwrap_or(443);
            let opened = tokio::time::timeout(CONNECT, open(&connector, &host, port)).await;
            let late = || {
                let text = format!("no TLS connection to {host} port {port} within {CONNECT:?}");
                io::Error::new(io::ErrorKind::TimedOut, text)
            };
            opened.unwrap_or_else(|_| Err(late()))
        })
    }
}

async fn open(connector: &TlsConnector, host: &str, port: u16) -> io::Result<Box<dyn Stream>> {
    let name = ServerName::try_from(host.to_owned()).map_err(|_| {
        io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("{host} is no name of a server"),
        )
    })?;
    let tcp = TcpStream::connect((host, port)).await?;
    tcp.set_nodelay(true)?;
    let tls = connector.connect(name, tcp).await;
    Ok(Box::new(tls.map_err(|error| explain(host, &error))?))
}

/// Why TLS was not agreed on, as whoever called must know it. What is about trust is of kind `InvalidData`.
fn explain(host: &str, error: &io::Error) -> io::Error {
    let invalid = |text: String| io::Error::new(io::ErrorKind::InvalidData, text);
    let inner = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match inner {
        Some(rustls::Error::InvalidCertificate(reason)) => invalid(distrust(host, reason)),
        Some(_) => io::Error::other(explained(host, error).unwrap_or_default()),
        None if error.kind() == io::ErrorKind::UnexpectedEof => {
            io::Error::other(format!("{host} hung up while TLS was agreed on"))
        }
        None => io::Error::new(error.kind(), error.to_string()),
    }
}

/// What is trusted.
fn roots(ca: Option<&Path>) -> Outcome<RootCertStore> {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(found.certs);
    if let Some(file) = ca {
        add(&mut roots, file)?;
    } else if roots.is_empty() {
        let why = found
            .errors
            .first()
            .map(|error| format!(": {error}"))
            .unwrap_or_default();
        let message = format!("this machine knows no certificate authority{why}");
        return Err(Failure::failed(message)
            .hint("install the package ca-certificates, or name a file of authorities with `--ca FILE`"));
    }
    Ok(roots)
}

fn add(roots: &mut RootCertStore, file: &Path) -> Outcome {
    let wrong = |what: String| {
        Failure::usage(format!("--ca {}: {what}", file.display()))
            .hint("a PEM file is expected, with one or more CERTIFICATE blocks")
    };
    let text = std::fs::read(file).map_err(|error| wrong(error.to_string()))?;
    let mut count = 0;
    for certificate in CertificateDer::pem_slice_iter(&text) {
        let certificate = certificate.map_err(|error| wrong(error.to_string()))?;
        roots.add(certificate).map_err(|error| wrong(error.to_string()))?;
        count += 1;
    }
    match count {
        0 => Err(wrong("it holds no certificate".to_owned())),
        _ => Ok(()),
    }
}
