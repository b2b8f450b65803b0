//! What is published, derived from manifest and registry.

use std::collections::BTreeMap;

use brick_bus::{Endpoint, Endpoints, Limits, Route, RouteAuth, RouteTable, TrustBundle};
use brick_model::{Auth, Model};
use serde::Serialize;
use serde_json::Value;

use crate::Error;
use crate::state::State;

/// Every resource by name. Deterministic: equal input gives equal values, so that nothing is published anew for
/// nothing.
pub(crate) fn resources(state: &State, trust: &TrustBundle) -> Result<BTreeMap<String, Value>, Error> {
    let mut all = BTreeMap::new();
    all.insert(brick_auth::TRUST_BUNDLE.to_owned(), value(trust)?);
    let mut endpoints: BTreeMap<String, Vec<Endpoint>> = BTreeMap::new();
    if let Some(model) = &state.manifest {
        all.insert("routes/edge".to_owned(), value(&routes(model))?);
        for link in model.links() {
            let timeout = model.timeout(link.caller.as_str(), link.callee.as_str());
            let limits = Limits {
                timeout_ms: u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX),
            };
            all.insert(
                format!("limits/{}->{}", link.caller, link.callee),
                value(&limits)?,
            );
        }
        for (name, _) in model.running() {
            let config = Value::Object(model.config_of(name.as_str()));
            all.insert(format!("config/{name}"), config);
            endpoints.insert(name.to_string(), Vec::new());
        }
    }
    for registered in state.instances.values() {
        let instance = &registered.instance;
        let pool = endpoints.entry(instance.brick.to_string()).or_default();
        if registered.ready {
            pool.push(Endpoint {
                slot: instance.slot,
                incarnation: instance.incarnation,
                version: instance.version.clone(),
                zone: instance.zone.clone(),
                addr: instance.addr,
                weight: 100,
                concurrent: instance.concurrent,
            });
        }
    }
    for (brick, mut instances) in endpoints {
        instances.sort_by_cached_key(|endpoint| {
            let concurrent = endpoint.concurrent.then(|| endpoint.version.clone());
            (concurrent, endpoint.slot, endpoint.incarnation)
        });
        all.insert(format!("endpoints/{brick}"), value(&Endpoints { instances })?);
    }
    Ok(all)
}

fn routes(model: &Model) -> RouteTable {
    let routes = model.routes().into_iter().map(|route| Route {
        name: route.name,
        path: route.path.as_str().to_owned(),
        to: route.to,
        auth: match route.auth {
            Auth::Public => RouteAuth::Public,
            Auth::Jwt => RouteAuth::Jwt,
        },
        websocket: route.websocket,
        timeout_ms: u64::try_from(route.timeout.as_millis()).unwrap_or(u64::MAX),
        body_bytes_max: route.body_bytes_max,
    });
    RouteTable {
        routes: routes.collect(),
    }
}

fn value(of: &impl Serialize) -> Result<Value, Error> {
    serde_json::to_value(of).map_err(|error| Error::Encode(error.to_string()))
}
