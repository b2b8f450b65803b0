//! Configuration, environment and flags: what becomes a variable must not collide.

use std::collections::BTreeMap;

use brick_core::{BrickName, env};

use super::Check;
use crate::model::Brick;
use crate::query::flatten;

impl Check<'_> {
    pub(super) fn config(&mut self) {
        for name in self.model.config.keys() {
            let mut values = self.model.config_of(name.as_str());
            // Flags have names of their own.
            if !self.model.config[name].contains_key("flag") {
                values.remove("flag");
            }
            let table = format!("config.{name}");
            if !self.expect_brick(name.as_str(), &table, true) {
                continue;
            }
            let needed = self.needed_urls(self.model.bricks.get(name));
            let mut seen: BTreeMap<String, String> = BTreeMap::new();
            for (key, _) in flatten(&values) {
                let path = format!("{table}.{key}");
                let variable = env::config_name(&key);
                if let Some(first) = seen.get(&variable) {
                    let message =
                        format!("{path}: \"{key}\" and \"{first}\" both become the variable {variable}");
                    self.at_key("collision", &path, message, "rename one of them");
                } else if env::is_reserved(&variable) || matches!(variable.as_str(), "PATH" | "HOME") {
                    let message =
                        format!("{path}: it would become the variable {variable}, which is reserved");
                    self.at_key("reserved", &path, message, "rename it");
                } else if let Some(need) = needed.get(&variable) {
                    let message = format!("{path}: the variable {variable} tells where \"{need}\" is");
                    self.at_key("reserved", &path, message, "rename it");
                } else if key == "flag" || key.starts_with("flag.") {
                    let message = format!("{path}: \"flag\" holds the feature flags");
                    self.at_key(
                        "reserved",
                        &path,
                        message,
                        "declare it as [flag.NAME], or rename it",
                    );
                } else {
                    seen.insert(variable, key);
                }
            }
        }
    }

    fn needed_urls(&self, brick: Option<&Brick>) -> BTreeMap<String, BrickName> {
        let needs = brick.map(|brick| brick.needs.as_slice()).unwrap_or_default();
        needs
            .iter()
            .map(|need| (env::needed_url_name(need.as_str()), need.clone()))
            .collect()
    }

    pub(super) fn environment(&mut self) {
        for (name, brick) in &self.model.bricks {
            let config = self.model.config_env(name.as_str());
            let own = brick.env.keys().map(|variable| (String::new(), variable));
            let concurrent = brick.version.concurrent.iter().flat_map(|(label, own)| {
                let of = format!(".version.{label}");
                own.env.keys().map(move |variable| (of.clone(), variable))
            });
            for (of, variable) in own.chain(concurrent) {
                let path = format!("brick.{name}{of}.env.{variable}");
                if env::is_reserved(variable) {
                    let message = format!("{path}: the platform sets {variable}");
                    self.at_key("reserved", &path, message, "leave it out, or name it otherwise");
                } else if config.contains_key(variable) {
                    let message = format!("{path}: [config.{name}] sets {variable} too");
                    self.at_key("collision", &path, message, "say it in one place");
                }
            }
        }
    }

    pub(super) fn flags(&mut self) {
        for (name, flag) in &self.model.flags {
            if let Err(error) = brick_flags::Flag::compile(name, &flag.definition()) {
                let field = match error.path.split(['.', '[']).next() {
                    Some("defaultVariant") => "default",
                    Some("key" | "definition") | None => "",
                    Some(field) => field,
                };
                let path = format!("flag.{name}.{field}");
                let path = path.trim_end_matches('.');
                let message = format!("flag.{name}.{error}");
                let hint = "the words are those of flagd: https://flagd.dev/reference/flag-definitions/";
                self.at_value("bad-flag", path, message, hint);
            }
            let list = format!("flag.{name}.bricks");
            for brick in &flag.bricks {
                let at = self.entry(&list, brick.as_str());
                self.expect_brick_in(brick.as_str(), &at, &list);
            }
        }
    }
}
