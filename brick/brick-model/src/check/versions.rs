//! Concurrent versions, canaries and demos: labels that must differ, names that must exist.

use super::Check;
use crate::model::EVERY_BRICK;
use crate::nearest;

impl Check<'_> {
    /// A concurrent version needs a label that the base has not.
    pub(super) fn versions(&mut self) {
        for (name, brick) in &self.model.bricks {
            let base = &brick.version.base;
            if brick.version.concurrent.contains_key(base) {
                let at = format!("brick.{name}.version.{base}");
                let message = format!("{at}: \"{base}\" is the label of the base already");
                let hint = "choose another label, or give the base one: version.base = \"…\"";
                self.at_key("duplicate", &at, message, hint);
            }
        }
    }

    /// What a plan of canaries is for must be there and run here.
    pub(super) fn canaries(&mut self) {
        for name in self.model.canaries.keys().filter(|name| *name != EVERY_BRICK) {
            let path = format!("canary.{name}");
            let external = |brick: &crate::model::Brick| brick.is_external();
            if self.expect_brick(name, &path, true)
                && self.model.bricks.get(name.as_str()).is_some_and(external)
            {
                let message = format!("{path}: \"{name}\" is external, it has no versions here");
                self.at_key(
                    "external",
                    &path,
                    message,
                    "name a brick of the system, or default for all",
                );
            }
        }
    }

    /// What a demo scales must be there to be scaled.
    pub(super) fn demos(&mut self) {
        for (name, demo) in &self.model.demos {
            let table = format!("demo.{name}.scale");
            for of in demo.scale.keys() {
                let at = format!("{table}.{of}");
                if !self.is_brick(of.brick.as_str()) {
                    let message = format!("{table}: there is no brick \"{}\"", of.brick);
                    let hint = nearest::hint(of.brick.as_str(), "bricks", self.brick_names());
                    self.at_key("unknown-brick", &at, message, &hint);
                    continue;
                }
                let Some(brick) = self.model.bricks.get(&of.brick) else {
                    continue;
                };
                if brick.is_external() {
                    let message = format!("{table}: \"{}\" is external, it is not started here", of.brick);
                    self.at_key("external", &at, message, "name a brick of the system");
                } else if let Some(label) = of
                    .version
                    .as_ref()
                    .filter(|l| brick.of_version(Some(l)).is_none())
                {
                    let message = format!("{table}: \"{}\" has no version \"{label}\"", of.brick);
                    let labels = brick.version.concurrent.keys().map(|label| label.as_str());
                    let known: Vec<&str> = std::iter::once(brick.version.base.as_str())
                        .chain(labels)
                        .collect();
                    self.at_key(
                        "unknown-version",
                        &at,
                        message,
                        &format!("versions: {}", known.join(", ")),
                    );
                }
            }
        }
    }
}
