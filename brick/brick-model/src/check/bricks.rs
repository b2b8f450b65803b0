//! Bricks among each other: names, needs, cycles, databases, folders.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use brick_core::{BrickName, env};

use super::{Check, RESERVED};
use crate::diagnostic::Problem;
use crate::model::{Brick, Protocol};
use crate::nearest;

/// Platform scopes that a manifest may grant.
const SCOPES: [&str; 1] = ["identity:issue"];

/// Keys that mean nothing for a brick outside the system.
const RUN_ONLY: [&str; 17] = [
    "run",
    "build",
    "dir",
    "optional",
    "needs",
    "state",
    "replicas",
    "version",
    "health",
    "zones",
    "scopes",
    "env",
    "stop_grace",
    "proxy",
    "capture",
    "inbound",
    "idle_timeout",
];

impl Check<'_> {
    pub(super) fn bricks(&mut self) {
        let mut owners: BTreeMap<&str, &BrickName> = BTreeMap::new();
        for (name, brick) in &self.model.bricks {
            let path = format!("brick.{name}");
            if RESERVED.contains(&name.as_str()) {
                let message = format!("the name \"{name}\" belongs to the platform");
                let hint = format!("choose another; the platform's own are {}", RESERVED.join(", "));
                self.at_key("reserved", &path, message, &hint);
            }
            self.external(&path, brick);
            self.idle(&path, brick);
            self.inbound(&path, brick);
            self.needs(&path, name, brick);
            self.scopes(&path, brick);
            self.zones(&path, brick);
            if let Some(state) = &brick.state {
                self.state(&path, state, name, &mut owners);
            }
        }
    }

    fn external(&mut self, path: &str, brick: &Brick) {
        self.secured(path, brick);
        if brick.runs_here() {
            return;
        }
        if brick.registers && brick.is_external() {
            let key_path = format!("{path}.registers");
            let message = format!("{key_path}: an external brick is at its URL, it does not register");
            self.at_key(
                "external",
                &key_path,
                message,
                "keep either registers or external",
            );
        }
        let (kind, hint) = match brick.registers {
            true => ("a brick that registers itself", "keep either run or registers"),
            false => ("an external brick", "keep either run or external"),
        };
        for key in RUN_ONLY {
            let key_path = format!("{path}.{key}");
            if self.places.has(&key_path) {
                let message = format!("{key_path}: {kind} has no {key}, it runs elsewhere");
                self.at_key("external", &key_path, message, hint);
            }
        }
    }

    fn idle(&mut self, path: &str, brick: &Brick) {
        let at = format!("{path}.idle_timeout");
        // A model that is written out says every default.
        let is_said = brick.idle_timeout != Brick::default().idle_timeout && self.places.has(&at);
        if brick.protocol != Protocol::Tcp && is_said {
            let message = format!("{at}: only connections to a brick with protocol = \"tcp\" have one");
            let hint = "leave it out, or say protocol = \"tcp\"";
            self.at_key("idle-timeout", &at, message, hint);
        }
    }

    /// TLS is for what is outside, and agrees on HTTP/2 itself.
    fn secured(&mut self, path: &str, brick: &Brick) {
        let is_https = |url: &String| url.starts_with("https://");
        let is_https = brick.external.as_ref().is_some_and(is_https);
        let at = format!("{path}.tls");
        if brick.tls.is_some() && !is_https {
            let message = format!("{at}: TLS is for external services whose address is https://");
            let hint = "write external = \"https://…\", or leave tls out";
            self.at_key("external", &at, message, hint);
        }
        if is_https && brick.protocol == Protocol::H2c {
            let at = format!("{path}.protocol");
            let message = format!("{at}: h2c is HTTP/2 without TLS, and the address is https://");
            let hint = "leave it out: with TLS HTTP/2 is agreed on where the service speaks it";
            self.at_value("external", &at, message, hint);
        }
    }

    /// What is judged by the proxy must be HTTP/1.1, which it speaks.
    fn inbound(&mut self, path: &str, brick: &Brick) {
        if brick.inbound.is_some() && brick.protocol != Protocol::Http1 {
            let at = format!("{path}.inbound");
            let message =
                format!("{at}: the host proxy passes HTTP/1.1 on, and this brick speaks something else");
            let hint = "leave inbound out, or leave protocol out";
            self.at_key("inbound", &at, message, hint);
        }
    }

    fn needs(&mut self, path: &str, name: &BrickName, brick: &Brick) {
        let mut seen = BTreeSet::new();
        for need in &brick.needs {
            let at = self.entry(&format!("{path}.needs"), need.as_str());
            if need == name {
                let message = format!("{path}.needs: \"{name}\" needs itself");
                self.at_value(
                    "self-need",
                    &at,
                    message,
                    "leave it out: a brick may always call itself",
                );
            } else if !seen.insert(need) {
                let message = format!("{path}.needs: \"{need}\" stands there twice");
                self.at_value("duplicate", &at, message, "leave one out");
            } else if self.expect_brick_in(need.as_str(), &at, &format!("{path}.needs")) {
                self.needed_url(path, need, &at);
            }
        }
    }

    /// As [`Check::expect_brick`] for an entry of a list: the message names the list, the place is the entry.
    pub(super) fn expect_brick_in(&mut self, name: &str, at: &str, list: &str) -> bool {
        let known = self.is_brick(name);
        if !known {
            let message = format!("{list}: there is no brick \"{name}\"");
            let hint = nearest::hint(name, "bricks", self.brick_names());
            let place = self.places.value(at);
            self.problems
                .push(Problem::new("unknown-brick", &place, message).hint(hint));
        }
        known
    }

    /// A needed brick becomes the variable `<NEEDED>_URL`, which must not be one of the contract's own.
    fn needed_url(&mut self, path: &str, need: &BrickName, at: &str) {
        let variable = env::needed_url_name(need.as_str());
        if env::is_reserved(&variable) {
            let message = format!(
                "{path}.needs: \"{need}\" would become the variable {variable}, which the platform sets"
            );
            self.at_value("reserved", at, message, "give the brick another name");
        }
    }

    /// Path of the entry of a list that holds this text; with several, the last.
    pub(super) fn entry(&self, list: &str, text: &str) -> String {
        let holds = |at: &usize| self.places.text(&format!("{list}.{at}")) == Some(text);
        let entries = (0..).take_while(|at| self.places.has(&format!("{list}.{at}")));
        match entries.filter(holds).last() {
            Some(at) => format!("{list}.{at}"),
            None => list.to_owned(),
        }
    }

    fn scopes(&mut self, path: &str, brick: &Brick) {
        for (at, scope) in brick.scopes.iter().enumerate() {
            if !SCOPES.contains(&scope.as_str()) {
                let at = format!("{path}.scopes.{at}");
                let message = format!(
                    "{path}.scopes: there is no scope \"{}\"",
                    crate::read::short(scope)
                );
                let hint = nearest::hint(scope, "scopes that a manifest may grant", SCOPES);
                self.at_value("unknown-scope", &at, message, &hint);
            }
        }
    }

    fn zones(&mut self, path: &str, brick: &Brick) {
        let mut seen = BTreeSet::new();
        for zone in &brick.zones {
            if !seen.insert(zone) {
                let at = self.entry(&format!("{path}.zones"), zone);
                let message = format!("{path}.zones: \"{zone}\" stands there twice");
                self.at_value("duplicate", &at, message, "leave one out");
            }
        }
    }

    fn state<'n>(
        &mut self,
        path: &str,
        state: &'n str,
        name: &'n BrickName,
        owners: &mut BTreeMap<&'n str, &'n BrickName>,
    ) {
        let at = format!("{path}.state");
        if RESERVED.contains(&state) || state == "identity" {
            let message = format!("{at}: the database \"{state}\" belongs to the platform");
            self.at_value("reserved", &at, message, "choose another name");
        } else if let Some(owner) = owners.get(state) {
            let message = format!("{at}: the database \"{state}\" belongs to \"{owner}\" already");
            let hint = "a brick alone owns its data: give each a database of its own, and call the other's interface";
            self.at_value("state-shared", &at, message, hint);
        } else {
            owners.insert(state, name);
        }
    }

    /// Names every cycle of needs once.
    pub(super) fn cycles(&mut self) {
        let mut done: BTreeSet<BrickName> = BTreeSet::new();
        let names: Vec<BrickName> = self.model.bricks.keys().cloned().collect();
        for name in &names {
            if !done.contains(name) {
                self.cycles_from(name, &mut done);
            }
        }
    }

    /// Depth first with a stack of its own: the path so far, and which need of each comes next.
    fn cycles_from(&mut self, start: &BrickName, done: &mut BTreeSet<BrickName>) {
        let model = self.model;
        let mut path: Vec<(&BrickName, usize)> = vec![(start, 0)];
        while let Some((name, next)) = path.last_mut() {
            let name: &BrickName = name;
            let need = model.bricks.get(name).and_then(|brick| brick.needs.get(*next));
            *next += 1;
            let Some(need) = need else {
                done.insert(name.clone());
                path.pop();
                continue;
            };
            if need == name || done.contains(need) {
                continue;
            }
            if let Some(from) = path.iter().position(|(on_path, _)| *on_path == need) {
                let closing = name.clone();
                let cycle: Vec<&str> = path[from..].iter().map(|(name, _)| name.as_str()).collect();
                let message = format!(
                    "bricks need each other in a circle: {} -> {need}",
                    cycle.join(" -> ")
                );
                let at = self.entry(&format!("brick.{closing}.needs"), need.as_str());
                let hint = "leave one need out: no brick of a circle could start first";
                self.at_value("cycle", &at, message, hint);
            } else if let Some((need, _)) = model.bricks.get_key_value(need) {
                path.push((need, 0));
            }
        }
    }

    pub(super) fn folders(&mut self, base: &Path) {
        for (name, brick) in &self.model.bricks {
            if brick.dir.is_some() && !brick.dir(base).is_dir() {
                let at = format!("brick.{name}.dir");
                let message = format!("{at}: there is no folder {}", brick.dir(base).display());
                self.at_value("missing-folder", &at, message, "paths are relative to brick.toml");
            }
            if let Some(document) = &brick.openapi
                && !base.join(document).is_file()
            {
                let at = format!("brick.{name}.openapi");
                let message = format!("{at}: there is no file {}", base.join(document).display());
                self.at_value("missing-file", &at, message, "paths are relative to brick.toml");
            }
        }
    }

    /// Bricks that nothing leads to.
    pub(super) fn uncalled(&mut self) {
        let called: BTreeSet<BrickName> = self.model.links().into_iter().map(|link| link.callee).collect();
        for name in self.model.bricks.keys().filter(|name| !called.contains(*name)) {
            let message = format!("nothing calls \"{name}\": no route leads to it and no brick needs it");
            let hint = format!("add a route with to = \"{name}\", or name it in the needs of its callers");
            self.at_key("uncalled", &format!("brick.{name}"), message, &hint);
        }
    }
}
