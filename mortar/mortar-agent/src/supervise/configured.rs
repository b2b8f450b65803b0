//! What configures a process when it starts: the manifest, and what control says otherwise now.
//!
//! A process with the SDK would hear of it on the bus; any other gets it with its start. What the operator's own
//! environment says still counts before it.

use brick_core::env;
use brick_model::query::flatten;
use serde_json::{Map, Value};

use crate::board::Role;
use crate::control::Control;
use crate::launch::Spec;

/// The spec with what counts now; as it is where control says nothing.
pub(crate) async fn now(control: &Control, inherited: &[(String, String)], spec: &Spec) -> Option<Spec> {
    if spec.slot.role != Role::Brick {
        return None;
    }
    match control.configuration(&spec.slot.brick).await {
        Ok(values) => Some(with(spec, inherited, &values)),
        Err(error) => {
            tracing::debug!(slot = %spec.slot, %error, "started with the manifest's configuration alone");
            None
        }
    }
}

fn with(spec: &Spec, inherited: &[(String, String)], values: &Map<String, Value>) -> Spec {
    let mut spec = spec.clone();
    let is_at = |list: &[(String, String)], name: &str| list.iter().position(|(n, _)| n == name);
    let told = is_at(&spec.env, env::BRICK_CONFIG_INJECTED).map(|at| spec.env[at].1.clone());
    let mut injected: Vec<String> = told
        .iter()
        .flat_map(|names| names.split(','))
        .map(str::to_owned)
        .collect();
    injected.retain(|name| !name.is_empty());
    for (key, value) in flatten(values) {
        let name = env::config_name(&key);
        let reserved = env::is_reserved(&name) || matches!(name.as_str(), "PATH" | "HOME");
        let is_injected = injected.contains(&name);
        // The platform's own variables, those of `env` and those of the operator are not the configuration's.
        let taken = is_at(inherited, &name).is_some() || is_at(&spec.env, &name).is_some();
        if reserved || (taken && !is_injected) {
            continue;
        }
        let text = match value {
            Value::String(text) => text,
            other => other.to_string(),
        };
        match is_at(&spec.env, &name) {
            Some(at) => spec.env[at].1 = text,
            None => spec.env.push((name.clone(), text)),
        }
        if !is_injected {
            injected.push(name);
        }
    }
    if let Some(at) = is_at(&spec.env, env::BRICK_CONFIG_INJECTED) {
        spec.env[at].1 = injected.join(",");
    }
    spec
}
