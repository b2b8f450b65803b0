//! The HTTP side: who may call what.

pub(crate) mod agent;
pub(crate) mod audit;
pub(crate) mod bus;
pub(crate) mod canary;
pub(crate) mod certs;
pub(crate) mod config;
pub(crate) mod faults;
pub(crate) mod flags;
pub(crate) mod instance;
pub(crate) mod levels;
pub(crate) mod limits;
pub(crate) mod ofrep;
pub(crate) mod pools;
pub(crate) mod quarantine;
pub(crate) mod registry;
pub(crate) mod reports;
pub(crate) mod repository;
pub(crate) mod spring;
pub(crate) mod system;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{delete, get, post, put};
use brick_auth::Claims;
use brick_http::Access;
use brick_http::access::Areas;

use crate::service::Handle;

/// Largest manifest or batch in bytes.
const BODY_BYTES_MAX: usize = 4 << 20;

/// What operators look into and change, by the scopes that let them: `config:read`, `config:write`.
pub(crate) const AREAS: Areas = &[
    ("/api/system", "system"),
    ("/api/agent/v1/scale", "scale"),
    ("/api/agent/v1/roll", "roll"),
    ("/api/agent/v1/kill", "kill"),
    ("/api/agent", "system"),
    ("/api/registry", "quarantine"),
    ("/api/config/v1/{brick}/log", "log"),
    ("/api/config", "config"),
    ("/api/config-repository", "config"),
    ("/api/flags", "flags"),
    ("/api/pools", "routes"),
    ("/api/canaries", "routes"),
    ("/api/limits", "limits"),
    ("/api/faults", "faults"),
    ("/api/certs", "certs"),
    ("/api/audit", "audit"),
];

/// Routes for operators stand behind their areas; the others need other scopes (`agent`, `bus`) and check them first
/// thing.
pub(crate) fn access(handle: &Handle, extra: Router) -> Access {
    let admin = Router::new()
        .route("/api/system/v1", get(system::show))
        .route("/api/system/v1/instances/{brick}/{number}", get(instance::show))
        .route("/api/audit/v1", get(audit::list))
        .route("/api/audit/v1/use", get(audit::uses))
        .route("/api/limits/v1/edges", get(reports::edges))
        .route(
            "/api/limits/v1/{caller}/{callee}",
            get(limits::show).put(limits::set).delete(limits::take_back),
        )
        .route("/api/certs/v1", get(certs::list))
        .route(
            "/api/certs/v1/{name}",
            get(certs::show).put(certs::put).delete(certs::remove),
        )
        .route("/api/faults/v1", get(faults::list))
        .route(
            "/api/faults/v1/{caller}/{callee}",
            get(faults::show).put(faults::set).delete(faults::clear),
        )
        .route(
            "/api/faults/v1/routes/{name}",
            get(faults::show_route)
                .put(faults::set_route)
                .delete(faults::clear_route),
        )
        .route("/api/agent/v1/ps", get(agent::ps))
        .route("/api/agent/v1/status", get(agent::status))
        .route("/api/agent/v1/events", get(agent::events))
        .route("/api/agent/v1/scale", post(agent::scale))
        .route("/api/agent/v1/roll", post(agent::roll))
        .route("/api/agent/v1/kill", post(agent::kill))
        .merge(configuration())
        .merge(versions())
        .with_state(handle.clone());
    let admin = admin.layer(axum::middleware::from_fn_with_state(
        handle.clone(),
        crate::uses::count,
    ));
    let checked = Router::new()
        .route("/api/system/v1/manifest", put(system::manifest))
        .route("/api/audit/v1/entries", post(audit::add))
        .route(
            "/api/registry/v1/instances",
            post(registry::register).get(registry::list),
        )
        .route(
            "/api/registry/v1/instances/{incarnation}",
            delete(registry::deregister),
        )
        .route("/api/registry/v1/leases", post(registry::renew))
        .route("/config/monitor", post(repository::monitor))
        .merge(for_spring())
        .merge(crate::eureka::routes())
        .merge(for_openfeature())
        .route("/bus/v1/watch", get(bus::watch))
        .route("/api/peer/v1/standbys", post(crate::peers::hello))
        .route("/bus/v1/reports", post(reports::take))
        .route("/bus/v1/acks", post(bus::acknowledge).get(bus::acknowledged))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(handle.clone());
    // What is mounted here keeps its own state; what it changes is written down all the same.
    let keep = axum::middleware::from_fn_with_state(handle.clone(), crate::audit::keep);
    let noted = extra.layer(keep);
    Access::new().areas(AREAS, admin).public(checked).public(noted)
}

/// What configures bricks while they run.
fn configuration() -> Router<Handle> {
    Router::new()
        .route(
            "/api/config/v1/{brick}",
            get(config::show).put(config::replace).patch(config::merge),
        )
        .route("/api/flags/v1", get(flags::list))
        .route(
            "/api/flags/v1/{key}",
            get(flags::show).put(flags::set).delete(flags::reset),
        )
        .route("/api/config-repository/v1", get(repository::show))
        .route("/api/config-repository/v1/refresh", post(repository::refresh))
        .route("/api/config/v1/{brick}/history", get(config::history))
        .route("/api/config/v1/{brick}/diff", get(config::diff))
        .route("/api/config/v1/{brick}/encrypt", post(config::encrypt))
        .route("/api/config/v1/{brick}/rollback", post(config::rollback))
        .route(
            "/api/config/v1/{brick}/log",
            get(levels::show).put(levels::set).delete(levels::take_back),
        )
}

/// What clients of Spring Cloud Config ask for; each says itself who may.
fn for_spring() -> Router<Handle> {
    Router::new()
        .route("/config/encrypt", post(spring::unbound))
        .route("/config/decrypt", post(spring::unbound))
        .route("/config/encrypt/{application}/{key}", post(spring::encrypt))
        .route("/config/decrypt/{application}/{key}", post(spring::decrypt))
        .route("/config/{file}", get(spring::file))
        .route("/config/{first}/{second}", get(spring::two))
        .route("/config/{application}/{profiles}/{label}", get(spring::three))
        .route(
            "/config/{application}/{profiles}/{label}/{*path}",
            get(spring::below),
        )
}

/// What clients of OpenFeature ask for; it says itself who may.
fn for_openfeature() -> Router<Handle> {
    Router::new()
        .route("/ofrep/v1/evaluate/flags", post(ofrep::all))
        .route("/ofrep/v1/evaluate/flags/{key}", post(ofrep::one))
        .layer(DefaultBodyLimit::max(ofrep::BODY_BYTES_MAX))
}

/// Which version and which instance requests go to.
fn versions() -> Router<Handle> {
    Router::new()
        .route("/api/pools/v1", get(pools::list))
        .route(
            "/api/pools/v1/{brick}",
            get(pools::show).put(pools::set).delete(pools::reset),
        )
        .route("/api/pools/v1/{brick}/preview", post(pools::preview))
        .route("/api/canaries/v1", get(canary::list))
        .route("/api/canaries/v1/{brick}", get(canary::show).post(canary::start))
        .route("/api/canaries/v1/{brick}/plan", get(canary::plan))
        .route("/api/canaries/v1/{brick}/promote", post(canary::promote))
        .route("/api/canaries/v1/{brick}/abort", post(canary::abort))
        .route(
            "/api/registry/v1/instances/{instance}/quarantine",
            post(quarantine::set).delete(quarantine::release),
        )
}

/// How long the token still counts: a stream does not outlive what it was opened with.
fn life(claims: &Claims) -> Duration {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Duration::from_secs(claims.exp).saturating_sub(now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_issued_for_every_area() {
        for (_, area) in AREAS {
            assert!(brick_auth::AREAS.contains(area), "{area}");
        }
    }
}
