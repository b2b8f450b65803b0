//! What is published, derived from manifest and registry.

mod routes;
mod settings;

use std::collections::{BTreeMap, BTreeSet};

use brick_bus::{Endpoint, Endpoints, Protocol, TrustBundle};
use brick_core::BrickName;
use brick_model::{Link, Model};
use serde::Serialize;
use serde_json::Value;

use crate::api::certs::CERTS;
use crate::state::State;
use crate::{Error, config};

/// Every resource by name. Deterministic: equal input gives equal values, so that nothing is published anew for
/// nothing.
pub(crate) fn resources(state: &State, trust: &TrustBundle) -> Result<BTreeMap<String, Value>, Error> {
    let mut all = BTreeMap::new();
    all.insert(brick_auth::TRUST_BUNDLE.to_owned(), value(trust)?);
    let certs = state.settings_below(CERTS);
    all.extend(certs.map(|(name, cert)| (format!("{CERTS}{name}"), Value::clone(cert))));
    if let Some(keys) = &state.api_keys {
        all.insert(brick_bus::routes::KEYS.to_owned(), value(keys)?);
    }
    if let Some(model) = &state.manifest {
        all.insert(
            brick_bus::routes::ROUTES.to_owned(),
            value(&routes::table(model))?,
        );
        all.insert(
            "edge/settings".to_owned(),
            value(&settings::settings(&model.edge))?,
        );
        for link in model.links() {
            let name = limits_name(&link);
            all.insert(
                name.clone(),
                limits(model, &link, state.settings.get(&name).map(|patch| &**patch)),
            );
            let faults = format!("faults/{}->{}", link.caller, link.callee);
            all.extend(as_set(state, faults));
        }
        for route in model.routes.keys() {
            all.extend(as_set(state, format!("faults/route->{route}")));
        }
        all.extend(crate::pools::resources(state, model)?);
        all.extend(crate::flags::resources(state, model)?);
        for (name, serve) in &model.serves {
            all.insert(format!("serve/{name}"), serve.wire());
        }
        for (name, _) in model.pooled() {
            let name = name.as_str();
            all.insert(config::resource_name(name), configuration(state, name));
            for kind in [config::PREPARE, config::LOG] {
                all.extend(as_set(state, format!("{kind}{name}")));
            }
        }
    }
    let every = bricks(state);
    all.extend(endpoints(state, &every)?);
    Ok(all)
}

/// What counts for a brick, with where it comes from.
fn configuration(state: &State, brick: &str) -> Value {
    let effective = config::layers::effective(state, brick);
    let change = config::layers::live(state, brick).change;
    if change.is_none() && effective.flat.is_empty() {
        return Value::Object(serde_json::Map::new());
    }
    let values = effective.opened_or_held(state, brick);
    effective.meta(change).beside(config::layers::nested(&values))
}

/// Name of the resource that holds a link's limits.
pub(crate) fn limits_name(link: &Link) -> String {
    format!("limits/{}->{}", link.caller, link.callee)
}

/// What the manifest says of a link, with what an operator wants otherwise.
pub(crate) fn limits(model: &Model, link: &Link, patch: Option<&Value>) -> Value {
    let mut limits = model.limit(link.caller.as_str(), link.callee.as_str()).wire();
    if let Some(patch) = patch {
        brick_bus::limits::merge(&mut limits, patch);
    }
    limits
}

fn as_set(state: &State, name: String) -> Option<(String, Value)> {
    let set = state.settings.get(&name)?;
    Some((name, Value::clone(set)))
}

/// Every brick that has a pool: those of the manifest that run here, and those that are registered all the same.
fn bricks(state: &State) -> BTreeSet<BrickName> {
    let told = state.manifest.iter().flat_map(|model| model.pooled());
    let told = told.map(|(name, _)| name.clone());
    let registered = state.instances.values().map(|one| one.instance.brick.clone());
    told.chain(registered).collect()
}

/// The pools of these bricks, in one pass over the instances. A brick of neither manifest nor registry has none.
pub(crate) fn endpoints(state: &State, of: &BTreeSet<BrickName>) -> Result<BTreeMap<String, Value>, Error> {
    let mut pools: BTreeMap<&BrickName, Vec<Endpoint>> = BTreeMap::new();
    for (name, _) in state.manifest.iter().flat_map(|model| model.pooled()) {
        if let Some(name) = of.get(name) {
            pools.insert(name, Vec::new());
        }
    }
    for registered in state.instances.values() {
        let instance = &registered.instance;
        let Some(name) = of.get(&instance.brick) else {
            continue;
        };
        let pool = pools.entry(name).or_default();
        if registered.ready {
            pool.push(Endpoint {
                slot: instance.slot,
                incarnation: instance.incarnation,
                version: instance.version.clone(),
                zone: instance.zone.clone(),
                addr: instance.addr,
                weight: registered.details.weight.unwrap_or(100),
                concurrent: instance.concurrent,
                protocol: protocol(state, name),
                quarantined: registered.quarantined.is_some(),
            });
        }
    }
    let named = pools.into_iter().map(|(brick, mut instances)| {
        instances.sort_by_cached_key(|endpoint| {
            let concurrent = endpoint.concurrent.then(|| endpoint.version.clone());
            (concurrent, endpoint.slot, endpoint.incarnation)
        });
        Ok((pool_name(brick), value(&Endpoints { instances })?))
    });
    named.collect()
}

/// What the instances of a brick speak.
pub(crate) fn protocol(state: &State, brick: &BrickName) -> Protocol {
    let brick = state.manifest.as_ref().and_then(|model| model.bricks.get(brick));
    match brick.map(|brick| brick.protocol) {
        Some(brick_model::Protocol::H2c) => Protocol::H2c,
        Some(brick_model::Protocol::Tcp) => Protocol::Tcp,
        Some(brick_model::Protocol::Http1) | None => Protocol::Http1,
    }
}

/// Name of the resource that holds a brick's pool.
pub(crate) fn pool_name(brick: &BrickName) -> String {
    format!("endpoints/{brick}")
}

pub(crate) fn value(of: &impl Serialize) -> Result<Value, Error> {
    serde_json::to_value(of).map_err(|error| Error::Encode(error.to_string()))
}
