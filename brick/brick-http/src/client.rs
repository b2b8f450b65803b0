//! The client of a brick: call another by its name.
//!
//! Each call passes its edge (breaker, bulkhead, rate; [`brick_resilience`]), picks an instance by the callee's balancer,
//! has a time limit (the manifest's for this edge, from `limits/<caller>-><callee>`, unless the call says otherwise; less
//! where whoever asked waits less long), carries the context of the request that is being answered, and becomes a span
//! and a metric. It is tried again as the edge's policy says: a connection that could not be made at another instance,
//! a passing failure of what may be repeated within the budget.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use brick_auth::OwnToken;
use brick_bus::Watch;
use brick_discovery::{Balancer, Caller};
use brick_resilience::{Edges, Followed, Stale};
use brick_telemetry::Telemetry;
use brick_telemetry::metrics::HistogramFamily;
use http::{HeaderValue, Method, Uri};
use parking_lot::Mutex;

mod attempt;
mod call;
mod fallback;
mod pool;
mod send;

pub use call::{Answer, Call, FallbackKind, path_segment};

use pool::Pool;

/// Time limit of a call where neither the manifest nor the call says one.
pub const TIMEOUT: Duration = Duration::from_secs(5);
/// Largest answer taken, in bytes, unless the call says otherwise.
pub const BODY_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Answers kept for the fallback `stale` of one callee, and bytes of all of them together.
const STALE_ANSWERS_MAX: usize = 256;
const STALE_BYTES_MAX: usize = 1 << 20;

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
    pool: Pool,
    edges: Edges,
    caller: Caller,
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
    followed: Arc<Followed>,
    stale: Stale<Answer>,
}

#[derive(Debug)]
enum Place {
    /// A brick of this system.
    Brick(Balancer),
    /// One instance of a brick, by its own name.
    Instance(Balancer, String),
    /// Somewhere else.
    External(Outside),
}

/// A service outside of the system, as its URL says.
#[derive(Debug)]
struct Outside {
    place: pool::Place,
    host: HeaderValue,
    /// What every path begins with, without a slash at its end.
    prefix: String,
    /// Why the URL cannot be used.
    invalid: Option<String>,
}

impl Clients {
    /// Clients with these options.
    pub fn new(options: ClientsOptions) -> Self {
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
        let metrics = options.telemetry.metrics();
        let edges = Edges::new(&options.brick, options.watch.clone(), TIMEOUT, metrics);
        let zone = &options.telemetry.identity().zone;
        let caller = Caller::new(&options.brick, zone, metrics);
        let shared = Arc::new(Shared {
            pool: Pool::default(),
            edges,
            caller,
            durations,
            targets: Mutex::default(),
            options,
        });
        let weak = Arc::downgrade(&shared);
        let metrics = shared.options.telemetry.metrics();
        metrics.collect(move |out| {
            let Some(shared) = weak.upgrade() else { return };
            let targets = shared.targets.lock();
            let dropped = targets.values().map(|target| target.stale.dropped());
            let dropped: u64 = dropped.sum();
            let help = "answers that are no longer kept for the fallback stale";
            out.counter("brick_client_stale_dropped_total", help, dropped as f64);
        });
        Self { shared }
    }

    /// The edges to all callees, for who tells control of them.
    pub fn edges(&self) -> &Edges {
        &self.shared.edges
    }

    /// The client of a brick; clients of one brick share what they learn of its instances. Of one instance by its own
    /// name, one that is quarantined among them: `order-2.order`, `payment-v2-1.payment`.
    pub fn client(&self, brick: &str) -> Client {
        Client {
            target: self.shared.target(brick),
            shared: Arc::clone(&self.shared),
        }
    }

    /// The client of a service outside of the system, at a base URL (`http://` alone for now). Neither the platform
    /// identity nor the user's token nor `brick.*` baggage goes there.
    pub fn external(&self, name: &str, url: &str) -> Client {
        let place = Place::External(Outside::new(url));
        Client {
            target: Arc::new(Target::new(name, place, self.shared.edges.edge(name))),
            shared: Arc::clone(&self.shared),
        }
    }
}

impl Shared {
    fn target(&self, brick: &str) -> Arc<Target> {
        let mut targets = self.targets.lock();
        let target = targets.entry(brick.to_owned()).or_insert_with(|| {
            let (own, of) = match brick.split_once('.') {
                Some((own, of)) => (Some(own), of),
                None => (None, brick),
            };
            let balancer = Balancer::of(self.options.watch.clone(), of, &self.caller);
            let place = match own {
                Some(own) => Place::Instance(balancer, own.to_owned()),
                None => Place::Brick(balancer),
            };
            Arc::new(Target::new(of, place, self.edges.edge(of)))
        });
        Arc::clone(target)
    }
}

impl Outside {
    fn new(url: &str) -> Self {
        let base = url.trim_end_matches('/');
        let parsed = base.parse::<Uri>().map_err(|error| format!("\"{url}\": {error}"));
        let checked = parsed.and_then(|uri| match (uri.scheme_str(), uri.authority()) {
            (Some("http"), Some(authority)) => {
                let port = authority.port_u16().unwrap_or(80);
                let host = HeaderValue::try_from(authority.as_str()).map_err(|error| error.to_string())?;
                let prefix = uri.path().trim_end_matches('/').to_owned();
                let place = format!("{}:{port}", authority.host());
                Ok((place, host, prefix))
            }
            _ => Err(format!("\"{url}\": expected a URL that starts with http://")),
        });
        let (invalid, (place, host, prefix)) = match checked {
            Ok(parts) => (None, parts),
            Err(reason) => (
                Some(reason),
                (String::new(), HeaderValue::from_static("invalid"), String::new()),
            ),
        };
        Self {
            place: pool::Place::Host(place.into()),
            host,
            prefix,
            invalid,
        }
    }
}

impl Target {
    fn new(name: &str, place: Place, followed: Arc<Followed>) -> Self {
        Self {
            name: name.to_owned(),
            place,
            followed,
            stale: Stale::new(STALE_ANSWERS_MAX, STALE_BYTES_MAX),
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
            Place::Brick(balancer) => balancer.has_any(),
            Place::Instance(balancer, name) => !balancer.named(name).is_nobody(),
            Place::External(_) => true,
        }
    }

    /// The client of another brick with the same pool and edges.
    fn sibling(&self, brick: &str) -> Self {
        Self {
            target: self.shared.target(brick),
            shared: Arc::clone(&self.shared),
        }
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
mod chaos;
#[cfg(test)]
mod tests;
