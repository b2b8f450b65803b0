//! The context of the request that is being answered: what clients in a handler pass on.
//!
//! The trace travels with the tracing span; baggage and the user's token travel in a task-local, which [`spawn`] carries
//! into further tasks. A further task has a span of its own, for it may go on when the request has long been answered.

use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::sync::Arc;

use brick_resilience::shed::Criticality;
use brick_telemetry::context::{self as trace, Baggage, SYNTHETIC, TraceState};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tracing::instrument::WithSubscriber as _;
use tracing::{Instrument as _, Span};

/// What is passed on with every call that is made for a request.
#[derive(Clone, Default)]
pub struct Context {
    baggage: Baggage,
    user_token: Option<Arc<str>>,
    trace_state: Option<TraceState>,
    deadline: Option<Instant>,
    criticality: Criticality,
}

tokio::task_local! {
    static CURRENT: Context;
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context")
            .field("baggage", &self.baggage)
            .field("trace_state", &self.trace_state)
            .field("deadline", &self.deadline)
            .field("criticality", &self.criticality)
            .field("user_token", &self.user_token.as_ref().map(|_| "[redacted]"))
            .finish()
    }
}

impl Context {
    /// A context with this baggage, without a user.
    pub fn new(baggage: Baggage) -> Self {
        Self {
            baggage,
            ..Self::default()
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

    /// Within a trace of which other tracing systems said this.
    #[must_use]
    pub fn with_trace_state(self, trace_state: Option<TraceState>) -> Self {
        Self { trace_state, ..self }
    }

    /// To be over by then: whoever asked waits no longer.
    #[must_use]
    pub fn with_deadline(self, deadline: Option<Instant>) -> Self {
        Self { deadline, ..self }
    }

    /// Of this class when there is more to do than can be done.
    #[must_use]
    pub fn with_criticality(self, criticality: Criticality) -> Self {
        Self { criticality, ..self }
    }

    /// When whoever asked stops waiting.
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// How much the request matters.
    pub fn criticality(&self) -> Criticality {
        self.criticality
    }

    /// The baggage.
    pub fn baggage(&self) -> &Baggage {
        &self.baggage
    }

    /// The test suite that caused the request.
    pub fn synthetic(&self) -> Option<&str> {
        self.baggage.get(SYNTHETIC)
    }

    /// What other tracing systems said of the trace, passed on with it.
    pub fn trace_state(&self) -> Option<&TraceState> {
        self.trace_state.as_ref()
    }

    /// The user's token.
    pub fn user_token(&self) -> Option<&Arc<str>> {
        self.user_token.as_ref()
    }
}

/// Something of the context of this task, without a copy of all of it.
pub(crate) fn with<T>(read: impl FnOnce(&Context) -> T) -> Option<T> {
    CURRENT.try_with(read).ok()
}

/// The context of this task; empty outside of a request.
pub fn current() -> Context {
    CURRENT.try_with(Context::clone).unwrap_or_default()
}

/// Runs the future within this context.
pub async fn scope<F: Future>(context: Context, future: F) -> F::Output {
    CURRENT.scope(context, future).await
}

/// `tokio::spawn` that carries the trace, the baggage and the user into the new task. Within a request the task gets a
/// span of its own, `task`, a child of the one that is current.
#[track_caller]
pub fn spawn<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    let context = current();
    let span = task_span(&context, Location::caller());
    let carried = CURRENT.scope(context, future).instrument(span);
    tokio::spawn(carried.with_current_subscriber())
}

/// A root for `tracing`, so that it does not hold its parent open; a child in the trace.
fn task_span(context: &Context, at: &Location<'_>) -> Span {
    let Some(parent) = trace::current() else {
        return Span::none();
    };
    trace::with_remote_parent(Some(parent), || {
        tracing::info_span!(
            parent: None,
            "task",
            code.file.path = at.file(),
            code.line.number = at.line(),
            brick.synthetic = context.synthetic(),
        )
    })
}
