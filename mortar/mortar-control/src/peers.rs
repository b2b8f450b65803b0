//! Processes that stand by, seen from the one that leads: who follows the bus there, and how far they were told.
//!
//! Who stands by says so every second. One that has died refuses connections, and what it held is gone with it; one that
//! does not answer may still hold streams, so a change of a configuration, which everybody is asked about, waits for it.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use axum::extract::State;
use brick_core::Incarnation;
use brick_http::{Json, Problem};
use brick_wire::client::Error as WireError;
use futures_util::future::join_all;
use http::{HeaderMap, StatusCode};
use parking_lot::Mutex;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::service::Handle;

/// Scope of the tokens by which processes on one store know each other.
pub(crate) const SCOPE: &str = "peer";
/// Who follows the bus of a process that stands by.
pub(crate) const FOLLOWERS: &str = "/api/peer/v1/followers";
/// Whether they were told.
pub(crate) const SENT: &str = "/api/peer/v1/sent";
/// Where a process says that it stands by.
pub(crate) const STANDBYS: &str = "/api/peer/v1/standbys";

/// Whoever was not heard of for so long stands by no more.
const LIFE: Duration = Duration::from_secs(4);
const PATIENCE: Duration = Duration::from_millis(700);
/// Processes that may stand by.
const PEERS_MAX: usize = 16;

/// Those that stand by.
#[derive(Debug, Default)]
pub(crate) struct Peers(Mutex<BTreeMap<SocketAddr, Instant>>);

/// Says that a process stands by.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Hello {
    /// Where it is reached.
    pub(crate) at: SocketAddr,
}

/// Asks who follows.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Whom {
    /// Name of the resource; none asks who has a stream open at all.
    pub(crate) name: Option<String>,
}

/// Who follows.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Followers {
    /// The processes.
    pub(crate) items: BTreeSet<Incarnation>,
}

/// Asks to wait until followers were told.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Told {
    /// Name of the resource.
    pub(crate) name: String,
    /// The revision that they have to have.
    pub(crate) revision: u64,
    /// How long to wait.
    pub(crate) wait_ms: u64,
}

/// Whether they were.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct LetGo {
    pub(crate) let_go: bool,
}

pub(crate) async fn hello(
    State(handle): State<Handle>,
    headers: HeaderMap,
    body: Result<Json<Hello>, Problem>,
) -> Result<StatusCode, Problem> {
    handle.verifier().platform_bearer(&headers, &[SCOPE])?;
    let Json(Hello { at }) = body?;
    let mut peers = handle.peers().0.lock();
    peers.retain(|_, heard| heard.elapsed() < LIFE);
    if peers.len() >= PEERS_MAX && !peers.contains_key(&at) {
        let hint = format!("expected at most {PEERS_MAX} processes that stand by");
        return Err(Problem::conflict("too_many_peers", hint));
    }
    if peers.insert(at, Instant::now()).is_none() {
        tracing::info!(%at, "another control stands by");
    }
    Ok(StatusCode::NO_CONTENT)
}

impl Peers {
    fn all(&self) -> Vec<SocketAddr> {
        let mut peers = self.0.lock();
        peers.retain(|_, heard| heard.elapsed() < LIFE);
        peers.keys().copied().collect()
    }

    /// How many stand by.
    pub(crate) fn len(&self) -> usize {
        self.all().len()
    }

    /// Processes that follow a resource elsewhere. Fails where somebody who may know does not answer.
    pub(crate) async fn followers(
        &self,
        handle: &Handle,
        name: &str,
    ) -> Result<BTreeSet<Incarnation>, Error> {
        let asked = Whom {
            name: Some(name.to_owned()),
        };
        let mut all = BTreeSet::new();
        for (at, answer) in self
            .ask::<_, Followers>(handle, FOLLOWERS, &asked, PATIENCE)
            .await
        {
            match answer {
                Ok(followers) => all.extend(followers.items),
                Err(error) if is_gone(&error) => {}
                Err(error) => {
                    tracing::warn!(%at, error = brick_core::chain(&error), "a control that stands by does not answer");
                    return Err(Error::SilentPeer { at });
                }
            }
        }
        Ok(all)
    }

    /// Instances that have a stream open elsewhere, as far as that is known.
    pub(crate) async fn connected(&self, handle: &Handle) -> BTreeSet<Incarnation> {
        let answers = self
            .ask::<_, Followers>(handle, FOLLOWERS, &Whom { name: None }, PATIENCE)
            .await;
        let known = answers.into_iter().filter_map(|(_, answer)| answer.ok());
        known.flat_map(|followers| followers.items).collect()
    }

    /// Waits until everybody who follows the resource elsewhere has been sent this revision; whether they have.
    pub(crate) async fn sent(&self, handle: &Handle, name: &str, revision: u64, limit: Duration) -> bool {
        let asked = Told {
            name: name.to_owned(),
            revision,
            wait_ms: u64::try_from(limit.as_millis()).unwrap_or(u64::MAX),
        };
        let answers = self.ask::<_, LetGo>(handle, SENT, &asked, limit + PATIENCE).await;
        answers.into_iter().all(|(_, answer)| match answer {
            Ok(answer) => answer.let_go,
            Err(error) => is_gone(&error),
        })
    }

    async fn ask<Q: Serialize, A: serde::de::DeserializeOwned>(
        &self,
        handle: &Handle,
        path: &str,
        question: &Q,
        limit: Duration,
    ) -> Vec<(SocketAddr, Result<A, WireError>)> {
        let peers = self.all();
        if peers.is_empty() {
            return Vec::new();
        }
        let token = handle.options().peer_token.as_ref().and_then(|token| token());
        let token = token.unwrap_or_default();
        join_all(peers.into_iter().map(|at| {
            let call = handle.http().post(format!("http://{at}{path}"));
            let call = call.bearer(&token).json_body(question).timeout(limit);
            async move { (at, call.json::<A>().await) }
        }))
        .await
    }
}

/// Nobody listens there any more.
fn is_gone(error: &WireError) -> bool {
    let WireError::Unreachable { source, .. } = error else {
        return false;
    };
    source
        .downcast_ref::<io::Error>()
        .is_some_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
}
