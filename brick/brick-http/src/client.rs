//! The client of a brick: call another by its name.
//!
//! Each call picks an instance by the callee's balancer, has a time limit (the manifest's for this edge, from
//! `limits/<caller>-><callee>`, unless the call says otherwise), carries the context of the request that is being
//! answered, and becomes a span and a metric. A call whose connection could not be made was not sent: it goes to
//! another instance, twice at most.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use brick_auth::OwnToken;
use brick_bus::{Limits, Watch};
use brick_discovery::Balancer;
use brick_telemetry::Telemetry;
use brick_telemetry::metrics::HistogramFamily;
use bytes::Bytes;
use http::Method;
use http_body_util::Full;
use hyper_util::client::legacy::Client as Pool;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use parking_lot::Mutex;
use serde::Deserialize as _;

mod call;
mod send;

pub use call::{Answer, Call, path_segment};

/// Time limit of a call where neither the manifest nor the call says one.
pub const TIMEOUT: Duration = Duration::from_secs(5);
/// Largest answer taken, in bytes, unless the call says otherwise.
pub const BODY_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Instances that a call is tried on when connections cannot be made.
pub const INSTANCES_MAX: usize = 3;

const CONNECT_LIMIT: Duration = Duration::from_secs(1);
const IDLE_LIMIT: Duration = Duration::from_secs(20);
const IDLE_MAX: usize = 32;

/// How a brick calls others.
#[derive(Debug, Clone)]
pub struct ClientsOptions {
    /// Where endpoints and limits come from.
    pub watch: Watch,
    /// The process's own token, sent as `x-brick-identity`.
    pub own_token: OwnToken,
    /// Where spans and metrics go.
    pub telemetry: Telemetry,
    /// Name of the brick that calls.
    pub brick: String,
}

/// Makes clients; cloneable. All clients share one connection pool.
#[derive(Debug, Clone)]
pub struct Clients {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    options: ClientsOptions,
    pool: Pool<HttpConnector, Full<Bytes>>,
    durations: HistogramFamily,
    targets: Mutex<BTreeMap<String, Arc<Target>>>,
}

/// Calls one brick, or one external service; cloneable.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
    target: Arc<Target>,
}

#[derive(Debug)]
struct Target {
    name: String,
    place: Place,
    /// Revision of the limits that were acknowledged last.
    limits_seen: AtomicU64,
}

#[derive(Debug)]
enum Place {
    /// A brick of this system.
    Brick(Balancer),
    /// Somewhere else: base URL without a slash at its end.
    External(String),
}

impl Clients {
    /// Clients with these options.
    pub fn new(options: ClientsOptions) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(CONNECT_LIMIT));
        let pool = Pool::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_LIMIT)
            .pool_max_idle_per_host(IDLE_MAX)
            .build(connector);
        let durations = options.telemetry.metrics().timer_with(
            "http_client_request_duration_seconds",
            "time until the whole answer of a call was there",
            &[
                "server_address",
                "http_request_method",
                "http_response_status_code",
                "synthetic",
            ],
        );
        Self {
            shared: Arc::new(Shared {
                options,
                pool,
                durations,
                targets: Mutex::default(),
            }),
        }
    }

    /// The client of a brick; clients of one brick share what they learn of its instances.
    pub fn client(&self, brick: &str) -> Client {
        let mut targets = self.shared.targets.lock();
        let target = targets.entry(brick.to_owned()).or_insert_with(|| {
            let balancer = Balancer::new(self.shared.options.watch.clone(), brick);
            Arc::new(Target::new(brick, Place::Brick(balancer)))
        });
        self.with(Arc::clone(target))
    }

    /// The client of a service outside of the system, at a base URL (`http://` alone for now). Neither the platform
    /// identity nor the user's token nor `brick.*` baggage goes there.
    pub fn external(&self, name: &str, url: &str) -> Client {
        let base = url.trim_end_matches('/').to_owned();
        self.with(Arc::new(Target::new(name, Place::External(base))))
    }

    fn with(&self, target: Arc<Target>) -> Client {
        Client {
            shared: Arc::clone(&self.shared),
            target,
        }
    }
}

impl Target {
    fn new(name: &str, place: Place) -> Self {
        Self {
            name: name.to_owned(),
            place,
            limits_seen: AtomicU64::new(0),
        }
    }

    fn is_external(&self) -> bool {
        matches!(self.place, Place::External(_))
    }
}

impl Client {
    /// A GET of the path (which starts with `/`).
    pub fn get(&self, path: impl Into<String>) -> Call {
        self.call(Method::GET, path)
    }

    /// A POST.
    pub fn post(&self, path: impl Into<String>) -> Call {
        self.call(Method::POST, path)
    }

    /// A PUT.
    pub fn put(&self, path: impl Into<String>) -> Call {
        self.call(Method::PUT, path)
    }

    /// A DELETE.
    pub fn delete(&self, path: impl Into<String>) -> Call {
        self.call(Method::DELETE, path)
    }

    /// A PATCH.
    pub fn patch(&self, path: impl Into<String>) -> Call {
        self.call(Method::PATCH, path)
    }

    /// Any method.
    pub fn call(&self, method: Method, path: impl Into<String>) -> Call {
        Call::new(self.clone(), method, path.into())
    }

    /// Name of the callee.
    pub fn name(&self) -> &str {
        &self.target.name
    }

    /// Whether an instance of the brick is up, as far as is known; true of external services. A check for
    /// [`brick_telemetry::health::Health::dependency`].
    pub fn is_up(&self) -> bool {
        match &self.target.place {
            Place::Brick(balancer) => !balancer.endpoints().is_empty(),
            Place::External(_) => true,
        }
    }

    /// The time limit of a call that says none: the manifest's for this edge, else [`TIMEOUT`]. A revision that is
    /// used for the first time is acknowledged.
    fn timeout(&self) -> Duration {
        let options = &self.shared.options;
        let name = format!("limits/{}->{}", options.brick, self.target.name);
        let Some(resource) = options.watch.get(&name) else {
            return TIMEOUT;
        };
        let limits = Limits::deserialize(&resource.value)
            .map_err(|error| error.to_string())
            .and_then(|limits| match limits.timeout_ms {
                0 => Err("timeout_ms: expected more than 0".to_owned()),
                ms => Ok(Duration::from_millis(ms)),
            });
        if self.target.limits_seen.swap(resource.revision, Ordering::Relaxed) != resource.revision {
            let refused = limits.as_ref().err().cloned();
            options.watch.acknowledge(&name, resource.revision, refused);
        }
        limits.unwrap_or(TIMEOUT)
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("target", &self.target)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
