//! TLS towards instances and services elsewhere: whom they have to be, and who the proxy is.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::{Error, chain, private_key, protocols, provider};

/// Whose signatures count.
#[derive(Debug, Clone, Copy)]
pub enum Roots<'a> {
    /// Those of these authorities (PEM).
    Pem(&'a [u8]),
    /// Those of these authorities, as the machine knows them.
    Known(&'a [CertificateDer<'static>]),
}

/// Whose signatures count, and who the proxy is. Cheap to clone. Made once for all services that are reached with the
/// same, so that sessions are resumed whoever made them.
#[derive(Debug, Clone)]
pub struct Client {
    both: Arc<ClientConfig>,
    http1: Arc<ClientConfig>,
}

/// How a service is reached by TLS. Cheap to clone. One that is made anew has connections of its own, so that a rotated
/// identity is shown from the next request on; those that are open stay until they are idle.
#[derive(Debug, Clone)]
pub struct Upstream {
    inner: Arc<Inner>,
    /// Whether HTTP/1.1 alone is offered.
    http1: bool,
}

#[derive(Debug)]
struct Inner {
    client: Client,
    name: ServerName<'static>,
    id: u64,
}

impl Client {
    /// Trusts `roots`; shows `identity` (chain and key, PEM) where one is asked for.
    ///
    /// # Errors
    /// What is missing, or does not fit.
    pub fn new(roots: Roots<'_>, identity: Option<(&[u8], &[u8])>) -> Result<Self, Error> {
        let mut store = RootCertStore::empty();
        match roots {
            Roots::Pem(pem) => {
                for root in chain(pem)? {
                    store.add(root).map_err(Error::Authority)?;
                }
            }
            // What a machine knows may hold what cannot be read; the others count all the same.
            Roots::Known(known) => drop(store.add_parsable_certificates(known.iter().cloned())),
        }
        if store.is_empty() {
            return Err(Error::NoAuthority);
        }
        let builder = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(Error::Setup)?
            .with_root_certificates(store);
        let mut config = match identity {
            Some((cert, key)) => {
                // The builder itself does not see whether they belong together.
                super::certified(cert, key)?;
                builder
                    .with_client_auth_cert(chain(cert)?, private_key(key)?)
                    .map_err(Error::Pair)?
            }
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = protocols(false);
        let http1 = Arc::new(config.clone());
        config.alpn_protocols = protocols(true);
        Ok(Self {
            both: Arc::new(config),
            http1,
        })
    }
}

impl Upstream {
    /// A service whose certificate has to be for `name`. It may choose HTTP/2.
    ///
    /// # Errors
    /// The name is none.
    pub fn new(client: &Client, name: &str) -> Result<Self, Error> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let bare = name.trim_start_matches('[').trim_end_matches(']').to_owned();
        let server = ServerName::try_from(bare).map_err(|_| Error::Host(name.to_owned()))?;
        Ok(Self {
            inner: Arc::new(Inner {
                client: client.clone(),
                name: server,
                id: NEXT.fetch_add(1, Ordering::Relaxed),
            }),
            http1: false,
        })
    }

    /// The same over HTTP/1.1 alone, as an upgrade needs it.
    pub(crate) fn http1(&self) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
            http1: true,
        }
    }

    /// Tells the connections of one from those of another; never 0.
    pub(crate) fn id(&self) -> u64 {
        self.inner.id * 2 + u64::from(self.http1)
    }

    /// Shakes hands. True where HTTP/2 was chosen.
    pub(crate) async fn connect(&self, stream: TcpStream) -> std::io::Result<(TlsStream<TcpStream>, bool)> {
        let Client { both, http1 } = &self.inner.client;
        let config = if self.http1 { http1 } else { both };
        let connector = TlsConnector::from(Arc::clone(config));
        let stream = connector.connect(self.inner.name.clone(), stream).await?;
        let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        Ok((stream, is_http2))
    }
}
