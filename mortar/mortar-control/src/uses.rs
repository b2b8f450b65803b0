//! Who uses which area of the APIs, and how often: counted in memory, added to the store every few seconds, kept by day.
//!
//! The audit trail tells of every change; this tells how much each client asks. What was counted since the store was
//! written last is lost with the process.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use brick_core::Drain;
use brick_http::Caller;
use brick_http::access::area_of;
use http::Method;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use parking_lot::Mutex;
use tokio::time::MissedTickBehavior;

use crate::api::AREAS;
use crate::service::Handle;

/// Pairs of client and area that are counted at once; what is beyond is counted for [`OTHERS`].
const PAIRS_MAX: usize = 1_000;
const OTHERS: &str = "others";
const EVERY: Duration = Duration::from_secs(5);
/// Longest name of a client that is kept.
const CLIENT_BYTES_MAX: usize = 200;

/// How often a client used an area on a day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Use {
    /// Subject of its token; `client:NAME` of a registered client.
    pub client: String,
    /// The area.
    pub area: String,
    /// The day, UTC, `2026-01-31`; the last one where several are summed up.
    pub day: String,
    /// Requests that only looked.
    pub reads: u64,
    /// Requests that may change something.
    pub writes: u64,
}

/// What was counted since it was stored last, by client and area.
#[derive(Debug, Default)]
pub(crate) struct Uses(Mutex<BTreeMap<(String, &'static str), Counts>>);

#[derive(Debug, Default)]
struct Counts {
    reads: u64,
    writes: u64,
}

impl Uses {
    pub(crate) fn add(&self, client: &str, area: &'static str, write: bool) {
        let mut counted = self.0.lock();
        let client = &client[..client.floor_char_boundary(CLIENT_BYTES_MAX)];
        let key = (client.to_owned(), area);
        let key = match counted.len() < PAIRS_MAX || counted.contains_key(&key) {
            true => key,
            false => (OTHERS.to_owned(), area),
        };
        let counts = counted.entry(key).or_default();
        if write {
            counts.writes += 1;
        } else {
            counts.reads += 1;
        }
    }

    /// Everything, which is forgotten here.
    fn take(&self, day: &str) -> Vec<Use> {
        let counted = std::mem::take(&mut *self.0.lock());
        let each = counted.into_iter().map(|((client, area), counts)| Use {
            client,
            area: area.to_owned(),
            day: day.to_owned(),
            reads: counts.reads,
            writes: counts.writes,
        });
        each.collect()
    }

    fn give_back(&self, uses: Vec<Use>) {
        let mut counted = self.0.lock();
        for one in uses {
            let Some(area) = area_named(&one.area) else {
                continue;
            };
            let counts = counted.entry((one.client, area)).or_default();
            counts.reads += one.reads;
            counts.writes += one.writes;
        }
    }
}

fn area_named(name: &str) -> Option<&'static str> {
    let all = AREAS.iter().map(|(_, area)| *area).chain([REGISTRY, TOKENS]);
    all.into_iter().find(|area| *area == name)
}

/// Instances that others register.
pub(crate) const REGISTRY: &str = "registry";
/// Tokens, clients and keys.
pub(crate) const TOKENS: &str = "tokens";

/// Counts what operators ask for.
pub(crate) async fn count(State(handle): State<Handle>, request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>();
    let area = route.and_then(|route| area_of(AREAS, route.as_str()));
    let caller = request.extensions().get::<Caller>().and_then(Caller::brick);
    if let (Some(area), Some(caller)) = (area, caller) {
        let write = !matches!(*request.method(), Method::GET | Method::HEAD);
        handle.uses().add(&caller.sub, area, write);
    }
    next.run(request).await
}

/// Adds what was counted to the store until the drain is requested, and what is left then.
pub(crate) async fn keep(handle: Handle, drain: Drain) {
    let mut every = tokio::time::interval(EVERY);
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let ends = tokio::select! {
            _ = every.tick() => false,
            () = drain.requested() => true,
        };
        store(&handle).await;
        if ends {
            return;
        }
    }
}

/// Counts that cannot be stored come with the next.
pub(crate) async fn store(handle: &Handle) {
    let uses = handle.uses().take(&day(Timestamp::now()));
    if uses.is_empty() {
        return;
    }
    if let Err(error) = handle.store().account(uses.clone()).await {
        tracing::warn!(
            error = brick_core::chain(&error),
            "what clients used could not be stored yet"
        );
        handle.uses().give_back(uses);
    }
}

/// The day of a moment, UTC.
pub(crate) fn day(at: Timestamp) -> String {
    at.to_zoned(TimeZone::UTC).date().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_are_counted_by_area_and_bounded() {
        let uses = Uses::default();
        uses.add("ann", "config", false);
        uses.add("ann", "config", true);
        uses.add("ann", "flags", false);
        for number in 0..PAIRS_MAX {
            uses.add(&format!("c{number}"), "config", false);
        }
        let taken = uses.take("2026-01-31");
        let of = |client: &str| {
            let own = taken.iter().filter(|one| one.client == client);
            own.map(|one| (one.area.as_str(), one.reads, one.writes))
                .collect::<Vec<_>>()
        };
        assert_eq!(of("ann"), [("config", 1, 1), ("flags", 1, 0)]);
        assert_eq!(of(OTHERS), [("config", 2, 0)]);
        uses.give_back(taken.clone());
        assert_eq!(uses.take("2026-01-31"), taken);
    }

    #[test]
    fn a_day_is_utc() {
        assert_eq!(day("2026-01-31T23:59:59Z".parse().unwrap()), "2026-01-31");
    }
}
