//! Sending a call: the edge lets it pass, tries are made, something else is answered where all fail; measured and told.

use std::sync::Arc;
use std::time::Duration;

use brick_resilience::drive::{self, Stopped};
use brick_resilience::{Decision, Edge, Rejected};
use brick_telemetry::context::SYNTHETIC;
use tokio::time::Instant;
use tracing::field::Empty;
use tracing::{Instrument as _, Span};

use super::attempt::Attempts;
use super::{Answer, Call};
use crate::server::{flag, method_name};
use crate::{Error, context};

impl Call {
    /// Sends it and reads the whole answer, whatever its status.
    pub async fn send(self) -> Result<Answer, Error> {
        let started = std::time::Instant::now();
        let method = method_name(&self.method);
        let client = self.client.clone();
        let name = client.target.name.as_str();
        let span = tracing::info_span!(
            "http client",
            otel.name = method,
            otel.kind = "client",
            http.request.method = method,
            server.address = name,
            peer.service = name,
            url.path = self.path,
            http.response.status_code = Empty,
            http.request.resend_count = Empty,
            "error.type" = Empty,
            otel.status_code = Empty,
            brick.synthetic = Empty,
        );
        let synthetic = context::with(|made| {
            made.synthetic().map(|suite| {
                span.record(SYNTHETIC, suite);
            })
        });
        let synthetic = synthetic.flatten().is_some();
        let outcome = self.within().instrument(span.clone()).await;
        let mut digits = [0; 5];
        let status = tell(&span, &outcome, &mut digits);
        let _entered = span.enter();
        client
            .shared
            .durations
            .with(&[name, method, status, flag(synthetic)])
            .observe_duration(started.elapsed());
        outcome
    }

    async fn within(self) -> Result<Answer, Error> {
        let target = Arc::clone(&self.client.target);
        if let Some(reason) = self.invalid {
            let brick = target.name.clone();
            return Err(Error::Request { brick, reason });
        }
        let edge = target.followed.get();
        let limit = self.timeout.unwrap_or_else(|| edge.policy().timeout);
        let now = Instant::now();
        let asked = context::with(|made| made.deadline()).flatten();
        let deadline = asked.map_or(now + limit, |asked| asked.min(now + limit));
        let has_key = self.headers.contains_key("idempotency-key");
        let call = drive::Call {
            deadline,
            repeatable: edge.policy().is_repeatable(&self.method, has_key),
        };
        let attempts = Attempts::new(&self)?;
        attempts.shadow();
        let answered = drive::call(edge, call, &attempts).await;
        let result = answered.map_err(|stopped| self.error(edge, stopped, deadline.duration_since(now)));
        self.or_fallback(edge, result, attempts.headers()).await
    }

    fn error(&self, edge: &Edge, stopped: Stopped<Error>, limit: Duration) -> Error {
        let brick = self.client.target.name.clone();
        match stopped {
            Stopped::Failed(error) => error,
            Stopped::Late => Error::Deadline { brick },
            Stopped::TimedOut => {
                let limit = edge.policy().try_timeout.map_or(limit, |own| own.min(limit));
                Error::Timeout { brick, limit }
            }
            Stopped::Rejected(Rejected::Breaker { retry_after }) => Error::BreakerOpen { brick, retry_after },
            Stopped::Rejected(Rejected::Bulkhead { limit }) => Error::BulkheadFull { brick, limit },
            Stopped::Rejected(Rejected::Rate { retry_after }) => Error::RateLimited { brick, retry_after },
        }
    }

    /// The answer, or what the policy has for a call that fails.
    async fn or_fallback(
        &self,
        edge: &Arc<Edge>,
        result: Result<Answer, Error>,
        headers: &http::HeaderMap,
    ) -> Result<Answer, Error> {
        let policy = edge.policy();
        let Some(fallback) = policy.fallback.as_ref().filter(|_| self.may_fall_back) else {
            return result;
        };
        let failed = match &result {
            Ok(answer) => answer.status.is_server_error(),
            Err(Error::Request { .. } | Error::TooLarge { .. }) => false,
            Err(_) => true,
        };
        if !failed {
            if let Ok(answer) = &result {
                self.keep(fallback, answer, headers);
            }
            return result;
        }
        let instead = Box::pin(self.instead(fallback, headers)).await;
        match instead {
            Some(answer) => {
                edge.decide(Decision::Fallback);
                Ok(answer)
            }
            None => result,
        }
    }
}

/// Notes the outcome in the span; gives the status for the metric, the error's code where none came.
fn tell<'a>(span: &Span, outcome: &Result<Answer, Error>, digits: &'a mut [u8; 5]) -> &'a str {
    match outcome {
        Ok(answer) => {
            let status = answer.status.as_u16();
            let text = crate::server::decimal(status, digits);
            span.record("http.response.status_code", u64::from(status));
            // A client's call failed where the callee refused it, too (OpenTelemetry HTTP conventions).
            if status >= 400 {
                span.record("error.type", text);
                span.record("otel.status_code", "error");
            }
            text
        }
        Err(error) => {
            span.record("error.type", error.code());
            span.record("otel.status_code", "error");
            span.in_scope(|| match error {
                // What the edge stops is told once, by the breaker; a line for each would bury all else.
                Error::BreakerOpen { .. } | Error::BulkheadFull { .. } | Error::RateLimited { .. } => {
                    tracing::debug!(reason = brick_core::chain(error), "a call was not let through");
                }
                _ => tracing::warn!(reason = brick_core::chain(error), "a call failed"),
            });
            error.code()
        }
    }
}
