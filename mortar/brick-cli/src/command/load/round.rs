//! One round of a scenario: its steps in turn, with the values that earlier steps saved.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use brick_model::Load;
use brick_wire::Client;

use super::super::steps::{Steps, Values, issue_tokens};
use crate::agent::Agent;
use crate::failure::{Failure, Outcome};
use crate::patience::Patience;

/// What failed, and how often.
pub(super) type Failures = BTreeMap<String, u64>;

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
    steps: Steps,
    /// What the set-up saved, and the run's own tokens by scope.
    common: OnceLock<Values>,
}

impl Scenario {
    pub(super) fn new(load: Load, target: &str, client: Client) -> Self {
        Self {
            load,
            steps: Steps::new(target, client),
            common: OnceLock::new(),
        }
    }

    /// Does once what the rounds build on: the scenario's own set-up, and a token for each scope that a step names. A
    /// part that finds nobody there is done again, as long as patience lasts.
    pub(super) async fn set_up(&self, agent: &Agent, patience: &Patience) -> Outcome {
        let mut values = Values::new();
        for step in &self.load.setup {
            let prepared = async || {
                let exchange = self.steps.step(step, &mut values).await;
                exchange.failure().map_or(Ok(()), |failure| {
                    Err(Failure {
                        passes: exchange.passes,
                        ..Failure::failed(format!("set-up: {failure}"))
                    })
                })
            };
            patience.until_there(prepared).await?;
        }
        if self.load.steps.iter().any(|step| step.auth.is_some()) {
            let tokens = async || issue_tokens(&self.load.steps, &agent.admin().await?, &mut values).await;
            patience.until_there(tokens).await?;
        }
        let _ = self.common.set(values);
        Ok(())
    }

    /// One round; it ends at the first step that fails.
    pub(super) async fn round(&self) -> Ended {
        let mut values = self.common.get().cloned().unwrap_or_default();
        let mut requests = 0;
        let mut failure = None;
        for step in &self.load.steps {
            requests += 1;
            failure = self.steps.step(step, &mut values).await.failure();
            if failure.is_some() {
                break;
            }
        }
        Ended { requests, failure }
    }
}
