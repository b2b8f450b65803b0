//! The registry: instances come, are heard of, and go.

use std::net::SocketAddr;
use std::time::Duration;

use axum::extract::State;
use brick_core::{BrickName, Incarnation, Instance, Version};
use brick_http::{Json, Path, Problem, Query};
use http::HeaderMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::service::Handle;
use crate::state::{Action, INSTANCES_MAX, Registered};

/// Lives that a lease may have.
const TTL_MS: std::ops::RangeInclusive<u64> = 100..=600_000;
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
    /// Number of the slot, from 1; base and concurrent versions of a brick count on their own.
    slot: u32,
    /// Whether the version runs beside the brick's base.
    #[serde(default)]
    concurrent: bool,
    /// This start in the slot.
    incarnation: Incarnation,
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
}

/// A lease that was granted.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Granted {
    /// Its life in milliseconds.
    lease_ms: u64,
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
}

/// One instance.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Listed {
    /// Who it is and where it listens.
    #[serde(flatten)]
    instance: Instance,
    /// `ready`, `unready`, `quarantined`, or `unsupervised`: it answers, but nobody renews its lease.
    state: &'static str,
    /// Whether it takes requests.
    ready: bool,
    /// Whether somebody renews its lease.
    supervised: bool,
    /// Why it is out of its pool while it runs on, where it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    quarantined: Option<String>,
    /// What is left of its lease in milliseconds, where that is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    lease_ms: Option<u64>,
}

/// What is told of each instance.
#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct ListQuery {
    /// Whether the rest of each lease is told, which changes all the time; yes unless said.
    #[serde(default = "yes")]
    leases: bool,
}

fn zone_a() -> String {
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
    handle.verifier().platform_bearer(&headers, &["agent"])?;
    let (Query(wait), Json(wanted)) = (query?, body?);
    let otherwise = handle.options().lease.as_millis() as u64;
    let ttl_ms = wanted.ttl_ms.unwrap_or(otherwise);
    if wanted.slot == 0 {
        return Err(Problem::unprocessable("invalid_slot", "slots count from 1"));
    }
    if !TTL_MS.contains(&ttl_ms) {
        let hint = format!("expected ttl_ms from {} to {}", TTL_MS.start(), TTL_MS.end());
        return Err(Problem::unprocessable("invalid_ttl", hint));
    }
    if wanted.zone.is_empty() || wanted.zone.len() > 63 {
        return Err(Problem::unprocessable(
            "invalid_zone",
            "expected a zone of 1 to 63 bytes",
        ));
    }
    let incarnation = wanted.incarnation;
    let registered = Registered {
        instance: Instance {
            brick: wanted.brick,
            version: wanted.version,
            slot: wanted.slot,
            incarnation,
            zone: wanted.zone,
            addr: wanted.addr,
            concurrent: wanted.concurrent,
        },
        ttl_ms,
        ready: true,
        supervised: wanted.supervised,
        quarantined: None,
    };
    let brick = registered.instance.brick.clone();
    let state = handle.wish(Action::Register(registered)).await?;
    handle
        .leases()
        .renew(incarnation, Some(Duration::from_millis(ttl_ms)));
    balancers_told(&handle, &state, &brick, &wait).await;
    Ok(Json(Granted { lease_ms: ttl_ms }))
}

pub(crate) async fn renew(
    State(handle): State<Handle>,
    headers: HeaderMap,
    body: Result<Json<Renewals>, Problem>,
) -> Result<Json<Renewed>, Problem> {
    handle.verifier().platform_bearer(&headers, &["agent"])?;
    let Json(Renewals { renew }) = body?;
    if renew.len() > INSTANCES_MAX {
        let hint = format!("expected at most {INSTANCES_MAX} renewals in one call");
        return Err(Problem::unprocessable("too_many_renewals", hint));
    }
    let state = handle.state();
    let (mut unknown, mut quarantined, mut changed) = (Vec::new(), Vec::new(), Vec::new());
    for Renewal { incarnation, ready } in renew {
        if !handle.leases().renew(incarnation, None) {
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
    handle.verifier().platform_bearer(&headers, &["agent"])?;
    let (Path(incarnation), Query(wait)) = (path?, query?);
    let Some(one) = handle.state().instances.get(&incarnation).cloned() else {
        return Ok(Json(Gone { let_go: true }));
    };
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
    let told = tokio::time::timeout(limit, handle.bus().sent(&name, revision)).await;
    told.is_ok()
}

pub(crate) async fn list(
    State(handle): State<Handle>,
    headers: HeaderMap,
    query: Result<Query<ListQuery>, Problem>,
) -> Result<Json<Instances>, Problem> {
    handle.verifier().platform_bearer(&headers, &["admin", "bus"])?;
    let Query(ListQuery { leases }) = query?;
    let left = |incarnation| handle.leases().left(incarnation).as_millis() as u64;
    let state = handle.state();
    let mut items: Vec<Listed> = state
        .instances
        .values()
        .map(|one| Listed {
            state: match (one.ready, one.supervised) {
                _ if one.quarantined.is_some() => "quarantined",
                (_, false) => "unsupervised",
                (true, true) => "ready",
                (false, true) => "unready",
            },
            ready: one.ready,
            supervised: one.supervised,
            quarantined: one.quarantined.clone(),
            lease_ms: leases.then(|| left(one.instance.incarnation)),
            instance: one.instance.clone(),
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
    Ok(Json(Instances { items }))
}
