//! What control needs to be told.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use brick_bus::TrustBundle;
use brick_bus::routes::ApiKeys;
use brick_model::Model;
use tokio::sync::watch;

use crate::Cipher;
use crate::outsider::Clients;

/// Told of every manifest that comes into force, the stored one at start included.
pub type OnManifest = Arc<dyn Fn(&Model) + Send + Sync>;

/// Gives a token by which processes on the same store know each other: a platform token with the scope `peer`.
pub type PeerToken = Arc<dyn Fn() -> Option<String> + Send + Sync>;

/// How control is set up.
#[derive(Clone)]
pub struct Options {
    /// Name of the system; a manifest of another one is refused.
    pub system: String,
    /// Whose signatures count, published as `trust/bundle`.
    pub trust: TrustBundle,
    /// The API keys that count, and every change of them, published as `keys/edge`; none where nobody issues any.
    pub api_keys: Option<watch::Receiver<ApiKeys>>,
    /// Opens encrypted values of configurations; none where there is no master key.
    pub cipher: Option<Arc<Cipher>>,
    /// Believes registered clients that show their secret with each request, as clients of Spring do; none where nobody registers any.
    pub clients: Option<Clients>,
    /// Folder for the copy of a configuration repository; none where there can be none.
    pub repository_dir: Option<PathBuf>,
    /// Folder that paths of the manifest are relative to.
    pub base_dir: PathBuf,
    /// Life of a lease whose registration names none.
    pub lease: Duration,
    /// Changes within this time share one commit and travel together.
    pub coalesce: Duration,
    /// Changes that are remembered so that lost streams can be resumed.
    pub history_max: usize,
    /// Changes that may wait for one subscriber; one more cuts it off, and it resumes.
    pub queue_max: usize,
    /// Subscribers at most.
    pub subscribers_max: usize,
    /// Time between two signs of life on a stream.
    pub heartbeat: Duration,
    /// Told of every manifest that comes into force.
    pub on_manifest: Option<OnManifest>,
    /// Unix socket of the agent, asked on behalf of operators; none where there is no agent.
    pub agent_socket: Option<PathBuf>,
    /// How processes on the same store know each other; none where there is only one.
    pub peer_token: Option<PeerToken>,
    /// The platform's own processes, which are in no registry: name, number of the slot, and own listener.
    pub platform: Vec<(String, u32, SocketAddr)>,
}

impl Options {
    /// For a system, with the usual times and bounds.
    pub fn new(system: impl Into<String>, trust: TrustBundle) -> Self {
        Self {
            system: system.into(),
            trust,
            api_keys: None,
            cipher: None,
            clients: None,
            repository_dir: None,
            base_dir: PathBuf::new(),
            lease: Duration::from_secs(10),
            coalesce: Duration::from_millis(3),
            history_max: 1_000,
            queue_max: 256,
            subscribers_max: 10_000,
            heartbeat: Duration::from_secs(5),
            on_manifest: None,
            agent_socket: None,
            peer_token: None,
            platform: Vec::new(),
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("system", &self.system)
            .field("lease", &self.lease)
            .field("coalesce", &self.coalesce)
            .field("history_max", &self.history_max)
            .field("queue_max", &self.queue_max)
            .field("subscribers_max", &self.subscribers_max)
            .field("heartbeat", &self.heartbeat)
            .field("agent_socket", &self.agent_socket)
            .field("platform", &self.platform)
            .finish_non_exhaustive()
    }
}
