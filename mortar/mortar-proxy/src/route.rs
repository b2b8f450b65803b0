//! Routes, compiled when they arrive: exact paths in a hash table, prefixes longest first.
//!
//! Matching works on a canonical path, so that a route's rules cannot be walked around by writing a path differently:
//! encoded unreserved characters and slashes are decoded, slashes in a row are one, as they are for many servers, and
//! paths with dot segments, backslashes or broken encodings are refused. What is sent upstream is the path as it came.

use std::borrow::Cow;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use brick_bus::{Protocol, RouteAuth, RouteTable, Watch};
use brick_core::Incarnation;
use brick_discovery::balancer::{Balancer, Guard};

use crate::pool::Transport;

/// Most routes of one table.
pub const ROUTES_MAX: usize = 10_000;

/// Who may pass a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Everybody.
    Public,
    /// Whoever shows a valid user token.
    User,
    /// Whoever shows a platform token with scope `admin`.
    Operator,
}

/// Where a route leads.
#[derive(Debug, Clone)]
pub enum Target {
    /// To the instances of a brick.
    Brick(Balancer),
    /// To one address.
    Fixed {
        /// Name of what listens there.
        name: Arc<str>,
        /// The address.
        addr: SocketAddr,
        /// How it is spoken to.
        transport: Transport,
    },
}

/// One route.
#[derive(Debug, Clone)]
pub struct Route {
    /// The pattern as written; `http.route` of spans and metrics.
    pub pattern: Arc<str>,
    /// Where it leads.
    pub target: Target,
    /// Name of where it leads, shared with metrics.
    pub target_name: Arc<str>,
    /// Who may pass.
    pub access: Access,
    /// Whether `Upgrade: websocket` passes.
    pub websocket: bool,
    /// Time limit of the whole exchange; answers that are event streams are exempt once their head is there.
    pub timeout: Duration,
    /// Largest request body.
    pub body_bytes_max: u64,
}

/// All routes of a listener. Immutable: a change makes a new one.
#[derive(Debug, Default)]
pub struct Routes {
    exact: HashMap<Box<str>, Arc<Route>>,
    /// Without the `/**`, longest first.
    prefixes: Vec<(Box<str>, Arc<Route>)>,
}

/// A route table that cannot be served.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The pattern is neither a path nor a prefix.
    #[error("route {pattern:?}: expected a path such as \"/health\" or a prefix such as \"/api/orders/**\"")]
    Pattern {
        /// What was found.
        pattern: String,
    },
    /// Two routes have the same pattern.
    #[error("route {pattern:?} is there twice")]
    Twice {
        /// The pattern.
        pattern: String,
    },
    /// Too many routes.
    #[error("{found} routes, at most {ROUTES_MAX} are served")]
    TooMany {
        /// How many there are.
        found: usize,
    },
}

/// One instance for one attempt.
#[derive(Debug)]
pub(crate) struct Picked {
    pub(crate) addr: SocketAddr,
    pub(crate) transport: Transport,
    /// None for a fixed address.
    pub(crate) instance: Option<(Incarnation, Guard)>,
}

/// Compiles route tables; keeps the balancers, so that what they learned survives a change of routes.
#[derive(Debug)]
pub struct Compiler {
    watch: Watch,
    balancers: HashMap<String, Balancer>,
}

impl Target {
    /// Name of what it leads to: `server.address` of client spans.
    pub fn name(&self) -> &str {
        match self {
            Self::Brick(balancer) => balancer.brick(),
            Self::Fixed { name, .. } => name,
        }
    }

    /// An instance that is none of `tried`.
    pub(crate) fn pick(&self, tried: &[Incarnation]) -> Option<Picked> {
        match self {
            Self::Brick(balancer) => balancer.pick_excluding(tried).map(|pick| Picked {
                addr: pick.endpoint.addr,
                transport: match pick.endpoint.protocol {
                    Protocol::Http1 => Transport::Http1,
                    Protocol::H2c => Transport::H2c,
                },
                instance: Some((pick.endpoint.incarnation, pick.guard)),
            }),
            Self::Fixed { addr, transport, .. } => Some(Picked {
                addr: *addr,
                transport: transport.clone(),
                instance: None,
            }),
        }
    }
}

impl Routes {
    /// Compiles. A more specific route goes first whatever its place in the list.
    pub fn new(routes: Vec<Route>) -> Result<Self, Error> {
        if routes.len() > ROUTES_MAX {
            return Err(Error::TooMany { found: routes.len() });
        }
        let mut compiled = Self::default();
        for route in routes {
            let pattern = Arc::clone(&route.pattern);
            let twice = || Error::Twice {
                pattern: pattern.to_string(),
            };
            let (path, is_prefix) = match pattern.strip_suffix("/**") {
                Some(prefix) => (prefix, true),
                None => (&*pattern, false),
            };
            let plain = path.is_empty() || path.starts_with('/');
            if !pattern.starts_with('/') || !plain || path.contains(['*', '?', '#', '%', '\\']) {
                return Err(Error::Pattern {
                    pattern: pattern.to_string(),
                });
            }
            if is_prefix {
                if compiled.prefixes.iter().any(|(known, _)| **known == *path) {
                    return Err(twice());
                }
                compiled.prefixes.push((path.into(), Arc::new(route)));
            } else if compiled.exact.insert(path.into(), Arc::new(route)).is_some() {
                return Err(twice());
            }
        }
        compiled
            .prefixes
            .sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len()));
        Ok(compiled)
    }

    /// The route of a canonical path: the exact one, else the one with the longest prefix. A prefix ends at a slash.
    pub fn find(&self, path: &str) -> Option<&Arc<Route>> {
        if let Some(route) = self.exact.get(path) {
            return Some(route);
        }
        let covers = |prefix: &str| {
            path.strip_prefix(prefix)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        self.prefixes
            .iter()
            .find(|(prefix, _)| covers(prefix))
            .map(|(_, route)| route)
    }

    /// How many routes there are.
    pub fn len(&self) -> usize {
        self.exact.len() + self.prefixes.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Compiler {
    /// Follows endpoints on this watch.
    pub fn new(watch: Watch) -> Self {
        Self {
            watch,
            balancers: HashMap::new(),
        }
    }

    /// Compiles `routes/edge`; `timeout` gives the limit of a brick's routes that say none of their own.
    pub fn compile(
        &mut self,
        table: &RouteTable,
        timeout: impl Fn(&str) -> Duration,
    ) -> Result<Routes, Error> {
        let mut balancers = HashMap::new();
        let mut routes = Vec::with_capacity(table.routes.len().min(ROUTES_MAX));
        for route in &table.routes {
            let name = route.to.as_str();
            let known = self.balancers.get(name).or_else(|| balancers.get(name));
            let balancer = known
                .cloned()
                .unwrap_or_else(|| Balancer::new(self.watch.clone(), name));
            balancers.insert(name.to_owned(), balancer.clone());
            routes.push(Route {
                pattern: route.path.as_str().into(),
                target_name: name.into(),
                target: Target::Brick(balancer),
                access: match route.auth {
                    RouteAuth::Public => Access::Public,
                    RouteAuth::Jwt => Access::User,
                },
                websocket: route.websocket,
                timeout: route
                    .timeout_ms
                    .map_or_else(|| timeout(name), Duration::from_millis),
                body_bytes_max: route.body_bytes_max,
            });
        }
        let compiled = Routes::new(routes)?;
        self.balancers = balancers;
        Ok(compiled)
    }
}

/// The path that routes are matched by; none where it has dot segments, backslashes or broken encodings.
pub(crate) fn canonical(path: &str) -> Option<Cow<'_, str>> {
    let mut decoded = if path.contains('%') {
        Cow::Owned(decode(path)?)
    } else {
        Cow::Borrowed(path)
    };
    if decoded.contains("//") {
        decoded = Cow::Owned(merge_slashes(&decoded));
    }
    if decoded.contains(['\\', '\0']) {
        return None;
    }
    // `;x` behind dots: some servers cut parameters off a segment before they resolve it.
    let is_dots = |segment: &str| matches!(segment.split(';').next(), Some("." | ".."));
    (!decoded.split('/').any(is_dots)).then_some(decoded)
}

/// Decodes what means the same when it is decoded, and slashes: many servers take `%2F` for one (RFC 3986 §6.2.2.2).
fn decode(path: &str) -> Option<String> {
    let mut out = String::with_capacity(path.len());
    let mut rest = path;
    while let Some((before, after)) = rest.split_once('%') {
        out.push_str(before);
        let digits = after.get(..2)?;
        if !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        let byte = u8::from_str_radix(digits, 16).ok()?;
        match byte {
            0 | b'\\' => return None,
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                out.push(byte as char);
            }
            _ => {
                out.push('%');
                out.push_str(&digits.to_ascii_uppercase());
            }
        }
        rest = &after[2..];
    }
    out.push_str(rest);
    Some(out)
}

fn merge_slashes(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for c in path.chars() {
        if c != '/' || !out.ends_with('/') {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn route(pattern: &str) -> Route {
        Route {
            pattern: pattern.into(),
            target_name: "x".into(),
            target: Target::Fixed {
                name: "x".into(),
                addr: ([127, 0, 0, 1], 1).into(),
                transport: Transport::Http1,
            },
            access: Access::Public,
            websocket: false,
            timeout: Duration::from_secs(1),
            body_bytes_max: 1,
        }
    }

    #[test]
    fn exact_goes_before_prefix_and_the_longest_prefix_first() {
        let patterns = ["/**", "/api/**", "/api/orders/**", "/api/orders", "/health"];
        let routes = Routes::new(patterns.map(route).to_vec()).unwrap();
        for (path, expect) in [
            ("/", "/**"),
            ("/apiary", "/**"),
            ("/api", "/api/**"),
            ("/api/x", "/api/**"),
            ("/api/orders", "/api/orders"),
            ("/api/orders/", "/api/orders/**"),
            ("/api/orders/1", "/api/orders/**"),
            ("/api/orders2", "/api/**"),
            ("/health", "/health"),
            ("/health/live", "/**"),
        ] {
            assert_eq!(routes.find(path).map(|r| &*r.pattern), Some(expect), "{path}");
        }
        assert!(Routes::default().find("/").is_none());
    }

    #[test]
    fn patterns_that_mean_nothing_are_refused() {
        for bad in ["", "api", "/a*", "/**/x", "/a?b", "*", "a/**"] {
            assert!(Routes::new(vec![route(bad)]).is_err(), "{bad}");
        }
        assert!(Routes::new(vec![route("/a/**"), route("/a/**")]).is_err());
        assert!(Routes::new(vec![route("/a"), route("/a")]).is_err());
    }

    #[test]
    fn a_path_cannot_be_disguised() {
        let check =
            |path: &str, expect: Option<&str>| assert_eq!(canonical(path).as_deref(), expect, "{path}");
        check("/a/b", Some("/a/b"));
        check("/%61dmin/x%2fy", Some("/admin/x/y"));
        check("//admin///x%2F/", Some("/admin/x/"));
        check("/public/..%2fadmin", None);
        check("/a%20b", Some("/a%20b"));
        check("/a..b/...", Some("/a..b/..."));
        for bad in [
            "/a/../b",
            "/a/%2e%2E/b",
            "/./a",
            "/a/..",
            "/a/..;x/b",
            "/a\\b",
            "/a%5cb",
            "/a%00",
            "/a%zz",
            "/a%2",
        ] {
            check(bad, None);
        }
    }

    proptest! {
        #[test]
        fn no_path_makes_it_panic_and_canonical_is_stable(path in "/[ -~ü%.]{0,40}") {
            if let Some(once) = canonical(&path) {
                let again = canonical(&once).map(Cow::into_owned);
                if !path.contains("%25") {
                    prop_assert_eq!(again.as_deref(), Some(&*once));
                }
            }
        }
    }
}
