//! What the parts of the platform ask the model: order of start, resolved routes, limits, configuration.

mod secret;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use brick_core::duration::Span;
use brick_core::{BrickName, env};
use serde_json::{Map, Value};

use crate::link::{EDGE, LimitKey, Link};
use crate::model::{Brick, Limit, Model, TIMEOUT};

mod edge;

pub use edge::{ResolvedRoute, ResolvedView};

impl Model {
    /// The bricks that run, in waves: every brick stands in a later wave than all that it needs. External bricks
    /// are left out. Stop in reverse.
    pub fn start_order(&self) -> Vec<Vec<BrickName>> {
        let mut waiting: BTreeMap<&BrickName, &Brick> = self.running().collect();
        let mut waves = Vec::new();
        while !waiting.is_empty() {
            let free = |brick: &Brick| !brick.needs.iter().any(|need| waiting.contains_key(need));
            let mut wave: Vec<BrickName> = waiting
                .iter()
                .filter(|(_, brick)| free(brick))
                .map(|(name, _)| (*name).clone())
                .collect();
            if wave.is_empty() {
                // A cycle: only a model that was never validated has one. Start the rest together.
                wave = waiting.keys().map(|name| (*name).clone()).collect();
            }
            waiting.retain(|name, _| !wave.contains(name));
            waves.push(wave);
        }
        waves
    }

    /// The bricks that the agent runs: neither external ones nor those that register themselves.
    pub fn running(&self) -> impl Iterator<Item = (&BrickName, &Brick)> {
        self.bricks.iter().filter(|(_, brick)| brick.runs_here())
    }

    /// The bricks that have a pool of instances: all but the external ones.
    pub fn pooled(&self) -> impl Iterator<Item = (&BrickName, &Brick)> {
        self.bricks.iter().filter(|(_, brick)| !brick.is_external())
    }

    /// How `caller` (a brick, or `edge`) treats `callee`: what its own table says, else `[limits.default]`.
    pub fn limit(&self, caller: &str, callee: &str) -> Limit {
        let of_link = self.limits.iter().find_map(|(key, limit)| match key {
            LimitKey::Link(link) if link.caller.as_str() == caller && link.callee.as_str() == callee => {
                Some(limit)
            }
            _ => None,
        });
        let default = self.limits.get(&LimitKey::Default);
        let nothing = Limit::default();
        let mut limit = of_link.unwrap_or(&nothing).or(default.unwrap_or(&nothing));
        limit.timeout = Some(limit.timeout.unwrap_or(TIMEOUT));
        limit
    }

    /// Time limit of one call of `callee` by `caller` (a brick, or `edge`).
    pub fn timeout(&self, caller: &str, callee: &str) -> Duration {
        let Span(timeout) = self.limit(caller, callee).timeout.unwrap_or(TIMEOUT);
        timeout
    }

    /// Every link over which calls may go: each brick to what it needs, and the edge to what routes lead to, their
    /// mirrors and the parts of views.
    pub fn links(&self) -> BTreeSet<Link> {
        let needs = self.bricks.iter().flat_map(|(caller, brick)| {
            brick.needs.iter().map(|callee| Link {
                caller: caller.clone(),
                callee: callee.clone(),
            })
        });
        let edge = BrickName::new(EDGE).ok();
        let routes = self.routes.values();
        let routed = routes.flat_map(|route| {
            let mirrored = route.mirror.iter().map(|mirror| &mirror.to.brick);
            std::iter::once(&route.to).chain(mirrored)
        });
        let views = self.edge.bff.values().flat_map(|bff| bff.views.values());
        let asked = views.flat_map(|view| view.parts.values()).map(|part| &part.from);
        let led = routed.chain(asked).collect::<BTreeSet<_>>();
        let routed = edge.iter().flat_map(|edge| {
            led.iter().map(|callee| Link {
                caller: edge.clone(),
                callee: (*callee).clone(),
            })
        });
        needs.chain(routed).collect()
    }

    /// Effective manifest configuration of a brick, nested as written, with `flag.NAME` for each flag that it sees.
    pub fn config_of(&self, brick: &str) -> Map<String, Value> {
        let mut config = self.config.get(brick).cloned().unwrap_or_default();
        for value in config.values_mut() {
            secret::plain(value);
        }
        let flags: Map<String, Value> = self
            .flags
            .iter()
            .filter(|(_, flag)| flag.bricks.iter().any(|name| name.as_str() == brick))
            .map(|(name, flag)| (name.clone(), flag.default_value()))
            .collect();
        if !flags.is_empty() {
            config.insert("flag".to_owned(), Value::Object(flags));
        }
        config
    }

    /// Keys of a brick's configuration that the manifest marks: `password = { value = "…", secret = true }`.
    pub fn secrets_of(&self, brick: &str) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        if let Some(config) = self.config.get(brick) {
            secret::marked("", config, &mut found);
        }
        found
    }

    /// The same configuration as environment variables: nested keys are joined by `_`, scalars are plain text,
    /// lists are JSON. What is encrypted is left out: control alone has the key.
    pub fn config_env(&self, brick: &str) -> BTreeMap<String, String> {
        flatten(&self.config_of(brick))
            .into_iter()
            .filter(|(_, value)| !value.as_str().is_some_and(|text| text.starts_with("{cipher}")))
            .map(|(key, value)| (env::config_name(&key), text(&value)))
            .collect()
    }
}

impl Brick {
    /// Whether it is a service outside the system.
    pub fn is_external(&self) -> bool {
        self.external.is_some()
    }

    /// Whether the agent starts it.
    pub fn runs_here(&self) -> bool {
        !self.is_external() && !self.registers
    }

    /// Folder that its commands start in, given the folder of `brick.toml`.
    pub fn dir(&self, base: &Path) -> PathBuf {
        self.dir
            .as_ref()
            .map_or_else(|| base.to_owned(), |dir| base.join(dir))
    }

    /// Zone of a slot, counted from 1: slots go through the zones in turn.
    pub fn zone(&self, slot: u32) -> &str {
        let turn = usize::try_from(slot.saturating_sub(1)).unwrap_or(0);
        turn.checked_rem(self.zones.len())
            .and_then(|at| self.zones.get(at))
            .map_or("a", String::as_str)
    }
}

/// The leaves of nested tables under dotted keys: `{"a":{"b":1}}` gives `a.b`.
pub fn flatten(table: &Map<String, Value>) -> Vec<(String, Value)> {
    fn walk(prefix: &str, table: &Map<String, Value>, leaves: &mut Vec<(String, Value)>) {
        for (key, value) in table {
            let key = if prefix.is_empty() {
                key.clone()
            } else {
                format!("{prefix}.{key}")
            };
            match value {
                Value::Object(inner) => walk(&key, inner, leaves),
                leaf => leaves.push((key, leaf.clone())),
            }
        }
    }
    let mut leaves = Vec::new();
    walk("", table, &mut leaves);
    leaves
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
