//! TLS (rustls on aws-lc): certificates by server name towards clients, a verified connection towards instances.
//!
//! Certificates are a snapshot behind one atomic pointer: a swap concerns handshakes to come, connections that are open
//! stay as they are, and session tickets stay good.

pub mod file;
mod refusal;
mod upstream;

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{
    ClientHello, ProducesTickets, ResolvesServerCert, ServerSessionMemoryCache, StoresServerSessions,
};
use rustls::sign::CertifiedKey;
use rustls::{ServerConfig, version};

pub use refusal::{distrust, explain};
pub use upstream::{Client, Roots, Upstream};

/// Most certificates of a listener.
pub const CERTS_MAX: usize = 1_000;
/// Sessions that clients may resume without a ticket (TLS 1.2).
const SESSIONS_MAX: usize = 4_096;

/// Why certificates cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The text holds no certificate.
    #[error("expected a certificate chain in PEM, leaf first")]
    Chain,
    /// The text holds no private key.
    #[error("expected one private key in PEM (PKCS#8, PKCS#1 or SEC1)")]
    Key,
    /// Key and certificate do not belong together, or are of a kind that is not known.
    #[error("certificate and key cannot be used together")]
    Pair(#[source] rustls::Error),
    /// What is to be trusted cannot be.
    #[error("expected certificates of authorities")]
    Authority(#[source] rustls::Error),
    /// Nobody is trusted.
    #[error("this machine knows no certificate authority; name a file of them with `ca`")]
    NoAuthority,
    /// A name is none of a host.
    #[error("expected a host such as \"shop.example\" or \"*.shop.example\", found {0:?}")]
    Host(String),
    /// Too many.
    #[error("{0} certificates, at most {CERTS_MAX} are served")]
    TooMany(usize),
    /// TLS cannot be set up.
    #[error("TLS cannot be set up")]
    Setup(#[source] rustls::Error),
}

/// A certificate with its key, and the hosts that it is shown to.
#[derive(Debug, Clone)]
pub struct Cert {
    hosts: Vec<String>,
    key: Arc<CertifiedKey>,
}

/// The oldest version of TLS that is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Oldest {
    /// TLS 1.2.
    #[default]
    Tls12,
    /// TLS 1.3.
    Tls13,
}

/// TLS of a listener: certificates by server name, and what is agreed on. Cheap to clone; clones see every change.
#[derive(Debug, Clone)]
pub struct Server(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    names: Arc<Names>,
    config: ArcSwap<ServerConfig>,
    /// Outlive a change of configuration, so that sessions can be resumed.
    sessions: Arc<dyn StoresServerSessions>,
    ticketer: Arc<dyn ProducesTickets>,
}

#[derive(Debug, Default)]
struct Names(ArcSwap<Table>);

#[derive(Debug, Default)]
struct Table {
    exact: HashMap<String, Arc<CertifiedKey>>,
    /// Without the `*`: `.shop.example`.
    wildcard: HashMap<String, Arc<CertifiedKey>>,
    /// For clients that name no host, or one that nobody knows.
    first: Option<Arc<CertifiedKey>>,
}

impl Cert {
    /// Reads chain and key, and sees that they belong together.
    ///
    /// # Errors
    /// What is missing, or does not fit.
    pub fn from_pem(cert: &[u8], key: &[u8], hosts: &[String]) -> Result<Self, Error> {
        let hosts: Result<Vec<String>, Error> = hosts.iter().map(|host| known(host)).collect();
        Ok(Self {
            hosts: hosts?,
            key: Arc::new(certified(cert, key)?),
        })
    }
}

impl Server {
    /// Without certificates: handshakes fail until there are some.
    ///
    /// # Errors
    /// The platform's cryptography is not there.
    pub fn new() -> Result<Self, Error> {
        let names = Arc::<Names>::default();
        let sessions: Arc<dyn StoresServerSessions> = ServerSessionMemoryCache::new(SESSIONS_MAX);
        let ticketer = aws_lc_rs::Ticketer::new().map_err(Error::Setup)?;
        let made = config(&names, &sessions, &ticketer, Oldest::default(), true)?;
        Ok(Self(Arc::new(Inner {
            names,
            config: ArcSwap::from_pointee(made),
            sessions,
            ticketer,
        })))
    }

    /// Shows these certificates from now on.
    ///
    /// # Errors
    /// Too many.
    pub fn replace(&self, certs: &[Cert]) -> Result<(), Error> {
        if certs.len() > CERTS_MAX {
            return Err(Error::TooMany(certs.len()));
        }
        let mut table = Table {
            first: certs.first().map(|cert| Arc::clone(&cert.key)),
            ..Table::default()
        };
        for cert in certs {
            for host in &cert.hosts {
                let (names, host) = match host.strip_prefix('*') {
                    Some(rest) => (&mut table.wildcard, rest),
                    None => (&mut table.exact, host.as_str()),
                };
                names
                    .entry(host.to_owned())
                    .or_insert_with(|| Arc::clone(&cert.key));
            }
        }
        self.0.names.0.store(Arc::new(table));
        Ok(())
    }

    /// Whether there is a certificate to show.
    pub fn has_certs(&self) -> bool {
        self.0.names.0.load().first.is_some()
    }

    /// Agrees on this from now on.
    ///
    /// # Errors
    /// The platform's cryptography is not there.
    pub fn set(&self, oldest: Oldest, http2: bool) -> Result<(), Error> {
        let Inner {
            names,
            sessions,
            ticketer,
            ..
        } = &*self.0;
        let made = config(names, sessions, ticketer, oldest, http2)?;
        self.0.config.store(Arc::new(made));
        Ok(())
    }

    pub(crate) fn config(&self) -> Arc<ServerConfig> {
        self.0.config.load_full()
    }
}

fn config(
    names: &Arc<Names>,
    sessions: &Arc<dyn StoresServerSessions>,
    ticketer: &Arc<dyn ProducesTickets>,
    oldest: Oldest,
    http2: bool,
) -> Result<ServerConfig, Error> {
    let versions: &[&rustls::SupportedProtocolVersion] = match oldest {
        Oldest::Tls12 => &[&version::TLS13, &version::TLS12],
        Oldest::Tls13 => &[&version::TLS13],
    };
    let resolver: Arc<dyn ResolvesServerCert> = Arc::clone(names) as _;
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(versions)
        .map_err(Error::Setup)?
        .with_no_client_auth()
        .with_cert_resolver(resolver);
    config.ignore_client_order = true;
    config.alpn_protocols = protocols(http2);
    config.session_storage = Arc::clone(sessions);
    config.ticketer = Arc::clone(ticketer);
    Ok(config)
}

impl Table {
    fn find(&self, name: Option<&str>) -> Option<&Arc<CertifiedKey>> {
        let named = name.and_then(|name| {
            let name = name.to_ascii_lowercase();
            self.exact.get(&name).or_else(|| {
                let dot = name.find('.')?;
                self.wildcard.get(&name[dot..])
            })
        });
        named.or(self.first.as_ref())
    }
}

impl ResolvesServerCert for Names {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.load().find(hello.server_name()).cloned()
    }
}

/// What is offered by ALPN, the preferred first.
fn protocols(http2: bool) -> Vec<Vec<u8>> {
    let mut protocols = vec![b"http/1.1".to_vec()];
    if http2 {
        protocols.insert(0, b"h2".to_vec());
    }
    protocols
}

/// With AES-128 and SHA-256 before what is longer: as safe for as long as sessions last, and a handshake takes a fifth
/// less time where the processor has instructions for SHA-256 and none for SHA-384.
fn provider() -> Arc<CryptoProvider> {
    let mut provider = aws_lc_rs::default_provider();
    provider.cipher_suites.sort_by_key(|suite| {
        suite
            .suite()
            .as_str()
            .is_some_and(|name| name.contains("AES_256"))
    });
    Arc::new(provider)
}

/// In lower case, where it may be a host.
fn known(host: &str) -> Result<String, Error> {
    let name = host.strip_prefix("*.").unwrap_or(host);
    let is_good = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
    let bad = name.is_empty() || name.starts_with('.') || !name.bytes().all(is_good);
    if bad {
        return Err(Error::Host(host.to_owned()));
    }
    Ok(host.to_ascii_lowercase())
}

fn chain(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, Error> {
    let certs: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    certs.ok().filter(|certs| !certs.is_empty()).ok_or(Error::Chain)
}

fn private_key(pem: &[u8]) -> Result<PrivateKeyDer<'static>, Error> {
    PrivateKeyDer::from_pem_slice(pem).map_err(|_| Error::Key)
}

fn certified(cert: &[u8], key: &[u8]) -> Result<CertifiedKey, Error> {
    CertifiedKey::from_der(chain(cert)?, private_key(key)?, &provider()).map_err(Error::Pair)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cert(hosts: &[&str]) -> Cert {
        let names: Vec<String> = hosts.iter().map(|&host| host.to_owned()).collect();
        let made = rcgen::generate_simple_self_signed(names.clone()).unwrap();
        Cert::from_pem(
            made.cert.pem().as_bytes(),
            made.signing_key.serialize_pem().as_bytes(),
            &names,
        )
        .unwrap()
    }

    #[test]
    fn a_server_name_finds_its_certificate() {
        let (shop, wild) = (cert(&["shop.test"]), cert(&["*.shop.test", "Other.test"]));
        let server = Server::new().unwrap();
        assert!(!server.has_certs() && server.0.names.0.load().find(None).is_none());
        server.replace(&[shop.clone(), wild.clone()]).unwrap();
        let table = server.0.names.0.load();
        let check = |name: Option<&str>, expect: &Cert| {
            let found = table.find(name).unwrap();
            assert!(Arc::ptr_eq(found, &expect.key), "{name:?}");
        };
        check(Some("shop.test"), &shop);
        check(Some("SHOP.test"), &shop);
        check(Some("api.shop.test"), &wild);
        check(Some("other.test"), &wild);
        check(Some("a.b.shop.test"), &shop);
        check(None, &shop);
    }

    #[test]
    fn what_does_not_belong_together_is_refused() {
        let one = rcgen::generate_simple_self_signed(vec!["a.test".to_owned()]).unwrap();
        let other = rcgen::generate_simple_self_signed(vec!["a.test".to_owned()]).unwrap();
        let (cert, key) = (one.cert.pem(), other.signing_key.serialize_pem());
        let hosts = ["a.test".to_owned()];
        let read = |cert: &str, key: &str| Cert::from_pem(cert.as_bytes(), key.as_bytes(), &hosts);
        assert!(matches!(read(&cert, &key), Err(Error::Pair(_))));
        assert!(matches!(read("", &key), Err(Error::Chain)));
        assert!(matches!(read(&cert, &cert), Err(Error::Key)));
        for bad in ["", "*", "*.", "a b", "a/b", ".x"] {
            assert!(matches!(known(bad), Err(Error::Host(_))), "{bad}");
        }
    }
}
