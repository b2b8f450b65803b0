//! Externalised Configuration: typed, layered, with the origin of every value; follows the bus.
//!
//! A brick's configuration is a struct with defaults. Above them stand, lowest first: the manifest (what the agent
//! injected into the environment), files, the configuration repository, the database (a table of the brick's own state,
//! [`Table`]), live changes from the bus, the operator's own environment, and arguments.
//! Keys are `lower_snake`, nested by dots; the environment's name of a key is its upper-case (`limits.max_lines` is
//! `LIMITS_MAX_LINES`).
//!
//! What always holds: a value that does not fit is refused with its key, where it stands, what was expected and what
//! was found, all such values at once; a refused live change leaves the old configuration in use, whole. A change is
//! made in two phases: what would not fit any instance is applied by none ([`Live`]).
//!
//! ```
//! use brick_config::{Config, Sources};
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Serialize, Deserialize)]
//! struct Settings {
//!     max_lines: u32,
//! }
//!
//! impl Default for Settings {
//!     fn default() -> Self {
//!         Self { max_lines: 20 }
//!     }
//! }
//!
//! let sources = Sources { args: vec!["--max-lines=50".to_owned()], ..Sources::default() };
//! let config = Config::<Settings>::load(sources, None)?;
//! assert_eq!(config.get().max_lines, 50);
//! # Ok::<(), brick_config::Errors>(())
//! ```

pub mod config;
pub mod error;
pub mod live;
pub mod sources;
pub mod table;

mod layer;
mod make;

pub use config::{Config, Setting};
pub use error::{Error, Errors, is_secret};
pub use live::{Failed, Live};
pub use sources::{Origin, Sources};
pub use table::Table;
