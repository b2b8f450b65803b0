//! The data plane: an HTTP proxy on immutable snapshots, used by the gateway and the host proxy.
//!
//! A connection's bytes pass the [`framing`] guard, then hyper's parser, then [`Proxy`]: route, [`Gate`], fields,
//! an instance by power of two choices, and the answer back, streamed both ways. HTTP/1.1 to instances is our own codec,
//! driven by the exchange itself; HTTP/2 is h2's.
//!
//! What always holds:
//! - routes are an immutable snapshot behind one atomic pointer; a request sees one of them, whole;
//! - bodies are concrete types, bounded and never collected;
//! - what the outer side claims about itself (forwarded fields, identity, `brick.*` baggage) never passes;
//! - every bound that bites is counted: connections, series, spans.

pub mod framing;
pub mod gate;
pub mod listener;
pub mod net;
pub mod relay;
pub mod route;
pub mod settings;
pub mod tls;
pub mod token;
pub mod worker;

mod answer;
mod body;
mod call;
mod caller;
mod connection;
mod crossing;
mod crowd;
mod exchange;
mod expose;
mod fallback;
mod forward;
mod forwarded;
mod guard;
mod headers;
mod http1;
mod link;
mod merge;
mod opening;
mod pool;
mod proxy;
mod remote;
mod sampler;
mod shadow;
mod stats;
mod timer;
mod tunnel;

pub use answer::Answer;
pub use body::{Body, Error as BodyError, Filter};
pub use caller::Caller;
pub use expose::{expose, expose_calls, expose_served};
pub use gate::{CalledBy, Client, Gate, Later, Passing, SYNTHETIC_HEADER, Synthetic, Verdict};
pub use http1::read_answer;
pub use pool::Transport;
pub use proxy::{Options, Proxy, Side};
pub use remote::{Invalid as InvalidRemote, Remote, SystemRoots};
pub use route::{Access, Attached, Compiler, Conditions, Route, Routes, Sought, Target, canonical};
pub use settings::{AccessLog, Settings};
