//! One brick alone: a system of its own in a scratch folder, in which every brick that it needs is a mock.
//!
//! The scratch system is a manifest like any other, made from the real one and run by the real agent: the brick gets the
//! whole environment contract, finds the mocks through discovery or `<NEEDED>_URL`, has tokens of a real issuer and a
//! database of its own. A mock is `brick serve mock`, which answers from the needed brick's OpenAPI document.

use std::path::{Path, PathBuf};

use brick_core::BrickName;
use brick_model::{Brick, Edge, LimitKey, Loaded, Model, Replicas};
use serde_json::Value;

use super::target::Target;
use crate::agent::Agent;
use crate::command::scratch::{REAL, Scratch};
use crate::failure::{Failure, Outcome};
use crate::output::{Output, Tone, plain};

/// Log lines that are shown of a brick that does not start.
const LAST_LINES: usize = 20;

/// A scratch system, running or not.
#[derive(Debug)]
pub(super) struct Alone {
    brick: BrickName,
    scratch: Scratch,
    /// Needed bricks without a document.
    silent: Vec<BrickName>,
}

impl Alone {
    /// Writes the scratch system's manifest.
    pub(super) fn prepare(loaded: &Loaded, brick: &BrickName) -> Outcome<Self> {
        let scratch = Scratch::new("brick-test-", &loaded.dir)?;
        let program = std::env::current_exe()
            .map_err(|error| Failure::failed(format!("cannot find this program: {error}")))?;
        let (model, silent) = reduce(&loaded.model, brick, &scratch.real, &program);
        scratch.write(&model)?;
        Ok(Self {
            brick: brick.clone(),
            scratch,
            silent,
        })
    }

    /// Builds and starts it, and waits until all is ready.
    pub(super) async fn start(&self, no_build: bool, output: Output) -> Outcome<Target> {
        output.progress(&format!(
            "starting {} alone, with mocks of what it needs",
            self.brick
        ));
        for silent in &self.silent {
            output.progress(&format!(
                "{} {silent} has no OpenAPI document: its mock answers 501 to everything; \
                 write api/{silent}.openapi.json, or name one as openapi in [brick.{silent}]",
                output.err(Tone::Warn, "warning:")
            ));
        }
        let agent = self.scratch.agent();
        if !self.scratch.up(no_build).await? {
            self.last_words(&agent, output).await;
            return Err(Failure::failed(format!("{} does not start alone", self.brick)));
        }
        let rows: Vec<Value> = agent.get("/v1/ps").await?;
        let row = rows.iter().find(|row| row["brick"] == self.brick.as_str());
        let port = row.and_then(|row| row["port"].as_u64()).unwrap_or_default();
        let url = format!("http://127.0.0.1:{port}");
        Target::brick(self.brick.as_str(), url, agent, output).await
    }

    /// What the brick said, where it came to that: afterwards its folder is gone.
    async fn last_words(&self, agent: &Agent, output: Output) {
        let path = format!("/v1/logs?brick={}&limit={LAST_LINES}", self.brick);
        let told = agent.lines(&path, |line| {
            if let Ok(record) = serde_json::from_str::<Value>(line) {
                output.note(&format!(
                    "  {}",
                    plain(record["msg"].as_str().unwrap_or_default())
                ));
            }
            true
        });
        // No agent, no lines: `up` has said why it ended.
        let _ = told.await;
    }

    /// Stops it and deletes the folder, unless it is to be kept.
    pub(super) async fn end(self, keep: bool, output: Output) {
        self.scratch.end(keep, output).await;
    }
}

/// The brick and a mock for each brick that it needs; and the needed ones that have no document.
fn reduce(model: &Model, name: &BrickName, dir: &Path, program: &Path) -> (Model, Vec<BrickName>) {
    let mut reduced = model.clone();
    let brick = model.bricks.get(name).cloned().unwrap_or_default();
    reduced.bricks.clear();
    let mut silent = Vec::new();
    for need in &brick.needs {
        let document = model
            .bricks
            .get(need)
            .and_then(|brick| document(dir, need, brick));
        if document.is_none() {
            silent.push(need.clone());
        }
        reduced
            .bricks
            .insert(need.clone(), mock(program, document.as_deref()));
    }
    let own = Brick {
        dir: Some(
            brick
                .dir
                .as_ref()
                .map_or_else(|| REAL.to_owned(), |dir| format!("{REAL}/{dir}")),
        ),
        replicas: Replicas::Fixed(1),
        zones: brick.zones.first().cloned().into_iter().collect(),
        version: brick.version.base.clone().into(),
        openapi: None,
        optional: false,
        ..brick
    };
    reduced.bricks.insert(name.clone(), own);
    // Nothing comes in at the edge, and its addresses are the real system's.
    reduced.edge = Edge::default();
    reduced.routes.clear();
    reduced.loads.clear();
    reduced.tests.clear();
    reduced.environments.clear();
    reduced.demos.clear();
    reduced.canaries.clear();
    reduced.config.retain(|brick, _| brick == name);
    reduced.serves.retain(|brick, _| brick == name);
    reduced.limits.retain(|key, _| match key {
        LimitKey::Link(link) => link.caller == *name,
        LimitKey::Default => true,
    });
    for flag in reduced.flags.values_mut() {
        flag.bricks.retain(|brick| brick == name);
    }
    reduced.flags.retain(|_, flag| !flag.bricks.is_empty());
    (reduced, silent)
}

/// Where a brick's OpenAPI document is, if it has one.
fn document(dir: &Path, name: &BrickName, brick: &Brick) -> Option<PathBuf> {
    let path = match &brick.openapi {
        Some(path) => dir.join(path),
        None => dir.join("api").join(format!("{name}.openapi.json")),
    };
    path.is_file().then_some(path)
}

fn mock(program: &Path, document: Option<&Path>) -> Brick {
    let quoted = |path: &Path| format!("'{}'", path.display().to_string().replace('\'', "'\\''"));
    let mut run = format!("{} serve mock", quoted(program));
    if let Some(document) = document {
        run.push_str(&format!(" --openapi {}", quoted(document)));
    }
    Brick {
        run: Some(run),
        ..Brick::default()
    }
}

#[cfg(test)]
mod tests {
    use brick_model::parse;

    use super::*;

    #[test]
    fn the_scratch_manifest_holds_the_brick_and_a_mock_for_each_need() {
        let text = include_str!("../../../../../systems/shop/brick.toml");
        let model = parse(text, "brick.toml").unwrap();
        let shop = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../systems/shop");
        let order = BrickName::new("order").unwrap();
        let (reduced, silent) = reduce(&model, &order, &shop, Path::new("/opt/my tools/brick"));
        let text = toml::to_string(&reduced).unwrap();
        let again =
            parse(&text, "scratch").unwrap_or_else(|invalid| panic!("{}\n{text}", invalid.render(false)));
        assert_eq!(again, reduced);
        let names: Vec<String> = again.bricks.keys().map(ToString::to_string).collect();
        assert_eq!(names, ["customer", "order", "payment", "product", "shipping"]);
        assert_eq!(silent, []);
        let order = &again.bricks["order"];
        assert_eq!((order.replicas.min(), order.dir.as_deref()), (1, Some("system")));
        assert_eq!(order.state.as_deref(), Some("order"));
        let words = again.bricks["payment"].run_command(Path::new("/t")).unwrap();
        assert_eq!(words[..4], ["/opt/my tools/brick", "serve", "mock", "--openapi"]);
        assert!(
            words[4].ends_with("systems/shop/api/payment.openapi.json"),
            "{words:?}"
        );
        assert_eq!(again.config.len(), 1);
    }
}
