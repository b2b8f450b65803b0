//! Routes, compiled when they arrive: what a request must be like, and where it then goes.
//!
//! Of several routes that a request fits, the most specific is taken ([`Rank`]): by host, then path, then the number of
//! further conditions. Matching works on a canonical path ([`canonical`]), so that a route's rules cannot be walked
//! around by writing a path differently: encoded unreserved characters and slashes are decoded, slashes in a row are
//! one, as they are for many servers, and paths with dot segments, backslashes or broken encodings are refused. What is
//! sent upstream is the path as it came.

mod compile;
mod conditions;
mod path;
mod rank;
mod target;
mod trie;

use std::any::Any;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use brick_resilience::FaultsOf;
use http::Method;

pub use compile::Compiler;
pub use conditions::{Conditions, Sought, decoded};
pub use path::canonical;
pub use rank::Rank;
pub(crate) use target::Picked;
pub use target::Target;
use trie::Trie;

/// Most routes of one table.
pub const ROUTES_MAX: usize = 10_000;

/// Who may pass a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Everybody.
    Public,
    /// Whoever shows a valid user token.
    User,
    /// Whoever shows a valid API key.
    Key,
    /// Whoever shows a platform token with scope `admin`.
    Operator,
}

/// One route.
#[derive(Debug, Clone)]
pub struct Route {
    /// The path pattern as written; `http.route` of spans and metrics. `/a` alone, `/a/**` for `/a` and all below it,
    /// `/a/{id}` with one segment for each parameter.
    pub pattern: Arc<str>,
    /// What a request must be like besides its path.
    pub conditions: Conditions,
    /// Where it leads.
    pub target: Target,
    /// Name of where it leads, shared with metrics.
    pub target_name: Arc<str>,
    /// Who may pass.
    pub access: Access,
    /// Whether `Upgrade: websocket` passes.
    pub websocket: bool,
    /// Whether `CONNECT` passes, as a tunnel to an instance. A request for one has no path and is held against routes as
    /// one for `/`.
    pub connect: bool,
    /// How long nothing may move in such a tunnel; as long as a connection of the listener may be idle unless said.
    pub tunnel_idle: Option<Duration>,
    /// Time limit of the whole exchange; answers that are event streams are exempt once their head is there.
    pub timeout: Duration,
    /// Largest request body.
    pub body_bytes_max: u64,
    /// What the listener's gate knows of it besides.
    pub attached: Attached,
    /// What goes wrong on purpose with its requests.
    pub faults: Option<Arc<FaultsOf>>,
}

/// A value of a gate's own type that travels with a route, made when the route is compiled.
#[derive(Debug, Clone, Default)]
pub struct Attached(Option<Arc<dyn Any + Send + Sync>>);

/// All routes of a listener. Immutable: a change makes a new one.
#[derive(Debug, Default)]
pub struct Routes {
    /// Those that take any host.
    any: Trie,
    /// Those of named hosts; none where there are none, so that nobody pays for them.
    hosts: Option<Box<Hosts>>,
    len: usize,
    /// Whether a route asks for methods, so that "another method would do" may be an answer.
    by_method: bool,
}

#[derive(Debug, Default)]
struct Hosts {
    exact: HashMap<Box<str>, Trie>,
    /// By what stands behind `*.`.
    below: HashMap<Box<str>, Trie>,
}

/// A route table that cannot be served.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The pattern is neither a path nor a prefix.
    #[error(
        "route {pattern:?}: expected a path such as \"/health\" or \"/orders/{{id}}\", or a prefix such as \"/api/orders/**\""
    )]
    Pattern {
        /// What was found.
        pattern: String,
    },
    /// Two routes have the same pattern and conditions.
    #[error("route {pattern:?} is there twice with the same conditions")]
    Twice {
        /// The pattern.
        pattern: String,
    },
    /// A condition that no request can be held against.
    #[error("route {pattern:?}: {what} {found:?} is none")]
    Condition {
        /// The pattern.
        pattern: String,
        /// What was expected.
        what: &'static str,
        /// What was found.
        found: String,
    },
    /// Too many routes.
    #[error("{found} routes, at most {ROUTES_MAX} are served")]
    TooMany {
        /// How many there are.
        found: usize,
    },
}

impl Attached {
    /// Carries the value.
    pub fn new(value: impl Any + Send + Sync) -> Self {
        Self(Some(Arc::new(value)))
    }

    /// The value, where it is of that type.
    pub fn get<T: Any>(&self) -> Option<&T> {
        self.0.as_deref()?.downcast_ref()
    }
}

impl Route {
    /// A route for everybody, with no conditions and nothing attached.
    pub fn new(pattern: &str, target: Target, timeout: Duration, body_bytes_max: u64) -> Self {
        Self {
            pattern: pattern.into(),
            conditions: Conditions::default(),
            target_name: target.name().into(),
            target,
            access: Access::Public,
            websocket: false,
            connect: false,
            tunnel_idle: None,
            timeout,
            body_bytes_max,
            attached: Attached::default(),
            faults: None,
        }
    }
}

impl Routes {
    /// Compiles. A more specific route goes first whatever its place in the list; of two equally specific ones the
    /// first.
    pub fn new(routes: Vec<Route>) -> Result<Self, Error> {
        if routes.len() > ROUTES_MAX {
            return Err(Error::TooMany { found: routes.len() });
        }
        let mut compiled = Self {
            len: routes.len(),
            by_method: routes.iter().any(|route| !route.conditions.methods.is_empty()),
            ..Self::default()
        };
        for route in routes {
            compiled.trie(route.conditions.host.as_deref()).add(route)?;
        }
        compiled.any.finish();
        if let Some(hosts) = &mut compiled.hosts {
            hosts.exact.values_mut().for_each(Trie::finish);
            hosts.below.values_mut().for_each(Trie::finish);
        }
        Ok(compiled)
    }

    /// The most specific route that the request fits.
    pub fn find(&self, sought: &Sought<'_>) -> Option<&Arc<Route>> {
        let mut found = None;
        self.walk(sought, |route, conditions| {
            if conditions.fit(sought) {
                found = Some(route);
            }
            found.is_some()
        });
        found
    }

    /// The methods with which a request that fits no route would fit one (RFC 9110 §15.5.6); empty where none would do.
    pub fn allowed(&self, sought: &Sought<'_>) -> Vec<Method> {
        let mut allowed = Vec::new();
        if self.by_method {
            self.walk(sought, |_, conditions| {
                if conditions.fit_but_for_method(sought) {
                    let new = conditions
                        .methods
                        .iter()
                        .filter(|method| !allowed.contains(*method));
                    let new: Vec<Method> = new.cloned().collect();
                    allowed.extend(new);
                }
                false
            });
        }
        allowed
    }

    /// How many routes there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Goes through the routes whose host and path fit, most specific first, until `stop` says so.
    fn walk<'r>(&'r self, sought: &Sought<'_>, mut stop: impl FnMut(&'r Arc<Route>, &'r Conditions) -> bool) {
        if let Some(hosts) = &self.hosts
            && let Some(host) = sought.host()
            && hosts.walk(&host, sought.path, &mut stop)
        {
            return;
        }
        self.any.walk(sought.path, &mut stop);
    }

    fn trie(&mut self, host: Option<&str>) -> &mut Trie {
        let Some(host) = host else { return &mut self.any };
        let hosts = self.hosts.get_or_insert_default();
        match host.strip_prefix("*.") {
            Some(suffix) => hosts.below.entry(suffix.into()).or_default(),
            None => hosts.exact.entry(host.into()).or_default(),
        }
    }
}

impl Hosts {
    fn walk<'r>(
        &'r self,
        host: &str,
        path: &str,
        stop: &mut impl FnMut(&'r Arc<Route>, &'r Conditions) -> bool,
    ) -> bool {
        if self.exact.get(host).is_some_and(|trie| trie.walk(path, stop)) {
            return true;
        }
        let mut rest = host;
        while let Some((_, suffix)) = rest.split_once('.') {
            if self.below.get(suffix).is_some_and(|trie| trie.walk(path, stop)) {
                return true;
            }
            rest = suffix;
        }
        false
    }
}

#[cfg(test)]
mod tests;
