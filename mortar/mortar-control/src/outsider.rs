//! Instances that nobody here started: they register themselves, with what they say of themselves, and are lost sight of
//! when they say nothing any more.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use brick_auth::Claims;
use brick_core::BrickName;
use brick_http::Problem;
use brick_model::Model;
use futures_util::future::BoxFuture;
use http::HeaderMap;
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::eureka::info::{Info, Status};
use crate::service::Handle;
use crate::state::{Registered, State};

/// Pairs of metadata at most.
pub(crate) const PAIRS_MAX: usize = 64;
/// Longest key, value, name or path in bytes.
pub(crate) const TEXT_BYTES_MAX: usize = 255;
/// Largest weight; usual is 100.
pub(crate) const WEIGHT_MAX: u32 = 10_000;
/// Scopes that let somebody register: of one brick, `register:order`, or of every one that may be joined.
const REGISTER: &str = "register:";
const REGISTER_ALL: &str = "register:*";

/// Believes a registered client by its name and secret; gives its scopes.
pub type Clients = Arc<dyn Fn(String, String) -> BoxFuture<'static, Option<String>> + Send + Sync>;

/// What an instance says of itself besides who and where it is.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Details {
    /// Relative weight in balancers; 100 unless said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<u32>,
    /// Version of the API that it serves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_version: Option<String>,
    /// Whatever else.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
    /// Its own name among the brick's instances, where nobody here started it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outsider: Option<String>,
    /// Path that answers 2xx while it takes requests: asked when its lease runs out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health: Option<String>,
    /// What a Eureka client says of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub eureka: Option<Info>,
}

impl Details {
    /// Whether it says nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// How an outsider came.
    pub(crate) fn joined(&self) -> Option<&'static str> {
        let how = if self.eureka.is_some() { "eureka" } else { "http" };
        self.outsider.as_ref().map(|_| how)
    }

    /// What is too much of it, or too long.
    pub(crate) fn check(&self) -> Result<(), Problem> {
        let long = |text: &String| text.len() > TEXT_BYTES_MAX;
        let pairs = self.metadata.iter();
        let texts = [&self.api_version, &self.outsider, &self.health];
        let refused = if self.metadata.len() > PAIRS_MAX {
            format!("expected at most {PAIRS_MAX} pairs of metadata")
        } else if pairs.clone().any(|(key, value)| long(key) || long(value))
            || texts
                .into_iter()
                .flatten()
                .chain(self.eureka.iter().flat_map(Info::texts))
                .any(long)
        {
            format!("expected texts of at most {TEXT_BYTES_MAX} bytes")
        } else if self.weight.is_some_and(|weight| weight > WEIGHT_MAX) {
            format!("expected a weight of at most {WEIGHT_MAX}")
        } else if self.health.as_ref().is_some_and(|path| !path.starts_with('/')) {
            "expected a health path that begins with a slash".to_owned()
        } else {
            return Ok(());
        };
        Err(Problem::unprocessable("invalid_details", refused))
    }
}

/// Whether outsiders may join the brick: the manifest says so, or does not know it.
pub(crate) fn may_join(model: Option<&Model>, brick: &BrickName) -> Result<(), Error> {
    let told = model.and_then(|model| model.bricks.get(brick));
    match told.is_none_or(|told| told.registers) {
        true => Ok(()),
        false => Err(Error::NotJoinable {
            brick: brick.to_string(),
        }),
    }
}

impl State {
    /// An outsider by its own name.
    pub(crate) fn outsider(&self, brick: &BrickName, name: &str) -> Option<&Arc<Registered>> {
        self.instances
            .values()
            .find(|one| one.instance.brick == *brick && one.details.outsider.as_deref() == Some(name))
    }

    /// An outsider of the same name is the same instance, wherever it listens by now.
    pub(crate) fn join(&mut self, mut registered: Registered) -> Result<(), Error> {
        let brick = &registered.instance.brick;
        may_join(self.manifest.as_deref(), brick)?;
        let (mut held, mut taken) = (None, BTreeSet::new());
        for one in self.instances.values().filter(|one| one.instance.brick == *brick) {
            taken.insert(one.instance.slot);
            if one.details.outsider.is_some() && one.details.outsider == registered.details.outsider {
                held = Some(Arc::clone(one));
            }
        }
        let Some(held) = held else {
            let free = (1..).find(|slot| !taken.contains(slot));
            registered.instance.slot = free.unwrap_or(u32::MAX);
            return self.register(registered);
        };
        registered.instance.slot = held.instance.slot;
        registered.instance.incarnation = held.instance.incarnation;
        registered.quarantined.clone_from(&held.quarantined);
        if let (Some(info), Some(before)) = (&mut registered.details.eureka, &held.details.eureka) {
            info.succeed(before);
            registered.ready = info.counts() == Status::Up;
        }
        self.edit(held.instance.incarnation, |one| *one = registered);
        Ok(())
    }
}

/// Who may speak for instances of a brick: the agent for all, others by scope.
pub(crate) struct Speaker(Arc<Claims>);

impl Speaker {
    /// Of a request with a platform token that lets somebody register something.
    pub(crate) fn of(handle: &Handle, headers: &HeaderMap) -> Result<Self, Problem> {
        let token = brick_auth::bearer(headers).ok_or(brick_auth::Error::Missing)?;
        let claims = handle.verifier().platform(token)?;
        let scopes = claims.scope.split_ascii_whitespace();
        let registers = scopes.into_iter().any(|scope| scope.starts_with(REGISTER));
        if registers || claims.has_scope("agent") {
            return Ok(Self(claims));
        }
        Err(Problem::forbidden(
            "scope_missing",
            format!(
                "expected a platform token with scope \"agent\" or \"register:BRICK\", found \"{}\"",
                claims.scope
            ),
        ))
    }

    pub(crate) fn is_agent(&self) -> bool {
        self.0.has_scope("agent")
    }

    /// Whether it may speak for this brick's instances.
    pub(crate) fn may(&self, brick: &BrickName) -> bool {
        self.is_agent() || may_register(&self.0.scope, brick)
    }

    /// The same, or the answer.
    pub(crate) fn for_brick(&self, brick: &BrickName) -> Result<(), Problem> {
        match self.may(brick) {
            true => Ok(()),
            false => Err(refused(brick, &self.0.scope)),
        }
    }
}

/// Whether these scopes let somebody register instances of the brick.
pub(crate) fn may_register(scopes: &str, brick: &BrickName) -> bool {
    scopes
        .split_ascii_whitespace()
        .any(|scope| scope == REGISTER_ALL || scope.strip_prefix(REGISTER) == Some(brick.as_str()))
}

pub(crate) fn refused(brick: &BrickName, scopes: &str) -> Problem {
    let hint = format!("expected scope \"register:{brick}\" or \"{REGISTER_ALL}\", found \"{scopes}\"");
    Problem::forbidden("scope_missing", hint)
}

#[cfg(test)]
mod tests {
    use brick_core::Incarnation;
    use serde_json::Value;

    use super::*;
    use crate::state::Action;
    use crate::state::tests::registered;

    fn outsider(name: &str) -> Registered {
        let mut one = registered("stock", 1, Incarnation::new());
        one.details.outsider = Some(name.to_owned());
        one
    }

    fn slots(state: &State) -> Vec<(u32, Option<String>)> {
        let mut all: Vec<_> = state
            .instances
            .values()
            .map(|one| (one.instance.slot, one.details.outsider.clone()))
            .collect();
        all.sort();
        all
    }

    #[test]
    fn an_outsider_keeps_its_slot_by_its_name_and_a_free_one_is_given_again() {
        let mut state = State::default();
        for name in ["x", "y", "x", "z"] {
            state.apply(Action::Join(outsider(name)), "shop").unwrap();
        }
        let named = |all: [(u32, &str); 3]| all.map(|(slot, name)| (slot, Some(name.to_owned()))).to_vec();
        assert_eq!(slots(&state), named([(1, "x"), (2, "y"), (3, "z")]));
        let first = state
            .instances
            .values()
            .find(|one| one.instance.slot == 1)
            .unwrap();
        let gone = first.instance.incarnation;
        state.apply(Action::Remove(gone), "shop").unwrap();
        state.apply(Action::Join(outsider("w")), "shop").unwrap();
        assert_eq!(slots(&state), named([(1, "w"), (2, "y"), (3, "z")]));
    }

    #[test]
    fn what_the_agent_runs_is_not_joined() {
        let model = |brick: Value| {
            let model = serde_json::json!({
                "brickwork": 1, "system": { "name": "shop" }, "brick": { "stock": brick },
            });
            let mut state = State::default();
            let model = Arc::new(serde_json::from_value(model).unwrap());
            state.apply(Action::Manifest(model), "shop").unwrap();
            state.apply(Action::Join(outsider("x")), "shop")
        };
        assert!(model(serde_json::json!({ "registers": true })).is_ok());
        let refused = model(serde_json::json!({ "run": "stock" }));
        assert!(matches!(refused, Err(Error::NotJoinable { .. })));
        let refused = model(serde_json::json!({ "external": "http://stock.example" }));
        assert!(matches!(refused, Err(Error::NotJoinable { .. })));
    }

    #[test]
    fn a_scope_is_for_its_brick() {
        let may = |scopes: &str| may_register(scopes, &"stock".parse().unwrap());
        assert!(may("bus register:stock") && may("register:*"));
        assert!(!may("register:stocks") && !may("register:") && !may("call:*") && !may(""));
    }
}
