//! *Edge Gateway*: the one way in. Two listeners on the same data plane ([`mortar_proxy`]).
//!
//! The **edge** listener serves `routes/edge` from the bus to the outer world and checks user tokens where a route
//! says so. The **admin** listener serves console and every platform API from a fixed table, to operators alone.
//! Both go on serving while control is down, from what the bus said last.
//!
//! What always holds:
//! - the gateway serves when it has listeners; what it does not know yet it answers with 503, never with a guess;
//! - an operator's cookie never leaves towards bricks, though browsers send it to every port of a host;
//! - the admin listener answers only to its own names and origins (DNS rebinding, cross-site requests).

pub mod admin;
pub mod edge;

mod cache;
mod cookie;
mod figures;
mod follow;
mod function;
mod keys;
mod listeners;
mod options;
mod page;
mod service;
mod settings;
mod shared_rate;
mod synthetic;
mod view;

pub use listeners::Listeners;
/// Why TLS was not agreed on, for whoever else opens connections.
pub use mortar_proxy::tls;
pub use options::{Error, Options};
pub use service::{Handle, Service};
