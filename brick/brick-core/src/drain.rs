//! Drain: the one way in which a process of the system is asked to stop.
//!
//! A [`Trigger`] is held by whoever decides (a signal handler, a test), a [`Drain`] is cloned into every service.
//! A drain is requested once and never taken back.

use tokio_util::sync::CancellationToken;

/// Asks every clone of its [`Drain`] to finish. Dropping it asks for nothing.
#[derive(Debug, Clone, Default)]
pub struct Trigger(CancellationToken);

/// Tells a service whether, and when, it was asked to finish.
#[derive(Debug, Clone, Default)]
pub struct Drain(CancellationToken);

/// A connected pair.
pub fn channel() -> (Trigger, Drain) {
    let token = CancellationToken::new();
    (Trigger(token.clone()), Drain(token))
}

impl Trigger {
    /// Requests the drain; a second call changes nothing.
    pub fn drain(&self) {
        self.0.cancel();
    }
}

impl Drain {
    /// A drain that nobody will ever request; for tools and tests.
    pub fn never() -> Self {
        Self::default()
    }

    /// Resolves when the drain is requested, at once if it already was.
    pub async fn requested(&self) {
        self.0.cancelled().await;
    }

    /// Whether the drain was requested.
    pub fn is_requested(&self) -> bool {
        self.0.is_cancelled()
    }

    /// A drain that follows this one and that `Trigger` can also request alone: for a part that stops earlier.
    pub fn child(&self) -> (Trigger, Drain) {
        let token = self.0.child_token();
        (Trigger(token.clone()), Drain(token))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_clone_hears_the_request() {
        let (trigger, drain) = channel();
        let other = drain.clone();
        assert!(!other.is_requested());
        trigger.drain();
        other.requested().await;
        assert!(drain.is_requested());
    }

    #[tokio::test]
    async fn a_child_stops_alone_and_with_its_parent() {
        let (trigger, drain) = channel();
        let (child_trigger, child) = drain.child();
        child_trigger.drain();
        child.requested().await;
        assert!(!drain.is_requested());
        let (_, other) = drain.child();
        trigger.drain();
        other.requested().await;
    }
}
