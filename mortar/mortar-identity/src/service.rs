//! The running part: opens the store, holds the key, hands out routers.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use brick_auth::Verifier;
use brick_bus::routes::ApiKeys;
use brick_bus::{TrustBundle, Watch};
use brick_core::Drain;
use brick_state::Database;
use tokio::sync::watch;

use crate::issuer::{self, Issuer};
use crate::secret::Digest;
use crate::store::Store;
use crate::throttle::Throttle;
use crate::{Error, Issued, Options, Secret, admin, api_keys, clients, codes, login, oauth};

/// Identity, opened.
#[derive(Debug)]
pub struct Service {
    handle: Handle,
}

/// What others ask of identity. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Handle(pub(crate) Arc<Inner>);

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) issuer: Issuer,
    pub(crate) store: Store,
    pub(crate) throttle: Throttle,
    pub(crate) verifier: Verifier,
    pub(crate) bootstrap: Option<Digest>,
    /// The API keys that count, for whoever tells the gateway.
    pub(crate) api_keys: watch::Sender<ApiKeys>,
}

impl Service {
    /// Opens identity on a database, which it may share with others. The first start makes the key pair.
    pub async fn open(options: Options, db: Database) -> Result<(Service, Handle), Error> {
        let bootstrap = match &options.bootstrap_key_file {
            Some(path) => Some(clients::bootstrap_key(path)?),
            None => None,
        };
        let store = Store::open(db).await?;
        let pkcs8 = store.key(issuer::now_s()).await?;
        let issuer = Issuer::new(crate::key::SigningKey::read(&pkcs8)?, &options);
        let verifier = Verifier::new(Watch::fixed(vec![issuer.trust_resource()?]));
        let handle = Handle(Arc::new(Inner {
            issuer,
            store,
            throttle: Throttle::default(),
            verifier,
            bootstrap,
            api_keys: watch::Sender::default(),
        }));
        handle.0.tell_api_keys().await?;
        let service = Service {
            handle: handle.clone(),
        };
        Ok((service, handle))
    }

    /// The API: `/identity/**`, `/api/identity/v1/**` and `/login`. Every route checks its caller itself.
    pub fn router(&self) -> Router {
        self.handle.router()
    }

    /// Nothing runs in the background: resolves with the drain.
    pub async fn run(self, drain: Drain) {
        drain.requested().await;
    }
}

impl Inner {
    /// Tells of the API keys that count now.
    pub(crate) async fn tell_api_keys(&self) -> Result<(), Error> {
        let keys = api_keys::all(self).await?;
        self.api_keys.send_replace(keys);
        Ok(())
    }
}

impl Handle {
    /// The API: `/identity/**`, `/api/identity/v1/**` and `/login`. Every route checks its caller itself.
    pub fn router(&self) -> Router {
        Router::new()
            .merge(oauth::router())
            .merge(admin::router())
            .merge(api_keys::router())
            .merge(login::router())
            .with_state(Arc::clone(&self.0))
    }

    /// Whose signatures count: what control publishes as `trust/bundle`.
    pub fn trust_bundle(&self) -> TrustBundle {
        self.0.issuer.trust_bundle()
    }

    /// The API keys that count, and every change of them: what control publishes as `keys/edge`.
    pub fn api_keys(&self) -> watch::Receiver<ApiKeys> {
        self.0.api_keys.subscribe()
    }

    /// Verifies tokens of this issuer.
    pub fn verifier(&self) -> Verifier {
        self.0.verifier.clone()
    }

    /// The scopes of a registered client that shows its secret; none where it is not believed. The agent, whose key opens
    /// everything, is none of them.
    pub async fn client_scopes(&self, id: &str, secret: &str) -> Option<String> {
        if !clients::is_valid_id(id) {
            return None;
        }
        match clients::authenticate(&self.0, id, secret).await {
            Ok(client) => Some(client.scopes),
            Err(refused) => {
                if let clients::Refused::Internal(error) = refused {
                    tracing::error!(error = brick_core::chain(&error), "clients cannot be looked up");
                }
                None
            }
        }
    }

    /// Sets the life of user and process tokens that are made from now on.
    pub fn set_token_ttl(&self, ttl: Duration) {
        self.0.issuer.set_token_ttl(ttl);
    }

    /// A token for an operator.
    pub fn operator_token(&self) -> Result<Issued, Error> {
        self.0.issuer.operator()
    }

    /// A token for one process.
    pub fn process_token(&self, brick: &str, incarnation: &str, scopes: &[String]) -> Result<Issued, Error> {
        self.0.issuer.process(brick, incarnation, &scopes.join(" "))
    }

    /// A one-time code for `GET /login?code=…` and its life.
    pub async fn console_code(&self) -> Result<(Secret, Duration), Error> {
        codes::make(&self.0).await
    }
}
