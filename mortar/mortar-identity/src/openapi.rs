//! Identity's part of the platform's OpenAPI document.

use brick_http::openapi::{Document, Operation};
use schemars::JsonSchema;
use serde::Serialize;

use crate::admin::{ClientAnswer, ClientList, CodeAnswer, NewClient, NewToken, ProcessToken, TokenAnswer};
use crate::api_keys::{ApiKeyAnswer, ApiKeyList, NewApiKey};

/// `GET /login`.
#[derive(Serialize, JsonSchema)]
struct Login {
    /// The one-time code.
    code: String,
}

/// What the token endpoint answers (RFC 6749 §5.1, RFC 8693 §2.2).
#[derive(Serialize, JsonSchema)]
struct AccessToken {
    /// The JWT.
    access_token: String,
    /// `Bearer`.
    token_type: String,
    /// Its life in seconds.
    expires_in: u64,
    /// Its scopes, space-separated.
    scope: String,
    /// Kind of token, after an exchange.
    issued_token_type: Option<String>,
}

/// Why the token endpoint refused (RFC 6749 §5.2).
#[derive(Serialize, JsonSchema)]
struct TokenRefusal {
    /// `invalid_request`, `invalid_client`, `invalid_grant`, `unauthorized_client`, `unsupported_grant_type`,
    /// `invalid_scope`.
    error: String,
    /// What happened, and what was expected.
    error_description: String,
}

/// A JWK set (RFC 7517 §5).
#[derive(Serialize, JsonSchema)]
struct KeySet {
    /// The public keys.
    keys: Vec<serde_json::Value>,
}

/// Authorization server metadata (RFC 8414 §2).
#[derive(Serialize, JsonSchema)]
struct Metadata {
    /// The issuer's name.
    issuer: String,
    /// Where tokens are granted.
    token_endpoint: String,
    /// Where the public keys are.
    jwks_uri: String,
}

/// Adds identity's operations to a document.
pub fn describe(document: Document) -> Document {
    api_keys(clients(tokens(protocols(document))))
}

/// What other programs know by its standard.
fn protocols(document: Document) -> Document {
    document
        .operation(
            Operation::post("/identity/token")
                .summary("Grants a token: client credentials (RFC 6749 §4.4) or token exchange (RFC 8693); a form, not JSON")
                .access("public")
                .answer::<AccessToken>(200, "the token")
                .answer::<TokenRefusal>(400, "the request is refused")
                .answer::<TokenRefusal>(401, "the client is not believed")
                .answer::<TokenRefusal>(429, "too many wrong secrets in a row; see Retry-After"),
        )
        .operation(
            Operation::get("/identity/jwks")
                .summary("The public keys")
                .access("public")
                .answer::<KeySet>(200, "the keys"),
        )
        .operation(
            Operation::get("/identity/.well-known/openid-configuration")
                .summary("Where the issuer's endpoints are")
                .access("public")
                .answer::<Metadata>(200, "the metadata"),
        )
        .operation(
            Operation::get("/login")
                .summary("Trades a one-time code for the operator's cookie")
                .access("public")
                .query::<Login>()
                .empty(303, "the cookie is set; on to the console")
                .empty(403, "the code was used or has expired; a page says what to do"),
        )
}

/// Tokens and codes for the platform itself.
fn tokens(document: Document) -> Document {
    document
        .operation(
            Operation::post("/api/identity/v1/process-tokens")
                .summary("A token for one process; scope agent")
                .access("admin")
                .body::<ProcessToken>()
                .answer::<TokenAnswer>(200, "the token")
                .problem(422, "a name, an incarnation or a scope is invalid"),
        )
        .operation(
            Operation::post("/api/identity/v1/tokens")
                .summary("A token on order, for a user or for the platform")
                .access("admin")
                .body::<NewToken>()
                .answer::<TokenAnswer>(200, "the token")
                .problem(422, "subject, scope or life is out of bounds"),
        )
        .operation(
            Operation::post("/api/identity/v1/console-codes")
                .summary("A one-time code for the console; scope agent")
                .access("admin")
                .answer::<CodeAnswer>(200, "the code"),
        )
}

/// API keys.
fn api_keys(document: Document) -> Document {
    document
        .operation(
            Operation::get("/api/identity/v1/api-keys")
                .summary("The API keys")
                .access("admin")
                .answer::<ApiKeyList>(200, "by name, without secrets"),
        )
        .operation(
            Operation::post("/api/identity/v1/api-keys")
                .summary("Makes an API key for routes of the edge that ask for one")
                .access("admin")
                .body::<NewApiKey>()
                .answer::<ApiKeyAnswer>(201, "the key, shown this once")
                .problem(409, "it exists, or there are too many")
                .problem(422, "name, owner, scopes or life are invalid"),
        )
        .operation(
            Operation::delete("/api/identity/v1/api-keys/{id}")
                .summary("Removes an API key; the edge refuses it from now on")
                .access("admin")
                .empty(204, "it is gone")
                .problem(404, "no such key"),
        )
}

/// Registered clients.
fn clients(document: Document) -> Document {
    document
        .operation(
            Operation::get("/api/identity/v1/clients")
                .summary("The registered clients")
                .access("admin")
                .answer::<ClientList>(200, "by name, without secrets"),
        )
        .operation(
            Operation::post("/api/identity/v1/clients")
                .summary("Registers a client")
                .access("admin")
                .body::<NewClient>()
                .answer::<ClientAnswer>(201, "its secret, shown this once")
                .problem(409, "it exists, or there are too many")
                .problem(422, "name or scopes are invalid"),
        )
        .operation(
            Operation::delete("/api/identity/v1/clients/{id}")
                .summary("Removes a client; tokens that it has stay valid until they expire")
                .access("admin")
                .empty(204, "it is gone")
                .problem(404, "no such client"),
        )
}
