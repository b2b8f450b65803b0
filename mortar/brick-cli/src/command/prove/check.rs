//! What clients were told, held against what the system has: every round that ended well is asked for again.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use brick_model::load::template;
use brick_model::{Load, Step};
use brick_wire::Client;
use http::HeaderName;
use mortar_agent::api::InstanceState;
use tokio::task::JoinSet;

use super::report::Kept;
use super::system::System;
use crate::command::load::round::Scenario;
use crate::command::steps::{Steps, Values, issue_tokens, platform_token};
use crate::failure::{Failure, Outcome};

/// Rounds that are asked about at the same time.
const AT_ONCE: usize = 8;
/// Tries before something counts as lost, and the time between two of them.
const TRIES: u32 = 4;
const AGAIN_AFTER: Duration = Duration::from_millis(500);
/// What is lost is told whole up to so many.
const TOLD_MAX: usize = 20;

const IDENTITY: HeaderName = HeaderName::from_static("x-brick-identity");

/// Asks for everything that the rounds were told of.
pub(super) async fn kept(
    system: &System,
    scenarios: &[Arc<Scenario>],
    done: &[(usize, Values)],
) -> Outcome<Kept> {
    let mut kept = Kept {
        acknowledged: done.len() as u64,
        ..Kept::default()
    };
    let mut same = BTreeSet::new();
    let askers = askers(system, scenarios).await?;
    let mut asked = JoinSet::new();
    for (number, values) in done {
        let load = scenarios[*number].load();
        if load.check.is_empty() {
            kept.unchecked += u64::from(writes(load));
            continue;
        }
        kept.checked += 1;
        if let Some(key) = key(load, values)
            && !same.insert((*number, key.clone()))
        {
            kept.lose(format!("two rounds were told of the same: {key}"));
        }
        while asked.len() >= AT_ONCE {
            kept.take(asked.join_next().await);
        }
        let (asker, values) = (Arc::clone(&askers[*number]), values.clone());
        asked.spawn(async move { asker.ask(values).await });
    }
    while let Some(one) = asked.join_next().await {
        kept.take(Some(one));
    }
    Ok(kept)
}

impl Kept {
    fn take(&mut self, asked: Option<Result<Result<(), String>, tokio::task::JoinError>>) {
        match asked {
            Some(Ok(Ok(()))) | None => {}
            Some(Ok(Err(lost))) => self.lose(lost),
            Some(Err(error)) => self.lose(format!("could not be asked for: {error}")),
        }
    }

    fn lose(&mut self, what: String) {
        self.lost += 1;
        if self.told.len() < TOLD_MAX {
            self.told.push(what);
        }
    }
}

/// Whether rounds leave something behind.
pub(super) fn writes(load: &Load) -> bool {
    load.steps.iter().any(|step| step.get.is_none())
}

/// What a round is asked for by, which no other round may be told of.
fn key(load: &Load, values: &Values) -> Option<String> {
    let (_, target) = load.check.first()?.request()?;
    let names = template::placeholders(target);
    let of_the_round = |name: &&str| load.steps.iter().any(|step| step.save.contains_key(*name));
    let name = names.into_iter().find(of_the_round)?;
    Some(format!("{name} {}", values.get(name)?))
}

/// The steps of one scenario's check, each with where it goes.
struct Asker {
    steps: Vec<(Step, Steps)>,
    tokens: Values,
}

async fn askers(system: &System, scenarios: &[Arc<Scenario>]) -> Outcome<Vec<Arc<Asker>>> {
    let mut all = Vec::new();
    for scenario in scenarios {
        let mut asker = Asker {
            steps: Vec::new(),
            tokens: Values::new(),
        };
        for step in &scenario.load().check {
            asker.steps.push((step.clone(), steps(system, step).await?));
        }
        if scenario.load().check.iter().any(|step| step.auth.is_some()) {
            issue_tokens(&scenario.load().check, &system.admin().await?, &mut asker.tokens).await?;
        }
        all.push(Arc::new(asker));
    }
    Ok(all)
}

/// To the edge, or with a token that may call every brick to an instance of the brick.
async fn steps(system: &System, step: &Step) -> Outcome<Steps> {
    let Some(brick) = &step.brick else {
        return Ok(Steps::new(&system.edge, crate::tls::client(&system.edge, None)?));
    };
    let rows = system.rows().await?;
    let ready = rows
        .iter()
        .find(|row| row.brick == *brick && row.state == InstanceState::Ready)
        .ok_or_else(|| Failure::failed(format!("no instance of {brick} is there to be asked")))?;
    let token = platform_token(&system.admin().await?, "brick-prove", &["call:*"]).await?;
    Steps::new(&format!("http://127.0.0.1:{}", ready.port), Client::new()).header(IDENTITY, &token)
}

impl Asker {
    /// Every step, again and again until it holds; why it does not.
    async fn ask(&self, mut values: Values) -> Result<(), String> {
        values.extend(self.tokens.clone());
        for (step, steps) in &self.steps {
            let mut tries = 1;
            loop {
                let exchange = steps.step(step, &mut values).await;
                let Some(miss) = exchange.misses.first() else {
                    break;
                };
                if tries == TRIES {
                    let request = exchange
                        .request
                        .as_ref()
                        .map_or(String::new(), |sent| sent.url.clone());
                    return Err(format!("{} {request}: {}", exchange.what, miss.told));
                }
                tries += 1;
                tokio::time::sleep(AGAIN_AFTER).await;
            }
        }
        Ok(())
    }
}
