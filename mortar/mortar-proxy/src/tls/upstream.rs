//! TLS towards instances: whom they have to be, and who the proxy is.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::{Error, chain, private_key, protocols, provider};

/// How instances are reached by TLS. Cheap to clone. One that is made anew has connections of its own, so that a
/// rotated identity is shown from the next request on.
#[derive(Debug, Clone)]
pub struct Upstream(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
    id: u64,
}

impl Upstream {
    /// Trusts what `roots` (PEM) signed, for the server `name`; shows `identity` (chain and key, PEM) where one is asked
    /// for. With `http2` the instance may choose HTTP/2.
    ///
    /// # Errors
    /// What is missing, or does not fit.
    pub fn new(
        roots: &[u8],
        name: &str,
        identity: Option<(&[u8], &[u8])>,
        http2: bool,
    ) -> Result<Self, Error> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let mut store = RootCertStore::empty();
        for root in chain(roots)? {
            store.add(root).map_err(Error::Pair)?;
        }
        let builder = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(Error::Setup)?
            .with_root_certificates(store);
        let mut config = match identity {
            Some((cert, key)) => builder
                .with_client_auth_cert(chain(cert)?, private_key(key)?)
                .map_err(Error::Pair)?,
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = protocols(http2);
        let name = ServerName::try_from(name.to_owned()).map_err(|_| Error::Host(name.to_owned()))?;
        Ok(Self(Arc::new(Inner {
            config: Arc::new(config),
            name,
            id: NEXT.fetch_add(1, Ordering::Relaxed),
        })))
    }

    /// Tells the connections of one from those of another.
    pub(crate) fn id(&self) -> u64 {
        self.0.id
    }

    /// Shakes hands. True where HTTP/2 was chosen.
    pub(crate) async fn connect(&self, stream: TcpStream) -> std::io::Result<(TlsStream<TcpStream>, bool)> {
        let connector = TlsConnector::from(Arc::clone(&self.0.config));
        let stream = connector.connect(self.0.name.clone(), stream).await?;
        let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        Ok((stream, is_http2))
    }
}
