//! What can go wrong in control, and how a caller is told.

use brick_core::Incarnation;
use brick_http::Problem;

/// Why control cannot do what it was asked.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The store failed; nothing was changed.
    #[error("the store of control failed")]
    Store(#[from] brick_state::Error),
    /// A newer start has the slot.
    #[error("slot {slot} belongs to the newer start {newer}; this one may not register any more")]
    Fenced {
        /// The slot, `order/1`.
        slot: String,
        /// Who has it.
        newer: Incarnation,
    },
    /// No room for one more instance.
    #[error("{max} instances are registered, no more fit")]
    TooManyInstances {
        /// The bound.
        max: usize,
    },
    /// The agent alone says where instances of this brick are.
    #[error(
        "instances of {brick} are registered by who runs them here; an outsider may join a brick with registers = true"
    )]
    NotJoinable {
        /// The brick.
        brick: String,
    },
    /// No room for one more setting.
    #[error("operators set something of {max} resources already, no more fit")]
    TooManySettings {
        /// The bound.
        max: usize,
    },
    /// Somebody else changed the setting meanwhile.
    #[error("{name} was changed since it was read; read it again")]
    Changed {
        /// The setting.
        name: String,
    },
    /// The share of the brick belongs to a canary.
    #[error(
        "a canary of {brick} is under way and moves its shares; `brick canary abort {brick}` or `brick canary promote {brick}` ends it"
    )]
    Canary {
        /// The brick.
        brick: String,
    },
    /// A manifest of another system.
    #[error("this is control of system \"{expected}\", the manifest is of \"{found}\"")]
    OtherSystem {
        /// Whose control it is.
        expected: String,
        /// Whose manifest came.
        found: String,
    },
    /// A value cannot be written as JSON.
    #[error("a value cannot be written as JSON: {0}")]
    Encode(String),
    /// Another process that stands by does not answer, so that it is not known who follows what there.
    #[error("control at {at}, which stands by, does not answer; try again in a moment")]
    SilentPeer {
        /// Where it was asked.
        at: std::net::SocketAddr,
    },
    /// The writer has ended.
    #[error("control is stopping; try again when it is back")]
    Stopping,
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let text = error.to_string();
        match error {
            Error::Fenced { .. } => Self::conflict("fenced", text),
            Error::TooManyInstances { .. } => Self::conflict("too_many_instances", text),
            Error::NotJoinable { .. } => Self::conflict("not_joinable", text),
            Error::TooManySettings { .. } => Self::conflict("too_many_settings", text),
            Error::Changed { .. } => {
                Self::new(http::StatusCode::PRECONDITION_FAILED, "changed_meanwhile", text)
            }
            Error::Canary { .. } => Self::conflict("canary_running", text),
            Error::OtherSystem { .. } => Self::conflict("other_system", text),
            Error::SilentPeer { .. } => Self::unavailable("peer_silent", text),
            Error::Stopping => Self::unavailable("stopping", text),
            Error::Store(_) => {
                let hint = "the change could not be stored and was not made; the log says why";
                Self::unavailable("store_failed", hint)
            }
            Error::Encode(_) => Self::internal(),
        }
    }
}
