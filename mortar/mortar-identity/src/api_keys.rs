//! API keys: for programs that call the edge and cannot get tokens. A key is shown once; what is kept, and told to the
//! gateway over the bus, is its digest.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get};
use brick_bus::routes::{ApiKey, ApiKeys};
use brick_http::{Audited, Json, Path, Problem};
use http::{HeaderMap, StatusCode};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::admin::{internal, scopes};
use crate::issuer::{self, ADMIN};
use crate::service::Inner;
use crate::store::Added;
use crate::{Error, Secret, clients};

/// What every key begins with, so that one that leaked is recognised.
const PREFIX: &str = "bk";
/// Longest life, ten years.
const TTL_S_MAX: i64 = 10 * 365 * 24 * 60 * 60;

/// A key to make.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewApiKey {
    /// Its name.
    id: String,
    /// Whom it is for; bricks are told. Its name unless said.
    #[serde(default)]
    owner: Option<String>,
    /// Scopes that it grants.
    #[serde(default)]
    scopes: Vec<String>,
    /// Its life in seconds; without end unless said.
    #[serde(default)]
    ttl_s: Option<i64>,
}

/// A key that was made.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct ApiKeyAnswer {
    /// Its name.
    id: String,
    /// The key, shown this once; a client sends it as `x-api-key`.
    key: String,
    /// When it ends, seconds since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires_s: Option<i64>,
}

/// A key without its secret.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct ApiKeyInfo {
    /// Its name.
    id: String,
    /// Whom it is for.
    owner: String,
    /// Scopes that it grants.
    scopes: Vec<String>,
    /// When it ends, seconds since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires_s: Option<i64>,
}

/// All keys.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct ApiKeyList {
    /// By name.
    items: Vec<ApiKeyInfo>,
}

type Shared = State<Arc<Inner>>;

pub(crate) fn router() -> Router<Arc<Inner>> {
    Router::new()
        .route("/api/identity/v1/api-keys", get(list).post(add))
        .route("/api/identity/v1/api-keys/{id}", delete(remove))
}

/// What the gateway is told.
pub(crate) async fn all(inner: &Inner) -> Result<ApiKeys, Error> {
    let keys = inner.store.api_keys().await?;
    Ok(ApiKeys { keys })
}

async fn list(State(inner): Shared, headers: HeaderMap) -> Result<Json<ApiKeyList>, Problem> {
    inner.verifier.platform_bearer(&headers, &[ADMIN])?;
    let keys = inner.store.api_keys().await.map_err(internal)?;
    let items = keys.into_iter().map(|key| ApiKeyInfo {
        id: key.id,
        owner: key.owner,
        scopes: key.scopes,
        expires_s: key.expires_s,
    });
    Ok(Json(ApiKeyList {
        items: items.collect(),
    }))
}

async fn add(
    State(inner): Shared,
    headers: HeaderMap,
    body: Result<Json<NewApiKey>, Problem>,
) -> Result<Response, Problem> {
    inner.verifier.platform_bearer(&headers, &[ADMIN])?;
    let Json(wanted) = body?;
    scopes(&wanted.scopes)?;
    let owner = wanted.owner.unwrap_or_else(|| wanted.id.clone());
    if !clients::is_valid_id(&wanted.id) || !clients::is_valid_id(&owner) {
        let hint = "expected id and owner of 1 to 64 letters, digits, dots, hyphens and underscores";
        return Err(Problem::unprocessable("invalid_key_id", hint));
    }
    if wanted.ttl_s.is_some_and(|ttl| !(1..=TTL_S_MAX).contains(&ttl)) {
        let hint = format!("expected ttl_s from 1 to {TTL_S_MAX}");
        return Err(Problem::unprocessable("invalid_ttl", hint));
    }
    let secret = Secret::random().map_err(internal)?;
    let shown = format!("{PREFIX}_{}_{}", wanted.id, secret.expose());
    let key = ApiKey {
        id: wanted.id.clone(),
        sha256: hex(Secret::new(&*shown).digest().bytes()),
        owner,
        scopes: wanted.scopes,
        expires_s: wanted.ttl_s.map(|ttl| issuer::now_s() + ttl),
    };
    let expires_s = key.expires_s;
    let audited = Audited {
        action: "key.add",
        target: format!("api-keys/{}", key.id),
        before: Value::Null,
        after: json!({ "owner": key.owner, "scopes": key.scopes, "expires_s": expires_s }),
    };
    match inner.store.add_api_key(key).await.map_err(internal)? {
        Added::Done => {}
        Added::Exists => {
            let hint = format!("an API key \"{}\" exists; remove it first", wanted.id);
            return Err(Problem::conflict("key_exists", hint));
        }
        Added::Full => {
            let hint = "1,000 API keys exist; remove one first";
            return Err(Problem::conflict("too_many_keys", hint));
        }
    }
    inner.tell_api_keys().await.map_err(internal)?;
    let answer = ApiKeyAnswer {
        id: wanted.id,
        key: shown,
        expires_s,
    };
    Ok((StatusCode::CREATED, audited, Json(answer)).into_response())
}

async fn remove(
    State(inner): Shared,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Result<(Audited, StatusCode), Problem> {
    inner.verifier.platform_bearer(&headers, &[ADMIN])?;
    if !inner.store.remove_api_key(&id).await.map_err(internal)? {
        return Err(Problem::not_found("key_unknown", "there is no such API key"));
    }
    inner.tell_api_keys().await.map_err(internal)?;
    let audited = Audited {
        action: "key.remove",
        target: format!("api-keys/{id}"),
        before: json!({ "id": id }),
        after: Value::Null,
    };
    Ok((audited, StatusCode::NO_CONTENT))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}
