//! One round of a scenario: its steps in turn, with the values that earlier steps saved.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use brick_model::{Load, Step};
use brick_wire::Client;
use tokio::time::Instant;

use super::super::steps::{Exchange, Steps, Values, issue_tokens};
use crate::agent::Agent;
use crate::failure::{Failure, Outcome};
use crate::patience::Patience;

/// What failed, and how often.
pub(in crate::command) type Failures = BTreeMap<String, u64>;

/// Who is shown each request of a round.
pub(in crate::command) type Seen<'s> = dyn FnMut(&Step, Instant, &Exchange) + Send + 's;

/// How a round ended.
#[derive(Debug)]
pub(in crate::command) struct Ended {
    /// Requests that were sent.
    pub(in crate::command) requests: u64,
    /// What failed, if something did.
    pub(in crate::command) failure: Option<String>,
    /// What was saved.
    pub(in crate::command) values: Values,
}

/// A scenario against an address.
#[derive(Debug)]
pub(in crate::command) struct Scenario {
    load: Load,
    steps: Steps,
    /// What the set-up saved, and the run's own tokens by scope.
    common: OnceLock<Values>,
}

impl Scenario {
    pub(in crate::command) fn new(load: Load, target: &str, client: Client) -> Self {
        Self {
            load,
            steps: Steps::new(target, client),
            common: OnceLock::new(),
        }
    }

    /// Does once what the rounds build on: the scenario's own set-up, and a token for each scope that a step names. A
    /// part that finds nobody there is done again, as long as patience lasts.
    pub(in crate::command) async fn set_up(&self, agent: &Agent, patience: &Patience) -> Outcome {
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

    /// What it is made from.
    pub(in crate::command) fn load(&self) -> &Load {
        &self.load
    }

    /// One round; it ends at the first step that fails.
    pub(in crate::command) async fn round(&self) -> Ended {
        self.watched(&mut |_, _, _| {}).await
    }

    /// One round, of which each request is shown when it has ended: its step, when it began, and what it came to.
    pub(in crate::command) async fn watched(&self, seen: &mut Seen<'_>) -> Ended {
        let mut values = self.common.get().cloned().unwrap_or_default();
        let mut requests = 0;
        let mut failure = None;
        for step in &self.load.steps {
            requests += 1;
            let begin = Instant::now();
            let exchange = self.steps.step(step, &mut values).await;
            seen(step, begin, &exchange);
            failure = exchange.failure();
            if failure.is_some() {
                break;
            }
        }
        Ended {
            requests,
            failure,
            values,
        }
    }
}
