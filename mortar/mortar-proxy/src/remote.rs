//! Services outside the system, as the manifest names them: their addresses are looked up again and again, and whom
//! they have to be and who the proxy is (TLS) is read again when the files change. What cannot be used leaves what is
//! in force as it is.

mod identity;

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use brick_bus::External;
use http::header::{AUTHORIZATION, COOKIE, HOST, HeaderName, HeaderValue};
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderMap, Uri};
use tokio::time::Instant;

pub use identity::SystemRoots;
pub(crate) use identity::{Identities, Identity};

use crate::answer::Answer;
use crate::headers;
use crate::pool::Transport;
use crate::tls::Upstream;

/// How often files are looked at, and addresses where none is known.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long addresses are good.
const ADDRESSES_FOR: Duration = Duration::from_secs(30);
/// What the names of fields begin with that are the platform's own.
const OURS: &str = "x-brick-";
/// The field of API keys of this system.
const API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// Why a service outside cannot be led to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("brick \"{name}\": expected a base URL such as \"https://psp.example\", found {url:?}")]
pub struct Invalid {
    name: String,
    url: String,
}

/// A service outside the system. Cheap to clone; clones share what is found out about it.
#[derive(Debug, Clone)]
pub struct Remote(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    name: Arc<str>,
    told: External,
    host: String,
    port: u16,
    authority: HeaderValue,
    /// What its paths begin with, without a slash at the end.
    prefix: String,
    identity: Option<Arc<Identity>>,
    /// How it is spoken to, and of which generation of its identity that is; none while TLS cannot be set up.
    transport: ArcSwapOption<(u64, Transport)>,
    addrs: ArcSwap<Vec<SocketAddr>>,
    turn: AtomicUsize,
}

impl Remote {
    /// Looks at files and address at once, and again until the last clone is gone.
    pub(crate) fn new(name: &str, told: &External, identities: &mut Identities) -> Result<Self, Invalid> {
        let invalid = || Invalid {
            name: name.to_owned(),
            url: told.url.clone(),
        };
        let uri: Uri = told.url.parse().map_err(|_| invalid())?;
        let is_tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(invalid()),
        };
        let authority = uri.authority().ok_or_else(invalid)?;
        let port = authority.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
        let host = authority.host().trim_matches(['[', ']']).to_owned();
        let plain = match told.h2c {
            true => Transport::H2c,
            false => Transport::Http1,
        };
        let remote = Self(Arc::new(Inner {
            name: name.into(),
            told: told.clone(),
            authority: HeaderValue::from_str(authority.as_str()).map_err(|_| invalid())?,
            prefix: uri.path().trim_end_matches('/').to_owned(),
            identity: is_tls.then(|| identities.of(&told.tls)),
            transport: ArcSwapOption::new((!is_tls).then(|| Arc::new((0, plain)))),
            addrs: ArcSwap::default(),
            turn: AtomicUsize::new(0),
            host,
            port,
        }));
        remote.0.secure();
        if let Ok(ip) = remote.0.host.parse::<IpAddr>() {
            remote.0.addrs.store(Arc::new(vec![(ip, port).into()]));
        }
        tokio::spawn(keep(Arc::downgrade(&remote.0)));
        Ok(remote)
    }

    /// Its name in the manifest.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// What it was made from.
    pub(crate) fn told(&self) -> &External {
        &self.0.told
    }

    /// The next of its addresses, and how it is spoken to.
    pub(crate) fn pick(&self) -> Option<(SocketAddr, Transport)> {
        let transport = self.0.transport.load();
        let (_, transport) = &**transport.as_ref()?;
        let addrs = self.0.addrs.load();
        let turn = self.0.turn.fetch_add(1, Ordering::Relaxed);
        let addr = *addrs.get(turn % addrs.len().max(1))?;
        Some((addr, transport.clone()))
    }

    /// Why there was nothing to pick.
    pub(crate) fn absent(&self) -> Answer {
        let name = &self.0.name;
        if self.0.transport.load().is_none() {
            let detail =
                format!("{name} is reached by TLS, which cannot be set up; the gateway's log says why");
            return Answer::unavailable("upstream_tls", detail);
        }
        let detail = format!("the address of {name} is not known; the gateway's log says why");
        Answer::unavailable("no_instance", detail)
    }

    /// Turns a request of this system into one for somebody outside: its own host and path, and nothing that is the
    /// platform's alone.
    pub(crate) fn address(&self, parts: &mut Parts) {
        let headers = &mut parts.headers;
        headers::strip(headers, |name| name.as_str().starts_with(OURS));
        headers::baggage(headers, None);
        headers.insert(HOST, self.0.authority.clone());
        let path = parts.uri.path_and_query().map_or("/", PathAndQuery::as_str);
        let whole = format!("{}{path}", self.0.prefix);
        if let Ok(uri) = whole.parse::<PathAndQuery>() {
            parts.uri = uri.into();
        }
    }
}

/// What was shown to this system is not shown to others.
pub(crate) fn forget_credentials(headers: &mut HeaderMap) {
    for name in [AUTHORIZATION, COOKIE, API_KEY] {
        headers.remove(name);
    }
}

impl Inner {
    /// Takes over what the files say now.
    fn secure(&self) {
        let Some(identity) = &self.identity else { return };
        let Some((generation, client)) = identity.current(&self.name) else {
            return;
        };
        let present = self.transport.load();
        if present.as_ref().is_some_and(|present| present.0 == generation) {
            return;
        }
        let name = self.told.tls.name.as_deref().unwrap_or(&self.host);
        match Upstream::new(&client, name) {
            Ok(upstream) => {
                let made = Transport::Tls(upstream);
                self.transport.store(Some(Arc::new((generation, made))));
            }
            Err(error) => {
                tracing::warn!(
                    to = &*self.name,
                    error = brick_core::chain(&error),
                    "TLS cannot be set up"
                );
            }
        }
    }

    async fn resolve(&self) {
        let found = tokio::net::lookup_host((self.host.as_str(), self.port)).await;
        match found.map(Iterator::collect::<Vec<_>>) {
            Ok(addrs) if !addrs.is_empty() => {
                if **self.addrs.load() != addrs {
                    tracing::info!(to = &*self.name, host = self.host, ?addrs, "addresses in force");
                    self.addrs.store(Arc::new(addrs));
                }
            }
            Ok(_) => tracing::warn!(to = &*self.name, host = self.host, "no address has this name"),
            Err(error) => {
                tracing::warn!(to = &*self.name, host = self.host, %error, "the address cannot be looked up");
            }
        }
    }
}

/// Keeps looking while anybody wants to know. A name that nobody knows is asked for at growing intervals.
async fn keep(remote: Weak<Inner>) {
    let mut next = Instant::now();
    let mut wait = LOOK_EVERY;
    while let Some(held) = remote.upgrade() {
        held.secure();
        let is_name = held.host.parse::<IpAddr>().is_err();
        if is_name && Instant::now() >= next {
            held.resolve().await;
            let known = !held.addrs.load().is_empty();
            wait = if known {
                ADDRESSES_FOR
            } else {
                (wait * 2).min(ADDRESSES_FOR)
            };
            next = Instant::now() + wait;
        }
        drop(held);
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
