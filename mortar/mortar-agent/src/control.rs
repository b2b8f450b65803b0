//! Control as the agent sees it: its own token, tokens for processes, registry, manifest.

use std::sync::Arc;
use std::time::Duration;

use brick_core::{BrickName, Incarnation, Instance};
use brick_model::Model;
use brick_wire::{Client, Error};
use http::{Method, StatusCode};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tokio::time::Instant;

/// Time limit of one call: control answers in milliseconds or is not there.
const LIMIT: Duration = Duration::from_secs(2);

/// A cloneable client of control.
#[derive(Debug, Clone)]
pub(crate) struct Control(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    client: Client,
    base: String,
    key: String,
    token: Mutex<Option<(String, Instant)>>,
}

/// A token and its life.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Issued {
    pub(crate) token: String,
    pub(crate) expires_in_s: u64,
}

#[derive(Deserialize)]
struct AccessToken {
    access_token: String,
    expires_in: u64,
}

#[derive(Deserialize)]
struct Lease {
    lease_ms: u64,
}

/// One renewal.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Renewal {
    pub(crate) incarnation: Incarnation,
    pub(crate) ready: bool,
}

/// What control says to renewals.
#[derive(Debug, Deserialize)]
pub(crate) struct Renewed {
    #[serde(default)]
    pub(crate) unknown: Vec<Incarnation>,
    /// Out of their pools while they run on.
    #[serde(default)]
    pub(crate) quarantined: Vec<Incarnation>,
}

#[derive(Deserialize)]
struct Acks {
    items: Vec<Ack>,
}

#[derive(Deserialize)]
struct Ack {
    incarnation: Incarnation,
}

#[derive(Deserialize)]
struct Configuration {
    values: Map<String, Value>,
}

#[derive(Deserialize)]
struct Code {
    code: String,
}

#[derive(Serialize)]
struct Registration<'a> {
    #[serde(flatten)]
    instance: &'a Instance,
    supervised: bool,
}

impl Control {
    pub(crate) fn new(base: String, key: String) -> Self {
        Self(Arc::new(Inner {
            client: Client::new(),
            base,
            key,
            token: Mutex::new(None),
        }))
    }

    /// Sends the manifest; control derives routes, limits, configuration and scopes from it.
    pub(crate) async fn put_manifest(&self, model: &Model) -> Result<(), Error> {
        let body = serde_json::to_value(model).unwrap_or_default();
        self.call(Method::PUT, "/api/system/v1/manifest", Some(body))
            .await?;
        Ok(())
    }

    /// A token for one process.
    pub(crate) async fn process_token(
        &self,
        brick: &BrickName,
        incarnation: Incarnation,
        scopes: &[String],
    ) -> Result<Issued, Error> {
        let body = serde_json::json!({ "brick": brick, "incarnation": incarnation, "scopes": scopes });
        let answer = self.call(Method::POST, "/api/identity/v1/process-tokens", Some(body));
        answer.await?.json()
    }

    /// A token for the command line.
    pub(crate) async fn operator_token(&self) -> Result<Issued, Error> {
        let body = serde_json::json!({ "subject": "operator", "scopes": ["admin"], "ttl_s": 12 * 3600 });
        let answer = self.call(Method::POST, "/api/identity/v1/tokens", Some(body));
        answer.await?.json()
    }

    /// A one-time code for the console.
    pub(crate) async fn console_code(&self) -> Result<String, Error> {
        let answer = self
            .call(Method::POST, "/api/identity/v1/console-codes", None)
            .await?;
        Ok(answer.json::<Code>()?.code)
    }

    /// Registers an instance; the life of its lease. With `wait` control answers when the balancers know it.
    pub(crate) async fn register(&self, instance: &Instance, wait: Duration) -> Result<Duration, Error> {
        let registration = Registration {
            instance,
            supervised: true,
        };
        let body = serde_json::to_value(registration).unwrap_or_default();
        let path = format!("/api/registry/v1/instances?wait_ms={}", wait.as_millis());
        let answer = self.call(Method::POST, &path, Some(body)).await?;
        Ok(Duration::from_millis(answer.json::<Lease>()?.lease_ms.max(100)))
    }

    /// Renews leases in one call.
    pub(crate) async fn renew(&self, renew: &[Renewal]) -> Result<Renewed, Error> {
        let body = serde_json::json!({ "renew": renew });
        let answer = self
            .call(Method::POST, "/api/registry/v1/leases", Some(body))
            .await?;
        answer.json()
    }

    /// Whether control is there and takes what the agent says.
    pub(crate) async fn is_there(&self) -> Result<(), Error> {
        self.renew(&[]).await.map(drop)
    }

    /// The starts that follow the bus: all that hold the keys that tokens are checked with.
    pub(crate) async fn followers(&self) -> Result<Vec<Incarnation>, Error> {
        let path = "/bus/v1/acks?name=trust/bundle";
        let acks: Acks = self.call(Method::GET, path, None).await?.json()?;
        Ok(acks.items.into_iter().map(|ack| ack.incarnation).collect())
    }

    /// Every instance that is registered, those among them that no agent started.
    pub(crate) async fn registry(&self) -> Result<Value, Error> {
        let path = "/api/registry/v1/instances";
        self.call(Method::GET, path, None).await?.json()
    }

    /// Has an entry written into the audit trail.
    pub(crate) async fn audit(&self, entry: &serde_json::Value) -> Result<(), Error> {
        let path = "/api/audit/v1/entries";
        self.call(Method::POST, path, Some(entry.clone())).await.map(drop)
    }

    /// What configures a brick now, secrets included.
    pub(crate) async fn configuration(&self, brick: &BrickName) -> Result<Map<String, Value>, Error> {
        let path = format!("/api/config/v1/{brick}?secrets=true");
        let configuration: Configuration = self.call(Method::GET, &path, None).await?.json()?;
        Ok(configuration.values)
    }

    /// Takes an instance out of the pools; with `wait` control answers when the balancers have let go of it.
    pub(crate) async fn deregister(&self, incarnation: Incarnation, wait: Duration) -> Result<(), Error> {
        let path = format!(
            "/api/registry/v1/instances/{incarnation}?wait_ms={}",
            wait.as_millis()
        );
        match self.call(Method::DELETE, &path, None).await {
            Err(error) if error.status() == Some(StatusCode::NOT_FOUND) => Ok(()),
            other => other.map(drop),
        }
    }

    async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<serde_json::Value>,
    ) -> Result<brick_wire::Response, Error> {
        let mut last = None;
        // A restarted control may have new keys: the second attempt comes with a fresh token.
        for _ in 0..2 {
            let token = self.token().await?;
            let url = format!("{}{path}", self.0.base);
            let mut call = self
                .0
                .client
                .call(method.clone(), url)
                .bearer(&token)
                .timeout(LIMIT);
            if let Some(body) = &body {
                call = call.json_body(body);
            }
            match call.send().await?.success() {
                Err(error) if error.status() == Some(StatusCode::UNAUTHORIZED) => {
                    *self.0.token.lock() = None;
                    last = Some(error);
                }
                other => return other,
            }
        }
        Err(last.unwrap_or_else(|| Error::Request {
            url: path.to_owned(),
            reason: "no attempt was made".to_owned(),
        }))
    }

    /// The agent's own token, traded for the bootstrap key and kept for two thirds of its life.
    async fn token(&self) -> Result<String, Error> {
        if let Some((token, until)) = &*self.0.token.lock()
            && Instant::now() < *until
        {
            return Ok(token.clone());
        }
        let url = format!("{}/identity/token", self.0.base);
        let form = format!(
            "grant_type=client_credentials&client_id=agent&client_secret={}",
            self.0.key
        );
        let call = self.0.client.post(url).timeout(LIMIT);
        let answer = call
            .body("application/x-www-form-urlencoded", form)
            .send()
            .await?;
        let access: AccessToken = answer.success()?.json()?;
        let until = Instant::now() + Duration::from_secs(access.expires_in) * 2 / 3;
        *self.0.token.lock() = Some((access.access_token.clone(), until));
        Ok(access.access_token)
    }
}
