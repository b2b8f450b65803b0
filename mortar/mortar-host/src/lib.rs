//! The host proxy: what the SDK's client gives its brick, for any process in any language.
//!
//! A brick with `proxy = true` gets a listener of its own on loopback and the address of it as `HTTP_PROXY`. What it
//! sends there to `http://NAME.brick/…` goes to an instance of that brick on the same data plane as the gateway's
//! requests ([`mortar_proxy`]): found by discovery, within limits and retry budget, past a breaker, with the brick's own
//! token and trace. Bricks that speak something else than HTTP are reached on a listener for each of them.
//!
//! With `capture = true` the kernel leads to the proxy what the brick connects to, so that it need know of no proxy; what
//! is headed for no brick is passed on to where it was headed, bounded and counted.
//!
//! The other way round, a brick with `inbound` is called through the proxy: its callers must be who it lets through, and
//! its requests are bounded, measured and traced there.
//!
//! What always holds:
//! - a listener for HTTP lets nobody through who does not show the secret of its brick, or whom the kernel
//!   did not lead there;
//! - a brick reaches through the proxy what it needs, and nothing else;
//! - callers are told by the agent in a file, everything else by the bus: the proxy goes on while control is away.

mod caller;
mod capture;
mod figures;
mod file;
mod gate;
mod inbound;
mod options;
mod routes;
mod served;
mod service;
mod tcp;

pub use options::{Error, Options};
pub use service::{Handle, Service};
