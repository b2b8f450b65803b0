//! User tokens by token exchange (RFC 8693): the brick that signs users in shows its own token and names the user.

use std::time::Duration;

use brick_auth::OwnToken;
use brick_telemetry::context;
use brick_wire::{Client, form};
use http::HeaderName;
use serde::Deserialize;
use tracing::Instrument as _;

use crate::Error;

const GRANT_TYPE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const LIMIT: Duration = Duration::from_secs(2);

/// A token that speaks for a user. `Debug` hides it.
#[derive(Clone, Deserialize)]
#[non_exhaustive]
pub struct UserToken {
    /// The JWT, for `Authorization: Bearer`.
    #[serde(rename = "access_token")]
    pub token: String,
    /// Seconds until it is void.
    #[serde(rename = "expires_in")]
    pub expires_in_s: u64,
}

/// Asks control for a user's token.
pub(crate) async fn exchange(
    client: &Client,
    control_url: &str,
    own: &OwnToken,
    subject: &str,
    scopes: &[&str],
) -> Result<UserToken, Error> {
    let own = own.get().ok_or(Error::NoToken)?;
    let body = form::encode(&[
        ("grant_type", GRANT_TYPE),
        ("subject_token", &own),
        ("subject_token_type", JWT),
        ("requested_subject", subject),
        ("scope", &scopes.join(" ")),
    ]);
    let span = tracing::info_span!(
        "token exchange",
        otel.name = "POST",
        otel.kind = "client",
        http.request.method = "POST",
        server.address = "control",
        peer.service = "control",
    );
    let call = async {
        let url = format!("{control_url}/identity/token");
        let mut call = client.post(url).body(form::CONTENT_TYPE, body).timeout(LIMIT);
        if let Some(context) = context::current() {
            call = call.header(TRACEPARENT, &context.traceparent());
        }
        Ok(call.json().await?)
    };
    call.instrument(span).await
}

impl std::fmt::Debug for UserToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UserToken")
            .field("token", &"[redacted]")
            .field("expires_in_s", &self.expires_in_s)
            .finish()
    }
}
