//! The same as tower layers: [`AdmissionLayer`] lets requests pass one edge or fails them, and takes their outcomes.
//!
//! For whoever calls with tower services of their own. It does what happens around one try; repeating a request takes
//! knowledge of the request, which [`crate::drive`] asks for.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use tower::{Layer, Service};

use crate::edge::{Edge, Rejected};
use crate::outcome::Outcome;

/// Puts a service behind an edge. `classify` says what a result came to.
#[derive(Debug, Clone)]
pub struct AdmissionLayer<C> {
    edge: Arc<Edge>,
    classify: C,
}

/// A service behind an edge.
#[derive(Debug, Clone)]
pub struct Admission<S, C> {
    inner: S,
    edge: Arc<Edge>,
    classify: C,
}

/// Why a request has no answer.
#[derive(Debug, thiserror::Error)]
pub enum Error<E> {
    /// It was not let through.
    #[error("not let through: {}", .0.code())]
    Rejected(Rejected),
    /// The service failed.
    #[error(transparent)]
    Failed(E),
    /// It took longer than the edge's time limit.
    #[error("no answer in time")]
    TimedOut,
}

impl<C> AdmissionLayer<C> {
    /// Requests pass this edge.
    pub fn new(edge: Arc<Edge>, classify: C) -> Self {
        Self { edge, classify }
    }
}

impl<S, C: Clone> Layer<S> for AdmissionLayer<C> {
    type Service = Admission<S, C>;

    fn layer(&self, inner: S) -> Self::Service {
        Admission {
            inner,
            edge: Arc::clone(&self.edge),
            classify: self.classify.clone(),
        }
    }
}

impl<S, C, R> Service<R> for Admission<S, C>
where
    S: Service<R>,
    S::Future: Send + 'static,
    S::Response: Send + 'static,
    S::Error: Send + 'static,
    C: Fn(&Result<S::Response, S::Error>) -> Outcome + Clone + Send + 'static,
{
    type Response = S::Response;
    type Error = Error<S::Error>;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx).map_err(Error::Failed)
    }

    fn call(&mut self, request: R) -> Self::Future {
        let now = Instant::now();
        let permit = match self.edge.admit(now) {
            Ok(permit) => permit,
            Err(rejected) => return Box::pin(std::future::ready(Err(Error::Rejected(rejected)))),
        };
        let answer = self.inner.call(request);
        let classify = self.classify.clone();
        Box::pin(async move {
            let begun = tokio::time::Instant::now();
            let result = tokio::time::timeout(permit.policy().timeout, answer).await;
            let outcome = result.as_ref().map_or(Outcome::TimedOut, &classify);
            let now = tokio::time::Instant::now();
            permit.outcome(&outcome, now - begun, now.into_std());
            match result {
                Ok(result) => result.map_err(Error::Failed),
                Err(_) => Err(Error::TimedOut),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tower::{ServiceExt as _, service_fn};

    use super::*;
    use crate::breaker::State;
    use crate::policy::Policy;

    #[tokio::test(start_paused = true)]
    async fn a_service_that_fails_is_let_alone() {
        let policy = Policy::with_timeout(Duration::from_millis(100));
        let edge = Edge::new("a->b", policy, Arc::default(), Instant::now());
        let layer = AdmissionLayer::new(
            Arc::clone(&edge),
            |result: &Result<(), &'static str>| match result {
                Ok(()) => Outcome::Good,
                Err(_) => Outcome::Reset,
            },
        );
        let failing = layer.layer(service_fn(|fails: bool| async move {
            match fails {
                true => Err("broken"),
                false => std::future::pending().await,
            }
        }));
        for _ in 0..19 {
            assert!(matches!(
                failing.clone().oneshot(true).await,
                Err(Error::Failed("broken"))
            ));
        }
        assert!(matches!(
            failing.clone().oneshot(false).await,
            Err(Error::TimedOut)
        ));
        assert_eq!(edge.state(), State::Open);
        assert!(matches!(failing.oneshot(true).await, Err(Error::Rejected(_))));
        assert_eq!(edge.in_flight(), 0);
    }
}
