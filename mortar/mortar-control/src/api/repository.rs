//! The configuration repository: how it was found last, looking again, and the word of a forge that somebody pushed.

use std::collections::BTreeSet;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::State;
use brick_http::{Json, Problem};
use http::{HeaderMap, StatusCode};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use crate::audit::By;
use crate::config::repository::{self, Status, webhook};
use crate::service::Handle;

/// How long an operator waits for a look that was asked for.
const WAIT: Duration = Duration::from_secs(60);

/// What of a push is looked at, after its signature.
#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct Push {
    /// Commits with the files that they `added`, `modified` and `removed`.
    #[expect(dead_code, reason = "read by name, for forges differ")]
    commits: Option<Vec<Value>>,
}

fn none() -> Problem {
    Problem::not_found(
        "repository_none",
        "the system has no configuration repository: add [config_repository] with url = \"…\" to its manifest",
    )
}

pub(crate) async fn show(State(handle): State<Handle>) -> Result<Json<Status>, Problem> {
    handle.repository().status().map(Json).ok_or_else(none)
}

/// Looks now; answers when what was found was made, or was refused.
pub(crate) async fn refresh(State(handle): State<Handle>, by: By) -> Result<Json<Status>, Problem> {
    repository::spec(&handle.state()).ok_or_else(none)?;
    handle
        .record(by.did("config.refresh", "config repository"))
        .await?;
    handle.repository().look(WAIT).await;
    show(State(handle)).await
}

/// Somebody pushed. Believed only with the manifest's secret; what is in the payload decides nothing but the answer.
pub(crate) async fn monitor(
    State(handle): State<Handle>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<(StatusCode, axum::Json<BTreeSet<String>>), Problem> {
    let state = handle.state();
    let spec = repository::spec(&state).ok_or_else(none)?;
    let Some(secret) = spec.webhook_secret else {
        return Err(Problem::forbidden(
            "webhook_without_secret",
            "webhooks are taken with a secret alone: add webhook_secret to [config_repository]",
        ));
    };
    let secret = match (secret.starts_with("{cipher}"), &state.cipher) {
        (false, _) => secret,
        (true, None) => {
            return Err(Problem::unavailable(
                "cipher_invalid",
                "control has no master key",
            ));
        }
        (true, Some(cipher)) => {
            let opened = cipher.open(brick_model::CONFIG_REPOSITORY, "webhook_secret", &secret);
            let opened = opened.map_err(|why| Problem::unavailable("cipher_invalid", why.to_string()))?;
            opened.as_str().map_or_else(|| opened.to_string(), str::to_owned)
        }
    };
    if !webhook::knows(&secret, &headers, &body) {
        tracing::warn!("a webhook of the configuration repository did not know the secret");
        return Err(Problem::unauthorized(
            "webhook_refused",
            "expected X-Hub-Signature-256 (GitHub) or X-Gitlab-Token (GitLab) made with the secret of [config_repository]",
        ));
    }
    handle.repository().ask();
    let payload: Value = serde_json::from_slice(&body).unwrap_or_default();
    let mut names = webhook::applications(&payload);
    if names.is_empty() {
        names.insert("*".to_owned());
    }
    Ok((StatusCode::ACCEPTED, axum::Json(names)))
}
