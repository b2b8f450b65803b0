//! `brick token`: tokens from the system's own issuer.

use serde_json::{Value, json};

use crate::agent::Agent;
use crate::cli;
use crate::failure::Outcome;
use crate::output::Output;

pub(crate) async fn run(agent: &Agent, token: cli::Token, output: Output) -> Outcome {
    let cli::Token::Issue {
        subject,
        audience,
        scope,
        ttl,
    } = token;
    let mut body = json!({ "subject": subject, "scopes": scope });
    if let Some(audience) = audience {
        body["audience"] = json!(audience);
    }
    if let Some(ttl) = ttl {
        body["ttl_s"] = json!(ttl.0.as_secs());
    }
    let answer: Value = agent
        .admin()
        .await?
        .post("/api/identity/v1/tokens", &body)
        .await?;
    output.value(&answer, || {
        answer["token"].as_str().unwrap_or_default().to_owned()
    });
    Ok(())
}
