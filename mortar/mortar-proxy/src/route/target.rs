//! Where a route leads.

use std::net::SocketAddr;
use std::sync::Arc;

use brick_bus::Protocol;
use brick_core::{Incarnation, Version};
use brick_discovery::balancer::{Balancer, Guard};
use brick_discovery::{Lead, Shadow};
use http::header::HOST;
use http::request::Parts;
use http::{HeaderMap, Method};

use crate::pool::Transport;
use crate::remote::Remote;

/// Where a route leads.
#[derive(Debug, Clone)]
pub enum Target {
    /// To the instances of a brick.
    Brick(Balancer),
    /// To instances of some versions of a brick, by weight; the seam at which shares are moved.
    Split {
        /// The brick.
        balancer: Balancer,
        /// Its versions with their weights, in parts of the sum.
        weights: Arc<[(Version, u32)]>,
    },
    /// To one address.
    Fixed {
        /// Name of what listens there.
        name: Arc<str>,
        /// The address.
        addr: SocketAddr,
        /// How it is spoken to.
        transport: Transport,
    },
    /// To a service outside the system.
    Remote(Remote),
    /// To nowhere else: the listener's gate answers itself.
    Here {
        /// What is answered.
        name: Arc<str>,
    },
}

/// One instance for one attempt.
#[derive(Debug)]
pub(crate) struct Picked {
    pub(crate) addr: SocketAddr,
    pub(crate) transport: Transport,
    /// None for a fixed address.
    pub(crate) instance: Option<(Incarnation, Guard)>,
}

impl Target {
    /// The brick that it leads to, whatever its version, wherever it runs.
    pub(crate) fn brick(&self) -> Option<&str> {
        match self {
            Self::Brick(balancer) | Self::Split { balancer, .. } => Some(balancer.brick()),
            Self::Remote(remote) => Some(remote.name()),
            Self::Fixed { .. } | Self::Here { .. } => None,
        }
    }

    /// The service outside the system that it leads to.
    pub(crate) fn remote(&self) -> Option<&Remote> {
        match self {
            Self::Remote(remote) => Some(remote),
            _ => None,
        }
    }

    /// Turns a request into one for a service outside, where it leads there.
    pub(crate) fn address(&self, parts: &mut Parts) {
        if let Self::Remote(remote) = self {
            remote.address(parts);
        }
    }

    /// Name of what it leads to: `server.address` of client spans.
    pub fn name(&self) -> &str {
        match self {
            Self::Brick(balancer) | Self::Split { balancer, .. } => balancer.brick(),
            Self::Remote(remote) => remote.name(),
            Self::Fixed { name, .. } | Self::Here { name } => name,
        }
    }

    /// Which instances a request with these fields goes to; they are changed to say what was picked. Where it may be,
    /// the host names one of them: `order-2.order.brick`.
    pub(crate) fn lead(&self, headers: &mut HeaderMap, may_name: bool) -> Lead {
        let (Self::Brick(balancer) | Self::Split { balancer, .. }) = self else {
            return Lead::any();
        };
        if may_name && let Some(name) = own_name(headers, balancer.brick()) {
            return balancer.named(name);
        }
        balancer.lead(headers)
    }

    /// A copy of a request that is led so, where the brick's pool wants one.
    pub(crate) fn shadow(&self, method: &Method, headers: &HeaderMap, lead: &Lead) -> Option<Shadow> {
        match self {
            Self::Brick(balancer) | Self::Split { balancer, .. } => balancer.shadow(method, headers, lead),
            _ => None,
        }
    }

    /// An instance as the request is led that is none of `tried`.
    pub(crate) fn pick(&self, lead: &Lead, tried: &[Incarnation]) -> Option<Picked> {
        let pick = match self {
            Self::Brick(balancer) => balancer.pick_led(lead, tried),
            // What operators say of the brick comes before what its route says.
            Self::Split { balancer, .. } if !lead.is_any() => balancer.pick_led(lead, tried),
            Self::Split { balancer, weights } => balancer.pick_split(weights, tried, lead),
            Self::Fixed { addr, transport, .. } => {
                return Some(Picked {
                    addr: *addr,
                    transport: transport.clone(),
                    instance: None,
                });
            }
            Self::Remote(remote) => {
                let (addr, transport) = remote.pick()?;
                return Some(Picked {
                    addr,
                    transport,
                    instance: None,
                });
            }
            Self::Here { .. } => None,
        };
        pick.map(|pick| Picked {
            addr: pick.endpoint.addr,
            transport: match pick.endpoint.protocol {
                // What speaks no HTTP will not answer any; manifests that lead a route there are refused.
                Protocol::Http1 | Protocol::Tcp => Transport::Http1,
                Protocol::H2c => Transport::H2c,
            },
            instance: Some((pick.endpoint.incarnation, pick.guard)),
        })
    }
}

/// The instance that the host names, `order-2` of `order-2.order.brick`.
fn own_name<'h>(headers: &'h HeaderMap, brick: &str) -> Option<&'h str> {
    let host = headers.get(HOST)?.to_str().ok()?;
    let host = host.rsplit_once(':').map_or(host, |(host, _)| host);
    let name = host.strip_suffix(".brick")?.strip_suffix(brick)?;
    name.strip_suffix('.')
}
