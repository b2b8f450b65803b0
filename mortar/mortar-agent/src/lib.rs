//! The agent: builds, starts, watches, restarts and adopts the processes of a system.
//!
//! `brick up` is this crate with a terminal around it. The agent owns the folder `.brickwork/` beside the manifest
//! (its lock, its socket, its state), the public listeners (which it hands to the gateway) and every process of the
//! system, platform and bricks alike. It is the only part that starts processes, and it is in nobody's request path:
//! while it is dead everything else goes on, and the next agent adopts what still runs.
//!
//! What always holds:
//! - a child is its own session, has no death signal, and writes to a file, so an agent's death costs it nothing;
//! - a process is known by pid, start time and boot id, never by pid alone;
//! - a slot (`order/1`) keeps its port and its name, and every start in it is a new incarnation;
//! - nothing that the agent started outlives `down`: whole sessions are swept, and what left its session is found by
//!   the mark in its environment.

pub mod api;
mod audit;
mod board;
mod builder;
mod control;
mod elastic;
pub mod error;
pub mod events;
mod fleet;
mod folder;
mod launch;
pub mod linux;
mod listeners;
mod logs;
pub mod options;
mod plan;
mod ports;
mod registry;
pub mod service;
mod socket;
mod state;
mod supervise;

pub use api::{InstanceState, Ps};
pub use error::Error;
pub use events::{Event, EventKind, Subscription};
pub use linux::capture::capture_works;
pub use options::Options;
pub use service::{Handle, Service, stop_left_behind};
