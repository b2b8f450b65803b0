//! Follows what the bus says of the edge: `routes/edge`, and `limits/edge-><brick>` for routes that name no limit.

use std::collections::BTreeMap;
use std::time::Duration;

use brick_bus::routes::{ApiKeys, KEYS, ROUTES};
use brick_bus::{Follower, Limits, Resource, RouteTable, Watch};
use brick_discovery::Caller;
use brick_resilience::{Edges, Policy};
use mortar_proxy::{Compiler, Proxy, Routes, SystemRoots};
use serde::Deserialize as _;

use crate::admin::AdminGate;
use crate::edge::{EdgeGate, EdgeParts};
use crate::function::Functioning;

/// What the names of the edge's limits begin with.
const LIMITS: &str = "limits/edge->";
/// Time limit of an exchange of which neither route nor bus says one; the manifest's own default.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(5);
const SWEEP_EVERY: Duration = Duration::from_secs(5);

/// The edge's limits by brick, as they are in force.
#[derive(Debug, Default)]
struct InForce {
    limits: BTreeMap<String, Limit>,
    /// Taken over, and to be acknowledged once the routes have them.
    taken: Vec<(String, u64, Option<String>)>,
}

#[derive(Debug)]
struct Limit {
    revision: u64,
    timeout: Duration,
}

/// Compiles routes when they or their limits change, acknowledges both, and keeps the pools tidy.
pub(crate) async fn follow(
    mut watch: Watch,
    edges: Edges,
    caller: Caller,
    edge: Proxy<EdgeGate>,
    parts: EdgeParts,
    admin: Proxy<AdminGate>,
    roots: Option<SystemRoots>,
) {
    let compiler = Compiler::new(watch.clone()).with_edges(edges).with_caller(caller);
    let compiler = match roots {
        Some(roots) => compiler.with_roots(roots),
        None => compiler,
    };
    let mut functioning = Functioning::new(compiler, parts.figures.clone());
    let keys = Follower::new(watch.clone(), KEYS.to_owned());
    let mut limits = InForce::default();
    let mut seen = None;
    let mut sweep = tokio::time::interval(SWEEP_EVERY);
    loop {
        let changed = limits.refresh(&watch);
        let resource = watch.get(ROUTES);
        let revision = resource.as_ref().map(|resource| resource.revision);
        if changed || revision != seen {
            seen = revision;
            match resource {
                Some(resource) => apply(&resource, &watch, &mut functioning, &limits, &edge, &parts),
                None => edge.replace(Routes::default()),
            }
        }
        keys.refresh(|resource| follow_keys(resource, &parts));
        limits.acknowledge(&watch);
        tokio::select! {
            _ = watch.changed() => {}
            _ = sweep.tick() => {
                edge.sweep();
                admin.sweep();
            }
        }
    }
}

/// A table that cannot be served leaves the present one in force.
fn apply(
    resource: &Resource,
    watch: &Watch,
    functioning: &mut Functioning,
    limits: &InForce,
    edge: &Proxy<EdgeGate>,
    parts: &EdgeParts,
) {
    let compiled = RouteTable::deserialize(&resource.value)
        .map_err(|error| error.to_string())
        .and_then(|table| {
            let compiled = functioning.compile(&table, |brick| limits.timeout(brick))?;
            let routes = Routes::new(compiled).map_err(|error| error.to_string())?;
            Ok((table, routes))
        });
    let refused = match compiled {
        Ok((table, routes)) => {
            tracing::info!(
                revision = resource.revision,
                routes = routes.len(),
                "routes in force"
            );
            edge.replace(routes);
            if let Some(bytes_max) = table.cache_bytes_max {
                parts.store.resize(bytes_max);
            }
            parts.shared_rate.replace(table.rate_store.as_deref());
            None
        }
        Err(reason) => {
            tracing::warn!(
                revision = resource.revision,
                reason,
                "routes refused; the present ones stay in force"
            );
            Some(reason)
        }
    };
    watch.acknowledge(ROUTES, resource.revision, refused);
}

/// Takes over the API keys. Keys that cannot be read leave the present ones in force.
fn follow_keys(resource: Option<&Resource>, parts: &EdgeParts) {
    let keys = resource.map_or_else(
        || Ok(ApiKeys::default()),
        |resource| ApiKeys::deserialize(&resource.value),
    );
    match keys {
        Ok(keys) => parts.keys.replace(keys),
        Err(error) => tracing::warn!(%error, "API keys refused; the present ones stay in force"),
    }
}

impl InForce {
    fn timeout(&self, brick: &str) -> Duration {
        self.limits.get(brick).map_or(TIMEOUT, |limit| limit.timeout)
    }

    /// Takes over what is new; says whether anything is to come into force. Limits that cannot be read leave the
    /// present ones in force.
    fn refresh(&mut self, watch: &Watch) -> bool {
        let state = watch.state();
        let named = state.resources.range(LIMITS.to_owned()..);
        let told: BTreeMap<&str, &Resource> = named
            .map_while(|(name, resource)| Some((name.strip_prefix(LIMITS)?, &**resource)))
            .collect();
        let before = self.limits.len();
        self.limits.retain(|brick, _| told.contains_key(brick.as_str()));
        let mut changed = before != self.limits.len();
        for (brick, resource) in told {
            let held = self.limits.get(brick);
            if held.is_some_and(|held| held.revision == resource.revision) {
                continue;
            }
            let present = held.map_or(TIMEOUT, |held| held.timeout);
            let read = read(resource);
            let timeout = *read.as_ref().unwrap_or(&present);
            changed |= timeout != present;
            let limit = Limit {
                revision: resource.revision,
                timeout,
            };
            self.limits.insert(brick.to_owned(), limit);
            let taken = (resource.name.clone(), resource.revision, read.err());
            self.taken.push(taken);
        }
        changed
    }

    /// Says what was taken over, and what could not be.
    fn acknowledge(&mut self, watch: &Watch) {
        for (name, revision, refused) in self.taken.drain(..) {
            watch.acknowledge(&name, revision, refused);
        }
    }
}

fn read(resource: &Resource) -> Result<Duration, String> {
    let limits = Limits::deserialize(&resource.value).map_err(|error| error.to_string())?;
    let policy = Policy::compile(&limits).map_err(|error| error.to_string())?;
    Ok(policy.timeout)
}
