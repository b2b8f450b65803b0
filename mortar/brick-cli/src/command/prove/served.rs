//! Who served: the requests at the bricks' doors, as telemetry tells them, with the instance that answered.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use brick_wire::sse::Event;
use jiff::Timestamp;
use parking_lot::Mutex;
use serde_json::Value;
use tokio::task::JoinHandle;

use super::system::System;
use crate::agent::{Admin, Agent};

/// Spans are exported each second; so long it takes until all of a moment is told.
pub(super) const TOLD_WITHIN: Duration = Duration::from_millis(2_500);
const AGAIN_AFTER: Duration = Duration::from_millis(200);
/// Requests that are kept of one experiment.
const KEPT_MAX: usize = 500_000;

#[derive(Debug, Default)]
struct Seen {
    /// When each request was served, by instance.
    by: BTreeMap<String, Vec<Timestamp>>,
    kept: usize,
    /// Requests that telemetry could not tell, or that found no place here.
    dropped: u64,
}

/// Follows telemetry until it is dropped.
#[derive(Debug)]
pub(super) struct Served {
    seen: Arc<Mutex<Seen>>,
    follower: JoinHandle<()>,
}

impl Served {
    /// Begins to follow, and begins again after each end of the stream.
    pub(super) fn follow(system: &System) -> Self {
        let seen = Arc::<Mutex<Seen>>::default();
        let (agent, noted) = (Agent::of(system.agent.dir()), Arc::clone(&seen));
        let follower = tokio::spawn(async move {
            loop {
                if let Ok(admin) = agent.admin().await {
                    follow(&admin, &noted).await;
                }
                tokio::time::sleep(AGAIN_AFTER).await;
            }
        });
        Self { seen, follower }
    }

    /// How many requests each instance served in this time. What was served a moment ago may not be told yet.
    pub(super) fn between(&self, from: Timestamp, to: Timestamp) -> BTreeMap<String, usize> {
        let seen = self.seen.lock();
        let counts = seen.by.iter().map(|(instance, times)| {
            let within = times.iter().filter(|at| (from..=to).contains(*at)).count();
            (instance.clone(), within)
        });
        counts.filter(|(_, count)| *count > 0).collect()
    }

    /// Whether an instance of the brick served since then.
    pub(super) fn reached(&self, brick: &str, since: Timestamp) -> bool {
        let served = self.between(since, Timestamp::MAX);
        let of = |slot: &str| slot.split(['/', '@']).next() == Some(brick);
        served.keys().any(|slot| of(slot))
    }

    /// Whether requests were served that are not told.
    pub(super) fn dropped(&self) -> u64 {
        self.seen.lock().dropped
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.follower.abort();
    }
}

async fn follow(admin: &Admin, seen: &Mutex<Seen>) {
    // An end is no news: telemetry or gateway may be what is being killed.
    let _ = admin
        .events("/api/telemetry/v1/requests/tail", |event| {
            seen.lock().note(event);
            true
        })
        .await;
}

impl Seen {
    fn note(&mut self, event: &Event) {
        let Ok(data) = serde_json::from_str::<Value>(&event.data) else {
            return;
        };
        match (event.event.as_str(), data) {
            ("dropped", data) => self.dropped += data["dropped"].as_u64().unwrap_or(1),
            ("requests", Value::Array(all)) => all.iter().for_each(|one| self.request(one)),
            ("request", one) => self.request(&one),
            _ => {}
        }
    }

    fn request(&mut self, one: &Value) {
        let at = one["ts"].as_str().and_then(|at| at.parse().ok());
        let (Some(instance), Some(at)) = (one["instance"].as_str(), at) else {
            return;
        };
        if self.kept >= KEPT_MAX {
            self.dropped += 1;
            return;
        }
        self.kept += 1;
        self.by.entry(instance.to_owned()).or_default().push(at);
    }
}
