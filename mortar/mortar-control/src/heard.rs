//! Who has applied what was just published: instances that follow a resource acknowledge it, and are waited for a while.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use brick_core::Incarnation;
use brick_http::Problem;
use schemars::JsonSchema;
use serde::Serialize;

use crate::acks::Told;
use crate::service::Handle;
use crate::state::State;

/// How long an instance may take to say whether it could, and that it did.
pub(crate) const PATIENCE: Duration = Duration::from_secs(2);
/// How soon everybody follows again after a change of who leads: the longest back-off of a client of the bus, and a bit.
const COME_BACK: Duration = Duration::from_secs(3);
/// Registrations tell nobody that somebody is gone; how often they are looked at while answers are awaited.
const LOOK: Duration = Duration::from_millis(100);

/// How far a change came.
#[derive(Debug, Clone, Default, Serialize, JsonSchema)]
pub(crate) struct Reach {
    /// Instances that follow and have applied it.
    applied: usize,
    /// Instances that follow.
    of: usize,
    /// Time from the request until the last of them had.
    ms: u64,
    /// Time between the first and the last.
    spread_ms: u64,
}

/// One instance's word.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Heard {
    /// The slot, `order/2`.
    instance: String,
    /// This start of it.
    incarnation: Incarnation,
    /// Whether it has the values.
    applied: bool,
    /// When it said so, from the request on.
    #[serde(skip_serializing_if = "Option::is_none")]
    ms: Option<u64>,
    /// Why it has not.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

impl Reach {
    /// Of a change that was asked for at that time.
    pub(crate) fn of<'h>(all: impl Iterator<Item = &'h Heard>, began: Instant) -> Self {
        let (mut of, mut times) = (0, Vec::new());
        for one in all {
            of += 1;
            times.extend(one.ms.filter(|_| one.applied));
        }
        let (first, last) = (times.iter().min().copied(), times.iter().max().copied());
        Self {
            applied: times.len(),
            of,
            ms: last.unwrap_or_else(|| ms(began.elapsed())),
            spread_ms: last.unwrap_or(0) - first.unwrap_or(0),
        }
    }
}

impl Heard {
    /// What an instance said of a change that was asked for at that time; silence is no.
    pub(crate) fn of(incarnation: Incarnation, instance: &str, told: Option<&Told>, began: Instant) -> Self {
        let reason = match told {
            Some(told) => told.refused.clone(),
            None => Some(format!("no answer within {} s", PATIENCE.as_secs())),
        };
        Self {
            instance: instance.to_owned(),
            incarnation,
            applied: reason.is_none(),
            ms: told.map(|told| ms(told.heard.saturating_duration_since(began))),
            reason,
        }
    }
}

/// Registered instances of the brick that follow the resource (`config/order`), by their slots: here, and at processes
/// that stand by. A process that just began to lead gives those that followed the one before time to come.
pub(crate) async fn following(handle: &Handle, name: &str) -> Result<BTreeMap<Incarnation, String>, Problem> {
    let brick = name.split_once('/').map_or("", |(_, brick)| brick);
    loop {
        let elsewhere = handle.peers().followers(handle, name).await?;
        let follow = of_these(handle, name, |one| elsewhere.contains(one));
        let all = registered(&handle.state(), brick).len();
        if follow.len() == all || handle.opened().elapsed() >= COME_BACK {
            return Ok(follow);
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// The same as far as it is known here alone.
pub(crate) fn following_here(handle: &Handle, name: &str) -> BTreeMap<Incarnation, String> {
    of_these(handle, name, |_| false)
}

fn of_these(
    handle: &Handle,
    name: &str,
    elsewhere: impl Fn(&Incarnation) -> bool,
) -> BTreeMap<Incarnation, String> {
    let here = handle.bus().followers(name);
    let brick = name.split_once('/').map_or("", |(_, brick)| brick);
    let mut registered = registered(&handle.state(), brick);
    registered.retain(|one, _| here.contains(one) || elsewhere(one));
    registered
}

/// Registered instances of the brick, by their slots.
pub(crate) fn registered(state: &State, brick: &str) -> BTreeMap<Incarnation, String> {
    let all = state.instances.iter();
    let own = all.filter(|(_, one)| one.instance.brick.as_str() == brick);
    own.map(|(incarnation, one)| (*incarnation, one.instance.slot_name()))
        .collect()
}

/// Words about a revision, until everybody who is still here has spoken, or one has refused, or time is over.
pub(crate) async fn answers(
    handle: &Handle,
    name: &str,
    revision: u64,
    asked: &BTreeMap<Incarnation, String>,
) -> BTreeMap<Incarnation, Told> {
    let brick = name.split_once('/').map_or("", |(_, brick)| brick);
    let end = Instant::now() + PATIENCE;
    loop {
        let news = handle.acks().news();
        tokio::pin!(news);
        news.as_mut().enable();
        let told = handle.acks().of(name).into_iter();
        let heard: BTreeMap<_, _> = told
            .filter(|told| told.revision >= revision && asked.contains_key(&told.incarnation))
            .map(|told| (told.incarnation, told))
            .collect();
        let here = registered(&handle.state(), brick);
        let silent = asked
            .keys()
            .any(|one| here.contains_key(one) && !heard.contains_key(one));
        let refused = heard.values().any(|told| told.refused.is_some());
        let left = end.saturating_duration_since(Instant::now());
        if !silent || refused || left.is_zero() {
            return heard;
        }
        let _ = tokio::time::timeout(left.min(LOOK), news).await;
    }
}

fn ms(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
