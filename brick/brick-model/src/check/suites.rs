//! Acceptance suites: the bricks that they are about, and names that must not be confused.

use super::Check;

impl Check<'_> {
    pub(super) fn suites(&mut self) {
        for (name, suite) in &self.model.tests {
            let path = format!("test.{name}");
            if self.is_brick(name) {
                let message = format!("{path}: there is a brick of the same name");
                let hint = format!("rename the suite: `brick test {name}` runs every suite about the brick");
                self.at_key("duplicate", &path, message, &hint);
            }
            let Some(brick) = &suite.brick else { continue };
            let at = format!("{path}.brick");
            if self.expect_brick(brick.as_str(), &at, false)
                && self
                    .model
                    .bricks
                    .get(brick)
                    .is_some_and(|brick| brick.is_external())
            {
                let message = format!("{at}: \"{brick}\" is external, it is never started");
                self.at_value("external", &at, message, "name a brick that runs here");
            }
        }
    }
}
