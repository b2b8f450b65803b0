//! One round of a scenario: its steps in turn, with the values that earlier steps saved.

use std::collections::{BTreeMap, HashMap};
use std::sync::OnceLock;
use std::time::Duration;

use brick_model::load::path::JsonPath;
use brick_model::load::template;
use brick_model::{Load, Step};
use brick_wire::Client;
use http::{HeaderName, Method};
use serde_json::{Value, json};

use crate::agent::Agent;
use crate::failure::{Failure, Outcome};

/// What failed, and how often.
pub(super) type Failures = BTreeMap<String, u64>;

/// Time limit of one request.
const LIMIT: Duration = Duration::from_secs(30);

/// How a round ended.
#[derive(Debug)]
pub(super) struct Ended {
    /// Requests that were sent.
    pub(super) requests: u64,
    /// What failed, if something did.
    pub(super) failure: Option<String>,
}

/// A scenario against an address.
#[derive(Debug)]
pub(super) struct Scenario {
    load: Load,
    target: String,
    client: Client,
    /// What the set-up saved, and the run's own tokens by scope.
    common: OnceLock<HashMap<String, String>>,
}

impl Scenario {
    pub(super) fn new(load: Load, target: String) -> Self {
        Self {
            load,
            target,
            client: Client::new(),
            common: OnceLock::new(),
        }
    }

    /// Does once what the rounds build on: the scenario's own set-up, and a token for each scope that a step names.
    pub(super) async fn set_up(&self, agent: &Agent) -> Outcome {
        let mut values = HashMap::new();
        for step in &self.load.setup {
            self.step(step, &mut values)
                .await
                .map_err(|failure| Failure::failed(format!("set-up: {failure}")))?;
        }
        for step in &self.load.steps {
            let Some(scope) = &step.auth else { continue };
            let subject = step.subject.clone().unwrap_or_else(|| format!("load-{scope}"));
            let subject = fill(&subject, &values).map_err(Failure::failed)?;
            let body = json!({ "subject": subject, "scopes": [scope] });
            let issued: Value = agent
                .admin()
                .await?
                .post("/api/identity/v1/tokens", &body)
                .await?;
            values.insert(
                token_key(step),
                issued["token"].as_str().unwrap_or_default().to_owned(),
            );
        }
        let _ = self.common.set(values);
        Ok(())
    }

    /// One round; it ends at the first step that fails.
    pub(super) async fn round(&self) -> Ended {
        let mut values = self.common.get().cloned().unwrap_or_default();
        let mut requests = 0;
        for step in &self.load.steps {
            requests += 1;
            if let Err(failure) = self.step(step, &mut values).await {
                return Ended {
                    requests,
                    failure: Some(failure),
                };
            }
        }
        Ended {
            requests,
            failure: None,
        }
    }

    async fn step(&self, step: &Step, values: &mut HashMap<String, String>) -> Result<(), String> {
        let (method, target) = step.request().ok_or("a step names no request")?;
        let what = format!(
            "{} {}",
            method.as_str(),
            target.split('?').next().unwrap_or(target)
        );
        let url = format!("{}{}", self.target, fill(target, values)?);
        let method = Method::from_bytes(method.as_str().as_bytes()).map_err(|error| error.to_string())?;
        let mut call = self.client.call(method, url).timeout(LIMIT);
        if let Some(body) = &step.body {
            call = call.body("application/json", fill(body, values)?);
        }
        for (name, value) in &step.headers {
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|error| format!("{what}: {error}"))?;
            call = call.header(name, &fill(value, values)?);
        }
        if let Some(token) = step.auth.as_ref().and_then(|_| values.get(&token_key(step))) {
            call = call.bearer(token);
        }
        let answer = call
            .send()
            .await
            .map_err(|error| format!("{what}: {}", brick_core::chain(&error)))?;
        if !step.accepts(answer.status.as_u16()) {
            let problem = brick_wire::Problem::from_answer(answer.status, &answer.body);
            return Err(format!("{what}: {} {}", answer.status.as_u16(), problem.code));
        }
        if step.save.is_empty() {
            return Ok(());
        }
        let value: Value = answer
            .json()
            .map_err(|error| format!("{what}: {}", brick_core::chain(&error)))?;
        for (name, path) in &step.save {
            let path: JsonPath = path.parse().map_err(|error| format!("{what}: {error}"))?;
            let text = path
                .text(&value)
                .ok_or_else(|| format!("{what}: the answer has nothing for {name}"))?;
            values.insert(name.clone(), text);
        }
        Ok(())
    }
}

fn token_key(step: &Step) -> String {
    format!(
        "token of {} as {}",
        step.auth.as_deref().unwrap_or_default(),
        step.subject.as_deref().unwrap_or_default()
    )
}

fn fill(text: &str, values: &HashMap<String, String>) -> Result<String, String> {
    template::fill(text, |name| match name {
        "uuid" => Some(brick_core::Incarnation::new().to_string()),
        name => values.get(name).cloned(),
    })
    .map_err(|name| format!("no step saved a value called {name}"))
}
