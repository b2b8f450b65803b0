//! Ports that an agent has chosen but that nobody listens on yet, kept from other agents: a socket in the abstract
//! namespace for each (unix(7)), which the kernel gives to one alone and takes back at any death. Network namespaces
//! separate these names as they separate ports.

use std::collections::BTreeMap;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::sync::Arc;

use parking_lot::Mutex;

use crate::ports::is_free;

/// The ports that this agent claims. Clones share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Claims(Arc<Mutex<BTreeMap<u16, UnixListener>>>);

impl Claims {
    /// Whether nobody listens on a port and no other agent means to; then it is claimed.
    pub(crate) fn free(&self, port: u16) -> bool {
        let claimed = self.take(port);
        let free = claimed && is_free(port);
        if claimed && !free {
            self.0.lock().remove(&port);
        }
        free
    }

    /// Claims a port for the life of this value; whether it is this agent's now.
    pub(crate) fn take(&self, port: u16) -> bool {
        let mut held = self.0.lock();
        if held.contains_key(&port) {
            return true;
        }
        let name = format!("brickwork/port/{port}");
        let bound = SocketAddr::from_abstract_name(name).and_then(|name| UnixListener::bind_addr(&name));
        match bound {
            Ok(listener) => {
                held.insert(port, listener);
                true
            }
            Err(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_one_agents_until_it_dies() {
        // No port of ours: nobody else claims it meanwhile.
        let port = 3;
        let (first, second) = (Claims::default(), Claims::default());
        assert!(first.take(port) && first.take(port));
        assert!(!second.take(port));
        drop(first);
        assert!(second.take(port));
    }
}
