//! What a suite is sent to, and how its traffic is marked synthetic.
//!
//! The edge believes `x-brick-synthetic` only together with a platform token that permits it. A brick alone has no edge
//! before it: there the mark is the baggage that the edge would have made of it.

use std::collections::BTreeMap;
use std::path::Path;

use brick_core::ExitCode;
use brick_model::suite::LOCAL;
use brick_model::{Environment, Model};
use brick_wire::Client;
use http::HeaderName;
use serde_json::Value;

use crate::agent::{Admin, Agent};
use crate::command::steps::{Steps, platform_token, reach};
use crate::failure::{Failure, Outcome};
use crate::output::Output;
use crate::patience::Patience;

/// Variable that holds the token for environments other than the local one.
const TOKEN: &str = "BRICK_SYNTHETIC_TOKEN";

const SYNTHETIC: HeaderName = HeaderName::from_static("x-brick-synthetic");
const IDENTITY: HeaderName = HeaderName::from_static("x-brick-identity");
const BAGGAGE: HeaderName = HeaderName::from_static("baggage");

/// Where suites run.
#[derive(Debug)]
pub(super) struct Target {
    /// Name of the environment, or of the brick that runs alone.
    pub(super) name: String,
    /// Base URL that steps go to.
    pub(super) url: String,
    /// Speaks to it.
    client: Client,
    /// Platform token that permits the mark.
    pub(super) token: Option<String>,
    /// Issues users' tokens, where that can be asked for.
    pub(super) admin: Option<Admin>,
    /// The agent that has the log lines, and whether it will be there afterwards.
    pub(super) agent: Option<Agent>,
    /// A brick without an edge before it.
    pub(super) alone: bool,
}

impl Target {
    /// The running system, or an environment of the manifest.
    pub(super) async fn environment(
        model: &Model,
        name: &str,
        ca: Option<&Path>,
        agent: &Agent,
        output: Output,
    ) -> Outcome<Self> {
        if name == LOCAL {
            return local(agent, ca, output).await;
        }
        let environment = known(&model.environments, name)?;
        let token = std::env::var(TOKEN).ok().filter(|token| !token.is_empty());
        if environment.production && token.is_none() {
            let message =
                format!("{TOKEN} is not set, and what is not marked synthetic is not sent to production");
            let hint = "an operator of that environment gets one with `brick token issue tests --audience platform \
                        --scope synthetic`";
            return Err(Failure::new(ExitCode::Refused, message).hint(hint));
        }
        let client = crate::tls::client(&environment.edge, ca)?;
        let what = format!("the environment {name}");
        reach(&what, &client, &environment.edge, &Patience::new(output)).await?;
        Ok(Self {
            name: name.to_owned(),
            url: environment.edge.clone(),
            client,
            token,
            admin: None,
            agent: None,
            alone: false,
        })
    }

    /// A brick that answers at `url` with nothing before it, in a system of its own.
    pub(super) async fn brick(name: &str, url: String, agent: Agent, output: Output) -> Outcome<Self> {
        let (admin, token) = admitted(&agent, &["call:*"], &Patience::new(output)).await?;
        Ok(Self {
            name: name.to_owned(),
            url,
            client: Client::new(),
            token: Some(token),
            admin: Some(admin),
            agent: Some(agent),
            alone: true,
        })
    }

    /// Steps whose requests bear the mark of this suite.
    pub(super) fn steps(&self, suite: &str) -> Outcome<Steps> {
        let steps = Steps::new(&self.url, self.client.clone());
        let Some(token) = &self.token else {
            return Ok(steps);
        };
        let steps = steps.header(IDENTITY, token)?;
        if self.alone {
            let steps = steps.header(BAGGAGE, &format!("brick.synthetic={suite}"))?;
            Ok(steps.begin_traces())
        } else {
            steps.header(SYNTHETIC, suite)
        }
    }
}

async fn local(agent: &Agent, ca: Option<&Path>, output: Output) -> Outcome<Target> {
    let unhealthy = |failure: Failure| Failure {
        code: ExitCode::Unhealthy,
        ..failure
    };
    let status: Value = agent.get("/v1/status").await.map_err(unhealthy)?;
    let url = status["edge_url"].as_str().unwrap_or_default().to_owned();
    let client = crate::tls::client(&url, ca)?;
    let patience = Patience::new(output);
    reach("the running system", &client, &url, &patience).await?;
    let (admin, token) = admitted(agent, &["synthetic"], &patience).await?;
    Ok(Target {
        name: LOCAL.to_owned(),
        url,
        client,
        token: Some(token),
        admin: Some(admin),
        agent: Some(Agent::of(agent.dir())),
        alone: false,
    })
}

fn known<'m>(environments: &'m BTreeMap<String, Environment>, name: &str) -> Outcome<&'m Environment> {
    environments.get(name).ok_or_else(|| {
        let names: Vec<&str> = environments.keys().map(String::as_str).chain([LOCAL]).collect();
        let message = format!("the manifest has no [env.{name}]");
        Failure::usage(message).hint(format!("it has: {}", names.join(", ")))
    })
}

/// The admin listener, and a platform token for the length of a run; waits for a control that is just coming back.
async fn admitted(agent: &Agent, scopes: &[&str], patience: &Patience) -> Outcome<(Admin, String)> {
    let both = async || {
        let admin = agent.admin().await?;
        let token = platform_token(&admin, "brick-test", scopes).await?;
        Ok((admin, token))
    };
    patience.until_there(both).await
}
