//! Service Discovery: which instances of a brick may be called, and which of them to call now.
//!
//! Endpoints arrive over the bus as `endpoints/<brick>`; a [`Balancer`] holds them as an immutable snapshot and picks as
//! the limits of its caller's edge say: by power of two choices (Mitzenmacher 2001) on requests in flight times a
//! peak-sensitive moving average of latency (peak EWMA, as Finagle and linkerd use it) unless they say otherwise.
//! Instances that fail again and again are left out for a while. Nothing asks control on the request path, so calls go
//! on while control is down.
//!
//! Where versions of a brick run beside each other, [`Balancer::lead`] says which of them a request goes to, and
//! [`Balancer::shadow`] whether another one gets a copy.
//!
//! What always holds: an endpoint that left the set is not picked after the change, nor one that is quarantined; what was learnt of an endpoint
//! survives changes of the set, for it is kept by incarnation; a pick allocates nothing.

pub mod balancer;

mod caller;
mod lead;
mod load;
mod shadow;

pub use balancer::{Balancer, Guard, Pick};
pub use caller::Caller;
pub use lead::{Lead, Pools};
pub use shadow::{MIRRORED, Shadow};
