//! The edge and the calls: routes, limits, ports.

use std::collections::BTreeMap;

use brick_core::Version;

use super::Check;
use crate::diagnostic::Problem;
use crate::link::{EDGE, LimitKey, Link};
use crate::model::{Auth, Brick, Fallback, Limit, Route, Switch};
use crate::nearest;

impl Check<'_> {
    pub(super) fn routes(&mut self) {
        let mut matches: BTreeMap<(String, String), String> = BTreeMap::new();
        for (name, route) in &self.model.routes {
            self.leads_to(route.to.as_str(), &format!("route.{name}.to"));
            if let Some(mirror) = &route.mirror {
                let path = format!("route.{name}.mirror.to");
                self.leads_to(mirror.to.brick.as_str(), &path);
                if let Some(version) = &mirror.to.version {
                    self.expect_version(mirror.to.brick.as_str(), version, &path);
                }
            }
            self.tunnels(name, route);
            for version in route.weights.keys() {
                let path = format!("route.{name}.weights.{version}");
                self.expect_version(route.to.as_str(), version, &path);
            }
            self.needs_a_token(name, route);
            let conditions = route.conditions();
            self.only_match(&mut matches, route.path.as_str(), conditions, "route", name);
        }
        for view in self.model.views() {
            let conditions = view.conditions();
            let path = view.path.clone();
            let name = view.name.replacen('.', ".view.", 1);
            self.only_match(&mut matches, &path, conditions, "edge.bff", &name);
        }
    }

    /// Two routes that ask the same of a request cannot be told apart.
    fn only_match(
        &mut self,
        matches: &mut BTreeMap<(String, String), String>,
        path: &str,
        conditions: String,
        table: &str,
        name: &str,
    ) {
        let key = if table == "route" { "match" } else { "get" };
        let at = format!("{table}.{name}.{key}");
        let named = name.rsplit('.').next().unwrap_or(name).to_owned();
        if let Some(first) = matches.insert((path.to_owned(), conditions), named) {
            let message = format!("{at}: \"{path}\" is the match of route \"{first}\" already");
            let hint = "give each route paths of its own, or another host, method, header or query";
            self.at_value("duplicate", &at, message, hint);
        }
    }

    /// What a token must say means nothing where none is asked for.
    fn needs_a_token(&mut self, name: &str, route: &Route) {
        let auth = route.auth.unwrap_or(self.model.edge.auth);
        let scopes = (!route.scopes.is_empty() && auth == Auth::Public).then_some("scopes");
        let audience = (route.audience.is_some() && auth != Auth::Jwt).then_some("audience");
        for key in scopes.into_iter().chain(audience) {
            let path = format!("route.{name}.{key}");
            let message = format!("{path}: the route asks for no token that could have it");
            self.at_key("bad-value", &path, message, "say auth = \"jwt\", or leave it out");
        }
    }

    fn expect_version(&mut self, brick: &str, version: &Version, path: &str) {
        let Some(known) = self.model.bricks.get(brick).map(|brick| &brick.version) else {
            return;
        };
        if known.base == *version || known.concurrent.contains_key(version) {
            return;
        }
        let labels: Vec<&str> = std::iter::once(known.base.as_str())
            .chain(known.concurrent.keys().map(Version::as_str))
            .collect();
        let message = format!("{path}: \"{brick}\" has no version \"{version}\"");
        let hint = nearest::hint(version.as_str(), "versions", labels.iter().copied());
        self.at_value("unknown-version", path, message, &hint);
    }

    pub(super) fn limits(&mut self) {
        let links = self.model.links();
        for (key, limit) in &self.model.limits {
            let LimitKey::Link(link) = key else {
                if let Some(Switch::Set(Fallback::Brick { brick })) = &limit.fallback {
                    self.expect_brick(brick.as_str(), "limits.default.fallback.brick", false);
                }
                continue;
            };
            let path = self.limit_path(link);
            let callee = self.expect_brick(link.callee.as_str(), &path, true);
            let caller = link.caller.as_str() == EDGE || self.expect_caller(link, &path);
            if callee && caller && !links.contains(link) {
                let (message, hint) = if link.caller.as_str() == EDGE {
                    (
                        format!("no route leads from the edge to \"{}\"", link.callee),
                        format!(
                            "add a route with to = \"{}\", or leave the limit out",
                            link.callee
                        ),
                    )
                } else {
                    (
                        format!(
                            "\"{}\" does not need \"{}\", so it never calls it",
                            link.caller, link.callee
                        ),
                        format!(
                            "add \"{}\" to brick.{}.needs, or leave the limit out",
                            link.callee, link.caller
                        ),
                    )
                };
                self.at_key("not-needed", &path, message, &hint);
            }
            self.fallback(link, limit, &path);
        }
    }

    /// Another brick that answers instead is called like any other: it has to be among the needs.
    fn fallback(&mut self, link: &Link, limit: &Limit, path: &str) {
        let Some(Switch::Set(Fallback::Brick { brick })) = &limit.fallback else {
            return;
        };
        let at = format!("{path}.fallback.brick");
        if !self.expect_brick(brick.as_str(), &at, false) {
            return;
        }
        if link.caller.as_str() == EDGE {
            if self.model.bricks.get(brick).is_some_and(Brick::is_external) {
                let message =
                    format!("{at}: \"{brick}\" is outside the system, where the edge's requests do not fit");
                self.at_value("bad-value", &at, message, "name a brick that runs here");
            }
            return;
        }
        let caller = self.model.bricks.get(&link.caller);
        if caller.is_some_and(|caller| !caller.needs.contains(brick)) {
            let message = format!(
                "{at}: \"{}\" does not need \"{brick}\", so it may not call it",
                link.caller
            );
            let hint = format!("add \"{brick}\" to brick.{}.needs", link.caller);
            self.at_value("not-needed", &at, message, &hint);
        }
    }

    /// CONNECT names a host and no path, and its tunnel ends at an instance.
    fn tunnels(&mut self, name: &str, route: &Route) {
        if !route.connect {
            return;
        }
        let at = format!("route.{name}.connect");
        if route.path.as_str() != "/**" {
            let message = format!("{at}: a tunnel has no path, so the route has to take all");
            self.at_key(
                "bad-value",
                &at,
                message,
                "write match = \"/**\", and tell routes apart by host",
            );
        }
        let to = self.model.bricks.get(&route.to);
        if to.is_some_and(crate::model::Brick::is_external) {
            let message = format!(
                "{at}: \"{}\" is external, tunnels lead to bricks of the system",
                route.to
            );
            self.at_key("external", &at, message, "leave connect out");
        }
    }

    pub(super) fn serves(&mut self) {
        for name in self.model.serves.keys() {
            let path = format!("serve.{name}");
            let external = |brick: &crate::model::Brick| brick.is_external();
            if self.expect_brick(name.as_str(), &path, true)
                && self.model.bricks.get(name).is_some_and(external)
            {
                let message = format!("{path}: \"{name}\" is external, it serves as it likes");
                self.at_key("external", &path, message, "say under [limits] how it is called");
            }
        }
    }

    /// The path of a limit as the manifest writes it: blanks around the arrow are free.
    fn limit_path(&self, link: &Link) -> String {
        let written = self.places.names("limits").find(|name| {
            name.parse::<LimitKey>()
                .is_ok_and(|key| key == LimitKey::Link(link.clone()))
        });
        format!(
            "limits.{}",
            written.map_or_else(|| link.to_string(), str::to_owned)
        )
    }

    fn expect_caller(&mut self, link: &Link, path: &str) -> bool {
        let caller = link.caller.as_str();
        let known = self.is_brick(caller);
        if !known {
            let names: Vec<&str> = self.brick_names().chain([EDGE]).collect();
            let message = format!("{path}: there is no caller \"{caller}\"");
            let hint = nearest::hint(caller, "callers", names.iter().copied());
            let problem = Problem::new("unknown-brick", &self.places.key(path), message);
            self.problems.push(problem.hint(hint));
        }
        known
    }

    pub(super) fn ports(&mut self) {
        let (console, edge) = (self.model.system.console, self.model.edge.listen.port());
        if console == edge && console != 0 {
            let written = self.places.has("edge.listen");
            let path = if written { "edge.listen" } else { "system.console" };
            let message = format!("{path}: console and edge both want port {console}");
            self.at_value(
                "port-taken",
                path,
                message,
                "give one of them another port; 0 takes a free one",
            );
        }
    }
}
