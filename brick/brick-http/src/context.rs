//! The context of the request that is being answered: what clients in a handler pass on.
//!
//! The trace travels with the tracing span; baggage and the user's token travel in a task-local, which [`spawn`] carries
//! into further tasks.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use brick_telemetry::context::Baggage;
use tokio::task::JoinHandle;
use tracing::Instrument as _;
use tracing::instrument::WithSubscriber as _;

/// What is passed on with every call that is made for a request.
#[derive(Clone, Default)]
pub struct Context {
    baggage: Baggage,
    user_token: Option<Arc<str>>,
}

tokio::task_local! {
    static CURRENT: Context;
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context")
            .field("baggage", &self.baggage)
            .field("user_token", &self.user_token.as_ref().map(|_| "[redacted]"))
            .finish()
    }
}

impl Context {
    /// A context with this baggage, without a user.
    pub fn new(baggage: Baggage) -> Self {
        Self {
            baggage,
            user_token: None,
        }
    }

    /// On behalf of the user of this token, which must have been verified.
    #[must_use]
    pub fn with_user_token(self, token: Option<Arc<str>>) -> Self {
        Self {
            user_token: token,
            ..self
        }
    }

    /// The baggage.
    pub fn baggage(&self) -> &Baggage {
        &self.baggage
    }

    /// The user's token.
    pub fn user_token(&self) -> Option<&Arc<str>> {
        self.user_token.as_ref()
    }
}

/// The context of this task; empty outside of a request.
pub fn current() -> Context {
    CURRENT.try_with(Context::clone).unwrap_or_default()
}

/// Runs the future within this context.
pub async fn scope<F: Future>(context: Context, future: F) -> F::Output {
    CURRENT.scope(context, future).await
}

/// `tokio::spawn` that carries the trace, the baggage and the user into the new task.
pub fn spawn<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    let carried = CURRENT
        .scope(current(), future)
        .instrument(tracing::Span::current());
    tokio::spawn(carried.with_current_subscriber())
}
