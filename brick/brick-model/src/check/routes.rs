//! The edge and the calls: routes, limits, ports.

use std::collections::BTreeMap;

use super::Check;
use crate::diagnostic::Problem;
use crate::link::{EDGE, LimitKey, Link};
use crate::nearest;

impl Check<'_> {
    pub(super) fn routes(&mut self) {
        let mut matches: BTreeMap<&str, &str> = BTreeMap::new();
        for (name, route) in &self.model.routes {
            let to = format!("route.{name}.to");
            if self.expect_brick(route.to.as_str(), &to, false)
                && self
                    .model
                    .bricks
                    .get(&route.to)
                    .is_some_and(|brick| brick.is_external())
            {
                let message = format!(
                    "{to}: \"{}\" is external, the edge leads to bricks of the system",
                    route.to
                );
                self.at_value(
                    "external",
                    &to,
                    message,
                    "let a brick call it and lead the route there",
                );
            }
            let at = format!("route.{name}.match");
            if let Some(first) = matches.insert(route.path.as_str(), name) {
                let message = format!(
                    "{at}: \"{}\" is the match of route \"{first}\" already",
                    route.path
                );
                self.at_value("duplicate", &at, message, "give each route paths of its own");
            }
        }
    }

    pub(super) fn limits(&mut self) {
        let links = self.model.links();
        for key in self.model.limits.keys() {
            let LimitKey::Link(link) = key else {
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
