//! The platform's own API: tokens for processes, tokens on order, one-time codes, registered clients.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use brick_auth::{AREAS, is_for_operators};
use brick_core::{BrickName, Incarnation};
use brick_http::{Audited, Json, Path, Problem};
use http::{HeaderMap, StatusCode};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::clients::{self, AGENT, ClientInfo};
use crate::issuer::{ADMIN, Audience, OPERATOR};
use crate::service::Inner;
use crate::store::Added;
use crate::{Error, Issued, codes};

/// Longest life of a token that is made on order.
const TTL_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// Scopes of platform tokens that may be ordered.
const ORDERED_SCOPES: [&str; 5] = [ADMIN, "bus", "call:*", "config:secrets", "synthetic"];

/// What scopes begin with that let outsiders register instances of a brick.
const REGISTER: &str = "register:";

/// A process that gets a token.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProcessToken {
    /// The brick.
    brick: BrickName,
    /// The start of the process.
    incarnation: Incarnation,
    /// What it may do.
    scopes: Vec<String>,
}

/// A token on order.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewToken {
    /// Who it is about.
    subject: String,
    /// What it may do.
    #[serde(default)]
    scopes: Vec<String>,
    /// Its life in seconds, at most a day.
    #[serde(default)]
    ttl_s: Option<u64>,
    /// Whom it is for: `user` or `platform`; unless said `platform` for the subject `operator`, else `user`.
    #[serde(default)]
    audience: Option<Audience>,
}

/// A token.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct TokenAnswer {
    /// The JWT.
    token: String,
    /// Its life in seconds.
    expires_in_s: u64,
}

/// A one-time code.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct CodeAnswer {
    /// The code, for `GET /login?code=…`.
    code: String,
    /// Its life in seconds.
    expires_in_s: u64,
}

/// A client to register.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewClient {
    /// Its name.
    id: String,
    /// Scopes that it may ask for.
    scopes: Vec<String>,
}

/// A client that was registered.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct ClientAnswer {
    /// Its name.
    client_id: String,
    /// Its secret, shown this once.
    client_secret: String,
}

/// All registered clients.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct ClientList {
    /// By name.
    items: Vec<ClientInfo>,
}

type Shared = State<Arc<Inner>>;
type Body<T> = Result<Json<T>, Problem>;

pub(crate) fn router() -> Router<Arc<Inner>> {
    Router::new()
        .route("/api/identity/v1/process-tokens", post(process_token))
        .route("/api/identity/v1/tokens", post(token))
        .route("/api/identity/v1/console-codes", post(console_code))
        .route("/api/identity/v1/clients", get(list_clients).post(add_client))
        .route("/api/identity/v1/clients/{id}", delete(remove_client))
}

async fn process_token(
    State(inner): Shared,
    headers: HeaderMap,
    body: Body<ProcessToken>,
) -> Result<Json<TokenAnswer>, Problem> {
    inner.verifier.platform_bearer(&headers, &["agent"])?;
    let Json(wanted) = body?;
    let scope = scopes(&wanted.scopes)?;
    let incarnation = wanted.incarnation.to_string();
    let issued = inner.issuer.process(wanted.brick.as_str(), &incarnation, &scope);
    Ok(answer(&issued.map_err(internal)?))
}

async fn token(State(inner): Shared, headers: HeaderMap, body: Body<NewToken>) -> Result<Response, Problem> {
    let asker = inner.verifier.platform_bearer(&headers, &[ADMIN])?;
    let Json(wanted) = body?;
    let scope = scopes(&wanted.scopes)?;
    if wanted.subject.is_empty() || wanted.subject.len() > 255 || wanted.subject.chars().any(char::is_control)
    {
        let hint = "expected a subject of 1 to 255 bytes without control characters";
        return Err(Problem::unprocessable("invalid_subject", hint));
    }
    let ttl = wanted.ttl_s.map(Duration::from_secs);
    if ttl.is_some_and(|ttl| ttl.is_zero() || ttl > TTL_MAX) {
        let hint = format!("expected ttl_s from 1 to {}", TTL_MAX.as_secs());
        return Err(Problem::unprocessable("invalid_ttl", hint));
    }
    let otherwise = if wanted.subject == OPERATOR {
        Audience::Platform
    } else {
        Audience::User
    };
    let audience = wanted.audience.unwrap_or(otherwise);
    let issued = match audience {
        Audience::User => {
            let ttl = ttl.unwrap_or_else(|| inner.issuer.token_ttl());
            inner.issuer.user(&wanted.subject, &scope, ttl)
        }
        Audience::Platform => {
            if let Some(scope) = wanted.scopes.iter().find(|scope| {
                let known = ORDERED_SCOPES.contains(&scope.as_str()) || scope.starts_with(REGISTER);
                !known && !is_for_operators(scope)
            }) {
                let hint = format!(
                    "a platform token may have \"admin\", \"read\", \"AREA:read\" and \"AREA:write\" of the areas {}, \"bus\", \"call:*\", \"config:secrets\", \"register:BRICK\" and \"synthetic\", not \"{scope}\"",
                    AREAS.join(", ")
                );
                return Err(Problem::unprocessable("invalid_scope", hint));
            }
            let ttl = ttl.unwrap_or_else(|| inner.issuer.operator_ttl());
            inner.issuer.platform(&wanted.subject, &scope, ttl)
        }
    };
    let issued = issued.map_err(internal)?;
    // The agent asks for the token of every command that the operator gives: that is no change.
    if asker.sub == AGENT {
        return Ok(answer(&issued).into_response());
    }
    let audited = Audited {
        action: "token.issue",
        target: format!("tokens/{}", wanted.subject),
        before: Value::Null,
        after: json!({ "audience": audience, "scopes": wanted.scopes, "ttl_s": issued.expires_in.as_secs() }),
    };
    Ok((audited, answer(&issued)).into_response())
}

async fn console_code(State(inner): Shared, headers: HeaderMap) -> Result<Json<CodeAnswer>, Problem> {
    inner.verifier.platform_bearer(&headers, &["agent"])?;
    let (code, ttl) = codes::make(&inner).await.map_err(internal)?;
    Ok(Json(CodeAnswer {
        code: code.expose().to_owned(),
        expires_in_s: ttl.as_secs(),
    }))
}

async fn list_clients(State(inner): Shared, headers: HeaderMap) -> Result<Json<ClientList>, Problem> {
    inner.verifier.platform_bearer(&headers, &[ADMIN])?;
    let stored = inner.store.clients().await.map_err(internal)?;
    let items = stored.into_iter().map(|client| ClientInfo {
        id: client.id,
        scopes: client
            .scopes
            .split_ascii_whitespace()
            .map(str::to_owned)
            .collect(),
        created_s: client.created_s,
    });
    Ok(Json(ClientList {
        items: items.collect(),
    }))
}

async fn add_client(
    State(inner): Shared,
    headers: HeaderMap,
    body: Body<NewClient>,
) -> Result<Response, Problem> {
    inner.verifier.platform_bearer(&headers, &[ADMIN])?;
    let Json(wanted) = body?;
    scopes(&wanted.scopes)?;
    if !clients::is_valid_id(&wanted.id) {
        let hint =
            "expected an id of 1 to 64 letters, digits, dots, hyphens and underscores, other than \"agent\"";
        return Err(Problem::unprocessable("invalid_client_id", hint));
    }
    let (secret, added) = clients::add(&inner, &wanted.id, &wanted.scopes)
        .await
        .map_err(internal)?;
    match added {
        Added::Done => {
            let audited = Audited {
                action: "client.add",
                target: format!("clients/{}", wanted.id),
                before: Value::Null,
                after: json!({ "scopes": wanted.scopes }),
            };
            let answer = ClientAnswer {
                client_id: wanted.id,
                client_secret: secret.expose().to_owned(),
            };
            Ok((StatusCode::CREATED, audited, Json(answer)).into_response())
        }
        Added::Exists => Err(Problem::conflict(
            "client_exists",
            format!("client \"{}\" exists; remove it first", wanted.id),
        )),
        Added::Full => Err(Problem::conflict(
            "too_many_clients",
            "1,000 clients are registered; remove one first",
        )),
    }
}

async fn remove_client(
    State(inner): Shared,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Result<(Audited, StatusCode), Problem> {
    inner.verifier.platform_bearer(&headers, &[ADMIN])?;
    if inner.store.remove_client(&id).await.map_err(internal)? {
        let audited = Audited {
            action: "client.remove",
            target: format!("clients/{id}"),
            before: json!({ "id": id }),
            after: Value::Null,
        };
        return Ok((audited, StatusCode::NO_CONTENT));
    }
    Err(Problem::not_found(
        "client_unknown",
        "no such client is registered",
    ))
}

pub(crate) fn scopes(scopes: &[String]) -> Result<String, Problem> {
    if scopes.len() <= 64 && scopes.iter().all(|scope| clients::is_valid_scope(scope)) {
        return Ok(scopes.join(" "));
    }
    let hint = "expected at most 64 scopes of printable ASCII without spaces";
    Err(Problem::unprocessable("invalid_scope", hint))
}

fn answer(issued: &Issued) -> Json<TokenAnswer> {
    Json(TokenAnswer {
        token: issued.token.expose().to_owned(),
        expires_in_s: issued.expires_in.as_secs(),
    })
}

pub(crate) fn internal(error: Error) -> Problem {
    tracing::error!(error = brick_core::chain(&error), "identity failed");
    Problem::internal()
}
