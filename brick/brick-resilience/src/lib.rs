//! Fault tolerance of calls: what turns a sick callee into a small, visible, local event.
//!
//! Every caller keeps one [`Edge`] for each callee: a policy (compiled from `limits/<caller>-><callee>` of the bus,
//! exchanged at run time) and its state. [`Edge::admit`] lets a call pass or says why not; the [`Permit`] takes the
//! outcome of each try. The patterns are small structs that know no runtime and are given the time:
//! [`Breaker`](breaker::Breaker) (*Circuit Breaker*), [`Bulkhead`](bulkhead::Bulkhead) (*Bulkhead*, with a limit by
//! gradient as an option), [`Budget`](budget::Budget) and the back-off (*Retry*),
//! [`RateLimit`](rate::RateLimit), [`Shedder`](shed::Shedder) (load shedding by queue delay).
//! [`drive::call`] puts them around anything that can be tried; [`layer`] is the same as a tower layer.
//!
//! What always holds:
//! - further tries (retries and hedges) stay within the budget: of N calls at most `budget * N + 10`;
//! - a bulkhead never lets more than its limit pass, and no more wait than its queue holds;
//! - a call that is given up lets go of everything that it held;
//! - each decision is counted, and an event of the call's span.

pub mod breaker;
pub mod budget;
pub mod bulkhead;
pub mod callers;
pub mod drive;
pub mod edge;
pub mod edges;
pub mod fault;
pub mod layer;
pub mod outcome;
pub mod policy;
pub mod rate;
pub mod report;
pub mod shed;
pub mod stale;

mod gradient;
mod latency;

pub use callers::Callers;
pub use edge::{Decision, Edge, Permit, Rejected};
pub use edges::{Edges, FaultsOf, Followed};
pub use outcome::Outcome;
pub use policy::Policy;
pub use stale::Stale;
