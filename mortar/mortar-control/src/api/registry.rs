//! The registry: instances come, are heard of, and go.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use brick_core::{BrickName, Incarnation, Instance, Version};
use brick_http::{Json, Path, Problem, Query};
use http::HeaderMap;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::outsider::{Details, Speaker};
use crate::service::Handle;
use crate::state::{Action, INSTANCES_MAX, Registered};

/// Lives that a lease may have.
pub(crate) const TTL_MS: std::ops::RangeInclusive<u64> = 100..=600_000;
const WAIT_MS_MAX: u64 = 10_000;

/// An instance to register.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Registration {
    /// The brick.
    brick: BrickName,
    /// Version label.
    #[serde(default)]
    version: Version,
    /// Number of the slot, from 1; base and concurrent versions of a brick count on their own. An outsider has none: it
    /// gets one.
    #[serde(default)]
    slot: Option<u32>,
    /// Whether the version runs beside the brick's base.
    #[serde(default)]
    concurrent: bool,
    /// This start in the slot. An outsider has none: it gets one.
    #[serde(default)]
    incarnation: Option<Incarnation>,
    /// Zone.
    #[serde(default = "zone_a")]
    zone: String,
    /// Where it serves HTTP.
    #[schemars(with = "String")]
    addr: SocketAddr,
    /// Life of its lease in milliseconds, 10 s unless said.
    #[serde(default)]
    ttl_ms: Option<u64>,
    /// Whether somebody will renew its lease.
    #[serde(default = "yes")]
    supervised: bool,
    /// Relative weight in balancers, at most 10,000; 100 unless said.
    #[serde(default)]
    weight: Option<u32>,
    /// Version of the API that it serves.
    #[serde(default)]
    api_version: Option<String>,
    /// Whatever else there is to say, at most 64 pairs.
    #[serde(default)]
    metadata: BTreeMap<String, String>,
    /// An outsider's own name among the brick's instances: who registers again under it is the same. Its address unless
    /// said.
    #[serde(default)]
    name: Option<String>,
    /// Path that answers 2xx while it takes requests: asked when an outsider's lease runs out.
    #[serde(default)]
    health: Option<String>,
}

/// A lease that was granted.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Granted {
    /// Its life in milliseconds.
    lease_ms: u64,
    /// Whose it is: what is renewed.
    incarnation: Incarnation,
    /// Where it counts, `stock/1`.
    slot: String,
}

/// Leases to renew.
#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct Renewals {
    /// One for each instance.
    renew: Vec<Renewal>,
}

/// A lease to renew.
#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct Renewal {
    /// Whose.
    incarnation: Incarnation,
    /// Whether it takes requests.
    ready: bool,
}

/// What became of renewals.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Renewed {
    /// Who is not registered and has to register anew.
    unknown: Vec<Incarnation>,
    /// Who of those that were told of is out of its pool while it runs on.
    quarantined: Vec<Incarnation>,
}

/// How long to wait for balancers.
#[derive(Debug, Default, Deserialize, JsonSchema)]
pub(crate) struct Wait {
    /// Milliseconds, at most 10,000; none does not wait.
    pub(super) wait_ms: Option<u64>,
}

/// What became of a deregistration.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Gone {
    /// Whether every connected subscriber of the endpoints was told.
    let_go: bool,
}

/// All instances.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Instances {
    /// By brick and slot.
    items: Vec<Listed>,
    /// Whether control lost sight of most instances at once, and keeps those whose leases ran out.
    preserving: bool,
    /// How many it keeps of which it hears nothing.
    kept: usize,
}

/// One instance.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Listed {
    /// Who it is and where it listens.
    #[serde(flatten)]
    instance: Instance,
    /// `ready`, `unready`, `quarantined`, `unsupervised` (it answers, but nobody renews its lease), or `kept` (its lease
    /// ran out and it does not answer, as most do not: control has lost sight of them).
    state: &'static str,
    /// Whether it takes requests.
    ready: bool,
    /// Whether somebody renews its lease.
    supervised: bool,
    /// Why it is out of its pool while it runs on, where it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    quarantined: Option<String>,
    /// Life of its lease in milliseconds.
    ttl_ms: u64,
    /// What is left of its lease in milliseconds, where that is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    lease_ms: Option<u64>,
    /// When its lease ends unless it is renewed, RFC 3339, where that is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    lease_ends: Option<Timestamp>,
    /// Relative weight in balancers, where it is not 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    weight: Option<u32>,
    /// Version of the API that it serves, where it says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    api_version: Option<String>,
    /// What else it says.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    metadata: BTreeMap<String, String>,
    /// An outsider's own name.
    #[serde(skip_serializing_if = "Option::is_none")]
    outsider: Option<String>,
    /// How an outsider came: `http` or `eureka`.
    #[serde(skip_serializing_if = "Option::is_none")]
    joined: Option<&'static str>,
}

/// What is told of each instance.
#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct ListQuery {
    /// Whether the rest of each lease is told, which changes all the time; yes unless said.
    #[serde(default = "yes")]
    leases: bool,
}

pub(crate) fn zone_a() -> String {
    "a".to_owned()
}

fn yes() -> bool {
    true
}

pub(crate) async fn register(
    State(handle): State<Handle>,
    headers: HeaderMap,
    query: Result<Query<Wait>, Problem>,
    body: Result<Json<Registration>, Problem>,
) -> Result<Json<Granted>, Problem> {
    let speaker = Speaker::of(&handle, &headers)?;
    let (Query(wait), Json(wanted)) = (query?, body?);
    speaker.for_brick(&wanted.brick)?;
    let otherwise = handle.options().lease.as_millis() as u64;
    let registered = wanted.checked(otherwise)?;
    let (ttl_ms, brick) = (registered.ttl_ms, registered.instance.brick.clone());
    let (state, one) = match registered.details.outsider.clone() {
        None if !speaker.is_agent() => {
            let hint = "who is not the agent says neither slot nor incarnation: it gets them";
            return Err(Problem::unprocessable("slot_not_yours", hint));
        }
        None => {
            let one = registered.instance.clone();
            (handle.wish(Action::Register(registered)).await?, one)
        }
        Some(name) => {
            let (state, joined) = join(&handle, registered, &name).await?;
            (state, joined.instance.clone())
        }
    };
    let incarnation = one.incarnation;
    handle
        .leases()
        .renew(incarnation, Some(Duration::from_millis(ttl_ms)));
    balancers_told(&handle, &state, &brick, &wait).await;
    Ok(Json(Granted {
        lease_ms: ttl_ms,
        incarnation,
        slot: one.slot_name(),
    }))
}

/// Registers an outsider, and tells what it got.
pub(crate) async fn join(
    handle: &Handle,
    registered: Registered,
    name: &str,
) -> Result<(Arc<crate::state::State>, Arc<Registered>), Problem> {
    let brick = registered.instance.brick.clone();
    let state = handle.wish(Action::Join(registered)).await?;
    let joined = state.outsider(&brick, name).cloned();
    let joined = joined.ok_or_else(Problem::internal)?;
    Ok((state, joined))
}

impl Registration {
    /// What is to be registered, where it makes sense.
    fn checked(self, otherwise_ms: u64) -> Result<Registered, Problem> {
        let ttl_ms = self.ttl_ms.unwrap_or(otherwise_ms);
        if !TTL_MS.contains(&ttl_ms) {
            let hint = format!("expected ttl_ms from {} to {}", TTL_MS.start(), TTL_MS.end());
            return Err(Problem::unprocessable("invalid_ttl", hint));
        }
        if self.zone.is_empty() || self.zone.len() > 63 {
            return Err(Problem::unprocessable(
                "invalid_zone",
                "expected a zone of 1 to 63 bytes",
            ));
        }
        let joins = match (self.slot, self.incarnation) {
            (None, None) => true,
            (Some(slot), Some(_)) if slot > 0 => false,
            (Some(0), _) => {
                return Err(Problem::unprocessable("invalid_slot", "slots count from 1"));
            }
            _ => {
                let hint = "expected both slot and incarnation, or none of them: then control gives them";
                return Err(Problem::unprocessable("invalid_slot", hint));
            }
        };
        let details = Details {
            weight: self.weight,
            api_version: self.api_version,
            metadata: self.metadata,
            outsider: joins.then(|| self.name.unwrap_or_else(|| self.addr.to_string())),
            health: self.health,
            eureka: None,
        };
        details.check()?;
        Ok(Registered {
            instance: Instance {
                brick: self.brick,
                version: self.version,
                slot: self.slot.unwrap_or_default(),
                incarnation: self.incarnation.unwrap_or_default(),
                zone: self.zone,
                addr: self.addr,
                concurrent: self.concurrent,
            },
            ttl_ms,
            ready: true,
            supervised: self.supervised,
            quarantined: None,
            details,
        })
    }
}

pub(crate) async fn renew(
    State(handle): State<Handle>,
    headers: HeaderMap,
    body: Result<Json<Renewals>, Problem>,
) -> Result<Json<Renewed>, Problem> {
    let speaker = Speaker::of(&handle, &headers)?;
    let Json(Renewals { renew }) = body?;
    if renew.len() > INSTANCES_MAX {
        let hint = format!("expected at most {INSTANCES_MAX} renewals in one call");
        return Err(Problem::unprocessable("too_many_renewals", hint));
    }
    let state = handle.state();
    let (mut unknown, mut quarantined, mut changed) = (Vec::new(), Vec::new(), Vec::new());
    for Renewal { incarnation, ready } in renew {
        let own = |one: &Arc<Registered>| speaker.may(&one.instance.brick);
        if !state.instances.get(&incarnation).is_some_and(own) || !handle.leases().renew(incarnation, None) {
            unknown.push(incarnation);
            continue;
        }
        let held = state.instances.get(&incarnation);
        if held.is_some_and(|one| one.quarantined.is_some()) {
            quarantined.push(incarnation);
        }
        let same = |one: &Registered| one.ready == ready && one.supervised;
        if !state.instances.get(&incarnation).is_some_and(|one| same(one)) {
            changed.push((incarnation, ready));
        }
    }
    if !changed.is_empty() {
        handle.wish(Action::Ready(changed)).await?;
    }
    Ok(Json(Renewed { unknown, quarantined }))
}

pub(crate) async fn deregister(
    State(handle): State<Handle>,
    headers: HeaderMap,
    path: Result<Path<Incarnation>, Problem>,
    query: Result<Query<Wait>, Problem>,
) -> Result<Json<Gone>, Problem> {
    let speaker = Speaker::of(&handle, &headers)?;
    let (Path(incarnation), Query(wait)) = (path?, query?);
    let Some(one) = handle.state().instances.get(&incarnation).cloned() else {
        return Ok(Json(Gone { let_go: true }));
    };
    speaker.for_brick(&one.instance.brick)?;
    let state = handle.wish(Action::Remove(incarnation)).await?;
    let let_go = balancers_told(&handle, &state, &one.instance.brick, &wait).await;
    Ok(Json(Gone { let_go }))
}

/// Waits until every connected subscriber of the brick's endpoints was sent what the state says; whether they were.
pub(super) async fn balancers_told(
    handle: &Handle,
    state: &crate::state::State,
    brick: &BrickName,
    wait: &Wait,
) -> bool {
    let name = format!("endpoints/{brick}");
    // Where the brick is in no manifest its last instance takes the resource with it: then the newest revision counts.
    let revision = state
        .resources
        .get(&name)
        .map_or(state.revision, |resource| resource.revision);
    let limit = Duration::from_millis(wait.wait_ms.unwrap_or(0).min(WAIT_MS_MAX));
    let (told, elsewhere) = tokio::join!(
        tokio::time::timeout(limit, handle.bus().sent(&name, revision)),
        handle.peers().sent(handle, &name, revision, limit),
    );
    told.is_ok() && elsewhere
}

pub(crate) async fn list(
    State(handle): State<Handle>,
    headers: HeaderMap,
    query: Result<Query<ListQuery>, Problem>,
) -> Result<Json<Instances>, Problem> {
    let looks = ["admin", "read", "system:read", "bus"];
    handle.verifier().platform_bearer(&headers, &looks)?;
    let Query(ListQuery { leases }) = query?;
    let now = Timestamp::now();
    let state = handle.state();
    let mut items: Vec<Listed> = state
        .instances
        .values()
        .map(|one| {
            (
                one,
                leases.then(|| handle.leases().left(one.instance.incarnation)),
            )
        })
        .map(|(one, left)| Listed {
            state: match (one.ready, one.supervised) {
                _ if one.quarantined.is_some() => "quarantined",
                _ if handle.leases().keeps(one.instance.incarnation) => "kept",
                (_, false) => "unsupervised",
                (true, true) => "ready",
                (false, true) => "unready",
            },
            ready: one.ready,
            supervised: one.supervised,
            quarantined: one.quarantined.clone(),
            ttl_ms: one.ttl_ms,
            lease_ms: left.map(|left| left.as_millis() as u64),
            lease_ends: left.and_then(|left| now.checked_add(left).ok()),
            instance: one.instance.clone(),
            weight: one.details.weight,
            api_version: one.details.api_version.clone(),
            metadata: one.details.metadata.clone(),
            outsider: one.details.outsider.clone(),
            joined: one.details.joined(),
        })
        .collect();
    items.sort_by(|a, b| {
        let key = |listed: &Listed| {
            (
                listed.instance.of(),
                listed.instance.slot,
                listed.instance.incarnation,
            )
        };
        key(a).cmp(&key(b))
    });
    Ok(Json(Instances {
        items,
        preserving: handle.leases().is_preserving(),
        kept: handle.leases().kept(),
    }))
}
