//! TLS to the server: its certificate and its name are always verified.

use std::fmt;
use std::future::Future;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::tls::{ChannelBinding, MakeTlsConnect, TlsConnect, TlsStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream as Encrypted;

/// What opens encrypted connections.
#[derive(Clone)]
pub(super) struct Tls(Arc<ClientConfig>);

/// For one connection, to this name.
pub(super) struct Dial {
    tls: Arc<ClientConfig>,
    host: String,
}

/// An encrypted connection.
pub(super) struct Stream<S>(Encrypted<S>);

/// Why TLS was not agreed on.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Untrusted(String);

impl Tls {
    /// Trusts the machine's authorities, and those in the file.
    pub(super) fn new(authorities: Option<&Path>) -> Result<Self, String> {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if let Some(file) = authorities {
            let told = |what: String| format!("sslrootcert {}: {what}", file.display());
            let read = CertificateDer::pem_file_iter(file).map_err(|error| told(error.to_string()))?;
            for certificate in read {
                let added = certificate.map_err(|error| told(error.to_string()));
                roots.add(added?).map_err(|error| told(error.to_string()))?;
            }
        }
        if roots.is_empty() {
            return Err(
                "this machine knows no certificate authority: install ca-certificates, or name a file by sslrootcert"
                    .to_owned(),
            );
        }
        let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| format!("cannot speak TLS: {error}"))?;
        Ok(Self(Arc::new(
            builder.with_root_certificates(roots).with_no_client_auth(),
        )))
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tls")
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> MakeTlsConnect<S> for Tls {
    type Stream = Stream<S>;
    type TlsConnect = Dial;
    type Error = Untrusted;

    fn make_tls_connect(&mut self, host: &str) -> Result<Dial, Untrusted> {
        Ok(Dial {
            tls: Arc::clone(&self.0),
            host: host.to_owned(),
        })
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> TlsConnect<S> for Dial {
    type Stream = Stream<S>;
    type Error = Untrusted;
    type Future = Pin<Box<dyn Future<Output = Result<Stream<S>, Untrusted>> + Send>>;

    fn connect(self, stream: S) -> Self::Future {
        Box::pin(async move {
            let host = self.host;
            let told = |error: &dyn fmt::Display| Untrusted(format!("no TLS with {host}: {error}"));
            let name = ServerName::try_from(host.clone()).map_err(|error| told(&error))?;
            let agreed = TlsConnector::from(self.tls).connect(name, stream).await;
            agreed.map(Stream).map_err(|error| told(&error))
        })
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> TlsStream for Stream<S> {
    fn channel_binding(&self) -> ChannelBinding {
        ChannelBinding::none()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Stream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, into)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Stream<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, from)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
