//! Tells control how the edges of this process are: at each change of a breaker, and every 5 s.

use std::sync::Arc;
use std::time::Duration;

use brick_auth::OwnToken;
use brick_bus::{EdgeReport, Report};
use brick_core::{Drain, Incarnation};
use brick_wire::Client;
use tokio::time::MissedTickBehavior;

use crate::edges::Edges;

/// How often control hears of edges that do not change.
pub const EVERY: Duration = Duration::from_secs(5);
/// Changes within this time are told together.
const DEBOUNCE: Duration = Duration::from_millis(100);
const LIMIT: Duration = Duration::from_secs(2);

/// Who tells whom.
#[derive(Debug, Clone)]
pub struct Options {
    /// Control's base URL.
    pub control_url: String,
    /// The process's own token.
    pub own_token: OwnToken,
    /// The process.
    pub incarnation: Incarnation,
}

/// Edges that control is told of.
pub trait Reported: Send + Sync {
    /// How they are now; limits that came meanwhile count.
    fn report(&self) -> Vec<EdgeReport>;

    /// Resolves when a breaker changed since the last time.
    fn changed(&self) -> impl Future<Output = ()> + Send;
}

impl Reported for Edges {
    fn report(&self) -> Vec<EdgeReport> {
        Self::report(self)
    }

    async fn changed(&self) {
        Self::changed(self).await;
    }
}

/// Tells until the drain is requested. What control does not hear is told anew 5 s later.
pub async fn run(options: Options, edges: impl Reported, drain: Drain) {
    let url = format!("{}/bus/v1/reports", options.control_url.trim_end_matches('/'));
    let client = Client::new();
    let mut every = tokio::time::interval(EVERY);
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = drain.requested() => return,
            _ = every.tick() => {}
            () = edges.changed() => tokio::time::sleep(DEBOUNCE).await,
        }
        let report = Report {
            incarnation: options.incarnation,
            edges: edges.report(),
        };
        if report.edges.is_empty() {
            continue;
        }
        let token: Option<Arc<str>> = options.own_token.get();
        let call = client.post(&url).bearer(token.as_deref().unwrap_or_default());
        let sent = call.timeout(LIMIT).json_body(&report).send();
        let sent = tokio::select! {
            () = drain.requested() => return,
            sent = sent => sent,
        };
        if let Err(error) = sent {
            tracing::debug!(
                error = brick_core::chain(&error),
                "control does not hear how the edges are"
            );
        }
    }
}
