//! Ports: the public listeners, which the agent binds and keeps, and the ports of slots, which persist.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use crate::Error;
use crate::linux::claim::Claims;
use crate::linux::ports::{ephemeral_range, owner};
use crate::state::Store;

/// First and last port that slots get.
const FROM: u16 = 20_000;
const TO: u16 = 31_999;
/// The usual port of OTLP over HTTP.
pub(crate) const OTLP: u16 = 4318;

/// Listens on a public address, or says who does.
pub(crate) fn listen(
    what: &'static str,
    option: &'static str,
    addr: SocketAddr,
) -> Result<TcpListener, Error> {
    let listener = TcpListener::bind(addr).and_then(|listener| {
        listener.set_nonblocking(true)?;
        Ok(listener)
    });
    listener.map_err(|source| match source.kind() {
        std::io::ErrorKind::AddrInUse => Error::PortTaken {
            what,
            addr,
            owner: owner(addr),
            option,
        },
        _ => Error::Listen {
            what,
            addr,
            option,
            source,
        },
    })
}

/// Whether a port of loopback can be listened on now.
pub(crate) fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

/// Loopback with that port.
pub(crate) fn loopback(port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)
}

/// Hands out ports to slots: from a place that the system's folder decides, so that systems side by side seldom meet,
/// and outside the range that the kernel uses for outgoing connections.
#[derive(Debug)]
pub(crate) struct Assigner {
    start: u16,
    taken: BTreeSet<u16>,
    ephemeral: (u16, u16),
}

impl Assigner {
    /// For the system in `dir`; `taken` are the ports that its slots have already.
    pub(crate) fn new(dir: &Path, taken: impl IntoIterator<Item = u16>) -> Self {
        let span = u64::from(TO - FROM + 1);
        let hash = fnv(dir.as_os_str().as_encoded_bytes());
        Self {
            start: FROM + u16::try_from(hash % span).unwrap_or(0),
            taken: taken.into_iter().collect(),
            ephemeral: ephemeral_range(),
        }
    }

    /// A port that is free, as `is_free` says.
    pub(crate) fn assign(&mut self, what: &str, is_free: impl Fn(u16) -> bool) -> Result<u16, Error> {
        let around = (self.start..=TO).chain(FROM..self.start);
        let outside = |port: &u16| !(self.ephemeral.0..=self.ephemeral.1).contains(port);
        let free = around
            .filter(outside)
            .filter(|port| !self.taken.contains(port))
            .find(|port| is_free(*port));
        let port = free.ok_or_else(|| Error::NoPort {
            what: what.to_owned(),
            from: FROM,
            to: TO,
        })?;
        self.taken.insert(port);
        Ok(port)
    }
}

/// The ports of the slots of one system while it runs.
#[derive(Debug, Clone)]
pub(crate) struct Ports {
    dir: PathBuf,
    store: Store,
    claims: Claims,
    /// The last one that was handed out: the next comes after it, so that a port that was just left stays empty. Who has
    /// not heard of the move yet then finds nobody there, not another brick.
    last: Arc<AtomicU16>,
}

impl Ports {
    pub(crate) fn new(dir: PathBuf, store: Store, claims: Claims) -> Self {
        let last = store.read(|state| state.ports.values().copied().filter(|port| *port <= TO).max());
        Self {
            dir,
            store,
            claims,
            last: Arc::new(AtomicU16::new(last.unwrap_or(0))),
        }
    }

    /// A port that no slot has and nobody listens on.
    pub(crate) fn fresh(&self, slot: &str) -> Result<u16, Error> {
        let held: Vec<u16> = self.store.read(|state| state.ports.values().copied().collect());
        let mut assigner = Assigner::new(&self.dir, held);
        let next = self.last.load(Ordering::Relaxed) + 1;
        if (FROM..=TO).contains(&next) {
            assigner.start = next;
        }
        let port = assigner.assign(slot, |port| self.claims.free(port))?;
        self.last.store(port, Ordering::Relaxed);
        Ok(port)
    }

    /// Another port for a slot whose port somebody took, with what to say about it; none where it is free.
    pub(crate) fn instead_of(&self, slot: &str, port: u16) -> Result<Option<(u16, String)>, Error> {
        if is_free(port) {
            return Ok(None);
        }
        let who = owner(loopback(port)).map_or("another process".to_owned(), |o| {
            format!("pid {} ({})", o.pid, o.command)
        });
        let fresh = self.fresh(slot)?;
        self.store
            .update(|state| state.ports.insert(slot.to_owned(), fresh));
        let msg = format!("port {port} of {slot} was taken by {who}: it is {fresh} now");
        Ok(Some((fresh, msg)))
    }
}

/// FNV-1a, 64 bit: stable over versions and machines, unlike the standard library's hasher.
pub(crate) fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_free_distinct_and_outside_the_ephemeral_range() {
        let mut assigner = Assigner::new(Path::new("/a"), []);
        let first = assigner.assign("order/1", is_free).unwrap();
        let second = assigner.assign("order/2", is_free).unwrap();
        assert_ne!(first, second);
        for port in [first, second] {
            assert!((FROM..=TO).contains(&port) && is_free(port));
        }
        let mut full = Assigner::new(Path::new("/a"), []);
        full.ephemeral = (1, u16::MAX);
        assert!(matches!(full.assign("x", is_free), Err(Error::NoPort { .. })));
    }

    #[test]
    fn a_port_that_somebody_took_is_passed_over() {
        let first = Assigner::new(Path::new("/taken"), [])
            .assign("a", is_free)
            .unwrap();
        let _held = TcpListener::bind((Ipv4Addr::LOCALHOST, first)).unwrap();
        assert_ne!(
            Assigner::new(Path::new("/taken"), [])
                .assign("a", is_free)
                .unwrap(),
            first
        );
    }

    #[test]
    fn a_slot_leaves_a_port_that_somebody_took_and_it_is_said_who() {
        let dir = tempfile::tempdir().unwrap();
        let events = crate::events::Events::new();
        let store = Store::new(
            dir.path().join("agent.json"),
            crate::state::State::default(),
            events,
        );
        let ports = Ports::new(dir.path().to_owned(), store.clone(), Claims::default());
        let port = ports.fresh("order/1").unwrap();
        assert_ne!(
            ports.fresh("order/1").unwrap(),
            port,
            "one that was just left stays empty"
        );
        assert_eq!(ports.instead_of("order/1", port).unwrap(), None);
        let _held = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
        let (fresh, msg) = ports.instead_of("order/1", port).unwrap().unwrap();
        assert!(fresh != port && store.read(|state| state.ports["order/1"]) == fresh);
        for part in [
            port.to_string(),
            fresh.to_string(),
            format!("pid {}", std::process::id()),
        ] {
            assert!(msg.contains(&part), "{msg}");
        }
    }

    #[test]
    fn a_taken_public_port_names_port_owner_and_option() {
        let held = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = held.local_addr().unwrap();
        let error = listen("edge", "--edge ADDR", addr).unwrap_err().to_string();
        for part in [
            addr.to_string(),
            format!("pid {}", std::process::id()),
            "--edge ADDR".to_owned(),
        ] {
            assert!(error.contains(&part), "{error}");
        }
    }
}
