//! Ports: the public listeners, which the agent binds and keeps, and the ports of slots, which persist.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;

use crate::Error;
use crate::linux::ports::{ephemeral_range, owner};

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

    /// A port that nobody listens on.
    pub(crate) fn assign(&mut self, what: &str) -> Result<u16, Error> {
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
        let first = assigner.assign("order/1").unwrap();
        let second = assigner.assign("order/2").unwrap();
        assert_ne!(first, second);
        for port in [first, second] {
            assert!((FROM..=TO).contains(&port) && is_free(port));
        }
        let mut full = Assigner::new(Path::new("/a"), []);
        full.ephemeral = (1, u16::MAX);
        assert!(matches!(full.assign("x"), Err(Error::NoPort { .. })));
    }

    #[test]
    fn a_port_that_somebody_took_is_passed_over() {
        let first = Assigner::new(Path::new("/taken"), []).assign("a").unwrap();
        let _held = TcpListener::bind((Ipv4Addr::LOCALHOST, first)).unwrap();
        assert_ne!(Assigner::new(Path::new("/taken"), []).assign("a").unwrap(), first);
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
