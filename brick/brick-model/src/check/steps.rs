//! Steps of load scenarios and suites: placeholders must have been saved, and paths should lead somewhere.

use std::collections::BTreeSet;

use super::Check;
use crate::load::{Step, template};
use crate::nearest;

impl<'m> Check<'m> {
    pub(super) fn loads(&mut self) {
        for (name, load) in &self.model.loads {
            let mut saved = BTreeSet::from([template::UUID]);
            self.steps(&format!("load.{name}.setup"), &load.setup, &mut saved);
            self.steps(&format!("load.{name}.steps"), &load.steps, &mut saved);
            self.steps(&format!("load.{name}.check"), &load.check, &mut saved);
            self.asked(&format!("load.{name}.check"), &load.check);
        }
    }

    pub(super) fn suite_steps(&mut self) {
        for (name, suite) in &self.model.tests {
            let mut saved = BTreeSet::from([template::UUID]);
            self.steps(&format!("test.{name}.steps"), &suite.steps, &mut saved);
        }
    }

    /// Placeholders of a step must have been saved by a step before it.
    fn steps(&mut self, path: &str, steps: &'m [Step], saved: &mut BTreeSet<&'m str>) {
        for (at, step) in steps.iter().enumerate() {
            for (key, text) in sent(step) {
                self.placeholders(&format!("{path}.{at}.{key}"), text, saved);
            }
            for (key, text) in expected(step) {
                self.placeholders(&format!("{path}.{at}.expect.{key}"), text, saved);
            }
            saved.extend(step.save.keys().map(String::as_str));
        }
    }

    /// Bricks that a check asks must run here.
    fn asked(&mut self, path: &str, steps: &[Step]) {
        for (at, step) in steps.iter().enumerate() {
            let Some(name) = &step.brick else { continue };
            let at = format!("{path}.{at}.brick");
            let external = |brick: &crate::model::Brick| brick.is_external();
            if self.expect_brick(name.as_str(), &at, false)
                && self.model.bricks.get(name).is_some_and(external)
            {
                let message = format!("{at}: \"{name}\" is external, it cannot be asked past the edge");
                self.at_value("external", &at, message, "name a brick that runs here");
            }
        }
    }

    fn placeholders(&mut self, path: &str, text: &str, saved: &BTreeSet<&str>) {
        for name in template::placeholders(text) {
            if !saved.contains(name) {
                let message = format!("{path}: no step before this one saves {{{name}}}");
                let hint = nearest::hint(name, "values known here", saved.iter().copied());
                self.at_value("unknown-placeholder", path, message, &hint);
            }
        }
    }

    /// Steps whose path no route covers. A suite about one brick asks that brick, not the edge.
    pub(super) fn unrouted_steps(&mut self) {
        for (name, load) in &self.model.loads {
            self.unrouted(&format!("load.{name}.steps"), &load.steps);
            self.unrouted(&format!("load.{name}.check"), &load.check);
        }
        for (name, suite) in &self.model.tests {
            if suite.brick.is_none() {
                self.unrouted(&format!("test.{name}.steps"), &suite.steps);
            }
        }
    }

    fn unrouted(&mut self, path: &str, steps: &[Step]) {
        for (at, step) in steps.iter().enumerate() {
            let Some((method, target)) = step.request() else {
                continue;
            };
            if step.brick.is_some() {
                continue;
            }
            let target = target.split('?').next().unwrap_or_default();
            let expects_404 = step.expect.as_ref().and_then(|expect| expect.status()) == Some(404);
            if !expects_404 && !self.model.covers(target) {
                let message = format!("no route covers {target}, so the edge answers 404");
                let at = format!("{path}.{at}.{}", method.as_str().to_lowercase());
                self.at_value("unrouted", &at, message, "add a route, or correct the path");
            }
        }
    }
}

/// The texts of a step that may hold placeholders, with their keys.
fn sent(step: &Step) -> Vec<(String, &str)> {
    let target = step
        .request()
        .map(|(method, target)| (method.as_str().to_lowercase(), target));
    let headers = step
        .headers
        .iter()
        .map(|(key, value)| (format!("headers.{key}"), value.as_str()));
    let body = step.body.as_deref().map(|body| ("body".to_owned(), body));
    let subject = step
        .subject
        .as_deref()
        .map(|subject| ("subject".to_owned(), subject));
    let texts = target.into_iter().chain(headers).chain(body).chain(subject);
    texts.collect()
}

/// The texts of its expectation that may hold placeholders.
fn expected(step: &Step) -> Vec<(String, &str)> {
    let Some(answer) = step.expect.as_ref().and_then(|expect| expect.answer()) else {
        return Vec::new();
    };
    let json = answer
        .json
        .iter()
        .filter_map(|(path, value)| Some((format!("json.{path}"), value.as_str()?)));
    let headers = answer
        .header
        .iter()
        .map(|(key, value)| (format!("header.{key}"), value.as_str()));
    let body = answer
        .contains
        .as_deref()
        .map(|text| ("contains".to_owned(), text));
    json.chain(headers).chain(body).collect()
}
