//! What values mean together: names that must exist, cycles, collisions. Runs over whatever could be read, so that
//! these errors come in one go with those of single values.

use std::path::Path;

use crate::diagnostic::Problem;
use crate::model::Model;
use crate::nearest;
use crate::read::Places;

mod bricks;
mod config;
mod routes;
mod steps;
mod suites;
mod versions;
mod views;

/// Names that a brick cannot take: they are the platform's own.
pub const RESERVED: [&str; 9] = [
    "control",
    "gateway",
    "telemetry",
    "broker",
    "agent",
    "edge",
    "route",
    "proxy",
    "console",
];

/// The model under check with the places of its values.
struct Check<'m> {
    model: &'m Model,
    places: &'m Places,
    problems: Vec<Problem>,
}

/// Everything that makes the manifest unusable. `dir` is the folder that paths are relative to, where it is known.
pub(crate) fn errors(model: &Model, places: &Places, dir: Option<&Path>) -> Vec<Problem> {
    let mut check = Check::new(model, places);
    check.bricks();
    check.versions();
    check.cycles();
    if let Some(dir) = dir {
        check.folders(dir);
    }
    check.routes();
    check.views();
    check.limits();
    check.serves();
    check.canaries();
    check.ports();
    check.config();
    check.environment();
    check.flags();
    check.loads();
    check.suites();
    check.suite_steps();
    check.demos();
    check.problems
}

/// What is allowed but probably not meant.
pub(crate) fn warnings(model: &Model, places: &Places) -> Vec<Problem> {
    let mut check = Check::new(model, places);
    check.uncalled();
    check.unrouted_steps();
    check.problems
}

impl<'m> Check<'m> {
    fn new(model: &'m Model, places: &'m Places) -> Self {
        Self {
            model,
            places,
            problems: Vec::new(),
        }
    }

    /// Names of all bricks, of those with errors too.
    fn brick_names(&self) -> impl Iterator<Item = &'m str> + Clone + use<'m> {
        self.places.names("brick")
    }

    fn is_brick(&self, name: &str) -> bool {
        self.brick_names().any(|known| known == name)
    }

    /// Tells of a brick that does not exist, with the nearest one.
    fn expect_brick(&mut self, name: &str, path: &str, at_key: bool) -> bool {
        let known = self.is_brick(name);
        if !known {
            let place = if at_key {
                self.places.key(path)
            } else {
                self.places.value(path)
            };
            let message = format!("{path}: there is no brick \"{name}\"");
            let hint = nearest::hint(name, "bricks", self.brick_names());
            self.problems
                .push(Problem::new("unknown-brick", &place, message).hint(hint));
        }
        known
    }

    fn at_value(&mut self, code: &'static str, path: &str, message: String, hint: &str) {
        let place = self.places.value(path);
        self.problems.push(Problem::new(code, &place, message).hint(hint));
    }

    fn at_key(&mut self, code: &'static str, path: &str, message: String, hint: &str) {
        let place = self.places.key(path);
        self.problems.push(Problem::new(code, &place, message).hint(hint));
    }
}
