//! What one try came to, as far as fault tolerance cares.

use std::time::Duration;

use brick_bus::limits::RetryOn;

/// What one try came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// An answer below 500: the callee works, whatever it thinks of the request.
    Good,
    /// An answer of 500 or above.
    Failed {
        /// The status.
        status: u16,
        /// How long the callee asks to wait (`Retry-After`).
        retry_after: Option<Duration>,
    },
    /// No connection could be made: nothing was sent.
    Unconnected,
    /// The connection broke before the whole answer was there.
    Reset,
    /// No answer in time.
    TimedOut,
    /// Nobody is to blame: the call was given up, or could not be made as it was put together.
    Void,
}

impl Outcome {
    /// Of an answer with this status.
    pub fn of_status(status: u16, retry_after: Option<Duration>) -> Self {
        if status >= 500 {
            Self::Failed { status, retry_after }
        } else {
            Self::Good
        }
    }

    /// Whether the callee is at fault.
    pub fn is_failure(&self) -> bool {
        !matches!(self, Self::Good | Self::Void)
    }

    pub(crate) fn is_covered(&self, on: &[RetryOn]) -> bool {
        let covered = |what: RetryOn| on.contains(&what);
        match self {
            Self::Good | Self::Void => false,
            Self::Unconnected => covered(RetryOn::Connect),
            Self::Reset => covered(RetryOn::Reset),
            Self::TimedOut => covered(RetryOn::Timeout),
            Self::Failed { status, .. } => {
                covered(RetryOn::ServerError) || (matches!(status, 502..=504) && covered(RetryOn::Gateway))
            }
        }
    }
}
