//! The core that every other crate stands on: names, identities, drain, durations and the environment contract.
//!
//! It is tiny and frozen early: what changes often lives to the right of it. It performs no I/O and reads neither
//! the environment nor the clock; callers pass both in.

pub mod drain;
pub mod duration;
pub mod env;
pub mod error;
pub mod host;
pub mod id;
pub mod instance;
pub mod name;
pub mod reference;

pub use drain::{Drain, Trigger};
pub use error::{ExitCode, chain};
pub use id::Incarnation;
pub use instance::{Instance, Zone, own_name};
pub use name::{BrickName, Version};
pub use reference::BrickRef;
