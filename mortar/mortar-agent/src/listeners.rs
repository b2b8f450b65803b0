//! The public listeners: bound by the agent, kept by it, and handed to each gateway that it starts.
//!
//! The edge has one listening socket for each worker of the gateway (`SO_REUSEPORT`, socket(7)): the kernel spreads
//! connections over them. They stay open while gateways come and go, so no connection is lost between two of them.

use std::collections::BTreeMap;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;

use brick_model::{Model, WORKERS_MAX};
use command_fds::FdMapping;
use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};

use crate::Error;
use crate::ports::listen;

/// First descriptor that a process gets by `LISTEN_FDS` (sd_listen_fds(3)).
const FIRST_FD: i32 = 3;
const BACKLOG: i32 = 4096;

/// What is to be listened on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) edge: SocketAddr,
    pub(crate) edge_tls: Option<SocketAddr>,
    pub(crate) admin: SocketAddr,
    pub(crate) workers: usize,
}

/// The public listeners.
#[derive(Debug)]
pub(crate) struct Listeners {
    edge: Vec<TcpListener>,
    edge_tls: Vec<TcpListener>,
    admin: TcpListener,
}

impl Wanted {
    /// As the manifest says, unless the operator does.
    pub(crate) fn new(model: &Model, edge: Option<SocketAddr>, admin: SocketAddr) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let most = WORKERS_MAX as usize;
        Self {
            edge: edge.unwrap_or(model.edge.listen),
            edge_tls: model.edge.tls.as_ref().map(|tls| tls.listen),
            admin,
            workers: model
                .edge
                .workers
                .map_or(cores.min(most), |workers| workers as usize),
        }
    }
}

impl Listeners {
    /// Binds them, or says who has the port.
    pub(crate) fn bind(wanted: &Wanted) -> Result<Self, Error> {
        let several = |what, option, addr| {
            // Sockets of other processes of this user could share the port unnoticed: so it is asked for alone first.
            let probe = listen(what, option, addr)?;
            let addr = probe.local_addr().unwrap_or(addr);
            drop(probe);
            let all: io::Result<Vec<TcpListener>> = (0..wanted.workers).map(|_| shared(addr)).collect();
            all.map_err(|source| Error::Listen {
                what,
                addr,
                option,
                source,
            })
        };
        Ok(Self {
            edge: several("edge", "--edge ADDR", wanted.edge)?,
            edge_tls: match wanted.edge_tls {
                Some(addr) => several("edge with TLS", "tls = { listen = … } in [edge]", addr)?,
                None => Vec::new(),
            },
            admin: listen("console", "--console PORT", wanted.admin)?,
        })
    }

    /// Those that a gateway gave back, where they are the wanted ones.
    pub(crate) fn adopt(named: Vec<(String, TcpListener)>, wanted: &Wanted) -> Option<Self> {
        let mut by_name: BTreeMap<String, Vec<TcpListener>> = BTreeMap::new();
        for (name, listener) in named {
            by_name.entry(name).or_default().push(listener);
        }
        let mut take = |name: &str| by_name.remove(name).unwrap_or_default();
        let (edge, edge_tls, mut admin) = (take("edge"), take("edge-tls"), take("admin"));
        let secure = wanted.edge_tls.map_or(0, |_| wanted.workers);
        let fits = edge.len() == wanted.workers
            && edge.iter().all(|listener| listens(listener, wanted.edge))
            && edge_tls.len() == secure
            && edge_tls
                .iter()
                .all(|l| wanted.edge_tls.is_some_and(|addr| listens(l, addr)));
        let admin = admin.pop().filter(|admin| listens(admin, wanted.admin))?;
        fits.then_some(Self {
            edge,
            edge_tls,
            admin,
        })
    }

    /// Where the edge listens.
    pub(crate) fn edge(&self) -> Option<SocketAddr> {
        self.edge.first()?.local_addr().ok()
    }

    /// Where the edge listens with TLS.
    pub(crate) fn edge_tls(&self) -> Option<SocketAddr> {
        self.edge_tls.first()?.local_addr().ok()
    }

    /// Where console and platform APIs are.
    pub(crate) fn admin(&self) -> Option<SocketAddr> {
        self.admin.local_addr().ok()
    }

    /// `LISTEN_FDS` and `LISTEN_FDNAMES` for a gateway.
    pub(crate) fn names(&self) -> (String, String) {
        let names: Vec<&str> = self.all().map(|(name, _)| name).collect();
        (names.len().to_string(), names.join(":"))
    }

    /// Copies of the descriptors, at the numbers where the gateway looks for them.
    pub(crate) fn mappings(&self) -> io::Result<Vec<FdMapping>> {
        let mapping = |((_, listener), child_fd): ((&str, &TcpListener), i32)| {
            let parent_fd: OwnedFd = listener.try_clone()?.into();
            Ok(FdMapping { parent_fd, child_fd })
        };
        self.all().zip(FIRST_FD..).map(mapping).collect()
    }

    fn all(&self) -> impl Iterator<Item = (&'static str, &TcpListener)> {
        let edge = self.edge.iter().map(|listener| ("edge", listener));
        let secure = self.edge_tls.iter().map(|listener| ("edge-tls", listener));
        edge.chain(secure).chain([("admin", &self.admin)])
    }
}

fn listens(listener: &TcpListener, asked: SocketAddr) -> bool {
    listener
        .local_addr()
        .is_ok_and(|addr| addr.ip() == asked.ip() && (asked.port() == 0 || addr.port() == asked.port()))
}

/// A socket that shares its port with others of this process.
fn shared(addr: SocketAddr) -> io::Result<TcpListener> {
    let family = match addr {
        SocketAddr::V4(_) => AddressFamily::INET,
        SocketAddr::V6(_) => AddressFamily::INET6,
    };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(family, SocketType::STREAM, flags, None)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    sockopt::set_socket_reuseport(&socket, true)?;
    rustix::net::bind(&socket, &addr)?;
    rustix::net::listen(&socket, BACKLOG)?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(workers: usize, tls: bool) -> Wanted {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        Wanted {
            edge: any,
            edge_tls: tls.then_some(any),
            admin: any,
            workers,
        }
    }

    #[test]
    fn every_worker_has_a_socket_of_its_own_on_the_same_port() {
        let listeners = Listeners::bind(&wanted(3, true)).unwrap();
        let edge = listeners.edge().unwrap();
        assert!(listeners.edge.iter().all(|l| l.local_addr().unwrap() == edge));
        assert_eq!((listeners.edge.len(), listeners.edge_tls.len()), (3, 3));
        assert_ne!(listeners.edge_tls(), Some(edge));
        let (count, names) = listeners.names();
        assert_eq!(count, "7");
        assert_eq!(names, "edge:edge:edge:edge-tls:edge-tls:edge-tls:admin");
        let fds: Vec<i32> = listeners
            .mappings()
            .unwrap()
            .iter()
            .map(|mapping| mapping.child_fd)
            .collect();
        assert_eq!(fds, [3, 4, 5, 6, 7, 8, 9]);
        std::net::TcpStream::connect(edge).unwrap();
    }

    #[test]
    fn a_port_that_workers_share_is_refused_to_another_system() {
        let listeners = Listeners::bind(&wanted(2, false)).unwrap();
        let again = Wanted {
            edge: listeners.edge().unwrap(),
            ..wanted(2, false)
        };
        let error = Listeners::bind(&again).unwrap_err().to_string();
        assert!(error.contains(&again.edge.to_string()), "{error}");
    }

    #[test]
    fn what_a_gateway_gives_back_is_taken_where_it_is_what_is_wanted() {
        let listeners = Listeners::bind(&wanted(2, true)).unwrap();
        let copies = || -> Vec<(String, TcpListener)> {
            let all = listeners.all();
            all.map(|(name, l)| (name.to_owned(), l.try_clone().unwrap()))
                .collect()
        };
        assert!(Listeners::adopt(copies(), &wanted(2, true)).is_some());
        assert!(Listeners::adopt(copies(), &wanted(3, true)).is_none());
        assert!(Listeners::adopt(copies(), &wanted(2, false)).is_none());
        let other = Wanted {
            edge: SocketAddr::from(([127, 0, 0, 1], 1)),
            ..wanted(2, true)
        };
        assert!(Listeners::adopt(copies(), &other).is_none());
        let without_admin = copies().into_iter().filter(|(name, _)| name != "admin").collect();
        assert!(Listeners::adopt(without_admin, &wanted(2, true)).is_none());
    }
}
